//! What actors share: the network, the clock, chance, and the history that they write.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use thalweg_system::Clock;
use thalweg_system::simulated::{ManualClock, SeededRandom};

use crate::client::Client;
use crate::counters::Counters;
use crate::history::History;
use crate::network::Network;

pub(crate) struct World {
    pub(crate) network: Network,
    pub(crate) clock: ManualClock,
    pub(crate) random: SeededRandom,
    history: Mutex<History>,
    counters: Mutex<Counters>,
}

impl World {
    pub(crate) fn new(seed: u64, clock: ManualClock) -> Arc<World> {
        Arc::new(World {
            network: Network::new(seed ^ 0x6e65_7477_6f72_6b00),
            random: SeededRandom::new(seed ^ 0x6163_746f_7273_0000),
            history: Mutex::new(History::new(clock.clone())),
            clock,
            counters: Mutex::default(),
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

    pub(crate) fn client(&self, patience: Duration) -> Client {
        Client::new(&self.network, &self.clock, patience)
    }

    /// Waits for up to so many milliseconds.
    pub(crate) async fn pause(&self, millis_max: u64) {
        self.clock.sleep(Duration::from_millis(self.random.below(millis_max + 1))).await;
    }
}
