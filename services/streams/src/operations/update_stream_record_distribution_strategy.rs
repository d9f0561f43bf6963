//! UpdateStreamRecordDistributionStrategy.

use thalweg_model::kinesis::UpdateStreamRecordDistributionStrategyInput;
use thalweg_shape::Failure;

use crate::on_demand;
use crate::service::Streams;
use crate::stream::Stream;

pub(crate) async fn run(
    streams: &Streams,
    input: UpdateStreamRecordDistributionStrategyInput,
) -> Result<(), Failure> {
    let stream = streams.resolve_stream(None, Some(&input.stream_arn), input.stream_id.as_deref())?;
    streams.admit_for("UpdateStreamRecordDistributionStrategy", &stream)?;
    let mut changing = streams.lock_active(&stream).await?;
    let stream = changing.stream.clone();
    let distribution = input.record_distribution_strategy;
    on_demand::check_distribution(distribution, stream.mode, &stream.name, &streams.settings.account)?;
    let next = Stream { distribution, change: streams.begin_settling(), ..(*stream).clone() };
    streams.accept(&mut changing, next, Vec::new()).await?;
    streams.carry_on(changing).await;
    Ok(())
}
