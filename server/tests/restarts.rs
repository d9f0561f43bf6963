//! What was acknowledged survives the end of the process, however it comes.

mod support;

use support::{Running, Server, data_by_key};

#[track_caller]
fn check_restart(signal: &str) {
    let server = Server::start(&["--create-stream", "orders:2"]);
    let lines: Vec<String> = (0..2_000).map(|n| format!("line {n}")).collect();
    let text = lines.join("\n");
    let put = server.run_with_input(&["put", "orders", "--key", "k", "--json"], text.as_bytes()).ok();
    let acknowledged: Vec<_> = put.json().iter().map(|record| record["sequenceNumber"].clone()).collect();
    assert_eq!(acknowledged.len(), lines.len());

    let server = server.restart(signal, &[]);
    let records = server.records("orders");
    let numbers: Vec<_> = records.iter().map(|record| record["sequenceNumber"].clone()).collect();
    assert_eq!(numbers, acknowledged, "each exactly once, in order");
    assert_eq!(data_by_key(&records)["k"], lines);

    // And it goes on, with larger numbers.
    let put = server.run(&["put", "orders", "one more", "--key", "k", "--json"]).ok().json();
    let number = |value: &serde_json::Value| value.as_str().expect("it is a text").to_owned();
    let (last, next) = (number(&acknowledged[lines.len() - 1]), number(&put[0]["sequenceNumber"]));
    assert!((last.len(), &last) < (next.len(), &next), "{last} < {next}");
    assert_eq!(server.records("orders").len(), lines.len() + 1);
}

#[test]
fn records_outlive_a_clean_end() {
    check_restart("TERM");
}

#[test]
fn records_outlive_ctrl_c() {
    check_restart("INT");
}

#[test]
fn records_outlive_kill() {
    check_restart("KILL");
}

#[test]
fn tail_waits_for_a_server_that_comes_back() {
    let server = Server::start(&["--create-stream", "orders"]);
    let mut tail =
        Running::start(&mut server.command(&["tail", "orders", "--from", "trim-horizon", "--quiet"]));
    server.run(&["put", "orders", "before"]).ok();
    assert_eq!(tail.line().as_deref(), Some("before"));
    let address = server.endpoint.strip_prefix("http://").expect("it is http").to_owned();
    let server = server.restart("KILL", &["--listen", &address]);
    server.run(&["put", "orders", "after"]).ok();
    assert_eq!(tail.line().as_deref(), Some("after"), "not \"before\" again");
    tail.signal("TERM");
    assert_eq!(tail.finish().ok().stdout, b"");
}

#[test]
fn put_waits_for_a_server_that_comes_back() {
    let server = Server::start(&["--create-stream", "orders"]);
    let mut put = Running::start(&mut server.command(&["put", "orders", "--key", "k", "--json"]));
    put.write(b"before\n");
    assert!(put.line().is_some(), "a line is sent without waiting for more");
    let address = server.endpoint.strip_prefix("http://").expect("it is http").to_owned();
    let mut server = server;
    server.running.signal("KILL");
    server.running.finish();
    put.write(b"meanwhile\n");
    put.wait_for_error_line("trying again: cannot reach");
    let server = Server::start_in(server.directory, &["--listen", &address], &[]);
    put.write(b"after\n");
    put.finish().ok();
    assert_eq!(data_by_key(&server.records("orders"))["k"], ["before", "meanwhile", "after"]);
}
