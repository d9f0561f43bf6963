//! One Apache Kafka broker, driven by Kafka's producer performance tool with `acks=all`.
//!
//! The tool runs until it is stopped and says several times a second how many records were acknowledged since: a run
//! goes from one such line to another, so neither Java's start nor the time in which it compiles itself is in it.

use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use super::install::{self, Installed};
use super::{Context, Engine, Mode, PARTITIONS, RECORD_BYTES};
use crate::figure::{Findings, Run};
use crate::meter::{Meter, Work};
use crate::process::Server;

/// Load after the broker's start, until it has compiled itself.
const BROKER_WARM_UP: Duration = Duration::from_secs(10);
/// Load of each producer that is not measured: it compiles itself.
const PRODUCER_WARM_UP: Duration = Duration::from_secs(3);
/// How often the producer says how far it is, in milliseconds.
const REPORT_MILLIS: u32 = 200;
/// Bytes that a partition keeps.
const RETENTION_BYTES: usize = 256 << 20;
const SEGMENT_BYTES: usize = 64 << 20;
/// The largest batch that the broker takes: a quarter of all that is ever outstanding fits.
const BATCH_MAX: usize = 4 << 20;
/// What a record takes in a batch besides its data, at most.
const RECORD_OVERHEAD: usize = 32;
/// What `kafka-run-class.sh` gives the broker.
const JAVA: [&str; 6] = [
    "-Xms1g",
    "-Xmx1g",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
];

#[derive(Clone, Copy)]
struct Shape {
    /// `buffer.memory`: the most that is sent or waits to be.
    buffer_bytes: usize,
    batch_bytes: usize,
    linger_millis: u32,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shape { buffer_bytes, batch_bytes, linger_millis } = self;
        write!(f, "buffer.memory={buffer_bytes} batch.size={batch_bytes} linger.ms={linger_millis}")
    }
}

struct Kafka {
    server: Server,
    _folder: tempfile::TempDir,
    /// Java's class path.
    jars: String,
    how: String,
    /// Whether every append is synced, or none.
    flush: bool,
}

pub(super) async fn run(context: &Context, findings: &mut Findings) -> Result<(), String> {
    let Installed { folder: installed, how } = install::kafka(&context.peers)?;
    let jars = format!("{}/jars/*", installed.display());
    for flush in [true, false] {
        let folder = context.empty_folder();
        let server = start(&jars, folder.path(), flush)?;
        let mut engine = Kafka { server, _folder: folder, jars: jars.clone(), how: how.clone(), flush };
        let most = engine.shapes(8_000)[0];
        engine.load(most, BROKER_WARM_UP).await?;
        super::measure(context, engine, findings).await;
    }
    Ok(())
}

/// Formats a folder, and starts a broker that is its own controller.
fn start(jars: &str, folder: &Path, flush: bool) -> Result<Server, String> {
    let (port, controller) = (super::free_port(), super::free_port());
    let file = folder.join("server.properties");
    let flush = if flush { "log.flush.interval.messages=1\n" } else { "" };
    let settings = format!(
        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.bootstrap.servers=127.0.0.1:{controller}\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{port}\ncontroller.listener.names=CONTROLLER\n\
         log.dirs={}\nnum.partitions={PARTITIONS}\noffsets.topic.replication.factor=1\n{flush}\
         log.retention.bytes={RETENTION_BYTES}\nlog.segment.bytes={SEGMENT_BYTES}\n\
         log.retention.check.interval.ms=1000\nlog.segment.delete.delay.ms=1000\nmessage.max.bytes={BATCH_MAX}\n\
         socket.send.buffer.bytes=-1\nsocket.receive.buffer.bytes=-1\n",
        folder.join("data").display(),
    );
    fs::write(&file, settings).map_err(|error| error.to_string())?;
    let formatted = Command::new("java")
        .args(["-cp", jars, "kafka.tools.StorageTool", "format", "--standalone", "-t"])
        .args(["thalweg-benchmark-0000", "-c"])
        .arg(&file)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("java: {error}"))?;
    if !formatted.status.success() {
        let said = [formatted.stdout, formatted.stderr].concat();
        return Err(install::end_of(&String::from_utf8_lossy(&said)));
    }
    let mut command = Command::new("java");
    command.args(JAVA).args(["-cp", jars, "kafka.Kafka"]).arg(file);
    super::start(command, port, folder)
}

impl Engine for Kafka {
    type Shape = Shape;

