//! What the engine does by itself as time passes and data comes and goes: expiry, trimming, deletion, rewriting of
//! small chunks, rest when idle.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use support::Machine;
use support::history::{History, is_throttled, read_all};
use thalweg_journal::{AppendError, Health, Journal, NotAppliedReason, Read, ReadError, RunOutcome};
use thalweg_journal_disk::{DiskJournal, Settings, check, set_aside};
use thalweg_system::disk::DiskErrorKind;
use thalweg_system::simulated::{Call, CallKind, Crash, SimulatedDisk};
use thalweg_system::{Clock, Disk};
use thalweg_types::{Offset, ShardIndex, ShardKey, StreamId, Timestamp};

const HOUR: Duration = Duration::from_secs(3600);
const STREAM: StreamId = StreamId(7);

fn shard(index: u32) -> ShardKey {
    ShardKey { stream: STREAM, shard: ShardIndex(index) }
}

/// A machine, a journal on it, and what was asked of it.
struct Scene {
    machine: Machine,
    journal: Arc<DiskJournal>,
    history: History,
}

impl Scene {
    async fn open_shards(&mut self, stream: StreamId, count: u32) {
        let indexes: Vec<_> = (0..count).map(ShardIndex).collect();
        self.journal.open_shards(stream, &indexes).await.expect("it takes writes");
        for shard in indexes {
            self.history.opened(ShardKey { stream, shard });
        }
    }

    /// Appends one run, however often it is throttled first; answers its first offset and its arrival.
    async fn put(&mut self, shard: ShardKey, count: u32, data_bytes: usize) -> (Offset, Timestamp) {
        let append = self.history.append_for(&[(shard, count)], data_bytes);
        loop {
            match self.journal.append(append.clone()).await {
                Ok(outcomes) => match outcomes[..] {
                    [RunOutcome::Placed { first, arrival }] => return (first, arrival),
                    ref other => panic!("the shard is open: {other:?}"),
                },
                Err(error) if is_throttled(&error) => self.wait(Duration::from_millis(10)).await,
                Err(error) => panic!("it takes writes: {error}"),
            }
        }
    }

    /// Puts so many bytes into a shard.
    async fn fill(&mut self, shard: ShardKey, bytes: usize) {
        for _ in 0..bytes / 1000 {
            self.put(shard, 2, 500).await;
        }
    }

    async fn wait(&self, duration: Duration) {
        self.machine.clock.sleep(duration).await;
    }

    /// Waits until `holds`, which chores will bring about.
    async fn until(&self, what: &str, holds: impl Fn(&Scene) -> bool) {
        for _ in 0..1000 {
            if holds(self) {
                return;
            }
            self.wait(self.machine.settings.chores_interval).await;
        }
        panic!("never: {what}");
    }

    fn segments(&self, stream: StreamId) -> usize {
        let directory = format!("seg/{}/", stream.0);
        let files = self.machine.disk.files();
        files.iter().filter(|file| file.starts_with(&directory) && file.ends_with(".seg")).count()
    }

    async fn restart(&mut self, crash: Option<Crash>) {
        self.restart_after(crash, Duration::ZERO).await;
    }

    /// Ends it, and starts it when so much time has passed without it.
    async fn restart_after(&mut self, crash: Option<Crash>, off: Duration) {
        match crash {
            None => self.journal.shutdown().await,
            Some(how) => self.machine.crash(how),
        }
        self.wait(off).await;
        self.journal = self.machine.open().await;
    }

    async fn count(&self, shard: ShardKey) -> usize {
        read_all(&*self.journal, shard).await.expect("it can be read").len()
    }
}

/// For tests in which hours pass.
fn slow_settings() -> Settings {
    Settings { chores_interval: Duration::from_secs(60), ..Settings::tiny() }
}

/// Runs a test in a world of its own.
fn in_scene<F: Future<Output = ()>>(settings: Settings, shards: u32, test: impl FnOnce(Scene) -> F) {
    let machine = Machine::new(1, settings);
    let spawn = machine.spawn.clone();
    spawn.block_on(async {
        let journal = machine.open().await;
        let mut scene = Scene { machine, journal, history: History::default() };
        scene.open_shards(STREAM, shards).await;
        test(scene).await;
    });
}

#[test]
fn expired_segments_are_removed_and_what_is_covered_stays() {
    in_scene(slow_settings(), 2, |mut scene| async move {
        scene.journal.set_retention(STREAM, 24 * HOUR);
        let mut arrivals = Vec::new();
        for _ in 0..40 {
            arrivals.push(scene.put(shard(0), 2, 4000).await);
            scene.put(shard(1), 1, 4000).await;
            scene.wait(HOUR).await;
        }
        // One hour of what is drained per segment, and a day of retention.
        scene.until("old segments are removed", |scene| scene.segments(STREAM) <= 26).await;
        let tail = scene.journal.tail(shard(0)).expect("it exists");
        assert!(tail.trimmed > 0, "what was removed is trimmed");
        let limit = Timestamp::from_millis(scene.machine.clock.wall().as_millis()).minus(24 * HOUR);
        let (covered, _) = *arrivals.iter().find(|(_, arrival)| *arrival >= limit).expect("some are young");
        assert!(tail.trimmed <= covered, "nothing that is covered is gone");
        let trimmed = tail.trimmed;
        for crash in [None, Some(Crash::PowerNothing)] {
            scene.restart(crash).await;
            let tail = scene.journal.tail(shard(0)).expect("it exists");
            assert!(tail.trimmed >= trimmed, "what has expired does not come back");
            assert_eq!(scene.count(shard(0)).await as u64, tail.next - tail.trimmed);
        }
        // An idle stream's segments go, too, once their time has come.
        scene.journal.set_retention(STREAM, 24 * HOUR);
        scene.wait(25 * HOUR).await;
        scene.until("all expired", |scene| scene.segments(STREAM) == 0).await;
        // Offsets go on.
        let next = scene.journal.tail(shard(0)).expect("it exists").next;
        assert_eq!(scene.put(shard(0), 1, 10).await.0, next);
    });
}

