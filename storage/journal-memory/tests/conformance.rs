//! The journal in memory keeps what every journal promises: instantly, with slow commits, and when answers are
//! lost.

mod world;

use std::sync::Arc;
use std::time::Duration;

use thalweg_journal::conformance::{Harness, Instance, run_all};
use thalweg_journal::{BoxFuture, Journal};
use thalweg_journal_memory::{Knobs, MemoryJournal, SlowCommits, UnknownOutcomes};

use crate::world::{ManualClock, TokioSpawn};

struct Memory {
    slow: bool,
}

struct MemoryInstance {
    journal: Arc<MemoryJournal>,
    clock: ManualClock,
}

impl Memory {
    fn start_with(&self, unknown_outcomes: Option<UnknownOutcomes>) -> Box<dyn Instance> {
        let clock = ManualClock::automatic();
        let slow = SlowCommits { delay: Duration::from_millis(100), spawn: Arc::new(TokioSpawn) };
        let knobs = Knobs { slow_commits: self.slow.then_some(slow), unknown_outcomes, ..Knobs::default() };
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
        self.clock.step_wall(millis);
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
            "a_deleted_stream_stays_deleted",
            "many_starts_lose_nothing",
            "random_operations_and_starts_match_the_model",
        ]
    );
}

#[tokio::test]
async fn the_journal_in_memory_conforms() {
    check(&Memory { slow: false }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_journal_in_memory_conforms_on_several_threads() {
    check(&Memory { slow: false }).await;
}

#[tokio::test]
async fn the_journal_in_memory_conforms_with_slow_commits() {
    check(&Memory { slow: true }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_journal_in_memory_conforms_with_slow_commits_on_several_threads() {
    check(&Memory { slow: true }).await;
}
