//! Rules of appends: where records go, when they arrived, and what is refused.

use std::sync::Arc;

use thalweg_types::{ShardIndex, ShardKey, StreamId};
use tokio::sync::watch;

use super::model::Attempt;
use super::world::{Appender, SHARD, STREAM, World, shard, side_by_side};
use super::{NO_TIME, Stage, Stop, Verdict};
use crate::{Append, AppendError, BoxFuture, Health, NotAppliedReason, RunOutcome};

pub(super) async fn offsets_are_dense_and_runs_stay_together(stage: &Stage<'_>) -> Verdict {
    let mut world = World::start(stage, 1).await;
    assert_eq!(world.journal().health(), Health::Ready);
    world.verify().await;
    for count in [1, 3, 2, 10, 1] {
        world.put(SHARD, count).await;
        // What is answered can be read at once.
        world.verify().await;
    }
    Verdict::Held
}

pub(super) async fn the_runs_of_an_append_each_go_to_their_shard(stage: &Stage<'_>) -> Verdict {
    let mut world = World::start(stage, 3).await;
    world.open(StreamId(2), &[0]).await;
    let other = ShardKey { stream: StreamId(2), shard: ShardIndex(0) };
    for runs in [
        &[(shard(0), 2), (shard(1), 1), (shard(2), 5)][..],
        &[(shard(2), 1), (other, 3), (shard(0), 1)],
        &[(shard(1), 4)],
    ] {
        let append = world.append_for(runs);
        world.append(append).await;
    }
    world.verify().await;
    Verdict::Held
}

pub(super) async fn a_run_for_an_unknown_shard_is_refused_alone(stage: &Stage<'_>) -> Verdict {
    let mut world = World::start(stage, 2).await;
    let other_stream = ShardKey { stream: StreamId(2), shard: ShardIndex(0) };
    let append = world.append_for(&[(shard(0), 2), (shard(9), 3), (other_stream, 1), (shard(1), 2)]);
    let outcomes = world.append(append).await;
    assert_eq!(outcomes[1..3], [RunOutcome::UnknownShard; 2]);
    let append = world.append_for(&[(shard(9), 1)]);
    world.append(append).await;
    world.verify().await;
    Verdict::Held
}

pub(super) async fn a_run_for_a_sealed_shard_is_refused_alone(stage: &Stage<'_>) -> Verdict {
    let mut world = World::start(stage, 3).await;
    world.put(shard(1), 2).await;
    world.seal(&[shard(1)]).await;
    let append = world.append_for(&[(shard(0), 2), (shard(1), 3), (shard(2), 2)]);
    let outcomes = world.append(append).await;
    assert_eq!(outcomes[1], RunOutcome::ShardClosed);
    let append = world.append_for(&[(shard(1), 1)]);
    world.append(append).await;
    world.verify().await;
    Verdict::Held
}

pub(super) async fn concurrent_appends_get_dense_unique_offsets_in_the_order_of_their_answers(
    stage: &Stage<'_>,
) -> Verdict {
    const TASKS: usize = 8;
    const APPENDS: usize = 25;
    let mut world = World::start(stage, 3).await;
    let events = Arc::new(Events::default());
    let mut tasks = Vec::new();
    for _ in 0..TASKS {
        let appends: Vec<_> = (0..APPENDS).map(|_| random_append(&mut world)).collect();
        tasks.push(append_in_turn(world.appender(), appends, Arc::clone(&events)));
    }
    let timed: Vec<_> = side_by_side(tasks).await.into_iter().flatten().collect();
    for earlier in &timed {
        for later in timed.iter().filter(|later| earlier.answered < later.started) {
            for (key, offset) in earlier.places() {
                for (other, later_offset) in later.places() {
                    assert!(
                        key != other || offset < later_offset,
                        "what was answered first has the lower offset"
                    );
                }
            }
        }
    }
    let attempts: Vec<_> = timed.into_iter().map(|timed| timed.attempt).collect();
    world.reconcile(&attempts).await;
    Verdict::Held
}

/// One to three runs of one to four records for the first three shards.
pub(super) fn random_append(world: &mut World<'_>) -> Append {
    let mut runs = Vec::new();
    for index in 0..3 {
        if world.random.below(2) == 0 {
            runs.push((shard(index), 1 + world.random.below_u32(4)));
        }
    }
    if runs.is_empty() {
        runs.push((SHARD, 1));
    }
    world.append_for(&runs)
}

/// Numbers the starts and the answers of appends of several tasks, in the order in which they happen.
pub(super) struct Events(watch::Sender<u64>);

impl Default for Events {
    fn default() -> Self {
        Events(watch::Sender::new(0))
    }
}

impl Events {
    pub(super) fn next(&self) -> u64 {
        let mut number = 0;
        self.0.send_modify(|count| {
            number = *count;
            *count += 1;
        });
        number
    }

