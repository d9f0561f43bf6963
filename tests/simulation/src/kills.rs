//! The real program on a real disk, killed over and over while the same clients use it that use the simulated one, under
//! the same rules.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use thalweg_system::os::OsClock;

use crate::counters::Counters;
use crate::process::{Process, Tcp, free_address, must_not_panic, runtime, serve, spawn_all};
use crate::run::actors;
use crate::verify::verify;
use crate::world::World;

/// Enough to keep the server's processor busy.
const PRODUCERS: u64 = 12;
const LEISURE_PERCENT: u64 = 5;
/// How long the server lives between two ends.
const LIFE_MILLIS_MAX: u64 = 500;
/// How long a start lasts that is cut short.
const START_MILLIS_MAX: u64 = 25;

/// What is killed, and where its data is.
#[derive(Clone, Debug)]
pub struct Victim {
    /// The program.
    pub program: PathBuf,
    /// A folder on the disk to be used.
    pub folder: PathBuf,
    /// Calls that all clients make together, give or take a few.
    pub operations: u64,
}

impl Victim {
    /// Starts it, with as little undrained as may be, so that it drains all the time.
    pub(crate) fn start(&self, data: &Path, address: SocketAddr) -> Process {
        Process::start(serve(&self.program, data, address).args(["--undrained-bytes", "64MiB"]))
    }
}

/// Kills the server for as long as the clients need for their calls; answers what was met.
///
/// # Panics
/// When a rule is broken, or the server does not start.
pub fn kills(seed: u64, victim: &Victim) -> Counters {
    let data = TempDir::new_in(&victim.folder).expect("the folder is there");
    let address = free_address();
    let world = World::new(seed, Arc::new(Tcp(address)), Arc::new(OsClock::new()), LEISURE_PERCENT);
    let start = || victim.start(data.path(), address);
    runtime().block_on(async {
        let mut process = start().ready();
        let mut running = spawn_all(actors(&world, PRODUCERS, victim.operations));
        while !running.is_empty() {
            tokio::time::sleep(Duration::from_millis(world.random.below(LIFE_MILLIS_MAX))).await;
            match world.random.below(10) {
                0 => {
                    process.end();
                    world.count("ends in good order");
                }
                1..=3 => {
                    process.kill();
                    world.count("kills");
                    let next = start();
                    tokio::time::sleep(Duration::from_millis(world.random.below(START_MILLIS_MAX))).await;
                    next.kill();
                    world.count("kills during a start");
                }
                _ => {
                    process.kill();
                    world.count("kills");
                }
            }
            process = start().ready();
            while let Some(ended) = running.try_join_next() {
                must_not_panic(ended);
            }
        }
        verify(&world).await;
        process.kill();
        process = start().ready();
        verify(&world).await;
        process.end();
        process = start().ready();
        verify(&world).await;
        process.kill();
    });
    let mut counters = world.counters().clone();
    counters.add("calls", world.calls());
    counters
}
