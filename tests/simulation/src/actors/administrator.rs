//! Makes streams, splits and merges their shards, changes what can be changed, and deletes a stream now and then.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{patience, pick};
use crate::client::{Client, Outcome};
use crate::world::World;

const PAUSE_MILLIS: u64 = 150;
const STREAMS_MAX: usize = 3;
const SHARDS_MAX: usize = 12;

/// Does so many things.
pub(crate) async fn administer(world: Arc<World>, times: u64) {
    let mut client = world.client(patience(&world));
    for _ in 0..times {
        let live = world.history().live_streams();
        if live.is_empty() || (live.len() < STREAMS_MAX && world.random.one_in(4)) {
            create(&world, &mut client).await;
        } else if let Some(stream) = pick(&world, &live) {
            match world.random.below(20) {
                // Not more often the longer it takes: most records are to be there in the end.
                0 if live.len() > 1 && world.random.one_in(times.div_ceil(100)) => {
                    delete(&world, &mut client, stream).await
                }
                1..=3 => change_retention(&world, &mut client, stream).await,
                _ => reshard(&world, &mut client, stream).await,
            }
        }
        world.pause(PAUSE_MILLIS).await;
    }
}

/// Asks for a change; says whether it was made, if that is known.
async fn try_change(world: &World, client: &mut Client, operation: &str, body: &Value) -> Option<bool> {
    match client.call(operation, body).await {
        Outcome::Success(_) => Some(true),
        Outcome::Refused(_) | Outcome::NoServer => Some(false),
        Outcome::Unknown => {
            world.set_open_change();
            None
        }
    }
}

/// Asks for a change; says whether it is known to be made.
async fn change(world: &World, client: &mut Client, operation: &str, body: &Value) -> bool {
    try_change(world, client, operation, body).await == Some(true)
}

async fn create(world: &World, client: &mut Client) {
    let stream = world.history().ask_create();
    let body = json!({"StreamName": stream, "ShardCount": 1 + world.random.below(3)});
    if change(world, client, "CreateStream", &body).await {
        world.history().created(&stream);
        world.count("streams created");
    }
}

async fn delete(world: &World, client: &mut Client, stream: &str) {
    world.history().ask_delete(stream);
    if change(world, client, "DeleteStream", &json!({"StreamName": stream})).await {
        world.history().deleted(stream);
        world.count("streams deleted");
    }
}

async fn change_retention(world: &World, client: &mut Client, stream: &str) {
    let (operation, hours) = match world.random.one_in(2) {
        true => ("IncreaseStreamRetentionPeriod", 48),
        false => ("DecreaseStreamRetentionPeriod", 24),
    };
    let body = json!({"StreamName": stream, "RetentionPeriodHours": hours});
    world.history().ask_retention(stream, hours);
    if let Some(is_set) = try_change(world, client, operation, &body).await {
        world.history().retention_answered(stream, hours, is_set);
        if is_set {
            world.count("retentions changed");
        }
    }
}

async fn reshard(world: &World, client: &mut Client, stream: &str) {
    let Outcome::Success(answer) = client.call("ListShards", &json!({"StreamName": stream})).await else {
        return;
    };
    let mut open: Vec<&Value> = answer["Shards"].as_array().expect("there are shards").iter().collect();
    open.retain(|shard| shard["SequenceNumberRange"]["EndingSequenceNumber"].is_null());
    open.sort_by_key(|shard| range_of(shard).0);
    let id = |shard: &Value| shard["ShardId"].clone();
    let (operation, body) = match world.random.below(5) {
        0 | 1 if open.len() < SHARDS_MAX => {
            let Some(shard) = pick(world, &open) else { return };
            let (start, end) = range_of(shard);
            let middle = start + (end - start) / 2 + 1;
            let body = json!({
                "StreamName": stream, "ShardToSplit": id(shard), "NewStartingHashKey": middle.to_string(),
            });
            ("SplitShard", body)
        }
        2 | 3 if open.len() > 1 => {
            let at = world.random.below(open.len() as u64 - 1) as usize;
            let body = json!({
                "StreamName": stream, "ShardToMerge": id(open[at]), "AdjacentShardToMerge": id(open[at + 1]),
            });
            ("MergeShards", body)
        }
        _ => {
            let target = if open.len() > 4 { open.len().div_ceil(2) } else { open.len() * 2 };
            (
                "UpdateShardCount",
                json!({
                    "StreamName": stream, "TargetShardCount": target, "ScalingType": "UNIFORM_SCALING",
                }),
            )
        }
    };
    let mut has_puts = world.has_puts_in_flight(stream);
    if change(world, client, operation, &body).await {
        has_puts |= world.has_puts_in_flight(stream);
        world.count("reshards");
        if has_puts {
            world.count("reshards with puts in flight");
        }
    }
}

/// A shard's first and last hash key.
pub(crate) fn range_of(shard: &Value) -> (u128, u128) {
    let key = |name: &str| {
        let text = shard["HashKeyRange"][name].as_str().expect("shards have ranges");
        text.parse().expect("hash keys are numbers")
    };
    (key("StartingHashKey"), key("EndingHashKey"))
}
