//! Damaged segments are set aside: what is lost is told to the record, and everything else is still there.

mod support;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use support::Machine;
use support::history::{History, is_throttled, records_of};
use thalweg_journal::{Journal, Read};
use thalweg_journal_disk::{Checked, DiskJournal, Lost, OpenError, Settings, check, set_aside};
use thalweg_system::Clock;
use thalweg_system::disk::DiskErrorKind;
use thalweg_system::simulated::{CallKind, Crash, SimulatedDisk};
use thalweg_types::{Offset, ShardIndex, ShardKey, StreamId, Timestamp};

const STREAM: StreamId = StreamId(7);
const SHARDS: u32 = 2;

type Content = BTreeMap<(ShardKey, Offset), Bytes>;

fn shard(index: u32) -> ShardKey {
    ShardKey { stream: STREAM, shard: ShardIndex(index) }
}

/// Runs something on a machine with this disk.
fn on<T>(disk: SimulatedDisk, run: impl AsyncFnOnce(Arc<DiskJournal>, &Machine) -> T) -> (T, SimulatedDisk) {
    let mut machine = Machine { disk, ..Machine::new(3, Settings::tiny()) };
    let result = machine.spawn.clone().block_on(async {
        let journal = machine.open().await;
        let result = run(Arc::clone(&journal), &machine).await;
        journal.shutdown().await;
        result
    });
    machine.crash(Crash::PowerNothing);
    (result, machine.disk)
}

async fn put(machine: &Machine, journal: &DiskJournal, history: &mut History, count: u32) {
    for index in 0..count {
        let append = history.append_for(&[(shard(index % SHARDS), 2)], 150);
        loop {
            match journal.append(append.clone()).await {
                Err(error) if is_throttled(&error) => {
                    machine.clock.sleep(std::time::Duration::from_millis(5)).await;
                }
                other => break drop(other.expect("it takes writes")),
            }
        }
    }
}

async fn content(journal: &DiskJournal) -> Content {
    let mut content = Content::new();
    for (key, tail) in journal.shards() {
        let mut from = tail.trimmed;
        while from < tail.next {
            let read =
                Read { shard: key, from, records_max: 7, bytes_max: 5000, not_before: Timestamp::ZERO };
            let answer = journal.read(read).await.expect("nothing is damaged any more");
            for run in &answer.runs {
                for (offset, record) in (run.first..).zip(records_of(&run.bytes)) {
                    content.insert((key, offset), record);
                }
            }
            assert!(answer.next > from, "a reader comes on");
            from = answer.next;
        }
    }
    content
}

/// A directory that was closed in good order, and what is in it.
fn directory() -> (SimulatedDisk, Content) {
    let (content, disk) = on(SimulatedDisk::new(), async |journal, machine| {
        let mut history = History::default();
        let indexes: Vec<_> = (0..SHARDS).map(ShardIndex).collect();
        journal.open_shards(STREAM, &indexes).await.expect("it takes writes");
        for index in indexes {
            history.opened(ShardKey { stream: STREAM, shard: index });
        }
        put(machine, &journal, &mut history, 100).await;
        content(&journal).await
    });
    (disk, content)
}

fn set_aside_now(disk: &SimulatedDisk) -> Result<Vec<thalweg_journal_disk::SetAside>, OpenError> {
    Machine::new(1, Settings::tiny()).spawn.block_on(set_aside(disk))
}

fn checked(disk: &SimulatedDisk) -> Checked {
    Machine::new(1, Settings::tiny()).spawn.block_on(check(disk))
}

fn damage(disk: &SimulatedDisk) -> usize {
    checked(disk).damage.len()
}

/// The records that a check names as lost.
fn told_as_lost(disk: &SimulatedDisk) -> Vec<(ShardKey, Range<Offset>)> {
    checked(disk).damage.into_iter().filter_map(|damage| damage.records).collect()
}

fn offsets(lost: &[Lost]) -> Vec<(ShardKey, Range<Offset>)> {
    lost.iter().map(|lost| (lost.shard, lost.offsets.clone())).collect()
}

