//! Rules of what the next start must find.

use thalweg_types::{ShardIndex, ShardKey, StreamId};

use super::model::Attempt;
use super::placing::random_append;
use super::world::{SHARD, STREAM, World, shard, yield_once};
use super::{NO_REOPEN, NO_TIME, Stage, Stop, Verdict};

pub(super) async fn what_was_answered_survives_a_clean_stop(stage: &Stage<'_>) -> Verdict {
    everything_survives(stage, Stop::Clean).await
}

pub(super) async fn what_was_answered_survives_a_crash(stage: &Stage<'_>) -> Verdict {
    everything_survives(stage, Stop::Crash).await
}

async fn everything_survives(stage: &Stage<'_>, stop: Stop) -> Verdict {
    let mut world = World::start(stage, 5).await;
    if !world.reopen(stop).await {
        return NO_REOPEN;
    }
    let other = ShardKey { stream: StreamId(2), shard: ShardIndex(7) };
    world.open(StreamId(2), &[7]).await;
    for round in 0..3 {
        // Shard 0 keeps growing, 1 and 2 stay as they are after the first round, 3 is trimmed, 4 is never written.
        let append = world.append_for(&[(shard(0), 2), (shard(3), 4), (other, 1)]);
        world.append(append).await;
        if round == 0 {
            world.put(shard(1), 3).await;
            world.seal(&[shard(1), shard(2)]).await;
        }
        world.trim(&[(shard(3), 3 + round * 4)]).await;
        assert!(world.reopen(stop).await, "it could be opened before");
        let append = world.append_for(&[(shard(0), 1), (shard(1), 1), (shard(2), 1)]);
        world.append(append).await;
        world.verify().await;
        assert!(world.reopen(stop).await, "it could be opened before");
    }
    Verdict::Held
}

pub(super) async fn unanswered_appends_are_there_whole_or_not_at_all(stage: &Stage<'_>) -> Verdict {
    let mut world = World::start(stage, 3).await;
    for _ in 0..12 {
        let mut attempts = Vec::new();
        for _ in 0..world.random.below(3) {
            let append = random_append(&mut world);
            let outcomes = world.append_unchecked(&append).await.expect("the journal takes writes");
            attempts.push(Attempt { append, outcomes: Some(outcomes) });
        }
        let mut commits = Vec::new();
        for _ in 0..1 + world.random.below(5) {
            let append = random_append(&mut world);
            commits.push(world.journal().append(append.clone()));
            attempts.push(Attempt { append, outcomes: None });
        }
        for _ in 0..world.random.below(20) {
            yield_once().await;
        }
        world.step("crash");
        if !world.instance.reopen(Stop::Crash).await {
            return NO_REOPEN;
        }
        drop(commits);
        world.reconcile(&attempts).await;
        world.put(SHARD, 1).await;
        // What was found once is not lost later.
        assert!(world.reopen(Stop::Crash).await, "it could be opened before");
    }
    Verdict::Held
}

pub(super) async fn offsets_are_never_reused_after_a_full_trim(stage: &Stage<'_>) -> Verdict {
    let mut world = World::start(stage, 2).await;
    for stop in [Stop::Clean, Stop::Crash, Stop::Crash, Stop::Clean] {
        world.put(shard(0), 3).await;
        world.put(shard(1), 1).await;
        let trims = [0, 1].map(|index| (shard(index), world.model.shard(shard(index)).next()));
        world.trim(&trims).await;
        for _ in 0..2 {
            if !world.reopen(stop).await {
                return NO_REOPEN;
            }
        }
    }
    let (first, _) = world.put(shard(0), 1).await;
    assert_eq!(first, 12);
    world.seal(&[shard(1)]).await;
    world.reopen(Stop::Crash).await;
    Verdict::Held
}

pub(super) async fn arrival_times_never_decrease_across_starts(stage: &Stage<'_>) -> Verdict {
    let mut world = World::start(stage, 2).await;
    for stop in [Stop::Clean, Stop::Crash] {
        world.put(shard(0), 2).await;
        world.put(shard(1), 2).await;
        // Of shard 1 nothing but its tail is left.
        let end = world.model.shard(shard(1)).next();
        world.trim(&[(shard(1), end)]).await;
        if !world.instance.step_wall(-3_600_000) {
            return NO_TIME;
        }
        if !world.reopen(stop).await {
            return NO_REOPEN;
        }
        world.put(shard(0), 2).await;
        world.put(shard(1), 2).await;
        world.verify().await;
    }
    Verdict::Held
}

pub(super) async fn a_forgotten_shard_stays_forgotten(stage: &Stage<'_>) -> Verdict {
    let mut world = World::start(stage, 2).await;
    for (index, stop) in (0..).zip([Stop::Crash, Stop::Clean, Stop::Crash, Stop::Crash]) {
        // What is forgotten has neighbours in everything that it was written to.
        let append = world.append_for(&[(shard(index), 5), (shard(index + 1), 5)]);
        world.append(append).await;
        if index % 2 == 0 && !world.reopen(stop).await {
            return NO_REOPEN;
        }
        let append = world.append_for(&[(shard(index + 1), 3), (shard(index), 2)]);
        world.append(append).await;
        world.seal(&[shard(index)]).await;
        let end = world.model.shard(shard(index)).next();
        world.trim(&[(shard(index), end)]).await;
        world.forget(&[shard(index)]).await;
        for _ in 0..2 {
            if !world.reopen(stop).await {
                return NO_REOPEN;
            }
            let refused = world.journal().open_shards(STREAM, &[ShardIndex(index)]).await;
            assert!(refused.is_err(), "{index} is never made again");
        }
        world.open(STREAM, &[index + 2]).await;
    }
    world.verify().await;
    Verdict::Held
}

pub(super) async fn a_deleted_stream_stays_deleted(stage: &Stage<'_>) -> Verdict {
    let mut world = World::start(stage, 2).await;
    world.open(StreamId(2), &[0]).await;
    world.put(ShardKey { stream: StreamId(2), shard: ShardIndex(0) }, 2).await;
    for stop in [Stop::Crash, Stop::Clean, Stop::Crash] {
        let append = world.append_for(&[(shard(0), 5), (shard(1), 5)]);
        world.append(append).await;
        world.delete(STREAM).await;
        if !world.reopen(stop).await {
            return NO_REOPEN;
        }
        let append = world.append_for(&[(shard(0), 1)]);
        world.append(append).await;
        world.put(ShardKey { stream: StreamId(2), shard: ShardIndex(0) }, 2).await;
    }
    world.verify().await;
    Verdict::Held
}

pub(super) async fn many_starts_lose_nothing(stage: &Stage<'_>) -> Verdict {
    let mut world = World::start(stage, 3).await;
    for round in 0..15 {
        let append = random_append(&mut world);
        world.append(append).await;
        let stop = if round % 3 == 0 { Stop::Clean } else { Stop::Crash };
        if !world.reopen(stop).await {
            return NO_REOPEN;
        }
    }
    Verdict::Held
}