#[test]
fn a_longer_retention_does_not_bring_back_what_a_shorter_one_took() {
    in_scene(slow_settings(), 1, |mut scene| async move {
        scene.journal.set_retention(STREAM, 48 * HOUR);
        let mut placed = Vec::new();
        for _ in 0..30 {
            placed.push(scene.put(shard(0), 1, 3000).await);
            scene.wait(HOUR).await;
        }
        // Chores look once a minute: no record's day ends in this one.
        scene.wait(HOUR / 2).await;
        let limit = scene.machine.clock.wall().minus(24 * HOUR);
        let (expected, _) = *placed.iter().find(|(_, arrival)| *arrival >= limit).expect("some are young");
        // Both at once: the shorter one counts.
        scene.journal.set_retention(STREAM, 24 * HOUR);
        scene.journal.set_retention(STREAM, 72 * HOUR);
        scene
            .until("it is trimmed to the record", |scene| {
                scene.journal.tail(shard(0)).expect("it exists").trimmed >= expected
            })
            .await;
        let tail = scene.journal.tail(shard(0)).expect("it exists");
        assert_eq!(tail.trimmed, expected, "to the record, and not further");
        scene.restart(Some(Crash::PowerNothing)).await;
        assert_eq!(scene.journal.tail(shard(0)).expect("it exists").trimmed, expected);
    });
}

#[test]
fn a_wall_clock_that_jumps_ahead_expires_nothing_until_it_is_confirmed() {
    for confirmed_by_hand in [true, false] {
        in_scene(slow_settings(), 1, |mut scene| async move {
            scene.journal.set_retention(STREAM, 24 * HOUR);
            scene.fill(shard(0), 100_000).await;
            let (segments, count) = (scene.segments(STREAM), scene.count(shard(0)).await);
            assert!(segments > 1, "something was drained");
            let wall = scene.machine.clock.wall();
            scene.machine.clock.set_wall(wall.plus(365 * 24 * HOUR));
            scene.wait(HOUR / 2).await;
            assert!(scene.segments(STREAM) >= segments, "no file is removed");
            assert_eq!(scene.count(shard(0)).await, count);
            // A restart does not make the clock right.
            scene.restart(Some(Crash::Process)).await;
            scene.journal.set_retention(STREAM, 24 * HOUR);
            scene.wait(HOUR / 2).await;
            assert!(scene.segments(STREAM) >= segments, "no file is removed");
            assert_eq!(scene.count(shard(0)).await, count);
            if confirmed_by_hand {
                scene.journal.confirm_clock();
            } else {
                scene.wait(HOUR).await;
            }
            scene.until("it expires now", |scene| scene.segments(STREAM) == 0).await;
        });
    }
}

#[test]
fn a_clock_in_doubt_is_told_at_once_and_after_a_restart_until_it_is_confirmed() {
    for crash in [Some(Crash::Process), None] {
        in_scene(slow_settings(), 1, |mut scene| async move {
            // Something that a checkpoint remembers the time with.
            scene.fill(shard(0), 100_000).await;
            assert!(scene.segments(STREAM) > 0, "something was drained");
            assert!(!scene.journal.doubts_clock());
            let wall = scene.machine.clock.wall();
            scene.machine.clock.set_wall(wall.plus(48 * HOUR));
            assert!(scene.journal.doubts_clock(), "before any chores looked");
            scene.machine.clock.set_wall(wall);
            assert!(!scene.journal.doubts_clock(), "it is right again");
            scene.machine.clock.set_wall(wall.plus(48 * HOUR));
            scene.wait(HOUR / 4).await;
            assert!(scene.journal.doubts_clock(), "chores do not end it");
            scene.restart(crash).await;
            assert!(scene.journal.doubts_clock(), "nor does a restart, before any chores looked");
            scene.wait(HOUR / 4).await;
            assert!(scene.journal.doubts_clock());
            scene.journal.confirm_clock();
            scene.until("it is believed", |scene| !scene.journal.doubts_clock()).await;
            scene.wait(2 * HOUR).await;
            assert!(!scene.journal.doubts_clock(), "it goes on");
            assert!(!scene.journal.figures().expiry_paused);
        });
    }
}

#[test]
fn what_was_too_old_once_is_too_old_after_a_crash() {
    // An engine to which nothing happens for a day, and one that slept for half of it. Nothing runs between its end and the
    // next start: for no time, for less than the clock may jump, and for hours.
    for slept in [Duration::ZERO, 12 * HOUR] {
        for off in [Duration::ZERO, HOUR / 2, 5 * HOUR, 48 * HOUR] {
            for crash in [Some(Crash::Process), Some(Crash::PowerNothing), None] {
                in_scene(slow_settings(), 1, |mut scene| async move {
                    let age_limit = |scene: &Scene| scene.journal.expiry_time(scene.machine.clock.wall());
                    scene.put(shard(0), 1, 100).await;
                    scene.wait(24 * HOUR).await;
                    assert_eq!(
                        age_limit(&scene),
                        scene.machine.clock.wall(),
                        "a clock that runs on evenly is believed"
                    );
                    scene.machine.clock.set_wall(scene.machine.clock.wall().plus(slept));
                    for minutes in [0, 1, 13, 47] {
                        scene.wait(Duration::from_secs(minutes * 60)).await;
                        let before = age_limit(&scene);
                        scene.restart_after(crash, off).await;
                        let after = age_limit(&scene);
                        assert!(
                            after >= before,
                            "{after} is before {before}: {slept:?}, {crash:?}, {off:?} off, {minutes} minutes"
                        );
                    }
                    scene.wait(2 * HOUR).await;
                    assert_eq!(age_limit(&scene), scene.machine.clock.wall(), "it is believed in the end");
                });
            }
        }
    }
}