/// Sets aside what is damaged, and checks that a check told what that loses, that it is told where it was, and that all
/// else is there. Answers what is lost.
#[track_caller]
fn check_set_aside(disk: SimulatedDisk, expected: &Content) -> Vec<Lost> {
    let told = told_as_lost(&disk);
    let all = set_aside_now(&disk).expect("the damage is in segments");
    let lost: Vec<Lost> = all.into_iter().flat_map(|one| one.lost).collect();
    assert_eq!(told, offsets(&lost), "a check told it before");
    assert!(checked(&disk).damage.is_empty(), "{:?}", checked(&disk).damage);
    let (found, disk) = on(disk, async |journal, machine| {
        let found = content(&journal).await;
        let mut history = History::default();
        (0..SHARDS).for_each(|index| history.opened(shard(index)));
        put(machine, &journal, &mut history, 10).await;
        found
    });
    assert_eq!(found, without(expected, &lost));
    assert_eq!(on(disk, async |journal, _| content(&journal).await).0.len(), found.len() + 20);
    lost
}

/// What was there but for what was lost.
fn without(content: &Content, lost: &[Lost]) -> Content {
    let is_lost = |key, offset| lost.iter().any(|lost| lost.shard == key && lost.offsets.contains(&offset));
    content
        .iter()
        .filter(|((key, offset), _)| !is_lost(*key, *offset))
        .map(|(place, record)| (*place, record.clone()))
        .collect()
}

fn segments(disk: &SimulatedDisk) -> Vec<String> {
    disk.files().into_iter().filter(|file| file.ends_with(".seg")).collect()
}

#[test]
fn what_is_lost_is_told_to_the_record_and_the_rest_is_there() {
    let (disk, expected) = directory();
    let (mut with_loss, mut runs_kept) = (0, 0);
    for file in segments(&disk) {
        let length = disk.content(&file).expect("it is there").len() as u64;
        for at in (0..length).step_by(97) {
            let disk = disk.copy();
            disk.flip_bit(&file, at, (at % 8) as u8);
            let told = told_as_lost(&disk);
            let was_damaged = damage(&disk) > 0;
            let all = set_aside_now(&disk).expect("the index tells what was there");
            assert_eq!(all.len(), usize::from(was_damaged), "{file}, byte {at}");
            let checked = checked(&disk);
            assert!(checked.damage.is_empty(), "{file}, byte {at}: {:?}", checked.damage);
            let is_told = |note: &String| note.contains("were lost to damage and set aside");
            assert!(checked.notes.iter().all(is_told), "{file}, byte {at}: {:?}", checked.notes);
            assert!(set_aside_now(&disk).expect("it is whole").is_empty(), "once is enough");
            let lost: Vec<Lost> = all.into_iter().flat_map(|one| one.lost).collect();
            assert_eq!(told, offsets(&lost), "{file}, byte {at}: a check told it before");
            let kept = without(&expected, &lost);
            with_loss += usize::from(kept.len() < expected.len());
            runs_kept += usize::from(expected.len() - kept.len() == 2);
            let ((), disk) = on(disk, async |journal, machine| {
                assert_eq!(content(&journal).await, kept, "{file}, byte {at}");
                // It goes on behind that, in the same segment.
                let mut history = History::default();
                (0..SHARDS).for_each(|index| history.opened(shard(index)));
                put(machine, &journal, &mut history, 10).await;
            });
            let (after, _) = on(disk, async |journal, _| content(&journal).await);
            assert_eq!(after.len(), kept.len() + 20, "{file}, byte {at}");
        }
    }
    assert!(
        with_loss > 50 && runs_kept > 20,
        "{with_loss} flips cost records, {runs_kept} no more than a run"
    );
}

