//! The workloads: each against the server and against its floor, in one run.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::task::LocalSet;

use crate::bodies::{self, Encoding};
use crate::client::Client;
use crate::process::{self, Server};

/// What to run.
pub(crate) struct Settings {
    pub(crate) server: PathBuf,
    /// How long each workload lasts.
    pub(crate) duration: Duration,
    /// Where the server keeps its data; a temporary folder unless given.
    pub(crate) data_dir: Option<PathBuf>,
}

/// Connections of the closed loops.
const CONNECTIONS: usize = 4;
/// Records in one PutRecords and in one GetRecords.
const BATCH: usize = 500;
/// Bytes of data in a record.
const RECORD_BYTES: usize = 1024;
/// Different prepared bodies, so that caches do not flatter.
const BODIES: usize = 16;
/// Requests that fill the shard which is read: about 60 MB.
const READ_BATCHES: usize = 120;
/// Shards of the stream that is written.
const SHARDS: usize = 8;
/// How long a throttled connection pauses.
const THROTTLE_PAUSE: Duration = Duration::from_millis(10);
/// Consumers that read the whole shard, one after the other.
const CONSUMERS: usize = 8;

/// What one workload cost.
struct Cost {
    records: u64,
    elapsed: Duration,
    server: Duration,
    others: Duration,
}

impl Cost {
    fn micros(&self, time: Duration) -> f64 {
        time.as_secs_f64() * 1e6 / self.records as f64
    }

    fn row(&self, name: &str) {
        println!(
            "| {name} | {:.0} | {:.3} | {:.3} |",
            self.records as f64 / self.elapsed.as_secs_f64(),
            self.micros(self.server),
            self.micros(self.others)
        );
    }
}

/// Measures while `work` runs; it answers how many records it moved.
async fn measure(server: &Server, work: impl Future<Output = u64>) -> Cost {
    let (started, processor, others) = (Instant::now(), server.processor_time(), process::others_time());
    let records = work.await;
    Cost {
        records,
        elapsed: started.elapsed(),
        server: server.processor_time() - processor,
        others: process::others_time() - others,
    }
}

/// Prints one table.
pub(crate) async fn run_all(settings: &Settings) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = settings.data_dir.clone().unwrap_or_else(|| folder.path().join("data"));
    let own = std::env::current_exe().expect("this program has a path");
    let floor_folder = tempfile::tempdir().expect("a temporary folder");
    let floor = Server::start(&own, &["floor", "-"], floor_folder.path());
    let server = start(settings, &data, folder.path());
    println!(
        "| workload | records/s | server us/record | machine less generator us/record |\n|---|---|---|---|"
    );
    for encoding in [Encoding::Json, Encoding::Cbor] {
        let name = encoding.name();
        control(&server, "CreateStream", &[("StreamName", name.into()), ("ShardCount", SHARDS.into())]).await;
        let requests: Vec<Vec<u8>> = (0..BODIES)
            .map(|seed| bodies::put_records(encoding, name, seed as u64, BATCH, RECORD_BYTES))
            .map(|body| bodies::request("PutRecords", encoding, &body))
            .collect();
        put(&server, &requests, Duration::from_secs(2)).await;
        let cost = measure(&server, put(&server, &requests, settings.duration)).await;
        cost.row(&format!("PutRecords {BATCH} x {RECORD_BYTES} B, {name}"));
        let cost = measure(&floor, put(&floor, &requests, settings.duration)).await;
        cost.row(&format!("floor: reads and discards the same, {name}"));
        get(settings, &server, &floor, encoding).await;
        subscribe(&server, &floor, encoding).await;
    }
    println!("\nserver's resident memory at the end: {} MiB", server.resident_bytes() >> 20);
}

fn start(settings: &Settings, data: &Path, folder: &Path) -> Server {
    let data = data.to_str().expect("UTF-8");
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--data-dir", data, "--threads", "1"];
    Server::start(&settings.server, &arguments, folder)
}

