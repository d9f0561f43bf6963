//! Reading frames: for our own clients and for tests.

use super::{FRAME_BYTES_MAX, KIND_TEXT, PRELUDE, TRAILER, crc32};

/// One frame, borrowed from the bytes it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The headers that hold text, in order. Others are passed over.
    pub headers: Vec<(&'a str, &'a str)>,
    /// The payload.
    pub payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(header, _)| *header == name).map(|(_, value)| *value)
    }
}

/// Why bytes are not a frame. The stream cannot be read on after any of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The lengths are not what they were when they were written.
    #[error("the frame's prelude does not match its checksum")]
    PreludeChecksum,
    /// The frame is not what it was when it was written.
    #[error("the frame does not match its checksum")]
    Checksum,
    /// No frame has these lengths.
    #[error("a frame cannot have these lengths")]
    Lengths,
    /// The headers do not fill their place, or are of an unknown kind.
    #[error("the frame's headers are malformed")]
    Headers,
}

/// Reads the frame at the start of `bytes`, and how long it is. `None`: the frame is not complete yet.
///
/// # Errors
/// When what is there cannot be a frame.
pub fn decode(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, FrameError> {
    let Some(prelude) = bytes.first_chunk::<PRELUDE>() else { return Ok(None) };
    let number = |at: usize| u32::from_be_bytes(prelude[at..at + 4].try_into().expect("four bytes"));
    if crc32(&prelude[..8]) != number(8) {
        return Err(FrameError::PreludeChecksum);
    }
    let (total, headers) = (number(0) as usize, number(4) as usize);
    if !(PRELUDE + TRAILER..=FRAME_BYTES_MAX).contains(&total) || headers > total - PRELUDE - TRAILER {
        return Err(FrameError::Lengths);
    }
    let Some(frame) = bytes.get(..total) else { return Ok(None) };
    let (content, crc) = frame.split_at(total - TRAILER);
    if crc32(content).to_be_bytes() != *crc {
        return Err(FrameError::Checksum);
    }
    let (headers, payload) = content[PRELUDE..].split_at(headers);
    Ok(Some((Frame { headers: texts(headers).ok_or(FrameError::Headers)?, payload }, total)))
}

fn texts(mut bytes: &[u8]) -> Option<Vec<(&str, &str)>> {
    let mut headers = Vec::new();
    while !bytes.is_empty() {
        let name_length = usize::from(take(&mut bytes, 1)?[0]);
        let name = std::str::from_utf8(take(&mut bytes, name_length)?).ok()?;
        let kind = take(&mut bytes, 1)?[0];
        // true, false, byte, short, integer, long, bytes, text, timestamp, uuid
        let length = match kind {
            0 | 1 => 0,
            2 => 1,
            3 => 2,
            4 => 4,
            5 | 8 => 8,
            9 => 16,
            6 | KIND_TEXT => {
                usize::from(u16::from_be_bytes(take(&mut bytes, 2)?.try_into().expect("two bytes")))
            }
            _ => return None,
        };
        let value = take(&mut bytes, length)?;
        if kind == KIND_TEXT {
            headers.push((name, std::str::from_utf8(value).ok()?));
        }
    }
    Some(headers)
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use thalweg_shape::{Failure, Value};

    use super::*;
    use crate::Protocol;
    use crate::event_stream::{OpenFrame, error, event, exception, initial_response};

    #[track_caller]
    fn check(bytes: &[u8], headers: &[(&str, &str)], payload: &[u8]) {
        let (frame, length) = decode(bytes).expect("well formed").expect("complete");
        assert_eq!(length, bytes.len());
        assert_eq!(frame, Frame { headers: headers.to_vec(), payload });
        for cut in 0..bytes.len() {
            assert_eq!(decode(&bytes[..cut]), Ok(None), "cut at {cut}");
        }
        for place in 0..bytes.len() {
            let mut damaged = bytes.to_vec();
            damaged[place] ^= 0x10;
            assert!(decode(&damaged).is_err(), "damaged at {place}");
        }
    }

    #[test]
    fn the_frames_of_aws_own_test_vectors_are_read() {
        // From the event stream specification's published vectors: empty message; payload, no headers.
        check(&[0, 0, 0, 0x10, 0, 0, 0, 0, 0x05, 0xc2, 0x48, 0xeb, 0x7d, 0x98, 0xc8, 0xff], &[], b"");
        let mut payload = vec![0, 0, 0, 0x1d, 0, 0, 0, 0, 0xfd, 0x52, 0x8c, 0x5a];
        payload.extend_from_slice(b"{'foo':'bar'}");
        payload.extend_from_slice(&[0xc3, 0x65, 0x39, 0x36]);
        check(&payload, &[], b"{'foo':'bar'}");
    }

    #[test]
    fn the_first_frame_is_the_initial_response() {
        let mut out = Vec::new();
        initial_response(&mut out, Protocol::AwsJson11);
        let headers = [
            (":message-type", "event"),
            (":event-type", "initial-response"),
            (":content-type", "application/x-amz-json-1.1"),
        ];
        check(&out, &headers, b"{}");
    }

    #[test]
    fn events_exceptions_and_errors_are_told_apart() {
        let mut out = Vec::new();
        let payload = Value::Map(vec![("MillisBehindLatest".into(), Value::Integer(0))]);
        event(&mut out, Protocol::AwsCbor11, "SubscribeToShardEvent", &payload);
        let headers = [
            (":message-type", "event"),
            (":event-type", "SubscribeToShardEvent"),
            (":content-type", "application/x-amz-cbor-1.1"),
        ];
        check(&out, &headers, b"\xbf\x72MillisBehindLatest\x00\xff");
        out.clear();
        let failure = Failure::client("ResourceInUseException", "Taken over.");
        exception(&mut out, Protocol::AwsJson11, &failure);
        let headers = [
            (":message-type", "exception"),
            (":exception-type", "ResourceInUseException"),
            (":content-type", "application/x-amz-json-1.1"),
        ];
        check(&out, &headers, br#"{"message":"Taken over."}"#);
        out.clear();
        error(&mut out, "InternalFailure", "Broken.");
        let headers =
            [(":message-type", "error"), (":error-code", "InternalFailure"), (":error-message", "Broken.")];
        check(&out, &headers, b"");
    }

    #[test]
    fn frames_follow_one_another_and_long_messages_are_cut() {
        let mut out = b"before".to_vec();
        initial_response(&mut out, Protocol::AwsJson11);
        let first = out.len();
        error(&mut out, "X", &"é".repeat(40_000));
        let (_, length) = decode(&out[6..]).expect("well formed").expect("complete");
        assert_eq!(length, first - 6);
        let (frame, _) = decode(&out[first..]).expect("well formed").expect("complete");
        let message = frame.header(":error-message").expect("written");
        assert!(message.len() < 0x8000 && message.len() > 0x7000);
    }

    proptest! {
        #[test]
        fn any_payload_comes_back(before: Vec<u8>, payload: Vec<u8>, event_type in "[a-zA-Z]{0,40}") {
            let mut out = before.clone();
            let frame = OpenFrame::event(&mut out, Protocol::AwsJson11, &event_type);
            out.extend_from_slice(&payload);
            frame.close(&mut out);
            let (frame, length) = decode(&out[before.len()..]).expect("well formed").expect("complete");
            prop_assert_eq!(length, out.len() - before.len());
            prop_assert_eq!(frame.header(":event-type"), Some(event_type.as_str()));
            prop_assert_eq!(frame.payload, payload);
        }

        #[test]
        fn any_bytes_are_safe(bytes: Vec<u8>) {
            let _ = decode(&bytes);
            // With a prelude that is right, so that the rest is looked at.
            let mut framed = vec![0; 8];
            framed[3] = u8::try_from(bytes.len() % 200).expect("below 200") + 16;
            framed[7] = u8::try_from(bytes.len() % 50).expect("below 50");
            framed.extend_from_slice(&crc32(&framed.clone()).to_be_bytes());
            framed.extend_from_slice(&bytes);
            let content = usize::from(framed[3]) - 4;
            if content <= framed.len() {
                framed.truncate(content);
                framed.extend_from_slice(&crc32(&framed.clone()).to_be_bytes());
            }
            let _ = decode(&framed);
        }
    }
}
