//! One request, top to bottom. The order of the checks is AWS's, as recorded: facts/aws-apis.md 2.12.
//!
//! Once access control exists, `authorization` moves before everything that parses: nothing unauthenticated will
//! be parsed. Until then a malformed signature is told after a malformed body, as on AWS.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::{CONTENT_TYPE, ORIGIN};
use http::request::Parts;
use http::{HeaderName, Method, Request, Response, StatusCode};
use http_body::Body;

use thalweg_api::{Answer, BoxFuture, Call, Operation, Room, Service, not_available};
use thalweg_shape::{Failure, Schema, Value, coerce, validation_message, violations};
use thalweg_system::Tasks;
use thalweg_wire::Protocol;

use crate::answer_body::AnswerBody;
use crate::authorization;
use crate::budget::Full;
use crate::gateway::{LiveGuard, Phase, Shared};
use crate::request_body;
use crate::request_id::RequestId;
use crate::response::{self, Outcome};
use crate::settings::HEADERS_MAX;

const TARGET: HeaderName = HeaderName::from_static("x-amz-target");
const SERIALIZATION: &str = "SerializationException";
const UNKNOWN_OPERATION: &str = "UnknownOperationException";
const VALIDATION: &str = "ValidationException";

/// Nobody can tell what is asked for.
const ACCESS_DENIED: Outcome = Outcome::Xml {
    status: StatusCode::FORBIDDEN,
    body: "<AccessDeniedException>\n  <Message>Unable to determine service/operation name to be authorized\
           </Message>\n</AccessDeniedException>\n",
};
/// The body is in no protocol of ours.
const UNKNOWN_CONTENT: Outcome =
    Outcome::Xml { status: StatusCode::NOT_FOUND, body: "<UnknownOperationException/>\n" };
/// It says `application/json`, and is not even that.
const OLD_JSON_BROKEN: Outcome = Outcome::OldJson {
    status: StatusCode::BAD_REQUEST,
    body: r#"{"Output":{"__type":"com.amazon.coral.service#SerializationException"},"Version":"1.0"}"#,
};
/// It says `application/json`, which no operation takes.
const OLD_JSON_UNKNOWN: Outcome = Outcome::OldJson {
    status: StatusCode::NOT_FOUND,
    body: r#"{"Output":{"__type":"com.amazon.coral.service#UnknownOperationException"},"Version":"1.0"}"#,
};

/// Answers a request.
pub(crate) async fn answer<B>(shared: &Arc<Shared>, request: Request<B>) -> Response<AnswerBody>
where
    B: Body<Data = Bytes> + Unpin,
{
    let (head, body) = request.into_parts();
    let id = shared.ids.next();
    let outcome = decide(shared, &head, body, id).await;
    let has_changed = matches!(outcome, Outcome::Success { has_changed: true, .. });
    let mut response = response::build(shared, head, id, outcome);
    match response.body_mut().count(&shared.outgoing.answers, has_changed) {
        Ok(()) => response,
        Err(Full) => response::without_room(response),
    }
}

/// Everything up to knowing who is asked for what.
async fn decide<B>(shared: &Arc<Shared>, head: &Parts, body: B, id: RequestId) -> Outcome
where
    B: Body<Data = Bytes> + Unpin,
{
    // As hyper does in HTTP/1.1. The body is not taken in: meanwhile the head would be held.
    if head.headers.len() > HEADERS_MAX {
        return Outcome::TooManyFields;
    }
    if let Some(health) = health(shared, head) {
        return health;
    }
    if head.method == Method::OPTIONS && head.headers.contains_key(ORIGIN) {
        return Outcome::Preflight;
    }
    if head.method != Method::POST {
        return ACCESS_DENIED;
    }
    let budget = &shared.bodies;
    let body = match request_body::collect(head, body, &shared.settings, &*shared.clock, budget).await {
        Ok(body) => body,
        Err(refusal) => return Outcome::NoBody(refusal),
    };
    // Before the call: it may change something, and its answer must go out then. Only such answers fill it up.
    if shared.outgoing.answers.is_full() {
        return Outcome::NoRoom;
    }
    let content_type = header(head, CONTENT_TYPE);
    let protocol = Protocol::of_content_type(content_type);
    let target = target(shared, head);
    if body.bytes.is_empty() {
        let code = if matches!(target, Target::Known(..)) { SERIALIZATION } else { UNKNOWN_OPERATION };
        return Outcome::Failure(protocol.unwrap_or(Protocol::AwsCbor11), Failure::client(code, ""));
    }
    let Some(protocol) = protocol else {
        return match (is_old_json(content_type), target) {
            (true, _) if decode(Protocol::AwsJson11, &body.bytes).is_err() => OLD_JSON_BROKEN,
            (true, _) => OLD_JSON_UNKNOWN,
            (false, Target::None) => ACCESS_DENIED,
            (false, Target::Unknown | Target::Known(..)) => UNKNOWN_CONTENT,
        };
    };
    let room = Arc::clone(&shared.outgoing) as Arc<dyn Room>;
    let call = Call { request_id: id.as_str().to_owned(), protocol, room };
    let malformed = authorization::failure(head);
    let has_changed = matches!(&target, Target::Known(_, operation) if operation.may_change());
    let outcome = ToItsEnd::new(shared, id, async move {
        let outcome = operate(call, target, malformed, body.bytes).await;
        drop(body.share);
        outcome
    });
    match outcome.await {
        Ok(answer) => Outcome::Success { protocol, answer, has_changed },
        Err(failure) => Outcome::Failure(protocol, failure),
    }
}