#[test]
fn on_a_full_volume_the_time_goes_on() {
    in_scene(slow_settings(), 1, |mut scene| async move {
        scene.fill(shard(0), 100_000).await;
        let space = scene.machine.disk.space().await.expect("it can be measured");
        scene.machine.disk.set_capacity(Some(space.total - space.available));
        scene.wait(5 * HOUR).await;
        let wall = scene.machine.clock.wall();
        assert_eq!(scene.journal.expiry_time(wall), wall);
        scene.restart(Some(Crash::PowerNothing)).await;
        assert_eq!(scene.journal.expiry_time(wall), wall);
    });
}

#[test]
fn while_writes_are_stopped_nothing_more_is_hidden_than_the_next_start_hides() {
    in_scene(slow_settings(), 1, |mut scene| async move {
        scene.put(shard(0), 1, 100).await;
        // Nothing else is written then.
        scene.wait(HOUR / 10).await;
        scene.machine.disk.fail_nth(CallKind::WriteDurable, "", 1, DiskErrorKind::Io);
        let append = scene.history.append_for(&[(shard(0), 1)], 100);
        scene.journal.append(append).await.expect_err("the disk fails");
        let age_limit = |scene: &Scene| scene.journal.expiry_time(scene.machine.clock.wall());
        assert_eq!(age_limit(&scene), scene.machine.clock.wall(), "for an hour it goes on");
        scene.wait(5 * HOUR).await;
        let before = age_limit(&scene);
        assert!(before < scene.machine.clock.wall(), "then it stands still");
        scene.restart(Some(Crash::PowerNothing)).await;
        assert!(age_limit(&scene) >= before);
    });
}

#[test]
fn a_clock_that_was_set_right_is_what_counts() {
    // The first start had it five hours ahead, and no checkpoint was written since.
    in_scene(slow_settings(), 1, |mut scene| async move {
        scene.put(shard(0), 1, 100).await;
        let wrong = scene.machine.clock.wall();
        scene.machine.clock.set_wall(wrong.minus(5 * HOUR));
        scene.wait(HOUR / 10).await;
        let right = scene.machine.clock.wall();
        scene.machine.clock.set_wall(right.plus(5 * HOUR));
        for _ in 0..2 {
            assert!(scene.journal.doubts_clock());
            assert!(scene.journal.expiry_time(scene.machine.clock.wall()) <= right.plus(HOUR));
            scene.restart(Some(Crash::Process)).await;
        }
    });
}

#[test]
fn a_jump_of_the_clock_hides_what_an_hour_would() {
    in_scene(slow_settings(), 1, |mut scene| async move {
        scene.put(shard(0), 1, 100).await;
        scene.wait(HOUR).await;
        let wall = scene.machine.clock.wall();
        let age_limit = |scene: &Scene| scene.journal.expiry_time(scene.machine.clock.wall());
        scene.machine.clock.set_wall(wall.plus(48 * HOUR));
        assert!(age_limit(&scene) <= wall.plus(HOUR), "before any chores looked");
        scene.wait(HOUR / 2).await;
        assert!(age_limit(&scene) <= wall.plus(HOUR + HOUR / 2));
        scene.machine.clock.set_wall(wall.plus(HOUR / 2));
        assert_eq!(age_limit(&scene), wall.plus(HOUR / 2), "it is right again");
        scene.machine.clock.set_wall(wall.plus(48 * HOUR));
        scene.journal.confirm_clock();
        scene.wait(HOUR / 10).await;
        assert_eq!(age_limit(&scene), scene.machine.clock.wall(), "somebody says that it is right");
    });
}

#[test]
fn trimmed_segments_are_removed() {
    in_scene(Settings::tiny(), 2, |mut scene| async move {
        scene.fill(shard(0), 200_000).await;
        scene.fill(shard(1), 200_000).await;
        assert!(scene.segments(STREAM) >= 4, "there are several segments");
        let middle = scene.journal.tail(shard(0)).expect("it exists").next / 2;
        let before = scene.segments(STREAM);
        scene.journal.trim(&[(shard(0), middle)]).await.expect("it takes writes");
        scene.until("segments of the older half go", |scene| scene.segments(STREAM) < before).await;
        scene.restart(Some(Crash::PowerNothing)).await;
        let tail = scene.journal.tail(shard(0)).expect("it exists");
        assert_eq!(tail.trimmed, middle);
        assert_eq!(scene.count(shard(0)).await as u64, tail.next - middle);
        let ends =
            [0, 1].map(|index| (shard(index), scene.journal.tail(shard(index)).expect("it exists").next));
        scene.journal.trim(&ends).await.expect("it takes writes");
        scene.until("nothing is left", |scene| scene.segments(STREAM) == 0).await;
        scene.restart(None).await;
        assert_eq!(scene.put(shard(0), 1, 10).await.0, ends[0].1, "offsets go on");
    });
}

