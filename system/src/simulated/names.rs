//! Tests of how durable names are on a simulated disk: those of files, and those of directories.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::disk::{Access, Disk, DiskErrorKind, DiskFile};
use crate::simulated::{CallKind, Crash, SimulatedDisk};

/// Every step of these tests ends within a few polls.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("it needs nothing").block_on(future)
}

async fn file(disk: &SimulatedDisk, path: &str, access: Access) -> Arc<dyn DiskFile> {
    disk.create(path, access).await.expect("the name is free")
}

#[test]
fn names_are_as_durable_as_their_directory() {
    let disk = SimulatedDisk::new();
    block_on(async {
        disk.create_directory("d").await.expect("no fault is set");
        for path in ["d/synced", "d/replaced"] {
            file(&disk, path, Access::Appended)
                .await
                .write_durable(0, path.as_bytes())
                .await
                .expect("no fault");
        }
        disk.sync_directory("d").await.expect("no fault is set");
        file(&disk, "d/new", Access::Appended).await.write_durable(0, b"new").await.expect("no fault is set");
        disk.rename("d/new", "d/replaced").await.expect("no fault is set");
        disk.unlink("d/synced").await.expect("no fault is set");
    });
    let nothing = disk.copy().crash(Crash::PowerNothing);
    assert_eq!(nothing.files(), ["d/replaced", "d/synced"]);
    assert_eq!(nothing.content("d/replaced").as_deref(), Some(&b"d/replaced"[..]));
    assert_eq!(disk.copy().crash(Crash::PowerEverything).files(), ["d/replaced"]);
    let outcomes: BTreeSet<_> = (0..100).map(|seed| disk.copy().crash(Crash::Power(seed)).files()).collect();
    assert!(outcomes.iter().all(|files| files.contains(&"d/replaced".to_owned())), "{outcomes:?}");
    assert_eq!(outcomes.len(), 4, "the unlink and the new name, each or both or none: {outcomes:?}");
    block_on(disk.sync_directory("d")).expect("no fault is set");
    assert_eq!(disk.crash(Crash::PowerNothing).content("d/replaced").as_deref(), Some(&b"new"[..]));
}

/// A directory "d" with a directory "d/e" in it, made and not synced, and in each a file that is as durable as a
/// file can be.
fn new_directories() -> SimulatedDisk {
    let disk = SimulatedDisk::new();
    block_on(async {
        for directory in ["d", "d/e"] {
            disk.make_directory(directory).expect("the name is free");
            let file = file(&disk, &format!("{directory}/a"), Access::Appended).await;
            file.write_durable(0, b"text").await.expect("no fault is set");
        }
        disk.sync_directory("d/e").await.expect("no fault is set");
    });
    disk
}

#[test]
fn a_new_directory_is_as_durable_as_the_one_above_it() {
    let check = |disk: &SimulatedDisk, expected: &[&str]| {
        assert_eq!(disk.copy().crash(Crash::PowerNothing).files(), expected);
    };
    let disk = new_directories();
    assert_eq!(disk.make_directory("d").expect_err("it is there").kind, DiskErrorKind::AlreadyExists);
    assert_eq!(disk.make_directory("x/y").expect_err("no x").kind, DiskErrorKind::NotFound);
    check(&disk, &[]);
    assert_eq!(disk.copy().crash(Crash::PowerEverything).files(), ["d/a", "d/e/a"]);
    block_on(disk.sync_directory("d")).expect("no fault is set");
    check(&disk, &[]);
    block_on(disk.sync_directory("")).expect("no fault is set");
    check(&disk, &["d/a", "d/e/a"]);

    let disk = new_directories();
    block_on(disk.sync_directory("")).expect("no fault is set");
    check(&disk, &[]);
    let outcomes: BTreeSet<_> =
        (0..100).map(|seed| disk.copy().crash(Crash::Power(seed)).files().join(" ")).collect();
    let expected = ["", "d/a", "d/a d/e/a", "d/e/a"].map(str::to_owned);
    assert_eq!(outcomes, BTreeSet::from(expected), "each name is there or not");
}

#[test]
fn directories_are_durable_once_they_are_created_and_not_before() {
    let disk = SimulatedDisk::new();
    // A file that nobody syncs is not made durable by the way.
    block_on(file(&disk, "a", Access::Appended));
    disk.hold(CallKind::CreateDirectory);
    block_on(async {
        let held = disk.create_directory("d/e");
        let crash = async {
            tokio::task::yield_now().await;
            let list = async |disk: SimulatedDisk| disk.list("d").await.expect("no fault is set");
            assert_eq!(list(disk.copy()).await, ["e"]);
            assert!(list(disk.copy().crash(Crash::PowerNothing)).await.is_empty());
            // Somebody who finds it there makes it durable.
            let found = disk.copy().crash(Crash::Process);
            for path in ["d", "d/e"] {
                found.create_directory(path).await.expect("no fault is set");
            }
            assert_eq!(list(found.crash(Crash::PowerNothing)).await, ["e"]);
            disk.release();
        };
        let (outcome, ()) = tokio::join!(held, crash);
        outcome.expect("no fault is set");
        file(&disk, "d/e/a", Access::Appended).await;
        disk.sync_directory("d/e").await.expect("no fault is set");
    });
    assert_eq!(disk.copy().crash(Crash::PowerNothing).files(), ["d/e/a"]);

    disk.lie_about_syncs(true);
    block_on(disk.create_directory("l")).expect("so it says");
    disk.lie_about_syncs(false);
    block_on(async {
        file(&disk, "l/a", Access::Appended).await;
        disk.sync_directory("l").await.expect("no fault is set");
    });
    assert_eq!(disk.crash(Crash::PowerNothing).files(), ["d/e/a"]);
}

#[test]
fn a_directory_that_is_removed_and_made_again_is_there() {
    let disk = SimulatedDisk::new();
    block_on(async {
        disk.create_directory("d").await.expect("no fault is set");
        disk.remove_directory("d").await.expect("it is empty");
        disk.create_directory("d").await.expect("no fault is set");
        file(&disk, "d/a", Access::Appended).await;
        disk.sync_directory("d").await.expect("no fault is set");
    });
    for how in [Crash::PowerNothing, Crash::PowerEverything, Crash::Power(1), Crash::Power(2)] {
        assert_eq!(disk.copy().crash(how).files(), ["d/a"], "{how:?}");
    }
}
