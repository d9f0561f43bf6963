//! ListTagsForStream.

use std::ops::Bound::{Excluded, Unbounded};

use thalweg_model::kinesis::{ListTagsForStreamInput, ListTagsForStreamOutput};
use thalweg_shape::Failure;
use thalweg_types::limits::TAGS_MAX;

use crate::service::Streams;
use crate::view;

pub(crate) async fn run(
    streams: &Streams,
    input: ListTagsForStreamInput,
) -> Result<ListTagsForStreamOutput, Failure> {
    let stream = streams.resolve_stream(
        input.stream_name.as_deref(),
        input.stream_arn.as_deref(),
        input.stream_id.as_deref(),
    )?;
    streams.admit_for("ListTagsForStream", &stream)?;
    let limit = input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(TAGS_MAX);
    let after = input.exclusive_start_tag_key.as_deref().map_or(Unbounded, Excluded);
    let mut rest = stream.tags.range::<str, _>((after, Unbounded));
    let tags = view::tags(rest.by_ref().take(limit));
    Ok(ListTagsForStreamOutput { has_more_tags: rest.next().is_some(), tags })
}
