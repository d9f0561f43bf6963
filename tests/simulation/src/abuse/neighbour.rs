//! The well-behaved client: a writer and a reader at a modest rate, each on a connection of its own, on a thread of their
//! own. They retry what SDKs retry, and nothing else may be refused.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::scene::is_retryable;
use crate::client::{exchange, request};
use crate::process::runtime;

/// Between two calls.
const PAUSE: Duration = Duration::from_millis(10);
/// After a refusal.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// For an answer; what takes longer has an unknown outcome.
const PATIENCE: Duration = Duration::from_secs(30);
/// Records of each second put.
const BATCH: u64 = 5;
const DATA_BYTES: usize = 1024;
const STREAM: &str = "neighbour";

pub(super) struct Neighbour {
    shared: Arc<Shared>,
    thread: JoinHandle<Report>,
}

#[derive(Default)]
struct Shared {
    is_over: AtomicBool,
    puts: AtomicU64,
}

/// How it fared.
pub(super) struct Report {
    pub(super) puts: u64,
    pub(super) put_p99: Duration,
    /// Between two successes of the writer, or of the reader: the longest.
    pub(super) gap: Duration,
}

/// Numbers of records, in their order.
#[derive(Default)]
struct Written {
    acknowledged: Vec<u64>,
    /// Nobody knows whether they are there.
    uncertain: Vec<u64>,
    latencies: Vec<Duration>,
    gap: Duration,
}

/// What came of a call.
enum Told {
    Success(Value),
    Refused,
    Unknown,
}

impl Neighbour {
    pub(super) fn start(address: SocketAddr) -> Neighbour {
        let shared = Arc::new(Shared::default());
        let thread = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || runtime().block_on(live(address, &shared)))
        };
        Neighbour { shared, thread }
    }

    /// Waits until so many more were acknowledged.
    pub(super) fn until_more_puts(&self, more: u64) {
        let enough = self.shared.puts.load(Ordering::Relaxed) + more;
        while self.shared.puts.load(Ordering::Relaxed) < enough && !self.thread.is_finished() {
            thread::sleep(PAUSE);
        }
    }

    /// Reads everything once more and compares it with what was acknowledged.
    pub(super) fn end(self) -> Report {
        self.shared.is_over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_else(|panicked| std::panic::resume_unwind(panicked))
    }
}

async fn live(address: SocketAddr, shared: &Shared) -> Report {
    let (mut written, read_gap) = tokio::join!(write(address, shared), follow(address, shared));
    let mut line = Line::to(address);
    let mut stored = read_all(&mut line).await;
    stored.retain(|number| !written.uncertain.contains(number));
    assert!(stored == written.acknowledged, "what is stored is not what was acknowledged, once and in order");
    written.latencies.sort_unstable();
    Report {
        puts: written.latencies.len() as u64,
        put_p99: written.latencies[written.latencies.len() * 99 / 100],
        gap: written.gap.max(read_gap),
    }
}

