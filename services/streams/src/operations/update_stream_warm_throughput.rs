//! UpdateStreamWarmThroughput. The number is kept and shown; here nothing has to be warmed up.

use thalweg_model::kinesis::{
    UpdateStreamWarmThroughputInput, UpdateStreamWarmThroughputOutput, WarmThroughputObject,
};
use thalweg_shape::Failure;

use crate::on_demand;
use crate::service::Streams;
use crate::stream::Stream;
use crate::view;

pub(crate) async fn run(
    streams: &Streams,
    input: UpdateStreamWarmThroughputInput,
) -> Result<UpdateStreamWarmThroughputOutput, Failure> {
    let stream = streams.resolve_stream(
        input.stream_name.as_deref(),
        input.stream_arn.as_deref(),
        input.stream_id.as_deref(),
    )?;
    streams.admit("UpdateStreamWarmThroughput", Some(stream.name.as_str()))?;
    let mut changing = streams.lock_active(&stream).await?;
    let stream = changing.stream.clone();
    let account = streams.account.lock().await;
    let mibps = input.warm_throughput_mibps;
    let mibps = on_demand::check_warm_throughput(mibps, stream.mode, &account, &stream.name, streams)?;
    drop(account);
    let next =
        Stream { warm_throughput_mibps: Some(mibps), change: streams.begin_settling(), ..(*stream).clone() };
    streams.accept(&mut changing, next, Vec::new()).await?;
    streams.carry_on(changing).await;
    Ok(UpdateStreamWarmThroughputOutput {
        stream_arn: Some(streams.stream_arn(&stream).to_string()),
        stream_name: Some(stream.name.to_string()),
        warm_throughput: Some(WarmThroughputObject {
            current_mibps: stream.warm_throughput_mibps.map(view::count),
            target_mibps: Some(view::count(mibps)),
        }),
    })
}
