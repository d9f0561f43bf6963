//! Requests, prepared for both versions of HTTP, and what their answers must be like.

use std::time::Duration;

use bytes::Bytes;

use crate::bodies::Encoding;

/// What an answer with status 200 must be like; anything else ends the benchmark.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expect {
    /// Anything.
    Any,
    /// PutRecords, and every record was taken.
    AllTaken,
    /// As long as when it was prepared, give or take the digits of times and the like.
    Length(usize),
}

/// An answer's length may differ from the prepared one's by this much: digits of MillisBehindLatest.
const LENGTH_SLACK: usize = 64;

impl Expect {
    /// # Panics
    /// When the answer is not like that.
    pub(crate) fn check(self, body: &[u8]) {
        let right = match self {
            Expect::Any => true,
            Expect::AllTaken => all_taken(body),
            Expect::Length(length) => body.len().abs_diff(length) <= LENGTH_SLACK,
        };
        assert!(right, "{self:?}, but {} bytes came: {}", body.len(), start(body));
    }
}

/// FailedRecordCount is 0, in JSON (with or without a space) or CBOR.
fn all_taken(body: &[u8]) -> bool {
    const NAME: &[u8] = b"FailedRecordCount";
    let Some(at) = memchr::memmem::find(body, NAME) else { return false };
    let rest = &body[at + NAME.len()..];
    match rest {
        [0, ..] => true,
        [b'"', b':', rest @ ..] => {
            let digits = rest.trim_ascii_start();
            digits.first() == Some(&b'0') && !digits.get(1).is_some_and(u8::is_ascii_digit)
        }
        _ => false,
    }
}

/// The beginning of a body, for people.
pub(crate) fn start(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(400)]).into_owned()
}

/// A prepared request. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// As HTTP/1.1, head and body.
    whole: Bytes,
    head_bytes: usize,
    /// The head for HTTP/2.
    pub(crate) head: http::Request<()>,
    /// Records that it writes or reads.
    pub(crate) records: u64,
    /// Bytes of data in these.
    pub(crate) payload_bytes: u64,
    pub(crate) expect: Expect,
}

impl Request {
    /// A POST of `body` with these headers; `host` and `content-length` come by themselves.
    pub(crate) fn post(path: &str, headers: &[(&str, &str)], body: &[u8]) -> Request {
        let mut whole = format!("POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-length: {}\r\n", body.len());
        let mut head = http::Request::post(format!("http://bench{path}"));
        for (name, value) in headers {
            whole += &format!("{name}: {value}\r\n");
            head = head.header(*name, *value);
        }
        whole += "\r\n";
        let head_bytes = whole.len();
        let mut whole = whole.into_bytes();
        whole.extend_from_slice(body);
        Request {
            whole: whole.into(),
            head_bytes,
            head: head.header("content-length", body.len()).body(()).expect("headers are ASCII"),
            records: 0,
            payload_bytes: 0,
            expect: Expect::Any,
        }
    }

    /// A call of the Kinesis API, unsigned.
    pub(crate) fn kinesis(operation: &str, encoding: Encoding, body: &[u8]) -> Request {
        let target = format!("Kinesis_20131202.{operation}");
        let headers = [("content-type", encoding.content_type()), ("x-amz-target", target.as_str())];
        Request::post("/", &headers, body)
    }

    /// The same body for a floor, which shall answer with this many bytes.
    pub(crate) fn for_floor(&self, encoding: Encoding, answer_bytes: usize) -> Request {
        let (answer, durable) = (answer_bytes.to_string(), self.payload_bytes.to_string());
        let headers = [
            ("content-type", encoding.content_type()),
            ("x-floor", answer.as_str()),
            ("x-floor-durable", durable.as_str()),
        ];
        let request = Request::post("/", &headers, &self.body());
        request.moving(self.records, self.payload_bytes, Expect::Length(answer_bytes))
    }

    /// Says what it moves and what its answer must be like.
    pub(crate) fn moving(mut self, records: u64, payload_bytes: u64, expect: Expect) -> Request {
        self.records = records;
        self.payload_bytes = payload_bytes;
        self.expect = expect;
        self
    }

    /// The same with these bytes from `at` on in the body.
    pub(crate) fn stamped(&self, at: usize, stamp: &[u8]) -> Request {
        let mut whole = self.whole.to_vec();
        let at = self.head_bytes + at;
        whole[at..at + stamp.len()].copy_from_slice(stamp);
        Request { whole: whole.into(), ..self.clone() }
    }

    /// For a floor, which shall answer with a stream of pieces, one `every` so often or as fast as they are taken.
    pub(crate) fn floor_stream(piece_bytes: u64, pieces: u64, every: Option<Duration>) -> Request {
        let (piece, pieces) = (piece_bytes.to_string(), pieces.to_string());
        let every = every.map(|every| every.as_micros().to_string());
        let mut headers = vec![("x-floor", piece.as_str()), ("x-floor-pieces", pieces.as_str())];
        headers.extend(every.as_deref().map(|every| ("x-floor-every", every)));
        Request::post("/", &headers, &[])
    }

    /// All of it as HTTP/1.1.
    pub(crate) fn whole(&self) -> &Bytes {
        &self.whole
    }

    /// Its body.
    pub(crate) fn body(&self) -> Bytes {
        self.whole.slice(self.head_bytes..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_put_counts_only_when_no_record_failed() {
        #[track_caller]
        fn check(body: &[u8], taken: bool) {
            assert_eq!(all_taken(body), taken);
        }
        check(br#"{"FailedRecordCount":0,"Records":[]}"#, true);
        check(br#"{"FailedRecordCount": 0}"#, true);
        check(br#"{"Records":[],"FailedRecordCount":0}"#, true);
        check(br#"{"FailedRecordCount":1}"#, false);
        check(br#"{"FailedRecordCount":01}"#, false);
        check(b"\xa1\x71FailedRecordCount\x00", true);
        check(b"\xa1\x71FailedRecordCount\x05", false);
        check(b"{}", false);
    }

    #[test]
    fn both_versions_send_the_same_body() {
        let request = Request::kinesis("ListStreams", Encoding::Json, b"{}");
        let text = String::from_utf8(request.whole().to_vec()).expect("ASCII");
        assert!(text.starts_with("POST / HTTP/1.1\r\n") && text.ends_with("\r\n\r\n{}"), "{text}");
        assert!(text.contains("content-length: 2\r\n"), "{text}");
        assert_eq!(request.body(), "{}");
        assert_eq!(request.head.headers()["x-amz-target"], "Kinesis_20131202.ListStreams");
    }
}