#[test]
fn a_deleted_streams_files_go_and_its_id_stays_taken() {
    in_scene(Settings::tiny(), 1, |mut scene| async move {
        let other = StreamId(8);
        let key = ShardKey { stream: other, shard: ShardIndex(0) };
        scene.open_shards(other, 1).await;
        scene.fill(key, 100_000).await;
        scene.fill(shard(0), 50_000).await;
        assert!(scene.segments(other) > 0, "something was drained");
        scene.journal.delete_stream(other).await.expect("it takes writes");
        assert_eq!(scene.journal.tail(key).expect_err("it is gone"), ReadError::UnknownShard(key));
        for crash in [Some(Crash::PowerNothing), Some(Crash::Process), None] {
            let refused =
                scene.journal.open_shards(other, &[ShardIndex(0)]).await.expect_err("ids are used once");
            assert_eq!(refused, AppendError::NotApplied(NotAppliedReason::UnknownShard(key)));
            scene.restart(crash).await;
            assert_eq!(scene.journal.shards().len(), 1, "it does not come back");
        }
        scene.until("its files are gone", |scene| scene.segments(other) == 0).await;
        // The ring comes round, and nothing of it is left anywhere.
        scene.fill(shard(0), 600_000).await;
        scene.restart(Some(Crash::PowerNothing)).await;
        assert_eq!(scene.journal.shards().len(), 1, "it does not come back");
    });
}

/// Its neighbours' segments hold its records for as long as they live.
#[test]
fn what_is_left_of_a_forgotten_shard_harms_nothing() {
    in_scene(Settings::tiny(), 12, |mut scene| async move {
        for _ in 0..60 {
            for index in 0..12 {
                scene.put(shard(index), 1, 150).await;
            }
        }
        let expected = read_all(&*scene.journal, shard(0)).await.expect("it can be read");
        let mut watch = scene.journal.watch(shard(1)).expect("it exists");
        let ends = scene.journal.seal(&[shard(1)]).await.expect("it takes writes");
        scene.journal.trim(&[(shard(1), ends[0])]).await.expect("it takes writes");
        scene.journal.forget_shards(&[shard(1)]).await.expect("it takes writes");
        assert!(watch.current().deleted, "who watches it knows");
        assert_eq!(scene.journal.figures().shards_forgotten, 1);
        let segments = scene.segments(STREAM);
        assert!(segments > 1, "its neighbours are in there");
        for crash in [Some(Crash::PowerNothing), Some(Crash::Process), None, Some(Crash::PowerEverything)] {
            scene.restart(crash).await;
            let shards: Vec<_> = scene.journal.shards().into_iter().map(|(key, _)| key.shard.0).collect();
            assert_eq!(shards, [&[0][..], &[2, 3, 4, 5, 6, 7, 8, 9, 10, 11]].concat());
            for index in [0, 1] {
                let opened = scene.journal.open_shards(STREAM, &[ShardIndex(index)]).await;
                assert_eq!(opened.is_ok(), index == 0, "none is made again");
            }
            let found = read_all(&*scene.journal, shard(0)).await.expect("it can be read");
            assert!(found == expected, "shard 0 holds what it held");
        }
        // Drained, rewritten with larger chunks, and read anew without indexes: it stays forgotten.
        scene.fill(shard(2), 60_000).await;
        let rewritten =
            |scene: &Scene| scene.machine.disk.files().iter().any(|file| file.ends_with("-1.seg"));
        scene.until("a segment is rewritten", rewritten).await;
        scene.restart(None).await;
        let checked = check(&scene.machine.disk).await;
        assert!(checked.damage.is_empty(), "{:?}", checked.damage);
        scene.journal.shutdown().await;
        let chunk = first_chunk(&scene.machine.disk, 1).expect("its neighbours keep it");
        scene.machine.disk.flip_bit(&chunk.0, chunk.1 + 8, 1);
        let checked = check(&scene.machine.disk).await;
        assert!(checked.damage.is_empty(), "nobody reads it: {:?}", checked.damage);
        assert!(set_aside(&scene.machine.disk).await.expect("nothing is damaged").is_empty());
        scene.machine.disk.flip_bit(&chunk.0, chunk.1 + 8, 1);
        for file in scene.machine.disk.files().iter().filter(|file| file.ends_with(".idx")) {
            scene.machine.disk.remove(file);
        }
        scene.journal = scene.machine.open().await;
        let found = read_all(&*scene.journal, shard(0)).await.expect("it can be read");
        assert!(found == expected, "shard 0 holds what it held");
        // The last of its neighbours' segments take it with them.
        let ends: Vec<_> = scene.journal.shards().into_iter().map(|(key, tail)| (key, tail.next)).collect();
        scene.journal.trim(&ends).await.expect("it takes writes");
        scene.until("nothing is left", |scene| scene.segments(STREAM) == 0).await;
        scene.restart(Some(Crash::PowerNothing)).await;
        assert_eq!(scene.put(shard(0), 1, 10).await.0, ends[0].1, "offsets go on");
        let opened = scene.journal.open_shards(STREAM, &[ShardIndex(1)]).await;
        assert!(opened.is_err(), "nor is it made again when nothing is left of it");
    });
}

/// Where a chunk of this shard is, by the first index that names one (docs/formats/journal.md).
fn first_chunk(disk: &SimulatedDisk, shard: u8) -> Option<(String, u64)> {
    let files = disk.files();
    let mut indexes = files.iter().filter(|file| file.ends_with(".idx"));
    indexes.find_map(|file| {
        let index = disk.content(file).expect("it is listed");
        let entry = index[64..].chunks_exact(64).find(|entry| entry[4] == shard)?;
        let position = u64::from_le_bytes(entry[40..48].try_into().expect("eight bytes"));
        Some((file.replace(".idx", ".seg"), position))
    })
}

