//! AWS's request rates and throughputs under `--limits aws`: the clock stands still, so each is soon reached.

use std::time::Duration;

use serde_json::{Value, json};
use thalweg_conformance::{Encoding, Proofs, Server, ServerOptions};
use thalweg_streams::Limits;

const ARN: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/s";

/// No rate that is checked here allows more calls than this at one moment.
const CALLS_MAX: usize = 2100;

pub(crate) async fn run(proofs: &mut Proofs, encoding: Encoding) {
    let server = Server::start(ServerOptions { limits: Limits::Aws, ..ServerOptions::default() }).await;
    let client = server.client(encoding);
    client.call("CreateStream", &json!({"StreamName": "s", "ShardCount": 1})).await.ok();
    let register = json!({"StreamARN": ARN, "ConsumerName": "c"});
    let consumer =
        client.call("RegisterStreamConsumer", &register).await.ok()["Consumer"]["ConsumerARN"].clone();
    let iterator = json!({"StreamName": "s", "ShardId": "0", "ShardIteratorType": "LATEST"});
    let iterator = client.call("GetShardIterator", &iterator).await.ok()["ShardIterator"].clone();
    let mut unlimited = Vec::new();
    for (operation, request, error) in limited_requests(&consumer, &iterator) {
        let mut limited = false;
        for _ in 0..CALLS_MAX {
            let answer = client.call(operation, &request).await;
            if answer.error() == error {
                assert!(answer.status == 400 && !answer.message().is_empty(), "{operation}: {}", answer.body);
                limited = true;
                break;
            }
        }
        if limited {
            proofs.error(operation, error, encoding);
        } else {
            unlimited.push(operation);
        }
    }
    assert!(unlimited.is_empty(), "not limited: {unlimited:?}");
    let mut switched = Vec::new();
    for mode in ["ON_DEMAND", "PROVISIONED", "ON_DEMAND"] {
        let request = json!({"StreamARN": ARN, "StreamModeDetails": {"StreamMode": mode}});
        switched.push(client.call("UpdateStreamMode", &request).await.error().to_owned());
    }
    assert_eq!(switched, ["", "", "LimitExceededException"], "two switches a day");
    proofs.error("UpdateStreamMode", "LimitExceededException", encoding);
    partial_failure(&server, encoding).await;
    server.stop().await;
    deregistrations(proofs, encoding).await;
}

/// A consumer that is leaving may be told so again and again, until the rate is reached.
async fn deregistrations(proofs: &mut Proofs, encoding: Encoding) {
    let transition_delay = Duration::from_secs(60);
    let options = ServerOptions { limits: Limits::Aws, transition_delay };
    let server = Server::start(options).await;
    let client = server.client(encoding);
    client.call("CreateStream", &json!({"StreamName": "s", "ShardCount": 1})).await.ok();
    server.advance(transition_delay * 2);
    let register = json!({"StreamARN": ARN, "ConsumerName": "c"});
    let registered = |answer: &Value| {
        // Refused questions count, too: while the stream is still being made, each gets a second of its own.
        server.advance(Duration::from_secs(1));
        answer["Consumer"].is_object()
    };
    server.until(&client, "RegisterStreamConsumer", &register, registered).await;
    let deregister = json!({"StreamARN": ARN, "ConsumerName": "c"});
    let limited = |answer: &Value| answer["__type"] == "LimitExceededException";
    server.until(&client, "DeregisterStreamConsumer", &deregister, limited).await;
    proofs.error("DeregisterStreamConsumer", "LimitExceededException", encoding);
    server.stop().await;
}

