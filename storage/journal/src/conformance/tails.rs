//! Rules of tails: who waits at the end of a shard is woken by everything that happens there.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::join;
use thalweg_types::ShardKey;

use super::model::{Attempt, records_of};
use super::world::{SHARD, STREAM, World, from, side_by_side};
use super::{Stage, Verdict};
use crate::{BoxFuture, Journal, Tail, TailWatch};

/// Waits for a tail; what comes before it must each be news.
async fn until(watch: &mut TailWatch, expected: Tail) {
    let mut seen = watch.current();
    while seen != expected {
        let news = watch.changed().await;
        assert_ne!(news, seen, "a change is news");
        seen = news;
    }
}

pub(super) async fn nothing_is_missed_between_current_and_changed(stage: &Stage<'_>) -> Verdict {
    let mut world = World::start(stage, 2).await;
    let mut watch = world.journal().watch(SHARD).expect("it exists");
    for round in 0..20 {
        let before = watch.current();
        assert_eq!(before, world.model.shard(SHARD).tail());
        world.put(super::world::shard(1), 1).await;
        assert!(watch.changed().now_or_never().is_none(), "nothing has happened in this shard");
        if round % 2 == 0 {
            world.put(SHARD, 2).await;
        } else {
            // Two events: they may be told as one, but not be lost.
            world.put(SHARD, 1).await;
            world.trim(&[(SHARD, before.next)]).await;
        }
        let news = watch.changed().await;
        assert_ne!(news, before, "a change is news");
        until(&mut watch, world.model.shard(SHARD).tail()).await;
    }
    let mut late = world.journal().watch(SHARD).expect("it exists");
    assert_eq!(late.current(), world.model.shard(SHARD).tail(), "a new watch knows the present");
    assert!(late.changed().now_or_never().is_none(), "and waits for what comes");
    Verdict::Held
}

pub(super) async fn a_seal_wakes_watchers(stage: &Stage<'_>) -> Verdict {
    let mut world = World::start(stage, 1).await;
    world.put(SHARD, 2).await;
    let mut watch = world.journal().watch(SHARD).expect("it exists");
    watch.current();
    let (news, ()) = join(watch.changed(), world.seal(&[SHARD])).await;
    assert_eq!(news, world.model.shard(SHARD).tail());
    assert!(news.sealed);
    Verdict::Held
}

pub(super) async fn a_trim_wakes_watchers(stage: &Stage<'_>) -> Verdict {
    let mut world = World::start(stage, 1).await;
    world.put(SHARD, 5).await;
    let mut watch = world.journal().watch(SHARD).expect("it exists");
    watch.current();
    let trims = [(SHARD, 3)];
    let (news, ()) = join(watch.changed(), world.trim(&trims)).await;
    assert_eq!(news.trimmed, 3);
    Verdict::Held
}

pub(super) async fn a_delete_wakes_watchers(stage: &Stage<'_>) -> Verdict {
    let mut world = World::start(stage, 1).await;
    world.put(SHARD, 5).await;
    let mut watch = world.journal().watch(SHARD).expect("it exists");
    watch.current();
    let (news, ()) = join(watch.changed(), world.delete(STREAM)).await;
    assert!(news.deleted);
    assert!(watch.current().deleted, "it stays deleted");
    Verdict::Held
}

pub(super) async fn a_shard_that_is_forgotten_wakes_watchers(stage: &Stage<'_>) -> Verdict {
    let mut world = World::start(stage, 1).await;
    world.put(SHARD, 5).await;
    world.seal(&[SHARD]).await;
    world.trim(&[(SHARD, 5)]).await;
    let mut watch = world.journal().watch(SHARD).expect("it exists");
    watch.current();
    let (news, ()) = join(watch.changed(), world.forget(&[SHARD])).await;
    assert!(news.deleted);
    assert!(watch.current().deleted, "it stays forgotten");
    Verdict::Held
}

pub(super) async fn a_follower_sees_every_record_once(stage: &Stage<'_>) -> Verdict {
    const APPENDS: u32 = 100;
    let mut world = World::start(stage, 1).await;
    let appends: Vec<_> = (0..APPENDS).map(|index| world.append_for(&[(SHARD, 1 + index % 3)])).collect();
    let attempts = Arc::new(Mutex::new(Vec::new()));
    let (appender, made) = (world.appender(), Arc::clone(&attempts));
    let writer: BoxFuture<'static, Vec<Bytes>> = Box::pin(async move {
        for append in appends {
            let outcomes = appender.append(&append).await.expect("the journal takes writes");
            made.lock().expect("no holder panics").push(Attempt { append, outcomes: Some(outcomes) });
        }
        appender.journal.seal(&[SHARD]).await.expect("the journal takes writes");
        Vec::new()
    });
    let followers = (0..2).map(|_| follow(world.journal(), SHARD));
    let mut seen = side_by_side(followers.chain([writer]).collect()).await;
    seen.pop().expect("the writer comes last");

    world.model.shard_mut(SHARD).sealed = true;
    let attempts = std::mem::take(&mut *attempts.lock().expect("no holder panics"));
    world.reconcile(&attempts).await;
    let expected: Vec<_> =
        world.model.shard(SHARD).records.iter().map(|record| record.encoded.clone()).collect();
    for seen in seen {
        assert!(
            seen == expected,
            "a follower saw {} records, not the {} written",
            seen.len(),
            expected.len()
        );
    }
    Verdict::Held
}

/// Reads a shard as it grows, to its seal.
fn follow(journal: Arc<dyn Journal>, shard: ShardKey) -> BoxFuture<'static, Vec<Bytes>> {
    Box::pin(async move {
        let mut watch = journal.watch(shard).expect("it exists");
        let mut next = 0;
        let mut seen = Vec::new();
        loop {
            let tail = watch.current();
            while next < tail.next {
                let answer = journal.read(from(shard, next)).await.expect("it exists");
                assert!(answer.tail.next >= tail.next, "what was told can be read");
                assert!(answer.next > next, "a read below the tail gets on");
                seen.extend(answer.runs.iter().flat_map(|run| records_of(&run.bytes)));
                next = answer.next;
            }
            if tail.sealed {
                return seen;
            }
            watch.changed().await;
        }
    })
}
