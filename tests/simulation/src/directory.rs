//! A small data directory with a ring, segments and a catalog, and all that a server says of one.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use thalweg_journal_disk::Settings;
use thalweg_system::simulated::{Crash, SimulatedDisk};
use thalweg_types::Timestamp;

use crate::client::{Client, Outcome};
use crate::history::{arrival_millis, data_of};
use crate::machine::Machine;
use crate::verify::{ask, settle};
use crate::world::World;

const MADE_SECONDS: i64 = 1_700_000_000;
/// The directory is looked at so much later.
const AGE: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(60);
const KIB: usize = 1024;
/// The least that a directory has.
const DIRECTORY_BYTES_MIN: usize = 256 * KIB;
/// Calls before the directory has come to rest, and after that.
const CALLS_EARLY: u64 = 24;
const CALLS_LATE: u64 = 10;
const RECORDS_PER_CALL: u64 = 10;
const DATA_BYTES: usize = 150;

/// How the server that made the directory ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// In good order.
    Clean,
    /// At once, right after an answer.
    Crash,
}

/// What a server says of its data, by what it is about: each record is a fact, and so is each shard.
pub(crate) type Facts = BTreeMap<String, String>;

/// All that a reader was told, and what could not be read: the beginnings of its facts' names.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) facts: Facts,
    pub(crate) unreadable: Vec<String>,
}

/// A directory and what must be read from it.
pub(crate) struct Directory {
    pub(crate) disk: SimulatedDisk,
    pub(crate) facts: Facts,
    /// Of these, what the last batch brought.
    pub(crate) last: BTreeSet<String>,
}

/// Small: every bit of it is flipped, and each costs a start.
fn settings() -> Settings {
    Settings {
        slot_bytes_first: 64 * KIB as u64,
        slot_bytes: 64 * KIB as u64,
        ring_bytes_max: 192 * KIB as u64,
        ..Settings::tiny()
    }
}

/// Lets a server make one.
///
/// # Panics
/// When it is not as it should be.
pub(crate) fn make(end: End) -> Directory {
    let (spawn, mut machine) =
        Machine::alone(SimulatedDisk::new(), 1, Timestamp::from_seconds(MADE_SECONDS), settings());
    let world = Arc::clone(&machine.world);
    let before = spawn.block_on(async {
        machine.start().await.expect("an empty disk is no hindrance");
        let mut client = world.client(PATIENCE);
        for (name, shards) in [("orders", 2), ("payments", 1)] {
            ask(&mut client, "CreateStream", &json!({"StreamName": name, "ShardCount": shards})).await;
            assert!(settle(&world, &mut client, name).await, "it was just made");
        }
        ask(&mut client, "AddTagsToStream", &json!({"StreamName": "orders", "Tags": {"team": "sales"}}))
            .await;
        put(&mut client, 0..CALLS_EARLY).await;
        let split = json!({
            "StreamName": "orders", "ShardToSplit": "shardId-000000000000", "NewStartingHashKey": "1000",
        });
        ask(&mut client, "SplitShard", &split).await;
        assert!(settle(&world, &mut client, "orders").await, "nobody deletes it");
        // Long enough for everything to be drained.
        world.clock.sleep(AGE).await;
        put(&mut client, CALLS_EARLY..CALLS_EARLY + CALLS_LATE).await;
        let before = read(&world).await;
        assert!(before.unreadable.is_empty(), "nothing is damaged");
        put(&mut client, CALLS_EARLY + CALLS_LATE..CALLS_EARLY + CALLS_LATE + 1).await;
        if end == End::Clean {
            machine.shut_down().await;
        }
        before.facts
    });
    machine.crash(Crash::Process);
    let disk = machine.disk.clone();
    let bytes: usize = disk.files().iter().map(|path| disk.content(path).expect("it was listed").len()).sum();
    assert!(bytes >= DIRECTORY_BYTES_MIN, "the directory has {bytes} bytes");
    let facts = look(disk.copy()).expect("nothing is damaged").facts;
    let last: BTreeSet<String> = facts.keys().filter(|name| !before.contains_key(*name)).cloned().collect();
    assert!(before.iter().all(|(name, fact)| facts.get(name) == Some(fact)), "a start changes nothing");
    assert_eq!(last.len() as u64, RECORDS_PER_CALL, "all of the last call is there");
    let last = if end == End::Clean { BTreeSet::new() } else { last };
    Directory { disk, facts, last }
}

