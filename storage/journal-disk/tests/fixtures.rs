//! Data directories that each version wrote, kept for ever: every later version must open them and find the same
//! records.
//!
//! Never write them again. When the format changes, the old ones stay and a new one joins them.

#![allow(clippy::disallowed_methods, reason = "fixtures are files of the repository")]

mod support;

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use support::Machine;
use support::history::records_of;
use thalweg_journal::{Append, Journal, Read, Record, Run};
use thalweg_journal_disk::{DiskJournal, Settings};
use thalweg_system::Clock;
use thalweg_system::simulated::{Crash, SimulatedDisk};
use thalweg_types::{ShardIndex, ShardKey, StreamId, Timestamp};

fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// As small as slots can be, so that the directory is.
fn settings() -> Settings {
    Settings {
        slot_bytes_first: 12 * 1024,
        slot_bytes: 12 * 1024,
        ring_bytes_max: 36 * 1024,
        batch_bytes_max: 4096,
        request_bytes_max: 3900,
        chunk_bytes_max: 700,
        segment_bytes_max: 4000,
        ..Settings::tiny()
    }
}

/// Since version 2 large rounds begin and end at blocks: a round of this ring is one or the other.
fn settings_2() -> Settings {
    Settings { segment_bytes_max: 20_000, bulk_bytes_min: 700, bulk_bytes_max: 4096, ..settings() }
}

fn shard(stream: u64, index: u32) -> ShardKey {
    ShardKey { stream: StreamId(stream), shard: ShardIndex(index) }
}

/// A disk with the files of a directory.
fn load(name: &str) -> SimulatedDisk {
    fn put(disk: &SimulatedDisk, root: &Path, directory: &Path) {
        for entry in fs::read_dir(directory).expect("the fixture is part of the repository") {
            let path = entry.expect("it can be listed").path();
            if path.is_dir() {
                put(disk, root, &path);
            } else if path.extension().is_none_or(|extension| extension != "txt") {
                let name = path.strip_prefix(root).expect("it is below").to_str().expect("names are plain");
                disk.put(name, &fs::read(&path).expect("it can be read"));
            }
        }
    }
    let disk = SimulatedDisk::new();
    put(&disk, &directory(name), &directory(name));
    disk
}

/// Everything that a journal holds, as text.
async fn describe(journal: &DiskJournal) -> String {
    let mut text = String::new();
    for (key, tail) in journal.shards() {
        let (last, sealed) = (tail.last_arrival.as_millis(), tail.sealed);
        writeln!(text, "{key}: {}..{}, last {last}, sealed {sealed}", tail.trimmed, tail.next)
            .expect("to memory");
        let mut read =
            Read { shard: key, from: 0, records_max: 9, bytes_max: 9999, not_before: Timestamp::ZERO };
        while read.from < tail.next {
            let answer = journal.read(read).await.expect("it can be read");
            for run in &answer.runs {
                for (record, offset) in records_of(&run.bytes).iter().zip(run.first..) {
                    let hex: String = record.iter().fold(String::new(), |mut hex, byte| {
                        write!(hex, "{byte:02x}").expect("to memory");
                        hex
                    });
                    writeln!(text, "  {offset} at {}: {hex}", run.arrival.as_millis()).expect("to memory");
                }
            }
            read.from = answer.next;
        }
    }
    text
}

fn check(name: &str) {
    let expected = fs::read_to_string(directory(name).join("expected.txt")).expect("it is in the repository");
    // Under each version's settings and under later ones with larger slots for growth.
    let larger = Settings { slot_bytes: 64 * 1024, ring_bytes_max: 256 * 1024, ..settings() };
    for settings in [settings(), settings_2(), larger] {
        let machine = Machine { disk: load(name), ..Machine::new(1, settings) };
        machine.spawn.clone().block_on(async {
            let journal = machine.open().await;
            assert_eq!(describe(&journal).await, expected, "{name}");
            // It goes on from there.
            let run = Record { partition_key: None, explicit_hash_key: None, id: None, data: b"later" };
            let mut bytes = Vec::new();
            run.encode(&mut bytes);
            let append = Append { runs: vec![Run::new(shard(1, 0), 1, &bytes)], bytes: bytes.into() };
            journal.append(append).await.expect("it takes writes");
            let expected = describe(&journal).await;
            // Its segments are continued in this version's way.
            journal.shutdown().await;
            assert_eq!(describe(&*machine.open().await).await, expected, "{name}");
        });
    }
}

/// Makes the indexes again from the segments.
fn check_without_indexes(name: &str) {
    let expected = fs::read_to_string(directory(name).join("expected.txt")).expect("it is in the repository");
    let disk = load(name);
    for file in disk.files().iter().filter(|file| file.ends_with(".idx")) {
        disk.remove(file);
    }
    let machine = Machine { disk, ..Machine::new(1, settings()) };
    machine.spawn.clone().block_on(async {
        assert_eq!(describe(&*machine.open().await).await, expected, "{name}");
    });
}

#[test]
fn what_version_3_left_after_a_crash_opens_for_ever() {
    check("v3-crash");
    check_without_indexes("v3-crash");
}

#[test]
fn what_version_3_left_after_a_clean_end_opens_for_ever() {
    check("v3-clean");
    check_without_indexes("v3-clean");
}

