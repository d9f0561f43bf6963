//! `thalweg check` on directories that real servers left.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // a test of a whole program: files

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use support::{Finished, Server, command, run};
use tempfile::TempDir;

/// Where a server puts its data unless told otherwise, below the directory it is started in.
const DATA: &str = "thalweg-data";

/// A directory in which a server wrote some records and ended by this signal.
fn directory(signal: &str) -> TempDir {
    let mut server = Server::start(&["--create-stream", "orders:2"]);
    let text: String = (0..5_000).map(|n| format!("line {n}\n")).collect();
    server.run_with_input(&["put", "orders"], text.as_bytes()).ok();
    server.running.signal(signal);
    server.running.finish();
    server.directory
}

fn check(directory: &TempDir) -> Finished {
    run(&mut command(directory.path(), &["check"]), b"")
}

/// All files below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(directory).expect("it is there").map(|entry| entry.expect("it can be read").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn what_servers_leave_checks_out() {
    for (signal, ring) in [("TERM", "the ring holds nothing newer"), ("KILL", "the ring holds")] {
        let directory = directory(signal);
        let finished = check(&directory).ok();
        assert!(finished.text().contains(ring), "{}", finished.text());
        assert!(finished.text().ends_with("everything checks out\n"), "{}", finished.text());
    }
}

#[test]
fn a_check_changes_nothing() {
    let directory = directory("KILL");
    let data = directory.path().join(DATA);
    let content = || -> Vec<_> {
        let mut all: Vec<_> = files(&data)
            .into_iter()
            .filter(|path| !path.ends_with("LOCK"))
            .map(|path| (path.clone(), fs::read(path).expect("it is a file")))
            .collect();
        all.sort();
        all
    };
    let before = content();
    check(&directory).ok();
    assert!(before == content(), "files differ after a check");
}

#[test]
fn a_damaged_byte_is_named_with_the_records_it_costs() {
    let directory = directory("TERM");
    let segments = files(&directory.path().join(DATA).join("seg"));
    let longest = segments.iter().max_by_key(|path| fs::metadata(path).expect("it is there").len());
    let path = longest.expect("a clean end drains everything");
    let file = fs::File::options().read(true).write(true).open(path).expect("it is there");
    let at = file.metadata().expect("it is open").len() / 2;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("it is inside");
    file.write_all_at(&[!byte[0]], at).expect("it is inside");

    let finished = check(&directory);
    assert_eq!(finished.code, Some(1), "{finished:?}");
    let damaged: Vec<&str> = finished.text().lines().filter(|line| line.starts_with("DAMAGED: ")).collect();
    let name =
        path.strip_prefix(directory.path().join(DATA)).expect("it is below").to_str().expect("plain names");
    assert_eq!(damaged.len(), 1, "{}", finished.text());
    assert!(damaged[0].contains(name) && damaged[0].contains(" byte "), "{}", damaged[0]);
    assert!(damaged[0].contains("(records "), "{}", damaged[0]);
    assert!(
        damaged[0].contains(" of shardId-00000000000") && damaged[0].contains(" of orders (stream-1)"),
        "{}",
        damaged[0]
    );

    let finished = run(&mut command(directory.path(), &["check", "--set-aside"]), b"").ok();
    let text = finished.text();
    let lost: Vec<&str> = text.lines().filter(|line| line.starts_with("LOST: records ")).collect();
    assert_eq!(lost.len(), 1, "{text}");
    assert!(text.contains(name) && text.ends_with("everything checks out\n"), "{text}");
    let mut numbers = lost[0].split(' ').filter_map(|word| word.parse::<usize>().ok());
    let (from, to) = (numbers.next().expect("the first one"), numbers.next().expect("the last one"));
    let server = Server::start_in(directory, &[], &[]);
    assert_eq!(server.records("orders").len(), 5_000 - (to - from + 1), "the others are there");
}

/// Checks and starts where both must refuse, in these words, and no file may be made or removed.
#[track_caller]
fn check_refused_by_both(directory: &TempDir, checked: &str, served: &str) {
    let data = directory.path().join(DATA);
    let names = || files(&data).into_iter().collect::<BTreeSet<_>>();
    let before = names();
    let check = || {
        let finished = check(directory);
        assert_eq!(finished.code, Some(1), "{finished:?}");
        let is_told = |line: &str| line.starts_with("DAMAGED: ") && line.contains(checked);
        assert!(finished.text().lines().any(is_told), "{}", finished.text());
    };
    check();
    run(&mut command(directory.path(), &["serve", "--listen", "127.0.0.1:0"]), b"")
        .check_failure(1, &[DATA, served]);
    assert_eq!(names(), before);
    check();
}

#[test]
fn a_journal_without_its_catalog_is_refused_and_no_catalog_is_made() {
    let directory = directory("TERM");
    fs::remove_dir_all(directory.path().join(DATA).join("meta")).expect("it is there");
    check_refused_by_both(&directory, "meta has no catalog", "meta/snapshot is missing");
}

#[test]
fn a_catalog_without_its_journal_is_refused_and_no_journal_is_made() {
    let directory = directory("TERM");
    let data = directory.path().join(DATA);
    for name in ["wal", "seg"] {
        fs::remove_dir_all(data.join(name)).expect("it is there");
    }
    for path in
        files(&data).into_iter().filter(|path| path.parent() == Some(&*data) && !path.ends_with("LOCK"))
    {
        fs::remove_file(path).expect("it is there");
    }
    check_refused_by_both(&directory, "there is no journal", "superblock-a is missing");
}

#[test]
fn a_catalog_that_lost_its_log_is_refused() {
    let directory = directory("TERM");
    for name in ["log-a", "log-b"] {
        let log = fs::File::options().write(true).open(directory.path().join(DATA).join("meta").join(name));
        let log = log.expect("it is there");
        let length = log.metadata().expect("it is open").len();
        // Behind the header, which fills a block (docs/formats/catalog.md).
        log.write_all_at(&vec![0; usize::try_from(length).expect("it is small") - 4096], 4096)
            .expect("it is ours");
    }
    check_refused_by_both(&directory, "which the catalog never made", "the catalog is the folder meta");
}

#[test]
fn a_catalog_of_another_directory_is_refused() {
    let (one, other) = (directory("TERM"), directory("TERM"));
    for name in ["log-a", "log-b", "snapshot"] {
        let name = Path::new(DATA).join("meta").join(name);
        fs::copy(other.path().join(&name), one.path().join(&name)).expect("both are ours");
    }
    check_refused_by_both(&one, "another journal", "the catalog is the folder meta");
    // Its own journal is served.
    Server::start_in(other, &[], &[]).run(&["health"]).ok();
}

#[test]
fn a_directory_that_no_server_has_used_is_no_damage() {
    let directory = TempDir::new().expect("there is a folder for temporary files");
    fs::create_dir(directory.path().join("fresh")).expect("it is ours");
    let finished = run(&mut command(directory.path(), &["check", "fresh"]), b"").ok();
    assert_eq!(finished.text(), "fresh\nno server has begun to use it\n");
}

#[test]
fn a_directory_in_use_or_not_there_is_refused() {
    let server = Server::start(&["--create-stream", "orders"]);
    check(&server.directory).check_failure(1, &["is using it"]);
    let empty = TempDir::new().expect("there is a folder for temporary files");
    check(&empty).check_failure(1, &["there is no data directory", DATA]);
    assert_eq!(files(empty.path()), Vec::<PathBuf>::new(), "nothing was made");
}
