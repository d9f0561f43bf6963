//! `thalweg tail`: a stream's records as they arrive, all shards together.
//!
//! Every shard is read by a task of its own, children after their parents ([`lineage`]); this file starts the tasks,
//! prints what they bring, and ends them. Within a shard, and from a shard to its children, records come in order;
//! between unrelated shards there is no order to keep.

mod from;
mod lineage;
mod print;
mod shard;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use aws_sdk_kinesis::types::Shard;
use thalweg_types::StreamName;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::CliError;
use crate::connect::{ConnectArgs, Connection, Retries};
use crate::interrupt::Interrupt;
use crate::shard_list::{list_shards, shard_id};
use crate::streams::stream_name;
use from::From;
use lineage::{Descent, Lineage};
use shard::{Context, End};

/// What `thalweg tail` takes.
#[derive(Debug, clap::Args)]
pub struct TailArgs {
    /// The stream's name
    #[arg(value_parser = stream_name)]
    stream: StreamName,
    /// Where to begin: trim-horizon (the oldest record), latest (the next one), a duration ago (90s, 5m, 2h, 1d), a
    /// time (2026-11-20T13:00:00Z, or seconds since 1970), or a sequence number (that record, then what follows in its
    /// shard and the shards made of it) [default: latest; trim-horizon with --no-follow]
    #[arg(long, value_name = "WHERE", value_parser = From::parse)]
    from: Option<From>,
    /// Read this shard (its id, or its number) and the shards made of it, no others
    #[arg(long, value_name = "SHARD")]
    shard: Option<String>,
    /// Stop after this many records
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Stop when everything that is there has been printed
    #[arg(long)]
    no_follow: bool,
    /// Print JSON: one object per line
    #[arg(long)]
    json: bool,
    /// Do not say on standard error what is being followed
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// Answers held at a time, over all shards: 8 answers of at most 10 MiB.
const READS_MAX: usize = 8;
/// Answers waiting for the printer.
const ARRIVED_WAITING_MAX: usize = 2;

/// Runs the command.
pub(crate) async fn run(args: TailArgs) -> Result<(), CliError> {
    let connection = Connection::open(&args.connect, Retries::Sdk).await?;
    let mut interrupt = Interrupt::listen();
    let from = args.from.unwrap_or(if args.no_follow { From::TrimHorizon } else { From::Latest });
    let (arrived_sender, mut arrived) = mpsc::channel(ARRIVED_WAITING_MAX);
    let context = Arc::new(Context {
        connection,
        stream: args.stream.as_str().to_owned(),
        follows: !args.no_follow,
        began: jiff::Timestamp::now(),
        reads: Semaphore::new(READS_MAX),
        shards_reading: AtomicU32::new(0),
        arrived: arrived_sender,
    });
    let mut reading = tokio::select! {
        reading = Reading::begin(Arc::clone(&context), from, args.shard) => reading?,
        () = interrupt.requested() => return Ok(()),
    };
    if !args.quiet {
        eprintln!("reading {}: {} shards, from {}", context.stream, reading.tasks.len(), reading.from);
    }

    let mut printer = print::Printer::start(args.json, args.limit);
    let result = loop {
        if reading.tasks.is_empty() {
            // What the last tasks brought is in the channel, for they have ended.
            break match arrived.try_recv() {
                Ok(records) => match printer.print(records).await {
                    Ok(true) => continue,
                    Ok(false) => Ok(()),
                    Err(error) => Err(error),
                },
                Err(_) => Ok(()),
            };
        }
        tokio::select! {
            biased;
            () = interrupt.requested() => break Ok(()),
            Some(records) = arrived.recv() => match printer.print(records).await {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            },
            error = printer.failed() => break Err(error),
            Some(ended) = reading.tasks.join_next() => {
                let (shard, end) = ended.expect("a reading task neither panics nor is it cancelled");
                match end {
                    Ok(end) => reading.ended(&shard, end),
                    Err(error) => break Err(error),
                }
            }
        }
    };
    printer.finish().await.and(result)
}

/// The tasks that read, one for each shard.
struct Reading {
    context: Arc<Context>,
    lineage: Lineage,
    tasks: JoinSet<(String, Result<End, CliError>)>,
    /// Where the shards begin that are there when reading begins.
    from: From,
}

impl Reading {
    /// Finds the shards to begin with and starts their tasks. Once this returns, "latest" is a fixed place.
    async fn begin(context: Arc<Context>, from: From, only: Option<String>) -> Result<Self, CliError> {
        let shards = list_shards(&context.connection, &context.stream).await?;
        let only = match (&only, &from) {
            (Some(shard), _) => Some(shard_id(shard)),
            (None, From::Number(number)) => Some(from::shard_of(number).ok_or_else(|| {
                CliError::Usage(format!("--from {number}: which shard is it of? Name it with --shard"))
            })?),
            (None, _) => None,
        };
        if let Some(only) = &only
            && !shards.iter().any(|shard| shard.shard_id() == only)
        {
            return Err(CliError::NoSuchShard { stream: context.stream.clone(), shard: only.clone() });
        }
        let wanted: Vec<Descent> = shards
            .iter()
            .filter(|shard| only.as_deref().is_none_or(|only| shard.shard_id() == only))
            .filter(|shard| only.is_some() || from != From::Latest || is_open(shard))
            .map(descent)
            .collect();

        let mut reading = Reading { context, lineage: Lineage::default(), tasks: JoinSet::new(), from };
        for shard in reading.lineage.add(&wanted) {
            // Only "latest" moves while we wait.
            let first_iterator = match reading.from {
                From::Latest => Some(shard::iterator(&reading.context, &shard, &From::Latest, None).await?),
                _ => None,
            };
            reading.start(shard, reading.from.clone(), first_iterator);
        }
        Ok(reading)
    }

    /// A shard was read: begins those that waited for it.
    fn ended(&mut self, shard: &str, end: End) {
        self.context.shards_reading.fetch_sub(1, Ordering::Relaxed);
        let children = match end {
            End::Closed(children) => children,
            End::Tip | End::Unwanted => return,
        };
        for child in self.lineage.finish(shard, &children) {
            // A child has nothing that came before its parents' end; but where reading begins at a time, that may be
            // after the child began.
            let from = match &self.from {
                from @ (From::Ago(_) | From::Time(_)) => from.clone(),
                From::TrimHorizon | From::Latest | From::Number(_) => From::TrimHorizon,
            };
            self.start(child, from, None);
        }
    }

    fn start(&mut self, shard: String, from: From, first_iterator: Option<String>) {
        self.context.shards_reading.fetch_add(1, Ordering::Relaxed);
        let context = Arc::clone(&self.context);
        self.tasks.spawn(async move {
            let end = shard::read(context, shard.clone(), from, first_iterator).await;
            (shard, end)
        });
    }
}

fn is_open(shard: &Shard) -> bool {
    shard.sequence_number_range().is_none_or(|range| range.ending_sequence_number().is_none())
}

fn descent(shard: &Shard) -> Descent {
    let parents = [shard.parent_shard_id(), shard.adjacent_parent_shard_id()];
    Descent {
        shard: shard.shard_id().to_owned(),
        parents: parents.into_iter().flatten().map(str::to_owned).collect(),
    }
}
