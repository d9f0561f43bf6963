//! A caller of the API: HTTP/1.1 and JSON over whatever connects it with the server. It never retries by itself; what it
//! does not know it says.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;
use thalweg_system::{BoxFuture, Clock};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::subscription::Subscription;

/// What clients and the server speak over.
pub(crate) trait Connection: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Connection for T {}

/// How clients come to the server.
pub(crate) trait Road: Send + Sync + 'static {
    /// A connection; `None` when nobody listens.
    fn connect(&self) -> BoxFuture<'_, Option<Box<dyn Connection>>>;
}

/// What came of a call.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// It succeeded.
    Success(Value),
    /// It was refused: nothing happened. The error's code.
    Refused(String),
    /// Nobody knows: no answer came, or one that says nothing.
    Unknown,
    /// Nobody listened: nothing happened.
    NoServer,
}

pub(crate) struct Client {
    road: Arc<dyn Road>,
    clock: Arc<dyn Clock>,
    /// How long it waits for an answer.
    patience: Duration,
    calls: Arc<AtomicU64>,
    connection: Option<Box<dyn Connection>>,
}

/// Why an exchange has no answer.
#[derive(Debug)]
pub(crate) struct Broken;

impl From<std::io::Error> for Broken {
    fn from(_: std::io::Error) -> Self {
        Broken
    }
}

impl Client {
    /// It counts its calls in `calls`.
    pub(crate) fn new(
        road: Arc<dyn Road>,
        clock: Arc<dyn Clock>,
        patience: Duration,
        calls: Arc<AtomicU64>,
    ) -> Client {
        Client { road, clock, patience, calls, connection: None }
    }

    /// Calls an operation.
    ///
    /// # Panics
    /// When the answer is not JSON, or has a status that no operation answers.
    pub(crate) async fn call(&mut self, operation: &str, body: &Value) -> Outcome {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => match self.road.connect().await {
                Some(connection) => connection,
                None => return Outcome::NoServer,
            },
        };
        self.calls.fetch_add(1, Ordering::Relaxed);
        let request = request(operation, body);
        let answer = tokio::select! {
            biased;
            answer = exchange(&mut connection, request.as_bytes()) => answer,
            () = self.clock.sleep(self.patience) => Err(Broken),
        };
        let Ok((status, body)) = answer else { return Outcome::Unknown };
        self.connection = Some(connection);
        let value: Value = match body.as_slice() {
            [] => Value::Null,
            body => serde_json::from_slice(body).unwrap_or_else(|error| {
                panic!("{operation} answered {}: {error}", String::from_utf8_lossy(body))
            }),
        };
        match status {
            200 => Outcome::Success(value),
            // 408: its body took too long, as it does when hours pass at once.
            // 503: there is no room for its body or its answer.
            400 | 408 | 503 => Outcome::Refused(value["__type"].as_str().unwrap_or_default().to_owned()),
            500 => Outcome::Unknown,
            _ => panic!("{operation} answered {status} {value}"),
        }
    }

    /// Subscribes to a shard, over a connection of its own; `None` when nothing comes of it.
    pub(crate) async fn subscribe(&mut self, body: &Value) -> Option<Subscription> {
        let mut connection = self.road.connect().await?;
        self.calls.fetch_add(1, Ordering::Relaxed);
        let request = request("SubscribeToShard", body);
        let head = tokio::select! {
            biased;
            head = begin(&mut connection, request.as_bytes()) => head.ok()?,
            () = self.clock.sleep(self.patience) => return None,
        };
        (head.status == 200).then(|| Subscription::new(connection, head.rest))
    }
}

/// A request, as it goes over HTTP/1.1.
pub(crate) fn request(operation: &str, body: &Value) -> String {
    let body = body.to_string();
    format!(
        "POST / HTTP/1.1\r\nhost: simulation\r\ncontent-type: application/x-amz-json-1.1\r\n\
         x-amz-target: Kinesis_20131202.{operation}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Sends a request and reads its answer: the status and the body.
pub(crate) async fn exchange(
    connection: &mut impl Connection,
    request: &[u8],
) -> Result<(u16, Vec<u8>), Broken> {
    let Head { status, length, mut rest } = begin(connection, request).await?;
    let length = length.expect("answers have a length");
    while rest.len() < length {
        receive(connection, &mut rest).await?;
    }
    rest.truncate(length);
    Ok((status, rest))
}

/// The head of an answer.
struct Head {
    status: u16,
    /// The body's, where it is known.
    length: Option<usize>,
    /// What came behind it.
    rest: Vec<u8>,
}

/// Sends a request and reads the head of its answer.
async fn begin(connection: &mut impl Connection, request: &[u8]) -> Result<Head, Broken> {
    connection.write_all(request).await?;
    let mut received = Vec::new();
    let end = loop {
        if let Some(at) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        receive(connection, &mut received).await?;
    };
    let rest = received.split_off(end);
    let text = String::from_utf8(received).expect("heads are ASCII").to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length = length.map(|length| length.parse().expect("a number"));
    Ok(Head { status: text[9..12].parse().expect("a status"), length, rest })
}

pub(crate) async fn receive(connection: &mut impl Connection, received: &mut Vec<u8>) -> Result<(), Broken> {
    match connection.read_buf(received).await? {
        0 => Err(Broken),
        _ => Ok(()),
    }
}
