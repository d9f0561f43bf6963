//! Puts and reads while shards split and merge: nothing is lost, doubled or reordered, and clients never see a
//! closed shard.

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use thalweg_catalog::memory::MemoryCatalog;
use thalweg_catalog::{Catalog, CatalogError, CommitError, Condition, Row, Version, Write};
use thalweg_journal::Journal;
use thalweg_journal_memory::{Knobs, MemoryJournal};
use thalweg_model::kinesis::*;
use thalweg_system::BoxFuture;
use thalweg_system::simulated::{ManualClock, SeededRandom};
use thalweg_types::Timestamp;
use tokio::sync::watch;

use crate::bad_days::{COMMIT, pump, slow, world_with};
use crate::calls::{From, LAST, entry, parse};
use crate::world::{ACCOUNT, START, World, assert_failure, key, settings, yield_often};

const MIDDLE: &str = "170141183460469231731687303715884105728";

/// A stream of two shards, of which the first is closed in the journal and not yet in the shard map: what a put
/// sees that comes between a seal and the children.
async fn half_split() -> Arc<World> {
    let world = World::new().await;
    world.create("orders", 2).await;
    world.until_active("orders").await;
    let (shard, _) = world.journal.shards()[0];
    assert_eq!(shard, key(shard.stream.0, 0));
    world.journal.seal(&[shard]).await.expect("sealed");
    Arc::new(world)
}

#[tokio::test]
async fn records_for_a_closed_shard_wait_for_its_children() {
    let world = half_split().await;
    let put = tokio::spawn({
        let world = Arc::clone(&world);
        async move {
            // "a" and "c" go to the closed shard, and to different children of it; "d" to the open one.
            let explicit =
                PutRecordsRequestEntry { explicit_hash_key: Some("0".to_owned()), ..entry("e", b"e") };
            let records = vec![
                entry("a", b"a1"),
                entry("d", b"d"),
                entry("c", b"c1"),
                entry("a", b"a2"),
                explicit,
                entry("c", b"c2"),
            ];
            world.put_many("orders", records).await
        }
    });
    yield_often().await;
    assert!(!put.is_finished(), "it waits");
    assert_eq!(world.data_from("orders", "shardId-1", From::HORIZON).await, ["d"], "the others do not");
    world.tag("orders", "a", "change").await.expect("tagged");
    yield_often().await;
    assert!(!put.is_finished(), "another change of the stream is not what it waits for");
    // "a" is 0c…, "c" is 4a…: the middle of the first half lies between.
    world.split("orders", "shardId-0", "85070591730234615865843651857942052864").await.expect("split");
    let output = put.await.expect("it ends").expect("taken");
    assert_eq!(output.failed_record_count, Some(0));
    let shards: Vec<_> =
        output.records.iter().map(|record| record.shard_id.as_deref().expect("placed")).collect();
    let id = |index: u32| thalweg_types::ShardIndex(index).to_string();
    assert_eq!(shards, [id(2), id(1), id(3), id(2), id(2), id(3)]);
    assert_eq!(world.data_from("orders", "shardId-2", From::HORIZON).await, ["a1", "a2", "e"]);
    assert_eq!(world.data_from("orders", "shardId-3", From::HORIZON).await, ["c1", "c2"]);
    assert!(world.data_from("orders", "shardId-0", From::HORIZON).await.is_empty());
}

#[tokio::test]
async fn records_of_two_parents_keep_the_requests_order_in_their_child() {
    let world = World::new().await;
    world.create("orders", 2).await;
    world.until_active("orders").await;
    let id = world.journal.shards()[0].0.stream;
    world.journal.seal(&[key(id.0, 0), key(id.0, 1)]).await.expect("sealed");
    let world = Arc::new(world);
    let put = tokio::spawn({
        let world = Arc::clone(&world);
        async move {
            let records =
                (0..10).map(|n| entry(if n % 2 == 0 { "d" } else { "a" }, format!("{n}").as_bytes()));
            world.put_many("orders", records.collect()).await
        }
    });
    yield_often().await;
    world.merge("orders", "shardId-0", "shardId-1").await.expect("merged");
    let output = put.await.expect("it ends").expect("taken");
    let numbers =
        output.records.iter().map(|record| parse(record.sequence_number.as_deref().expect("placed")));
    assert!(numbers.collect::<Vec<_>>().is_sorted());
    assert_eq!(world.data_from("orders", "shardId-2", From::HORIZON).await.concat(), "0123456789");
}

