//! How a server ends: what is in flight is answered, subscriptions end between two events, and whoever is in a hurry
//! asks twice.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // tests of a whole program: threads, files, processes

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread;

use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::error::SdkError;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{ShardIteratorType, StartingPosition};
use support::{Server, client, command, data_by_key, fresh_directory, runtime, without_logs};

#[test]
fn what_was_answered_before_a_clean_end_is_there_after_it() {
    let server = Server::start(&["--create-stream", "orders"]);
    let client = client(&server);
    let (under_way, begun) = mpsc::channel();
    let producer = thread::spawn(move || {
        let runtime = runtime();
        let retries_off = aws_sdk_kinesis::config::Config::builder().retry_config(RetryConfig::disabled());
        let mut answered: Vec<String> = Vec::new();
        loop {
            let data = format!("record {}", answered.len());
            let put = client
                .put_record()
                .stream_name("orders")
                .partition_key("k")
                .data(Blob::new(data.as_bytes()))
                .customize()
                .config_override(retries_off.clone());
            match runtime.block_on(put.send()) {
                Ok(_) => answered.push(data),
                // A refusal in so many words would be an answer to a request that was in flight.
                Err(SdkError::DispatchFailure(_)) => return answered,
                Err(error) => panic!("an answer that is none: {error:?}"),
            }
            if answered.len() == 50 {
                under_way.send(()).expect("the test waits for it");
            }
        }
    });
    begun.recv().expect("the producer gets that far");
    let server = server.restart("TERM", &[]);
    let answered = producer.join().expect("every answer was a success");

    let stored = data_by_key(&server.records("orders")).remove("k").expect("there are records");
    assert_eq!(stored[..answered.len()], answered);
    assert!(stored.len() <= answered.len() + 1, "one more at most: the one whose answer was cut off");
}

/// The story: a line that could not be written, on a full volume or to a `tee` that had ended, was told on the same standard
/// error, which panicked, and a panic ends the process.
#[test]
fn a_log_that_cannot_be_written_ends_nothing() {
    let directory = fresh_directory();
    let mut serve = command(directory.path(), &["serve", "--listen", "127.0.0.1:0", "--log-level", "debug"]);
    serve.args(["--create-stream", "orders"]);
    let mut server = Server::start_by(directory, &mut without_logs(&serve));
    server.run(&["put", "orders", "hello"]).ok();
    assert_eq!(server.records("orders").len(), 1);
    server.running.signal("TERM");
    server.running.finish().ok();
}

#[test]
fn subscriptions_end_between_two_events() {
    let mut server = Server::start(&["--ephemeral", "--create-stream", "orders"]);
    let client = client(&server);
    let runtime = runtime();
    let mut events = runtime.block_on(async {
        let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/orders";
        let consumer = client.register_stream_consumer().stream_arn(arn).consumer_name("reader").send().await;
        let consumer = consumer.expect("it is registered").consumer.expect("it is described");
        let position =
            StartingPosition::builder().r#type(ShardIteratorType::TrimHorizon).build().expect("it is whole");
        let subscription = client
            .subscribe_to_shard()
            .consumer_arn(consumer.consumer_arn())
            .shard_id("shardId-000000000000")
            .starting_position(position)
            .send()
            .await;
        subscription.expect("it is subscribed").event_stream
    });
    server.run(&["put", "orders", "hello"]).ok();
    let first = runtime.block_on(events.recv()).expect("an event is whole");
    assert!(first.is_some());
    server.running.signal("TERM");
    // Events that were on their way, then a clean end: an error would be a stream cut in the middle.
    while runtime.block_on(events.recv()).expect("the stream ends between two events").is_some() {}
    server.running.finish().ok();
}

#[test]
fn a_second_signal_ends_a_server_that_still_waits() {
    let mut server = Server::ephemeral();
    let address = server.endpoint.strip_prefix("http://").expect("it is http");
    let mut connection = TcpStream::connect(address).expect("it listens");
    // A request whose body never comes; the server has begun with it once it says "continue".
    let head = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-amz-json-1.1\r\n\
                X-Amz-Target: Kinesis_20131202.ListStreams\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    connection.write_all(head.as_bytes()).expect("it reads");
    let mut line = String::new();
    BufReader::new(&connection).read_line(&mut line).expect("it answers");
    assert!(line.starts_with("HTTP/1.1 100"), "{line}");

    server.running.signal("TERM");
    server.running.wait_for_error_line("answering what is in flight");
    server.running.signal("INT");
    let finished = server.running.finish();
    assert_eq!(finished.code, Some(128 + 2), "{finished:?}");
}
