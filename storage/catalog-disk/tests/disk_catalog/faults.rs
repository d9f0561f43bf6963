//! Failing, full and slow disks; and what the loops cost when nothing fails.

use futures_util::future::join_all;
use thalweg_catalog::{Catalog, CommitError};
use thalweg_catalog_disk::Settings;
use thalweg_system::disk::DiskErrorKind;
use thalweg_system::simulated::{CallKind, Crash};

use crate::support::{Machine, commit, everything, put, try_commit};

#[test]
fn after_a_failed_write_nothing_more_is_written() {
    let machine = Machine::new(0);
    let catalog = machine.spawn.block_on(machine.open());
    machine.spawn.block_on(async {
        commit(&catalog, vec![put("before", "1")]).await;
        machine.spawn.run_until_idle();
        machine.disk.fail_nth(CallKind::WriteDurable, "", 1, DiskErrorKind::Io);
        let outcome = try_commit(&catalog, vec![put("during", "1")]).await;
        assert!(matches!(outcome, Err(CommitError::OutcomeUnknown(_))), "{outcome:?}");
        let written = machine.disk.calls_of(CallKind::WriteDurable);
        let outcome = try_commit(&catalog, vec![put("after", "1")]).await;
        assert!(
            matches!(&outcome, Err(CommitError::NotApplied(reason)) if reason.contains("stopped")),
            "{outcome:?}"
        );
        assert!(
            catalog.stopped().expect("it has").contains("durably write meta/log-a"),
            "{:?}",
            catalog.stopped()
        );
        assert_eq!(everything(&catalog).await.len(), 1, "reads go on, and show what is durable");
        assert_eq!(*catalog.watch().borrow(), 1);
        catalog.shutdown().await;
        assert_eq!(machine.disk.calls_of(CallKind::WriteDurable), written, "no retry, no confirmation");
    });
    let next = machine.crash(Crash::Process);
    let catalog = next.spawn.block_on(next.open());
    assert_eq!(catalog.stopped(), None, "a start makes it good");
    next.spawn.block_on(commit(&catalog, vec![put("after", "1")]));
}

#[test]
fn whoever_shares_a_failed_batch_learns_what_is_known() {
    let machine = Machine::new(0);
    let catalog = machine.spawn.block_on(machine.open());
    machine.disk.hold(CallKind::WriteDurable);
    machine.disk.fail_nth(CallKind::WriteDurable, "", 2, DiskErrorKind::Io);
    let condition = thalweg_catalog::Condition::Absent("rival".into());
    let rival = || catalog.commit(vec![condition.clone()], vec![put("rival", "1")]);
    let outcomes = machine.spawn.block_on(async {
        let first = catalog.commit(Vec::new(), vec![put("first", "1")]);
        let others = async {
            // The first is in flight by now; the rivals queue, and share the next batch.
            machine.spawn.run_until_idle();
            let release = async {
                machine.spawn.run_until_idle();
                machine.disk.release();
            };
            futures_util::future::join(join_all([rival(), rival()]), release).await.0
        };
        let (first, rest) = futures_util::future::join(first, others).await;
        (first, rest)
    });
    assert_eq!(outcomes.0, Ok(1));
    let [winner, loser] = &outcomes.1[..] else { panic!("two rivals") };
    assert!(matches!(winner, Err(CommitError::OutcomeUnknown(_))), "{winner:?}");
    // It lost against a commit that may not be durable: to say "conflict" would show that one.
    assert!(matches!(loser, Err(CommitError::NotApplied(_))), "{loser:?}");
}

#[test]
fn commits_that_queue_during_a_write_go_out_together() {
    let machine = Machine { settings: Settings::default(), ..Machine::new(3) };
    let catalog = machine.spawn.block_on(machine.open());
    let before = machine.disk.calls_of(CallKind::WriteDurable);
    machine.disk.hold(CallKind::WriteDurable);
    let versions = machine.spawn.block_on(async {
        let first = catalog.commit(Vec::new(), vec![put("first", "1")]);
        let others = async {
            // The first is in flight by now.
            machine.spawn.run_until_idle();
            assert_eq!(machine.disk.calls_of(CallKind::WriteDurable), before + 1);
            let keys: Vec<_> = (0..1000).map(|number| format!("key/{number}")).collect();
            let commits = keys.iter().map(|key| catalog.commit(Vec::new(), vec![put(key, "1")]));
            let release = async {
                machine.spawn.run_until_idle();
                assert_eq!(everything(&catalog).await, [], "nothing is seen that is not durable");
                machine.disk.release();
            };
            futures_util::future::join(join_all(commits), release).await.0
        };
        futures_util::future::join(first, others).await
    });
    assert_eq!(versions.0, Ok(1));
    assert!(versions.1.iter().all(Result::is_ok));
    machine.spawn.run_until_idle();
    let written = machine.disk.calls_of(CallKind::WriteDurable) - before;
    assert_eq!(written, 3, "the first, all others, and one confirmation");
}