/// A shard is forgotten while some of its records still wait to be drained: the segments with the older ones may go before
/// the younger ones come into others, and a crash comes in between.
#[test]
fn a_shard_may_be_forgotten_before_it_is_drained() {
    for call in (1..80).step_by(3) {
        let settings = Settings {
            undrained_bytes_max: 200 * 1024,
            drain_start_bytes: 100 * 1024,
            drain_bytes_max: 8 * 1024,
            segment_bytes_max: 24 * 1024,
            merge_bytes_per_second: 0,
            ring_bytes_max: 512 * 1024,
            ..Settings::tiny()
        };
        in_scene(settings, 2, |mut scene| async move {
            // A segment with both, then some with shard 1 alone, then what is not drained.
            scene.fill(shard(0), 8_000).await;
            scene.fill(shard(1), 130_000).await;
            scene.until("enough is drained", |scene| scene.segments(STREAM) > 1).await;
            scene.fill(shard(1), 40_000).await;
            let segments = scene.segments(STREAM);
            assert!(scene.journal.figures().undrained_bytes > 30_000, "the rest is not drained");
            let ends = scene.journal.seal(&[shard(1)]).await.expect("it takes writes");
            scene.journal.trim(&[(shard(1), ends[0])]).await.expect("it takes writes");
            scene.journal.forget_shards(&[shard(1)]).await.expect("it takes writes");
            scene.until("its segments go", |scene| scene.segments(STREAM) < segments).await;
            scene.machine.disk.stop_at_call(call);
            for _ in 0..80 {
                let append = scene.history.append_for(&[(shard(0), 2)], 500);
                drop(scene.journal.append(append).await);
                if scene.machine.disk.is_stopped() {
                    break;
                }
                scene.wait(Duration::from_millis(10)).await;
            }
            scene.restart(Some(Crash::PowerEverything)).await;
            for crash in [None, Some(Crash::PowerNothing)] {
                let shards: Vec<_> = scene.journal.shards().into_iter().map(|(key, _)| key.shard.0).collect();
                assert_eq!(shards, [0], "at call {call}");
                assert!(scene.count(shard(0)).await >= 16, "at call {call}");
                scene.restart(crash).await;
            }
        });
    }
}

#[test]
fn segments_of_small_chunks_are_rewritten_and_hold_the_same() {
    const SHARDS: u32 = 12;
    in_scene(Settings::tiny(), SHARDS, |mut scene| async move {
        for _ in 0..60 {
            for index in 0..SHARDS {
                scene.put(shard(index), 1, 150).await;
            }
        }
        let mut expected = BTreeMap::new();
        for index in 0..SHARDS {
            expected.insert(index, read_all(&*scene.journal, shard(index)).await.expect("it can be read"));
        }
        let rewritten = |scene: &Scene| {
            let files = scene.machine.disk.files();
            files.iter().any(|file| file.ends_with("-1.seg"))
                && !files.contains(&"seg/7/00000000-0.seg".to_owned())
        };
        scene.until("a segment is rewritten", rewritten).await;
        for crash in [None, Some(Crash::Process), Some(Crash::PowerNothing)] {
            for (index, expected) in &expected {
                let found = read_all(&*scene.journal, shard(*index)).await.expect("it can be read");
                assert!(found == *expected, "shard {index} holds what it held");
                for (offset, (arrival, _)) in expected.iter().enumerate() {
                    let first = expected.partition_point(|(other, _)| other < arrival);
                    assert!(first <= offset, "times do not decrease");
                    let at =
                        scene.journal.find_time(shard(*index), *arrival).await.expect("it can be searched");
                    assert_eq!(at, first as u64);
                }
            }
            scene.restart(crash).await;
        }
    });
}

/// A server that runs for years must not keep the name of each segment that was offered and not rewritten: the engine asserts
/// that it does not, each time it looks for one to rewrite.
#[test]
fn segments_that_were_not_rewritten_are_forgotten_when_they_expire() {
    const SHARDS: u32 = 12;
    in_scene(slow_settings(), SHARDS, |mut scene| async move {
        scene.journal.set_retention(STREAM, 24 * HOUR);
        for _ in 0..60 {
            for index in 0..SHARDS {
                scene.put(shard(index), 1, 150).await;
            }
        }
        scene.machine.disk.fail_always(CallKind::Read, ".seg", DiskErrorKind::Io);
        let reads = scene.machine.disk.calls_of(CallKind::Read);
        scene.wait(HOUR).await;
        assert!(scene.machine.disk.calls_of(CallKind::Read) > reads, "one was to be rewritten");
        scene.wait(25 * HOUR).await;
        scene.until("all expired", |scene| scene.segments(STREAM) == 0).await;
        scene.wait(HOUR).await;
    });
}

#[test]
fn a_caught_up_reader_never_touches_the_disk() {
    in_scene(Settings::tiny(), 1, |mut scene| async move {
        scene.fill(shard(0), 100_000).await;
        for _ in 0..50 {
            let (first, _) = scene.put(shard(0), 1, 100).await;
            let reads = scene.machine.disk.calls_of(CallKind::Read);
            let read = Read {
                shard: shard(0),
                from: first,
                records_max: 10,
                bytes_max: 10_000,
                not_before: Timestamp::ZERO,
            };
            let answer = scene.journal.read(read).await.expect("it can be read");
            assert_eq!(answer.runs.len(), 1);
            assert_eq!(scene.machine.disk.calls_of(CallKind::Read), reads);
        }
    });
}

