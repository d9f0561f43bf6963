//! The real program on a real disk under load, its calls to the disk traced, and the power cut after each of them: what a
//! server finds then is put together from the calls, and is held against what clients knew by then.
//!
//! ```text
//!   trace     lives of the program under strace, with the clients of the simulation; some are killed
//!   replay    its calls, made again on a simulated disk, which knows what is durable
//!   cut       after each call: nothing that is not durable, or some of it and of the calls under way;
//!             a server starts on that, simulated, and everything is verified
//! ```
//!
//! Cut number `n` comes right before the call `n` ends: everything is known that a client knew by then.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // a whole program: its files, and its time

mod replay;
mod trace;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use tempfile::TempDir;
use thalweg_journal_disk::Settings;
use thalweg_system::os::OsClock;
use thalweg_system::simulated::{Crash, ManualClock, SimulatedDisk};
use thalweg_types::Timestamp;

use crate::counters::Counters;
use crate::history::{Event, History, data_of};
use crate::machine::Machine;
use crate::process::{Process, Tcp, free_address, must_not_panic, runtime, serve, spawn_all};
use crate::run::actors;
use crate::verify::{ask, settle, verify};
use crate::world::World;
use replay::{Replay, outcome};
use trace::{Call, Micros, What, calls, tracer};

const PRODUCERS: u64 = 4;
const LEISURE_PERCENT: u64 = 20;
/// How long the program lives between two ends.
const LIFE_MILLIS: u64 = 2_000;
/// Records that have expired when the trace begins are so old…
const OLD: Duration = Duration::from_secs(30 * 3600);
/// …and so many calls put them there.
const OLD_CALLS: u64 = 40;
const OLD_RECORDS_PER_CALL: u64 = 20;
const OLD_DATA_BYTES: usize = 300;
const PATIENCE: Duration = Duration::from_secs(60);
/// Calls under way at a cut are looked for among so many that end next.
const UNDER_WAY_MAX: usize = 64;

/// What is traced, and which of its calls the power is cut at.
#[derive(Clone, Debug)]
pub struct Traced {
    /// The program.
    pub program: PathBuf,
    /// A folder on the disk to be used.
    pub folder: PathBuf,
    /// Calls that all clients make together, give or take a few.
    pub operations: u64,
    /// The power is cut at every so many calls…
    pub every: usize,
    /// …from this one on.
    pub from: usize,
}

/// What the program did, and what clients knew of it.
struct Story {
    /// What was there at first.
    before: SimulatedDisk,
    calls: Vec<Call>,
    events: Vec<(Micros, Event)>,
}

/// Traces the program, and cuts its power; answers what was met.
///
/// # Panics
/// When a rule is broken, or there is no `strace`.
pub fn power_cuts(seed: u64, traced: &Traced) -> Counters {
    let mut counters = Counters::default();
    let story = tell(seed, traced, &mut counters);
    cut_everywhere(seed, traced, &story, &mut counters);
    counters
}

fn now() -> Micros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970");
    u64::try_from(since.as_micros()).expect("it is earlier than that")
}

fn tell(seed: u64, traced: &Traced, counters: &mut Counters) -> Story {
    let folder = TempDir::new_in(&traced.folder).expect("the folder is there");
    let root = folder.path().canonicalize().expect("it is there").join("data");
    let before = old_directory(seed);
    write_directory(&before, &root);
    let address = free_address();
    let world = World::new(seed, Arc::new(Tcp(address)), Arc::new(OsClock::new()), LEISURE_PERCENT);
    let events: Arc<Mutex<Vec<(Micros, Event)>>> = Arc::default();
    let recorded = Arc::clone(&events);
    world.history().record(move |event| recorded.lock().expect("it does not panic").push((now(), event)));
    let mut all = Vec::new();
    runtime().block_on(async {
        let mut running = spawn_all(actors(&world, PRODUCERS, traced.operations));
        for life in 0.. {
            let file = folder.path().join(format!("trace-{life}"));
            let command = serve(&traced.program, &root, address);
            let mut tracer = tracer(&file);
            tracer.arg(command.get_program()).args(command.get_args()).arg("--small-files");
            let process = Process::start(&mut tracer).ready_under_another(&root);
            let is_last = tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(LIFE_MILLIS)) => false,
                () = async { while let Some(ended) = running.join_next().await {
                    must_not_panic(ended);
                } } => true,
            };
            if is_last {
                verify(&world).await;
                process.end();
            } else {
                process.kill();
                world.count("kills");
            }
            // Before the next life changes what the killed one left.
            let ended = now();
            all.extend(calls(&file, &root).into_iter().filter_map(|call| match call.ended {
                Some(_) => Some(call),
                None => outcome(call.what, &root).map(|what| Call { what, ended: Some(ended), ..call }),
            }));
            std::fs::remove_file(&file).expect("it was read");
            if is_last {
                break;
            }
        }
    });
    counters.append(&world.counters());
    counters.add("calls", world.calls());
    let events = std::mem::take(&mut *events.lock().expect("it does not panic"));
    for call in &all {
        counters.count(match &call.what {
            What::Write { is_durable: true, .. } => "durable writes traced",
            What::Write { .. } => "plain writes traced",
            What::Sync(_) => "syncs traced",
            What::SyncDirectory(_) => "syncs of directories traced",
            What::Create(_) | What::CreateDirectory(_) => "creations traced",
            What::Rename(..) => "renames traced",
            What::Unlink(_) | What::RemoveDirectory(_) => "removals traced",
            What::Truncate { .. } => "truncations traced",
        });
    }
    Story { before, calls: all, events }
}