#[tokio::test]
async fn records_are_routed_again_as_often_as_their_shards_close() {
    let (world, journal) = world_with(slow()).await;
    let pump_task = pump(&world.clock);
    world.create("orders", 1).await;
    world.until_active("orders").await;
    let id = world.journal.shards()[0].0.stream.0;
    world.journal.seal(&[key(id, 0)]).await.expect("sealed");
    pump_task.abort();
    yield_often().await;

    let world = Arc::new(world);
    let commit = async || {
        world.clock.advance(COMMIT);
        yield_often().await;
    };
    let put = tokio::spawn({
        let world = Arc::clone(&world);
        async move { world.put_many("orders", vec![entry("a", b"a"), entry("d", b"d")]).await }
    });
    yield_often().await;
    commit().await;
    assert!(!put.is_finished(), "its shard is closed");
    let split = tokio::spawn({
        let world = Arc::clone(&world);
        async move { world.split("orders", "shardId-0", MIDDLE).await }
    });
    yield_often().await;
    commit().await;
    // The children are open in the journal; before anybody knows them they close.
    let seal = tokio::spawn({
        let journal = Arc::clone(&journal);
        async move { journal.seal(&[key(id, 1), key(id, 2)]).await }
    });
    for _ in 0..3 {
        yield_often().await;
        commit().await;
    }
    split.await.expect("it ends").expect("split");
    seal.await.expect("it ends").expect("sealed");
    assert!(!put.is_finished(), "the children are closed, too");
    let pump_task = pump(&world.clock);
    world.until_active("orders").await;
    world.merge("orders", "shardId-1", "shardId-2").await.expect("merged");
    let output = put.await.expect("it ends").expect("taken");
    assert_eq!(output.failed_record_count, Some(0));
    assert_eq!(world.data_from("orders", "shardId-3", From::HORIZON).await, ["a", "d"]);
    pump_task.abort();
}

#[tokio::test]
async fn waiting_for_children_has_an_end() {
    let world = half_split().await;
    let one = tokio::spawn({
        let world = Arc::clone(&world);
        async move { world.put("orders", "a", b"a").await }
    });
    let many = tokio::spawn({
        let world = Arc::clone(&world);
        async move { world.put_many("orders", vec![entry("a", b"a"), entry("d", b"d")]).await }
    });
    yield_often().await;
    world.clock.advance(Duration::from_millis(9_999));
    yield_often().await;
    assert!(!one.is_finished() && !many.is_finished());
    world.clock.advance(Duration::from_millis(1));
    let code = "ProvisionedThroughputExceededException";
    assert_failure(
        one.await.expect("it ends"),
        code,
        &format!("Rate exceeded for stream orders under account {ACCOUNT}."),
    );
    let output = many.await.expect("it ends").expect("one of them was placed");
    assert_eq!(output.failed_record_count, Some(1));
    assert_eq!(output.records[0].error_code.as_deref(), Some(code));
    let message =
        format!("Rate exceeded for shard shardId-000000000000 in stream orders under account {ACCOUNT}.");
    assert_eq!(output.records[0].error_message, Some(message));
    assert!(output.records[1].sequence_number.is_some());
}

/// A catalog on a disk that is full after so many commits.
struct FillingCatalog {
    inner: MemoryCatalog,
    commits_left: AtomicI64,
}

impl Catalog for FillingCatalog {
    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Row>, CatalogError>> {
        self.inner.get(key)
    }

