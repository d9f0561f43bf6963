//! The commands of the program that speak to a server: `put`, `tail`, `streams`, `health`.
//!
//! They are ordinary Kinesis clients on the official SDK and know nothing of the server's insides, so that they work
//! against any endpoint that speaks Kinesis. They never reach AWS unless told to by `--endpoint aws`
//! ([`connect`]). What a command found goes to standard output, everything else to standard error.

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
    Put(put::PutArgs),
    /// Print a stream's records as they arrive
    Tail(tail::TailArgs),
    /// List, describe, create, delete, split and merge streams
    Streams(streams::StreamsArgs),
    /// Ask a server whether it is ready: exit code 0 when it is, 1 when it is not
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
