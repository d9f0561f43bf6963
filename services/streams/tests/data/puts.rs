//! PutRecord and PutRecords: what is taken, where it goes, and what is refused.

use std::time::Duration;

use thalweg_api::kinesis::Kinesis;
use thalweg_model::kinesis::*;
use thalweg_system::Clock;
use thalweg_types::{SequenceNumber, ShardIndex, Timestamp};

use crate::calls::{From, LAST, entry, parse};
use crate::world::{ACCOUNT, START, World, arn, assert_failure, call, hours};

const INVALID: &str = "InvalidArgumentException";
const NOT_FOUND: &str = "ResourceNotFoundException";

fn put_record(stream: &str) -> PutRecordInput {
    PutRecordInput {
        stream_name: Some(stream.to_owned()),
        partition_key: Some("k".to_owned()),
        ..PutRecordInput::default()
    }
}

/// An on-demand stream that places records by itself.
async fn create_auto(world: &World, name: &str) {
    let input = CreateStreamInput {
        stream_name: name.to_owned(),
        stream_mode_details: Some(StreamModeDetails { stream_mode: StreamMode::OnDemand }),
        record_distribution_strategy: Some(RecordDistributionStrategy::Auto),
        ..CreateStreamInput::default()
    };
    world.streams.create_stream(&call(), input).await.expect("it can be created");
    world.until_active(name).await;
}

#[tokio::test]
async fn numbers_rise_and_exceed_the_shards_start() {
    let world = World::new().await;
    world.create("orders", 1).await;
    let shards = world.shards("orders").await;
    let mut last = parse(&shards[0].sequence_number_range.starting_sequence_number);
    for round in 0..5 {
        let many = world.put_many("orders", vec![entry("a", b""), entry("b", b"")]).await.expect("taken");
        let one = world.number_of("orders", "c", b"").await;
        let numbers = many.records.into_iter().map(|record| record.sequence_number.expect("placed"));
        for number in numbers.chain([one]) {
            let number = parse(&number);
            assert!(number > last);
            last = number;
        }
        // Time going back does not matter.
        world.clock.set_wall(Timestamp::from_seconds(START - round * 1_000));
    }
}

#[tokio::test]
async fn records_go_where_their_keys_say() {
    // The keys and shards that kinesalite recorded.
    let world = World::new().await;
    world.create("orders", 3).await;
    let explicit = |key: &str, hash_key: &str| PutRecordsRequestEntry {
        explicit_hash_key: Some(hash_key.to_owned()),
        ..entry(key, key.as_bytes())
    };
    let records = vec![
        entry("a", b"a"),
        entry("b", b"b"),
        entry("e", b"e"),
        entry("f", b"f"),
        explicit("g", LAST),
        explicit("h", "226854911280625642308916404954512140969"),
        explicit("i", "226854911280625642308916404954512140970"),
    ];
    let output = world.put_many("orders", records).await.expect("taken");
    let shards: Vec<_> =
        output.records.iter().map(|record| record.shard_id.as_deref().expect("placed")).collect();
    let shard = |index| ShardIndex(index).to_string();
    assert_eq!(shards, [0, 1, 2, 1, 2, 1, 2].map(shard));
    assert_eq!(world.data_from("orders", "shardId-1", From::HORIZON).await.concat(), "bfh");
    assert_eq!(world.data_from("orders", "shardId-2", From::HORIZON).await.concat(), "egi");
}

