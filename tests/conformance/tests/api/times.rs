//! What time takes away: iterators and tokens expire.

use std::time::Duration;

use serde_json::json;
use thalweg_conformance::{Encoding, Proofs, Server, ServerOptions};

pub(crate) async fn run(proofs: &mut Proofs, encoding: Encoding) {
    let server = Server::start(ServerOptions::default()).await;
    let client = server.client(encoding);
    for name in ["s", "t"] {
        client.call("CreateStream", &json!({"StreamName": name, "ShardCount": 2})).await.ok();
    }
    let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/s";
    for name in ["a", "b"] {
        client.call("RegisterStreamConsumer", &json!({"StreamARN": arn, "ConsumerName": name})).await.ok();
    }
    let iterator = json!({"StreamName": "s", "ShardId": "0", "ShardIteratorType": "LATEST"});
    let iterator = client.call("GetShardIterator", &iterator).await.ok()["ShardIterator"].clone();
    let shards = client.call("ListShards", &json!({"StreamName": "s", "MaxResults": 1})).await.ok();
    let streams = client.call("ListStreams", &json!({"Limit": 1})).await.ok();
    let consumers =
        client.call("ListStreamConsumers", &json!({"StreamARN": arn, "MaxResults": 1})).await.ok();
    server.advance(Duration::from_secs(299));
    client.call("GetRecords", &json!({"ShardIterator": iterator})).await.ok();
    client.call("ListShards", &json!({"NextToken": shards["NextToken"]})).await.ok();
    server.advance(Duration::from_secs(2));
    let answer = client.call("GetRecords", &json!({"ShardIterator": iterator})).await;
    assert_eq!(answer.error(), "ExpiredIteratorException");
    assert!(
        answer.message().starts_with("Iterator expired. The iterator was created at time "),
        "{}",
        answer.message()
    );
    assert!(
        answer
            .message()
            .ends_with(" which is further in the future than the tolerated delay of 300000 milliseconds."),
        "{}",
        answer.message()
    );
    proofs.error("GetRecords", "ExpiredIteratorException", encoding);
    for (operation, request) in [
        ("ListShards", json!({"NextToken": shards["NextToken"]})),
        ("ListStreams", json!({"NextToken": streams["NextToken"]})),
        ("ListStreamConsumers", json!({"StreamARN": arn, "NextToken": consumers["NextToken"]})),
    ] {
        let answer = client.call(operation, &request).await;
        assert_eq!((answer.status, answer.error()), (400, "ExpiredNextTokenException"), "{operation}");
        proofs.error(operation, "ExpiredNextTokenException", encoding);
    }
    server.stop().await;
}
