//! The commands that change streams: create, delete, split, merge. Each waits until the change is done and shows the
//! stream as it then is.

use aws_sdk_kinesis::types::{Shard, StreamMode, StreamModeDetails};
use serde::Serialize;
use thalweg_types::StreamName;

use super::{describe, stream_name, wait};
use crate::connect::Connection;
use crate::shard_list::{list_shards, shard_id};
use crate::{CliError, output};

/// What `streams create` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct CreateArgs {
    /// The new stream's name: 1 to 128 letters, digits, `_`, `.` and `-`
    #[arg(value_parser = stream_name)]
    stream: StreamName,
    /// How many shards it has
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..))]
    shards: i32,
    /// Make it an on-demand stream: the server chooses the number of shards
    #[arg(long, conflicts_with = "shards")]
    on_demand: bool,
}

/// What `streams delete` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct DeleteArgs {
    /// The stream's name
    #[arg(value_parser = stream_name)]
    stream: StreamName,
    /// Delete it even when fan-out consumers are registered
    #[arg(long)]
    with_consumers: bool,
}

/// What `streams split` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct SplitArgs {
    /// The stream's name
    #[arg(value_parser = stream_name)]
    stream: StreamName,
    /// The open shard to split: its id, or its number
    shard: String,
    /// The second child's first hash key [default: the middle]
    #[arg(long, value_name = "HASH_KEY")]
    at: Option<u128>,
}

/// What `streams merge` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct MergeArgs {
    /// The stream's name
    #[arg(value_parser = stream_name)]
    stream: StreamName,
    /// One open shard: its id, or its number
    shard: String,
    /// Its neighbour
    adjacent_shard: String,
}

/// `--json` of delete.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeletedStream<'a> {
    stream_name: &'a str,
    deleted: bool,
}

/// `thalweg streams create`.
pub(crate) async fn create(connection: &Connection, args: CreateArgs, json: bool) -> Result<(), CliError> {
    let stream = args.stream.as_str();
    let shards = if args.on_demand { None } else { Some(args.shards) };
    send_create(connection, stream, shards).await.map_err(|error| {
        error.advise("ResourceInUseException", || format!("`thalweg streams describe {stream}` shows it"))
    })?;
    show_when_active(connection, stream, json).await
}

/// Makes a stream unless there is one, and waits until it is active.
pub(crate) async fn create_if_absent(
    connection: &Connection,
    stream: &str,
    shards: i32,
) -> Result<(), CliError> {
    match wait::describe(connection, stream).await {
        Ok(_) => {}
        Err(error) if error.has_code("ResourceNotFoundException") => {
            match send_create(connection, stream, Some(shards)).await {
                // Someone else was faster: as good.
                Err(error) if !error.has_code("ResourceInUseException") => return Err(error),
                _ => {}
            }
        }
        Err(error) => return Err(error),
    }
    wait::until_active(connection, stream).await.map(drop)
}

/// `shards`: `None` for on-demand.
async fn send_create(connection: &Connection, stream: &str, shards: Option<i32>) -> Result<(), CliError> {
    let mut request = connection.kinesis.create_stream().stream_name(stream).set_shard_count(shards);
    if shards.is_none() {
        let on_demand = StreamModeDetails::builder().stream_mode(StreamMode::OnDemand).build();
        request = request.stream_mode_details(on_demand.expect("the mode is the only member it needs"));
    }
    request.send().await.map_err(|error| connection.explain("CreateStream", error))?;
    Ok(())
}

/// `thalweg streams delete`.
pub(crate) async fn delete(connection: &Connection, args: DeleteArgs, json: bool) -> Result<(), CliError> {
    let stream = args.stream.as_str();
    connection
        .kinesis
        .delete_stream()
        .stream_name(stream)
        .set_enforce_consumer_deletion(args.with_consumers.then_some(true))
        .send()
        .await
        .map_err(|error| connection.explain("DeleteStream", error))
        .map_err(|error| {
            error.advise("ResourceInUseException", || {
                "--with-consumers deletes its fan-out consumers with it".to_owned()
            })
        })?;
    wait::until_gone(connection, stream).await?;
    if json {
        output::print_json(&DeletedStream { stream_name: stream, deleted: true })
    } else {
        output::print(&format!("{stream} is deleted\n"))
    }
}

/// `thalweg streams split`.
pub(crate) async fn split(connection: &Connection, args: SplitArgs, json: bool) -> Result<(), CliError> {
    let stream = args.stream.as_str();
    let parent = shard_id(&args.shard);
    let at = match args.at {
        Some(at) => at,
        None => middle(connection, stream, &parent).await?,
    };
    connection
        .kinesis
        .split_shard()
        .stream_name(stream)
        .shard_to_split(&parent)
        .new_starting_hash_key(at.to_string())
        .send()
        .await
        .map_err(|error| connection.explain("SplitShard", error))?;
    show_when_active(connection, stream, json).await
}

/// The first hash key of the upper half of a shard's range.
async fn middle(connection: &Connection, stream: &str, wanted: &str) -> Result<u128, CliError> {
    let shards = list_shards(connection, stream).await?;
    let shard: &Shard = shards
        .iter()
        .find(|shard| shard.shard_id() == wanted)
        .ok_or_else(|| CliError::NoSuchShard { stream: stream.to_owned(), shard: wanted.to_owned() })?;
    let incomplete = || CliError::Incomplete { operation: "ListShards", missing: "HashKeyRange" };
    let range = shard.hash_key_range().ok_or_else(incomplete)?;
    let start: u128 = range.starting_hash_key().parse().map_err(|_| incomplete())?;
    let end: u128 = range.ending_hash_key().parse().map_err(|_| incomplete())?;
    // A range of one key has no upper half; the server says so better than we can.
    Ok(start + (end.saturating_sub(start)).div_ceil(2))
}

/// `thalweg streams merge`.
pub(crate) async fn merge(connection: &Connection, args: MergeArgs, json: bool) -> Result<(), CliError> {
    let stream = args.stream.as_str();
    connection
        .kinesis
        .merge_shards()
        .stream_name(stream)
        .shard_to_merge(shard_id(&args.shard))
        .adjacent_shard_to_merge(shard_id(&args.adjacent_shard))
        .send()
        .await
        .map_err(|error| connection.explain("MergeShards", error))?;
    show_when_active(connection, stream, json).await
}

async fn show_when_active(connection: &Connection, stream: &str, json: bool) -> Result<(), CliError> {
    let summary = wait::until_active(connection, stream).await?;
    let shards = list_shards(connection, stream).await?;
    describe::print(&summary, &shards, json)
}
