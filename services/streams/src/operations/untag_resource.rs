//! UntagResource: streams and consumers.

use thalweg_model::kinesis::UntagResourceInput;
use thalweg_shape::Failure;

use super::{remove_tags_from_stream, tag_resource};
use crate::resolve::Resource;
use crate::service::Streams;
use crate::tags;

pub(crate) async fn run(streams: &Streams, input: UntagResourceInput) -> Result<(), Failure> {
    let account = &streams.settings.account;
    let resource = streams.resolve_resource(&input.resource_arn, input.stream_id.as_deref())?;
    streams.admit_for("UntagResource", resource.stream())?;
    match resource {
        Resource::Stream(stream) => remove_tags_from_stream::remove(streams, &stream, &input.tag_keys).await,
        Resource::Consumer(stream, consumer) => {
            let resource = format!("consumer {} of stream {}", consumer.name, stream.name);
            tag_resource::change_consumer_tags(streams, &stream, &consumer, |existing| {
                tags::remove(existing, &input.tag_keys, &resource, account)
            })
            .await
        }
    }
}
