//! What a stream that is not ACTIVE refuses: transitions are slowed down and the clock stands still.

use std::time::Duration;

use serde_json::{Value, json};
use thalweg_conformance::{Encoding, Proofs, Server, ServerOptions};

const ARN: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/s";

pub(crate) async fn run(proofs: &mut Proofs, encoding: Encoding) {
    let options = ServerOptions { transition_delay: Duration::from_secs(60), ..ServerOptions::default() };
    let server = Server::start(options).await;
    let client = server.client(encoding);
    client.call("CreateStream", &json!({"StreamName": "s", "ShardCount": 2})).await.ok();
    let status = |summary: &Value| summary["StreamDescriptionSummary"]["StreamStatus"].clone();
    let describe = json!({"StreamName": "s"});
    assert_eq!(status(&client.call("DescribeStreamSummary", &describe).await.ok()), "CREATING");
    let put = json!({"StreamName": "s", "PartitionKey": "k", "Data": ""});
    let answer = client.call("PutRecord", &put).await;
    assert_eq!(answer.error(), "ResourceNotFoundException", "a stream that is CREATING takes no records");
    let mut wrong = Vec::new();
    for (operation, request) in busy_requests() {
        let answer = client.call(operation, &request).await;
        let message = "Stream s under account 000000000000 not ACTIVE, instead in state CREATING";
        if answer.error() == "ResourceInUseException" && answer.message() == message {
            proofs.error(operation, "ResourceInUseException", encoding);
        } else {
            wrong.push(format!("{operation}: {}", answer.body));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    server.advance(Duration::from_secs(61));
    server.until(&client, "DescribeStreamSummary", &describe, |summary| status(summary) == "ACTIVE").await;
    client
        .call("IncreaseStreamRetentionPeriod", &json!({"StreamName": "s", "RetentionPeriodHours": 48}))
        .await
        .ok();
    assert_eq!(status(&client.call("DescribeStreamSummary", &describe).await.ok()), "UPDATING");
    client.call("PutRecord", &put).await.ok();
    client.call("ListShards", &describe).await.ok();
    server.advance(Duration::from_secs(61));
    server.until(&client, "DescribeStreamSummary", &describe, |summary| status(summary) == "ACTIVE").await;
    subscriptions(&server, proofs, encoding).await;
    server.stop().await;
}

/// Requests that want an ACTIVE stream.
fn busy_requests() -> Vec<(&'static str, Value)> {
    vec![
        ("AddTagsToStream", json!({"StreamName": "s", "Tags": {"a": "b"}})),
        ("RemoveTagsFromStream", json!({"StreamName": "s", "TagKeys": ["a"]})),
        ("TagResource", json!({"ResourceARN": ARN, "Tags": {"a": "b"}})),
        ("UntagResource", json!({"ResourceARN": ARN, "TagKeys": ["a"]})),
        ("ListTagsForResource", json!({"ResourceARN": ARN})),
        ("IncreaseStreamRetentionPeriod", json!({"StreamName": "s", "RetentionPeriodHours": 48})),
        ("DecreaseStreamRetentionPeriod", json!({"StreamName": "s", "RetentionPeriodHours": 24})),
        ("EnableEnhancedMonitoring", json!({"StreamName": "s", "ShardLevelMetrics": ["ALL"]})),
        ("DisableEnhancedMonitoring", json!({"StreamName": "s", "ShardLevelMetrics": ["ALL"]})),
        ("PutResourcePolicy", json!({"ResourceARN": ARN, "Policy": "{}"})),
        ("GetResourcePolicy", json!({"ResourceARN": ARN})),
        ("DeleteResourcePolicy", json!({"ResourceARN": ARN})),
        ("ListShards", json!({"StreamName": "s"})),
        ("ListStreamConsumers", json!({"StreamARN": ARN})),
        ("RegisterStreamConsumer", json!({"StreamARN": ARN, "ConsumerName": "c"})),
        ("SplitShard", json!({"StreamName": "s", "ShardToSplit": "0", "NewStartingHashKey": "1000"})),
        ("MergeShards", json!({"StreamName": "s", "ShardToMerge": "0", "AdjacentShardToMerge": "1"})),
        (
            "UpdateShardCount",
            json!({"StreamName": "s", "TargetShardCount": 4, "ScalingType": "UNIFORM_SCALING"}),
        ),
        ("UpdateMaxRecordSize", json!({"StreamARN": ARN, "MaxRecordSizeInKiB": 2048})),
        ("UpdateStreamMode", json!({"StreamARN": ARN, "StreamModeDetails": {"StreamMode": "ON_DEMAND"}})),
        (
            "UpdateStreamRecordDistributionStrategy",
            json!({"StreamARN": ARN, "RecordDistributionStrategy": "USER_PARTITION_KEY"}),
        ),
        ("UpdateStreamWarmThroughput", json!({"StreamName": "s", "WarmThroughputMiBps": 1})),
    ]
}

/// A second subscription within five seconds of the first.
async fn subscriptions(server: &Server, proofs: &mut Proofs, encoding: Encoding) {
    let client = server.client(encoding);
    let register = json!({"StreamARN": ARN, "ConsumerName": "c"});
    let consumer = client.call("RegisterStreamConsumer", &register).await.ok();
    let arn = consumer["Consumer"]["ConsumerARN"].clone();
    let subscribe = json!({"ConsumerARN": arn, "ShardId": "0", "StartingPosition": {"Type": "LATEST"}});
    let answer = client.call("SubscribeToShard", &subscribe).await;
    assert_eq!(answer.error(), "ResourceInUseException", "a consumer that is CREATING takes no subscription");
    server.advance(Duration::from_secs(61));
    let describe = json!({"ConsumerARN": arn});
    let is_active = |consumer: &Value| consumer["ConsumerDescription"]["ConsumerStatus"] == "ACTIVE";
    server.until(&client, "DescribeStreamConsumer", &describe, is_active).await;
    let first = client.send("SubscribeToShard", &subscribe).await;
    assert_eq!(first.status(), 200);
    let answer = client.call("SubscribeToShard", &subscribe).await;
    assert_eq!((answer.status, answer.error()), (400, "ResourceInUseException"), "{}", answer.body);
    proofs.error("SubscribeToShard", "ResourceInUseException", encoding);
    server.advance(Duration::from_secs(6));
    let second = client.send("SubscribeToShard", &subscribe).await;
    assert_eq!(second.status(), 200, "after five seconds the subscription is taken over");
}
