//! `thalweg put`: records from arguments or standard input into a stream.
//!
//! One request is in flight at a time, and what a request did not get in is sent again before anything that was read
//! later. So records of one partition key arrive in the order they were given, as far as PutRecords itself keeps order
//! (within one request AWS may refuse a record and take a later one of the same key; Thalweg takes or refuses a
//! shard's records together). While a request is in flight, the next one fills: a slow source is sent line by line, a
//! fast one in full batches.
//!
//! A request whose answer was lost is sent again: records may then be there twice.

mod batch;
mod progress;
mod send;
mod source;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::unix::ffi::OsStringExt;

use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use serde::Serialize;
use thalweg_types::StreamName;

use crate::connect::{ConnectArgs, Connection, Retries};
use crate::interrupt::Interrupt;
use crate::streams::{create_if_absent, stream_name};
use crate::{CliError, output};

/// What `thalweg put` takes.
#[derive(Debug, clap::Args)]
pub struct PutArgs {
    /// The stream's name
    #[arg(value_parser = stream_name)]
    stream: StreamName,
    /// The records; without any, each line of standard input is one
    data: Vec<OsString>,
    /// The partition key of all records [default: a random one for each record]
    #[arg(short, long, value_name = "KEY", value_parser = partition_key)]
    key: Option<String>,
    /// Create the stream, with one shard or this many, if there is none
    #[arg(long, value_name = "SHARDS", num_args = 0..=1, require_equals = true, default_missing_value = "1",
          value_parser = clap::value_parser!(i32).range(1..))]
    create: Option<i32>,
    /// Print one JSON object per record: record (counted from 1), shardId, sequenceNumber
    #[arg(long)]
    json: bool,
    /// Print neither progress nor a summary
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// AWS's bound on partition keys, in characters. Source: model, `PartitionKey`.
const KEY_CHARACTERS_MAX: usize = 256;

fn partition_key(text: &str) -> Result<String, String> {
    if text.is_empty() || text.chars().count() > KEY_CHARACTERS_MAX {
        return Err(format!("a partition key has 1 to {KEY_CHARACTERS_MAX} characters"));
    }
    Ok(text.to_owned())
}

/// One line of `--json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PutRecord<'a> {
    record: u64,
    shard_id: &'a str,
    sequence_number: &'a str,
}

/// Runs the command.
pub(crate) async fn run(args: PutArgs) -> Result<(), CliError> {
    let connection = Connection::open(&args.connect, Retries::Own).await?;
    let mut interrupt = Interrupt::listen();
    let stream = args.stream.as_str();
    if let Some(shards) = args.create {
        create_if_absent(&connection, stream, shards).await?;
    }

    let is_standard_input = args.data.is_empty();
    let mut batches = if is_standard_input {
        if std::io::stdin().is_terminal() && !args.quiet {
            eprintln!("one record per line, Ctrl-D ends");
        }
        batch::Batches::new(source::lines_of_standard_input())
    } else {
        batch::Batches::of_records(args.data.into_iter().map(OsStringExt::into_vec).collect())
    };
    let mut progress = progress::Progress::new(is_standard_input, args.quiet);

    let result = loop {
        let records = tokio::select! {
            biased;
            () = interrupt.requested() => break Err(CliError::Interrupted),
            records = batches.next() => match records {
                Ok(Some(records)) => records,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        let sizes: Vec<usize> = records.iter().map(Vec::len).collect();
        let entries = records.into_iter().map(|data| entry(data, args.key.as_deref())).collect();
        // A signal meanwhile is seen before the next batch; a second one ends the program.
        let is_first_contact = progress.records() == 0 && args.create.is_none();
        let retrying = |error: &CliError| progress.retrying(error);
        let sent = send::send(&connection, stream, entries, is_first_contact, retrying).await;
        if args.json {
            print_placed(progress.records(), &sent.placed)?;
        }
        for (placed, size) in sent.placed.iter().zip(sizes) {
            if let Some(placed) = placed {
                progress.add(size, placed);
            }
        }
        progress.show();
        if let Some(error) = sent.error {
            break Err(error);
        }
    };
    progress.finish(stream, result.is_ok());
    result.map_err(|cause| match progress.records() {
        0 => cause,
        put => CliError::PutStopped { put, cause: Box::new(cause) },
    })
}

fn entry(data: Vec<u8>, key: Option<&str>) -> PutRecordsRequestEntry {
    let key = key.map_or_else(random_key, str::to_owned);
    PutRecordsRequestEntry::builder()
        .data(Blob::new(data))
        .partition_key(key)
        .build()
        .expect("data and key are all that an entry needs")
}

/// 64 random bits: enough to spread records evenly, and short, for keys count towards a request's size.
fn random_key() -> String {
    format!("{:016x}", fastrand::u64(..))
}

/// `before`: how many records earlier batches had.
fn print_placed(before: u64, placed: &[Option<send::Placed>]) -> Result<(), CliError> {
    let mut text = String::new();
    for (record, placed) in (before + 1..).zip(placed) {
        let Some(placed) = placed else { continue };
        let line = PutRecord { record, shard_id: &placed.shard_id, sequence_number: &placed.sequence_number };
        text += &output::json(&line);
        text.push('\n');
    }
    output::print(&text)
}
