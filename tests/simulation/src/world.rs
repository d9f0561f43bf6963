//! What actors share: the way to the server, the clock, chance, and the history that they write.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use thalweg_system::Clock;
use thalweg_system::simulated::SeededRandom;

use crate::client::{Client, Road};
use crate::counters::Counters;
use crate::history::History;

/// Of most records, at most: so that many go into a batch, or so that few calls fill a small ring.
const DATA_BYTES: u64 = 200;
const DATA_BYTES_MUCH: u64 = 2_000;

/// Whether this seed is about much data in small places.
pub(crate) fn has_much_data(seed: u64) -> bool {
    seed % 3 == 1
}

/// Whether AWS's limits are kept in this seed.
pub(crate) fn has_aws_limits(seed: u64) -> bool {
    seed % 7 == 5
}

pub(crate) struct World {
    road: Arc<dyn Road>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: SeededRandom,
    calls: Arc<AtomicU64>,
    /// Part of each pause that is made, in percent.
    leisure: u64,
    /// Of most records, at most.
    pub(crate) data_bytes: u64,
    /// The server keeps AWS's limits.
    pub(crate) keeps_aws_limits: bool,
    history: Mutex<History>,
    counters: Mutex<Counters>,
    /// Puts that wait for their answers, by stream.
    in_flight: Mutex<BTreeMap<String, u64>>,
    /// Nobody waits any more for a change that the server may still be making.
    has_open_change: AtomicBool,
}

impl World {
    /// `leisure`: how much of their pauses actors make, in percent.
    pub(crate) fn new(seed: u64, road: Arc<dyn Road>, clock: Arc<dyn Clock>, leisure: u64) -> Arc<World> {
        Arc::new(World {
            random: SeededRandom::new(seed ^ 0x6163_746f_7273_0000),
            history: Mutex::new(History::new(Arc::clone(&clock))),
            road,
            clock,
            calls: Arc::default(),
            leisure,
            data_bytes: if has_much_data(seed) { DATA_BYTES_MUCH } else { DATA_BYTES },
            keeps_aws_limits: false,
            counters: Mutex::default(),
            in_flight: Mutex::default(),
            has_open_change: AtomicBool::new(false),
        })
    }

    /// Not to be held while waiting.
    pub(crate) fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().expect("a broken rule ends the run")
    }

    pub(crate) fn count(&self, name: &'static str) {
        self.counters().count(name);
    }

    pub(crate) fn counters(&self) -> MutexGuard<'_, Counters> {
        self.counters.lock().expect("counting does not panic")
    }

    /// A put begins, or ends.
    pub(crate) fn put_begins(&self, stream: &str) {
        *self.in_flight().entry(stream.to_owned()).or_default() += 1;
    }

    pub(crate) fn put_ends(&self, stream: &str) {
        *self.in_flight().get_mut(stream).expect("it began") -= 1;
    }

    pub(crate) fn has_puts_in_flight(&self, stream: &str) -> bool {
        self.in_flight().get(stream).is_some_and(|count| *count > 0)
    }

    fn in_flight(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.in_flight.lock().expect("counting does not panic")
    }

    /// A client gave up on a change.
    pub(crate) fn set_open_change(&self) {
        self.has_open_change.store(true, Ordering::Relaxed);
    }

    /// The server that may have been making it is gone.
    pub(crate) fn server_is_gone(&self) {
        self.has_open_change.store(false, Ordering::Relaxed);
        self.history().server_is_gone();
    }

    /// Whether the server may be making a change that nobody waits for.
    pub(crate) fn has_open_change(&self) -> bool {
        self.has_open_change.load(Ordering::Relaxed)
    }

    pub(crate) fn client(&self, patience: Duration) -> Client {
        Client::new(Arc::clone(&self.road), Arc::clone(&self.clock), patience, Arc::clone(&self.calls))
    }

    /// How many calls clients have begun.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Waits for up to so many milliseconds.
    pub(crate) async fn pause(&self, millis_max: u64) {
        let millis = self.random.below(millis_max + 1);
        self.clock.sleep(Duration::from_micros(millis * 10 * self.leisure)).await;
    }
}
