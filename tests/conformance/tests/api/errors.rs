//! The table of errors: every case, its type, status and wording.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use thalweg_conformance::{Case, Client, Encoding, Message, Proofs, Server, ServerOptions};

use crate::semantics::Fixtures;
use crate::{constraints, semantics};

/// Cases that the issue asks for, each a rule or an operation of its own.
const CASES_MIN: usize = 150;

pub(crate) async fn run(proofs: &mut Proofs, encoding: Encoding) {
    let server = Server::start(ServerOptions::default()).await;
    let client = server.client(encoding);
    let fixtures = prepare(&server, &client).await;
    let groups = [
        constraints::types(),
        constraints::required(),
        constraints::bounds(),
        semantics::not_found(&fixtures),
        semantics::naming(&fixtures),
        semantics::creation(),
        semantics::resharding(&fixtures),
        semantics::retention(),
        semantics::iterators(&fixtures),
        semantics::puts(),
        semantics::listing(&fixtures),
        semantics::attachments(&fixtures),
        semantics::not_available(),
    ];
    let mut distinct = BTreeSet::new();
    let mut wrong = Vec::new();
    for case in groups.iter().flatten() {
        distinct.insert((case.operation, case.rule));
        if case.json_only && encoding != Encoding::AwsJson11 {
            continue;
        }
        match check(&client, case).await {
            Ok(()) => proofs.error(case.operation, case.error, encoding),
            Err(what) => wrong.push(what),
        }
    }
    assert!(wrong.is_empty(), "{} cases in {encoding:?} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(distinct.len() >= CASES_MIN, "{} distinct cases", distinct.len());
    server.stop().await;
}

async fn check(client: &Client, case: &Case) -> Result<(), String> {
    let answer = client.call(case.operation, &case.request).await;
    let good = answer.status == 400
        && answer.error() == case.error
        && answer.headers.contains_key("x-amzn-requestid")
        && match &case.message {
            Message::Exactly(text) => answer.message() == text,
            Message::Contains(part) => answer.message().contains(part),
            Message::Some => !answer.message().is_empty(),
        };
    if good {
        return Ok(());
    }
    let mut request = case.request.to_string();
    request.truncate(200);
    let mut expected = format!("{:?}", case.message);
    expected.truncate(400);
    let mut body = answer.body.to_string();
    body.truncate(400);
    Err(format!(
        "- {} ({}) {request}\n    expected 400 {} {expected}\n    got      {} {body}",
        case.operation, case.rule, case.error, answer.status
    ))
}

/// Makes what the cases refer to.
async fn prepare(server: &Server, client: &Client) -> Fixtures {
    let arn_prefix = "arn:aws:kinesis:us-east-1:000000000000:stream/".to_owned();
    let resharded = json!({"StreamName": "resharded", "ShardCount": 1});
    client.call("CreateStream", &resharded).await.ok();
    let put = json!({"StreamName": "resharded", "PartitionKey": "k", "Data": ""});
    let foreign =
        client.call("PutRecord", &put).await.ok()["SequenceNumber"].as_str().expect("a number").to_owned();
    let split = json!({"StreamName": "resharded", "ShardToSplit": "0", "NewStartingHashKey": "1000"});
    client.call("SplitShard", &split).await.ok();
    // What follows is younger: numbers tell streams apart by the second in which their shards were made.
    server.advance(Duration::from_secs(60));
    for request in [
        json!({"StreamName": "ready", "ShardCount": 2}),
        json!({"StreamName": "long", "ShardCount": 1}),
        json!({"StreamName": "wide", "ShardCount": 4}),
        json!({"StreamName": "gone", "ShardCount": 1}),
        json!({"StreamName": "demand", "StreamModeDetails": {"StreamMode": "ON_DEMAND"}}),
        json!({
            "StreamName": "auto-distributed", "StreamModeDetails": {"StreamMode": "ON_DEMAND"},
            "RecordDistributionStrategy": "AUTO",
        }),
    ] {
        client.call("CreateStream", &request).await.ok();
    }
    let longer = json!({"StreamName": "long", "RetentionPeriodHours": 48});
    client.call("IncreaseStreamRetentionPeriod", &longer).await.ok();
    let put = json!({"StreamName": "ready", "PartitionKey": "k", "Data": "", "ExplicitHashKey": "0"});
    let own =
        client.call("PutRecord", &put).await.ok()["SequenceNumber"].as_str().expect("a number").to_owned();
    let iterator = async |stream: &str| {
        let request =
            json!({"StreamName": stream, "ShardId": "shardId-0", "ShardIteratorType": "TRIM_HORIZON"});
        let answer = client.call("GetShardIterator", &request).await.ok();
        answer["ShardIterator"].as_str().expect("an iterator").to_owned()
    };
    let orphaned_iterator = iterator("gone").await;
    client.call("DeleteStream", &json!({"StreamName": "gone"})).await.ok();
    client.call("CreateStream", &json!({"StreamName": "gone", "ShardCount": 1})).await.ok();
    let consumer = json!({"StreamARN": format!("{arn_prefix}ready"), "ConsumerName": "reader"});
    let consumer = client.call("RegisterStreamConsumer", &consumer).await.ok();
    let page = client.call("ListShards", &json!({"StreamName": "ready", "MaxResults": 1})).await.ok();
    Fixtures {
        arn_prefix,
        consumer_arn: consumer["Consumer"]["ConsumerARN"].as_str().expect("an ARN").to_owned(),
        sequence_number: own,
        foreign_sequence_number: foreign,
        iterator: iterator("ready").await,
        orphaned_iterator,
        list_shards_token: page["NextToken"].as_str().expect("a token").to_owned(),
    }
}
