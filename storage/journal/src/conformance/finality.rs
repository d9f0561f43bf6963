//! Rules of what cannot be taken back: seals, trims, deletes, and what retention may take.

use std::sync::Arc;
use std::time::Duration;

use thalweg_types::{ShardIndex, ShardKey, StreamId};

use super::model::{Attempt, check_shape, records_of};
use super::placing::{Events, Timed, append_in_turn};
use super::world::{SHARD, STREAM, World, append_of, from, shard, side_by_side};
use super::{NO_TIME, Stage, Verdict};
use crate::{AppendError, BoxFuture, NotAppliedReason, Read, ReadError, RunOutcome};

pub(super) async fn a_seal_is_final(stage: &Stage<'_>) -> Verdict {
    let mut world = World::start(stage, 4).await;
    world.put(shard(0), 3).await;
    world.put(shard(2), 5).await;
    world.seal(&[shard(2), shard(0), shard(1)]).await;
    for index in 0..4 {
        let append = world.append_for(&[(shard(index), 2)]);
        world.append(append).await;
    }
    world.verify().await;
    // Again, beside one that is still open.
    world.seal(&[shard(0), shard(3), shard(2)]).await;
    let append = world.append_for(&[(shard(0), 1), (shard(3), 1)]);
    assert_eq!(world.append(append).await, [RunOutcome::ShardClosed; 2]);
    // A sealed shard can still be trimmed.
    world.trim(&[(shard(2), 2)]).await;
    world.verify().await;
    Verdict::Held
}

pub(super) async fn a_seal_that_races_with_appends_cuts_them_off(stage: &Stage<'_>) -> Verdict {
    const TASKS: u64 = 6;
    const APPENDS: u64 = 20;
    let mut world = World::start(stage, 2).await;
    let events = Arc::new(Events::default());
    let mut tasks: Vec<BoxFuture<'static, (Vec<Timed>, u64, u64)>> = Vec::new();
    for _ in 0..TASKS {
        let appends = (0..APPENDS).map(|_| world.append_for(&[(shard(0), 2), (shard(1), 1)])).collect();
        let appending = append_in_turn(world.appender(), appends, Arc::clone(&events));
        tasks.push(Box::pin(async { (appending.await, 0, 0) }));
    }
    let journal = world.journal();
    let sealer_events = Arc::clone(&events);
    tasks.push(Box::pin(async move {
        // Somewhere in the middle: a third of all starts and answers.
        sealer_events.reach(TASKS * APPENDS * 2 / 3).await;
        let ends = journal.seal(&[shard(0)]).await.expect("the journal takes writes");
        (Vec::new(), ends[0], sealer_events.next())
    }));
    let mut results = side_by_side(tasks).await;
    let (_, end, sealed_at) = results.pop().expect("the sealer comes last");
    let timed: Vec<_> = results.into_iter().flat_map(|(timed, _, _)| timed).collect();
    for timed in timed.iter().filter(|timed| timed.started > sealed_at) {
        let outcome = timed.attempt.outcomes.as_ref().expect("it was answered")[0];
        assert_eq!(outcome, RunOutcome::ShardClosed, "the seal was answered before this append began");
    }
    world.model.shard_mut(shard(0)).sealed = true;
    let attempts: Vec<Attempt> = timed.into_iter().map(|timed| timed.attempt).collect();
    world.reconcile(&attempts).await;
    assert_eq!(world.model.shard(shard(0)).next(), end, "nothing came after the end that the seal told");
    assert_eq!(world.model.shard(shard(1)).next(), TASKS * APPENDS, "the other shard took all");
    Verdict::Held
}

pub(super) async fn a_seal_with_an_unknown_shard_seals_none(stage: &Stage<'_>) -> Verdict {
    let mut world = World::start(stage, 2).await;
    world.put(shard(0), 1).await;
    let error = world.journal().seal(&[shard(0), shard(9), shard(1)]).await.expect_err("one is not there");
    assert_eq!(error, AppendError::NotApplied(NotAppliedReason::UnknownShard(shard(9))));
    world.put(shard(0), 1).await;
    world.put(shard(1), 1).await;
    world.verify().await;
    Verdict::Held
}

pub(super) async fn trimming_only_goes_forward(stage: &Stage<'_>) -> Verdict {
    let mut world = World::start(stage, 2).await;
    world.put(shard(0), 5).await;
    world.put(shard(1), 4).await;
    world.put(shard(0), 5).await;
    for trims in [
        &[(shard(0), 3)][..],
        &[(shard(0), 2)],
        &[(shard(0), 0), (shard(1), 4)],
        &[(shard(9), 5), (shard(0), 5)],
        &[(shard(0), 7), (shard(0), 6)],
        &[(shard(0), 1000)],
        &[(shard(0), 1)],
    ] {
        world.trim(trims).await;
        world.verify().await;
    }
    // A trim past the tail trimmed what was there, not what comes.
    world.put(shard(0), 2).await;
    world.verify().await;
    Verdict::Held
}

pub(super) async fn offsets_go_on_after_everything_was_trimmed(stage: &Stage<'_>) -> Verdict {
    let mut world = World::start(stage, 1).await;
    for round in 1..=4 {
        let (first, _) = world.put(SHARD, 3).await;
        assert_eq!(first, (round - 1) * 3);
        world.trim(&[(SHARD, round * 3)]).await;
        world.verify().await;
    }
    world.seal(&[SHARD]).await;
    world.verify().await;
    Verdict::Held
}

