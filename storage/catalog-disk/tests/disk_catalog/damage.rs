//! Files that were changed, lost or mixed up: the right answer or a refusal that says where, never a wrong row.

use thalweg_catalog::{Catalog, Row, Write};
use thalweg_catalog_disk::{OpenError, Settings};
use thalweg_system::disk::DiskErrorKind;
use thalweg_system::simulated::{CallKind, Crash, SimulatedDisk};

use crate::support::{Machine, SMALL, commit, everything, put, try_commit};

/// Few blocks, so that every byte can be tried.
const TINY: Settings = Settings { log_bytes_initial: 4 << 10, log_bytes_doubled_max: 4 << 10, ..SMALL };

/// A catalog with rows in its snapshot and in its log, that was shut down.
fn small_catalog() -> (Machine, Vec<Row>) {
    let machine = Machine { settings: TINY, ..Machine::new(7) };
    let rows = machine.spawn.block_on(async {
        let catalog = machine.open().await;
        for number in 0..5 {
            commit(
                &catalog,
                vec![put(&format!("a/{number}"), &"x".repeat(50)), put("last", &number.to_string())],
            )
            .await;
        }
        catalog.shutdown().await;
        everything(&catalog).await
    });
    assert!(
        machine.disk.content("meta/snapshot").expect("it is there").len() > 100,
        "rows are in the snapshot"
    );
    (machine, rows)
}

/// What happened when every byte of every file was flipped in turn.
#[derive(Debug, Default)]
struct Outcomes {
    right: u32,
    without_the_last: u32,
    refused: u32,
}

fn flip_every_byte(machine: &Machine, rows: &[Row], without_the_last: &[Row]) -> Outcomes {
    let mut outcomes = Outcomes::default();
    let files = machine.disk.files();
    assert_eq!(files, ["meta/log-a", "meta/log-b", "meta/snapshot"]);
    for path in files {
        let length = machine.disk.content(&path).expect("it is listed").len() as u64;
        for offset in 0..length {
            let bit = u8::try_from(offset % 8).expect("below 8");
            let context = format!("{path}, byte {offset}, bit {bit}");
            let damaged = machine.copy();
            damaged.disk.flip_bit(&path, offset, bit);
            match damaged.spawn.block_on(damaged.try_open()) {
                Ok(catalog) => {
                    let found = damaged.spawn.block_on(everything(&catalog));
                    if found == rows {
                        outcomes.right += 1;
                    } else {
                        assert_eq!(found, without_the_last, "{context}: wrong rows");
                        outcomes.without_the_last += 1;
                    }
                }
                Err(OpenError::Corrupt { path: named, offset: at, what }) => {
                    assert_eq!(named, path, "{context}: {what}");
                    assert!(at <= offset, "{context}: said to begin at {at}: {what}");
                    outcomes.refused += 1;
                }
                Err(other) => panic!("{context}: {other}"),
            }
        }
    }
    outcomes
}

#[test]
fn a_flipped_bit_is_harmless_or_refused() {
    let (machine, rows) = small_catalog();
    let outcomes = flip_every_byte(&machine, &rows, &rows);
    // The headers, the snapshot, and the three batches in use: all but the confirmation at the end.
    let snapshot = u32::try_from(machine.disk.content("meta/snapshot").expect("it is there").len());
    let expected = 2 * 512 + snapshot.expect("small") + 3 * 512;
    assert_eq!(outcomes.refused, expected, "{outcomes:?}");
}

/// The one window that is left: an acknowledged batch that nothing was written after.
#[test]
fn a_flipped_bit_in_the_last_batch_looks_like_a_torn_write_until_it_is_confirmed() {
    let machine = Machine { settings: TINY, ..Machine::new(7) };
    let (without_the_last, rows) = machine.spawn.block_on(async {
        let catalog = machine.open().await;
        commit(&catalog, vec![put("first", "1")]).await;
        machine.spawn.run_until_idle();
        let without_the_last = everything(&catalog).await;
        // The next call writes the commit, the one after it the confirmation.
        machine.disk.stop_at_call(2);
        commit(&catalog, vec![put("last", "1")]).await;
        (without_the_last, everything(&catalog).await)
    });
    let crashed = machine.crash(Crash::PowerNothing);
    let crashed = Machine { settings: TINY, ..Machine::with_disk(8, crashed.disk) };
    let outcomes = flip_every_byte(&crashed, &rows, &without_the_last);
    assert_eq!(outcomes.without_the_last, 512, "that batch and no other: {outcomes:?}");

    // The next start confirms what it found.
    let refused = outcomes.refused;
    drop(crashed.spawn.block_on(crashed.open()));
    let outcomes = flip_every_byte(&crashed, &rows, &rows);
    assert_eq!(outcomes.refused, refused + 512, "{outcomes:?}");
}

