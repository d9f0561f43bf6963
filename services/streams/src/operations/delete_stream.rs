//! DeleteStream.

use thalweg_model::kinesis::DeleteStreamInput;
use thalweg_shape::Failure;

use crate::change::ChangeKind;
use crate::errors;
use crate::service::Streams;
use crate::stream::Stream;

pub(crate) async fn run(streams: &Streams, input: DeleteStreamInput) -> Result<(), Failure> {
    let stream = streams.resolve_stream(
        input.stream_name.as_deref(),
        input.stream_arn.as_deref(),
        input.stream_id.as_deref(),
    )?;
    streams.admit("DeleteStream", Some(stream.name.as_str()))?;
    let mut changing = streams.lock_active(&stream).await?;
    let stream = changing.stream.clone();
    if !stream.consumers.is_empty() && input.enforce_consumer_deletion != Some(true) {
        return Err(errors::stream_has_consumers(stream.name.as_str(), &streams.settings.account));
    }
    let change = Some(streams.begin(ChangeKind::Delete));
    streams.accept(&mut changing, Stream { change, ..(*stream).clone() }, Vec::new()).await?;
    streams.carry_on(changing).await;
    Ok(())
}