/// A directory with records that are to expire when the trace begins.
fn old_directory(seed: u64) -> SimulatedDisk {
    let wall = Timestamp::from_millis(now() as i64 / 1000 - OLD.as_millis() as i64);
    let disk = SimulatedDisk::with_alignment(thalweg_journal_disk::BLOCK_BYTES);
    let (spawn, mut machine) = Machine::alone(disk, seed, wall, Settings::small());
    let world = Arc::clone(&machine.world);
    spawn.block_on(async {
        machine.start().await.expect("an empty disk is no hindrance");
        let mut client = world.client(PATIENCE);
        ask(&mut client, "CreateStream", &json!({"StreamName": "old", "ShardCount": 2})).await;
        assert!(settle(&world, &mut client, "old").await, "it was just made");
        for call in 0..OLD_CALLS {
            let record = |record| {
                let data = base64_simd::STANDARD.encode_to_string(data_of(record, OLD_DATA_BYTES));
                json!({"PartitionKey": record.to_string(), "Data": data})
            };
            let records: Vec<_> =
                (0..OLD_RECORDS_PER_CALL).map(|index| record(call * OLD_RECORDS_PER_CALL + index)).collect();
            ask(&mut client, "PutRecords", &json!({"StreamName": "old", "Records": records})).await;
            world.clock.sleep(Duration::from_millis(50)).await;
        }
        machine.shut_down().await;
    });
    machine.crash(Crash::PowerEverything);
    machine.disk.copy()
}

fn write_directory(disk: &SimulatedDisk, root: &Path) {
    std::fs::create_dir(root).expect("its folder is empty");
    // Without this it is taken for another program's.
    std::fs::write(root.join("LOCK"), "thalweg data directory, last opened by process 0\n")
        .expect("there is room");
    for path in disk.files() {
        let full = root.join(&path);
        std::fs::create_dir_all(full.parent().expect("it is below the root")).expect("there is room");
        std::fs::write(full, disk.content(&path).expect("it was listed")).expect("there is room");
    }
}

fn cut_everywhere(seed: u64, traced: &Traced, story: &Story, counters: &mut Counters) {
    let replay = Replay::on(story.before.copy());
    // Time does not pass in it: nothing of it is old enough to expire.
    let mut history = History::new(Arc::new(ManualClock::new(Timestamp::ZERO)));
    let mut events = story.events.iter().peekable();
    for (number, call) in story.calls.iter().enumerate() {
        let ends = call.ended.expect("what did not end is left out");
        while let Some((_, event)) = events.next_if(|(at, _)| *at < ends) {
            history.repeat(event);
        }
        if number % traced.every == traced.from {
            let at = |how: &str| format!("cut {number}, {how}, before the end of {:?}", Short(&call.what));
            let seed = seed ^ number as u64;
            let nothing = replay.disk.copy().crash(Crash::PowerNothing);
            counters.append(&cut(nothing, seed, ends, &history, &at("nothing survives")));
            let under_way = Replay::on(replay.disk.copy());
            let next = story.calls[number..].iter().take(UNDER_WAY_MAX);
            next.filter(|call| call.began < ends).for_each(|call| under_way.begun(&call.what));
            let some = under_way.disk.crash(Crash::Power(seed));
            counters.append(&cut(some, seed, ends, &history, &at("some survives")));
        }
        replay.ended(&call.what);
    }
}

/// Starts a server on what a cut left, and verifies it.
fn cut(disk: SimulatedDisk, seed: u64, at: Micros, history: &History, what: &str) -> Counters {
    let (spawn, mut machine) =
        Machine::alone(disk, seed, Timestamp::from_millis(at as i64 / 1000), Settings::small());
    let world = Arc::clone(&machine.world);
    *world.history() = history.clone();
    let verified = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        spawn.block_on(async {
            machine.start().await.unwrap_or_else(|error| panic!("it does not start: {error}"));
            verify(&world).await;
        });
    }));
    if let Err(panicked) = verified {
        eprintln!("{what}");
        std::panic::resume_unwind(panicked);
    }
    machine.crash(Crash::Process);
    world.count("power cuts");
    world.counters().clone()
}

/// Without the bytes.
struct Short<'a>(&'a What);

impl std::fmt::Debug for Short<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            What::Write { path, offset, bytes, is_durable } => {
                write!(f, "a write of {} bytes at {offset} of {path}, durable: {is_durable}", bytes.len())
            }
            other => write!(f, "{other:?}"),
        }
    }
}
