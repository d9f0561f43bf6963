//! How the gateway calls a service.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use thalweg_shape::{Failure, Value};
use thalweg_wire::Protocol;

use crate::Operation;

/// A future on the heap.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a method of a generated trait returns.
pub type Reply<'a, T> = BoxFuture<'a, Result<T, Failure>>;

/// Encoded frames of an event stream, in the protocol of the call. It ends when the stream ends.
pub type EventStream = Pin<Box<dyn Stream<Item = Bytes> + Send>>;

/// One request, as far as a service may know it.
#[derive(Clone)]
pub struct Call {
    /// The id in the answer's `x-amzn-RequestId`.
    pub request_id: String,
    /// How the body is encoded, and how the answer will be.
    pub protocol: Protocol,
    /// What the answer may take.
    pub room: Arc<dyn Room>,
}

impl Call {
    /// A call whose answer may take as much as it likes.
    pub fn unlimited(request_id: &str, protocol: Protocol) -> Self {
        Call { request_id: request_id.to_owned(), protocol, room: Arc::new(usize::MAX) }
    }
}

/// Answers from this size on leave room to smaller ones, and are thrown away when there is no room for them: the client
/// tries again. No operation that changes something answers so much: 500 records that PutRecords refused take 140 KiB
/// where names are as long as they may be.
pub const ANSWER_BYTES_LARGE: usize = 256 * 1024;

/// The memory for answers that clients have not taken yet.
pub trait Room: Send + Sync {
    /// How many bytes one more answer should take at most, at this moment: the more others hold, the less. What is
    /// larger may be thrown away, so that an operation that can answer less does.
    fn answer_bytes_max(&self) -> usize;

    /// Room for an event of so many bytes, which may be sent to many, until what is answered here is dropped. `None`: at
    /// this moment there is none, and the event has to wait.
    fn hold_event(&self, bytes: usize) -> Option<EventRoom>;
}

/// What is held for an event.
pub type EventRoom = Box<dyn Any + Send + Sync>;

/// Always the same for an answer, and room for every event.
impl Room for usize {
    fn answer_bytes_max(&self) -> usize {
        *self
    }

    fn hold_event(&self, _bytes: usize) -> Option<EventRoom> {
        Some(Box::new(()))
    }
}

/// What a service answers when it succeeds.
pub enum Answer {
    /// The output's members; the gateway encodes them.
    Value(Value),
    /// A body in the call's protocol.
    Encoded(Bytes),
    /// Frames, sent as they come.
    Events(EventStream),
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Value(value) => f.debug_tuple("Value").field(value).finish(),
            Answer::Encoded(bytes) => f.debug_tuple("Encoded").field(&bytes.len()).finish(),
            Answer::Events(_) => f.write_str("Events"),
        }
    }
}

/// The answer to a hot operation, encoded. `None`: the body is unusual (or wrong); take the ordinary path, which
/// finds out and words the error.
pub type HotAnswer<'a> = Option<Reply<'a, Bytes>>;

/// A service as the gateway sees it.
pub trait Service: Send + Sync + 'static {
    /// What its `X-Amz-Target` begins with, without the dot: `Kinesis_20131202`.
    fn target_prefix(&self) -> &'static str;

    /// An operation by name; `None` when the service's model has none of this name.
    fn operation(&self, name: &str) -> Option<&'static Operation>;

    /// Answers a hot operation straight from the body, or declines. Decides without awaiting.
    fn hot<'a>(&'a self, operation: &'static Operation, call: &'a Call, body: &'a Bytes) -> HotAnswer<'a>;

    /// Calls an operation. `input` was coerced and checked by the operation's schema.
    fn call<'a>(&'a self, operation: &'static Operation, call: &'a Call, input: Value) -> Reply<'a, Answer>;
}

/// The answer of a generated method that no service has written.
pub(crate) fn not_available<'a, T: Send + 'a>(operation: &str) -> Reply<'a, T> {
    Box::pin(std::future::ready(Err(crate::operation::not_available(operation))))
}
