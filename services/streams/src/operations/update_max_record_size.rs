//! UpdateMaxRecordSize.

use thalweg_model::kinesis::UpdateMaxRecordSizeInput;
use thalweg_shape::Failure;

use crate::service::Streams;
use crate::stream::Stream;

pub(crate) async fn run(streams: &Streams, input: UpdateMaxRecordSizeInput) -> Result<(), Failure> {
    let stream = streams.resolve_stream(None, input.stream_arn.as_deref(), input.stream_id.as_deref())?;
    streams.admit_for("UpdateMaxRecordSize", &stream)?;
    let mut changing = streams.lock_active(&stream).await?;
    let next = Stream {
        record_kib_max: u32::try_from(input.max_record_size_in_kib).expect("the model wants at least 1024"),
        change: streams.begin_settling(),
        ..(*changing.stream).clone()
    };
    streams.accept(&mut changing, next, Vec::new()).await?;
    streams.carry_on(changing).await;
    Ok(())
}