/// Writes to the ring.
fn ring_writes(disk: &SimulatedDisk) -> usize {
    let log = disk.take_log();
    log.iter().filter(|call| call.kind == CallKind::WriteDurable && call.path.starts_with("wal/")).count()
}

#[test]
fn an_idle_journal_confirms_once_and_rests() {
    in_scene(slow_settings(), 1, |mut scene| async move {
        scene.fill(shard(0), 60_000).await;
        scene.wait(Duration::from_secs(1)).await;
        ring_writes(&scene.machine.disk);
        scene.put(shard(0), 1, 100).await;
        scene.wait(HOUR).await;
        assert_eq!(ring_writes(&scene.machine.disk), 2, "the append and one confirmation");
        let figures = scene.journal.figures();
        assert_eq!(figures.read_cache_bytes, 0, "caches are freed");
        assert_eq!(figures.cached_bytes, figures.undrained_bytes, "what was drained is let go of");
    });
}

#[test]
fn after_a_clean_end_nothing_is_replayed() {
    in_scene(Settings::tiny(), 2, |mut scene| async move {
        scene.fill(shard(0), 30_000).await;
        scene.journal.shutdown().await;
        scene.machine.disk.take_log();
        scene.journal = scene.machine.open().await;
        let log = scene.machine.disk.take_log();
        let slots = scene.journal.figures().slots as usize;
        let ring_reads =
            log.iter().filter(|call| call.kind == CallKind::Read && call.path.starts_with("wal/"));
        assert_eq!(ring_reads.count(), slots, "only the slots' headers are read");
        assert_eq!(scene.journal.figures().undrained_bytes, 0);
        assert_eq!(scene.count(shard(0)).await, 60);
    });
}

#[test]
fn caches_stay_within_their_bounds() {
    let settings = Settings { chunk_cache_bytes_max: 20_000, ..Settings::tiny() };
    in_scene(settings, 1, |mut scene| async move {
        for _ in 0..20 {
            scene.fill(shard(0), 30_000).await;
            scene.count(shard(0)).await;
            let figures = scene.journal.figures();
            assert!(figures.read_cache_bytes <= 20_000, "{figures:?}");
            let settings = &scene.machine.settings;
            let most =
                settings.undrained_bytes_max + settings.tail_cache_bytes_max + settings.request_bytes_max;
            assert!(figures.cached_bytes <= most, "{figures:?}");
            assert!(figures.ring_bytes <= settings.ring_bytes_max, "{figures:?}");
        }
    });
}

/// Arrival times never go back, so that a shard to which records came while the clock was ahead keeps its segment
/// longer than a later segment without it is kept. Then the later one goes first.
#[test]
fn a_later_segment_may_expire_before_an_earlier_one() {
    let settings = Settings { segment_bytes_max: 20_000, ..slow_settings() };
    in_scene(settings, 2, |mut scene| async move {
        scene.journal.set_retention(STREAM, 24 * HOUR);
        let wall = scene.machine.clock.wall();
        scene.machine.clock.set_wall(wall.plus(HOUR / 2));
        scene.fill(shard(0), 5000).await;
        scene.machine.clock.set_wall(scene.machine.clock.wall().minus(HOUR / 2));
        // The first segment holds both shards, the following ones the second alone.
        scene.fill(shard(1), 150_000).await;
        let next = scene.journal.tail(shard(1)).expect("it exists").next;
        scene.wait(HOUR / 10).await;
        scene.journal.shutdown().await;
        scene.journal = scene.machine.open().await;
        scene.journal.set_retention(STREAM, 24 * HOUR);
        assert!(scene.segments(STREAM) > 3, "there are several segments");
        scene.wait(24 * HOUR + HOUR / 10).await;
        scene.until("all but the first are removed", |scene| scene.segments(STREAM) == 1).await;
        for crash in [Some(Crash::PowerNothing), None, Some(Crash::Process)] {
            let tail = scene.journal.tail(shard(1)).expect("it exists");
            assert_eq!((tail.trimmed, tail.next), (next, next), "what is older than what has gone has gone");
            assert_eq!(scene.count(shard(0)).await, 10, "what is covered is there");
            scene.restart(crash).await;
        }
    });
}

#[test]
fn a_checkpoint_that_found_no_space_does_not_throttle_for_ever() {
    in_scene(slow_settings(), 1, |mut scene| async move {
        scene.journal.set_retention(STREAM, 24 * HOUR);
        scene.fill(shard(0), 100_000).await;
        // Idle: everything is drained, so that there is nothing that another round could write.
        scene.until("drained", |scene| scene.journal.figures().undrained_bytes == 0).await;
        scene.machine.disk.fail_always(CallKind::Write, "checkpoint-", DiskErrorKind::NoSpace);
        scene.wait(26 * HOUR).await;
        assert!(scene.segments(STREAM) > 0, "expiry could not write its checkpoint");
        scene.machine.disk.clear_faults();
        scene.wait(HOUR).await;
        assert_eq!(scene.journal.health(), Health::Ready);
        let append = scene.history.append_for(&[(shard(0), 1)], 100);
        scene.journal.append(append).await.expect("there is space again");
    });
}