/// Everything from the bytes to the operation's answer.
async fn operate(
    call: Call,
    target: Target,
    malformed: Option<Failure>,
    body: Bytes,
) -> Result<Answer, Failure> {
    if let (Target::Known(service, operation), None) = (&target, &malformed)
        && operation.hot
        && let Some(reply) = service.hot(operation, &call, &body)
    {
        return reply.await.map(Answer::Encoded);
    }
    let input = decode(call.protocol, &body)?;
    let Target::Known(service, operation) = target else {
        return Err(Failure::client(UNKNOWN_OPERATION, ""));
    };
    if let Some(malformed) = malformed {
        return Err(malformed);
    }
    if !operation.available {
        return Err(not_available(operation.name));
    }
    let input = coerce(input, &Schema::Structure(operation.input))
        .map_err(|mismatch| Failure::client(SERIALIZATION, mismatch.0))?;
    let violations = violations(&input, operation.input);
    if !violations.is_empty() {
        return Err(Failure::client(VALIDATION, validation_message(&violations)));
    }
    drop(body);
    service.call(operation, &call, input).await
}

/// A call that runs to its end even if the client leaves, so that no operation has to be correct when it is dropped
/// half way: what is dropped before it is done goes on as a task of its own. A panic in it is answered with
/// InternalFailure and does not spread.
struct ToItsEnd {
    tasks: Arc<dyn Tasks>,
    request_id: RequestId,
    /// `None` once it is done.
    call: Option<(BoxFuture<'static, Result<Answer, Failure>>, LiveGuard)>,
}

impl ToItsEnd {
    fn new(
        shared: &Arc<Shared>,
        request_id: RequestId,
        call: impl Future<Output = Result<Answer, Failure>> + Send + 'static,
    ) -> Self {
        let call = AssertUnwindSafe(call).catch_unwind().map(move |outcome| {
            outcome.unwrap_or_else(|_| {
                let request_id = request_id.as_str();
                tracing::error!(request_id, "a call panicked; it was answered with InternalFailure");
                Err(Failure::server("InternalFailureException", "Internal Service Failure"))
            })
        });
        let call: BoxFuture<'static, _> = Box::pin(call);
        ToItsEnd { tasks: Arc::clone(&shared.tasks), request_id, call: Some((call, shared.live.begin())) }
    }
}

impl Future for ToItsEnd {
    type Output = Result<Answer, Failure>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let (call, _) = self.call.as_mut().expect("nobody polls what is done");
        let polled = call.as_mut().poll(context);
        if polled.is_ready() {
            self.call = None;
        }
        polled
    }
}

impl Drop for ToItsEnd {
    fn drop(&mut self) {
        let Some((call, live)) = self.call.take() else { return };
        tracing::debug!(request_id = self.request_id.as_str(), "the client left; its call goes on");
        self.tasks.run(Box::pin(async move {
            // Whoever stored something has stored it.
            let _ = call.await;
            drop(live);
        }));
    }
}

/// Reads a body that must be a structure. AWS says nothing more of one that is not.
fn decode(protocol: Protocol, body: &[u8]) -> Result<Value, Failure> {
    match protocol.decode(body) {
        Ok(value @ (Value::Map(_) | Value::List(_))) => Ok(value),
        Ok(_) | Err(_) => Err(Failure::client(SERIALIZATION, "")),
    }
}

/// What `X-Amz-Target` names.
enum Target {
    /// No service or no operation.
    None,
    /// A service or an operation that we do not have.
    Unknown,
    /// An operation.
    Known(Arc<dyn Service>, &'static Operation),
}

fn target(shared: &Shared, head: &Parts) -> Target {
    // Byte by byte: it is short, and what looks for a pattern takes longer to begin.
    let mut parts = header(head, TARGET).as_bytes().split(|byte| *byte == b'.').map(std::str::from_utf8);
    let (Some(Ok(prefix)), Some(Ok(name))) = (parts.next(), parts.next()) else { return Target::None };
    if prefix.is_empty() || name.is_empty() {
        return Target::None;
    }
    let service = shared.services.iter().find(|service| service.target_prefix() == prefix);
    match service.and_then(|service| Some((service, service.operation(name)?))) {
        Some((service, operation)) => Target::Known(Arc::clone(service), operation),
        None => Target::Unknown,
    }
}

/// A header's text; empty when it is absent or not text.
fn header(head: &Parts, name: HeaderName) -> &str {
    head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn is_old_json(content_type: &str) -> bool {
    content_type.split(';').next().unwrap_or_default().trim() == "application/json"
}

/// The probes: not AWS's, and therefore before everything that is.
fn health(shared: &Shared, head: &Parts) -> Option<Outcome> {
    if head.method != Method::GET && head.method != Method::HEAD {
        return None;
    }
    let state = match head.uri.path() {
        "/healthz" => Ok(()),
        "/readyz" if *shared.phase.borrow() > Phase::Open => Err("shutting down".to_owned()),
        "/readyz" => (shared.readiness)(),
        _ => return None,
    };
    Some(match state {
        Ok(()) => Outcome::Health { status: StatusCode::OK, line: "ok\n".to_owned() },
        Err(reason) => Outcome::Health { status: StatusCode::SERVICE_UNAVAILABLE, line: reason + "\n" },
    })
}
