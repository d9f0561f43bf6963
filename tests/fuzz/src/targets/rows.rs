//! The catalog's rows as the service reads them at its start, and a service that starts with them. The input is lines:
//! a key (without the `streams/` that all have), a space, a value. Its shards are in the journal, too.

use std::sync::Arc;

use bytes::Bytes;
use thalweg_catalog::{Catalog, MemoryCatalog, Write};
use thalweg_journal::Journal;
use thalweg_journal_memory::{Knobs, MemoryJournal};
use thalweg_system::simulated::{ManualClock, SimulatedSpawn};
use thalweg_types::{ShardIndex, ShardKey, StreamId, Timestamp};
use thalweg_wire::Protocol;

use super::Target;
use crate::world::World;

pub(crate) const TARGET: Target = Target { name: "rows", run, seeds, bytes_max: 4096, mutations: 1000 };

const PREFIX: &str = "streams/";
const NOW: Timestamp = Timestamp::from_millis(1_700_000_100_000);
/// Rows of one input.
const ROWS_MAX: usize = 64;

fn run(bytes: &[u8]) {
    let clock = ManualClock::new(NOW);
    let catalog = Arc::new(MemoryCatalog::new());
    let journal = Arc::new(MemoryJournal::new(Arc::new(clock.clone()), Knobs::default()));
    let spawn = SimulatedSpawn::new(1, clock.clone());
    spawn.block_on(async {
        for line in bytes.split(|byte| *byte == b'\n').take(ROWS_MAX) {
            let Some(space) = line.iter().position(|byte| *byte == b' ') else { continue };
            let (key, value) = (&line[..space], &line[space + 1..]);
            let row = Write::Put([PREFIX.as_bytes(), key].concat().into(), Bytes::copy_from_slice(value));
            catalog.commit(vec![], vec![row]).await.expect("it is in memory");
            if let Some(shard) = shard_of(key) {
                journal.open_shards(shard.stream, &[shard.shard]).await.expect("it is in memory");
                if value.windows(8).any(|part| part == b"\"closed\"") {
                    journal.seal(&[shard]).await.expect("it is in memory");
                }
            }
        }
    });
    let Ok(world) = World::over(clock, catalog, journal) else { return };
    for (operation, body) in [
        ("ListStreams", r#"{}"#),
        ("DescribeStream", r#"{"StreamName":"s"}"#),
        ("ListShards", r#"{"StreamName":"s"}"#),
        ("PutRecord", r#"{"StreamName":"s","Data":"aGk=","PartitionKey":"k"}"#),
        ("GetShardIterator", r#"{"StreamName":"s","ShardId":"0","ShardIteratorType":"LATEST"}"#),
        ("UpdateShardCount", r#"{"StreamName":"s","TargetShardCount":3,"ScalingType":"UNIFORM_SCALING"}"#),
        ("DeleteStream", r#"{"StreamName":"s"}"#),
    ] {
        let _ = world.ordinary(operation, Protocol::AwsJson11, &Bytes::from_static(body.as_bytes()));
        world.pass(1000);
    }
}

/// The shard whose row has this key.
fn shard_of(key: &[u8]) -> Option<ShardKey> {
    let (stream, shard) = std::str::from_utf8(key).ok()?.strip_prefix("shard/")?.split_once('/')?;
    let stream = StreamId(u64::from_str_radix(stream, 16).ok()?);
    Some(ShardKey { stream, shard: ShardIndex(u32::from_str_radix(shard, 16).ok()?) })
}

fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let lines = |calls: &[(&str, &str)]| {
        let clock = ManualClock::new(NOW);
        let catalog: Arc<dyn Catalog> = Arc::new(MemoryCatalog::new());
        let journal = Arc::new(MemoryJournal::new(Arc::new(clock.clone()), Knobs::default()));
        let world = World::over(clock, Arc::clone(&catalog), journal).expect("nothing is there yet");
        for (operation, body) in calls {
            let body = Bytes::copy_from_slice(body.as_bytes());
            world.ordinary(operation, Protocol::AwsJson11, &body).expect("seeds are right");
            world.pass(100);
        }
        let rows = world.spawn.block_on(catalog.scan(b"", None, ROWS_MAX)).expect("it is in memory");
        let mut lines = Vec::new();
        for row in rows {
            lines.extend_from_slice(&row.key[PREFIX.len()..]);
            lines.push(b' ');
            lines.extend_from_slice(&row.value);
            lines.push(b'\n');
        }
        lines
    };
    let create = ("CreateStream", r#"{"StreamName":"s","ShardCount":2,"Tags":{"a":"b"}}"#);
    let arn = r#""arn:aws:kinesis:us-east-1:000000000000:stream/s""#;
    let consumer = format!(r#"{{"StreamARN":{arn},"ConsumerName":"c"}}"#);
    let policy =
        format!(r#"{{"ResourceARN":{arn},"Policy":"{{\"Version\":\"2012-10-17\",\"Statement\":[]}}"}}"#);
    let split = r#"{"StreamName":"s","ShardToSplit":"shardId-000000000000","NewStartingHashKey":"1000"}"#;
    vec![
        ("empty", lines(&[])),
        ("stream", lines(&[create, ("RegisterStreamConsumer", &consumer)])),
        ("resharded", lines(&[create, ("SplitShard", split)])),
        ("deleted", lines(&[create, ("DeleteStream", r#"{"StreamName":"s"}"#)])),
        (
            "metrics",
            lines(&[
                create,
                ("EnableEnhancedMonitoring", r#"{"StreamName":"s","ShardLevelMetrics":["ALL"]}"#),
                ("PutResourcePolicy", &policy),
            ]),
        ),
    ]
}
