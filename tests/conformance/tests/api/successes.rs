//! Every operation that is there, once and successfully, with its answer looked at.

use serde_json::{Value, json};
use thalweg_conformance::{Client, Proofs, Server, ServerOptions};

/// One run of the script: a server of its own.
struct Script<'a> {
    client: Client,
    proofs: &'a mut Proofs,
}

impl Script<'_> {
    /// Calls and proves; the caller looks at the answer.
    async fn ok(&mut self, operation: &str, request: Value) -> Value {
        let answer = self.client.call(operation, &request).await;
        assert_eq!(answer.status, 200, "{operation} {request}: {}", answer.body);
        self.proofs.success(operation, self.client.encoding);
        answer.body
    }
}

pub(crate) async fn run(proofs: &mut Proofs, encoding: thalweg_conformance::Encoding) {
    let server = Server::start(ServerOptions::default()).await;
    let mut script = Script { client: server.client(encoding), proofs };
    streams(&mut script).await;
    records(&mut script, &server).await;
    resharding(&mut script).await;
    attachments(&mut script).await;
    consumers(&mut script).await;
    account(&mut script).await;
    script.ok("DeleteStream", json!({"StreamName": "s", "EnforceConsumerDeletion": true})).await;
    assert_eq!(script.ok("ListStreams", json!({})).await["StreamNames"], json!(["demand"]));
    server.stop().await;
}

const ARN: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/s";

async fn streams(script: &mut Script<'_>) {
    let created =
        script.ok("CreateStream", json!({"StreamName": "s", "ShardCount": 2, "Tags": {"a": "1"}})).await;
    assert_eq!(created, Value::Null, "CreateStream answers nothing");
    script
        .ok("CreateStream", json!({"StreamName": "demand", "StreamModeDetails": {"StreamMode": "ON_DEMAND"}}))
        .await;
    let description =
        script.ok("DescribeStream", json!({"StreamName": "s"})).await["StreamDescription"].clone();
    assert_eq!(description["StreamARN"], ARN);
    assert_eq!(description["StreamStatus"], "ACTIVE");
    assert_eq!(description["RetentionPeriodHours"], 24);
    assert_eq!(description["HasMoreShards"], false);
    assert_eq!(description["EncryptionType"], "NONE");
    assert_eq!(description["EnhancedMonitoring"], json!([{"ShardLevelMetrics": []}]));
    assert_eq!(description["Shards"].as_array().map(Vec::len), Some(2));
    assert_eq!(description["Shards"][0]["ShardId"], "shardId-000000000000");
    assert_eq!(
        description["Shards"][0]["HashKeyRange"]["EndingHashKey"],
        "170141183460469231731687303715884105727"
    );
    assert!(description["Shards"][0]["SequenceNumberRange"].get("EndingSequenceNumber").is_none());
    assert!(description["StreamCreationTimestamp"].as_f64().is_some());
    let summary =
        script.ok("DescribeStreamSummary", json!({"StreamARN": ARN})).await["StreamDescriptionSummary"]
            .clone();
    assert_eq!(summary["OpenShardCount"], 2);
    assert_eq!(summary["ConsumerCount"], 0);
    assert_eq!(summary["MaxRecordSizeInKiB"], 1024);
    assert_eq!(summary["StreamModeDetails"]["StreamMode"], "PROVISIONED");
    assert!(summary.get("StreamId").is_none(), "clients that see a StreamId leave the endpoint");
    let list = script.ok("ListStreams", json!({"Limit": 1})).await;
    assert_eq!(list["StreamNames"], json!(["demand"]));
    assert_eq!(list["HasMoreStreams"], true);
    let list = script.ok("ListStreams", json!({"NextToken": list["NextToken"]})).await;
    assert_eq!(list["StreamNames"], json!(["s"]));
    assert_eq!(list["StreamSummaries"][0]["StreamARN"], ARN);
    assert_eq!(list["HasMoreStreams"], false);
    script.ok("IncreaseStreamRetentionPeriod", json!({"StreamName": "s", "RetentionPeriodHours": 48})).await;
    script.ok("DecreaseStreamRetentionPeriod", json!({"StreamName": "s", "RetentionPeriodHours": 24})).await;
    script.ok("UpdateMaxRecordSize", json!({"StreamARN": ARN, "MaxRecordSizeInKiB": 2048})).await;
    let metrics = script
        .ok(
            "EnableEnhancedMonitoring",
            json!({"StreamName": "s", "ShardLevelMetrics": ["IncomingBytes", "OutgoingBytes"]}),
        )
        .await;
    assert_eq!(metrics["CurrentShardLevelMetrics"], json!([]));
    assert_eq!(metrics["DesiredShardLevelMetrics"], json!(["IncomingBytes", "OutgoingBytes"]));
    let metrics = script
        .ok("DisableEnhancedMonitoring", json!({"StreamName": "s", "ShardLevelMetrics": ["IncomingBytes"]}))
        .await;
    assert_eq!(metrics["DesiredShardLevelMetrics"], json!(["OutgoingBytes"]));
    let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/demand";
    let automatic = json!({"StreamARN": arn, "RecordDistributionStrategy": "AUTO"});
    script.ok("UpdateStreamRecordDistributionStrategy", automatic).await;
    let summary = script.ok("DescribeStreamSummary", json!({"StreamName": "demand"})).await;
    assert_eq!(summary["StreamDescriptionSummary"]["RecordDistributionStrategy"], "AUTO");
    assert_eq!(summary["StreamDescriptionSummary"]["OpenShardCount"], 4);
    script.ok("PutRecord", json!({"StreamName": "demand", "Data": "aGk="})).await;
    let back = json!({"StreamARN": arn, "RecordDistributionStrategy": "USER_PARTITION_KEY"});
    script.ok("UpdateStreamRecordDistributionStrategy", back).await;
    script
        .ok("UpdateStreamMode", json!({"StreamARN": arn, "StreamModeDetails": {"StreamMode": "PROVISIONED"}}))
        .await;
    script
        .ok("UpdateStreamMode", json!({"StreamARN": arn, "StreamModeDetails": {"StreamMode": "ON_DEMAND"}}))
        .await;
}