    fn mode(&self) -> Mode {
        let (mode, durability) = match self.flush {
            true => ("flush.messages=1", "durable before the answer"),
            false => ("default", "not durable before the answer: on the disk when the system writes it back"),
        };
        Mode {
            subject: format!("Apache Kafka {}, {mode}", install::KAFKA),
            durable: self.flush,
            install: self.how.clone(),
            command: format!(
                "one broker (KRaft), {}, {PARTITIONS} partitions, {mode}; client: \
                 org.apache.kafka.tools.ProducerPerformance, acks=all",
                JAVA.join(" ")
            ),
            durability,
        }
    }

    fn shapes(&self, outstanding: usize) -> Vec<Shape> {
        let buffer_bytes = outstanding * (RECORD_BYTES + RECORD_OVERHEAD);
        // Fewer batches are fewer syncs, and without any, smaller ones are moved more cheaply. A batch reserves its
        // whole size, so with the default linger it is full.
        let ways = match self.flush {
            true => [(2, 0), (4, 0), (4, 5), (8, 0), (8, 5), (32, 0)],
            false => [(4, 0), (8, 0), (8, 5), (16, 0), (32, 0), (32, 5)],
        };
        ways.into_iter()
            .map(|(batches, linger_millis)| (buffer_bytes / batches, linger_millis))
            .filter(|(batch_bytes, _)| *batch_bytes <= BATCH_MAX)
            .map(|(batch_bytes, linger_millis)| Shape { buffer_bytes, batch_bytes, linger_millis })
            .collect()
    }

    async fn load(&mut self, shape: Shape, duration: Duration) -> Result<Run, String> {
        let mut producer = Producer::start(&self.jars, &self.server.address, shape)?;
        producer.wait(PRODUCER_WARM_UP)?;
        let meter = Meter::start(&self.server, &[producer.child.id()]);
        let records = producer.wait(duration)?;
        let work = Work {
            requests: records,
            records,
            payload_bytes: records * RECORD_BYTES as u64,
            ..Work::default()
        };
        Ok(meter.stop(&self.server, work))
    }
}

/// The running tool, which is killed when dropped.
struct Producer {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Producer {
    fn start(jars: &str, address: &str, shape: Shape) -> Result<Producer, String> {
        let Shape { buffer_bytes, .. } = shape;
        // It would go on for ever if this program was killed.
        let mut child = Command::new("setpriv")
            .args([
                "--pdeathsig",
                "KILL",
                "java",
                "-Xmx512m",
                "-XX:+UseG1GC",
                "-cp",
                jars,
                "org.apache.kafka.tools.ProducerPerformance",
            ])
            .args(["--bootstrap-server", address, "--topic", "records", "--throughput", "-1"])
            .args(["--record-size", &RECORD_BYTES.to_string(), "--num-records", "1000000000"])
            .args(["--reporting-interval", &REPORT_MILLIS.to_string(), "--command-property", "acks=all"])
            .args(shape.to_string().split(' '))
            // All that may be outstanding fits in one request.
            .arg(format!("max.request.size={}", buffer_bytes.max(1 << 20)))
            .args(["send.buffer.bytes=-1", "receive.buffer.bytes=-1"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("java: {error}"))?;
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let mut producer = Producer { child, lines };
        // The first line ends the time in which it started.
        producer.next()?;
        Ok(producer)
    }

    /// Reads on until this has passed; answers the records that were acknowledged meanwhile.
    fn wait(&mut self, duration: Duration) -> Result<u64, String> {
        let until = std::time::Instant::now() + duration;
        let mut records = 0;
        while std::time::Instant::now() < until {
            records += self.next()?;
        }
        Ok(records)
    }

    /// Waits for the next report: `5012 records sent, 1002.4 records/sec (…`.
    fn next(&mut self) -> Result<u64, String> {
        let mut said = String::new();
        // What cannot be sent is told in other lines; they end with the tool.
        for line in self.lines.by_ref() {
            let line = line.map_err(|error| error.to_string())?;
            if let Some(records) = reported(&line) {
                return Ok(records);
            }
            said += &line;
            if line.contains("Exception") {
                break;
            }
        }
        Err(format!("the producer stopped: {}", install::end_of(&said)))
    }
}

/// The records in one of the tool's reports.
fn reported(line: &str) -> Option<u64> {
    line.split_once(" records sent, ")?.0.parse().ok()
}

impl Drop for Producer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::reported;

    #[test]
    fn only_reports_are_counted() {
        let line =
            "5012 records sent, 1002.4 records/sec (0.98 MB/sec), 3.2 ms avg latency, 45.0 ms max latency.";
        assert_eq!(reported(line), Some(5012));
        assert_eq!(reported("[2026-01-01] WARN no records sent, yet"), None);
        assert_eq!(reported("org.apache.kafka.common.errors.TimeoutException: expired"), None);
    }
}