/// A shard that was forgotten is in no checkpoint and in no description, and still in a segment.
#[test]
fn version_3_has_chunks_of_a_forgotten_shard() {
    for name in ["v3-crash", "v3-clean"] {
        let disk = load(name);
        let holds_chunk = |file: &String| {
            let bytes = disk.content(file).expect("it is listed");
            let of_shard = |at: usize| bytes[at + 4..at + 12] == *b"TWCH\x02\0\0\0" && bytes[at + 16] == 1;
            (64..bytes.len() - 80).any(of_shard)
        };
        assert!(disk.files().iter().filter(|file| file.ends_with(".seg")).any(holds_chunk), "{name}");
        let versions = disk.files().into_iter().filter(|file| file.starts_with("checkpoint-"));
        let newest = versions.map(|file| disk.content(&file).expect("it is listed")[8]).max();
        assert_eq!(newest, Some(3), "{name}");
    }
}

#[test]
fn what_version_2_left_after_a_crash_opens_for_ever() {
    check("v2-crash");
    check_without_indexes("v2-crash");
}

#[test]
fn what_version_2_left_after_a_clean_end_opens_for_ever() {
    check("v2-clean");
    check_without_indexes("v2-clean");
}

#[test]
fn version_2_has_chunks_that_begin_at_a_block() {
    for name in ["v2-crash", "v2-clean"] {
        let disk = load(name);
        let (mut at_block, mut behind) = (0, 0);
        for file in disk.files().iter().filter(|file| file.ends_with(".seg")) {
            let bytes = disk.content(file).expect("it is listed");
            let starts = (64..bytes.len() - 8).filter(|at| &bytes[at + 4..at + 8] == b"TWCH");
            for start in starts {
                if start % 4096 == 0 { at_block += 1 } else { behind += 1 }
            }
        }
        assert!(at_block > 0 && behind > 0, "{name}: {at_block} at a block, {behind} elsewhere");
    }
}

#[test]
fn what_version_1_left_after_a_crash_opens_for_ever() {
    check("v1-crash");
    check_without_indexes("v1-crash");
}

#[test]
fn what_version_1_left_after_a_clean_end_opens_for_ever() {
    check("v1-clean");
    check_without_indexes("v1-clean");
}

#[test]
#[ignore = "wrote the fixtures, once"]
fn write_the_fixtures() {
    for (name, clean) in [("v3-crash", false), ("v3-clean", true)] {
        let mut machine = Machine::new(if clean { 2 } else { 1 }, settings_2());
        let expected = machine.spawn.clone().block_on(async {
            let journal = machine.open().await;
            journal.open_shards(StreamId(1), &[0, 1, 2].map(ShardIndex)).await.expect("it takes writes");
            journal.open_shards(StreamId(2), &[0].map(ShardIndex)).await.expect("it takes writes");
            journal.open_shards(StreamId(300), &[5].map(ShardIndex)).await.expect("it takes writes");
            for round in 0..12u8 {
                let mut bytes = Vec::new();
                let mut runs = Vec::new();
                for key in [shard(1, 0), shard(1, 1), shard(1, 2), shard(2, 0), shard(300, 5)] {
                    if [shard(1, 2), shard(2, 0)].contains(&key) && round > 4 {
                        continue;
                    }
                    let start = bytes.len();
                    let id = [round; 3];
                    for record in [
                        Record {
                            partition_key: Some("key"),
                            explicit_hash_key: None,
                            id: None,
                            data: &[round; 90],
                        },
                        Record {
                            partition_key: Some("\u{1f30a}"),
                            explicit_hash_key: Some(u128::from(round) << 100),
                            id: Some(&id),
                            data: b"",
                        },
                        Record {
                            partition_key: None,
                            explicit_hash_key: None,
                            id: None,
                            data: &[key.shard.0 as u8],
                        },
                    ] {
                        record.encode(&mut bytes);
                    }
                    runs.push(Run::new(key, 3, &bytes[start..]));
                }
                let append = Append { runs, bytes: bytes.into() };
                journal.append(append).await.expect("it takes writes");
                machine.clock.sleep(Duration::from_millis(20)).await;
                if round == 4 {
                    journal.delete_stream(StreamId(2)).await.expect("it takes writes");
                    journal.trim(&[(shard(1, 1), 4)]).await.expect("it takes writes");
                    let ends = journal.seal(&[shard(1, 2)]).await.expect("it takes writes");
                    journal.trim(&[(shard(1, 2), ends[0])]).await.expect("it takes writes");
                    journal.forget_shards(&[shard(1, 2)]).await.expect("it takes writes");
                }
            }
            journal.seal(&[shard(300, 5)]).await.expect("it takes writes");
            let expected = describe(&journal).await;
            if clean {
                journal.shutdown().await;
            } else {
                machine.clock.sleep(Duration::from_secs(1)).await;
            }
            expected
        });
        machine.crash(Crash::PowerNothing);
        for file in machine.disk.files() {
            let path = directory(name).join(&file);
            fs::create_dir_all(path.parent().expect("it is in a directory")).expect("it can be written");
            fs::write(path, machine.disk.content(&file).expect("it is listed")).expect("it can be written");
        }
        fs::write(directory(name).join("expected.txt"), expected).expect("it can be written");
    }
}
