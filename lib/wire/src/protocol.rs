//! The protocols that carry the same values: what differs is the encoding alone.

use thalweg_shape::{Failure, Value};

use crate::{aws_cbor, aws_json};

/// How a request's body is encoded; its answer, errors and event-stream payloads included, is encoded alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// `application/x-amz-json-1.1`
    AwsJson11,
    /// `application/x-amz-cbor-1.1`
    AwsCbor11,
}

/// A body that is not of its protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(pub String);

impl Protocol {
    /// By a Content-Type header, parameters (`; charset=…`) ignored; letter case does not matter.
    pub fn of_content_type(header: &str) -> Option<Self> {
        let media_type = header.split(';').next().unwrap_or_default().trim();
        [Protocol::AwsJson11, Protocol::AwsCbor11]
            .into_iter()
            .find(|protocol| media_type.eq_ignore_ascii_case(protocol.content_type()))
    }

    /// The Content-Type of bodies.
    pub const fn content_type(self) -> &'static str {
        match self {
            Protocol::AwsJson11 => "application/x-amz-json-1.1",
            Protocol::AwsCbor11 => "application/x-amz-cbor-1.1",
        }
    }

    /// Reads a body.
    ///
    /// # Errors
    /// When it is not of this protocol, nested too deep, or followed by something else.
    pub fn decode(self, body: &[u8]) -> Result<Value, DecodeError> {
        match self {
            Protocol::AwsJson11 => aws_json::decode(body),
            Protocol::AwsCbor11 => aws_cbor::decode(body),
        }
    }

    /// Appends a body to `out`.
    pub fn encode(self, value: &Value, out: &mut Vec<u8>) {
        match self {
            Protocol::AwsJson11 => aws_json::encode(value, out),
            Protocol::AwsCbor11 => aws_cbor::encode(value, out),
        }
    }

    /// The body of an error: `__type` and `message` (`Message` for SerializationException, as on AWS).
    pub fn encode_failure(self, failure: &Failure, out: &mut Vec<u8>) {
        let message = if failure.code == "SerializationException" { "Message" } else { "message" };
        let mut members = vec![("__type".to_owned(), Value::Text(failure.code.to_owned()))];
        if !failure.message.is_empty() {
            members.push((message.to_owned(), Value::Text(failure.message.clone())));
        }
        self.encode(&Value::Map(members), out);
    }
}