async fn records(script: &mut Script<'_>, server: &Server) {
    let put = script.ok("PutRecord", json!({"StreamName": "s", "PartitionKey": "a", "Data": "AP8="})).await;
    // md5("a") = 0cc1…: the lower half.
    assert_eq!(put["ShardId"], "shardId-000000000000");
    let first = put["SequenceNumber"].as_str().expect("a number").to_owned();
    assert_eq!((first.len(), &first[..2]), (56, "49"));
    let records = json!([
        {"PartitionKey": "b", "ExplicitHashKey": "0", "Data": "Yg=="},
        {"PartitionKey": "c", "ExplicitHashKey": "340282366920938463463374607431768211455", "Data": ""},
        {"PartitionKey": "d", "ExplicitHashKey": "0", "Data": "ZA=="},
    ]);
    let put = script.ok("PutRecords", json!({"StreamARN": ARN, "Records": records})).await;
    assert_eq!(put["FailedRecordCount"], 0);
    let shards: Vec<_> =
        put["Records"].as_array().expect("a list").iter().map(|r| r["ShardId"].clone()).collect();
    assert_eq!(shards, ["shardId-000000000000", "shardId-000000000001", "shardId-000000000000"]);
    let iterator =
        |kind: &str| json!({"StreamName": "s", "ShardId": "shardId-000000000000", "ShardIteratorType": kind});
    let mut read = Vec::new();
    for (kind, more, expected) in [
        ("TRIM_HORIZON", Value::Null, 3),
        ("LATEST", Value::Null, 0),
        ("AT_SEQUENCE_NUMBER", json!({"StartingSequenceNumber": first}), 3),
        ("AFTER_SEQUENCE_NUMBER", json!({"StartingSequenceNumber": first}), 2),
        ("AT_TIMESTAMP", json!({"Timestamp": server.now().as_millis() as f64 / 1000.0 - 3600.0}), 3),
    ] {
        let mut request = iterator(kind);
        for (name, value) in more.as_object().into_iter().flatten() {
            request[name.as_str()] = value.clone();
        }
        let iterator = script.ok("GetShardIterator", request).await["ShardIterator"].clone();
        let answer = script.ok("GetRecords", json!({"ShardIterator": iterator})).await;
        assert_eq!(answer["Records"].as_array().map(Vec::len), Some(expected), "{kind}");
        assert_eq!(answer["MillisBehindLatest"], 0, "{kind}");
        assert!(answer["NextShardIterator"].is_string(), "{kind}");
        assert!(answer.get("ChildShards").is_none(), "{kind}");
        if kind == "TRIM_HORIZON" {
            read = answer["Records"].as_array().expect("a list").clone();
        }
    }
    assert_eq!(read[0]["Data"], "AP8=");
    assert_eq!(read[0]["PartitionKey"], "a");
    assert_eq!(read[0]["SequenceNumber"], first.as_str());
    assert!(read[0]["ApproximateArrivalTimestamp"].as_f64().is_some());
    assert_eq!(read[2]["Data"], "ZA==");
    let limited = script.ok("GetShardIterator", iterator("TRIM_HORIZON")).await["ShardIterator"].clone();
    let answer = script.ok("GetRecords", json!({"ShardIterator": limited, "Limit": 1})).await;
    assert_eq!(answer["Records"].as_array().map(Vec::len), Some(1));
}

