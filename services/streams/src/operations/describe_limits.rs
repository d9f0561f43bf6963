//! DescribeLimits.

use thalweg_model::kinesis::{DescribeLimitsOutput, StreamMode};
use thalweg_shape::Failure;
use thalweg_types::limits::ON_DEMAND_STREAMS_MAX;

use crate::service::Streams;
use crate::view;

pub(crate) async fn run(streams: &Streams) -> Result<DescribeLimitsOutput, Failure> {
    streams.admit("DescribeLimits", None)?;
    let all = streams.registry.all();
    let open: u64 = all.iter().map(|stream| u64::from(stream.shards.open_count())).sum();
    Ok(DescribeLimitsOutput {
        channel_count: None,
        channel_count_limit: None,
        on_demand_stream_count: view::count(
            all.iter().filter(|stream| stream.mode == StreamMode::OnDemand).count(),
        ),
        on_demand_stream_count_limit: view::count(ON_DEMAND_STREAMS_MAX),
        open_shard_count: view::count(open),
        shard_limit: view::count(streams.settings.shard_limit),
    })
}