#[tokio::test]
async fn a_bad_record_fails_the_whole_call_and_nothing_is_written() {
    let world = World::new().await;
    world.create("orders", 1).await;
    let beyond = PutRecordsRequestEntry {
        explicit_hash_key: Some("340282366920938463463374607431768211456".to_owned()),
        ..entry("k", b"")
    };
    let keyless = PutRecordsRequestEntry { partition_key: None, ..entry("k", b"") };
    let large = entry("k", &vec![0; 1 << 20]);
    let mebibyte = entry("k", &vec![0; (1 << 20) - 1]);
    let over = "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was \
                340282366920938463463374607431768211456";
    let cases = [
        (vec![entry("k", b"good"), beyond], INVALID, over),
        (
            vec![entry("k", b"good"), keyless],
            "ValidationException",
            "1 validation error detected: Value null at 'records.2.member.partitionKey' failed to satisfy \
             constraint: Member must not be null",
        ),
        (
            vec![entry("k", b"good"), large],
            "ValidationException",
            "1 validation error detected: Value at 'records.2.member.data' failed to satisfy constraint: Member \
             must have length less than or equal to 1048576",
        ),
        (vec![mebibyte; 11], INVALID, "Records size exceeds 10 MB limit"),
    ];
    for (records, code, message) in cases {
        assert_failure(world.put_many("orders", records).await, code, message);
    }
    let missing = format!("Stream missing under account {ACCOUNT} not found.");
    assert_failure(world.put_many("missing", vec![entry("k", b"")]).await, NOT_FOUND, &missing);
    assert_failure(world.put("missing", "k", b"").await, NOT_FOUND, &missing);
    assert_eq!(world.data_from("orders", "shardId-0", From::HORIZON).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_stream_is_named_by_name_or_arn_and_both_agree() {
    let world = World::new().await;
    world.create("orders", 1).await;
    for (name, arn_of, code) in [
        (Some("orders"), None, None),
        (None, Some(arn("orders")), None),
        (Some("orders"), Some(arn("orders")), None),
        (Some("others"), Some(arn("orders")), Some(INVALID)),
        (None, Some(arn("orders").replace("eu-west-1", "us-east-1")), Some(NOT_FOUND)),
        (None, Some(arn("orders").replace(ACCOUNT, "999999999999")), Some(NOT_FOUND)),
        (None, None, Some(INVALID)),
    ] {
        let input = PutRecordInput {
            stream_name: name.map(str::to_owned),
            stream_arn: arn_of.clone(),
            ..put_record("orders")
        };
        let code_found = world.streams.put_record(&call(), input).await.err().map(|failure| failure.code);
        assert_eq!(code_found, code, "{name:?} {arn_of:?}");
        let input = PutRecordsInput {
            records: vec![entry("k", b"")],
            stream_name: name.map(str::to_owned),
            stream_arn: arn_of,
            ..PutRecordsInput::default()
        };
        let code_found = world.streams.put_records(&call(), input).await.err().map(|failure| failure.code);
        assert_eq!(code_found, code);
    }
}

#[tokio::test]
async fn a_stream_that_is_being_created_takes_nothing() {
    let mut settings = crate::world::settings();
    settings.transition_delay = Duration::from_secs(60);
    let world = World::with(settings).await;
    world.create("orders", 1).await;
    let not_found = format!("Stream orders under account {ACCOUNT} not found.");
    assert_failure(world.put("orders", "k", b"").await, NOT_FOUND, &not_found);
    world.pass(Duration::from_secs(60)).await;
    world.until_active("orders").await;
    world.put("orders", "k", b"").await.expect("now it does");
}

#[tokio::test]
async fn a_dry_run_checks_everything_and_writes_nothing() {
    let world = World::new().await;
    world.create("orders", 1).await;
    let dry = |stream: &str| PutRecordInput { dry_run: Some(true), ..put_record(stream) };
    let code = |result: Result<PutRecordOutput, thalweg_shape::Failure>| result.expect_err("a dry run").code;
    assert_eq!(code(world.streams.put_record(&call(), dry("orders")).await), "DryRunOperationException");
    assert_eq!(code(world.streams.put_record(&call(), dry("missing")).await), NOT_FOUND);
    let keyless = PutRecordInput { partition_key: None, ..dry("orders") };
    assert_eq!(code(world.streams.put_record(&call(), keyless).await), "ValidationException");
    let many = PutRecordsInput {
        records: vec![entry("k", b"")],
        stream_name: Some("orders".to_owned()),
        dry_run: Some(true),
        ..PutRecordsInput::default()
    };
    let failure = world.streams.put_records(&call(), many).await.expect_err("a dry run");
    assert_eq!(failure.code, "DryRunOperationException");
    let not_dry = PutRecordInput { dry_run: Some(false), ..put_record("orders") };
    world.streams.put_record(&call(), not_dry).await.expect("this is none");
    assert_eq!(world.data_from("orders", "shardId-0", From::HORIZON).await.len(), 1);
}

#[tokio::test]
async fn with_auto_distribution_keys_are_kept_and_place_nothing() {
    let world = World::new().await;
    create_auto(&world, "orders").await;
    let keyed =
        |key: &str| PutRecordsRequestEntry { explicit_hash_key: Some("0".to_owned()), ..entry(key, b"data") };
    let keyless = PutRecordsRequestEntry { partition_key: None, ..entry("", b"data") };
    let records: Vec<_> = (0..40).map(|n| if n % 2 == 0 { keyed("k") } else { keyless.clone() }).collect();
    let output = world.put_many("orders", records).await.expect("taken");
    let mut keys = Vec::new();
    for shard in 0..4 {
        let name = ShardIndex(shard).to_string();
        let here = output.records.iter().filter(|record| record.shard_id.as_deref() == Some(&*name)).count();
        assert_eq!(here, 10, "each shard gets its part");
        let records = world.records_from("orders", &name, From::HORIZON).await;
        keys.extend(records.into_iter().map(|record| record.partition_key));
    }
    assert_eq!(keys.iter().filter(|key| key.as_deref() == Some("k")).count(), 20);
    assert_eq!(keys.iter().filter(|key| key.is_none()).count(), 20, "no key is no key");

    let number = output.records[0].sequence_number.clone();
    let ordered = PutRecordInput { sequence_number_for_ordering: number, ..put_record("orders") };
    assert_failure(
        world.streams.put_record(&call(), ordered).await,
        INVALID,
        "SequenceNumberForOrdering cannot be used with stream orders: its record distribution strategy is AUTO.",
    );
}

#[tokio::test]
async fn a_number_for_ordering_is_exceeded_or_refused() {
    let world = World::new().await;
    world.create("orders", 1).await;
    world.until_active("orders").await;
    let first = world.number_of("orders", "k", b"").await;
    let ordered = async |number: &str| {
        let input =
            PutRecordInput { sequence_number_for_ordering: Some(number.to_owned()), ..put_record("orders") };
        world.streams.put_record(&call(), input).await
    };
    let second = ordered(&first).await.expect("the client's last number").sequence_number;
    assert!(parse(&second) > parse(&first));
    ordered(&first).await.expect("an older one");
    // What AWS was seen to take.
    ordered("49039857307708443467467104868809893875799651909875269634").await.expect("the beginning of time");
    let made_up = |offset, at| {
        let created = parse(&first).created();
        SequenceNumber::of_record(created, ShardIndex(0), offset, Timestamp::from_seconds(START + at))
    };
    for number in [
        made_up(1_000_000, 0).to_string(),
        made_up(0, 1).to_string(),
        "49039857307708443467467104868809893875799651909875269632".to_owned(),
        "26227199374822427428162556223570313216".to_owned(),
    ] {
        assert_failure(
            ordered(&number).await,
            INVALID,
            &format!(
                "ExclusiveMinimumSequenceNumber {number} used in PutRecord on stream orders under account {ACCOUNT} \
                 is invalid."
            ),
        );
    }
    world.split("orders", "shardId-0", "5").await.expect("it is split");
    world.until_active("orders").await;
    let third = ordered(&second).await.expect("the parent's number, for a child").sequence_number;
    assert!(parse(&third).created() > world.clock.wall(), "a child is created a second after its parents");
    ordered(&third).await.expect("the child's");
}

#[tokio::test]
async fn a_number_by_a_clock_that_was_ahead_orders_records_of_another_shard() {
    let world = World::new().await;
    world.create("orders", 2).await;
    world.until_active("orders").await;
    let put = async |hash_key: &str, number: Option<String>| {
        let input = PutRecordInput {
            explicit_hash_key: Some(hash_key.to_owned()),
            sequence_number_for_ordering: number,
            ..put_record("orders")
        };
        world.streams.put_record(&call(), input).await.expect("it is taken").sequence_number
    };
    let wall = world.clock.wall();
    world.clock.set_wall(wall.plus(hours(1)));
    let first = put("0", None).await;
    world.clock.set_wall(wall);
    put(LAST, Some(first)).await;
}
