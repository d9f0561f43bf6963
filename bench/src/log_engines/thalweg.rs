//! This project's server, asked in the ways of its own protocol.

use std::rc::Rc;
use std::time::Duration;

use super::calls::{self, Shape, Verdict};
use super::{Context, Engine, Mode, PARTITIONS, RECORD_BYTES, WARM_UP};
use crate::bodies::{self, Encoding};
use crate::client::{Answer, Client};
use crate::figure::{Findings, Run, THALWEG};
use crate::meter::{Meter, Work};
use crate::process::Server;

/// The most records in a PutRecords.
const BATCH_MAX: usize = 500;
/// Different prepared records, so that caches do not flatter: 8 MB.
const RECORDS: usize = 8_000;

/// Which operation carries the records.
#[derive(Clone, Copy)]
enum Operation {
    PutRecord,
    PutRecords(Encoding),
}

struct Thalweg {
    server: Server,
    _folder: tempfile::TempDir,
    operation: Operation,
    /// Every load has a stream of its own, which is deleted after it.
    streams: usize,
}

/// Measures every operation.
pub(super) async fn run(context: &Context, findings: &mut Findings) -> Result<(), String> {
    let operations =
        [Operation::PutRecords(Encoding::Json), Operation::PutRecords(Encoding::Cbor), Operation::PutRecord];
    for operation in operations {
        let folder = context.empty_folder();
        let data = folder.path().join("data");
        let data = data.to_str().ok_or("the data folder's name is not UTF-8")?;
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--data-dir", data, "--threads", "1"];
        let server = Server::start(&context.thalweg, &arguments, folder.path());
        let engine = Thalweg { server, _folder: folder, operation, streams: 0 };
        super::measure(context, engine, findings).await;
    }
    Ok(())
}

impl Engine for Thalweg {
    type Shape = Shape;

    fn mode(&self) -> Mode {
        let asked = match self.operation {
            Operation::PutRecord => "PutRecord, JSON".to_owned(),
            Operation::PutRecords(encoding) => format!("PutRecords, {}", encoding.name()),
        };
        Mode {
            subject: format!("{THALWEG}, {asked}"),
            durable: true,
            install: "this checkout".to_owned(),
            command: format!(
                "thalweg serve --data-dir … --threads 1; a stream of {PARTITIONS} shards; client: the generator, \
                 HTTP/1.1"
            ),
            durability: "durable before the answer",
        }
    }

    fn shapes(&self, outstanding: usize) -> Vec<Shape> {
        match self.operation {
            // More connections than this measure the generator.
            Operation::PutRecord if outstanding > 500 => Vec::new(),
            Operation::PutRecord => vec![Shape { batch: 1, connections: outstanding }],
            Operation::PutRecords(_) => [1, 2, 4, 8, 16, 64]
                .into_iter()
                .map(|connections| Shape { batch: outstanding / connections, connections })
                .filter(|shape| shape.batch <= BATCH_MAX && shape.batch * 4 >= BATCH_MAX.min(outstanding))
                .collect(),
        }
    }

    async fn load(&mut self, shape: Shape, duration: Duration) -> Result<Run, String> {
        self.streams += 1;
        let stream = format!("load-{}", self.streams);
        let members = [("StreamName", stream.as_str().into()), ("ShardCount", PARTITIONS.into())];
        self.control("CreateStream", &members).await;
        let calls = Rc::new(self.calls(&stream, shape.batch));
        self.drive(&calls, shape, WARM_UP).await;
        let meter = Meter::start(&self.server, &[]);
        let work = self.drive(&calls, shape, duration).await;
        let run = meter.stop(&self.server, work);
        self.control("DeleteStream", &members[..1]).await;
        Ok(run)
    }
}

