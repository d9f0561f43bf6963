//! The commands of the program that speak to a server: `put`, `tail`, `streams`, `health`.
//!
//! They are ordinary Kinesis clients on the official SDK and know nothing of the server's insides, so that they work
//! against any endpoint that speaks Kinesis. They never reach AWS unless told to by `--endpoint aws`
//! (`connect`). What a command found goes to standard output, everything else to standard error.

mod connect;
mod error;
mod health;
mod interrupt;
mod os;
mod output;
mod put;
mod shard_list;
mod streams;
mod tail;

pub use error::CliError;

/// A command that speaks to a server.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Put records into a stream
    ///
    /// One record per argument, or one per line of standard input when there is no argument. A line's end (a newline
    /// byte) is not part of its record, and an empty line is an empty record, so that `put` and `tail` give a text back
    /// as it was. Records with the same key keep their order. Throttled and failed records are sent again, with growing
    /// pauses, before anything that comes after them; when an answer is lost on the way, records may be put twice.
    Put(put::PutArgs),
    /// Print a stream's records as they arrive
    ///
    /// Until Ctrl-C, unless --limit or --no-follow ends it. A record is printed as its bytes and a newline; with --json,
    /// as one object on a line: shardId, sequenceNumber, subSequenceNumber, partitionKey, approximateArrivalTimestamp,
    /// data (base64). Records that the Kinesis Producer Library packed together are unpacked; subSequenceNumber is their
    /// place in the pack, and 0 for others. Splits and merges are followed: a shard's records come before those of the
    /// shards that were made of it.
    Tail(tail::TailArgs),
    /// List, describe, create, delete, split and merge streams
    ///
    /// Each command that changes a stream waits until the change is done, and shows the stream as it then is. With --json
    /// every command prints one object per line.
    Streams(streams::StreamsArgs),
    /// Ask a server whether it is ready: exit code 0 when it is, 1 when it is not
    ///
    /// One GET of /readyz: made for container health checks and scripts.
    Health(health::HealthArgs),
}

/// Runs a command to its end, on a runtime of its own.
///
/// # Errors
/// What failed, in one line; see [`CliError::exit_code`].
///
/// # Panics
/// When the operating system gives no event queue.
pub fn run(command: Command) -> Result<(), CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("the operating system gives an event queue");
    let result = runtime.block_on(async {
        match command {
            Command::Put(args) => put::run(args).await,
            Command::Tail(args) => tail::run(args).await,
            Command::Streams(args) => streams::run(args).await,
            Command::Health(args) => health::run(args).await,
        }
    });
    // A thread that still waits for standard input or output must not keep the program.
    runtime.shutdown_background();
    result
}
