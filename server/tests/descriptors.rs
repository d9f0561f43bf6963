//! Few descriptors: how many a server needs, and what it does when there are no more.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // a test of a whole program: processes

mod support;

use std::process::Command;

use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::primitives::Blob;
use support::{Finished, Server, client, command, fresh_directory, run, runtime, skip, with_descriptors};

const SERVE: &[&str] = &["serve", "--listen", "127.0.0.1:0", "--small-files", "--threads", "2"];

fn serve_with(descriptors: usize) -> Finished {
    let directory = fresh_directory();
    run(&mut with_descriptors(descriptors, &command(directory.path(), SERVE)), b"")
}

/// As a refused start says.
fn least() -> usize {
    let refused = serve_with(64);
    refused.check_failure(1, &["may have 64 files", "at least", "ulimit -n"]);
    let needed = refused.stderr.split(" needs ").nth(1).and_then(|rest| rest.split(' ').next());
    needed.expect("it is said").parse().expect("it is a number")
}

/// The story: with 24 it panicked at the first connection, below 100 nobody could connect.
#[test]
fn too_few_descriptors_are_refused_and_the_least_are_enough() {
    let least = least();
    for too_few in [24, least - 1] {
        let needed = format!("needs {least} at least");
        serve_with(too_few).check_failure(1, &[&format!("may have {too_few} files"), &needed]);
    }
    let directory = fresh_directory();
    let mut serve = command(directory.path(), SERVE);
    let names: Vec<String> = (0..12).map(|number| format!("stream-{number}")).collect();
    for name in &names {
        serve.args(["--create-stream", name]);
    }
    let mut server = Server::start_by(directory, &mut with_descriptors(least, &serve));
    // More than the ring takes, into more segments than may be open at once.
    let lines: String = (0..100).map(|number| format!("{number:01000}\n")).collect();
    for round in 1..=3 {
        for name in &names {
            server.run_with_input(&["put", name], lines.as_bytes()).ok();
        }
        for name in &names {
            assert_eq!(server.records(name).len(), round * 100, "{name}");
        }
    }
    server.running.signal("TERM");
    server.running.finish().ok();
}

/// Sets how many files and connections a process may have open; false when that cannot be done here.
fn let_have(process: u32, descriptors: &str) -> bool {
    let limit = format!("--nofile={descriptors}:");
    let status = Command::new("prlimit").args(["--pid", &process.to_string(), &limit]).status();
    status.is_ok_and(|status| status.success())
}

/// The story: where draining could open no file, writes ended until the next start.
#[test]
fn without_descriptors_puts_are_throttled_until_there_are_some() {
    let mut server = Server::start(&["--small-files", "--create-stream", "orders"]);
    let process = server.running.id();
    let (client, runtime) = (client(&server), runtime());
    let put = async || {
        let once = aws_sdk_kinesis::config::Config::builder().retry_config(RetryConfig::disabled());
        let put = client.put_record().stream_name("orders").partition_key("k").data(Blob::new([7; 10_000]));
        put.customize().config_override(once).send().await
    };
    let mut count = 0;
    // Connects.
    runtime.block_on(put()).expect("it takes writes");
    count += 1;
    if !let_have(process, "8") {
        skip("without descriptors: this machine has no prlimit that may be used");
        return;
    }
    let refused = runtime.block_on(async {
        loop {
            match put().await {
                Ok(_) => count += 1,
                Err(error) => break error.into_service_error(),
            }
        }
    });
    assert!(refused.is_provisioned_throughput_exceeded_exception(), "SDKs try that again: {refused:?}");
    server.running.wait_for_error_line("puts are throttled");
    assert!(let_have(process, "1024"), "it could be done before");
    runtime.block_on(async { while put().await.is_err() {} });
    count += 1;
    server.running.wait_for_error_line("there is room again");
    assert_eq!(server.records("orders").len(), count);
    server.running.signal("TERM");
    server.running.finish().ok();
}