    fn scan<'a>(
        &'a self,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Row>, CatalogError>> {
        self.inner.scan(prefix, after, limit)
    }

    fn commit(
        &self,
        conditions: Vec<Condition>,
        writes: Vec<Write>,
    ) -> BoxFuture<'_, Result<Version, CommitError>> {
        if self.commits_left.fetch_sub(1, Ordering::SeqCst) <= 0 {
            return Box::pin(ready(Err(CommitError::NotApplied("the disk is full".to_owned()))));
        }
        self.inner.commit(conditions, writes)
    }

    fn watch(&self) -> watch::Receiver<Version> {
        self.inner.watch()
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        self.inner.shutdown()
    }
}

#[tokio::test]
async fn nobody_waits_for_children_while_the_catalog_is_full() {
    let clock = ManualClock::new(Timestamp::from_seconds(START));
    let journal = Arc::new(MemoryJournal::new(Arc::new(clock.clone()), Knobs::default()));
    let catalog =
        Arc::new(FillingCatalog { inner: MemoryCatalog::new(), commits_left: AtomicI64::new(i64::MAX) });
    let world = World::over(clock, journal, Arc::clone(&catalog) as _, settings());
    let world = Arc::new(world.await.expect("nothing is there yet"));
    world.create("orders", 2).await;
    world.until_active("orders").await;
    // Closed before anything of it is known, so that a put waits already when the change is held up.
    let (shard, _) = world.journal.shards()[0];
    world.journal.seal(&[shard]).await.expect("sealed");
    let waiting = tokio::spawn({
        let world = Arc::clone(&world);
        async move { world.put("orders", "a", b"a").await }
    });
    yield_often().await;
    assert!(!waiting.is_finished());
    // The intent is the last thing that there is room for.
    catalog.commits_left.store(1, Ordering::SeqCst);
    world.split("orders", "shardId-0", "5").await.expect("accepted");
    let code = "ProvisionedThroughputExceededException";
    let throttled = format!("Rate exceeded for stream orders under account {ACCOUNT}.");
    // The clock stands still all the time.
    assert_failure(waiting.await.expect("it ends"), code, &throttled);
    assert_failure(world.put("orders", "a", b"a").await, code, &throttled);
    let records = vec![entry("a", b"a"), entry("d", b"d")];
    let output = world.put_many("orders", records).await.expect("one of them was placed");
    assert_eq!(output.records[0].error_code.as_deref(), Some(code));
    assert!(output.records[1].sequence_number.is_some());

    catalog.commits_left.store(i64::MAX, Ordering::SeqCst);
    world.clock.advance(Duration::from_secs(10));
    world.until_active("orders").await;
    world.put("orders", "a", b"a").await.expect("there is room again");
    assert_eq!(world.data_from("orders", "shardId-3", From::HORIZON).await, ["a"]);
}

#[tokio::test]
async fn a_stream_that_is_deleted_meanwhile_is_not_found() {
    let world = half_split().await;
    let one = tokio::spawn({
        let world = Arc::clone(&world);
        async move { world.put("orders", "a", b"a").await }
    });
    let many = tokio::spawn({
        let world = Arc::clone(&world);
        async move { world.put_many("orders", vec![entry("a", b"a"), entry("d", b"d")]).await }
    });
    yield_often().await;
    world.delete("orders").await.expect("deleted");
    assert_failure(
        one.await.expect("it ends"),
        "ResourceNotFoundException",
        &format!("Stream orders under account {ACCOUNT} not found."),
    );
    let output = many.await.expect("it ends").expect("one of them was placed");
    assert_eq!(output.records[0].error_code.as_deref(), Some("InternalFailure"));
    assert_eq!(output.records[0].error_message.as_deref(), Some("Internal Service Failure"));
}

#[tokio::test]
async fn a_reader_at_the_end_waits_for_the_children_too() {
    let world = half_split().await;
    let iterator = world.iterator("orders", "shardId-0", From::HORIZON).await;
    let output = world.get(&iterator).await;
    assert!(output.next_shard_iterator.is_some() && output.child_shards.is_none(), "both or neither");
    world.split("orders", "shardId-0", "5").await.expect("split");
    world.until_active("orders").await;
    let output = world.get(&iterator).await;
    assert!(
        output.next_shard_iterator.is_none() && output.child_shards.is_some_and(|shards| shards.len() == 2)
    );
}

