//! Places that the disk cannot read (EIO) are treated as places that hold something wrong: what a flipped bit does not
//! keep from starting, or from being checked to its end, they do not either.

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use support::Machine;
use support::history::{History, is_throttled, read_all};
use thalweg_journal::Journal;
use thalweg_journal_disk::{Checked, DiskJournal, OpenError, Settings, check};
use thalweg_system::Clock;
use thalweg_system::disk::DiskErrorKind;
use thalweg_system::simulated::{CallKind, Crash, SimulatedDisk};
use thalweg_types::{ShardIndex, ShardKey, StreamId, Timestamp};

const STREAM: StreamId = StreamId(7);

type Content = BTreeMap<ShardKey, Vec<(Timestamp, Bytes)>>;

fn shard(index: u32) -> ShardKey {
    ShardKey { stream: STREAM, shard: ShardIndex(index) }
}

fn machine_with(disk: SimulatedDisk) -> Machine {
    Machine { disk, ..Machine::new(2, Settings::tiny()) }
}

async fn content(journal: &DiskJournal) -> Content {
    let mut content = Content::new();
    for (key, _) in journal.shards() {
        content.insert(key, read_all(journal, key).await.expect("records can be read"));
    }
    content
}

async fn put(machine: &Machine, journal: &DiskJournal, history: &mut History, count: u32) {
    for index in 0..count {
        let append = history.append_for(&[(shard(index % 2), 2)], 150);
        loop {
            match journal.append(append.clone()).await {
                Err(error) if is_throttled(&error) => machine.clock.sleep(Duration::from_millis(5)).await,
                other => break drop(other.expect("it takes writes")),
            }
        }
    }
}

/// A journal that lost its power, with everything in it: batches in the ring, segments, a checkpoint.
fn sample() -> (SimulatedDisk, Content) {
    let mut machine = Machine::new(1, Settings::tiny());
    let content = machine.spawn.clone().block_on(async {
        let journal = machine.open().await;
        let mut history = History::default();
        journal.open_shards(STREAM, &[ShardIndex(0), ShardIndex(1)]).await.expect("it takes writes");
        (0..2).for_each(|index| history.opened(shard(index)));
        put(&machine, &journal, &mut history, 200).await;
        // Until the last batch is confirmed.
        machine.clock.sleep(Duration::from_secs(1)).await;
        content(&journal).await
    });
    machine.crash(Crash::PowerNothing);
    (machine.disk, content)
}

fn files(disk: &SimulatedDisk, end: &str) -> Vec<String> {
    disk.files().into_iter().filter(|file| file.ends_with(end)).collect()
}

#[track_caller]
fn check_starts(disk: SimulatedDisk, expected: &Content) -> SimulatedDisk {
    let mut machine = machine_with(disk);
    machine.spawn.clone().block_on(async {
        let journal = machine.open().await;
        assert_eq!(content(&journal).await, *expected);
        let mut history = History::default();
        (0..2).for_each(|index| history.opened(shard(index)));
        put(&machine, &journal, &mut history, 3).await;
    });
    machine.crash(Crash::PowerNothing);
    machine.disk
}

#[track_caller]
fn check_refuses(disk: SimulatedDisk, file: &str) {
    let machine = machine_with(disk);
    let refused = machine.spawn.clone().block_on(machine.try_open()).err();
    match refused {
        Some(OpenError::Disk(error)) => assert_eq!(error.path, file),
        other => panic!("{file} cannot be read, yet: {other:?}"),
    }
}

fn checked(disk: &SimulatedDisk) -> Checked {
    Machine::new(1, Settings::tiny()).spawn.block_on(check(disk))
}

#[test]
fn what_cannot_be_read_is_made_good_where_a_flipped_bit_is() {
    let (disk, expected) = sample();
    let mut cases = vec![];
    for file in ["superblock-a", "superblock-b"] {
        cases.extend([(CallKind::Read, file.to_owned()), (CallKind::Sync, file.to_owned())]);
    }
    for file in files(&disk, ".idx") {
        cases.extend([(CallKind::Read, file.clone()), (CallKind::Open, file)]);
    }
    assert!(cases.len() > 6, "something was drained");
    for (kind, file) in cases {
        println!("{kind:?} {file}");
        let disk = disk.copy();
        disk.fail_nth(kind, &file, 1, DiskErrorKind::Io);
        let after = check_starts(disk, &expected);
        assert!(checked(&after).damage.is_empty(), "{:?}", checked(&after).damage);
    }
}

