//! Crashes at any call, by seed: what was acknowledged is there, what was not is there whole or not at all, and
//! what a start has shown once is never lost.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use thalweg_catalog::{Catalog, CommitError, Condition, Row, Rows, Version, Write};
use thalweg_catalog_disk::{DiskCatalog, OpenError};
use thalweg_system::disk::DiskErrorKind;
use thalweg_system::simulated::{CallKind, Crash, SeededRandom};

use crate::support::{Machine, commit, everything, put};

/// A commit that was tried, and what is known of it.
#[derive(Clone, Debug)]
struct Attempt {
    conditions: Vec<Condition>,
    writes: Vec<Write>,
    fate: Fate,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Fate {
    /// No answer came, or none that tells.
    Unknown,
    Applied(Version),
    NotApplied,
}

/// Everything that was tried since the catalog was made.
type History = Arc<Mutex<Vec<Attempt>>>;

fn marker(attempt: usize) -> String {
    format!("marker/{attempt:05}")
}

/// A commit of a few rows; its marker is never written again, and so shows for ever whether it was applied.
fn random_attempt(attempt: usize, random: &SeededRandom) -> Attempt {
    let shared = |number: u64| Bytes::from(format!("shared/{number:02}"));
    let mut writes = vec![put(&marker(attempt), "")];
    let first = random.below(20);
    for number in first..first + random.below(4) {
        let key = shared(number);
        if random.one_in(4) {
            writes.push(Write::Delete(key));
        } else {
            let length = if random.one_in(20) { random.below(9000) } else { random.below(300) };
            let value = format!("{attempt:05}").repeat(usize::try_from(length / 5).expect("small"));
            writes.push(Write::Put(key, Bytes::from(value)));
        }
    }
    let conditions = match random.below(4) {
        0 => vec![Condition::Present(shared(random.below(20)))],
        1 => vec![Condition::Absent(shared(random.below(20)))],
        _ => Vec::new(),
    };
    Attempt { conditions, writes, fate: Fate::Unknown }
}

async fn client(catalog: Arc<DiskCatalog>, history: History, random: Arc<SeededRandom>, commits: u32) {
    for _ in 0..commits {
        let (number, attempt) = {
            let mut history = history.lock().expect("no one panics with it");
            let attempt = random_attempt(history.len(), &random);
            history.push(attempt.clone());
            (history.len() - 1, attempt)
        };
        let fate = match catalog.commit(attempt.conditions, attempt.writes).await {
            Ok(version) => Fate::Applied(version),
            Err(CommitError::Conflict(_) | CommitError::NotApplied(_)) => Fate::NotApplied,
            Err(CommitError::OutcomeUnknown(_)) => Fate::Unknown,
        };
        history.lock().expect("no one panics with it")[number].fate = fate;
    }
}

/// The rows after these commits, in the order of their versions.
fn replay(history: &[Attempt], up_to: Version) -> Vec<Row> {
    let mut applied = Vec::new();
    for attempt in history {
        if let Fate::Applied(version) = attempt.fate
            && version <= up_to
        {
            applied.push((version, attempt.writes.clone()));
        }
    }
    applied.sort_by_key(|(version, _)| *version);
    let mut rows = Rows::default();
    for (version, writes) in applied {
        rows.apply(writes, version);
    }
    rows.scan(b"", None, usize::MAX)
}

/// Learns from the markers what became of the attempts without an answer, and checks everything else.
fn settle(history: &mut [Attempt], rows: &[Row], newest: Version, context: &str) {
    let mut applied = 0;
    for (number, attempt) in history.iter_mut().enumerate() {
        let key = marker(number);
        let found = rows.iter().find(|row| row.key == key.as_bytes()).map(|row| Fate::Applied(row.version));
        let found = found.unwrap_or(Fate::NotApplied);
        if attempt.fate == Fate::Unknown {
            attempt.fate = found;
        } else {
            assert_eq!(found, attempt.fate, "{context}: {key}");
        }
        applied += u64::from(matches!(attempt.fate, Fate::Applied(_)));
    }
    assert_eq!(newest, applied, "{context}: versions are dense");
    assert!(rows == replay(history, newest), "{context}: the rows are not those of the commits");
}

fn random_crash(random: &SeededRandom) -> Crash {
    match random.below(6) {
        0 => Crash::Process,
        1 => Crash::PowerNothing,
        2 => Crash::PowerEverything,
        _ => Crash::Power(random.below(u64::MAX)),
    }
}

fn random_fault(machine: &Machine, random: &SeededRandom) {
    let nth = 1 + random.below(60);
    match random.below(12) {
        0 => machine.disk.fail_nth(CallKind::WriteDurable, "", nth, DiskErrorKind::Io),
        1 => machine.disk.fail_nth(CallKind::Write, "", nth, DiskErrorKind::Io),
        2 => machine.disk.fail_nth(CallKind::Sync, "", nth.div_ceil(10), DiskErrorKind::Io),
        3 => machine.disk.fail_nth(CallKind::Rename, "", nth.div_ceil(20), DiskErrorKind::Io),
        4 => machine.disk.fail_nth(CallKind::SyncDirectory, "", nth.div_ceil(20), DiskErrorKind::Io),
        5 => machine.disk.fail_always(CallKind::Write, "", DiskErrorKind::NoSpace),
        _ => {}
    }
}

fn crash_cycles(seed: u64, cycles: u32) {
    let random = Arc::new(SeededRandom::new(seed));
    let history: History = Arc::default();
    let mut machine = Machine::new(seed);
    for cycle in 0..cycles {
        let context = format!("seed {seed}, cycle {cycle}");
        if cycle > 0 {
            random_fault(&machine, &random);
        }
        machine.disk.stop_at_call(1 + random.below(if random.one_in(3) { 40 } else { 400 }));
        let opened = machine.spawn.block_on(machine.try_open());
        let crashed = match opened {
            Ok(catalog) => {
                let rows = machine.spawn.block_on(everything(&catalog));
                let newest = *catalog.watch().borrow();
                settle(&mut history.lock().expect("no one panics with it"), &rows, newest, &context);
                let clients: Vec<_> = (0..5)
                    .map(|_| {
                        let (catalog, history) = (Arc::clone(&catalog), Arc::clone(&history));
                        let commits = u32::try_from(random.below(60)).expect("small");
                        client(catalog, history, Arc::clone(&random), commits)
                    })
                    .collect();
                machine.spawn.block_on(futures_util::future::join_all(clients));
                if random.one_in(4) {
                    machine.spawn.block_on(catalog.shutdown());
                }
                machine.crash(random_crash(&random))
            }
            // The machine stopped, or a fault struck: the next start tries again.
            Err(OpenError::Disk(_)) => machine.crash(random_crash(&random)),
            Err(other) => panic!("{context}: {other}"),
        };
        machine = crashed;
    }
    let catalog = machine.spawn.block_on(machine.open());
    let rows = machine.spawn.block_on(everything(&catalog));
    let newest = *catalog.watch().borrow();
    settle(&mut history.lock().expect("no one panics with it"), &rows, newest, &format!("seed {seed}, end"));
    machine.spawn.block_on(commit(&catalog, vec![put("end", "")]));
}

#[test]
fn what_was_acknowledged_survives_and_the_rest_is_whole_or_absent() {
    for seed in 0..100 {
        crash_cycles(seed, 8);
    }
}

/// Every call of a short life, with every kind of crash: the first start, a roll of the logs, a clean end.
#[test]
fn a_crash_at_any_call_is_survived() {
    let life = async |machine: &Machine, acknowledged: &Mutex<Vec<String>>| {
        let Ok(catalog) = machine.try_open().await else { return };
        for number in 0..30 {
            let key = format!("key/{number:02}");
            let writes = vec![put(&key, "left"), put(&format!("{key}/right"), "right")];
            if catalog.commit(Vec::new(), writes).await.is_ok() {
                acknowledged.lock().expect("no one panics with it").push(key);
            }
        }
        catalog.shutdown().await;
    };
    let whole = Machine::new(0);
    whole.spawn.block_on(life(&whole, &Mutex::default()));
    let calls = whole.disk.calls();
    assert!(whole.disk.calls_of(CallKind::Rename) > 3, "the logs were rolled");
    for call in 1..=calls {
        for how in [
            Crash::Process,
            Crash::PowerNothing,
            Crash::PowerEverything,
            Crash::Power(call),
            Crash::Power(call + 1_000_000),
        ] {
            let machine = Machine::new(0);
            machine.disk.stop_at_call(call);
            let acknowledged = Mutex::default();
            machine.spawn.block_on(life(&machine, &acknowledged));
            let next = machine.crash(how);
            let opened = next.spawn.block_on(next.try_open());
            let catalog = opened.unwrap_or_else(|error| panic!("call {call}, {how:?}: {error}"));
            let rows = next.spawn.block_on(everything(&catalog));
            for key in acknowledged.into_inner().expect("no one panics with it") {
                assert!(rows.iter().any(|row| row.key == key), "call {call}, {how:?}: {key} is lost");
            }
            assert_eq!(rows.len() % 2, 0, "call {call}, {how:?}: half a commit");
            // What was shown stays, whatever happens next.
            let after = next.crash(Crash::PowerNothing);
            let catalog = after.spawn.block_on(after.open());
            assert_eq!(after.spawn.block_on(everything(&catalog)), rows, "call {call}, {how:?}");
        }
    }
}

/// A disk that acknowledges what it loses breaks our promise of durability; it must not break that of order.
#[test]
fn a_lying_disk_gives_an_older_state_or_a_refusal() {
    let (mut refusals, mut older, mut newest_states) = (0, 0, 0);
    for seed in 0..200 {
        let random = Arc::new(SeededRandom::new(seed));
        let history: History = Arc::default();
        let machine = Machine::new(seed);
        let catalog = machine.spawn.block_on(machine.open());
        let honest = client(Arc::clone(&catalog), Arc::clone(&history), Arc::clone(&random), 20);
        machine.spawn.block_on(honest);
        machine.disk.lie_about_syncs(true);
        // Where much is lost something shows it, a lost growth too: an older state needs a few commits only.
        let most = if seed % 2 == 0 { 4 } else { 60 };
        let commits = u32::try_from(random.below(most)).expect("small");
        machine.spawn.block_on(client(catalog, Arc::clone(&history), Arc::clone(&random), commits));
        let next = machine.crash(Crash::Power(seed));
        match next.spawn.block_on(next.try_open()) {
            Ok(catalog) => {
                let version = *catalog.watch().borrow();
                let rows = next.spawn.block_on(everything(&catalog));
                let history = history.lock().expect("no one panics with it");
                assert!(rows == replay(&history, version), "seed {seed}: a state that never was");
                if rows == replay(&history, Version::MAX) {
                    newest_states += 1;
                } else {
                    older += 1;
                }
            }
            Err(OpenError::Corrupt { path, .. }) => {
                assert!(path.starts_with("meta/"), "seed {seed}: {path}");
                refusals += 1;
            }
            // A log was made longer, and the disk lost that too, or its very name.
            Err(other) => panic!("seed {seed}: {other}"),
        }
    }
    assert!(refusals > 0 && older > 0 && newest_states > 0, "{refusals} {older} {newest_states}");
}

/// After a failed sync the kernel shows what the device never took. A start must not show it to anyone.
#[test]
fn what_only_the_cache_holds_is_not_served() {
    // A schedule in which nothing confirms the commit before the crash: the device would have the confirmation alone.
    let machine = Machine::new(1);
    machine.spawn.block_on(async {
        let catalog = machine.open().await;
        commit(&catalog, vec![put("kept", "1")]).await;
        machine.disk.lie_about_syncs(true);
        commit(&catalog, vec![put("cached", "1")]).await;
        // The cache fails to write back, and says so to someone else.
        machine.disk.lie_about_syncs(false);
        let log = "meta/log-a";
        machine.disk.fail_nth(CallKind::Sync, log, 1, DiskErrorKind::Io);
        let disk: &dyn thalweg_system::Disk = &machine.disk;
        let file = disk.open(log, thalweg_system::disk::Access::ReadOnly).await.expect("it is there");
        file.sync().await.expect_err("the fault");
    });
    let next = machine.crash(Crash::Process);
    let catalog = next.spawn.block_on(next.open());
    let rows = next.spawn.block_on(everything(&catalog));
    assert_eq!(rows.len(), 1, "only what the device has: {rows:?}");
    let after = next.crash(Crash::PowerNothing);
    let catalog = after.spawn.block_on(after.open());
    assert_eq!(after.spawn.block_on(everything(&catalog)), rows);
}