#[test]
fn an_idle_catalog_does_nothing() {
    let machine = Machine::new(0);
    let catalog = machine.spawn.block_on(machine.open());
    for round in 0..3 {
        machine.spawn.block_on(commit(&catalog, vec![put("key", &round.to_string())]));
        machine.spawn.run_until_idle();
        let calls = machine.disk.calls();
        assert_eq!(machine.clock.until_next_wake(), None, "no one waits for a time");
        machine.spawn.run_until_idle();
        assert_eq!(machine.disk.calls(), calls);
    }
}

#[test]
fn a_snapshot_without_room_harms_nothing() {
    let machine = Machine::new(0);
    let catalog = machine.spawn.block_on(machine.open());
    machine.disk.fail_always(CallKind::Write, "snapshot", DiskErrorKind::NoSpace);
    let applied = machine.spawn.block_on(async {
        let mut applied = 0;
        loop {
            match try_commit(&catalog, vec![put(&format!("key/{applied:03}"), "1")]).await {
                Ok(_) => applied += 1,
                Err(CommitError::NotApplied(reason)) => {
                    assert!(reason.contains("no snapshot") && reason.contains("NoSpace"), "{reason}");
                    break applied;
                }
                Err(other) => panic!("{other}"),
            }
        }
    });
    assert!(applied > 8, "commits went on in the second file: {applied}");
    assert_eq!(catalog.stopped(), None);
    assert!(!machine.disk.files().contains(&"meta/snapshot.tmp".to_owned()), "half a snapshot takes room");

    // Starts go on too, however many.
    let mut machine = machine;
    for seed in 0..20 {
        machine = machine.crash(Crash::Power(seed));
        machine.disk.fail_always(CallKind::Write, "", DiskErrorKind::NoSpace);
        let catalog = machine.spawn.block_on(machine.open());
        assert_eq!(machine.spawn.block_on(everything(&catalog)).len(), applied);
        let outcome = machine.spawn.block_on(try_commit(&catalog, vec![put("more", "1")]));
        assert!(matches!(outcome, Err(CommitError::NotApplied(_))), "{outcome:?}");
    }

    // Room again: after the next try everything works.
    let catalog = {
        machine = machine.crash(Crash::Process);
        machine.disk.fail_nth(CallKind::Write, "snapshot", 1, DiskErrorKind::NoSpace);
        machine.spawn.block_on(machine.open())
    };
    machine.spawn.run_until_idle();
    assert!(machine.clock.until_next_wake().is_some(), "the snapshot will be tried again");
    machine.spawn.block_on(async {
        thalweg_system::Clock::sleep(&machine.clock, std::time::Duration::from_secs(2)).await;
        for number in 0..50 {
            commit(&catalog, vec![put(&format!("later/{number:03}"), "1")]).await;
        }
        assert_eq!(everything(&catalog).await.len(), applied + 50);
    });
}

#[test]
fn a_large_commit_without_room_is_not_applied() {
    let machine = Machine::new(0);
    let catalog = machine.spawn.block_on(machine.open());
    machine.spawn.block_on(async {
        commit(&catalog, vec![put("before", "1")]).await;
        machine.disk.fail_always(CallKind::Write, "log", DiskErrorKind::NoSpace);
        let large = put("large", &"x".repeat(100_000));
        let outcome = try_commit(&catalog, vec![large.clone()]).await;
        assert!(
            matches!(&outcome, Err(CommitError::NotApplied(reason)) if reason.contains("large")),
            "{outcome:?}"
        );
        for number in 0..40 {
            commit(&catalog, vec![put("small", &number.to_string())]).await;
        }
        machine.disk.clear_faults();
        commit(&catalog, vec![large]).await;
        catalog.shutdown().await;
    });
    let next = machine.crash(Crash::PowerNothing);
    let catalog = next.spawn.block_on(next.open());
    assert_eq!(next.spawn.block_on(everything(&catalog)).len(), 3);
}