/// Every producer writes its own keys, one request after the other, while shards split and merge at random.
async fn check_under_load(seed: u64, knobs: Knobs) {
    println!("seed {seed}");
    let (world, _) = world_with(knobs).await;
    let pump = pump(&world.clock);
    world.create("orders", 4).await;
    world.until_active("orders").await;
    let world = Arc::new(world);
    let producers = (0..4).map(|producer| {
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            let random = SeededRandom::new(seed * 100 + producer);
            let mut acknowledged: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
            for request in 0..60 {
                // Commits may be instant: others get their turn here.
                for _ in 0..random.below(60) {
                    tokio::task::yield_now().await;
                }
                let records: Vec<_> = (0..1 + random.below(12))
                    .map(|place| {
                        let key = format!("{producer}-{}", random.below(6));
                        entry(&key, format!("{request:03}-{place:02}").as_bytes())
                    })
                    .collect();
                let output =
                    world.put_many("orders", records.clone()).await.expect("the client sees nothing of it");
                assert_eq!(output.failed_record_count, Some(0));
                for (record, result) in records.into_iter().zip(output.records) {
                    let data = String::from_utf8(record.data.to_vec()).expect("ours");
                    let number = result.sequence_number.expect("placed");
                    let key = record.partition_key.expect("ours");
                    acknowledged.entry(key).or_default().push((data, number));
                }
            }
            acknowledged
        })
    });
    let producers: Vec<_> = producers.collect();
    let random = SeededRandom::new(seed);
    let mut changes = 0;
    while producers.iter().any(|producer| !producer.is_finished()) {
        let target = 1 + random.below(8);
        let open = world.summary("orders").await.expect("it exists").open_shard_count;
        let target = i32::try_from(target).expect("small").clamp((open + 1) / 2, open * 2);
        if target != open && world.update_shard_count("orders", target).await.is_ok() {
            changes += 1;
        }
        for _ in 0..20 {
            yield_often().await;
        }
    }
    let mut acknowledged = BTreeMap::new();
    for producer in producers {
        acknowledged.extend(producer.await.expect("it does not panic"));
    }
    world.until_active("orders").await;
    let shards = world.shards("orders").await;
    assert!(changes > 1 && shards.len() > 8, "there were splits and merges: {}", shards.len());
    let mut stored: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for shard in &shards {
        for record in world.records_from("orders", &shard.shard_id, From::HORIZON).await {
            let data = String::from_utf8(record.data.to_vec()).expect("ours");
            let key = record.partition_key.expect("ours");
            stored.entry(key).or_default().push((data, record.sequence_number));
        }
    }
    for records in stored.values_mut() {
        // A child's numbers exceed its parents', so this is the order in which a reader gets them.
        records.sort_by_key(|(_, number)| parse(number));
    }
    assert_eq!(stored, acknowledged, "each record once, where it was said to be, in the order of its key");
    pump.abort();
}

#[tokio::test]
async fn nothing_is_lost_doubled_or_reordered_under_load() {
    for seed in 0..3 {
        check_under_load(seed, slow()).await;
        check_under_load(seed, Knobs::default()).await;
    }
}

#[tokio::test]
async fn the_last_hash_key_has_a_shard_whatever_happens() {
    let world = World::new().await;
    world.create("orders", 1).await;
    world.until_active("orders").await;
    for (at, expected) in [(MIDDLE, 2), (LAST, 4)] {
        let open = world.shards("orders").await.last().expect("there are some").shard_id.clone();
        let at = if at == LAST { "340282366920938463463374607431768211454" } else { at };
        world.split("orders", &open, at).await.expect("split");
        world.until_active("orders").await;
        let record = PutRecordsRequestEntry { explicit_hash_key: Some(LAST.to_owned()), ..entry("k", b"") };
        let output = world.put_many("orders", vec![record]).await.expect("taken");
        let shard = thalweg_types::ShardIndex(expected).to_string();
        assert_eq!(output.records[0].shard_id.as_deref(), Some(&*shard));
    }
}
