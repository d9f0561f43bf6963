//! Changes of retention on bad days: what is hidden stays hidden.

use std::sync::Arc;

use thalweg_journal::Journal;

use crate::calls::{From, entry};
use crate::clock::{decrease, increase};
use crate::faults::{Fuse, FusedCatalog};
use crate::watched::watched_world;
use crate::world::{World, hours, key, settings};

/// The catalog's disk fails in the commit of a longer period, and takes no more: whether it is durable shows at the next
/// start only. Until then the old period hides no more than it did.
#[tokio::test]
async fn what_an_increase_of_unknown_outcome_left_hidden_does_not_come_back() {
    for is_durable in [true, false] {
        let (world, journal) = watched_world().await;
        world.create("orders", 1).await;
        for (data, wait) in [("a", 8), ("b", 12), ("c", 10)] {
            world.put("orders", "k", data.as_bytes()).await.expect("taken");
            world.clock.advance(hours(wait));
        }
        let World { clock, catalog, streams, .. } = world;
        drop(streams);
        let fused = FusedCatalog { inner: Arc::clone(&catalog), fuse: Fuse::after(0, is_durable) };
        let world = World::over(clock.clone(), Arc::clone(&journal) as _, Arc::new(fused), settings());
        let world = world.await.expect("nothing is to be done at the start");
        let seen = async |world: &World| world.data_from("orders", "shardId-0", From::HORIZON).await.concat();
        let failure = increase(&world, 48).await.expect_err("its outcome is unknown");
        assert_eq!((failure.code, failure.status), ("InternalFailureException", 500));
        clock.advance(hours(3));
        assert_eq!(seen(&world).await, "bc", "durable: {is_durable}");
        for again in [increase(&world, 72).await, decrease(&world, 24).await] {
            assert_eq!(again.expect_err("nobody knows the period").code, "InternalFailureException");
        }
        clock.advance(hours(1));
        assert_eq!(seen(&world).await, "bc", "durable: {is_durable}");
        drop(world);
        let world = World::over(clock, journal, catalog, settings()).await.expect("it starts again");
        assert_eq!(seen(&world).await, if is_durable { "bc" } else { "c" });
    }
}

/// Its period is committed first, and hides: that the journal cannot tell where to trim is no reason to keep everything.
#[tokio::test]
async fn a_shorter_retention_is_accepted_where_a_shard_cannot_be_read() {
    let (world, journal) = watched_world().await;
    world.create("orders", 2).await;
    increase(&world, 48).await.expect("nothing is too old");
    world.put_many("orders", vec![entry("a", b"old"), entry("d", b"old")]).await.expect("taken");
    world.clock.advance(hours(30));
    world.put_many("orders", vec![entry("a", b"new"), entry("d", b"new")]).await.expect("taken");
    *journal.unreadable.lock().expect("nobody panics") = Some(key(1, 0));
    decrease(&world, 24).await.expect("it hides what it does not cover");
    for shard in ["shardId-0", "shardId-1"] {
        assert_eq!(world.data_from("orders", shard, From::HORIZON).await, ["new"], "{shard}");
    }
    let trimmed = |shard| journal.tail(key(1, shard)).expect("it exists").trimmed;
    assert_eq!((trimmed(0), trimmed(1)), (0, 1), "where the journal could tell");
    // A longer one would bring back what is not removed.
    let failure = increase(&world, 48).await.expect_err("what the period hides cannot be trimmed");
    assert_eq!((failure.code, failure.status), ("InternalFailureException", 500));
    *journal.unreadable.lock().expect("nobody panics") = None;
    increase(&world, 48).await.expect("the disk answers");
    assert_eq!(world.data_from("orders", "shardId-0", From::HORIZON).await, ["new"]);
}
