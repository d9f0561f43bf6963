//! Rules of reads: limits, positions and times.

use std::time::Duration;

use thalweg_types::{ShardIndex, ShardKey, StreamId, Timestamp};

use super::world::{SHARD, STREAM, World, append_of, from, shard};
use super::{NO_TIME, Stage, Verdict};
use crate::{Read, ReadError, Record};

pub(super) async fn a_large_record_comes_whole_whatever_the_limit(stage: &Stage<'_>) -> Verdict {
    let mut world = World::start(stage, 2).await;
    let large = stage.harness.record_bytes_max();
    for lengths in [&[100, 100][..], &[large], &[50, large / 2, 50]] {
        let run = world.records(lengths);
        world.append(append_of(&[(SHARD, run)])).await;
    }
    for bytes_max in [0, 1, 150, 1000, large, usize::MAX] {
        let records = world.read_to_end(Read { bytes_max, ..from(SHARD, 0) }).await;
        assert_eq!(records, 6);
    }
    let answer = world.read(Read { bytes_max: 1, ..from(SHARD, 2) }).await;
    assert_eq!(answer.next, 3, "one record always comes, and no second one");
    Verdict::Held
}

pub(super) async fn a_count_limit_cuts_inside_runs(stage: &Stage<'_>) -> Verdict {
    let mut world = World::start(stage, 1).await;
    for count in [5, 1, 3, 7] {
        world.put(SHARD, count).await;
    }
    for offset in 0..16 {
        for records_max in 1..=17 {
            let answer = world.read(Read { records_max, ..from(SHARD, offset) }).await;
            assert!(answer.next > offset, "at least one record comes");
        }
        assert_eq!(world.read_to_end(Read { records_max: 2, ..from(SHARD, offset) }).await, 16 - offset);
    }
    Verdict::Held
}

pub(super) async fn a_byte_limit_is_kept_unless_one_record_exceeds_it(stage: &Stage<'_>) -> Verdict {
    let mut world = World::start(stage, 1).await;
    for lengths in [&[10, 300, 20, 20][..], &[500], &[10, 10, 10, 10, 10], &[100, 100]] {
        let run = world.records(lengths);
        world.append(append_of(&[(SHARD, run)])).await;
    }
    for offset in 0..12 {
        for bytes_max in [0, 1, 25, 50, 130, 310, 400, 600, 2000] {
            world.read(Read { bytes_max, ..from(SHARD, offset) }).await;
            world.read(Read { bytes_max, records_max: 2, ..from(SHARD, offset) }).await;
        }
        assert_eq!(world.read_to_end(Read { bytes_max: 60, ..from(SHARD, offset) }).await, 12 - offset);
    }
    Verdict::Held
}

pub(super) async fn a_read_at_or_past_the_tail_is_empty(stage: &Stage<'_>) -> Verdict {
    let mut world = World::start(stage, 2).await;
    world.put(shard(1), 4).await;
    for (key, tail) in [(shard(0), 0), (shard(1), 4)] {
        for past in [0, 1, 1_000_000] {
            let answer = world.read(from(key, tail + past)).await;
            assert!(answer.runs.is_empty(), "nothing is there");
            assert_eq!(answer.next, tail + past, "the reader stays where it is");
        }
    }
    Verdict::Held
}

pub(super) async fn a_read_below_the_trim_point_starts_at_it(stage: &Stage<'_>) -> Verdict {
    let mut world = World::start(stage, 1).await;
    for _ in 0..3 {
        world.put(SHARD, 5).await;
    }
    for trim in [1, 4, 5, 7, 14, 15] {
        world.trim(&[(SHARD, trim)]).await;
        for offset in 0..16 {
            let answer = world.read(from(SHARD, offset)).await;
            assert!(answer.next >= trim, "what is gone is passed over at once");
            assert_eq!(world.read_to_end(from(SHARD, offset)).await, 15 - offset.clamp(trim, 15));
        }
    }
    Verdict::Held
}

