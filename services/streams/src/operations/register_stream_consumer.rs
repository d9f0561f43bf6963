//! RegisterStreamConsumer.

use std::collections::BTreeMap;
use std::time::Duration;

use thalweg_catalog::Write;
use thalweg_model::kinesis::{ConsumerStatus, RegisterStreamConsumerInput, RegisterStreamConsumerOutput};
use thalweg_shape::Failure;
use thalweg_types::limits::{CONSUMERS_MAX, CREATING_MAX};
use thalweg_types::{ConsumerName, Timestamp};

use crate::consumer::{Consumer, ConsumerChange, ConsumerChangeKind, Consumers};
use crate::errors;
use crate::rows::{self, ConsumerRow};
use crate::service::Streams;
use crate::stream::Stream;
use crate::tags;

/// Consumers of a stream without AWS's limits: each costs a little in every snapshot of the stream. Ours.
const CONSUMERS_BOUND: usize = 1000;

pub(crate) async fn run(
    streams: &Streams,
    input: RegisterStreamConsumerInput,
) -> Result<RegisterStreamConsumerOutput, Failure> {
    let account = &streams.settings.account;
    let stream = streams.resolve_stream(None, Some(&input.stream_arn), input.stream_id.as_deref())?;
    streams.admit_for("RegisterStreamConsumer", &stream)?;
    let name = input.consumer_name.as_str();
    let name = ConsumerName::new(name).map_err(|error| errors::invalid_name(name, &error))?;
    let resource = format!("consumer {name} of stream {}", stream.name);
    let tags = tags::add(&BTreeMap::new(), input.tags.unwrap_or_default(), &resource, account)?;

    let mut changing = streams.lock_active(&stream).await?;
    let stream = changing.stream.clone();
    if stream.consumers.contains_key(&name) {
        return Err(errors::consumer_exists(name.as_str(), stream.name.as_str(), account));
    }
    check_counts(streams, &stream)?;
    let begins = ConsumerChange {
        kind: ConsumerChangeKind::Create,
        not_before: streams.now().plus(streams.settings.transition_delay),
    };
    let consumer = Consumer {
        created: creation_second(&stream, streams.now()),
        name,
        tags,
        change: (!streams.settings.transition_delay.is_zero()).then_some(begins),
    };
    let mut consumers = Consumers::clone(&stream.consumers);
    consumers.insert(consumer.name.clone(), consumer.clone());
    let row = rows::encode(&ConsumerRow::of(&consumer));
    let write = Write::Put(rows::consumer_key(stream.id, &consumer.name), row);
    let next = Stream { consumers: consumers.into(), ..(*stream).clone() };
    streams.accept(&mut changing, next, vec![write]).await?;
    streams.carry_on(changing).await;
    let mut view = streams.view_consumer(&stream, &consumer);
    // What AWS says at this moment, however soon it is ACTIVE.
    view.consumer_status = ConsumerStatus::Creating;
    Ok(RegisterStreamConsumerOutput { consumer: view })
}

fn check_counts(streams: &Streams, stream: &Stream) -> Result<(), Failure> {
    let (name, account) = (stream.name.as_str(), streams.settings.account.as_str());
    let limit = if streams.keeps_aws_limits() { CONSUMERS_MAX } else { CONSUMERS_BOUND };
    if stream.consumers.len() >= limit {
        return Err(errors::too_many_consumers(name, account, limit));
    }
    let creating = stream.consumers.values().filter(|one| one.status() == ConsumerStatus::Creating).count();
    if streams.keeps_aws_limits() && creating >= CREATING_MAX {
        return Err(errors::too_many_consumers_creating(name, account, CREATING_MAX));
    }
    Ok(())
}

/// Now, or later if a consumer that is gone was created now, be it of this stream or of an earlier one of its name, which
/// the stream was created after: its ARN must not come back.
fn creation_second(stream: &Stream, now: Timestamp) -> Timestamp {
    let after_the_gone = match stream.consumers_gone {
        Timestamp::ZERO => Timestamp::ZERO,
        gone => gone.plus(Duration::from_secs(1)),
    };
    rows::second(now.as_seconds()).max(stream.created).max(after_the_gone)
}