#[test]
fn a_read_that_is_wrong_drops_nothing() {
    let machine = Machine { settings: TINY, ..Machine::new(7) };
    let rows = machine.spawn.block_on(async {
        let catalog = machine.open().await;
        commit(&catalog, vec![put("first", "1")]).await;
        machine.spawn.run_until_idle();
        // The last commit is not confirmed.
        machine.disk.stop_at_call(2);
        commit(&catalog, vec![put("last", "1")]).await;
        everything(&catalog).await
    });
    let crashed = machine.crash(Crash::PowerNothing);
    let (mut right, mut refused) = (0, 0);
    for nth in 1.. {
        let mut has_struck = false;
        for bit in (0..8 * TINY.log_bytes_initial).step_by(101) {
            let started = Machine { settings: TINY, ..crashed.copy() };
            started.disk.flip_nth_read(nth, bit);
            let opened = started.spawn.block_on(started.try_open());
            has_struck = started.disk.clear_faults() == 0;
            let Ok(catalog) = opened else {
                refused += 1;
                continue;
            };
            right += 1;
            assert_eq!(started.spawn.block_on(everything(&catalog)), rows, "read {nth}, bit {bit}");
        }
        if !has_struck {
            break;
        }
    }
    assert!(right > 0 && refused > 1000, "{right} right, {refused} refused");
}

/// Damages a small catalog and expects a refusal in these words.
fn check_refused(damage: impl FnOnce(&SimulatedDisk), expected: &str) {
    let (machine, _) = small_catalog();
    damage(&machine.disk);
    let before = machine.disk.files();
    match machine.spawn.block_on(machine.try_open()) {
        Ok(_) => panic!("opened, instead of: {expected}"),
        Err(error) => assert_eq!(error.to_string(), expected),
    }
    assert_eq!(machine.disk.files(), before, "a refusal leaves everything for whoever looks");
}

#[test]
fn lost_files_are_missed() {
    check_refused(
        |disk| disk.remove("meta/snapshot"),
        "meta/snapshot is missing: the log beside it is in use",
    );
    check_refused(|disk| disk.remove("meta/log-a"), "meta/log-a is missing: there is a snapshot beside it");
    check_refused(|disk| disk.remove("meta/log-b"), "meta/log-b is missing: there is a snapshot beside it");
}

#[test]
fn files_that_were_cut_are_refused() {
    check_refused(
        |disk| disk.damage("meta/snapshot", Vec::clear),
        "meta/snapshot is damaged at byte 0: the file is shorter than its header",
    );
    check_refused(
        |disk| disk.damage("meta/snapshot", |bytes| bytes.truncate(bytes.len() - 1)),
        "meta/snapshot is damaged at byte 60: a frame does not begin here, or the file is cut",
    );
    check_refused(
        |disk| disk.damage("meta/snapshot", |bytes| bytes.truncate(60)),
        "meta/snapshot is damaged at byte 60: 0 of 4 rows are there",
    );
    check_refused(
        |disk| disk.damage("meta/log-a", Vec::clear),
        "meta/log-a is damaged at byte 0: the file has no header",
    );
    // Commits and all that would tell of them are cut off together.
    check_refused(
        |disk| disk.damage("meta/log-a", |bytes| bytes.truncate(3 * 512)),
        "meta/log-a is damaged at byte 1536: the file is cut short: it was 4096 bytes long",
    );
}

/// Cuts each log of a stopped catalog at every block, and beside it: the right rows or a refusal that names file
/// and offset. Answers how many cuts were refused.
fn check_cuts(machine: &Machine, rows: &[Row], context: &str) -> u64 {
    let mut refused = 0;
    for path in ["meta/log-a", "meta/log-b"] {
        let length = machine.disk.content(path).expect("it is there").len();
        let blocks = (0..length).step_by(512);
        for cut in blocks.flat_map(|start| [start, start + 1, start + 100, start + 511]) {
            let context = format!("{context}: {path} of {length} bytes, cut at {cut}");
            let damaged = machine.copy();
            damaged.disk.damage(path, |bytes| bytes.truncate(cut));
            match damaged.spawn.block_on(damaged.try_open()) {
                Ok(catalog) => {
                    assert!(damaged.spawn.block_on(everything(&catalog)) == rows, "{context}: wrong rows");
                }
                Err(OpenError::Corrupt { path: named, offset, what }) => {
                    assert_eq!(named, path, "{context}: {what}");
                    let expected = if cut < 512 { 0 } else { cut as u64 };
                    assert_eq!(offset, expected, "{context}: {what}");
                    refused += 1;
                }
                Err(other) => panic!("{context}: {other}"),
            }
        }
    }
    refused
}

