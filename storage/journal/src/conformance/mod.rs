//! The conformance suite: what every engine must pass, one function per rule. It is no engine and knows none: an
//! engine's tests give it a [`Harness`] and call [`run_all`].
//!
//! The rules know no time and never sleep; where something has to happen they wait for it. A rule that never ends
//! is broken as well: run the test with `--nocapture`, the last rule named is it (or run it under the simulated
//! scheduler of `thalweg-system`, which finds deadlocks).
//!
//! What the suite asks of an engine beside the trait's promises: appends of up to 64 KiB (and one of
//! [`Harness::record_bytes_max`]) are taken sooner or later when they are tried again after
//! [`crate::NotAppliedReason::Throttled`] and an [`Instance::pause`].

mod durability;
mod finality;
mod model;
mod placing;
mod random;
mod randomness;
mod reading;
mod tails;
mod trouble;
mod world;

use std::any::Any;
use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;

use crate::{BoxFuture, Journal};

/// Steps of a rule that are kept to be shown when it fails.
const STEPS_SHOWN_MAX: usize = 40;

/// Makes engines for the rules.
pub trait Harness: Send + Sync {
    /// A new engine, empty, with storage of its own.
    fn start(&self) -> BoxFuture<'_, Box<dyn Instance>>;

    /// The same, but some appends shall be answered with [`crate::AppendError::OutcomeUnknown`], decided by `seed`.
    /// `None` when the harness cannot bring that about.
    fn start_with_unknown_outcomes(&self, _seed: u64) -> BoxFuture<'_, Option<Box<dyn Instance>>> {
        Box::pin(async { None })
    }

    /// Data bytes of the largest record to try. Less than the default, AWS's limit of 10 MiB, only where an
    /// engine is made small on purpose.
    fn record_bytes_max(&self) -> usize {
        10 << 20
    }

    /// Seeds of the random rules, each of which runs once for each.
    fn seeds(&self) -> Vec<u64> {
        vec![1, 2, 3, 4, 5]
    }

    /// How many random operations each run makes.
    fn random_steps(&self) -> u32 {
        400
    }
}

/// One engine with its storage and its clock.
pub trait Instance: Send + Sync {
    /// The engine as it runs now. After [`Instance::reopen`] it is another one.
    fn journal(&self) -> Arc<dyn Journal>;

    /// Ends the engine that runs, in this way, and opens its storage again. `false`, with nothing done, when the
    /// engine keeps nothing.
    fn reopen(&mut self, _after: Stop) -> BoxFuture<'_, bool> {
        Box::pin(async { false })
    }

    /// Lets time pass, wall and monotonic. `false` when the engine's clock cannot be moved.
    fn advance(&self, _by: Duration) -> bool {
        false
    }

    /// Sets the wall clock forward or (negative) back, without any time passing. `false` when it cannot be set.
    fn step_wall(&self, _millis: i64) -> bool {
        false
    }

    /// What to wait for before a throttled append is tried again. The default gives way to other tasks once; where
    /// the clock only moves when everybody waits, it has to sleep.
    fn pause(&self) -> Pause {
        Arc::new(|| Box::pin(world::yield_once()))
    }

    /// Gives the journal another owner. `false` when the engine knows of no owners.
    fn fence(&self) -> bool {
        false
    }
}

/// Makes pauses: see [`Instance::pause`].
pub type Pause = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// How an engine ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// By [`Journal::shutdown`].
    Clean,
    /// Without a word, at any moment; what was not durable is lost.
    Crash,
}

/// What became of the rules that were not broken.
#[derive(Debug, Default)]
pub struct Report {
    /// The rules that hold.
    pub held: Vec<&'static str>,
    /// The rules that the harness could not bring about, and what it lacks. Tests should compare this with what
    /// they expect: a rule must not get lost silently.
    pub skipped: Vec<(&'static str, &'static str)>,
}

/// Checks every rule.
///
/// # Panics
/// When rules are broken, after all were checked: the message names them.
pub async fn run_all(harness: &dyn Harness) -> Report {
    run_matching(harness, "").await
}