#[test]
fn damaged_files_are_kept_as_they_were() {
    let (disk, _) = directory();
    let file = &segments(&disk)[0];
    disk.damage(file, |bytes| bytes[300..900].fill(0xee));
    let damaged = disk.content(file);
    let all = set_aside_now(&disk).expect("the index tells what was there");
    assert_eq!((all.len(), &all[0].file), (1, file));
    let kept = all[0].kept.as_ref().expect("it was there");
    assert_eq!(disk.content(kept), damaged);
    assert_eq!(disk.content(file), None);
    let (_, disk) = on(disk, async |journal, _| content(&journal).await);
    assert_eq!(disk.content(kept), damaged, "no start removes them");
}

#[test]
fn a_segment_that_is_not_there_is_lost_as_its_index_says() {
    let (disk, expected) = directory();
    let file = &segments(&disk)[0];
    disk.remove(file);
    let all = set_aside_now(&disk).expect("the index tells what was there");
    assert!(all[0].kept.is_none() && !all[0].lost.is_empty());
    let (after, _) = on(disk, async |journal, _| content(&journal).await);
    assert_eq!(after, without(&expected, &all[0].lost));
}

/// Bytes of a header, of an entry, and of what begins a chunk (docs/formats/journal.md).
const HEADER: usize = 64;
const ENTRY: usize = 64;
const CHUNK_HEAD: u64 = 80;

/// Where a segment's chunks begin, by its index.
fn chunks(disk: &SimulatedDisk, segment: &str) -> Vec<u64> {
    let index = disk.content(&segment.replace(".seg", ".idx")).expect("it is there");
    let entries = index[HEADER..].chunks_exact(ENTRY);
    entries.map(|entry| u64::from_le_bytes(entry[40..48].try_into().expect("eight bytes"))).collect()
}

/// The story: neither the index nor the segment tells all of it, and nothing was set aside.
#[test]
fn index_and_segment_damaged_at_different_places_lose_no_more_than_one_of_them() {
    let (disk, expected) = directory();
    let file = &segments(&disk)[0];
    let index = file.replace(".seg", ".idx");
    let chunks = chunks(&disk, file);
    assert!(chunks.len() > 3, "{chunks:?}");
    for entry in 0..chunks.len() {
        // The next one, and one far away.
        for chunk in [1, chunks.len() / 2].map(|further| (entry + further) % chunks.len()) {
            // Its header, and a run.
            for within in [8, CHUNK_HEAD + 200] {
                println!("entry {entry}, byte {within} of chunk {chunk}");
                let damaged = disk.copy();
                damaged.flip_bit(file, chunks[chunk] + within, 1);
                let alone = set_aside_now(&damaged.copy()).expect("the index tells what was there");
                damaged.flip_bit(&index, (HEADER + entry * ENTRY + 9) as u64, 1);
                let lost = check_set_aside(damaged, &expected);
                assert!(!lost.is_empty(), "something was damaged");
                assert_eq!(lost, alone[0].lost, "as with the index");
            }
        }
    }
}

#[test]
fn where_neither_index_nor_segment_tells_what_was_there_its_neighbours_do() {
    let (disk, expected) = directory();
    let file = &segments(&disk)[0];
    let index = file.replace(".seg", ".idx");
    let chunks = chunks(&disk, file);
    for (number, at) in chunks.iter().enumerate() {
        println!("chunk {number}");
        let alone = disk.copy();
        alone.flip_bit(file, at + 8, 1);
        let alone = set_aside_now(&alone).expect("the index tells what was there");
        let damaged = disk.copy();
        damaged.flip_bit(file, at + 8, 1);
        damaged.flip_bit(&index, (HEADER + number * ENTRY + 9) as u64, 1);
        let lost = check_set_aside(damaged, &expected);
        assert_eq!(offsets(&lost), offsets(&alone[0].lost), "not a record more");
    }
    // Without an index, and with a header that is not even as long as it says.
    let damaged = disk.copy();
    damaged.remove(&index);
    damaged.damage(file, |bytes| {
        bytes[usize::try_from(chunks[1]).expect("it is small")..][..4096].fill(0xee);
    });
    assert!(!check_set_aside(damaged, &expected).is_empty());
    // Nothing at all.
    let damaged = disk.copy();
    damaged.remove(&index);
    damaged.remove(file);
    assert!(!check_set_aside(damaged, &expected).is_empty());
}

