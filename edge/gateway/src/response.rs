//! The only place that builds a response.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, ORIGIN,
};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode, Version};
use http_body::Body;
use thalweg_api::Answer;
use thalweg_shape::{Failure, Value};
use thalweg_wire::{Protocol, event_stream};

use crate::answer_body::AnswerBody;
use crate::gateway::{Phase, Shared};
use crate::request_body::BodyRefusal;
use crate::request_id::RequestId;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const EXTENDED_ID: HeaderName = HeaderName::from_static("x-amz-id-2");
/// How long a browser may keep the answer to a preflight, in seconds; AWS's number.
const PREFLIGHT_SECONDS: HeaderValue = HeaderValue::from_static("172800");
/// What a page's script may see of an answer; AWS's list.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "x-amzn-RequestId,x-amzn-ErrorType,x-amz-request-id,x-amz-id-2,x-amzn-ErrorMessage,Date",
);

/// What the pipeline decided.
pub(crate) enum Outcome {
    /// An operation's answer.
    Success {
        /// In which it is encoded.
        protocol: Protocol,
        /// The answer.
        answer: Answer,
        /// Whether the operation may have changed something.
        has_changed: bool,
    },
    /// An error in the request's protocol.
    Failure(Protocol, Failure),
    /// An error before a protocol was known, in XML.
    Xml {
        /// The status.
        status: StatusCode,
        /// All of the body.
        body: &'static str,
    },
    /// An error of the old way to say JSON, which goes no further.
    OldJson {
        /// The status.
        status: StatusCode,
        /// All of the body.
        body: &'static str,
    },
    /// The head has more fields than a request may have.
    TooManyFields,
    /// The body was not taken in.
    NoBody(BodyRefusal),
    /// There is no room for another answer.
    NoRoom,
    /// The answer to a browser that asks what it may ask.
    Preflight,
    /// How the server is, for people and probes.
    Health {
        /// The status.
        status: StatusCode,
        /// One line.
        line: String,
    },
}

/// Builds the response. Every answer carries the request's ids, every one but a preflight's its type.
pub(crate) fn build(
    shared: &Arc<Shared>,
    head: Parts,
    id: RequestId,
    outcome: Outcome,
) -> Response<AnswerBody> {
    let (status, content_type, body) = match outcome {
        Outcome::Success { protocol, answer: Answer::Encoded(bytes), .. } => {
            (StatusCode::OK, Some(protocol.content_type()), AnswerBody::whole(bytes))
        }
        Outcome::Success { protocol, answer: Answer::Value(value), .. } => {
            // An operation without output has an empty body.
            let mut bytes = Vec::new();
            if value != Value::Null {
                protocol.encode(&value, &mut bytes);
            }
            (StatusCode::OK, Some(protocol.content_type()), AnswerBody::whole(Bytes::from(bytes)))
        }
        Outcome::Success { answer: Answer::Events(stream), .. } => {
            let body = AnswerBody::events(stream, shared.reached(Phase::Draining));
            (StatusCode::OK, Some(event_stream::CONTENT_TYPE), body)
        }
        Outcome::Failure(protocol, failure) => {
            let mut bytes = Vec::new();
            protocol.encode_failure(&failure, &mut bytes);
            let status = StatusCode::from_u16(failure.status).expect("failures have HTTP statuses");
            (status, Some(protocol.content_type()), AnswerBody::whole(Bytes::from(bytes)))
        }
        Outcome::Xml { status, body } => {
            (status, None, AnswerBody::whole(Bytes::from_static(body.as_bytes())))
        }
        Outcome::OldJson { status, body } => {
            (status, Some("application/json"), AnswerBody::whole(Bytes::from_static(body.as_bytes())))
        }
        Outcome::NoBody(refusal) => {
            let status = match refusal {
                BodyRefusal::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
                BodyRefusal::TooSlow => StatusCode::REQUEST_TIMEOUT,
                BodyRefusal::NoRoom => StatusCode::SERVICE_UNAVAILABLE,
                BodyRefusal::Broken => StatusCode::BAD_REQUEST,
            };
            (status, None, AnswerBody::whole(Bytes::new()))
        }
        Outcome::TooManyFields => {
            (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, None, AnswerBody::whole(Bytes::new()))
        }
        Outcome::NoRoom => (StatusCode::SERVICE_UNAVAILABLE, None, AnswerBody::whole(Bytes::new())),
        Outcome::Preflight => return preflight(&head, id),
        Outcome::Health { status, line } => {
            (status, Some("text/plain; charset=utf-8"), AnswerBody::whole(Bytes::from(line)))
        }
    };
    let is_from_page = head.headers.contains_key(ORIGIN);
    let mut response = Response::new(body);
    *response.status_mut() = status;
    // The request's map, emptied: a new one would be allocated for each answer.
    let mut headers = head.headers;
    headers.clear();
    headers.insert(REQUEST_ID, id.header());
    headers.insert(EXTENDED_ID, id.extended_header());
    if let Some(content_type) = content_type {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    if is_from_page {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
    // What is left of a body that was not taken in cannot be told from the next request.
    let closes = matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::PAYLOAD_TOO_LARGE);
    if closes && head.version < Version::HTTP_2 {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    // hyper leaves the body of an answer to HEAD out in HTTP/1.1 only; in HTTP/2 it would break the stream.
    if head.method == Method::HEAD
        && let Some(length) = response.body().size_hint().exact()
    {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        *response.body_mut() = AnswerBody::whole(Bytes::new());
    }
    *response.headers_mut() = headers;
    response
}

/// The response to someone for whose answer there is no room.
pub(crate) fn without_room(mut response: Response<AnswerBody>) -> Response<AnswerBody> {
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response.headers_mut().remove(CONTENT_TYPE);
    *response.body_mut() = AnswerBody::whole(Bytes::new());
    response
}

/// Everything that a browser asks for is allowed. No Content-Type and no extended id, as on AWS.
fn preflight(head: &Parts, id: RequestId) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::whole(Bytes::new()));
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, id.header());
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    for (asked, allowed) in [
        (ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_ALLOW_HEADERS),
        (ACCESS_CONTROL_REQUEST_METHOD, ACCESS_CONTROL_ALLOW_METHODS),
    ] {
        if let Some(asked) = head.headers.get(asked) {
            headers.insert(allowed, asked.clone());
        }
    }
    headers.insert(ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS);
    response
}