/// A control operation in JSON; answers the body.
async fn control(
    server: &Server,
    operation: &str,
    members: &[(&str, serde_json::Value)],
) -> serde_json::Value {
    let mut client = Client::connect(&server.address).await;
    let request = bodies::request(operation, Encoding::Json, &bodies::flat(Encoding::Json, members));
    let answer = client.call(&request).await;
    assert_eq!(answer.status, 200, "{operation}: {}", String::from_utf8_lossy(answer.body));
    serde_json::from_slice(answer.body).unwrap_or_default()
}

/// Closed loop on all connections until the time is over; answers records written.
async fn put(server: &Server, requests: &[Vec<u8>], duration: Duration) -> u64 {
    let until = Instant::now() + duration;
    let local = LocalSet::new();
    let mut tasks = Vec::new();
    for connection in 0..CONNECTIONS {
        let (address, requests) = (server.address.clone(), requests.to_vec());
        tasks.push(local.spawn_local(async move {
            let mut client = Client::connect(&address).await;
            let mut sent = 0;
            while Instant::now() < until {
                let answer = client.call(&requests[(connection + sent) % requests.len()]).await;
                if answer.status == 200 {
                    sent += 1;
                    continue;
                }
                // More than the disk takes for good: as clients do, wait and send it again.
                let body = String::from_utf8_lossy(answer.body).into_owned();
                assert!(body.contains("ProvisionedThroughputExceededException"), "{body}");
                tokio::time::sleep(THROTTLE_PAUSE).await;
            }
            (sent * BATCH) as u64
        }));
    }
    local
        .run_until(async {
            let mut records = 0;
            for task in tasks {
                records += task.await.expect("tasks do not panic");
            }
            records
        })
        .await
}

/// GetRecords in batches, again and again over one shard; the floor sends prepared bytes of the same length.
async fn get(settings: &Settings, server: &Server, floor: &Server, encoding: Encoding) {
    let stream = format!("read-{}", encoding.name());
    control(server, "CreateStream", &[("StreamName", stream.as_str().into()), ("ShardCount", 1.into())])
        .await;
    let mut client = Client::connect(&server.address).await;
    for seed in 0..READ_BATCHES {
        let body = bodies::put_records(encoding, &stream, seed as u64, BATCH, RECORD_BYTES);
        let answer = client.call(&bodies::request("PutRecords", encoding, &body)).await;
        assert_eq!(answer.status, 200);
    }
    let members = [
        ("StreamName", stream.as_str().into()),
        ("ShardId", "shardId-000000000000".into()),
        ("ShardIteratorType", "TRIM_HORIZON".into()),
    ];
    // The requests of one pass over the shard, prepared: iterators stay valid and may be used again.
    let mut iterator = control(server, "GetShardIterator", &members).await["ShardIterator"].clone();
    let mut requests = Vec::new();
    let mut answer_bytes = 0;
    for _ in 0..READ_BATCHES {
        let members = [("ShardIterator", iterator.clone()), ("Limit", BATCH.into())];
        let request = bodies::request("GetRecords", encoding, &bodies::flat(encoding, &members));
        answer_bytes = client.call(&request).await.body.len();
        requests.push(request);
        iterator = control(server, "GetRecords", &members).await["NextShardIterator"].clone();
    }
    let cost = measure(server, put(server, &requests, settings.duration)).await;
    cost.row(&format!("GetRecords {BATCH} x {RECORD_BYTES} B, {}", encoding.name()));
    let request =
        format!("POST / HTTP/1.1\r\nhost: bench\r\nx-floor: {answer_bytes}\r\ncontent-length: 0\r\n\r\n")
            .into_bytes();
    let cost = measure(floor, put(floor, &[request], settings.duration)).await;
    cost.row(&format!("floor: sends {answer_bytes} prepared bytes, {}", encoding.name()));
}

