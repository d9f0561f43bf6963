//! Redis Streams with its append-only file, driven by `redis-benchmark`.

use std::fmt;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::install::{self, Installed};
use super::{Context, Engine, Mode, RECORD_BYTES, WARM_UP};
use crate::bodies;
use crate::figure::{Findings, Run};
use crate::meter::{Meter, Work};
use crate::process::Server;

/// Entries that the stream keeps, about; they are in memory.
const ENTRIES_KEPT: usize = 100_000;
/// The append-only file is rewritten beyond this: what a few seconds write is below it.
const REWRITE_SIZE: &str = "2gb";
/// A run is sized by the rate of the one before; this much is added, so that it lasts as long as was asked.
const MARGIN: f64 = 1.15;

#[derive(Clone, Copy)]
struct Shape {
    connections: usize,
    pipeline: usize,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "-c {} -P {}", self.connections, self.pipeline)
    }
}

struct Redis<'a> {
    context: &'a Context,
    binaries: PathBuf,
    /// Where its shared libraries are.
    libraries: PathBuf,
    how: String,
    /// `always` or `everysec`.
    fsync: &'static str,
}

pub(super) async fn run(context: &Context, findings: &mut Findings) -> Result<(), String> {
    let Installed { folder, how } = install::redis(&context.peers)?;
    let libraries = fs::read_dir(folder.join("usr/lib"))
        .map_err(|error| error.to_string())?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.to_string_lossy().ends_with("-linux-gnu"))
        .ok_or("the packages have no libraries")?;
    for fsync in ["always", "everysec"] {
        let (binaries, libraries, how) = (folder.join("usr/bin"), libraries.clone(), how.clone());
        super::measure(context, Redis { context, binaries, libraries, how, fsync }, findings).await;
    }
    Ok(())
}

impl Engine for Redis<'_> {
    type Shape = Shape;

    fn mode(&self) -> Mode {
        let durable = self.fsync == "always";
        Mode {
            subject: format!("Redis {}, appendfsync {}", install::REDIS, self.fsync),
            durable,
            install: self.how.clone(),
            command: format!(
                "redis-server --save '' --appendonly yes --appendfsync {} --auto-aof-rewrite-min-size \
                 {REWRITE_SIZE}; client: redis-benchmark -c … -P … XADD stream MAXLEN ~ {ENTRIES_KEPT} * d RECORD",
                self.fsync
            ),
            durability: if durable {
                "durable before the answer"
            } else {
                "not durable before the answer: on the disk within about a second"
            },
        }
    }

    fn shapes(&self, outstanding: usize) -> Vec<Shape> {
        // A turn of its event loop, which ends with one sync, takes 16 KiB from each connection.
        [4, 16, 64, 256, 512]
            .into_iter()
            .filter(|connections| *connections <= outstanding)
            .map(|connections| Shape { connections, pipeline: outstanding / connections })
            .collect()
    }

    async fn load(&mut self, shape: Shape, duration: Duration) -> Result<Run, String> {
        let folder = self.context.empty_folder();
        let server = self.start(folder.path())?;
        // A few rounds say how many are a second's.
        let mut count = shape.connections * shape.pipeline * 10;
        for _ in 0..2 {
            let meter = Meter::start(&server, &[]);
            self.add(&server, shape, count)?;
            let run = meter.stop(&server, Work { records: count as u64, ..Work::default() });
            count = count.max((run.records_per_second() * WARM_UP.as_secs_f64()) as usize);
        }
        loop {
            let before = entries_added(&server)?;
            let meter = Meter::start(&server, &[]);
            self.add(&server, shape, count)?;
            // It answers no error to its caller: the stream says what was added.
            let records = entries_added(&server)? - before;
            if records < count as u64 {
                return Err(format!("{} of {count} were not added", count as u64 - records));
            }
            let work = Work {
                requests: records,
                records,
                payload_bytes: records * RECORD_BYTES as u64,
                ..Work::default()
            };
            let run = meter.stop(&server, work);
            if run.seconds >= duration.as_secs_f64() {
                return Ok(run);
            }
            count = (run.records_per_second() * duration.as_secs_f64() * MARGIN) as usize;
        }
    }
}

impl Redis<'_> {
    fn start(&self, folder: &std::path::Path) -> Result<Server, String> {
        let port = super::free_port();
        let mut command = Command::new(self.binaries.join("redis-server"));
        command
            .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--dir"])
            .arg(folder)
            .args(["--save", "", "--appendonly", "yes", "--appendfsync", self.fsync])
            .args(["--auto-aof-rewrite-min-size", REWRITE_SIZE])
            .env("LD_LIBRARY_PATH", &self.libraries);
        super::start(command, port, folder)
    }

    /// Adds so many entries, or up to a pipeline more.
    fn add(&self, server: &Server, shape: Shape, count: usize) -> Result<(), String> {
        let port = server.address.rsplit(':').next().expect("it has a port");
        let record = base64_simd::STANDARD.encode_to_string(bodies::noise(1, RECORD_BYTES / 4 * 3));
        let output = Command::new(self.binaries.join("redis-benchmark"))
            .args(["-h", "127.0.0.1", "-p", port, "-q"])
            .args(["-c", &shape.connections.to_string(), "-P", &shape.pipeline.to_string()])
            .args(["-n", &count.to_string()])
            .args(["XADD", "stream", "MAXLEN", "~", &ENTRIES_KEPT.to_string(), "*", "d", &record])
            .env("LD_LIBRARY_PATH", &self.libraries)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(());
        }
        Err(install::end_of(&String::from_utf8_lossy(&[output.stdout, output.stderr].concat())))
    }
}

/// How many entries the stream ever had.
fn entries_added(server: &Server) -> Result<u64, String> {
    let ask = || -> std::io::Result<String> {
        let mut connection = TcpStream::connect(&server.address)?;
        connection.write_all(b"XINFO STREAM stream\r\nQUIT\r\n")?;
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    let answer = ask().map_err(|error| error.to_string())?;
    let after = answer.split_once("entries-added\r\n:").map(|(_, after)| after);
    let number = after.and_then(|after| after.split("\r\n").next()?.parse().ok());
    number.ok_or_else(|| format!("XINFO: {}", install::end_of(&answer)))
}
