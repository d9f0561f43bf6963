//! Frames, written in place: a payload is encoded where it stays.

use thalweg_shape::{Failure, Value};

use super::{KIND_TEXT, PRELUDE, crc32};
use crate::Protocol;

/// A frame whose payload is being appended.
///
/// Between opening and closing nothing else may be written to the buffer but the payload.
#[must_use = "a frame must be closed"]
#[derive(Debug)]
pub struct OpenFrame {
    start: usize,
    headers_end: usize,
}

impl OpenFrame {
    /// Opens a frame at the end of `out` with these headers.
    fn open(out: &mut Vec<u8>, headers: &[(&str, &str)]) -> Self {
        let start = out.len();
        out.extend_from_slice(&[0; PRELUDE]);
        for (name, value) in headers {
            out.push(u8::try_from(name.len()).expect("our names are short"));
            out.extend_from_slice(name.as_bytes());
            out.push(KIND_TEXT);
            out.extend_from_slice(
                &u16::try_from(value.len()).expect("callers keep values short").to_be_bytes(),
            );
            out.extend_from_slice(value.as_bytes());
        }
        OpenFrame { start, headers_end: out.len() }
    }

    /// Opens an event; the caller appends its payload in `protocol`, then closes it.
    pub fn event(out: &mut Vec<u8>, protocol: Protocol, event_type: &str) -> Self {
        let headers = [
            (":message-type", "event"),
            (":event-type", event_type),
            (":content-type", protocol.content_type()),
        ];
        Self::open(out, &headers)
    }

    /// Writes lengths and checksums.
    ///
    /// # Panics
    /// When the buffer was shortened since, or the frame has 4 GiB.
    pub fn close(self, out: &mut Vec<u8>) {
        assert!(self.headers_end <= out.len(), "only the payload is appended to an open frame");
        let total = out.len() - self.start + super::TRAILER;
        let headers = self.headers_end - self.start - PRELUDE;
        let frame = &mut out[self.start..];
        frame[0..4].copy_from_slice(&u32::try_from(total).expect("frames are small").to_be_bytes());
        frame[4..8].copy_from_slice(&u32::try_from(headers).expect("headers are short").to_be_bytes());
        let prelude_crc = crc32(&frame[..8]);
        frame[8..12].copy_from_slice(&prelude_crc.to_be_bytes());
        let crc = crc32(frame);
        out.extend_from_slice(&crc.to_be_bytes());
    }
}

/// Appends an event with this payload.
pub fn event(out: &mut Vec<u8>, protocol: Protocol, event_type: &str, payload: &Value) {
    let frame = OpenFrame::event(out, protocol, event_type);
    protocol.encode(payload, out);
    frame.close(out);
}

/// Appends the first frame of a stream, which clients of the JSON protocols wait for.
pub fn initial_response(out: &mut Vec<u8>, protocol: Protocol) {
    event(out, protocol, "initial-response", &Value::Map(vec![]));
}

/// Appends a modelled error; it ends the stream.
pub fn exception(out: &mut Vec<u8>, protocol: Protocol, failure: &Failure) {
    let headers = [
        (":message-type", "exception"),
        (":exception-type", failure.code),
        (":content-type", protocol.content_type()),
    ];
    let frame = OpenFrame::open(out, &headers);
    protocol.encode(&Value::Map(vec![("message".to_owned(), Value::Text(failure.message.clone()))]), out);
    frame.close(out);
}

/// Appends an error that the model does not list; it ends the stream. Messages beyond what a header holds are cut.
pub fn error(out: &mut Vec<u8>, code: &str, message: &str) {
    let mut end = message.len().min(usize::from(i16::MAX as u16));
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    let headers = [(":message-type", "error"), (":error-code", code), (":error-message", &message[..end])];
    OpenFrame::open(out, &headers).close(out);
}