/// A log file whose new length could not be written into its header takes no batch before the next start.
#[test]
fn a_failed_growth_stops_the_catalog_and_loses_nothing() {
    // The first write to log-b is the header, for a large commit; that of log-a, when the keeper doubles it, comes
    // after its epoch and its batches.
    let mut has_failed_in_the_keeper = false;
    for (log, nth, large) in [("log-b", 1, 20_000)].into_iter().chain((2..40).map(|nth| ("log-a", nth, 0))) {
        let machine = Machine::new(0);
        let catalog = machine.spawn.block_on(machine.open());
        let kind = if large > 0 { DiskErrorKind::NoSpace } else { DiskErrorKind::Io };
        machine.disk.fail_nth(CallKind::WriteDurable, log, nth, kind);
        let context = format!("{log}, write {nth}");
        let (mut applied, mut unknown) = (0, 0);
        machine.spawn.block_on(async {
            for number in 0..60 {
                match try_commit(&catalog, vec![put(&format!("key/{number}"), &"x".repeat(large))]).await {
                    Ok(_) => applied += 1,
                    Err(CommitError::OutcomeUnknown(_)) => unknown += 1,
                    Err(CommitError::NotApplied(_)) => {}
                    Err(other) => panic!("{context}: {other}"),
                }
            }
            catalog.shutdown().await;
        });
        let reason = catalog.stopped().unwrap_or_default().to_owned();
        if large > 0 {
            assert!(reason.contains("cannot grow"), "{context}: {reason}");
        }
        has_failed_in_the_keeper |= reason.contains("cannot grow: ") && reason.contains("log-a");
        let next = machine.crash(Crash::Power(nth));
        let catalog = next.spawn.block_on(next.open());
        let found = next.spawn.block_on(everything(&catalog)).len();
        assert!((applied..=applied + unknown).contains(&found), "{context}: {found} of {applied}");
        next.spawn.block_on(commit(&catalog, vec![put("after", &"x".repeat(20_000))]));
    }
    assert!(has_failed_in_the_keeper, "the keeper's header write was among them");
}

#[test]
fn commits_go_on_while_a_snapshot_is_written() {
    let machine = Machine::new(0);
    let catalog = machine.spawn.block_on(machine.open());
    machine.disk.hold(CallKind::Sync);
    let before = machine.disk.calls_of(CallKind::Rename);
    machine.spawn.block_on(async {
        // More than one file takes, less than two.
        for number in 0..10 {
            commit(&catalog, vec![put("key", &number.to_string())]).await;
        }
    });
    machine.spawn.run_until_idle();
    assert_eq!(machine.disk.calls_of(CallKind::Rename), before, "the snapshot is still held");
    machine.disk.release();
    machine.spawn.run_until_idle();
    assert_eq!(machine.disk.calls_of(CallKind::Rename), before + 1);
}

#[test]
fn a_dropped_catalog_ends_its_loops() {
    let machine = Machine::new(0);
    let catalog = machine.spawn.block_on(machine.open());
    let mut watch = catalog.watch();
    machine.spawn.block_on(commit(&catalog, vec![put("key", "1")]));
    watch.mark_unchanged();
    drop(catalog);
    machine.spawn.run_until_idle();
    assert!(watch.has_changed().is_err(), "no one holds the rows any more");
}

#[test]
fn ten_thousand_rows_are_kept_through_snapshots() {
    const ROWS: usize = 10_000;
    let machine = Machine { settings: Settings::default(), ..Machine::new(0) };
    let catalog = machine.spawn.block_on(machine.open());
    let rows = machine.spawn.block_on(async {
        for start in (0..ROWS).step_by(50) {
            let row = |number: usize| put(&format!("shard/{number:05}"), &format!("{number:0>200}"));
            commit(&catalog, (start..start + 50).map(row).collect()).await;
        }
        // Turn over what is there, so that the last snapshot holds all of it.
        for round in 0..4000 {
            commit(&catalog, vec![put(&format!("shard/{:05}", round % ROWS), &format!("{round:0>900}"))])
                .await;
        }
        catalog.shutdown().await;
        everything(&catalog).await
    });
    assert_eq!(rows.len(), ROWS);
    let snapshot = machine.disk.content("meta/snapshot").expect("it is there");
    assert!(snapshot.len() > ROWS * 200, "{} bytes", snapshot.len());
    let next = machine.crash(Crash::PowerNothing);
    let catalog = next.spawn.block_on(next.open());
    assert!(next.spawn.block_on(everything(&catalog)) == rows);
    assert_eq!(*catalog.watch().borrow(), ROWS as u64 / 50 + 4000);
}