fn log_bytes(machine: &Machine) -> u64 {
    let length = |path| machine.disk.content(path).expect("it is there").len() as u64;
    length("meta/log-a") + length("meta/log-b")
}

#[test]
fn a_log_that_was_cut_anywhere_is_refused() {
    // As it was made; grown for a large commit; doubled by the keeper.
    for (commits, large) in [(3, 0), (3, 20_000), (30, 0), (30, 20_000)] {
        let machine = Machine::new(7);
        let rows = machine.spawn.block_on(async {
            let catalog = machine.open().await;
            for number in 0..commits {
                commit(&catalog, vec![put(&format!("key/{number}"), "1")]).await;
            }
            if large > 0 {
                commit(&catalog, vec![put("large", &"x".repeat(large))]).await;
            }
            catalog.shutdown().await;
            everything(&catalog).await
        });
        let has_grown = log_bytes(&machine) > 2 * SMALL.log_bytes_initial;
        assert_eq!(has_grown, commits > 3 || large > 0);
        let context = format!("{commits} commits, {large} bytes");
        assert_eq!(check_cuts(&machine, &rows, &context), log_bytes(&machine) / 512 * 4, "{context}");
    }
}

/// What a growth that was cut off left beyond the length is not used before the header counts it.
#[test]
fn zeros_beyond_the_length_are_not_written_to() {
    let machine = Machine::new(7);
    machine.spawn.block_on(async {
        let catalog = machine.open().await;
        commit(&catalog, vec![put("before", "1")]).await;
        catalog.shutdown().await;
    });
    for path in ["meta/log-a", "meta/log-b"] {
        machine.disk.damage(path, |bytes| bytes.resize(32 << 10, 0));
    }
    let rows = machine.spawn.block_on(async {
        let catalog = machine.open().await;
        commit(&catalog, vec![put("large", &"x".repeat(9000))]).await;
        catalog.shutdown().await;
        everything(&catalog).await
    });
    assert!(check_cuts(&machine, &rows, "with zeros behind") < log_bytes(&machine) / 512 * 4);
}

/// A growth for a large commit, stopped at any call: what was acknowledged is there, and later cuts are noticed.
#[test]
fn a_growth_that_a_crash_cut_off_loses_nothing_and_hides_no_cut() {
    let life = async |machine: &Machine| {
        let Ok(catalog) = machine.try_open().await else { return 0 };
        let mut acknowledged = 0;
        for (key, bytes) in [("a", 1), ("b", 9000), ("c", 1)] {
            acknowledged +=
                usize::from(try_commit(&catalog, vec![put(key, &"x".repeat(bytes))]).await.is_ok());
        }
        catalog.shutdown().await;
        acknowledged
    };
    let whole = Machine::new(7);
    assert_eq!(whole.spawn.block_on(life(&whole)), 3);
    assert!(log_bytes(&whole) > 2 * SMALL.log_bytes_initial, "it has grown");
    for call in 1..=whole.disk.calls() {
        for how in [Crash::Process, Crash::PowerNothing, Crash::PowerEverything, Crash::Power(call)] {
            let context = format!("call {call}, {how:?}");
            let machine = Machine::new(7);
            machine.disk.stop_at_call(call);
            let acknowledged = machine.spawn.block_on(life(&machine));
            let next = machine.crash(how);
            let opened = next.spawn.block_on(next.try_open());
            let catalog = opened.unwrap_or_else(|error| panic!("{context}: {error}"));
            let rows = next.spawn.block_on(async {
                let found = everything(&catalog).await.len();
                assert!(found >= acknowledged, "{context}: {found} of {acknowledged}");
                commit(&catalog, vec![put("later", &"y".repeat(6000))]).await;
                catalog.shutdown().await;
                everything(&catalog).await
            });
            if how != Crash::PowerNothing {
                check_cuts(&next, &rows, &context);
            }
        }
    }
}

#[test]
fn files_of_another_catalog_are_refused() {
    let other = Machine { settings: TINY, ..Machine::new(1234) };
    other.spawn.block_on(async { other.open().await.shutdown().await });
    for name in ["meta/log-a", "meta/log-b"] {
        let foreign = other.disk.content(name).expect("it is there");
        check_refused(
            |disk| disk.put(name, &foreign),
            &format!("{name} comes from another data directory than meta/snapshot"),
        );
    }
}

