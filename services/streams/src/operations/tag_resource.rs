//! TagResource: streams and consumers.

use std::collections::BTreeMap;
use std::sync::Arc;

use thalweg_catalog::Write;
use thalweg_model::kinesis::TagResourceInput;
use thalweg_shape::Failure;

use super::add_tags_to_stream;
use crate::consumer::{Consumer, Consumers};
use crate::errors;
use crate::resolve::Resource;
use crate::rows::{self, ConsumerRow};
use crate::service::Streams;
use crate::stream::Stream;
use crate::tags;

pub(crate) async fn run(streams: &Streams, input: TagResourceInput) -> Result<(), Failure> {
    let account = &streams.settings.account;
    let resource = streams.resolve_resource(&input.resource_arn, input.stream_id.as_deref())?;
    streams.admit_for("TagResource", resource.stream())?;
    match resource {
        Resource::Stream(stream) => add_tags_to_stream::add(streams, &stream, input.tags).await,
        Resource::Consumer(stream, consumer) => {
            let resource = format!("consumer {} of stream {}", consumer.name, stream.name);
            change_consumer_tags(streams, &stream, &consumer, |existing| {
                tags::add(existing, input.tags, &resource, account)
            })
            .await
        }
    }
}

/// Replaces the tags of an ACTIVE consumer.
pub(super) async fn change_consumer_tags(
    streams: &Streams,
    stream: &Stream,
    consumer: &Consumer,
    change: impl FnOnce(&BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Failure>,
) -> Result<(), Failure> {
    let account = &streams.settings.account;
    let name = stream.name.as_str();
    let not_found = || errors::consumer_not_found(consumer.name.as_str(), name, account);
    let mut changing = streams.lock(stream.id).await.ok_or_else(not_found)?;
    let stream = Arc::clone(&changing.stream);
    let mut consumers = Consumers::clone(&stream.consumers);
    let changed = consumers
        .get_mut(&consumer.name)
        .filter(|found| found.created == consumer.created)
        .ok_or_else(not_found)?;
    if changed.change.is_some() {
        return Err(errors::consumer_not_active(consumer.name.as_str(), consumer.created, name, account));
    }
    changed.tags = change(&changed.tags)?;
    let row = rows::encode(&ConsumerRow::of(changed));
    let write = Write::Put(rows::consumer_key(stream.id, &consumer.name), row);
    let next = Stream { consumers: consumers.into(), ..(*stream).clone() };
    streams.accept(&mut changing, next, vec![write]).await
}
