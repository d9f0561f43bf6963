//! One seed, from an empty disk to the last verification.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use thalweg_system::simulated::{ManualClock, SimulatedSpawn};
use thalweg_system::{BoxFuture, Spawn};
use thalweg_types::Timestamp;

use crate::actors::{Retry, administer, produce, read, subscribe};
use crate::broken::{self, Broken};
use crate::counters::Counters;
use crate::faults::{crash, strike};
use crate::machine::Machine;
use crate::verify::verify;
use crate::world::World;

/// When a simulation begins.
const START_SECONDS: i64 = 1_700_000_000;
const PRODUCERS: u64 = 3;
const READERS: u64 = 2;
/// One connection in so many breaks.
const RESETS_ONE_IN: u64 = 12;

/// The clock goes on evenly for so long, in so many parts: long enough to be believed, whatever it did before.
const EVEN_PART: Duration = Duration::from_secs(30 * 60);
const EVEN_PARTS: u32 = 5;
const EVEN_PAUSE: Duration = Duration::from_secs(2);

/// What a run is like.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Calls that all clients make together, give or take a few.
    pub operations: u64,
    /// The disk says that it has synced, and has not: a bug on purpose, which must be found.
    pub is_disk_lying: bool,
}

/// Runs one seed; answers what it met.
///
/// # Panics
/// When a rule is broken, or the server panics.
pub fn run(seed: u64, options: Options) -> Counters {
    broken::watch();
    let counters = simulate(seed, options);
    assert_eq!(broken::first(), None, "the server panics");
    counters
}

/// As [`run`], but what is wrong is answered.
///
/// # Errors
/// The first thing that was wrong.
pub fn try_run(seed: u64, options: Options) -> Result<Counters, Broken> {
    catch_unwind(AssertUnwindSafe(|| run(seed, options)))
        .map_err(|_| broken::first().expect("it panicked on this thread"))
}

fn simulate(seed: u64, options: Options) -> Counters {
    let clock = ManualClock::new(Timestamp::from_seconds(START_SECONDS));
    let spawn = SimulatedSpawn::new(seed, clock.clone());
    let mut machine = Machine::new(seed, &spawn, &clock, options.is_disk_lying);
    let world = Arc::clone(&machine.world);
    spawn.block_on(async {
        machine.start().await.expect("an empty disk is no hindrance");
        machine.network.reset_one_in(RESETS_ONE_IN);
        let running = Arc::new(AtomicUsize::new(0));
        for actor in actors(&world, PRODUCERS, options.operations) {
            let left = Arc::clone(&running);
            left.fetch_add(1, Ordering::Relaxed);
            drop(spawn.spawn(
                "actor",
                Box::pin(async move {
                    actor.await;
                    left.fetch_sub(1, Ordering::Relaxed);
                }),
            ));
        }
        while running.load(Ordering::Relaxed) > 0 {
            strike(&world, &mut machine).await;
        }
        machine.network.reset_one_in(0);
        if world.has_open_change() {
            // It would be made while everything is verified.
            crash(&world, &mut machine).await;
        }
        verify(&world).await;
        // What was seen now is seen again.
        crash(&world, &mut machine).await;
        verify(&world).await;
        if seed.is_multiple_of(4) {
            for _ in 0..EVEN_PARTS {
                machine.clock.advance(EVEN_PART);
                world.clock.sleep(EVEN_PAUSE).await;
            }
            world.history().clock_is_sure();
            verify(&world).await;
        }
        machine.shut_down().await;
        machine.start().await.expect("it ended in good order");
        verify(&world).await;
        machine.shut_down().await;
    });
    machine.count_calls();
    if world.keeps_aws_limits {
        world.count("seeds with AWS's limits");
    }
    let mut counters = world.counters().clone();
    counters.add("connections reset", machine.network.resets());
    counters.add("calls", world.calls());
    counters.add("milliseconds simulated", world.clock.monotonic().as_millis() as u64);
    counters
}

/// An administrator, a subscriber, some readers and so many producers, who make so many calls together, give or take a few.
pub(crate) fn actors(world: &Arc<World>, producers: u64, operations: u64) -> Vec<BoxFuture<'static, ()>> {
    let part = (operations / (producers + 6)).max(1);
    let mut actors: Vec<BoxFuture<'static, ()>> = vec![Box::pin(administer(Arc::clone(world), part))];
    for number in 0..producers {
        let retry = if number % 3 == 0 { Retry::Same } else { Retry::Numbered };
        actors.push(Box::pin(produce(Arc::clone(world), part, retry)));
    }
    for _ in 0..READERS {
        // A reader makes several calls each time.
        actors.push(Box::pin(read(Arc::clone(world), part.div_ceil(3))));
    }
    // It makes four calls each time.
    actors.push(Box::pin(subscribe(Arc::clone(world), part.div_ceil(4))));
    actors
}
