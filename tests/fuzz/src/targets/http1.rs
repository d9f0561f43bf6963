//! The gateway over a connection in memory that speaks HTTP/1.1, with a whole service behind it. The first byte says in
//! pieces of what size the rest arrives; 0: at once.

use super::Target;
use crate::gateway::exchange;
use crate::input::Input;

pub(crate) const TARGET: Target = Target { name: "http1", run, seeds, bytes_max: 4096, mutations: 800 };

fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let piece = input.byte();
    let answer = exchange(usize::from(piece), input.rest());
    assert!(
        answer.is_empty() || answer.starts_with(b"HTTP/1.") || answer.starts_with(b"\0\0"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
}

fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let post = |piece: u8, target: &str, content_type: &str, more: &str, body: &str| {
        let length = body.len();
        let head = format!(
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\nX-Amz-Target: Kinesis_20131202.{target}\r\n{more}Content-Length: {length}\r\n\r\n{body}"
        );
        [&[piece], head.as_bytes()].concat()
    };
    let json = "application/x-amz-json-1.1";
    let signed = "Authorization: AWS4-HMAC-SHA256 Credential=a/20231114/us-east-1/kinesis/aws4_request, SignedHeaders=host, Signature=00\r\nX-Amz-Date: 20231114T221320Z\r\n";
    let put = post(0, "PutRecord", json, signed, r#"{"StreamName":"s","Data":"aGk=","PartitionKey":"k"}"#);
    vec![
        ("pipelined", [&put[..], &post(0, "ListShards", json, "Connection: close\r\n", r#"{"StreamName":"s"}"#)[1..]].concat()),
        ("pieces", post(7, "DescribeStreamSummary", json, "Expect: 100-continue\r\n", r#"{"StreamName":"s"}"#)),
        ("chunked", b"\x03POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-amz-cbor-1.1\r\nx-amz-target: Kinesis_20131202.ListStreams\r\ntransfer-encoding: chunked\r\n\r\n2\r\n\xbf\xff\r\n0\r\n\r\n".to_vec()),
        ("old-json", post(0, "ListStreams", "application/json", "", "{}")),
        ("subscribe", post(0, "SubscribeToShard", json, "", r#"{"ConsumerARN":"arn:aws:kinesis:us-east-1:000000000000:stream/s/consumer/c:1700000000","ShardId":"shardId-000000000000","StartingPosition":{"Type":"LATEST"}}"#)),
        ("probes", b"\0GET /healthz HTTP/1.1\r\nhost: x\r\n\r\nHEAD /readyz HTTP/1.0\r\nhost: x\r\n\r\n".to_vec()),
        ("preflight", b"\0OPTIONS / HTTP/1.1\r\nhost: x\r\norigin: http://y\r\naccess-control-request-headers: a\r\n\r\n".to_vec()),
        ("presigned", b"\0POST /?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ncontent-type: application/x-amz-json-1.1\r\nx-amz-target: Kinesis_20131202.ListStreams\r\n\r\n{}".to_vec()),
    ]
}
