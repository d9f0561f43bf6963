//! Requests of the Kinesis API as peers want them, prepared, and what a good answer is like.

use serde_json::Value;

use super::http::Connection;
use crate::bodies::{self, Encoding};

/// Data of each record.
pub(crate) const RECORD_BYTES: usize = 1024;
/// Bodies that connections send in turn, so that no two calls in a row are the same.
const BODIES: usize = 4;

/// A prepared request, what it moves, and what its answer must be like.
pub(crate) struct Call {
    pub(crate) request: Vec<u8>,
    pub(crate) records: u64,
    pub(crate) good: Good,
}

/// What an answer with status 200 must be like.
#[derive(Clone, Copy)]
pub(crate) enum Good {
    /// PutRecord, and the record has its place.
    Put,
    /// PutRecords, and this many records have theirs.
    AllPut(usize),
    /// As long as the answer that was looked into, give or take [`LENGTH_SLACK`].
    Length(usize),
}

/// Answers to the same GetRecords differ in the length of iterators and times.
const LENGTH_SLACK: usize = 256;

/// A whole HTTP/1.1 request. Some peers look for a signature's parts, none checks it: everyone gets the same.
fn request(operation: &str, body: &[u8]) -> Vec<u8> {
    let mut out = format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-amz-json-1.1\r\n\
         x-amz-target: Kinesis_20131202.{operation}\r\nx-amz-date: 20260101T000000Z\r\n\
         authorization: AWS4-HMAC-SHA256 Credential=benchmark/20260101/us-east-1/kinesis/aws4_request, \
         SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature={:064}\r\n\
         content-length: {}\r\n\r\n",
        0,
        body.len()
    )
    .into_bytes();
    out.extend_from_slice(body);
    out
}

/// One call outside of any measurement.
///
/// # Errors
/// Its answer is not a success.
pub(crate) async fn ask(connection: &mut Connection, operation: &str, body: &Value) -> Result<Value, String> {
    let answer = connection.call(&request(operation, body.to_string().as_bytes())).await?;
    if answer.status != 200 {
        return Err(format!("{operation}: status {}: {}", answer.status, start(answer.body)));
    }
    if answer.body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(answer.body).map_err(|error| format!("{operation}: {error}"))
}

/// Calls that put `count` records each.
pub(crate) fn puts(stream: &str, count: usize) -> Vec<Call> {
    (0..BODIES as u64)
        .map(|seed| {
            let body = bodies::put_records(Encoding::Json, stream, seed, count, RECORD_BYTES);
            let (operation, body, good) = match count {
                1 => ("PutRecord", single(&body), Good::Put),
                _ => ("PutRecords", body, Good::AllPut(count)),
            };
            Call { request: request(operation, &body), records: count as u64, good }
        })
        .collect()
}

/// PutRecord's body for PutRecords' body of one record.
fn single(body: &[u8]) -> Vec<u8> {
    let mut body: Value = serde_json::from_slice(body).expect("it was prepared as JSON");
    let mut record = body["Records"][0].take();
    record["StreamName"] = body["StreamName"].take();
    record.to_string().into_bytes()
}

/// The call that reads `count` records with one iterator again and again. Makes the call once and looks into the
/// answer.
///
/// # Errors
/// The answer has other records.
pub(crate) async fn get(connection: &mut Connection, iterator: &Value, count: usize) -> Result<Call, String> {
    let body = serde_json::json!({"ShardIterator": iterator, "Limit": count}).to_string();
    let request = request("GetRecords", body.as_bytes());
    let answer = connection.call(&request).await?;
    let value: Value = serde_json::from_slice(answer.body).map_err(|error| format!("GetRecords: {error}"))?;
    let records = value["Records"].as_array().map(Vec::as_slice).unwrap_or_default();
    let base64_bytes = RECORD_BYTES.div_ceil(3) * 4;
    let whole = |record: &Value| record["Data"].as_str().is_some_and(|data| data.len() == base64_bytes);
    if records.len() != count || !records.iter().all(whole) {
        return Err(format!("GetRecords: {} of {count} records: {}", records.len(), start(answer.body)));
    }
    let good = Good::Length(answer.body.len());
    Ok(Call { request, records: count as u64, good })
}

impl Good {
    /// # Errors
    /// The answer is not like that.
    pub(crate) fn check(self, body: &[u8]) -> Result<(), String> {
        let good = match self {
            Good::Put => places(body) == 1,
            Good::AllPut(count) => none_failed(body) && places(body) == count,
            Good::Length(length) => body.len().abs_diff(length) <= LENGTH_SLACK,
        };
        if good { Ok(()) } else { Err(format!("a bad answer: {}", start(body))) }
    }
}

/// How many records an answer gives sequence numbers to.
fn places(body: &[u8]) -> usize {
    memchr::memmem::find_iter(body, b"\"SequenceNumber\"").count()
}

/// FailedRecordCount is there and 0.
fn none_failed(body: &[u8]) -> bool {
    const NAME: &[u8] = b"\"FailedRecordCount\"";
    let Some(at) = memchr::memmem::find(body, NAME) else { return false };
    let Some(rest) = body[at + NAME.len()..].trim_ascii_start().strip_prefix(b":") else { return false };
    let rest = rest.trim_ascii_start();
    rest.first() == Some(&b'0') && !rest.get(1).is_some_and(u8::is_ascii_digit)
}

/// The beginning of a body, for people.
pub(crate) fn start(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_put_with_a_failed_record_is_not_done() {
        #[track_caller]
        fn check(good: Good, body: &str, wanted: bool) {
            assert_eq!(good.check(body.as_bytes()).is_ok(), wanted, "{body}");
        }
        let two = r#""Records":[{"SequenceNumber":"1"},{"SequenceNumber":"2"}]"#;
        check(Good::AllPut(2), &format!(r#"{{"FailedRecordCount":0,{two}}}"#), true);
        check(Good::AllPut(2), &format!(r#"{{{two}, "FailedRecordCount" : 0 }}"#), true);
        check(Good::AllPut(2), &format!(r#"{{"FailedRecordCount":1,{two}}}"#), false);
        check(Good::AllPut(2), &format!("{{{two}}}"), false);
        check(Good::AllPut(3), &format!(r#"{{"FailedRecordCount":0,{two}}}"#), false);
        check(Good::Put, r#"{"ShardId":"s","SequenceNumber":"1"}"#, true);
        check(Good::Put, "{}", false);
        check(Good::Length(10), &"x".repeat(10 + LENGTH_SLACK), true);
        check(Good::Length(10), &"x".repeat(11 + LENGTH_SLACK), false);
    }

    #[test]
    fn a_single_put_has_the_members_of_put_record() {
        let call = puts("s", 1).remove(0);
        let text = String::from_utf8(call.request).expect("ASCII");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.contains("Kinesis_20131202.PutRecord\r\n"), "{head}");
        assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
        let body: Value = serde_json::from_str(body).expect("JSON");
        let names: Vec<_> = body.as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(names, ["Data", "PartitionKey", "StreamName"]);
    }
}
