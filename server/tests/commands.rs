//! The commands that speak to a server, from their command lines to what they print: put, tail, streams.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // tests of a whole program: threads, files, processes

mod support;

use std::collections::BTreeSet;

use aws_sdk_kinesis::primitives::Blob;
use serde_json::{Value, json};
use support::{Running, Server, client, command, data_by_key, fresh_directory, run, runtime};

fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object[name].as_str().unwrap_or_else(|| panic!("{name} is no text in {object}"))
}

#[test]
fn what_was_put_is_printed_again_byte_for_byte() {
    let server = Server::ephemeral();
    // Empty lines, carriage returns, bytes that are no text, no line end at the end of one put.
    let input = b"first\n\n\r\n\xff\xfe\x00 third\nlast";
    server.run_with_input(&["put", "orders", "--create", "--key", "k"], input).ok();
    server.run(&["put", "orders", "--key", "k", "an", "argument", "--", "--each"]).ok();
    let tail = server.run(&["tail", "orders", "--no-follow"]).ok();
    assert_eq!(tail.stdout, [&input[..], b"\nan\nargument\n--each\n"].concat());
}

#[test]
fn a_large_input_comes_back_whole_and_in_order_by_key() {
    let server = Server::ephemeral();
    let lines: Vec<String> = (0..20_000).map(|n| format!("{n} {}", "x".repeat(n % 300))).collect();
    let put =
        server.run_with_input(&["put", "logs", "--create=4", "--key", "k"], lines.join("\n").as_bytes());
    assert!(put.ok().stderr.starts_with("put 20,000 records, "));
    assert_eq!(data_by_key(&server.records("logs"))["k"], lines);

    // Random keys spread over all shards, and nothing is lost or doubled.
    server.run_with_input(&["put", "spread", "--create=4"], lines.join("\n").as_bytes()).ok();
    let records = server.records("spread");
    let shards: BTreeSet<&str> = records.iter().map(|record| text(record, "shardId")).collect();
    assert_eq!(shards.len(), 4);
    let mut data: Vec<_> = data_by_key(&records).into_values().flatten().collect();
    data.sort_by_key(|line| line.split(' ').next().and_then(|n| n.parse::<u32>().ok()));
    assert_eq!(data, lines);
}

#[test]
fn put_says_where_each_record_is() {
    let server = Server::ephemeral();
    let put = server.run(&["put", "orders", "--create", "--json", "a", "b"]).ok().json();
    let records = server.records("orders");
    assert_eq!(put.len(), 2);
    for (at, (put, record)) in put.iter().zip(&records).enumerate() {
        let expected = json!({
            "record": at + 1,
            "shardId": record["shardId"],
            "sequenceNumber": record["sequenceNumber"],
        });
        assert_eq!(*put, expected);
    }
    let one = server.run(&["put", "orders", "c"]).ok();
    let last = server.records("orders").pop().expect("there are three");
    let expected =
        format!("put 1 record into orders: {} {}\n", text(&last, "shardId"), text(&last, "sequenceNumber"));
    assert_eq!((one.stderr, one.stdout), (expected, Vec::new()));
    let quiet = server.run(&["put", "orders", "--quiet", "d"]).ok();
    assert_eq!((quiet.stderr.as_str(), quiet.stdout), ("", Vec::new()));
}

#[test]
fn tail_prints_the_documented_members_and_no_others() {
    let server = Server::ephemeral();
    let put = server.run(&["put", "orders", "--create", "--key", "k", "--json", "hello"]).ok().json();
    let records = server.records("orders");
    let time = text(&records[0], "approximateArrivalTimestamp");
    assert!(time.len() >= 20 && time.ends_with('Z') && &time[10..11] == "T", "{time}");
    let expected = json!({
        "shardId": "shardId-000000000000",
        "sequenceNumber": put[0]["sequenceNumber"],
        "subSequenceNumber": 0,
        "partitionKey": "k",
        "approximateArrivalTimestamp": time,
        "data": "aGVsbG8=",
    });
    assert_eq!(records, [expected]);
}

