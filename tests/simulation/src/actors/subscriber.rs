//! Has shards pushed to it, from all kinds of places on, and tells the history what it sees.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::patience;
use super::reader::{Place, some_place, some_shard};
use crate::client::{Client, Outcome};
use crate::history::records_in;
use crate::world::World;

const PAUSE_MILLIS: u64 = 100;
const CONSUMERS: u64 = 3;
/// A consumer is given up so seldom.
const DEREGISTERS_ONE_IN: u64 = 12;
/// Events that it waits for.
const EVENTS_MAX: u64 = 20;
/// How long it waits for one.
const PATIENCE: Duration = Duration::from_millis(700);

/// Subscribes so many times.
pub(crate) async fn subscribe(world: Arc<World>, times: u64) {
    let mut client = world.client(patience(&world));
    for _ in 0..times {
        world.pause(PAUSE_MILLIS).await;
        let Some((stream, shard)) = some_shard(&world, &mut client).await else { continue };
        let Some(consumer) = some_consumer(&world, &mut client, &stream).await else { continue };
        let from = some_place(&world, &stream, &shard);
        listen(&world, &mut client, &stream, &shard, &consumer, &from).await;
    }
}

/// The ARN of a consumer of the stream, registered if it is not there.
async fn some_consumer(world: &World, client: &mut Client, stream: &str) -> Option<String> {
    let summary = client.call("DescribeStreamSummary", &json!({"StreamName": stream})).await;
    let Outcome::Success(summary) = summary else { return None };
    let arn = &summary["StreamDescriptionSummary"]["StreamARN"];
    let name = format!("consumer-{}", world.random.below(CONSUMERS));
    let body = json!({"StreamARN": arn, "ConsumerName": name});
    if world.random.one_in(DEREGISTERS_ONE_IN) {
        if let Outcome::Success(_) = client.call("DeregisterStreamConsumer", &body).await {
            world.count("consumers deregistered");
        }
        return None;
    }
    let consumer = match client.call("RegisterStreamConsumer", &body).await {
        Outcome::Success(answer) => {
            world.count("consumers registered");
            answer["Consumer"]["ConsumerARN"].clone()
        }
        Outcome::Refused(_) => match client.call("DescribeStreamConsumer", &body).await {
            Outcome::Success(answer) => answer["ConsumerDescription"]["ConsumerARN"].clone(),
            _ => return None,
        },
        _ => return None,
    };
    Some(consumer.as_str().expect("consumers have ARNs").to_owned())
}

async fn listen(world: &World, client: &mut Client, stream: &str, shard: &str, consumer: &str, from: &Place) {
    let mut position = json!({"Type": from.kind()});
    if let Place::Number(number, _) = from {
        position["SequenceNumber"] = number.as_str().into();
    }
    let body = json!({"ConsumerARN": consumer, "ShardId": shard, "StartingPosition": position});
    let began = world.history().ask_read();
    let Some(mut subscription) = client.subscribe(&body).await else { return };
    world.count("subscriptions");
    let mut after = from.after();
    for _ in 0..1 + world.random.below(EVENTS_MAX) {
        let event = tokio::select! {
            biased;
            event = subscription.next() => event,
            () = world.clock.sleep(PATIENCE) => None,
        };
        let Some(event) = event else { return };
        let seen = records_in(&event);
        if let Some(first) = seen.first() {
            from.check(&first.sequence_number);
        }
        world.counters().add("records pushed", seen.len() as u64);
        world.history().seen(stream, shard, began, after.as_deref(), &seen);
        if let Some(last) = seen.last() {
            let goes_on = event["ContinuationSequenceNumber"].as_str();
            assert!(
                goes_on.is_none_or(|number| number >= last.sequence_number.as_str()),
                "{shard} of {stream} goes on at {goes_on:?}, before {}",
                last.sequence_number
            );
            after = Some(last.sequence_number.clone());
        }
        if event["ChildShards"].as_array().is_some_and(|children| !children.is_empty()) {
            world.count("shards pushed to their end");
            return;
        }
    }
}
