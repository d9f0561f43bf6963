//! Reading an event stream to its end.

use http_body_util::BodyExt;
use serde_json::Value;
use thalweg_conformance::Client;
use thalweg_conformance::client::to_json;
use thalweg_wire::event_stream;

/// Subscribes and reads events until the stream ends.
pub(crate) async fn subscribe(client: &Client, request: &Value) -> Vec<Value> {
    let response = client.send("SubscribeToShard", request).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/vnd.amazon.eventstream");
    let bytes = response.into_body().collect().await.expect("the stream ends cleanly").to_bytes();
    let mut rest = &bytes[..];
    let mut kinds = Vec::new();
    let mut events = Vec::new();
    while !rest.is_empty() {
        let (frame, length) =
            event_stream::decode(rest).expect("frames are whole").expect("frames are complete");
        kinds.push(frame.header(":event-type").expect("events have a type").to_owned());
        if frame.header(":event-type") == Some("SubscribeToShardEvent") {
            assert_eq!(frame.header(":content-type"), Some(client.encoding.content_type()));
            events.push(to_json(
                &client.encoding.decode(frame.payload).expect("events are in the request's encoding"),
            ));
        }
        rest = &rest[length..];
    }
    assert_eq!(kinds.first().map(String::as_str), Some("initial-response"));
    events
}