#[test]
fn tail_begins_where_it_is_told_to() {
    let server = Server::ephemeral();
    let put = server.run(&["put", "orders", "--create", "--json", "--key", "k", "a", "b", "c"]).ok().json();
    let from_b = text(&put[1], "sequenceNumber");
    let check = |from: &str, expected: &[u8]| {
        let tail = server.run(&["tail", "orders", "--no-follow", "--from", from]).ok();
        assert_eq!(tail.stdout, expected, "--from {from}");
    };
    check("trim-horizon", b"a\nb\nc\n");
    check(from_b, b"b\nc\n");
    check("5m", b"a\nb\nc\n");
    check("2020-01-01", b"a\nb\nc\n");
    check("1577836800", b"a\nb\nc\n");
    check("latest", b"");
    let limited = server.run(&["tail", "orders", "--from", "trim-horizon", "--limit", "2"]).ok();
    assert_eq!(limited.stdout, b"a\nb\n");
}

#[test]
fn tail_follows_what_comes_and_ends_by_ctrl_c() {
    for signal in ["INT", "TERM"] {
        let server = Server::ephemeral();
        server.run(&["put", "orders", "--create", "before"]).ok();
        let mut tail = Running::start(&mut server.command(&["tail", "orders"]));
        tail.wait_for_error_line("reading orders: 1 shards, from latest");
        server.run(&["put", "orders", "after"]).ok();
        assert_eq!(tail.line().as_deref(), Some("after"), "\"latest\" hides what came before");
        tail.signal(signal);
        let finished = tail.finish().ok();
        assert_eq!(finished.stdout, b"");
    }
}

#[test]
fn tail_ends_quietly_when_nobody_reads_it() {
    let server = Server::ephemeral();
    server.run(&["put", "orders", "--create", "a"]).ok();
    let mut tail =
        Running::start(&mut server.command(&["tail", "orders", "--from", "trim-horizon", "--quiet"]));
    assert_eq!(tail.line().as_deref(), Some("a"));
    tail.close_stdout();
    server.run(&["put", "orders", "b"]).ok();
    assert_eq!(tail.finish().ok().stderr, "");
}

#[test]
fn tail_follows_splits_and_merges_parents_first() {
    let server = Server::ephemeral();
    server.run(&["streams", "create", "orders"]).ok();
    let keys = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let rounds = 4;
    let total = (keys.len() * rounds).to_string();
    let arguments = ["tail", "orders", "--from", "trim-horizon", "--limit", &total, "--json", "--quiet"];
    let mut tail = Running::start(&mut server.command(&arguments));
    let put_round = |round: usize| {
        for key in keys {
            server.run(&["put", "orders", "--quiet", "--key", key, &format!("{key}{round}")]).ok();
        }
    };
    put_round(0);
    server.run(&["streams", "split", "orders", "0"]).ok();
    put_round(1);
    server.run(&["streams", "merge", "orders", "1", "2"]).ok();
    put_round(2);
    server
        .run(&["streams", "split", "orders", "shardId-000000000003", "--at", &(1u128 << 126).to_string()])
        .ok();
    put_round(3);

    let followed = tail.finish().ok().json();
    for records in [&followed, &server.records("orders")] {
        assert_eq!(records.len(), keys.len() * rounds);
        for (key, data) in data_by_key(records) {
            let expected: Vec<_> = (0..rounds).map(|round| format!("{key}{round}")).collect();
            assert_eq!(data, expected, "in order, across all generations");
        }
        let shards: BTreeSet<_> = records.iter().map(|record| text(record, "shardId")).collect();
        assert!(shards.len() >= 4, "{shards:?}");
    }
    // One branch of the family only.
    let shard =
        server.run(&["tail", "orders", "--no-follow", "--shard", "1", "--json", "--quiet"]).ok().json();
    assert!(shard.iter().all(|record| text(record, "shardId") != "shardId-000000000002"));
    assert!(shard.iter().any(|record| text(record, "shardId") == "shardId-000000000005"));
}

