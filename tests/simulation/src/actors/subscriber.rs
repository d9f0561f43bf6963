//! Has shards pushed to it, from all kinds of places on, and tells the history what it sees.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::patience;
use super::reader::{Place, check_children, some_place, some_shard};
use crate::client::{Client, Outcome};
use crate::history::{From, records_in};
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
        let Some(mut consumer) = some_consumer(&world, &mut client, &stream).await else { continue };
        let mut place = some_place(&world, &stream, &shard);
        let mut from = None;
        while let Some((goes_on, seen)) =
            listen(&world, &mut client, (&stream, &shard, &consumer), &place, from).await
            && world.random.one_in(2)
            // The same one would have to wait for some seconds.
            && let Some(other) = some_consumer(&world, &mut client, &stream).await
        {
            consumer = other;
            (place, from) = (Place::Number(goes_on, false), Some(seen));
        }
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

/// Takes events for a while. `from`: what was seen before, where it goes on from there. Answers where to go on, and what was
/// seen, unless the shard has ended or nothing came.
async fn listen(
    world: &World,
    client: &mut Client,
    (stream, shard, consumer): (&str, &str, &str),
    place: &Place,
    from: Option<From>,
) -> Option<(String, From)> {
    let mut position = json!({"Type": place.kind()});
    if let Some((name, value)) = place.detail("SequenceNumber") {
        position[name] = value;
    }
    let body = json!({"ConsumerARN": consumer, "ShardId": shard, "StartingPosition": position});
    let began = world.history().ask_read();
    let mut subscription = client.subscribe(&body).await?;
    world.count(if from.is_some() { "subscriptions that go on" } else { "subscriptions" });
    let mut from = from.unwrap_or_else(|| place.between(began, world.history().ask_read()));
    let mut goes_on = None;
    for _ in 0..1 + world.random.below(EVENTS_MAX) {
        let event = tokio::select! {
            biased;
            event = subscription.next() => event,
            () = world.clock.sleep(PATIENCE) => None,
        };
        let Some(event) = event else { break };
        let seen = records_in(&event);
        world.counters().add("records pushed", seen.len() as u64);
        let caught_up = event["MillisBehindLatest"] == 0;
        world.history().seen(stream, shard, began, &from, &seen, caught_up);
        let next = event["ContinuationSequenceNumber"].as_str();
        if let Some(last) = seen.last() {
            assert!(
                next.is_none_or(|number| number >= last.sequence_number.as_str()),
                "{shard} of {stream} goes on at {next:?}, before {}",
                last.sequence_number
            );
            from = From::Number(last.sequence_number.clone(), false);
        }
        if event["ChildShards"].as_array().is_some_and(|children| !children.is_empty()) {
            check_children(shard, &event["ChildShards"]);
            world.history().ended(stream, shard, &from);
            world.count("shards pushed to their end");
            return None;
        }
        goes_on = Some(next.expect("all but the last event say where to go on").to_owned());
    }
    Some((goes_on?, from))
}