fn limited_requests(consumer: &Value, iterator: &Value) -> Vec<(&'static str, Value, &'static str)> {
    let (limit, throughput) = ("LimitExceededException", "ProvisionedThroughputExceededException");
    let stream = || json!({"StreamName": "s"});
    let subscribe = json!({"ConsumerARN": consumer, "ShardId": "0", "StartingPosition": {"Type": "LATEST"}});
    let count = json!({"StreamName": "s", "TargetShardCount": 1, "ScalingType": "UNIFORM_SCALING"});
    vec![
        ("AddTagsToStream", json!({"StreamName": "s", "Tags": {"a": "b"}}), limit),
        ("RemoveTagsFromStream", json!({"StreamName": "s", "TagKeys": ["a"]}), limit),
        ("ListTagsForStream", stream(), limit),
        ("TagResource", json!({"ResourceARN": ARN, "Tags": {"a": "b"}}), limit),
        ("UntagResource", json!({"ResourceARN": ARN, "TagKeys": ["a"]}), limit),
        ("ListTagsForResource", json!({"ResourceARN": ARN}), limit),
        ("PutResourcePolicy", json!({"ResourceARN": ARN, "Policy": "{}"}), limit),
        ("GetResourcePolicy", json!({"ResourceARN": ARN}), limit),
        ("DeleteResourcePolicy", json!({"ResourceARN": ARN}), limit),
        ("DescribeStream", stream(), limit),
        ("DescribeStreamSummary", stream(), limit),
        ("DescribeLimits", json!({}), limit),
        ("DescribeAccountSettings", json!({}), limit),
        (
            "UpdateAccountSettings",
            json!({"MinimumThroughputBillingCommitment": {"Status": "DISABLED"}}),
            limit,
        ),
        ("ListStreams", json!({}), limit),
        ("ListShards", stream(), limit),
        ("ListStreamConsumers", json!({"StreamARN": ARN}), limit),
        ("DescribeStreamConsumer", json!({"ConsumerARN": consumer}), limit),
        ("EnableEnhancedMonitoring", json!({"StreamName": "s", "ShardLevelMetrics": ["ALL"]}), limit),
        ("DisableEnhancedMonitoring", json!({"StreamName": "s", "ShardLevelMetrics": ["ALL"]}), limit),
        ("IncreaseStreamRetentionPeriod", json!({"StreamName": "s", "RetentionPeriodHours": 24}), limit),
        ("DecreaseStreamRetentionPeriod", json!({"StreamName": "s", "RetentionPeriodHours": 24}), limit),
        ("UpdateMaxRecordSize", json!({"StreamARN": ARN, "MaxRecordSizeInKiB": 1024}), limit),
        ("UpdateStreamWarmThroughput", json!({"StreamName": "s", "WarmThroughputMiBps": 1}), limit),
        (
            "UpdateStreamRecordDistributionStrategy",
            json!({"StreamARN": ARN, "RecordDistributionStrategy": "USER_PARTITION_KEY"}),
            limit,
        ),
        ("UpdateShardCount", count, limit),
        ("SplitShard", json!({"StreamName": "s", "ShardToSplit": "0", "NewStartingHashKey": "0"}), limit),
        ("MergeShards", json!({"StreamName": "s", "ShardToMerge": "0", "AdjacentShardToMerge": "0"}), limit),
        ("GetRecords", json!({"ShardIterator": iterator}), throughput),
        (
            "GetShardIterator",
            json!({"StreamName": "s", "ShardId": "0", "ShardIteratorType": "LATEST"}),
            throughput,
        ),
        ("PutRecord", json!({"StreamName": "s", "PartitionKey": "k", "Data": ""}), throughput),
        ("SubscribeToShard", subscribe, limit),
        ("RegisterStreamConsumer", json!({"StreamARN": ARN, "ConsumerName": "c"}), limit),
        ("CreateStream", json!({"StreamName": "t", "ShardCount": 1}), limit),
        // It has a consumer, so it stays.
        ("DeleteStream", stream(), limit),
    ]
}

/// A shard's throughput fails records, not calls.
async fn partial_failure(server: &Server, encoding: Encoding) {
    let client = server.client(encoding);
    let record = json!({"PartitionKey": "k", "Data": "aGVsbG8="});
    let request = json!({"StreamName": "s", "Records": vec![record; 500]});
    for _ in 0..4 {
        let answer = client.call("PutRecords", &request).await.ok();
        if answer["FailedRecordCount"].as_i64().is_some_and(|count| count > 0) {
            let failed =
                answer["Records"].as_array().expect("a list").iter().find(|r| r.get("ErrorCode").is_some());
            let failed = failed.expect("a record failed");
            assert_eq!(failed["ErrorCode"], "ProvisionedThroughputExceededException");
            let message = failed["ErrorMessage"].as_str().expect("a message");
            assert_eq!(
                message,
                "Rate exceeded for shard shardId-000000000000 in stream s under account 000000000000."
            );
            return;
        }
    }
    panic!("two thousand records passed at one moment");
}
