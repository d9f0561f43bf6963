//! Reads shards from all kinds of places on, and tells the history what it sees.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{patience, pick};
use crate::client::{Client, Outcome};
use crate::history::records_in;
use crate::world::World;

const PAUSE_MILLIS: u64 = 50;
/// Calls with the iterators that follow from one.
const CHAIN_MAX: u64 = 8;
const LIMIT_MAX: u64 = 100;

/// Where a reader begins.
pub(super) enum Place {
    Horizon,
    Latest,
    /// A number known of the shard, and whether it is read, too.
    Number(String, bool),
}

/// Reads from so many places.
pub(crate) async fn read(world: Arc<World>, times: u64) {
    let mut client = world.client(patience(&world));
    for _ in 0..times {
        world.pause(PAUSE_MILLIS).await;
        let Some((stream, shard)) = some_shard(&world, &mut client).await else { continue };
        let from = some_place(&world, &stream, &shard);
        read_on(&world, &mut client, &stream, &shard, &from).await;
    }
}

/// Any stream that is there, and a shard of it.
pub(super) async fn some_shard(world: &World, client: &mut Client) -> Option<(String, String)> {
    let live = world.history().live_streams();
    let stream = pick(world, &live)?;
    let Outcome::Success(answer) = client.call("ListShards", &json!({"StreamName": stream})).await else {
        return None;
    };
    let shards = answer["Shards"].as_array().expect("there are shards");
    let shard = pick(world, shards)?["ShardId"].as_str().expect("shards have ids");
    Some((stream.clone(), shard.to_owned()))
}

pub(super) fn some_place(world: &World, stream: &str, shard: &str) -> Place {
    let random = &world.random;
    let number = world.history().known_number(stream, shard, random.below(u64::MAX));
    match (random.below(4), number) {
        (0, _) => Place::Latest,
        (1 | 2, Some(number)) => Place::Number(number, random.one_in(2)),
        _ => Place::Horizon,
    }
}

impl Place {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Place::Horizon => "TRIM_HORIZON",
            Place::Latest => "LATEST",
            Place::Number(_, true) => "AT_SEQUENCE_NUMBER",
            Place::Number(_, false) => "AFTER_SEQUENCE_NUMBER",
        }
    }

    /// Nothing up to this number was asked for.
    pub(super) fn after(&self) -> Option<String> {
        match self {
            Place::Number(number, false) => Some(number.clone()),
            _ => None,
        }
    }

    /// Whether what begins with this number was asked for.
    pub(super) fn check(&self, first: &str) {
        let Place::Number(number, with) = self else { return };
        let is_there = if *with { first >= number.as_str() } else { first > number.as_str() };
        assert!(is_there, "{first} was read from {number} on");
    }

    fn body(&self, stream: &str, shard: &str) -> Value {
        let mut body = json!({"StreamName": stream, "ShardId": shard, "ShardIteratorType": self.kind()});
        if let Place::Number(number, _) = self {
            body["StartingSequenceNumber"] = number.as_str().into();
        }
        body
    }
}

async fn read_on(world: &World, client: &mut Client, stream: &str, shard: &str, from: &Place) {
    let Outcome::Success(answer) = client.call("GetShardIterator", &from.body(stream, shard)).await else {
        return;
    };
    let mut iterator = answer["ShardIterator"].clone();
    let mut after = from.after();
    for _ in 0..1 + world.random.below(CHAIN_MAX) {
        let limit = 1 + world.random.below(LIMIT_MAX);
        let body = json!({"ShardIterator": iterator, "Limit": limit});
        let began = world.history().ask_read();
        let Outcome::Success(answer) = client.call("GetRecords", &body).await else { return };
        let seen = records_in(&answer);
        assert!(seen.len() as u64 <= limit, "a limit is kept");
        if let Some(first) = seen.first() {
            from.check(&first.sequence_number);
        }
        world.counters().add("records read", seen.len() as u64);
        world.history().seen(stream, shard, began, after.as_deref(), &seen);
        if let Some(last) = seen.last() {
            after = Some(last.sequence_number.clone());
        }
        iterator = answer["NextShardIterator"].clone();
        if iterator.is_null() {
            world.count("shards read to their end");
            return;
        }
        if seen.is_empty() {
            world.pause(PAUSE_MILLIS).await;
        }
    }
}