    /// Waits until there were so many.
    pub(super) async fn reach(&self, count: u64) {
        self.0.subscribe().wait_for(|&reached| reached >= count).await.expect("the sender lives in self");
    }
}

/// An append that was answered, and when.
pub(super) struct Timed {
    pub(super) attempt: Attempt,
    pub(super) started: u64,
    pub(super) answered: u64,
}

impl Timed {
    fn places(&self) -> impl Iterator<Item = (ShardKey, u64)> {
        let outcomes = self.attempt.outcomes.as_ref().expect("it was answered");
        self.attempt.append.runs.iter().zip(outcomes).filter_map(|(run, outcome)| match outcome {
            RunOutcome::Placed { first, .. } => Some((run.shard, *first)),
            _ => None,
        })
    }
}

/// A task that makes the appends one after the other.
pub(super) fn append_in_turn(
    appender: Appender,
    appends: Vec<Append>,
    events: Arc<Events>,
) -> BoxFuture<'static, Vec<Timed>> {
    Box::pin(async move {
        let mut timed = Vec::new();
        for append in appends {
            let started = events.next();
            let outcomes = appender.append(&append).await.expect("the journal takes writes");
            let answered = events.next();
            timed.push(Timed { attempt: Attempt { append, outcomes: Some(outcomes) }, started, answered });
        }
        timed
    })
}

pub(super) async fn dropping_the_commit_does_not_undo_the_append(stage: &Stage<'_>) -> Verdict {
    let mut world = World::start(stage, 1).await;
    let forgotten = world.append_for(&[(SHARD, 3)]);
    drop(world.journal().append(forgotten.clone()));
    let append = world.append_for(&[(SHARD, 2)]);
    let outcomes = world.append_unchecked(&append).await.expect("the journal takes writes");
    let forgotten = Attempt { append: forgotten, outcomes: None };
    world.reconcile(&[forgotten, Attempt { append, outcomes: Some(outcomes) }]).await;
    assert_eq!(world.model.shard(SHARD).next(), 5, "both appends are there");
    Verdict::Held
}

pub(super) async fn arrival_times_never_decrease(stage: &Stage<'_>) -> Verdict {
    let mut world = World::start(stage, 2).await;
    for _ in 0..5 {
        world.put(SHARD, 2).await;
    }
    if !world.instance.step_wall(-3_600_000) {
        return NO_TIME;
    }
    world.put(SHARD, 2).await;
    world.put(shard(1), 2).await;
    world.instance.step_wall(7_200_000);
    let append = world.append_for(&[(shard(0), 1), (shard(1), 1)]);
    world.append(append).await;
    world.verify().await;
    Verdict::Held
}

pub(super) async fn arrival_times_do_not_decrease_from_a_shard_to_the_next(stage: &Stage<'_>) -> Verdict {
    let mut world = World::start(stage, 1).await;
    let (_, last) = world.put(SHARD, 2).await;
    world.seal(&[SHARD]).await;
    if !world.instance.step_wall(-3_600_000) {
        return NO_TIME;
    }
    for index in [1, 2] {
        world.open_after(index, last).await;
    }
    let (_, first) = world.put(shard(1), 1).await;
    assert!(first >= last, "{first} in a shard opened after {last}");
    world.verify().await;
    // The time is durable, also of a shard that is empty.
    for stop in [Stop::Crash, Stop::Clean] {
        world.reopen(stop).await;
        world.put(shard(1), 1).await;
    }
    let (_, first) = world.put(shard(2), 1).await;
    assert!(first >= last, "{first} in a shard opened after {last}");
    world.verify().await;
    Verdict::Held
}

pub(super) async fn opening_shards_again_changes_nothing(stage: &Stage<'_>) -> Verdict {
    let mut world = World::start(stage, 2).await;
    world.put(shard(0), 3).await;
    world.put(shard(1), 3).await;
    world.seal(&[shard(1)]).await;
    world.trim(&[(shard(0), 1)]).await;
    world.open(STREAM, &[0, 1, 2]).await;
    world.verify().await;
    world.put(shard(0), 1).await;
    world.put(shard(2), 1).await;
    world.verify().await;
    Verdict::Held
}

pub(super) async fn after_shutdown_nothing_is_applied(stage: &Stage<'_>) -> Verdict {
    let mut world = World::start(stage, 1).await;
    world.put(SHARD, 2).await;
    let journal = world.journal();
    journal.shutdown().await;
    let append = world.append_for(&[(SHARD, 1)]);
    let error = journal.append(append).await.expect_err("it was shut down");
    assert!(matches!(error, AppendError::NotApplied(NotAppliedReason::Stopped(_))), "{error}");
    assert!(matches!(journal.health(), Health::WritesStopped(_)));
    // Where it can be opened again, only what was answered is there.
    world.reopen(Stop::Crash).await;
    Verdict::Held
}