impl Thalweg {
    /// # Panics
    /// When anything fails: other engines may be missing from the report, but not this one.
    async fn drive(&self, calls: &Rc<Vec<Vec<u8>>>, shape: Shape, duration: Duration) -> Work {
        let outcome = calls::drive(&self.server.address, calls, shape, duration, judge).await;
        outcome.unwrap_or_else(|reason| panic!("PutRecords or PutRecord: {reason}"))
    }

    async fn control(&self, operation: &str, members: &[(&str, serde_json::Value)]) {
        let mut client = Client::connect(&self.server.address).await;
        let body = bodies::flat(Encoding::Json, members);
        let answer = client.call(&bodies::request(operation, Encoding::Json, &body)).await;
        assert_eq!(answer.status, 200, "{operation}: {}", String::from_utf8_lossy(answer.body));
    }

    /// Prepared calls that carry [`RECORDS`] different records.
    fn calls(&self, stream: &str, batch: usize) -> Vec<Vec<u8>> {
        let seeds = 0..(RECORDS / batch) as u64;
        match self.operation {
            Operation::PutRecord => seeds.map(|seed| put_record(stream, seed)).collect(),
            Operation::PutRecords(encoding) => seeds
                .map(|seed| bodies::put_records(encoding, stream, seed, batch, RECORD_BYTES))
                .map(|body| bodies::request("PutRecords", encoding, &body))
                .collect(),
        }
    }
}

fn put_record(stream: &str, seed: u64) -> Vec<u8> {
    let data = base64_simd::STANDARD.encode_to_string(bodies::noise(seed + 1, RECORD_BYTES));
    let key = format!("key-{seed:08}");
    let members = [("StreamName", stream.into()), ("PartitionKey", key.into()), ("Data", data.into())];
    bodies::request("PutRecord", Encoding::Json, &bodies::flat(Encoding::Json, &members))
}

/// The name of a member in JSON and in CBOR alike.
const FAILED: &[u8] = b"FailedRecordCount";

/// Success, of every record in the call.
fn judge(answer: &Answer) -> Verdict {
    if answer.status != 200 {
        let throttled = memchr::memmem::find(answer.body, b"ProvisionedThroughputExceeded").is_some();
        return if throttled { Verdict::SlowDown } else { Verdict::Wrong };
    }
    match memchr::memmem::find(answer.body, FAILED) {
        // After the name: `":0` in JSON, a zero in CBOR. The answer to PutRecord has no such member.
        Some(at) => match &answer.body[at + FAILED.len()..] {
            [b'"', b':', b'0', ..] | [0, ..] => Verdict::Written,
            _ => Verdict::Wrong,
        },
        None if memchr::memmem::find(answer.body, b"SequenceNumber").is_some() => Verdict::Written,
        None => Verdict::Wrong,
    }
}

#[cfg(test)]
mod tests {
    use super::{Verdict, judge};
    use crate::client::Answer;

    #[test]
    fn only_a_call_whose_records_were_all_written_counts() {
        let check = |status, body: &[u8], expected: Verdict| {
            let said = String::from_utf8_lossy(body).into_owned();
            assert_eq!(judge(&Answer { status, body }), expected, "{status} {said}");
        };
        check(200, b"{\"FailedRecordCount\":0,\"Records\":[]}", Verdict::Written);
        check(200, b"{\"FailedRecordCount\":1,\"Records\":[]}", Verdict::Wrong);
        check(200, b"\xa2\x71FailedRecordCount\x00\x67Records\x80", Verdict::Written);
        check(200, b"\xa2\x71FailedRecordCount\x01\x67Records\x80", Verdict::Wrong);
        check(200, b"{\"SequenceNumber\":\"49\",\"ShardId\":\"shardId-0\"}", Verdict::Written);
        check(200, b"", Verdict::Wrong);
        check(400, b"{\"__type\":\"ProvisionedThroughputExceededException\"}", Verdict::SlowDown);
        check(400, b"{\"__type\":\"ResourceNotFoundException\"}", Verdict::Wrong);
        check(500, b"{\"FailedRecordCount\":0}", Verdict::Wrong);
    }
}