#[test]
fn deleting_a_stream_under_load_drains_only_what_was_there() {
    const MIB: usize = 1 << 20;
    let settings = Settings {
        slot_bytes_first: 2 * MIB as u64,
        slot_bytes: 2 * MIB as u64,
        ring_bytes_max: 8 * MIB as u64,
        undrained_bytes_max: 4 * MIB,
        drain_start_bytes: 3 * MIB,
        drain_bytes_max: 3 * MIB,
        ..slow_settings()
    };
    in_scene(settings, 1, |mut scene| async move {
        let other = StreamId(8);
        scene.open_shards(other, 1).await;
        scene.fill(shard(0), 10_000).await;
        scene.restart(None).await;
        assert!(scene.segments(STREAM) > 0, "a clean end drains");
        scene.journal.delete_stream(STREAM).await.expect("it takes writes");
        scene.machine.disk.take_log();
        scene.machine.clock.advance(scene.machine.settings.chores_interval);
        let other = ShardKey { stream: other, shard: ShardIndex(0) };
        for _ in 0..400 {
            scene.put(other, 1, 100).await;
        }
        let log = scene.machine.disk.take_log();
        let is_checkpoint =
            |call: &&Call| call.kind == CallKind::Create && call.path.starts_with("checkpoint-");
        let checkpoints = log.iter().filter(is_checkpoint).count();
        assert_eq!(scene.segments(STREAM), 0, "its files are gone");
        assert!((1..=3).contains(&checkpoints), "{checkpoints} checkpoints for one deletion");
    });
}

#[test]
fn records_drained_after_their_stream_was_deleted_are_removed_soon() {
    const MIB: usize = 1 << 20;
    let settings = Settings {
        slot_bytes_first: 8 * MIB as u64,
        slot_bytes: 8 * MIB as u64,
        ring_bytes_max: 32 * MIB as u64,
        undrained_bytes_max: 4 * MIB,
        drain_start_bytes: 3 * MIB,
        drain_bytes_max: MIB,
        idle_undrained_bytes_max: 4 * MIB,
        ..slow_settings()
    };
    in_scene(settings, 1, |mut scene| async move {
        let other = StreamId(8);
        scene.open_shards(other, 1).await;
        scene.until("room", |scene| scene.journal.figures().slots_free > 0).await;
        scene.fill(shard(0), 400_000).await;
        assert_eq!(scene.segments(STREAM), 0, "nothing is drained yet");
        scene.journal.delete_stream(STREAM).await.expect("it takes writes");
        scene.wait(2 * scene.machine.settings.chores_interval).await;
        // One round of draining, which ends before the deletion.
        let other = ShardKey { stream: other, shard: ShardIndex(0) };
        while scene.journal.figures().undrained_bytes < 3 * MIB - 4096 {
            scene.put(other, 2, 500).await;
        }
        scene.put(other, 2, 500).await;
        while scene.journal.figures().undrained_bytes > 5 * MIB / 2 {
            scene.wait(Duration::from_millis(1)).await;
        }
        assert!(scene.segments(STREAM) > 0, "its records were drained before its deletion");
        scene.wait(2 * scene.machine.settings.chores_interval).await;
        assert_eq!(scene.segments(STREAM), 0, "its files are gone");
    });
}

#[test]
fn a_longer_retention_keeps_what_the_shorter_one_had_not_taken() {
    in_scene(slow_settings(), 1, |mut scene| async move {
        scene.journal.set_retention(STREAM, 24 * HOUR);
        scene.wait(Duration::from_secs(30)).await;
        scene.put(shard(0), 1, 3000).await;
        scene.wait(24 * HOUR - Duration::from_secs(20)).await;
        assert_eq!(scene.count(shard(0)).await, 1);
        scene.journal.set_retention(STREAM, 48 * HOUR);
        scene.wait(Duration::from_secs(150)).await;
        let tail = scene.journal.tail(shard(0)).expect("it exists");
        assert_eq!((tail.trimmed, tail.next), (0, 1), "it is to be kept for another day");
    });
}

#[test]
fn a_longer_retention_while_the_clock_is_in_doubt() {
    in_scene(slow_settings(), 1, |mut scene| async move {
        scene.journal.set_retention(STREAM, 24 * HOUR);
        scene.put(shard(0), 1, 3000).await;
        scene.wait(13 * HOUR).await;
        scene.journal.shutdown().await;
        // The night, and the next start.
        let wall = scene.machine.clock.wall();
        scene.machine.clock.set_wall(wall.plus(10 * HOUR + HOUR / 2));
        scene.journal = scene.machine.open().await;
        scene.journal.set_retention(STREAM, 24 * HOUR);
        assert!(scene.journal.doubts_clock());
        assert_eq!(scene.journal.tail(shard(0)).expect("it exists").trimmed, 0);
        // The record is 23.5 hours old.
        scene.journal.set_retention(STREAM, 168 * HOUR);
        scene.wait(HOUR + HOUR / 10).await;
        assert!(!scene.journal.doubts_clock());
        let tail = scene.journal.tail(shard(0)).expect("it exists");
        assert_eq!((tail.trimmed, tail.next), (0, 1), "it is to be kept for a week");
    });
}