async fn resharding(script: &mut Script<'_>) {
    let first = script.ok(
        "GetShardIterator",
        json!({"StreamName": "s", "ShardId": "0", "ShardIteratorType": "TRIM_HORIZON"}),
    );
    let iterator = first.await["ShardIterator"].clone();
    let split =
        json!({"StreamName": "s", "ShardToSplit": "shardId-000000000000", "NewStartingHashKey": "100"});
    script.ok("SplitShard", split).await;
    let answer = script.ok("GetRecords", json!({"ShardIterator": iterator})).await;
    assert_eq!(answer["Records"].as_array().map(Vec::len), Some(3));
    assert!(answer.get("NextShardIterator").is_none(), "the shard has ended: {answer}");
    assert_eq!(answer["ChildShards"][0]["ShardId"], "shardId-000000000002");
    assert_eq!(answer["ChildShards"][0]["ParentShards"], json!(["shardId-000000000000"]));
    assert_eq!(answer["ChildShards"][1]["HashKeyRange"]["StartingHashKey"], "100");
    let merge = json!({
        "StreamName": "s", "ShardToMerge": "shardId-000000000002", "AdjacentShardToMerge": "shardId-000000000003",
    });
    script.ok("MergeShards", merge).await;
    let page = script.ok("ListShards", json!({"StreamName": "s", "MaxResults": 3})).await;
    assert_eq!(page["Shards"].as_array().map(Vec::len), Some(3));
    let page = script.ok("ListShards", json!({"NextToken": page["NextToken"]})).await;
    assert_eq!(page["Shards"].as_array().map(Vec::len), Some(2));
    assert_eq!(page["Shards"][1]["ParentShardId"], "shardId-000000000002");
    assert_eq!(page["Shards"][1]["AdjacentParentShardId"], "shardId-000000000003");
    assert!(page.get("NextToken").is_none());
    let open =
        script.ok("ListShards", json!({"StreamName": "s", "ShardFilter": {"Type": "AT_LATEST"}})).await;
    let open: Vec<_> =
        open["Shards"].as_array().expect("a list").iter().map(|s| s["ShardId"].clone()).collect();
    assert_eq!(open, ["shardId-000000000001", "shardId-000000000004"]);
    let count = json!({"StreamName": "s", "TargetShardCount": 4, "ScalingType": "UNIFORM_SCALING"});
    let count = script.ok("UpdateShardCount", count).await;
    assert_eq!((&count["CurrentShardCount"], &count["TargetShardCount"]), (&json!(2), &json!(4)));
    let summary = script.ok("DescribeStreamSummary", json!({"StreamName": "s"})).await;
    assert_eq!(summary["StreamDescriptionSummary"]["OpenShardCount"], 4);
}

