//! Reads shards from all kinds of places on, and tells the history what it sees.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{patience, pick};
use crate::client::{Client, Outcome};
use crate::history::{From, Moment, records_in};
use crate::world::World;

const PAUSE_MILLIS: u64 = 50;
/// Calls with the iterators that follow from one; few go on for longer.
const CHAIN_MAX: u64 = 8;
const CHAIN_LONG_MAX: u64 = 300;
const LONG_ONE_IN: u64 = 12;
/// How often a call that was not answered is made again, with the same iterator.
const ATTEMPTS_MAX: u32 = 4;
/// Between two reads of a shard under AWS's limits.
const RATE_MILLIS: u64 = 200;
/// A time is asked for up to so long ago.
const AGO_MILLIS_MAX: u64 = 30 * 3600 * 1000;
const LIMIT_MAX: u64 = 100;

/// Where a reader begins.
pub(super) enum Place {
    Horizon,
    Latest,
    /// A time, in milliseconds.
    Time(i64),
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
    match (random.below(5), number) {
        (0, _) => Place::Latest,
        (1 | 2, Some(number)) => Place::Number(number, random.one_in(2)),
        (3, _) => {
            let arrival = world.history().known_arrival(stream, shard, random.below(u64::MAX));
            Place::Time(match arrival {
                Some(arrival) => arrival - 1 + random.below(3) as i64,
                None => world.clock.wall().as_millis() - random.below(AGO_MILLIS_MAX) as i64,
            })
        }
        _ => Place::Horizon,
    }
}

impl Place {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Place::Horizon => "TRIM_HORIZON",
            Place::Latest => "LATEST",
            Place::Time(_) => "AT_TIMESTAMP",
            Place::Number(_, true) => "AT_SEQUENCE_NUMBER",
            Place::Number(_, false) => "AFTER_SEQUENCE_NUMBER",
        }
    }

    /// It was asked for at the one moment, and answered by the other.
    pub(super) fn between(&self, asked: Moment, answered: Moment) -> From {
        match self {
            Place::Horizon => From::Horizon,
            Place::Latest => From::Latest(asked, answered),
            Place::Time(time) => From::Time(*time),
            Place::Number(number, with) => From::Number(number.clone(), *with),
        }
    }

    /// What a request says of it, besides its type: a member of this name.
    pub(super) fn detail(&self, number_name: &'static str) -> Option<(&'static str, Value)> {
        match self {
            Place::Horizon | Place::Latest => None,
            Place::Time(time) => Some(("Timestamp", (*time as f64 / 1000.0).into())),
            Place::Number(number, _) => Some((number_name, number.as_str().into())),
        }
    }

    fn body(&self, stream: &str, shard: &str) -> Value {
        let mut body = json!({"StreamName": stream, "ShardId": shard, "ShardIteratorType": self.kind()});
        if let Some((name, value)) = self.detail("StartingSequenceNumber") {
            body[name] = value;
        }
        body
    }
}

async fn read_on(world: &World, client: &mut Client, stream: &str, shard: &str, place: &Place) {
    let asked = world.history().ask_read();
    let Outcome::Success(answer) = client.call("GetShardIterator", &place.body(stream, shard)).await else {
        return;
    };
    let mut iterator = answer["ShardIterator"].clone();
    let mut from = place.between(asked, world.history().ask_read());
    let random = &world.random;
    let chain_max = if random.one_in(LONG_ONE_IN) { CHAIN_LONG_MAX } else { 1 + random.below(CHAIN_MAX) };
    for _ in 0..chain_max {
        let limit = 1 + random.below(LIMIT_MAX);
        let body = json!({"ShardIterator": iterator, "Limit": limit});
        let Some((began, answer)) = get_records(world, client, &body).await else { return };
        let seen = records_in(&answer);
        assert!(seen.len() as u64 <= limit, "a limit is kept");
        world.counters().add("records read", seen.len() as u64);
        let caught_up = answer["MillisBehindLatest"] == 0;
        world.history().seen(stream, shard, began, &from, &seen, caught_up);
        if let Some(last) = seen.last() {
            from = From::Number(last.sequence_number.clone(), false);
        }
        iterator = answer["NextShardIterator"].clone();
        if iterator.is_null() {
            check_children(shard, &answer["ChildShards"]);
            world.history().ended(stream, shard, &from);
            world.count("shards read to their end");
            return;
        }
        if seen.is_empty() {
            if chain_max == CHAIN_LONG_MAX && caught_up {
                world.count("shards read until nothing followed");
                return;
            }
            world.pause(PAUSE_MILLIS).await;
        }
    }
}

/// An answer and when it was asked for: by the same iterator again while there is none.
async fn get_records(world: &World, client: &mut Client, body: &Value) -> Option<(Moment, Value)> {
    for _ in 0..ATTEMPTS_MAX {
        let began = world.history().ask_read();
        match client.call("GetRecords", body).await {
            Outcome::Success(answer) => return Some((began, answer)),
            // Five calls a second: the next is due within a fifth of one.
            Outcome::Refused(code) if code.contains("ProvisionedThroughputExceeded") => {
                world.count("reads throttled");
                world.pause(RATE_MILLIS).await;
            }
            Outcome::Refused(_) => return None,
            Outcome::Unknown | Outcome::NoServer => world.pause(PAUSE_MILLIS).await,
        }
    }
    None
}

/// What follows a shard came from it.
pub(super) fn check_children(shard: &str, children: &Value) {
    let children = children.as_array().expect("the end of a shard names its children");
    assert!(!children.is_empty(), "{shard} has children");
    for child in children {
        let parents = child["ParentShards"].as_array().expect("children have parents");
        assert!(parents.iter().any(|parent| parent == shard), "{child} is none of {shard}");
    }
}
