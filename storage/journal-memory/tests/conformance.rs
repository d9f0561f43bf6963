//! The journal in memory keeps what every journal promises: instantly, with slow commits, and when answers are
//! lost.

use std::sync::Arc;
use std::time::Duration;

use thalweg_journal::conformance::{Harness, Instance, run_all};
use thalweg_journal::{BoxFuture, Journal};
use thalweg_journal_memory::{Knobs, MemoryJournal, SlowCommits, UnknownOutcomes};
use thalweg_system::Clock;
use thalweg_system::os::OsSpawn;
use thalweg_system::simulated::{ManualClock, SimulatedSpawn};
use thalweg_types::Timestamp;

struct Memory {
    clock: ManualClock,
    slow_commits: Option<SlowCommits>,
}

struct MemoryInstance {
    journal: Arc<MemoryJournal>,
    clock: ManualClock,
}

impl Memory {
    fn start_with(&self, unknown_outcomes: Option<UnknownOutcomes>) -> Box<dyn Instance> {
        let clock = self.clock.clone();
        let slow_commits = self.slow_commits.clone();
        let knobs = Knobs { slow_commits, unknown_outcomes, ..Knobs::default() };
        let journal = Arc::new(MemoryJournal::new(Arc::new(clock.clone()), knobs));
        Box::new(MemoryInstance { journal, clock })
    }
}

impl Harness for Memory {
    fn start(&self) -> BoxFuture<'_, Box<dyn Instance>> {
        Box::pin(async { self.start_with(None) })
    }

    fn start_with_unknown_outcomes(&self, seed: u64) -> BoxFuture<'_, Option<Box<dyn Instance>>> {
        let unknown = UnknownOutcomes { seed, appends_per_thousand: 300, changes_per_thousand: 0 };
        Box::pin(async move { Some(self.start_with(Some(unknown))) })
    }
}

impl Instance for MemoryInstance {
    fn journal(&self) -> Arc<dyn Journal> {
        Arc::clone(&self.journal) as Arc<dyn Journal>
    }

    fn advance(&self, by: Duration) -> bool {
        self.clock.advance(by);
        true
    }

    fn step_wall(&self, millis: i64) -> bool {
        self.clock.set_wall(Timestamp::from_millis(self.clock.wall().as_millis() + millis));
        true
    }

    fn fence(&self) -> bool {
        self.journal.fence();
        true
    }
}

/// Every rule holds but those about starts: nothing is kept between them.
async fn check(harness: &Memory) {
    let report = run_all(harness).await;
    let skipped: Vec<_> = report.skipped.iter().map(|(rule, _)| *rule).collect();
    assert_eq!(
        skipped,
        [
            "what_was_answered_survives_a_clean_stop",
            "what_was_answered_survives_a_crash",
            "unanswered_appends_are_there_whole_or_not_at_all",
            "offsets_are_never_reused_after_a_full_trim",
            "arrival_times_never_decrease_across_starts",
            "a_forgotten_shard_stays_forgotten",
            "a_deleted_stream_stays_deleted",
            "many_starts_lose_nothing",
            "random_operations_and_starts_match_the_model",
        ]
    );
}

fn some_day() -> ManualClock {
    ManualClock::new(Timestamp::from_seconds(1_700_000_000))
}

// The simulated scheduler ends a rule that waits for nothing: a lost wake-up fails there instead of hanging.

#[test]
fn the_journal_in_memory_conforms() {
    let clock = some_day();
    SimulatedSpawn::new(1, clock.clone()).block_on(check(&Memory { clock, slow_commits: None }));
}

#[test]
fn the_journal_in_memory_conforms_with_slow_commits() {
    for seed in 1..=3 {
        println!("seed {seed}");
        let clock = some_day();
        let spawn = SimulatedSpawn::new(seed, clock.clone());
        let slow = SlowCommits { delay: Duration::from_millis(100), spawn: Arc::new(spawn.clone()) };
        spawn.block_on(check(&Memory { clock, slow_commits: Some(slow) }));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_journal_in_memory_conforms_on_several_threads() {
    check(&Memory { clock: some_day(), slow_commits: None }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_journal_in_memory_conforms_with_a_committer_on_several_threads() {
    // No delay, since nobody moves the clock: what is slow here is the way to the committer's thread and back.
    let slow = SlowCommits { delay: Duration::ZERO, spawn: Arc::new(OsSpawn) };
    check(&Memory { clock: some_day(), slow_commits: Some(slow) }).await;
}
