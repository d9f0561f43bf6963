//! `thalweg streams describe`: what a stream is, and its shard map.

use aws_sdk_kinesis::types::{Shard, StreamDescriptionSummary};
use serde::Serialize;

use super::{picture, wait};
use crate::connect::Connection;
use crate::shard_list::list_shards;
use crate::{CliError, output};

/// `--json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DescribedStream<'a> {
    stream_name: &'a str,
    #[serde(rename = "streamARN")]
    stream_arn: &'a str,
    status: &'a str,
    /// `PROVISIONED` or `ON_DEMAND`.
    mode: Option<&'a str>,
    created: String,
    retention_hours: i32,
    open_shard_count: i32,
    consumer_count: i32,
    shards: Vec<DescribedShard<'a>>,
}

/// A shard in `--json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DescribedShard<'a> {
    shard_id: &'a str,
    is_open: bool,
    parent_shard_id: Option<&'a str>,
    adjacent_parent_shard_id: Option<&'a str>,
    starting_hash_key: &'a str,
    ending_hash_key: &'a str,
    starting_sequence_number: &'a str,
    ending_sequence_number: Option<&'a str>,
}

/// Prints the stream as it is now.
pub(crate) async fn run(connection: &Connection, stream: &str, json: bool) -> Result<(), CliError> {
    let summary = wait::describe(connection, stream).await?;
    let shards = list_shards(connection, stream).await?;
    print(&summary, &shards, json)
}

/// Prints a stream.
pub(crate) fn print(
    summary: &StreamDescriptionSummary,
    shards: &[Shard],
    json: bool,
) -> Result<(), CliError> {
    let described = DescribedStream {
        stream_name: summary.stream_name(),
        stream_arn: summary.stream_arn(),
        status: summary.stream_status().as_str(),
        mode: summary.stream_mode_details().map(|details| details.stream_mode().as_str()),
        created: output::timestamp_in_seconds(summary.stream_creation_timestamp()),
        retention_hours: summary.retention_period_hours(),
        open_shard_count: summary.open_shard_count(),
        consumer_count: summary.consumer_count().unwrap_or(0),
        shards: shards.iter().map(describe_shard).collect::<Result<_, _>>()?,
    };
    if json { output::print_json(&described) } else { output::print(&text(&described)?) }
}

fn describe_shard(shard: &Shard) -> Result<DescribedShard<'_>, CliError> {
    let incomplete = |missing| CliError::Incomplete { operation: "ListShards", missing };
    let hash_keys = shard.hash_key_range().ok_or(incomplete("HashKeyRange"))?;
    let numbers = shard.sequence_number_range().ok_or(incomplete("SequenceNumberRange"))?;
    Ok(DescribedShard {
        shard_id: shard.shard_id(),
        is_open: numbers.ending_sequence_number().is_none(),
        parent_shard_id: shard.parent_shard_id(),
        adjacent_parent_shard_id: shard.adjacent_parent_shard_id(),
        starting_hash_key: hash_keys.starting_hash_key(),
        ending_hash_key: hash_keys.ending_hash_key(),
        starting_sequence_number: numbers.starting_sequence_number(),
        ending_sequence_number: numbers.ending_sequence_number(),
    })
}

fn text(stream: &DescribedStream<'_>) -> Result<String, CliError> {
    let mut lanes = Vec::new();
    for shard in &stream.shards {
        let hash_key = |text: &str| {
            text.parse::<u128>()
                .map_err(|_| CliError::Incomplete { operation: "ListShards", missing: "a numeric HashKey" })
        };
        lanes.push(picture::Lane {
            shard_id: shard.shard_id,
            start: hash_key(shard.starting_hash_key)?,
            end: hash_key(shard.ending_hash_key)?,
            is_open: shard.is_open,
            parents: [shard.parent_shard_id, shard.adjacent_parent_shard_id].into_iter().flatten().collect(),
        });
    }
    Ok(format!(
        "{}  {}\n{}\n{}, created {}, kept for {} hours, {} open of {} shards, {} fan-out consumers\n\n{}",
        stream.stream_name,
        stream.status,
        stream.stream_arn,
        stream.mode.unwrap_or("PROVISIONED"),
        stream.created,
        stream.retention_hours,
        stream.open_shard_count,
        stream.shards.len(),
        stream.consumer_count,
        picture::draw(&lanes),
    ))
}