/// The story: all of a stream's segments were gone with their indexes, and could not be set aside.
#[test]
fn a_streams_folder_that_is_gone_is_lost_as_the_checkpoint_says() {
    let (disk, expected) = directory();
    for file in disk.files().iter().filter(|file| file.starts_with("seg/")) {
        disk.remove(file);
    }
    let lost = check_set_aside(disk, &expected);
    assert!(without(&expected, &lost).is_empty(), "a clean end drains everything");
    assert_eq!(lost.len(), SHARDS as usize, "each shard's records are told together: {lost:?}");
}

#[test]
fn what_can_be_read_the_second_time_is_not_lost() {
    let (disk, expected) = directory();
    let file = &segments(&disk)[0];
    disk.fail_nth(CallKind::Read, file, 2, DiskErrorKind::Io);
    let all = set_aside_now(&disk).expect("the index tells what was there");
    assert_eq!((all.len(), &all[0].lost[..]), (1, &[][..]));
    assert_eq!(on(disk, async |journal, _| content(&journal).await).0, expected);
}

#[test]
fn damage_beyond_segments_is_refused_and_nothing_is_changed() {
    let (disk, _) = directory();
    disk.damage(&segments(&disk)[0], |bytes| bytes[300..900].fill(0xee));
    // The one before may have come back with the crash.
    for checkpoint in disk.files().iter().filter(|file| file.starts_with("checkpoint")) {
        disk.flip_bit(checkpoint, 20, 1);
    }
    let all = || disk.files().iter().map(|file| disk.content(file)).collect::<Vec<_>>();
    let before = all();
    let error = set_aside_now(&disk).expect_err("it cannot be told what there was");
    assert!(error.to_string().contains("checkpoint"), "{error}");
    assert!(before == all());
}

/// The story: what stood for the records that were lost the first time was left out the second time, and no start took
/// the journal any more.
#[test]
fn a_segment_that_is_set_aside_twice_keeps_the_places_of_what_was_lost_first() {
    let (disk, expected) = directory();
    let file = &segments(&disk)[0];
    let first_chunks = chunks(&disk, file);
    for first in (0..first_chunks.len()).step_by(5) {
        let once = disk.copy();
        once.flip_bit(file, first_chunks[first] + 8, 1);
        let lost = set_aside_now(&once).expect("the index tells what was there");
        let left = without(&expected, &lost[0].lost);
        let file = &segments(&once)[0];
        let second_chunks = chunks(&once, file);
        for (second, at) in second_chunks.iter().enumerate() {
            println!("chunk {first}, then {second}");
            let twice = once.copy();
            twice.flip_bit(file, at + 8, 1);
            check_set_aside(twice, &left);
        }
        for read in (2..second_chunks.len() as u64).step_by(5) {
            let twice = once.copy();
            twice.fail_nth(CallKind::Read, file, read, DiskErrorKind::Io);
            assert_eq!(set_aside_now(&twice).expect("it can be read the second time").len(), 1);
            assert_eq!(on(twice, async |journal, _| content(&journal).await).0, left, "read {read}");
        }
    }
}

#[test]
fn a_file_that_cannot_be_opened_for_want_of_descriptors_is_not_lost() {
    let (disk, expected) = directory();
    let file = &segments(&disk)[0];
    let chunk = chunks(&disk, file)[1];
    disk.flip_bit(file, chunk + 8, 1);
    disk.flip_bit(&file.replace(".seg", ".idx"), (HEADER + ENTRY + 9) as u64, 1);
    for open in 1..=3 {
        let disk = disk.copy();
        disk.fail_nth(CallKind::Open, file, open, DiskErrorKind::TooManyOpen);
        let error = set_aside_now(&disk).expect_err("it may be opened later").to_string();
        assert!(error.contains(file), "{error}");
        assert!(!check_set_aside(disk, &expected).is_empty());
    }
}