/// Makes the calls of these numbers, to the streams in turn.
async fn put(client: &mut Client, calls: Range<u64>) {
    for call in calls {
        let records: Vec<Value> = (0..RECORDS_PER_CALL)
            .map(|record| {
                let record = call * RECORDS_PER_CALL + record;
                let data = base64_simd::STANDARD.encode_to_string(data_of(record, DATA_BYTES));
                json!({"PartitionKey": format!("key-{}", record % 7), "Data": data})
            })
            .collect();
        let stream = if call % 2 == 0 { "orders" } else { "payments" };
        let answer = ask(client, "PutRecords", &json!({"StreamName": stream, "Records": records})).await;
        assert_eq!(answer["FailedRecordCount"], 0, "nothing hinders it");
    }
}

/// Starts a server on this disk and reads everything; or why it did not start.
pub(crate) fn look(disk: SimulatedDisk) -> Result<Told, String> {
    let (spawn, mut machine) =
        Machine::alone(disk, 1, Timestamp::from_seconds(MADE_SECONDS).plus(2 * AGE), settings());
    let world = Arc::clone(&machine.world);
    let told = spawn.block_on(async {
        machine.start().await?;
        Ok(read(&world).await)
    });
    machine.crash(Crash::Process);
    told
}

/// Reads everything that the server has.
async fn read(world: &World) -> Told {
    let mut client = world.client(PATIENCE);
    let mut told = Told::default();
    let Some(answer) = try_ask(&mut client, "ListStreams", json!({}), "", &mut told).await else {
        return told;
    };
    for stream in answer["StreamNames"].as_array().expect("there are names") {
        let stream = stream.as_str().expect("names are texts");
        told.facts.insert(format!("{stream}:"), String::new());
        let begin = format!("{stream}:");
        let name = json!({"StreamName": stream});
        let Some(tags) = try_ask(&mut client, "ListTagsForStream", name.clone(), &begin, &mut told).await
        else {
            continue;
        };
        told.facts.insert(format!("{begin}tags"), tags["Tags"].to_string());
        let Some(shards) = try_ask(&mut client, "ListShards", name, &begin, &mut told).await else {
            continue;
        };
        for shard in shards["Shards"].as_array().expect("there are shards") {
            let id = shard["ShardId"].as_str().expect("shards have ids");
            told.facts.insert(format!("{begin}{id}"), shard.to_string());
            read_shard(&mut client, stream, id, &mut told).await;
        }
    }
    told
}

async fn read_shard(client: &mut Client, stream: &str, shard: &str, told: &mut Told) {
    let begin = format!("{stream}:{shard}:");
    let body = json!({"StreamName": stream, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"});
    let Some(answer) = try_ask(client, "GetShardIterator", body, &begin, told).await else { return };
    let mut iterator = answer["ShardIterator"].clone();
    loop {
        let Some(answer) =
            try_ask(client, "GetRecords", json!({"ShardIterator": iterator}), &begin, told).await
        else {
            return;
        };
        let records = answer["Records"].as_array().expect("there are records");
        for record in records {
            let part = |name: &str| record[name].as_str().expect("records have all parts");
            // As the expectations of stored directories have it.
            let fact = format!("{} {} {}", part("PartitionKey"), part("Data"), arrival_millis(record));
            told.facts.insert(begin.clone() + part("SequenceNumber"), fact);
        }
        iterator = answer["NextShardIterator"].clone();
        if iterator.is_null() || (records.is_empty() && answer["MillisBehindLatest"] == 0) {
            return;
        }
    }
}

/// `None` when the server could not; then what begins with `begin` is not known.
///
/// # Panics
/// When it refuses: the call is right.
async fn try_ask(
    client: &mut Client,
    operation: &str,
    body: Value,
    begin: &str,
    told: &mut Told,
) -> Option<Value> {
    match client.call(operation, &body).await {
        Outcome::Success(answer) => Some(answer),
        Outcome::Unknown => {
            told.unreadable.push(begin.to_owned());
            None
        }
        outcome => panic!("{operation} {body}: {outcome:?}"),
    }
}
