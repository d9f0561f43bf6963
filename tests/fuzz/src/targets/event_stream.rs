//! Frames of event streams: our reader against the SDK's. Raw, or (first byte odd) with lengths and checksums made
//! right around what the input has as headers and payload.

use aws_smithy_eventstream::frame::read_message_from;
use aws_smithy_types::event_stream::HeaderValue;
use crc_fast::{CrcAlgorithm, checksum};
use thalweg_shape::Failure;
use thalweg_wire::Protocol;
use thalweg_wire::event_stream::{decode, error, exception, initial_response};

use super::Target;
use crate::input::Input;

pub(crate) const TARGET: Target =
    Target { name: "event_stream", run, seeds, bytes_max: 2048, mutations: 4000 };

fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let is_made = input.byte() % 2 == 1;
    let frame = if is_made { made(input) } else { input.rest().to_vec() };
    let second = read_message_from(&frame[..]);
    match decode(&frame) {
        Ok(Some((ours, length))) => {
            assert!(length <= frame.len());
            let second = read_message_from(&frame[..length])
                .unwrap_or_else(|error| panic!("the SDK does not read {ours:?}: {error}"));
            assert_eq!(ours.payload, &second.payload()[..]);
            let texts = second.headers().iter().filter_map(|header| match header.value() {
                HeaderValue::String(text) => Some((header.name().as_str(), text.as_str())),
                _ => None,
            });
            assert!(texts.eq(ours.headers.iter().copied()), "{ours:?} is {second:?}");
        }
        Ok(None) => assert!(second.is_err(), "the SDK finds it complete: {second:?}"),
        Err(error) => assert!(second.is_err(), "{error}, and the SDK reads {second:?}"),
    }
}

/// A frame of the input's headers and payload.
fn made(mut input: Input<'_>) -> Vec<u8> {
    let headers = usize::from(input.byte());
    let headers = input.bytes(headers);
    let payload = input.rest();
    let total = 16 + headers.len() + payload.len();
    let mut frame = Vec::with_capacity(total);
    frame.extend_from_slice(&(total as u32).to_be_bytes());
    frame.extend_from_slice(&(headers.len() as u32).to_be_bytes());
    frame.extend_from_slice(&crc(&frame));
    frame.extend_from_slice(headers);
    frame.extend_from_slice(payload);
    frame.extend_from_slice(&crc(&frame));
    frame
}

fn crc(bytes: &[u8]) -> [u8; 4] {
    (checksum(CrcAlgorithm::Crc32IsoHdlc, bytes) as u32).to_be_bytes()
}

fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let frame = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut out = vec![0];
        write(&mut out);
        out
    };
    let failure = Failure::client("ResourceInUseException", "Taken over.");
    vec![
        ("initial", frame(&|out| initial_response(out, Protocol::AwsJson11))),
        ("exception", frame(&|out| exception(out, Protocol::AwsCbor11, &failure))),
        ("error", frame(&|out| error(out, "InternalFailure", "Broken."))),
        ("kinds", b"\x01\x2e\x01a\x00\x01b\x01\x01c\x02\x05\x01d\x03\x00\x01\x01e\x04\x00\x00\x00\x01\x01f\x06\x00\x01x\x01g\x07\x00\x02hi\x01h\x08\x00\x00\x01\x90\x70\xe0\xe0\x7b{}".to_vec()),
    ]
}