/// The newer superblock has an epoch, and a checkpoint, that the older one does not know: no batch of that epoch was
/// written, and nothing was reused or removed, before both had it.
#[test]
fn an_older_superblock_does_as_well() {
    let (disk, expected) = sample();
    let machine = machine_with(disk);
    machine.disk.fail_nth(CallKind::WriteDurable, "superblock-b", 1, DiskErrorKind::NoSpace);
    machine.spawn.clone().block_on(machine.try_open()).err().expect("it cannot raise the epoch");
    machine.disk.clear_faults();
    let sequence = |file| machine.disk.content(file).expect("it is there")[24];
    assert!(sequence("superblock-a") > sequence("superblock-b"), "the newer one is that which will be lost");
    for kind in [None, Some(CallKind::Read), Some(CallKind::Sync)] {
        println!("{kind:?}");
        let disk = machine.disk.copy();
        match kind {
            Some(kind) => disk.fail_nth(kind, "superblock-a", 1, DiskErrorKind::Io),
            None => disk.flip_bit("superblock-a", 99, 1),
        }
        let after = check_starts(disk, &expected);
        assert!(checked(&after).damage.is_empty(), "{:?}", checked(&after).damage);
    }
}

#[test]
fn what_cannot_be_read_and_cannot_be_made_good_is_refused_by_name() {
    let (disk, _) = sample();
    let checkpoint = disk.files().into_iter().rfind(|file| file.starts_with("checkpoint"));
    let checkpoint = checkpoint.expect("something was drained");
    for file in files(&disk, ".wal").into_iter().chain([checkpoint]) {
        let length = disk.content(&file).expect("it is listed").len();
        // The header and whatever is read behind it.
        for nth in 1..=3 {
            println!("read {nth} of {file}, {length} bytes");
            let disk = disk.copy();
            disk.fail_nth(CallKind::Read, &file, nth, DiskErrorKind::Io);
            if file.ends_with(".wal") || nth == 1 {
                check_refuses(disk, &file);
            }
        }
    }
    // Two of which none can be read may both be whole.
    let unread = disk.copy();
    unread.fail_always(CallKind::Read, "superblock", DiskErrorKind::Io);
    check_refuses(unread, "superblock-a");
    // So may one, beside one that is not.
    let unread = disk.copy();
    unread.flip_bit("superblock-b", 99, 1);
    unread.fail_always(CallKind::Read, "superblock-a", DiskErrorKind::Io);
    check_refuses(unread, "superblock-a");
    // Even where nothing else is there: the journal may be on its way back.
    let unread = SimulatedDisk::new();
    unread.put("superblock-a", &disk.content("superblock-a").expect("it is there"));
    unread.put("superblock-b", &disk.content("superblock-b").expect("it is there"));
    unread.fail_always(CallKind::Read, "superblock", DiskErrorKind::Io);
    check_refuses(unread, "superblock-a");
}

#[test]
fn a_check_names_what_cannot_be_read_and_goes_on() {
    let (disk, _) = sample();
    let (segments, slots) = (files(&disk, ".seg"), files(&disk, ".wal"));
    assert!(segments.len() > 1 && slots.len() > 1, "{segments:?}, {slots:?}");
    let index = segments[0].replace(".seg", ".idx");
    for file in ["superblock-a", &index, &segments[0], &segments[1], &slots[0], &slots[1]] {
        disk.fail_always(CallKind::Read, file, DiskErrorKind::Io);
    }
    let checked = checked(&disk);
    let damage: Vec<String> = checked.damage.iter().map(ToString::to_string).collect();
    for file in [&index, &segments[0], &segments[1], &slots[0], &slots[1]] {
        assert!(damage.iter().any(|damage| damage.contains(&**file)), "{file} is not in {damage:#?}");
    }
    let notes = &checked.notes;
    assert!(notes.iter().any(|note| note.contains("superblock-a")), "{notes:#?}");
    let records = checked.damage.iter().filter(|damage| damage.records.is_some());
    assert!(records.count() > 0, "records that cannot be read are told");
}
