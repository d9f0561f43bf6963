//! Rules of the bad days: answers that get lost, and another owner.

use thalweg_types::ShardIndex;

use super::model::Attempt;
use super::placing::random_append;
use super::world::{SHARD, STREAM, World, shard};
use super::{Stage, Stop, Verdict};
use crate::{AppendError, NotAppliedReason};

pub(super) async fn an_unknown_outcome_is_there_whole_or_not_at_all(stage: &Stage<'_>) -> Verdict {
    /// So many appends of an engine may in turn have an unknown outcome, before that counts as a broken harness.
    const UNKNOWN_MAX: u32 = 1_000;
    let (mut unknown, mut known) = (0, 0);
    for seed in stage.harness.seeds() {
        let Some(instance) = stage.harness.start_with_unknown_outcomes(seed).await else {
            return Verdict::Skipped("outcomes cannot be made unknown");
        };
        let mut world = World::with(stage, instance, 3, seed).await;
        world.step(format!("seed {seed}"));
        let mut attempts = Vec::new();
        let mut unknown_in_turn = 0;
        // The last one is answered: with it, by the order of appends, all before it are settled.
        while attempts.len() < 100 || unknown_in_turn > 0 {
            let append = random_append(&mut world);
            let outcomes = match world.append_unchecked(&append).await {
                Ok(outcomes) => Some(outcomes),
                Err(AppendError::OutcomeUnknown(_)) => None,
                Err(AppendError::NotApplied(NotAppliedReason::Stopped(_))) => {
                    world.step("reopen, since writes have stopped");
                    assert!(world.instance.reopen(Stop::Crash).await, "what stops can be started again");
                    continue;
                }
                Err(error) => panic!("seed {seed}: {error}"),
            };
            match outcomes {
                Some(_) => (known, unknown_in_turn) = (known + 1, 0),
                None => (unknown, unknown_in_turn) = (unknown + 1, unknown_in_turn + 1),
            }
            assert!(unknown_in_turn < UNKNOWN_MAX, "some outcomes must be known");
            attempts.push(Attempt { append, outcomes });
        }
        world.reconcile(&attempts).await;
        world.reopen(Stop::Crash).await;
    }
    assert!(unknown > 0 && known > 0, "of all outcomes {unknown} were unknown and {known} known");
    Verdict::Held
}

pub(super) async fn a_fenced_journal_applies_nothing(stage: &Stage<'_>) -> Verdict {
    let mut world = World::start(stage, 2).await;
    world.put(SHARD, 3).await;
    if !world.instance.fence() {
        return Verdict::Skipped("the engine knows of no owners");
    }
    let journal = world.journal();
    let append = world.append_for(&[(shard(0), 1), (shard(1), 1)]);
    assert_eq!(journal.append(append).await, Err(AppendError::Fenced));
    assert_eq!(journal.seal(&[SHARD]).await, Err(AppendError::Fenced));
    assert_eq!(journal.trim(&[(SHARD, 1)]).await, Err(AppendError::Fenced));
    assert_eq!(journal.open_shards(STREAM, &[ShardIndex(5)]).await, Err(AppendError::Fenced));
    assert_eq!(journal.delete_stream(STREAM).await, Err(AppendError::Fenced));
    // What was there can still be read, and nothing else is there.
    world.verify().await;
    Verdict::Held
}
