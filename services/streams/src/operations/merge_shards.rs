//! MergeShards.

use thalweg_model::kinesis::MergeShardsInput;
use thalweg_shape::Failure;

use super::split_shard::open_shard;
use crate::change::ChangeKind;
use crate::errors;
use crate::on_demand;
use crate::reshard;
use crate::resolve::shard_name;
use crate::service::Streams;
use crate::stream::Stream;

pub(crate) async fn run(streams: &Streams, input: MergeShardsInput) -> Result<(), Failure> {
    let account = &streams.settings.account;
    // Before the stream is looked for, as on AWS.
    let name = shard_name(input.stream_name.as_deref(), input.stream_arn.as_deref());
    let lower = streams.parse_shard(&input.shard_to_merge, name)?;
    let upper = streams.parse_shard(&input.adjacent_shard_to_merge, name)?;
    let stream = streams.resolve_stream(
        input.stream_name.as_deref(),
        input.stream_arn.as_deref(),
        input.stream_id.as_deref(),
    )?;
    streams.admit_for("MergeShards", &stream)?;
    let mut changing = streams.lock_active(&stream).await?;
    let stream = changing.stream.clone();
    on_demand::refuse(&stream, account)?;
    for index in [lower, upper] {
        if stream.shards.get(index).is_none() {
            return Err(errors::could_not_find_shard(index, stream.name.as_str(), account));
        }
    }
    let first = open_shard(&stream, lower, account)?;
    let second = open_shard(&stream, upper, account)?;
    // The order matters: the second must begin where the first ends.
    if !reshard::are_adjacent(first, second) {
        return Err(errors::not_adjacent(lower, upper, stream.name.as_str(), account));
    }
    let change = Some(streams.begin(ChangeKind::Merge { lower, upper }));
    streams.accept(&mut changing, Stream { change, ..(*stream).clone() }, Vec::new()).await?;
    streams.carry_on(changing).await;
    Ok(())
}
