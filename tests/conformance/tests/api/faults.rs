//! What storage that fails looks like from outside.

use std::sync::atomic::Ordering;

use serde_json::json;
use thalweg_conformance::{Encoding, Proofs, Server, ServerOptions};

const ARN: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/s";

pub(crate) async fn run(proofs: &mut Proofs, encoding: Encoding) {
    let server = Server::start(ServerOptions::default()).await;
    let client = server.client(encoding);
    client.call("CreateStream", &json!({"StreamName": "s", "ShardCount": 1})).await.ok();
    let put = json!({"StreamName": "s", "PartitionKey": "k", "Data": ""});
    let puts = json!({"StreamName": "s", "Records": [{"PartitionKey": "k", "Data": ""}]});
    let iterator =
        json!({"StreamName": "s", "ShardId": "0", "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": 1});
    let read = client.call("GetShardIterator", &iterator).await.ok();
    let read = json!({"ShardIterator": read["ShardIterator"]});
    let faults = server.faults();
    let (throttled, failure) = ("ProvisionedThroughputExceededException", "InternalFailureException");

    faults.appends_throttled.store(true, Ordering::SeqCst);
    for (operation, request) in [("PutRecord", &put), ("PutRecords", &puts)] {
        let answer = client.call(operation, request).await;
        assert_eq!((answer.status, answer.error()), (400, throttled), "{operation}: SDKs retry this");
        proofs.error(operation, throttled, encoding);
    }
    faults.appends_throttled.store(false, Ordering::SeqCst);

    faults.appends_unknown.store(true, Ordering::SeqCst);
    for (operation, request) in [("PutRecord", &put), ("PutRecords", &puts)] {
        let answer = client.call(operation, request).await;
        assert_eq!((answer.status, answer.error()), (500, failure), "{operation}");
        proofs.error(operation, failure, encoding);
    }
    faults.appends_unknown.store(false, Ordering::SeqCst);

    client.call("PutResourcePolicy", &json!({"ResourceARN": ARN, "Policy": "{}"})).await.ok();
    faults.reads.store(true, Ordering::SeqCst);
    let policy = json!({"ResourceARN": ARN});
    for (operation, request) in
        [("GetRecords", &read), ("GetShardIterator", &iterator), ("GetResourcePolicy", &policy)]
    {
        let answer = client.call(operation, request).await;
        assert_eq!((answer.status, answer.error()), (500, failure), "{operation}");
        proofs.error(operation, failure, encoding);
    }
    faults.reads.store(false, Ordering::SeqCst);

    faults.commits.store(true, Ordering::SeqCst);
    for (operation, request) in [
        ("TagResource", json!({"ResourceARN": ARN, "Tags": {"a": "b"}})),
        ("UntagResource", json!({"ResourceARN": ARN, "TagKeys": ["a"]})),
        ("PutResourcePolicy", json!({"ResourceARN": ARN, "Policy": "{}"})),
        ("DeleteResourcePolicy", json!({"ResourceARN": ARN})),
    ] {
        let answer = client.call(operation, &request).await;
        assert_eq!((answer.status, answer.error()), (500, failure), "{operation}");
        proofs.error(operation, failure, encoding);
    }
    faults.commits.store(false, Ordering::SeqCst);
    client.call("PutRecord", &put).await.ok();
    server.stop().await;
}