async fn write(address: SocketAddr, shared: &Shared) -> Written {
    let mut written = Written::default();
    let mut line = Line::to(address);
    let mut next = 0;
    let mut succeeded = Instant::now();
    let mut is_batch = false;
    while !shared.is_over.load(Ordering::Relaxed) {
        let numbers = next..next + if is_batch { BATCH } else { 1 };
        let began = Instant::now();
        match put(&mut line, numbers.clone().collect()).await {
            Told::Success(answer) => {
                let refused = take_acknowledged(&mut written, numbers.clone(), &answer);
                if !refused {
                    written.latencies.push(began.elapsed());
                    shared.puts.fetch_add(1, Ordering::Relaxed);
                    written.gap = written.gap.max(succeeded.elapsed());
                    succeeded = Instant::now();
                }
                (next, is_batch) = (numbers.end, !is_batch);
                tokio::time::sleep(PAUSE).await;
            }
            Told::Refused => tokio::time::sleep(RETRY_PAUSE).await,
            Told::Unknown => {
                written.uncertain.extend(numbers.clone());
                next = numbers.end;
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }
    written.gap = written.gap.max(succeeded.elapsed());
    written
}

/// Whether some were refused.
fn take_acknowledged(written: &mut Written, numbers: std::ops::Range<u64>, answer: &Value) -> bool {
    let Some(entries) = answer["Records"].as_array() else {
        written.acknowledged.extend(numbers);
        return false;
    };
    let mut is_refused = false;
    for (number, entry) in numbers.zip(entries) {
        match entry["ErrorCode"].as_str() {
            None => written.acknowledged.push(number),
            Some(code) => {
                assert!(is_retryable(200, code), "a record was refused with {code}");
                is_refused = true;
            }
        }
    }
    is_refused
}

async fn put(line: &mut Line, numbers: Vec<u64>) -> Told {
    let data = |number: u64| {
        let text = format!("{number:0width$}", width = DATA_BYTES);
        base64_simd::STANDARD.encode_to_string(text)
    };
    if let [number] = numbers[..] {
        let body = json!({"StreamName": STREAM, "PartitionKey": "a", "Data": data(number)});
        return line.call("PutRecord", &body).await;
    }
    let record = |number: &u64| json!({"PartitionKey": "a", "Data": data(*number)});
    let records: Vec<Value> = numbers.iter().map(record).collect();
    line.call("PutRecords", &json!({"StreamName": STREAM, "Records": records})).await
}

/// Reads at the end of the stream; answers the longest time between two successes.
async fn follow(address: SocketAddr, shared: &Shared) -> Duration {
    let mut line = Line::to(address);
    let mut iterator = begin(&mut line).await;
    let (mut succeeded, mut gap) = (Instant::now(), Duration::ZERO);
    let mut newest = None;
    while !shared.is_over.load(Ordering::Relaxed) {
        if let Told::Success(answer) = line.call("GetRecords", &json!({"ShardIterator": iterator})).await {
            for number in numbers(&answer) {
                assert!(newest.replace(number) < Some(number), "records come in their order");
            }
            next(&answer).clone_into(&mut iterator);
            gap = gap.max(succeeded.elapsed());
            succeeded = Instant::now();
        }
        tokio::time::sleep(PAUSE * 2).await;
    }
    gap.max(succeeded.elapsed())
}

/// Everything that is stored, by its numbers.
async fn read_all(line: &mut Line) -> Vec<u64> {
    let mut iterator = begin(line).await;
    let mut stored = Vec::new();
    loop {
        let Told::Success(answer) = line.call("GetRecords", &json!({"ShardIterator": iterator})).await else {
            tokio::time::sleep(RETRY_PAUSE).await;
            continue;
        };
        stored.extend(numbers(&answer));
        if answer["MillisBehindLatest"] == 0 {
            return stored;
        }
        next(&answer).clone_into(&mut iterator);
    }
}

/// An iterator at the oldest record.
async fn begin(line: &mut Line) -> String {
    let body = json!({
        "StreamName": STREAM,
        "ShardId": "shardId-000000000000",
        "ShardIteratorType": "TRIM_HORIZON",
    });
    loop {
        if let Told::Success(answer) = line.call("GetShardIterator", &body).await {
            return answer["ShardIterator"].as_str().expect("an iterator").to_owned();
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

fn next(answer: &Value) -> &str {
    answer["NextShardIterator"].as_str().expect("an open shard goes on")
}

fn numbers(answer: &Value) -> impl Iterator<Item = u64> {
    let records = answer["Records"].as_array().expect("records");
    records.iter().map(|record| {
        let data = record["Data"].as_str().expect("text");
        let data = base64_simd::STANDARD.decode_to_vec(data).expect("base64");
        String::from_utf8(data).expect("digits").parse().expect("a number")
    })
}

/// A connection, made anew when it broke.
struct Line {
    address: SocketAddr,
    stream: Option<TcpStream>,
}

impl Line {
    fn to(address: SocketAddr) -> Line {
        Line { address, stream: None }
    }

    async fn call(&mut self, operation: &str, body: &Value) -> Told {
        let request = request(operation, body);
        let exchange = async {
            let mut stream = match self.stream.take() {
                Some(stream) => stream,
                None => TcpStream::connect(self.address).await.ok()?,
            };
            let answer = exchange(&mut stream, request.as_bytes()).await.ok()?;
            Some((stream, answer))
        };
        let Ok(Some((stream, (status, body)))) = tokio::time::timeout(PATIENCE, exchange).await else {
            return Told::Unknown;
        };
        self.stream = Some(stream);
        let value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        if status == 200 {
            return Told::Success(value);
        }
        let code = value["__type"].as_str().unwrap_or_default();
        assert!(is_retryable(status, code), "{operation} was answered {status} {code}");
        Told::Refused
    }
}