#[test]
fn an_older_snapshot_does_not_fit_the_log() {
    let machine = Machine { settings: TINY, ..Machine::new(7) };
    let mut old = None;
    machine.spawn.block_on(async {
        let catalog = machine.open().await;
        for number in 0..40 {
            commit(&catalog, vec![put("key", &number.to_string())]).await;
            old.get_or_insert_with(|| machine.disk.content("meta/snapshot").expect("it is there"));
        }
        catalog.shutdown().await;
    });
    machine.disk.put("meta/snapshot", &old.expect("it was kept"));
    match machine.spawn.block_on(machine.try_open()) {
        Err(OpenError::Corrupt { what, .. }) => assert!(what.contains("durable before"), "{what}"),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("the log was taken for the continuation of an older snapshot"),
    }
}

/// One log file restored from another day: every batch is valid, and some are of another history.
#[test]
fn two_histories_are_not_mixed() {
    let machine = Machine { settings: TINY, ..Machine::new(7) };
    let catalog = machine.spawn.block_on(machine.open());
    machine.spawn.block_on(async {
        commit(&catalog, vec![put("common", "1")]).await;
        catalog.shutdown().await;
    });
    let live = |name: &str| {
        let machine = machine.copy();
        machine.spawn.block_on(async {
            // Without a snapshot in between: both files are needed.
            machine.disk.fail_always(CallKind::Write, "snapshot", DiskErrorKind::NoSpace);
            let catalog = machine.open().await;
            for number in 0..4 {
                commit(&catalog, vec![put(name, &number.to_string())]).await;
            }
            catalog.shutdown().await;
        });
        machine.disk.clear_faults();
        machine
    };
    let (one, other) = (live("one"), live("other"));
    assert_eq!(one.spawn.block_on(async { everything(&*one.open().await).await }).len(), 2);
    other.disk.put("meta/log-b", &one.disk.content("meta/log-b").expect("it is there"));
    match other.spawn.block_on(other.try_open()) {
        Err(OpenError::Corrupt { path, what, .. }) => {
            assert!(path == "meta/log-a" && what.contains("follows another"), "{path}: {what}");
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("half of one history was taken for the continuation of another"),
    }
}

/// A value may hold the very bytes of a batch: it must not be taken for one.
#[test]
fn stored_bytes_are_never_taken_for_batches() {
    // Batches that come long after anything in the catalog that they are stored in.
    let machine = Machine { settings: TINY, ..Machine::new(7) };
    machine.spawn.block_on(async {
        let catalog = machine.open().await;
        for number in 0..100 {
            commit(&catalog, vec![put("key", &number.to_string())]).await;
        }
    });
    let log = machine.disk.content("meta/log-a").expect("it is there");
    // Header, commit, tag, lengths and key come before the value: with this filling the copy begins with a block.
    let mut value = vec![0; 512 - (72 + 4 + 9 + "forged".len())];
    value.extend_from_slice(&log);
    let forged = Write::Put("forged".into(), value.into());
    for seed in 0..50 {
        let machine = Machine { settings: TINY, ..Machine::new(99) };
        let catalog = machine.spawn.block_on(machine.open());
        machine.spawn.block_on(commit(&catalog, vec![put("honest", "1")]));
        machine.spawn.run_until_idle();
        // Torn, so that the search for batches goes through its inside.
        machine.disk.hold(CallKind::WriteDurable);
        let next = machine.spawn.block_on(async {
            let crash = async {
                machine.spawn.run_until_idle();
                machine.disk.crash(Crash::Power(seed))
            };
            futures_util::future::join(try_commit(&catalog, vec![forged.clone()]), crash).await.1
        });
        let next = Machine::with_disk(seed, next);
        let opened = next.spawn.block_on(next.try_open());
        let catalog = opened.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let rows = next.spawn.block_on(everything(&catalog));
        let keys: Vec<_> = rows.iter().map(|row| &row.key[..]).collect();
        assert!(keys == [&b"honest"[..]] || keys == [&b"forged"[..], b"honest"], "seed {seed}: {keys:?}");
    }
}

#[test]
fn a_move_to_larger_blocks_is_followed() {
    let (machine, rows) = small_catalog();
    let moved = SimulatedDisk::with_alignment(4096);
    for path in machine.disk.files() {
        moved.put(&path, &machine.disk.content(&path).expect("it is listed"));
    }
    let calls = {
        let machine = Machine::with_disk(1, moved.copy());
        machine.spawn.block_on(machine.open());
        machine.disk.calls()
    };
    for call in 1..=calls + 1 {
        let machine = Machine::with_disk(1, moved.copy());
        machine.disk.stop_at_call(call);
        let opened = machine.spawn.block_on(machine.try_open()).is_ok();
        assert_eq!(opened, call > calls);
        let next = machine.crash(Crash::Power(call));
        next.spawn.block_on(async {
            let catalog = next.open().await;
            assert_eq!(everything(&catalog).await, rows, "stopped at call {call}");
            commit(&catalog, vec![put("new", "1")]).await;
            catalog.shutdown().await;
        });
    }
}