#[test]
fn of_a_file_that_ends_early_all_that_is_there_is_kept() {
    let (disk, expected) = directory();
    let file = &segments(&disk)[0];
    let length = disk.content(file).expect("it is there").len();
    for end in (64..length).step_by(617) {
        let cut = disk.copy();
        cut.damage(file, |bytes| bytes.truncate(end));
        let overwritten = disk.copy();
        overwritten.damage(file, |bytes| bytes[end..].fill(0xee));
        let lost = check_set_aside(cut, &expected);
        assert_eq!(lost, check_set_aside(overwritten, &expected), "{end} bytes of {length}");
    }
}

/// Sets aside until the machine stops at this call.
fn stop_setting_aside(disk: &SimulatedDisk, call: u64) {
    disk.stop_at_call(call);
    let machine = Machine::new(1, Settings::tiny());
    // It never comes back from the call at which the machine stops.
    machine.spawn.block_on(async {
        tokio::select! {
            biased;
            _ = set_aside(disk) => {}
            () = machine.clock.sleep(std::time::Duration::from_secs(1)) => {}
        }
    });
}

/// How many calls it takes.
fn calls_of_set_aside(disk: &SimulatedDisk) -> u64 {
    let disk = disk.copy();
    set_aside_now(&disk).expect("the index tells what was there");
    disk.calls()
}

/// The story: the newer superblock could not be read for a moment, the older one was believed, and the checkpoint that was
/// written then had the name of that which the newer one names.
#[test]
fn setting_aside_by_an_older_superblock_does_not_cost_the_newer_ones_checkpoint() {
    let (disk, expected) = directory();
    disk.damage(&segments(&disk)[0], |bytes| bytes[300..900].fill(0xee));
    let checkpoint_of =
        |disk: &SimulatedDisk, file| disk.content(file).expect("it is there")[48..56].to_vec();
    let mut tried = 0;
    for call in 1..=calls_of_set_aside(&disk) {
        let stopped = disk.copy();
        stop_setting_aside(&stopped, call);
        let between = stopped.crash(Crash::PowerNothing);
        if checkpoint_of(&between, "superblock-a") == checkpoint_of(&between, "superblock-b") {
            continue;
        }
        for call in 1..=calls_of_set_aside(&disk) {
            let stopped = between.copy();
            stopped.fail_nth(CallKind::Read, "superblock-a", 1, DiskErrorKind::Io);
            stop_setting_aside(&stopped, call);
            let after = stopped.crash(Crash::PowerEverything);
            set_aside_now(&after).unwrap_or_else(|error| panic!("call {call}: {error}"));
            assert_eq!(damage(&after), 0, "call {call}");
            let (found, _) = on(after, async |journal, _| content(&journal).await);
            assert!(!found.is_empty() && found.len() < expected.len(), "call {call}");
            tried += 1;
        }
    }
    assert!(tried > 20, "{tried} times");
}

#[test]
fn a_crash_at_any_call_is_made_good_by_the_next_time() {
    let (disk, expected) = directory();
    let file = &segments(&disk)[0];
    disk.damage(file, |bytes| bytes[300..900].fill(0xee));
    let calls = calls_of_set_aside(&disk);
    for call in 1..=calls {
        for how in [Crash::Process, Crash::PowerNothing, Crash::Power(call), Crash::PowerEverything] {
            println!("call {call} of {calls}, {how:?}");
            let stopped = disk.copy();
            stop_setting_aside(&stopped, call);
            let after = stopped.crash(how);
            let lost: Vec<Lost> = set_aside_now(&after)
                .expect("the index tells what was there")
                .into_iter()
                .flat_map(|one| one.lost)
                .collect();
            assert_eq!(damage(&after), 0);
            let (found, _) = on(after, async |journal, _| content(&journal).await);
            assert!(found.len() < expected.len(), "something is lost");
            if !lost.is_empty() {
                assert_eq!(found, without(&expected, &lost));
            }
        }
    }
}
