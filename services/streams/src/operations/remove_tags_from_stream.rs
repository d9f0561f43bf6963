//! RemoveTagsFromStream.

use thalweg_model::kinesis::RemoveTagsFromStreamInput;
use thalweg_shape::Failure;

use crate::service::Streams;
use crate::stream::Stream;
use crate::tags;

pub(crate) async fn run(streams: &Streams, input: RemoveTagsFromStreamInput) -> Result<(), Failure> {
    let stream = streams.resolve_stream(
        input.stream_name.as_deref(),
        input.stream_arn.as_deref(),
        input.stream_id.as_deref(),
    )?;
    streams.admit_for("RemoveTagsFromStream", &stream)?;
    remove(streams, &stream, &input.tag_keys).await
}

/// Removes tags from a stream.
pub(super) async fn remove(streams: &Streams, stream: &Stream, removed: &[String]) -> Result<(), Failure> {
    let mut changing = streams.lock_active(stream).await?;
    let stream = changing.stream.clone();
    let resource = format!("stream {}", stream.name);
    let tags = tags::remove(&stream.tags, removed, &resource, &streams.settings.account)?;
    let next = Stream { tags, change: streams.begin_settling(), ..(*stream).clone() };
    streams.accept(&mut changing, next, Vec::new()).await?;
    streams.carry_on(changing).await;
    Ok(())
}
