//! ListTagsForResource: streams and consumers.

use thalweg_model::kinesis::{ListTagsForResourceInput, ListTagsForResourceOutput};
use thalweg_shape::Failure;

use crate::resolve::Resource;
use crate::service::Streams;
use crate::view;

pub(crate) async fn run(
    streams: &Streams,
    input: ListTagsForResourceInput,
) -> Result<ListTagsForResourceOutput, Failure> {
    let resource = streams.resolve_resource(&input.resource_arn, input.stream_id.as_deref())?;
    streams.admit_for("ListTagsForResource", resource.stream())?;
    streams.check_listable(resource.stream())?;
    let tags = match resource {
        Resource::Stream(stream) => view::tags(&stream.tags),
        Resource::Consumer(_, consumer) => view::tags(&consumer.tags),
    };
    Ok(ListTagsForResourceOutput { tags: Some(tags) })
}
