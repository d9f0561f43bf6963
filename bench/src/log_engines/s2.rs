//! s2-lite, the open server of S2's API, on a local folder that it syncs. Its records travel in HTTP calls as ours do,
//! so the same closed loop drives both, with prepared protobuf bodies; S2's own benchmark cannot be told how much to
//! keep outstanding and reads along.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use super::calls::{self, Shape, Verdict};
use super::install::{self, Installed};
use super::{Context, Engine, Mode, PARTITIONS, RECORD_BYTES, WARM_UP};
use crate::bodies;
use crate::client::Answer;
use crate::figure::{Findings, Run};
use crate::loopback;
use crate::meter::Meter;
use crate::process::Server;

/// Records in a call: it takes 1 MiB, in which every record costs a few bytes more than its data.
const BATCH_MAX: usize = 1_000;
/// Different prepared records, so that caches do not flatter: 8 MB.
const RECORDS: usize = 8_000;

struct S2<'a> {
    context: &'a Context,
    program: PathBuf,
    /// The library that keeps it on the loopback interface.
    preload: PathBuf,
    how: String,
}

pub(super) async fn run(context: &Context, findings: &mut Findings) -> Result<(), String> {
    let Installed { folder, how } = install::s2(&context.peers)?;
    let preload = loopback::compile(context.folder.path())?;
    super::measure(context, S2 { context, program: folder.join("bin/s2"), preload, how }, findings).await;
    Ok(())
}

impl Engine for S2<'_> {
    type Shape = Shape;

    fn mode(&self) -> Mode {
        Mode {
            subject: format!("s2-lite {}, local folder", install::S2),
            durable: true,
            install: self.how.clone(),
            command: format!(
                "s2 lite --local-root …, {PARTITIONS} streams; client: the generator, protobuf over HTTP/1.1"
            ),
            durability: "durable before the answer; it writes every 5 ms",
        }
    }

    fn shapes(&self, outstanding: usize) -> Vec<Shape> {
        [1, 4, 8, 16, 32]
            .into_iter()
            .map(|connections| Shape { batch: outstanding / connections, connections })
            .filter(|shape| (16..=BATCH_MAX).contains(&shape.batch))
            .collect()
    }

    async fn load(&mut self, shape: Shape, duration: Duration) -> Result<Run, String> {
        // A new server each time: it takes minutes to let go of what was deleted.
        let folder = self.context.empty_folder();
        let server = self.start(folder.path())?;
        let calls = Rc::new(calls(shape));
        calls::drive(&server.address, &calls, shape, WARM_UP, judge).await?;
        let meter = Meter::start(&server, &[]);
        let work = calls::drive(&server.address, &calls, shape, duration, judge).await?;
        Ok(meter.stop(&server, work))
    }
}

impl S2<'_> {
    fn start(&self, folder: &Path) -> Result<Server, String> {
        let streams: Vec<_> =
            (0..PARTITIONS).map(|stream| serde_json::json!({ "name": format!("s{stream}") })).collect();
        let init = serde_json::json!({ "basins": [{ "name": BASIN, "streams": streams }] });
        let file = folder.join("init.json");
        std::fs::write(&file, init.to_string()).map_err(|error| error.to_string())?;
        let data = folder.join("data");
        std::fs::create_dir(&data).map_err(|error| error.to_string())?;
        let port = super::free_port();
        let mut command = Command::new(&self.program);
        command.args(["lite", "--no-dashboard", "--port", &port.to_string(), "--init-file"]);
        command.arg(file).arg("--local-root").arg(data);
        // It listens on every interface and cannot be told otherwise.
        command.env("LD_PRELOAD", &self.preload);
        super::start(command, port, folder)
    }
}

const BASIN: &str = "thalweg-bench";

/// Prepared calls that carry [`RECORDS`] different records, to one stream after the other.
fn calls(shape: Shape) -> Vec<Vec<u8>> {
    let count = (RECORDS / shape.batch).max(shape.connections).next_multiple_of(PARTITIONS);
    (0..count)
        .map(|call| {
            let records = (0..shape.batch).map(|record| record_field(call * shape.batch + record));
            let body = records.collect::<Vec<_>>().concat();
            let mut request = format!(
                "POST /v1/streams/s{}/records HTTP/1.1\r\nhost: bench\r\ns2-basin: {BASIN}\r\n\
                 content-type: application/protobuf\r\naccept: application/protobuf\r\n\
                 content-length: {}\r\n\r\n",
                call % PARTITIONS,
                body.len()
            )
            .into_bytes();
            request.extend_from_slice(&body);
            request
        })
        .collect()
}

/// A record in an `AppendInput`: field 1, a message whose field 3 is the data.
fn record_field(seed: usize) -> Vec<u8> {
    let mut record = vec![3 << 3 | 2];
    varint(RECORD_BYTES, &mut record);
    record.extend_from_slice(&bodies::noise(seed as u64 + 1, RECORD_BYTES));
    let mut field = vec![1 << 3 | 2];
    varint(record.len(), &mut field);
    field.extend_from_slice(&record);
    field
}

fn varint(mut value: usize, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn judge(answer: &Answer) -> Verdict {
    if answer.status == 200 { Verdict::Written } else { Verdict::Wrong }
}