/// Years ahead for one record, whose shard goes on from its time.
#[test]
fn what_follows_a_record_from_a_clock_that_was_ahead_expires_all_the_same() {
    for crash in [None, Some(Crash::PowerNothing)] {
        in_scene(slow_settings(), 2, |mut scene| async move {
            scene.journal.set_retention(STREAM, 24 * HOUR);
            scene.put(shard(0), 1, 4000).await;
            let wall = scene.machine.clock.wall();
            scene.machine.clock.set_wall(wall.plus(3650 * 24 * HOUR));
            let (_, ahead) = scene.put(shard(0), 1, 4000).await;
            scene.machine.clock.set_wall(wall);
            let mut placed = Vec::new();
            for hour in 0..60 {
                let now = scene.machine.clock.wall();
                let (first, arrival) = scene.put(shard(0), 2, 4000).await;
                assert!(arrival >= ahead, "times do not go back");
                placed.push((first, now));
                scene.put(shard(1), 1, 4000).await;
                scene.wait(HOUR).await;
                if hour % 16 == 15 {
                    scene.restart(crash).await;
                    scene.journal.set_retention(STREAM, 24 * HOUR);
                }
                let limit = scene.machine.clock.wall().minus(24 * HOUR);
                let (covered, _) = *placed.iter().find(|(_, put)| *put >= limit).expect("some are young");
                let tail = scene.journal.tail(shard(0)).expect("it exists");
                assert!(tail.trimmed <= covered, "hour {hour}: what is covered is there");
            }
            let tail = scene.journal.tail(shard(0)).expect("it exists");
            let (old, _) = placed[60 - 24 - 8];
            assert!(tail.trimmed >= old, "what is older by hours is gone: {} of {old}", tail.trimmed);
            scene.wait(27 * HOUR).await;
            scene.until("all expired", |scene| scene.segments(STREAM) == 0).await;
        });
    }
}

/// The story: where the machine is off every night, each morning the clock is in doubt, and each time it began anew to count
/// how long a segment's times are ahead: nothing of the stream expired for ten years.
#[test]
fn nor_does_it_stay_where_the_clock_is_in_doubt_every_morning() {
    in_scene(slow_settings(), 1, |mut scene| async move {
        scene.journal.set_retention(STREAM, 24 * HOUR);
        let wall = scene.machine.clock.wall();
        scene.machine.clock.set_wall(wall.plus(3650 * 24 * HOUR));
        scene.put(shard(0), 1, 4000).await;
        scene.machine.clock.set_wall(wall);
        let mut placed = Vec::new();
        for day in 0..12 {
            for _ in 0..8 {
                placed.push((scene.put(shard(0), 2, 4000).await.0, scene.machine.clock.wall()));
                scene.wait(HOUR).await;
            }
            scene.journal.shutdown().await;
            scene.machine.clock.set_wall(scene.machine.clock.wall().plus(16 * HOUR));
            scene.journal = scene.machine.open().await;
            scene.journal.set_retention(STREAM, 24 * HOUR);
            assert!(scene.journal.doubts_clock(), "day {day}");
            let limit = scene.machine.clock.wall().minus(24 * HOUR);
            let (covered, _) =
                *placed.iter().find(|(_, put)| *put >= limit).unwrap_or(placed.last().expect("some"));
            let tail = scene.journal.tail(shard(0)).expect("it exists");
            assert!(tail.trimmed <= covered, "day {day}: what is covered is there");
        }
        let tail = scene.journal.tail(shard(0)).expect("it exists");
        let (old, _) = placed[8 * 6];
        assert!(tail.trimmed >= old, "what is older by days is gone: {} of {old}", tail.trimmed);
    });
}

/// The story: a refused increase of the retention told the journal a longer period and the shorter one again, while the
/// clock was ahead. By that time the journal trimmed when the clock was right again.
#[test]
fn a_retention_told_while_the_clock_is_in_doubt_takes_nothing_that_is_covered() {
    in_scene(slow_settings(), 1, |mut scene| async move {
        scene.journal.set_retention(STREAM, 24 * HOUR);
        let mut placed = Vec::new();
        for _ in 0..24 * 6 {
            placed.push((scene.put(shard(0), 1, 500).await.0, scene.machine.clock.wall()));
            scene.wait(HOUR / 6).await;
        }
        let wall = scene.machine.clock.wall();
        scene.machine.clock.set_wall(wall.plus(240 * HOUR));
        scene.journal.set_retention(STREAM, 48 * HOUR);
        scene.journal.set_retention(STREAM, 24 * HOUR);
        scene.wait(HOUR / 12).await;
        scene.machine.clock.set_wall(wall.plus(HOUR / 12));
        scene.wait(HOUR / 12).await;
        let limit = scene.machine.clock.wall().minus(24 * HOUR);
        let (covered, _) = *placed.iter().find(|(_, put)| *put >= limit).expect("some are young");
        let tail = scene.journal.tail(shard(0)).expect("it exists");
        assert!(tail.trimmed <= covered, "{} of {covered}", tail.trimmed);
    });
}

/// The clock is in doubt after a night or a weekend without power, and right: what is put meanwhile has its true time, and
/// is kept for as long as anything else.
#[test]
fn what_is_put_while_the_clock_is_in_doubt_is_kept_for_its_time() {
    in_scene(slow_settings(), 1, |mut scene| async move {
        scene.journal.set_retention(STREAM, 24 * HOUR);
        scene.put(shard(0), 1, 4000).await;
        scene.wait(HOUR).await;
        scene.journal.shutdown().await;
        scene.machine.clock.set_wall(scene.machine.clock.wall().plus(60 * HOUR));
        scene.journal = scene.machine.open().await;
        scene.journal.set_retention(STREAM, 24 * HOUR);
        assert!(scene.journal.doubts_clock());
        let (first, _) = scene.put(shard(0), 1, 4000).await;
        scene.wait(23 * HOUR).await;
        assert!(!scene.journal.doubts_clock());
        let wall = scene.machine.clock.wall();
        let not_before = scene.journal.expiry_time(wall).minus(24 * HOUR);
        let read = Read { shard: shard(0), from: 0, records_max: 10, bytes_max: 1 << 20, not_before };
        let answer = scene.journal.read(read).await.expect("it can be read");
        assert_eq!((answer.runs.len(), answer.next), (1, first + 1), "and the older one is gone");
    });
}
