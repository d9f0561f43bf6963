//! `thalweg streams`: list, describe, create, delete, split, merge. One file per command that needs one.

mod change;
mod describe;
mod list;
mod picture;
mod wait;

pub(crate) use change::create_if_absent;
pub(crate) use wait::advise_missing;

use clap::Subcommand;
use thalweg_types::StreamName;

use crate::CliError;
use crate::connect::{ConnectArgs, Connection, Retries};
use crate::interrupt::Interrupt;

/// Streams and their shards.
#[derive(Debug, clap::Args)]
pub struct StreamsArgs {
    #[command(subcommand)]
    command: StreamsCommand,
    /// Print JSON: one object per line
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Debug, Subcommand)]
enum StreamsCommand {
    /// List the streams
    List,
    /// Show a stream and a picture of its shard map
    Describe {
        /// The stream's name
        #[arg(value_parser = stream_name)]
        stream: StreamName,
    },
    /// Create a stream and wait until it is active
    Create(change::CreateArgs),
    /// Delete a stream and all of its records
    Delete(change::DeleteArgs),
    /// Split a shard in two and wait until the stream is active
    Split(change::SplitArgs),
    /// Merge two neighbouring shards and wait until the stream is active
    Merge(change::MergeArgs),
}

/// Checks a stream's name before anything is sent.
pub(crate) fn stream_name(text: &str) -> Result<StreamName, String> {
    StreamName::new(text).map_err(|error| error.to_string())
}

/// Runs the command.
pub(crate) async fn run(args: StreamsArgs) -> Result<(), CliError> {
    let connection = Connection::open(&args.connect, Retries::Sdk).await?;
    let mut interrupt = Interrupt::listen();
    tokio::select! {
        result = run_command(&connection, args.command, args.json) => result,
        () = interrupt.requested() => Err(CliError::Interrupted),
    }
}

async fn run_command(connection: &Connection, command: StreamsCommand, json: bool) -> Result<(), CliError> {
    match command {
        StreamsCommand::List => list::run(connection, json).await,
        StreamsCommand::Describe { stream } => describe::run(connection, stream.as_str(), json).await,
        StreamsCommand::Create(args) => change::create(connection, args, json).await,
        StreamsCommand::Delete(args) => change::delete(connection, args, json).await,
        StreamsCommand::Split(args) => change::split(connection, args, json).await,
        StreamsCommand::Merge(args) => change::merge(connection, args, json).await,
    }
}