pub(super) async fn records_before_the_time_asked_for_are_passed_over(stage: &Stage<'_>) -> Verdict {
    let mut world = World::start(stage, 1).await;
    let mut moved = true;
    let mut arrivals = Vec::new();
    for _ in 0..6 {
        arrivals.push(world.put(SHARD, 3).await.1);
        moved = world.instance.advance(Duration::from_millis(10));
    }
    world.trim(&[(SHARD, 4)]).await;
    for arrival in arrivals {
        for millis in -1..=1 {
            let not_before = Timestamp::from_millis(arrival.as_millis() + millis);
            for offset in 0..=18 {
                world.read_to_end(Read { not_before, ..from(SHARD, offset) }).await;
                world.read_to_end(Read { not_before, records_max: 2, ..from(SHARD, offset) }).await;
            }
        }
    }
    assert_eq!(world.read_to_end(Read { not_before: Timestamp::MAX, ..from(SHARD, 0) }).await, 0);
    if moved { Verdict::Held } else { NO_TIME }
}

pub(super) async fn every_form_of_record_comes_back_as_it_was(stage: &Stage<'_>) -> Verdict {
    let mut world = World::start(stage, 1).await;
    let long_key = "\u{1f30a}".repeat(256);
    let mut run = Vec::new();
    for partition_key in [None, Some("k"), Some(long_key.as_str())] {
        for explicit_hash_key in [None, Some(0), Some(u128::MAX)] {
            for id in [None, Some(&b""[..]), Some(&[0xff; 300])] {
                for data in [&b""[..], b"\0", &[0x80; 1000]] {
                    Record { partition_key, explicit_hash_key, id, data }.encode(&mut run);
                }
            }
        }
    }
    // 27 records of each of three keys: about 60 KiB.
    world.append(append_of(&[(SHARD, run)])).await;
    world.verify().await;
    Verdict::Held
}

pub(super) async fn find_time_is_exact(stage: &Stage<'_>) -> Verdict {
    let mut world = World::start(stage, 2).await;
    let mut moved = true;
    let mut arrivals = Vec::new();
    for pause_millis in [0, 0, 1, 0, 20, 1000, 1] {
        arrivals.push(world.put(SHARD, 2).await.1);
        moved = world.instance.advance(Duration::from_millis(pause_millis));
    }
    for trim in [0, 1, 4, 9, 14] {
        world.trim(&[(SHARD, trim)]).await;
        for arrival in &arrivals {
            for millis in -1..=1 {
                world.find_time(SHARD, Timestamp::from_millis(arrival.as_millis() + millis)).await;
            }
        }
        for at in [Timestamp::ZERO, Timestamp::from_millis(-1), Timestamp::MAX] {
            world.find_time(SHARD, at).await;
            world.find_time(shard(1), at).await;
        }
    }
    if moved { Verdict::Held } else { NO_TIME }
}

pub(super) async fn what_is_not_there_is_an_unknown_shard(stage: &Stage<'_>) -> Verdict {
    let mut world = World::start(stage, 1).await;
    world.open(StreamId(2), &[0]).await;
    let deleted = ShardKey { stream: StreamId(2), shard: ShardIndex(0) };
    world.put(deleted, 3).await;
    world.delete(StreamId(2)).await;
    let journal = world.journal();
    for key in [shard(1), ShardKey { stream: StreamId(77), ..SHARD }, deleted] {
        world.step(format!("ask for {key}"));
        let unknown = ReadError::UnknownShard(key);
        assert_eq!(journal.tail(key).expect_err("it is not there"), unknown);
        assert_eq!(journal.watch(key).expect_err("it is not there"), unknown);
        assert_eq!(journal.read(from(key, 0)).await.expect_err("it is not there"), unknown);
        assert_eq!(journal.find_time(key, Timestamp::ZERO).await.expect_err("it is not there"), unknown);
    }
    assert_eq!(journal.shards().len(), 1, "only a shard of {STREAM} is left");
    Verdict::Held
}