/// SubscribeToShard over the shard that `get` filled, by some consumers in turn; the floor sends pieces of the same
/// number and size.
async fn subscribe(server: &Server, floor: &Server, encoding: Encoding) {
    let stream = format!("read-{}", encoding.name());
    let summary = control(server, "DescribeStreamSummary", &[("StreamName", stream.as_str().into())]).await;
    let arn = summary["StreamDescriptionSummary"]["StreamARN"].clone();
    let mut consumers = Vec::new();
    for index in 0..CONSUMERS {
        let members = [("StreamARN", arn.clone()), ("ConsumerName", format!("consumer-{index}").into())];
        let consumer = control(server, "RegisterStreamConsumer", &members).await;
        consumers.push(consumer["Consumer"]["ConsumerARN"].as_str().expect("an ARN").to_owned());
    }
    let (mut bytes, mut events) = (0u64, 0u64);
    let cost = measure(server, async {
        let mut records = 0;
        for consumer in &consumers {
            let request = bodies::request("SubscribeToShard", encoding, &subscription(encoding, consumer));
            let mut client = Client::connect(&server.address).await;
            let wanted = (READ_BATCHES * BATCH) as u64;
            let mut seen = Counter::new(b"ApproximateArrivalTimestamp");
            let mut ends = Counter::new(b"MillisBehindLatest");
            client
                .stream(&request, |piece| {
                    bytes += piece.len() as u64;
                    ends.feed(piece);
                    seen.feed(piece) >= wanted
                })
                .await;
            events += ends.count;
            let seen = seen.count;
            records += seen;
        }
        records
    })
    .await;
    cost.row(&format!("SubscribeToShard, {CONSUMERS} consumers in turn, {}", encoding.name()));
    let events = events.max(1);
    let piece = (bytes / events).min(16 << 20);
    let pieces = events / CONSUMERS as u64;
    let request = format!(
        "POST / HTTP/1.1\r\nhost: bench\r\nx-floor: {piece}\r\nx-floor-pieces: {pieces}\r\ncontent-length: 0\r\n\r\n"
    );
    let cost = measure(floor, async {
        for _ in &consumers {
            let mut client = Client::connect(&floor.address).await;
            let mut received = 0;
            client
                .stream(request.as_bytes(), |part| {
                    received += part.len() as u64;
                    received >= piece * pieces
                })
                .await;
        }
        (READ_BATCHES * BATCH * CONSUMERS) as u64
    })
    .await;
    cost.row(&format!("floor: sends {pieces} pieces of {piece} prepared bytes, {}", encoding.name()));
}

/// Counts a name in bytes that arrive in pieces.
struct Counter {
    name: &'static [u8],
    /// The end of what was fed: shorter than the name, so that nothing is counted twice.
    carried: Vec<u8>,
    count: u64,
}

impl Counter {
    fn new(name: &'static [u8]) -> Self {
        Counter { name, carried: Vec::new(), count: 0 }
    }

    fn feed(&mut self, piece: &[u8]) -> u64 {
        self.carried.extend_from_slice(piece);
        self.count += memchr::memmem::find_iter(&self.carried, self.name).count() as u64;
        let done = self.carried.len().saturating_sub(self.name.len() - 1);
        self.carried.drain(..done);
        self.count
    }
}

fn subscription(encoding: Encoding, consumer: &str) -> Vec<u8> {
    match encoding {
        Encoding::Json => format!(
            "{{\"ConsumerARN\":\"{consumer}\",\"ShardId\":\"shardId-000000000000\",\
             \"StartingPosition\":{{\"Type\":\"TRIM_HORIZON\"}}}}"
        )
        .into_bytes(),
        Encoding::Cbor => {
            let mut encoder = minicbor::Encoder::new(Vec::new());
            encoder
                .map(3)
                .expect("memory")
                .str("ConsumerARN")
                .expect("memory")
                .str(consumer)
                .expect("memory");
            encoder.str("ShardId").expect("memory").str("shardId-000000000000").expect("memory");
            encoder.str("StartingPosition").expect("memory").map(1).expect("memory");
            encoder.str("Type").expect("memory").str("TRIM_HORIZON").expect("memory");
            encoder.into_writer()
        }
    }
}
