//! What a case has to do with: the server's address, how much and how long, and a record of the answers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use thalweg_system::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::cases::Case;
use crate::client::{exchange, request};
use crate::process::{must_not_panic, spawn_all};

/// Descriptors that this process needs for itself.
const DESCRIPTORS_OWN: usize = 100;
const QUICK: Duration = Duration::from_millis(800);
/// What is poured at once.
const POURED_BYTES: usize = 64 * 1024;

pub(super) struct Scene {
    name: &'static str,
    pub(super) address: SocketAddr,
    is_quick: bool,
    seconds: u64,
    /// Connections that there are descriptors for.
    connections_max: usize,
    answers: Mutex<BTreeMap<String, u64>>,
}

/// What the SDKs of AWS try again: errors of the server's side that name no outcome, and throttling.
pub(super) fn is_retryable(status: u16, code: &str) -> bool {
    let throttling =
        ["ProvisionedThroughputExceededException", "LimitExceededException", "ThrottlingException"];
    status == 503 || throttling.contains(&code)
}

impl Scene {
    pub(super) fn new(case: &Case, address: SocketAddr, is_quick: bool, descriptors: usize) -> Scene {
        Scene {
            name: case.name,
            address,
            is_quick,
            seconds: case.seconds,
            connections_max: descriptors - DESCRIPTORS_OWN,
            answers: Mutex::default(),
        }
    }

    /// How many, in the short form and in the long one.
    pub(super) fn count(&self, quick: usize, long: usize) -> usize {
        if self.is_quick { quick } else { long }
    }

    pub(super) fn is_quick(&self) -> bool {
        self.is_quick
    }

    /// So many connections, or as many as there are descriptors for.
    pub(super) async fn connect_all(&self, wanted: usize) -> Vec<TcpStream> {
        let count = wanted.min(self.connections_max);
        if count < wanted {
            println!("SKIPPED: {} has descriptors for {count} connections of {wanted}", self.name);
        }
        let mut streams = Vec::with_capacity(count);
        for _ in 0..count {
            streams.push(self.connect().await);
        }
        streams
    }

    pub(super) async fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).await.expect("the server listens");
        stream.set_nodelay(true).expect("it is a socket");
        stream
    }

    /// Lets these run for the time of the case and drops them then, with their connections.
    pub(super) async fn run(&self, actors: Vec<BoxFuture<'static, ()>>) {
        let time = if self.is_quick { QUICK } else { Duration::from_secs(self.seconds) };
        let mut running = spawn_all(actors);
        let ended = async {
            while let Some(ended) = running.join_next().await {
                must_not_panic(ended);
            }
            std::future::pending::<()>().await;
        };
        let _ = tokio::time::timeout(time, ended).await;
        running.shutdown().await;
    }

    /// One of these for each number.
    pub(super) async fn run_each<F>(
        self: &Arc<Self>,
        count: usize,
        mut actor: impl FnMut(Arc<Scene>, usize) -> F,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let actors = (0..count).map(|number| {
            let actor: BoxFuture<'static, ()> = Box::pin(actor(Arc::clone(self), number));
            actor
        });
        self.run(actors.collect()).await;
    }

    /// Calls an operation, which must succeed at last.
    pub(super) async fn must(&self, operation: &str, body: &Value) -> Value {
        loop {
            let mut stream = self.connect().await;
            let answer = exchange(&mut stream, request(operation, body).as_bytes()).await;
            let (status, body) = answer.expect("one that reads gets its answer");
            if status == 200 {
                return serde_json::from_slice(&body).unwrap_or(Value::Null);
            }
            self.answered(status, &body);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// An iterator at the first record of one of the abusers' shards.
    pub(super) async fn iterator(&self, shard: usize) -> String {
        let body = json!({
            "StreamName": "abuse",
            "ShardId": format!("shardId-{shard:012}"),
            "ShardIteratorType": "TRIM_HORIZON",
        });
        let answer = self.must("GetShardIterator", &body).await;
        answer["ShardIterator"].as_str().expect("an iterator").to_owned()
    }

    /// Notes an answer.
    ///
    /// # Panics
    /// When it is a refusal that SDKs do not try again.
    pub(super) fn answered(&self, status: u16, body: &[u8]) {
        let code = match status {
            200 => String::new(),
            _ => {
                let value: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
                value["__type"].as_str().unwrap_or_default().to_owned()
            }
        };
        assert!(status == 200 || is_retryable(status, &code), "{}: answered {status} {code}", self.name);
        self.note(&if code.is_empty() { status.to_string() } else { code });
    }

    /// Counts something.
    pub(super) fn note(&self, what: &str) {
        *self.answers.lock().expect("no panic").entry(what.to_owned()).or_default() += 1;
    }

    pub(super) fn noted(&self, what: &str) -> u64 {
        self.answers.lock().expect("no panic").get(what).copied().unwrap_or_default()
    }

    /// All that was counted, for people.
    pub(super) fn answers(&self) -> String {
        let answers = self.answers.lock().expect("no panic");
        let counts: Vec<String> = answers.iter().map(|(what, count)| format!("{what}: {count}")).collect();
        counts.join(", ")
    }
}

/// Writes these bytes over and over, until the server takes no more.
pub(super) async fn pour(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) {
    let many = bytes.repeat((POURED_BYTES / bytes.len()).max(1));
    while stream.write_all(&many).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

/// Reads and throws away until the other side ends.
pub(super) async fn swallow(stream: &mut (impl AsyncRead + Unpin)) {
    let _ = tokio::io::copy(stream, &mut tokio::io::sink()).await;
}