/// Checks the rules whose name contains `part`: for hunting one.
///
/// # Panics
/// As [`run_all`]; also when no rule's name contains it.
pub async fn run_matching(harness: &dyn Harness, part: &str) -> Report {
    let mut report = Report::default();
    let mut broken = Vec::new();
    for rule in RULES.iter().filter(|rule| rule.name.contains(part)) {
        eprintln!("journal rule: {}", rule.name);
        let stage = Stage { harness, steps: Mutex::new(VecDeque::new()) };
        match AssertUnwindSafe((rule.check)(&stage)).catch_unwind().await {
            Ok(Verdict::Held) => report.held.push(rule.name),
            Ok(Verdict::Skipped(lack)) => {
                eprintln!("journal rule skipped: {}: {lack}", rule.name);
                report.skipped.push((rule.name, lack));
            }
            Err(panic) => {
                let steps = stage.steps.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
                eprintln!("journal rule BROKEN: {}; its last steps:", rule.name);
                for step in steps {
                    eprintln!("    {step}");
                }
                broken.push(format!("{}: {}", rule.name, message(panic.as_ref())));
            }
        }
    }
    assert!(broken.is_empty(), "{} broken journal rules:\n{}", broken.len(), broken.join("\n"));
    assert!(!(report.held.is_empty() && report.skipped.is_empty()), "no rule is named like {part:?}");
    report
}

/// The names of all rules, in the order in which they are checked.
pub fn rule_names() -> impl Iterator<Item = &'static str> {
    RULES.iter().map(|rule| rule.name)
}

fn message(panic: &(dyn Any + Send)) -> &str {
    if let Some(text) = panic.downcast_ref::<String>() {
        text
    } else if let Some(text) = panic.downcast_ref::<&str>() {
        text
    } else {
        "a panic without words"
    }
}

/// What a rule is given.
struct Stage<'h> {
    harness: &'h dyn Harness,
    /// What was done last: shown when the rule fails.
    steps: Mutex<VecDeque<String>>,
}

impl Stage<'_> {
    fn step(&self, step: String) {
        let mut steps = self.steps.lock().expect("pushing does not panic");
        if steps.len() == STEPS_SHOWN_MAX {
            steps.pop_front();
        }
        steps.push_back(step);
    }
}

/// How checking a rule ends when it is not broken (then it panics).
enum Verdict {
    Held,
    Skipped(&'static str),
}

const NO_REOPEN: Verdict = Verdict::Skipped("the engine keeps nothing");
const NO_TIME: Verdict = Verdict::Skipped("the clock cannot be moved");

struct Rule {
    name: &'static str,
    check: for<'a> fn(&'a Stage<'a>) -> BoxFuture<'a, Verdict>,
}

/// A table of the functions with their names: a macro, so that none has to be written twice.
macro_rules! rules {
    ($($module:ident: $($rule:ident)*;)*) => {
        &[$($(Rule {
            name: stringify!($rule),
            check: |stage| Box::pin($module::$rule(stage)),
        },)*)*]
    };
}

const RULES: &[Rule] = rules! {
    placing:
        offsets_are_dense_and_runs_stay_together
        the_runs_of_an_append_each_go_to_their_shard
        a_run_for_an_unknown_shard_is_refused_alone
        a_run_for_a_sealed_shard_is_refused_alone
        concurrent_appends_get_dense_unique_offsets_in_the_order_of_their_answers
        dropping_the_commit_does_not_undo_the_append
        arrival_times_never_decrease
        arrival_times_do_not_decrease_from_a_shard_to_the_next
        opening_shards_again_changes_nothing
        after_shutdown_nothing_is_applied;
    reading:
        a_large_record_comes_whole_whatever_the_limit
        a_count_limit_cuts_inside_runs
        a_byte_limit_is_kept_unless_one_record_exceeds_it
        a_read_at_or_past_the_tail_is_empty
        a_read_below_the_trim_point_starts_at_it
        records_before_the_time_asked_for_are_passed_over
        every_form_of_record_comes_back_as_it_was
        find_time_is_exact
        what_is_not_there_is_an_unknown_shard;
    tails:
        nothing_is_missed_between_current_and_changed
        a_seal_wakes_watchers
        a_trim_wakes_watchers
        a_delete_wakes_watchers
        a_shard_that_is_forgotten_wakes_watchers
        a_follower_sees_every_record_once;
    finality:
        a_seal_is_final
        a_seal_that_races_with_appends_cuts_them_off
        a_seal_with_an_unknown_shard_seals_none
        trimming_only_goes_forward
        offsets_go_on_after_everything_was_trimmed
        a_forgotten_shard_is_gone_and_never_made_again
        a_deleted_stream_is_gone_and_others_stay
        retention_takes_nothing_too_early;
    durability:
        what_was_answered_survives_a_clean_stop
        what_was_answered_survives_a_crash
        unanswered_appends_are_there_whole_or_not_at_all
        offsets_are_never_reused_after_a_full_trim
        arrival_times_never_decrease_across_starts
        a_forgotten_shard_stays_forgotten
        a_deleted_stream_stays_deleted
        many_starts_lose_nothing;
    trouble:
        an_unknown_outcome_is_there_whole_or_not_at_all
        a_fenced_journal_applies_nothing;
    random:
        random_operations_match_the_model
        random_operations_and_starts_match_the_model;
};
