//! UpdateStreamMode. The shards stay as they are.

use thalweg_model::kinesis::{StreamMode, UpdateStreamModeInput};
use thalweg_shape::Failure;

use super::update_shard_count::{recent, with};
use crate::errors;
use crate::on_demand;
use crate::service::Streams;
use crate::stream::Stream;

/// Switches in 24 hours, for each stream, under `--limits aws`. Source: facts/aws-apis.md 2.2.
const SWITCHES_PER_DAY: usize = 2;

pub(crate) async fn run(streams: &Streams, input: UpdateStreamModeInput) -> Result<(), Failure> {
    let settings = &streams.settings;
    let stream = streams.resolve_stream(None, Some(&input.stream_arn), input.stream_id.as_deref())?;
    let mut changing = streams.lock_active(&stream).await?;
    let stream = changing.stream.clone();
    let mode = input.stream_mode_details.stream_mode;
    on_demand::check_distribution(stream.distribution, mode, &stream.name, &settings.account)?;
    let account = streams.account.lock().await;
    let warm_throughput_mibps = match input.warm_throughput_mibps {
        Some(mibps) => Some(on_demand::check_warm_throughput(mibps, mode, &account, &stream.name, streams)?),
        None => stream.warm_throughput_mibps.filter(|_| mode == StreamMode::OnDemand),
    };
    let now = streams.now();
    let mut mode_updates = recent(&stream.mode_updates, now, SWITCHES_PER_DAY);
    if mode != stream.mode {
        if streams.keeps_aws_limits() && mode_updates.len() >= SWITCHES_PER_DAY {
            let (name, account) = (stream.name.as_str(), &settings.account);
            return Err(errors::too_many_a_day("UpdateStreamMode", SWITCHES_PER_DAY, name, account));
        }
        if streams.keeps_aws_limits() && mode == StreamMode::OnDemand {
            on_demand::check_stream_count(streams)?;
        }
        mode_updates = with(mode_updates, now, SWITCHES_PER_DAY);
    }
    let next = Stream {
        mode,
        mode_updates,
        warm_throughput_mibps,
        change: streams.begin_settling(),
        ..(*stream).clone()
    };
    streams.accept(&mut changing, next, Vec::new()).await?;
    drop(account);
    streams.carry_on(changing).await;
    Ok(())
}
