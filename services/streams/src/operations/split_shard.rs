//! SplitShard.

use thalweg_model::kinesis::SplitShardInput;
use thalweg_shape::Failure;
use thalweg_types::{HashKey, ShardIndex};

use crate::change::ChangeKind;
use crate::errors;
use crate::on_demand;
use crate::resolve::shard_name;
use crate::service::Streams;
use crate::shard_map::Shard;
use crate::stream::Stream;

pub(crate) async fn run(streams: &Streams, input: SplitShardInput) -> Result<(), Failure> {
    let account = &streams.settings.account;
    // Before the stream is looked for, as on AWS.
    let index = streams.parse_shard(
        &input.shard_to_split,
        shard_name(input.stream_name.as_deref(), input.stream_arn.as_deref()),
    )?;
    let stream = streams.resolve_stream(
        input.stream_name.as_deref(),
        input.stream_arn.as_deref(),
        input.stream_id.as_deref(),
    )?;
    streams.admit_for("SplitShard", &stream)?;
    let mut changing = streams.lock_active(&stream).await?;
    let stream = changing.stream.clone();
    on_demand::refuse(&stream, account)?;
    let shard = open_shard(&stream, index, account)?;
    // The limit holds from here on, until the claim is published.
    let locked = streams.account.lock().await;
    streams.check_shard_limit(1)?;
    let at = check_key(&input.new_starting_hash_key, shard, &stream, account)?;
    let change = Some(streams.begin(ChangeKind::Split { shard: index, at }));
    streams.accept(&mut changing, Stream { change, ..(*stream).clone() }, Vec::new()).await?;
    drop(locked);
    streams.carry_on(changing).await;
    Ok(())
}

/// A shard that can be split or merged.
///
/// # Errors
/// ResourceNotFound; InvalidArgument when it was split or merged before.
pub(super) fn open_shard<'a>(
    stream: &'a Stream,
    index: ShardIndex,
    account: &str,
) -> Result<&'a Shard, Failure> {
    let name = stream.name.as_str();
    let shard = stream.shards.get(index).ok_or_else(|| errors::could_not_find_shard(index, name, account))?;
    if !shard.is_open() {
        return Err(errors::shard_already_closed(index, name, account));
    }
    Ok(shard)
}

/// Strictly more than one above the shard's start, and strictly less than its end: AWS's rule.
fn check_key(key: &str, shard: &Shard, stream: &Stream, account: &str) -> Result<HashKey, Failure> {
    let refused = || errors::hash_key_not_inside(key, shard, stream.name.as_str(), account);
    // 39 digits may be more than 2^128.
    let at = HashKey::parse(key).ok_or_else(refused)?;
    let above_start = at.0 > shard.range.start.0.saturating_add(1);
    if above_start && at < shard.range.end { Ok(at) } else { Err(refused()) }
}
