//! The real program on a real disk for hours, used by the clients of the simulation, with kills now and then: nothing that
//! it holds grows, no rule is broken, and when everything is deleted all room is given back.
//!
//! ```text
//!   round     | one long life, looked at every so often | kill | kill | kill |
//! ```

#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // a whole program: processes, files, their times

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;
use thalweg_system::os::OsClock;
use tokio::task::JoinSet;

use crate::counters::Counters;
use crate::kills::Victim;
use crate::process::{Process, Tcp, free_address, must_not_panic, runtime, spawn_all};
use crate::run::actors;
use crate::verify::{ask, settle, verify};
use crate::vitals::{Reading, Vitals};
use crate::world::World;

const PRODUCERS: u64 = 8;
/// A steady load, not the most that is possible: a driver that remembers everything for hours must have room for it.
const LEISURE_PERCENT: u64 = 400;
/// Long lives in a run.
const ROUNDS: u32 = 4;
/// Of each round, in percent, the long life; kills in the rest.
const LIFE_PERCENT: u32 = 80;
const KILLS: u32 = 5;
/// Looks at a long life. The first third of them is for what fills up once: caches, pools, the allocator.
const LOOKS: u32 = 30;
/// What may be more in the last third of a life than in the second: memory and files that come and go with the load.
const MEMORY_MORE: usize = 32 << 20;
const FILES_MORE: usize = 32;
/// How long a server may take to give back the room of streams that are deleted, and between two looks at that.
const GIVEN_BACK_MAX: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs for so long, and prints what it saw in each long life; answers what was met.
///
/// # Panics
/// When a rule is broken, something grows, or room is not given back.
pub fn soak(seed: u64, victim: &Victim, time: Duration) -> Counters {
    let data = TempDir::new_in(&victim.folder).expect("the folder is there");
    let address = free_address();
    let world = World::new(seed, Arc::new(Tcp(address)), Arc::new(OsClock::new()), LEISURE_PERCENT);
    let start = || victim.start(data.path(), address);
    runtime().block_on(async {
        let mut process = start().ready();
        let mut running = spawn_all(actors(&world, PRODUCERS, victim.operations));
        for round in 1..=ROUNDS {
            let life = time / ROUNDS * LIFE_PERCENT / 100;
            let seen = look(&process, &mut running, life).await;
            report(round, &seen, data.path());
            check_growth(&seen);
            for _ in 0..KILLS {
                process.kill();
                world.count("kills");
                process = start().ready();
                wait(&mut running, (time / ROUNDS - life) / KILLS).await;
            }
        }
        running.shutdown().await;
        verify(&world).await;
        process.end();
        process = start().ready();
        verify(&world).await;
        delete_all(&world).await;
        until_given_back(data.path()).await;
        process.end();
    });
    let mut counters = world.counters().clone();
    counters.add("calls", world.calls());
    counters
}

async fn wait(running: &mut JoinSet<()>, time: Duration) {
    tokio::time::sleep(time).await;
    while let Some(ended) = running.try_join_next() {
        must_not_panic(ended);
    }
}

async fn look(process: &Process, running: &mut JoinSet<()>, time: Duration) -> Vec<Reading> {
    let vitals = Vitals::of(process.id());
    let mut seen = Vec::new();
    for _ in 0..LOOKS {
        wait(running, time / LOOKS).await;
        seen.push(vitals.now());
    }
    seen
}

fn report(round: u32, seen: &[Reading], data: &Path) {
    let thirds = seen.chunks(seen.len().div_ceil(3)).map(most);
    let thirds: Vec<String> =
        thirds.map(|most| format!("{} MiB, {} files", most.bytes >> 20, most.files)).collect();
    println!("round {round}: at most {}; {} MiB on disk", thirds.join(", then "), bytes_below(data) >> 20);
}

/// The most of each.
fn most(seen: &[Reading]) -> Reading {
    let bytes = seen.iter().map(|reading| reading.bytes).max();
    let files = seen.iter().map(|reading| reading.files).max();
    Reading { bytes: bytes.unwrap_or_default(), files: files.unwrap_or_default() }
}

fn check_growth(seen: &[Reading]) {
    let third = seen.len() / 3;
    let (before, after) = (most(&seen[third..2 * third]), most(&seen[2 * third..]));
    assert!(after.bytes <= before.bytes + MEMORY_MORE, "memory grows: {seen:?}");
    assert!(after.files <= before.files + FILES_MORE, "open files grow: {seen:?}");
}

async fn delete_all(world: &World) {
    let mut client = world.client(PATIENCE);
    let streams = world.history().streams();
    for stream in streams {
        if settle(world, &mut client, &stream).await {
            world.history().ask_delete(&stream);
            // Consumers may be left.
            let body = json!({"StreamName": stream, "EnforceConsumerDeletion": true});
            ask(&mut client, "DeleteStream", &body).await;
            world.history().deleted(&stream);
        }
    }
}

/// Waits until no segment is left.
async fn until_given_back(data: &Path) {
    let began = Instant::now();
    let segments = data.join("seg");
    while bytes_below(&segments) > 0 {
        assert!(began.elapsed() < GIVEN_BACK_MAX, "{} bytes of deleted streams stay", bytes_below(&segments));
        tokio::time::sleep(PAUSE).await;
    }
}

/// Of all files below a folder, some of which may go meanwhile.
fn bytes_below(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let of_entry = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.flatten().map(of_entry).sum()
}
