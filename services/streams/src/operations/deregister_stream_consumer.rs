//! DeregisterStreamConsumer.

use std::sync::Arc;

use thalweg_catalog::Write;
use thalweg_model::kinesis::DeregisterStreamConsumerInput;
use thalweg_shape::Failure;

use crate::consumer::{ConsumerChange, ConsumerChangeKind, Consumers};
use crate::errors;
use crate::rows::{self, ConsumerRow};
use crate::service::Streams;
use crate::stream::Stream;

pub(crate) async fn run(streams: &Streams, input: DeregisterStreamConsumerInput) -> Result<(), Failure> {
    let account = &streams.settings.account;
    let (stream, consumer) = streams.resolve_named_consumer(
        input.consumer_arn.as_deref(),
        input.stream_arn.as_deref(),
        input.consumer_name.as_deref(),
        input.stream_id.as_deref(),
    )?;
    streams.admit_for("DeregisterStreamConsumer", &stream)?;
    let not_found = || errors::consumer_not_found(consumer.name.as_str(), stream.name.as_str(), account);
    let mut changing = streams.lock(stream.id).await.ok_or_else(not_found)?;
    let locked = Arc::clone(&changing.stream);
    let mut consumers = Consumers::clone(&locked.consumers);
    let leaving = consumers
        .get_mut(&consumer.name)
        .filter(|found| found.created == consumer.created)
        .ok_or_else(not_found)?;
    if leaving.change.is_some_and(|change| change.kind == ConsumerChangeKind::Delete) {
        // The model has no error for this; what is wanted is under way.
        return Ok(());
    }
    leaving.change = Some(ConsumerChange {
        kind: ConsumerChangeKind::Delete,
        not_before: streams.now().plus(streams.settings.transition_delay),
    });
    let row = rows::encode(&ConsumerRow::of(leaving));
    let write = Write::Put(rows::consumer_key(locked.id, &consumer.name), row);
    let next = Stream { consumers: consumers.into(), ..(*locked).clone() };
    streams.accept(&mut changing, next, vec![write]).await?;
    streams.carry_on(changing).await;
    Ok(())
}
