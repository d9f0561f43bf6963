//! AddTagsToStream.

use thalweg_model::kinesis::AddTagsToStreamInput;
use thalweg_shape::Failure;

use crate::service::Streams;
use crate::stream::Stream;
use crate::tags;

pub(crate) async fn run(streams: &Streams, input: AddTagsToStreamInput) -> Result<(), Failure> {
    let stream = streams.resolve_stream(
        input.stream_name.as_deref(),
        input.stream_arn.as_deref(),
        input.stream_id.as_deref(),
    )?;
    streams.admit("AddTagsToStream", Some(stream.name.as_str()))?;
    add(streams, &stream, input.tags).await
}

/// Adds tags to a stream.
pub(super) async fn add(
    streams: &Streams,
    stream: &Stream,
    added: std::collections::BTreeMap<String, String>,
) -> Result<(), Failure> {
    let mut changing = streams.lock_active(stream).await?;
    let stream = changing.stream.clone();
    let resource = format!("stream {}", stream.name);
    let tags = tags::add(&stream.tags, added, &resource, &streams.settings.account)?;
    let next = Stream { tags, change: streams.begin_settling(), ..(*stream).clone() };
    streams.accept(&mut changing, next, Vec::new()).await?;
    streams.carry_on(changing).await;
    Ok(())
}