#[test]
fn tail_unpacks_aggregated_records() {
    let server = Server::ephemeral();
    server.run(&["streams", "create", "orders"]).ok();
    // Made with aws-kinesis-agg from (pk1, "hello"), (pk1, "world"), (pk2, explicit hash key 123, "!!").
    let aggregated = b"\xf3\x89\x9a\xc2\
        \x0a\x03pk1\x0a\x03pk2\x12\x03123\
        \x1a\x09\x08\x00\x1a\x05hello\x1a\x09\x08\x00\x1a\x05world\x1a\x08\x08\x01\x10\x00\x1a\x02!!\
        \xe9\xa5\xf7\x49\x6b\x78\x4f\x93\xa2\x1c\x53\x84\x02\xfe\xed\x91";
    let runtime = runtime();
    let client = client(&server);
    let put = client.put_record().stream_name("orders").partition_key("a").data(Blob::new(aggregated));
    let placed = runtime.block_on(put.send()).expect("the record is put");

    assert_eq!(server.run(&["tail", "orders", "--no-follow"]).ok().stdout, b"hello\nworld\n!!\n");
    let records = server.records("orders");
    let seen: Vec<_> = records
        .iter()
        .map(|record| (text(record, "partitionKey"), record["subSequenceNumber"].clone()))
        .collect();
    assert_eq!(seen, [("pk1", json!(0)), ("pk1", json!(1)), ("pk2", json!(2))]);
    assert!(records.iter().all(|record| text(record, "sequenceNumber") == placed.sequence_number()));
    let limited = server.run(&["tail", "orders", "--no-follow", "--limit", "2"]).ok();
    assert_eq!(limited.stdout, b"hello\nworld\n");
}

#[test]
fn streams_are_created_described_and_deleted() {
    let server = Server::ephemeral();
    assert_eq!(server.run(&["streams", "list", "--json"]).ok().stdout, b"");
    let created = server.run(&["streams", "create", "orders", "--shards", "2", "--json"]).ok().json();
    let expected_shard = |id: &str, start: &str, end: &str, number: &Value| {
        json!({
            "shardId": id, "isOpen": true, "parentShardId": null, "adjacentParentShardId": null,
            "startingHashKey": start, "endingHashKey": end,
            "startingSequenceNumber": number, "endingSequenceNumber": null,
        })
    };
    let shards = &created[0]["shards"];
    let half = 1u128 << 127;
    let expected = json!({
        "streamName": "orders",
        "streamARN": "arn:aws:kinesis:us-east-1:000000000000:stream/orders",
        "status": "ACTIVE",
        "mode": "PROVISIONED",
        "created": created[0]["created"],
        "retentionHours": 24,
        "openShardCount": 2,
        "consumerCount": 0,
        "shards": [
            expected_shard("shardId-000000000000", "0", &(half - 1).to_string(), &shards[0]["startingSequenceNumber"]),
            expected_shard(
                "shardId-000000000001",
                &half.to_string(),
                &u128::MAX.to_string(),
                &shards[1]["startingSequenceNumber"],
            ),
        ],
    });
    assert_eq!(created, [expected]);
    assert_eq!(server.run(&["streams", "--json", "describe", "orders"]).ok().json(), created);

    let listed = server.run(&["streams", "list", "--json"]).ok().json();
    let expected = json!({
        "streamName": "orders",
        "streamARN": "arn:aws:kinesis:us-east-1:000000000000:stream/orders",
        "status": "ACTIVE",
        "mode": "PROVISIONED",
        "created": created[0]["created"],
    });
    assert_eq!(listed, [expected]);
    assert!(server.run(&["streams", "list"]).ok().text().contains("orders  ACTIVE    PROVISIONED"));

    let on_demand = server.run(&["streams", "create", "free", "--on-demand", "--json"]).ok().json();
    assert_eq!((&on_demand[0]["mode"], &on_demand[0]["openShardCount"]), (&json!("ON_DEMAND"), &json!(4)));

    let deleted = server.run(&["streams", "delete", "orders", "--json"]).ok().json();
    assert_eq!(deleted, [json!({"streamName": "orders", "deleted": true})]);
    server
        .run(&["streams", "describe", "orders"])
        .check_failure(1, &["ResourceNotFoundException", "orders", "`thalweg streams list`"]);
}

