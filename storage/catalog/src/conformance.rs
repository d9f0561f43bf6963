//! The conformance suite: what every engine must pass. It needs no async runtime of its own, and panics with the
//! rule that was broken.
//!
//! Not here: what a crash leaves, which is each durable engine's own to show.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::future::{join, join_all};

use crate::{BoxFuture, Catalog, CommitError, Condition, Row, Version, Write};

/// Opens the catalog that is kept in one place; may be called again once that one was shut down.
pub type Open = Box<dyn Fn() -> BoxFuture<'static, Arc<dyn Catalog>> + Send + Sync>;

/// What an engine keeps from one opening to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeps {
    /// Everything committed.
    Rows,
    /// Nothing: each opening is empty.
    Nothing,
}

/// Runs every check, each in a new and empty place.
///
/// # Panics
/// When the engine breaks the contract.
pub async fn check_all(new_place: &(dyn Fn() -> Open + Send + Sync), keeps: Keeps) {
    a_new_catalog_is_empty(new_place()().await.as_ref()).await;
    conditions_decide(new_place()().await.as_ref()).await;
    versions_are_given_in_order(new_place()().await.as_ref()).await;
    a_conflict_writes_nothing(new_place()().await.as_ref()).await;
    a_key_is_written_at_most_once(new_place()().await.as_ref()).await;
    scans_are_ordered(new_place()().await.as_ref()).await;
    any_bytes_are_keys_and_values(new_place()().await.as_ref()).await;
    the_watch_tells_of_commits(new_place()().await.as_ref()).await;
    a_large_commit_is_one_commit(new_place()().await.as_ref()).await;
    concurrent_commits_are_applied_one_by_one(new_place()().await.as_ref()).await;
    one_of_two_rivals_wins(new_place()().await.as_ref()).await;
    a_scan_sees_one_moment(new_place()().await.as_ref()).await;
    after_shutdown_nothing_is_applied(new_place()().await.as_ref()).await;
    if keeps == Keeps::Rows {
        rows_and_versions_outlive_the_engine(new_place()).await;
        a_large_commit_outlives_the_engine(new_place()).await;
    }
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// A put of text.
pub fn put(key: &str, value: &str) -> Write {
    Write::Put(bytes(key), bytes(value))
}

/// A delete by text.
pub fn delete(key: &str) -> Write {
    Write::Delete(bytes(key))
}

async fn commit(catalog: &dyn Catalog, writes: Vec<Write>) -> Version {
    catalog.commit(Vec::new(), writes).await.expect("a commit without conditions is applied")
}

async fn get(catalog: &dyn Catalog, key: &str) -> Option<Row> {
    catalog.get(key.as_bytes()).await.expect("rows can be read")
}

async fn value(catalog: &dyn Catalog, key: &str) -> Option<String> {
    let row = get(catalog, key).await?;
    Some(String::from_utf8(row.value.to_vec()).expect("these tests write text"))
}

async fn scan(catalog: &dyn Catalog, prefix: &str, after: Option<&str>, limit: usize) -> Vec<Row> {
    let after = after.map(str::as_bytes);
    catalog.scan(prefix.as_bytes(), after, limit).await.expect("rows can be read")
}

/// Every row there is.
async fn everything(catalog: &dyn Catalog) -> Vec<Row> {
    scan(catalog, "", None, usize::MAX).await
}

async fn a_new_catalog_is_empty(catalog: &dyn Catalog) {
    assert_eq!(everything(catalog).await, []);
    assert_eq!(get(catalog, "a").await, None);
    assert_eq!(*catalog.watch().borrow(), 0, "no commit yet");
}

async fn conditions_decide(catalog: &dyn Catalog) {
    let old = commit(catalog, vec![put("there", "1")]).await;
    let new = commit(catalog, vec![put("there", "2")]).await;
    let there = || bytes("there");
    let none = || bytes("none");
    for (condition, holds) in [
        (Condition::Absent(none()), true),
        (Condition::Absent(there()), false),
        (Condition::Present(there()), true),
        (Condition::Present(none()), false),
        (Condition::AtVersion(there(), new), true),
        (Condition::AtVersion(there(), old), false),
        (Condition::AtVersion(there(), new + 1), false),
        (Condition::AtVersion(none(), new), false),
        (Condition::AtVersion(none(), 0), false),
    ] {
        let outcome = catalog.commit(vec![condition.clone()], vec![put("other", "x")]).await;
        match outcome {
            Ok(_) => assert!(holds, "{condition:?} does not hold"),
            Err(error) => {
                assert!(!holds, "{condition:?} holds");
                assert_eq!(error, CommitError::Conflict(0));
            }
        }
    }
}

async fn versions_are_given_in_order(catalog: &dyn Catalog) {
    assert_eq!(commit(catalog, vec![put("a", "1"), put("b", "1")]).await, 1);
    assert_eq!(commit(catalog, vec![put("b", "2")]).await, 2);
    assert_eq!(commit(catalog, vec![]).await, 3, "a commit that writes nothing is a commit");
    let conflict = catalog.commit(vec![Condition::Absent(bytes("a"))], vec![put("a", "2")]).await;
    assert_eq!(conflict, Err(CommitError::Conflict(0)));
    assert_eq!(
        commit(catalog, vec![delete("none")]).await,
        4,
        "deleting nothing is fine, a conflict counts for nothing"
    );
    assert_eq!(commit(catalog, vec![delete("a")]).await, 5);
    assert_eq!(commit(catalog, vec![put("a", "3")]).await, 6);
    let row = |key, value, version| Row { key: bytes(key), value: bytes(value), version };
    assert_eq!(everything(catalog).await, [row("a", "3", 6), row("b", "2", 2)]);
    assert_eq!(get(catalog, "b").await, Some(row("b", "2", 2)));
}

async fn a_conflict_writes_nothing(catalog: &dyn Catalog) {
    commit(catalog, vec![put("a", "1"), put("b", "1")]).await;
    let before = everything(catalog).await;
    let conditions = vec![
        Condition::Present(bytes("a")),
        Condition::Absent(bytes("b")),
        Condition::Present(bytes("none")),
    ];
    let writes = vec![put("a", "2"), put("c", "2"), delete("b")];
    let outcome = catalog.commit(conditions, writes).await;
    assert_eq!(outcome, Err(CommitError::Conflict(1)), "the first that does not hold");
    assert_eq!(everything(catalog).await, before);
}

async fn a_key_is_written_at_most_once(catalog: &dyn Catalog) {
    for writes in [
        vec![put("a", "1"), put("a", "1")],
        vec![put("a", "1"), put("b", "1"), delete("a")],
        vec![delete("a"), delete("a")],
    ] {
        let outcome = catalog.commit(Vec::new(), writes.clone()).await;
        assert!(matches!(outcome, Err(CommitError::NotApplied(_))), "{writes:?}: {outcome:?}");
    }
    assert_eq!(everything(catalog).await, []);
    // A key may be in as many conditions as one likes.
    let conditions = vec![Condition::Absent(bytes("a")), Condition::Absent(bytes("a"))];
    catalog.commit(conditions, vec![put("a", "1")]).await.expect("both hold");
}

async fn scans_are_ordered(catalog: &dyn Catalog) {
    commit(catalog, ["b/2", "a", "b/1", "b", "b/10", "c", "b0"].map(|key| put(key, "x")).into()).await;
    let all = ["a", "b", "b/1", "b/10", "b/2", "b0", "c"];
    for (prefix, after, limit, expected) in [
        ("", None, 100, &all[..]),
        ("", None, 3, &all[..3]),
        ("", Some("b/1"), 100, &all[3..]),
        ("", Some("b/1"), 2, &all[3..5]),
        ("", Some("b/11"), 100, &all[4..]),
        ("b/", None, 100, &all[2..5]),
        ("b/", None, 0, &[]),
        ("b/", None, 1, &all[2..3]),
        ("b/", Some("b/1"), 100, &all[3..5]),
        ("b/", Some("b/2"), 100, &[]),
        ("b/", Some("a"), 100, &all[2..5]),
        ("b/", Some("c"), 100, &[]),
        ("b/", Some("b/"), 100, &all[2..5]),
        ("b", Some("b"), 100, &all[2..6]),
        ("d", None, 100, &[]),
        ("", Some("c"), 100, &[]),
    ] {
        let found = scan(catalog, prefix, after, limit).await;
        let found: Vec<_> = found.iter().map(|row| str::from_utf8(&row.key).expect("text")).collect();
        assert_eq!(found, expected, "prefix {prefix:?}, after {after:?}, limit {limit}");
    }
}

async fn any_bytes_are_keys_and_values(catalog: &dyn Catalog) {
    let keys: [&[u8]; 6] = [b"", b"\0", b"\0\0", b"\x7f", b"\xff", b"\xff\xff"];
    let mut writes = Vec::new();
    for key in keys {
        writes.push(Write::Put(Bytes::from_static(key), Bytes::from_static(key)));
    }
    commit(catalog, writes).await;
    for key in keys {
        let row = catalog.get(key).await.expect("rows can be read").expect("it was committed");
        assert_eq!((&row.key[..], &row.value[..]), (key, key));
    }
    assert_eq!(everything(catalog).await.len(), keys.len());
    let from_ff = catalog.scan(b"\xff", Some(b"\xff"), 9).await.expect("rows can be read");
    assert_eq!(from_ff.len(), 1, "a prefix may have no key above it");
    let large = Bytes::from(vec![7; 1 << 20]);
    commit(catalog, vec![Write::Put(Bytes::from_static(b"large"), large.clone())]).await;
    assert!(get(catalog, "large").await.expect("it was committed").value == large);
}

async fn the_watch_tells_of_commits(catalog: &dyn Catalog) {
    let mut watch = catalog.watch();
    assert_eq!(*watch.borrow_and_update(), 0);
    let version = commit(catalog, vec![put("a", "1")]).await;
    watch.changed().await.expect("the catalog is there");
    assert_eq!(*watch.borrow_and_update(), version, "seen no later than the answer");
    let conflict = catalog.commit(vec![Condition::Absent(bytes("a"))], vec![]).await;
    assert_eq!(conflict, Err(CommitError::Conflict(0)));
    assert!(!watch.has_changed().expect("the catalog is there"), "a conflict is no commit");

    // Whoever is told of a version finds the row.
    let looks = async {
        watch.changed().await.expect("the catalog is there");
        value(catalog, "a").await
    };
    let (seen, _) = join(looks, commit(catalog, vec![put("a", "2")])).await;
    assert_eq!(seen.as_deref(), Some("2"));
    assert_eq!(*catalog.watch().borrow(), 2, "a new watch knows the newest");
}

/// As many rows as the largest commit that services make: all shards of a stream at its limit, and more.
const LARGE_COMMIT_ROWS: usize = 30_000;

fn large_commit() -> Vec<Write> {
    (0..LARGE_COMMIT_ROWS).map(|index| put(&format!("row/{index:05}"), &format!("{index:0>200}"))).collect()
}

async fn check_large_commit(catalog: &dyn Catalog, version: Version) {
    let rows = scan(catalog, "row/", None, usize::MAX).await;
    assert_eq!(rows.len(), LARGE_COMMIT_ROWS);
    for (index, row) in rows.iter().enumerate() {
        let expected =
            Row { key: bytes(&format!("row/{index:05}")), value: bytes(&format!("{index:0>200}")), version };
        assert_eq!(*row, expected);
    }
}

async fn a_large_commit_is_one_commit(catalog: &dyn Catalog) {
    let version = commit(catalog, large_commit()).await;
    assert_eq!(version, 1);
    check_large_commit(catalog, version).await;
    let deletes = (0..LARGE_COMMIT_ROWS).map(|index| delete(&format!("row/{index:05}"))).collect();
    assert_eq!(commit(catalog, deletes).await, 2);
    assert_eq!(everything(catalog).await, []);
}

async fn concurrent_commits_are_applied_one_by_one(catalog: &dyn Catalog) {
    const WRITERS: u64 = 100;
    const INCREMENTS: u64 = 5;
    commit(catalog, vec![put("counter", "0")]).await;
    let conflicts = AtomicU64::new(0);
    let writer = async |name: u64| {
        let mut versions = Vec::new();
        for turn in 0..INCREMENTS {
            loop {
                let row = get(catalog, "counter").await.expect("it was put");
                let count: u64 =
                    str::from_utf8(&row.value).expect("text").parse().expect("a number was written");
                let condition = Condition::AtVersion(row.key, row.version);
                let writes =
                    vec![put("counter", &(count + 1).to_string()), put(&format!("{name:03}/{turn}"), "x")];
                match catalog.commit(vec![condition], writes).await {
                    Ok(version) => {
                        versions.push(version);
                        break;
                    }
                    Err(CommitError::Conflict(0)) => conflicts.fetch_add(1, Ordering::Relaxed),
                    Err(other) => panic!("{other}"),
                };
            }
        }
        versions
    };
    let mut versions = join_all((0..WRITERS).map(writer)).await.concat();
    versions.sort_unstable();
    let expected: Vec<_> = (2..2 + WRITERS * INCREMENTS).collect();
    assert_eq!(versions, expected, "each version is given once");
    assert_eq!(value(catalog, "counter").await, Some((WRITERS * INCREMENTS).to_string()));
    assert_eq!(everything(catalog).await.len() as u64, 1 + WRITERS * INCREMENTS);
}

async fn one_of_two_rivals_wins(catalog: &dyn Catalog) {
    for round in 0..50 {
        let key = format!("lease/{round}");
        let rival = async |name: &str| {
            catalog.commit(vec![Condition::Absent(bytes(&key))], vec![put(&key, name)]).await
        };
        let (one, other) = join(rival("one"), rival("other")).await;
        let winner = match (&one, &other) {
            (Ok(_), Err(CommitError::Conflict(0))) => "one",
            (Err(CommitError::Conflict(0)), Ok(_)) => "other",
            _ => panic!("round {round}: {one:?} and {other:?}"),
        };
        assert_eq!(value(catalog, &key).await.as_deref(), Some(winner));
    }
}

async fn a_scan_sees_one_moment(catalog: &dyn Catalog) {
    const COMMITS: u32 = 200;
    let writes = async {
        for number in 1..=COMMITS {
            let number = number.to_string();
            commit(catalog, vec![put("pair/a", &number), put("pair/b", &number)]).await;
        }
    };
    let scans = async {
        loop {
            let rows = scan(catalog, "pair/", None, 2).await;
            if let [a, b] = &rows[..] {
                assert_eq!((&a.value, a.version), (&b.value, b.version), "half a commit was seen");
                if a.value == COMMITS.to_string().as_bytes() {
                    return;
                }
            } else {
                assert!(rows.is_empty(), "half a commit was seen: {rows:?}");
            }
            // Lets the writer go on: the commits of this catalog may be answered by other threads.
            yield_once().await;
        }
    };
    join(writes, scans).await;
}

/// Lets others run.
async fn yield_once() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if yielded {
            return std::task::Poll::Ready(());
        }
        yielded = true;
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

async fn after_shutdown_nothing_is_applied(catalog: &dyn Catalog) {
    commit(catalog, vec![put("a", "1")]).await;
    catalog.shutdown().await;
    catalog.shutdown().await;
    let outcome = catalog.commit(Vec::new(), vec![put("a", "2")]).await;
    assert!(matches!(outcome, Err(CommitError::NotApplied(_))), "{outcome:?}");
}

async fn rows_and_versions_outlive_the_engine(open: Open) {
    let first = open().await;
    commit(first.as_ref(), vec![put("a", "1"), put("b", "1"), put("c", "1")]).await;
    commit(first.as_ref(), vec![put("b", "2"), delete("c")]).await;
    let before = everything(first.as_ref()).await;
    first.shutdown().await;
    drop(first);

    let second = open().await;
    assert_eq!(everything(second.as_ref()).await, before);
    assert_eq!(*second.watch().borrow(), 2);
    let condition = Condition::AtVersion(bytes("b"), 2);
    let version = second.commit(vec![condition], vec![put("b", "3")]).await.expect("nothing came between");
    assert_eq!(version, 3, "versions go on where they were");
    second.shutdown().await;
    drop(second);

    // Openings without a commit in between change nothing.
    for _ in 0..3 {
        open().await.shutdown().await;
    }
    let last = open().await;
    assert_eq!(value(last.as_ref(), "b").await.as_deref(), Some("3"));
    assert_eq!(everything(last.as_ref()).await.len(), 2);
    last.shutdown().await;
}

async fn a_large_commit_outlives_the_engine(open: Open) {
    let first = open().await;
    commit(first.as_ref(), vec![put("before", "1")]).await;
    let version = commit(first.as_ref(), large_commit()).await;
    commit(first.as_ref(), vec![put("after", "1")]).await;
    first.shutdown().await;
    drop(first);
    let second = open().await;
    check_large_commit(second.as_ref(), version).await;
    assert_eq!(everything(second.as_ref()).await.len(), LARGE_COMMIT_ROWS + 2);
    second.shutdown().await;
}