async fn attachments(script: &mut Script<'_>) {
    script.ok("AddTagsToStream", json!({"StreamName": "s", "Tags": {"b": "2", "c": "3"}})).await;
    script.ok("RemoveTagsFromStream", json!({"StreamName": "s", "TagKeys": ["c"]})).await;
    let tags = script.ok("ListTagsForStream", json!({"StreamName": "s", "Limit": 1})).await;
    assert_eq!(tags["Tags"], json!([{"Key": "a", "Value": "1"}]));
    assert_eq!(tags["HasMoreTags"], true);
    script.ok("TagResource", json!({"ResourceARN": ARN, "Tags": {"d": "4"}})).await;
    script.ok("UntagResource", json!({"ResourceARN": ARN, "TagKeys": ["a"]})).await;
    let tags = script.ok("ListTagsForResource", json!({"ResourceARN": ARN})).await;
    assert_eq!(tags["Tags"], json!([{"Key": "b", "Value": "2"}, {"Key": "d", "Value": "4"}]));
    let policy = r#"{"Version":"2012-10-17","Statement":[]}"#;
    script.ok("PutResourcePolicy", json!({"ResourceARN": ARN, "Policy": policy})).await;
    assert_eq!(script.ok("GetResourcePolicy", json!({"ResourceARN": ARN})).await["Policy"], policy);
    script.ok("DeleteResourcePolicy", json!({"ResourceARN": ARN})).await;
}

async fn consumers(script: &mut Script<'_>) {
    let consumer = script.ok("RegisterStreamConsumer", json!({"StreamARN": ARN, "ConsumerName": "c"})).await;
    let arn = consumer["Consumer"]["ConsumerARN"].as_str().expect("an ARN").to_owned();
    assert!(arn.starts_with(&format!("{ARN}/consumer/c:")), "{arn}");
    let description = script.ok("DescribeStreamConsumer", json!({"ConsumerARN": arn})).await;
    assert_eq!(description["ConsumerDescription"]["ConsumerStatus"], "ACTIVE");
    assert_eq!(description["ConsumerDescription"]["StreamARN"], ARN);
    let list = script.ok("ListStreamConsumers", json!({"StreamARN": ARN})).await;
    assert_eq!(list["Consumers"][0]["ConsumerName"], "c");
    assert!(list["Consumers"][0].get("StreamARN").is_none());
    let subscription = json!({
        "ConsumerARN": arn, "ShardId": "shardId-000000000000", "StartingPosition": {"Type": "TRIM_HORIZON"},
    });
    let events = crate::events::subscribe(&script.client, &subscription).await;
    let records: Vec<&Value> =
        events.iter().flat_map(|event| event["Records"].as_array().expect("a list")).collect();
    assert_eq!(records.len(), 3);
    assert_eq!(records[0]["Data"], "AP8=");
    let (last, earlier) = events.split_last().expect("the shard has ended: the last event says so");
    assert!(earlier.iter().all(|event| event["ContinuationSequenceNumber"].is_string()));
    assert!(last.get("ContinuationSequenceNumber").is_none());
    assert_eq!(last["ChildShards"].as_array().map(Vec::len), Some(2));
    script.proofs.success("SubscribeToShard", script.client.encoding);
    script.ok("DeregisterStreamConsumer", json!({"ConsumerARN": arn})).await;
}

async fn account(script: &mut Script<'_>) {
    let limits = script.ok("DescribeLimits", json!({})).await;
    assert_eq!(limits["ShardLimit"], 20000);
    assert_eq!(limits["OnDemandStreamCount"], 1);
    assert_eq!(limits["OpenShardCount"], 8);
    let settings = script.ok("DescribeAccountSettings", json!({})).await;
    assert_eq!(settings["MinimumThroughputBillingCommitment"]["Status"], "DISABLED");
    let enabled = json!({"MinimumThroughputBillingCommitment": {"Status": "ENABLED"}});
    let settings = script.ok("UpdateAccountSettings", enabled).await;
    assert_eq!(settings["MinimumThroughputBillingCommitment"]["Status"], "ENABLED");
    let warm = script
        .ok("UpdateStreamWarmThroughput", json!({"StreamName": "demand", "WarmThroughputMiBps": 10}))
        .await;
    assert_eq!(warm["WarmThroughput"]["TargetMiBps"], 10);
}