pub(super) async fn a_forgotten_shard_is_gone_and_never_made_again(stage: &Stage<'_>) -> Verdict {
    let mut world = World::start(stage, 6).await;
    let neighbour = ShardKey { stream: StreamId(2), shard: ShardIndex(1) };
    world.open(neighbour.stream, &[1]).await;
    for key in [shard(0), shard(1), shard(2), shard(3), neighbour] {
        world.put(key, 4).await;
    }
    // Open and empty of records; sealed, with a record left; sealed and empty of records; sealed and never written.
    world.trim(&[(shard(0), 4), (shard(1), 3), (shard(2), 4)]).await;
    world.seal(&[shard(1), shard(2), shard(4)]).await;
    for _ in 0..2 {
        world.forget(&[shard(4), shard(9), shard(0), shard(1), shard(2), neighbour]).await;
        assert_eq!(world.model.shards.len(), 5, "the model forgot two");
        world.verify().await;
        for gone in [shard(2), shard(4)] {
            let journal = world.journal();
            assert_eq!(journal.tail(gone), Err(ReadError::UnknownShard(gone)));
            assert_eq!(
                journal.read(from(gone, 0)).await.expect_err("it is gone"),
                ReadError::UnknownShard(gone)
            );
            let append = world.append_for(&[(gone, 1), (shard(0), 1)]);
            let outcomes = world.append(append).await;
            assert_eq!(outcomes[0], RunOutcome::UnknownShard);
            let error = journal.seal(&[gone]).await.expect_err("it is gone");
            assert_eq!(error, AppendError::NotApplied(NotAppliedReason::UnknownShard(gone)));
            world.trim(&[(gone, 4)]).await;
            // Beside a new one: none of them is made.
            let error = journal.open_shards(STREAM, &[ShardIndex(7), gone.shard]).await;
            let reason = NotAppliedReason::UnknownShard(gone);
            assert_eq!(error, Err(AppendError::NotApplied(reason)), "it is never made again");
        }
        // Those that are there are left as they are, whatever was forgotten behind them.
        world.open(STREAM, &[0, 1, 3]).await;
        world.verify().await;
    }
    // The next index is free, and of another stream every index is.
    world.open(STREAM, &[6]).await;
    world.open(neighbour.stream, &[4]).await;
    world.put(shard(6), 2).await;
    world.trim(&[(shard(1), 4)]).await;
    world.forget(&[shard(1)]).await;
    world.verify().await;
    Verdict::Held
}

pub(super) async fn a_deleted_stream_is_gone_and_others_stay(stage: &Stage<'_>) -> Verdict {
    let mut world = World::start(stage, 3).await;
    let neighbours = [StreamId(0), StreamId(2)];
    for stream in neighbours {
        world.open(stream, &[0, 1]).await;
        world.put(ShardKey { stream, shard: ShardIndex(1) }, 3).await;
    }
    for index in 0..3 {
        world.put(shard(index), 3).await;
    }
    world.seal(&[shard(1)]).await;
    for _ in 0..2 {
        world.delete(STREAM).await;
        world.verify().await;
        let neighbour = ShardKey { stream: StreamId(2), shard: ShardIndex(0) };
        let append = world.append_for(&[(shard(0), 1), (neighbour, 1), (shard(1), 1)]);
        world.append(append).await;
    }
    world.delete(StreamId(99)).await;
    world.trim(&[(shard(0), 1)]).await;
    let error = world.journal().seal(&[shard(0)]).await.expect_err("it is not there");
    assert_eq!(error, AppendError::NotApplied(NotAppliedReason::UnknownShard(shard(0))));
    world.verify().await;
    Verdict::Held
}

pub(super) async fn retention_takes_nothing_too_early(stage: &Stage<'_>) -> Verdict {
    const HOUR: Duration = Duration::from_secs(3600);
    let mut world = World::start(stage, 1).await;
    world.put(SHARD, 2).await;
    if !world.instance.advance(30 * HOUR) {
        return NO_TIME;
    }
    // Until a retention is told nothing expires.
    world.put(SHARD, 2).await;
    world.verify().await;
    world.instance.advance(HOUR);

    world.journal().set_retention(STREAM, 24 * HOUR);
    let mut kept = Vec::new();
    let mut oldest_kept = None;
    for hours in [20, 3, 0] {
        let encoded = world.records(&[20, 30, 40]);
        let append = append_of(&[(SHARD, encoded)]);
        kept.extend(records_of(&append.bytes));
        match world.append(append).await[..] {
            [RunOutcome::Placed { arrival, .. }] => oldest_kept = oldest_kept.or(Some(arrival)),
            ref outcomes => panic!("the shard is open: {outcomes:?}"),
        }
        world.instance.advance(hours * HOUR);
    }
    // What is older may be gone or not: only what is covered is asked for.
    let mut read = Read { not_before: oldest_kept.expect("records were put"), ..from(SHARD, 0) };
    let mut there = Vec::new();
    loop {
        let answer = world.journal().read(read).await.expect("the shard exists");
        check_shape(&read, &answer);
        there.extend(answer.runs.iter().flat_map(|run| records_of(&run.bytes)));
        read.from = answer.next;
        if answer.next >= answer.tail.next {
            assert_eq!(answer.tail.next, 13, "offsets go on, whatever has expired");
            break;
        }
    }
    assert!(there == kept, "the records of the last 23 hours are there: {} of {}", there.len(), kept.len());
    Verdict::Held
}