#[test]
fn the_shard_map_is_drawn() {
    let server = Server::ephemeral();
    server.run(&["streams", "create", "orders"]).ok();
    server.run(&["streams", "split", "orders", "0"]).ok();
    let described = server.run(&["streams", "merge", "orders", "shardId-000000000001", "2"]).ok();
    let picture: Vec<&str> = described.text().lines().skip_while(|line| !line.starts_with("shard")).collect();
    let expected = [
        "shard  0                                            2^128",
        "    0  |░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░|  closed -> 1 2",
        "    1  |░░░░░░░░░░░░░░░░░░░░░░░░                        |  closed <- 0 -> 3",
        "    2  |                        ░░░░░░░░░░░░░░░░░░░░░░░░|  closed <- 0 -> 3",
        "    3  |████████████████████████████████████████████████|  open   <- 1 2",
    ];
    assert_eq!(picture, expected);
}

#[test]
fn a_command_that_cannot_be_done_says_why_in_one_line() {
    let server = Server::ephemeral();
    server.run(&["streams", "create", "orders"]).ok();
    let check =
        |arguments: &[&str], code: i32, parts: &[&str]| server.run(arguments).check_failure(code, parts);
    check(&["put", "nothing", "x"], 1, &["ResourceNotFoundException", "nothing", "--create"]);
    check(
        &["tail", "nothing"],
        1,
        &["ResourceNotFoundException", "nothing", "thalweg streams create nothing"],
    );
    check(&["tail", "orders", "--shard", "9"], 1, &["orders", "shardId-000000000009", "describe"]);
    check(&["tail", "orders", "--from", "12345678901234567890"], 2, &["--shard"]);
    check(&["tail", "orders", "--from", "yesterday"], 2, &["--from", "yesterday", "5m"]);
    check(&["streams", "create", "orders"], 1, &["ResourceInUseException", "orders"]);
    check(&["streams", "split", "orders", "7"], 1, &["shardId-000000000007"]);
    check(&["streams", "merge", "orders", "0", "1"], 1, &["MergeShards failed"]);
    check(&["streams", "create", "or/ders"], 2, &["or/ders", "letters, digits"]);
    check(&["streams", "create"], 2, &["<STREAM>"]);
    check(&["put", "orders", "--key", "", "x"], 2, &["partition key"]);
    check(&["list"], 2, &["list"]);

    let directory = fresh_directory();
    for arguments in [&["put", "orders", "x"][..], &["tail", "orders"], &["streams", "list"]] {
        // Port 1 is nobody's.
        let mut unreachable = command(directory.path(), arguments);
        unreachable.env("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
        run(&mut unreachable, b"").check_failure(1, &["http://127.0.0.1:1", "`thalweg serve`", "--endpoint"]);
    }
}

#[test]
fn the_endpoint_flag_is_over_the_variables() {
    let server = Server::ephemeral();
    let mut listed = server.command(&["streams", "list", "--endpoint", &server.endpoint]);
    listed
        .env("AWS_ENDPOINT_URL_KINESIS", "http://127.0.0.1:1")
        .env("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    run(&mut listed, b"").ok();
    let mut wrong = server.command(&["streams", "list"]);
    wrong.env("AWS_ENDPOINT_URL_KINESIS", "aws");
    run(&mut wrong, b"").check_failure(2, &["only reached by --endpoint aws"]);
}

#[test]
fn what_the_server_throttles_is_sent_again() {
    // Two thousand records at a thousand a second: some of them must be refused at first.
    let server = Server::start(&["--ephemeral", "--limits", "aws", "--create-stream", "orders"]);
    let lines: Vec<String> = (0..2_000).map(|n| n.to_string()).collect();
    server.run_with_input(&["put", "orders", "--key", "k"], lines.join("\n").as_bytes()).ok();
    assert_eq!(data_by_key(&server.records("orders"))["k"], lines);
}

#[test]
fn an_interrupted_put_says_how_far_it_came() {
    let server = Server::ephemeral();
    let mut put = Running::start(&mut server.command(&["put", "orders", "--create", "--json"]));
    put.write(b"a\nb\nunfinished");
    assert!(put.line().is_some() && put.line().is_some());
    put.signal("INT");
    put.wait_for_error_line("thalweg: 2 records were put, then: interrupted");
    let finished = put.finish();
    assert_eq!((finished.code, finished.stdout), (Some(1), Vec::new()));
    assert_eq!(server.records("orders").len(), 2);
}
