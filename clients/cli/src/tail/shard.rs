//! One shard read to its end, or to its tip: an iterator, and GetRecords again and again.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_kinesis::operation::get_records::GetRecordsOutput;
use aws_sdk_kinesis::types::{Record, ShardIteratorType};
use tokio::sync::{Semaphore, mpsc};

use super::from::{From, date_time};
use super::lineage::Descent;
use crate::CliError;
use crate::connect::Connection;
use crate::streams::advise_missing;

/// The pause when a shard has nothing new. AWS allows five reads a second from a shard.
const POLL: Duration = Duration::from_millis(250);
/// Added to the pause for each shard that is read: ten thousand idle shards are asked every ten seconds.
const POLL_PER_SHARD: Duration = Duration::from_millis(1);
/// Records asked for at a time: bounds what is held, with [`super::READS_MAX`].
const RECORDS_MAX: i32 = 1000;
/// The pause after the first failed call.
const PAUSE_FIRST: Duration = Duration::from_millis(200);
/// The longest.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Failed calls in a row before we give up: about a minute of pauses, enough for a restart.
const FAILURES_MAX: u32 = 15;

/// Records of one answer, on their way to the printer.
#[derive(Debug)]
pub(crate) struct Arrived {
    /// Which shard.
    pub(crate) shard: String,
    /// In order; not empty.
    pub(crate) records: Vec<Record>,
}

/// How a shard's reading ended.
#[derive(Debug)]
pub(crate) enum End {
    /// The shard is closed and was read to its end; its children.
    Closed(Vec<Descent>),
    /// Everything that was there was read.
    Tip,
    /// Nobody wants more records.
    Unwanted,
}

/// What all shards of a tail share.
#[derive(Debug)]
pub(crate) struct Context {
    /// Who is asked.
    pub(crate) connection: Connection,
    /// The stream.
    pub(crate) stream: String,
    /// Whether to wait for records that are not there yet.
    pub(crate) follows: bool,
    /// When the command began: a reader that starts at "latest" and must start again starts here.
    pub(crate) began: jiff::Timestamp,
    /// Bounds the answers held at a time.
    pub(crate) reads: Semaphore,
    /// How many shards are being read.
    pub(crate) shards_reading: std::sync::atomic::AtomicU32,
    /// Where records go.
    pub(crate) arrived: mpsc::Sender<Arrived>,
}

/// Reads a shard from `from` on, whose first iterator may be there already.
///
/// # Errors
/// The server's, when repeating did not help.
pub(crate) async fn read(
    context: Arc<Context>,
    shard: String,
    from: From,
    first_iterator: Option<String>,
) -> Result<End, CliError> {
    let mut last_number: Option<String> = None;
    let mut iterator = first_iterator;
    // "Latest" is the place of the first iterator. Should that be lost before a record came, we go back to the
    // command's beginning, not to what is latest by then.
    let from = if from == From::Latest { From::Time(context.began) } else { from };
    let mut failures = 0;
    loop {
        // Held until the printer has the records, so that a slow printer slows the reading.
        let permit = context.reads.acquire().await.expect("the semaphore is never closed");
        let answer = match &iterator {
            Some(iterator) => get_records(&context, iterator).await,
            None => match self::iterator(&context, &shard, &from, last_number.as_deref()).await {
                Ok(fresh) => {
                    iterator = Some(fresh);
                    continue;
                }
                Err(error) => Err(error),
            },
        };
        let answer = match answer {
            Ok(answer) => answer,
            // The printer was held up for more than five minutes, or the server does not know its old iterators.
            Err(error) if error.has_code("ExpiredIteratorException") => {
                iterator = None;
                continue;
            }
            Err(error) => {
                failures += 1;
                if !error.is_transient() || failures == FAILURES_MAX {
                    return Err(error);
                }
                drop(permit);
                tokio::time::sleep((PAUSE_FIRST * (1 << failures.min(8))).min(PAUSE_MAX)).await;
                continue;
            }
        };
        failures = 0;
        let had_records = !answer.records.is_empty();
        if let Some(last) = answer.records.last() {
            last_number = Some(last.sequence_number().to_owned());
            let arrived = Arrived { shard: shard.clone(), records: answer.records };
            if context.arrived.send(arrived).await.is_err() {
                return Ok(End::Unwanted);
            }
        }
        drop(permit);
        let Some(next) = answer.next_shard_iterator else {
            return Ok(End::Closed(children(answer.child_shards.unwrap_or_default())));
        };
        iterator = Some(next);
        let is_at_tip = answer.millis_behind_latest == Some(0);
        if is_at_tip && !context.follows {
            return Ok(End::Tip);
        }
        if is_at_tip || !had_records {
            let shards = context.shards_reading.load(std::sync::atomic::Ordering::Relaxed);
            tokio::time::sleep(POLL + POLL_PER_SHARD * shards).await;
        }
    }
}

async fn get_records(context: &Context, iterator: &str) -> Result<GetRecordsOutput, CliError> {
    context
        .connection
        .kinesis
        .get_records()
        .shard_iterator(iterator)
        .limit(RECORDS_MAX)
        .send()
        .await
        .map_err(|error| context.connection.explain("GetRecords", error))
}

/// An iterator at the place to go on: after the last record seen, else where reading begins.
pub(crate) async fn iterator(
    context: &Context,
    shard: &str,
    from: &From,
    last_number: Option<&str>,
) -> Result<String, CliError> {
    let request =
        context.connection.kinesis.get_shard_iterator().stream_name(&context.stream).shard_id(shard);
    let at = |time| (ShardIteratorType::AtTimestamp, None, Some(date_time(time)));
    let (kind, number, time) = match (last_number, from) {
        (Some(number), _) => (ShardIteratorType::AfterSequenceNumber, Some(number.to_owned()), None),
        (None, From::TrimHorizon) => (ShardIteratorType::TrimHorizon, None, None),
        (None, From::Latest) => (ShardIteratorType::Latest, None, None),
        (None, From::Time(time)) => at(*time),
        (None, From::Ago(ago)) => {
            at(context.began.saturating_sub(*ago).unwrap_or(jiff::Timestamp::UNIX_EPOCH))
        }
        (None, From::Number(number)) => (ShardIteratorType::AtSequenceNumber, Some(number.clone()), None),
    };
    let answer = request
        .shard_iterator_type(kind)
        .set_starting_sequence_number(number)
        .set_timestamp(time)
        .send()
        .await
        .map_err(|error| context.connection.explain("GetShardIterator", error))
        .map_err(|error| advise_missing(error, &context.stream))?;
    answer
        .shard_iterator
        .ok_or(CliError::Incomplete { operation: "GetShardIterator", missing: "ShardIterator" })
}

fn children(shards: Vec<aws_sdk_kinesis::types::ChildShard>) -> Vec<Descent> {
    shards.into_iter().map(|child| Descent { shard: child.shard_id, parents: child.parent_shards }).collect()
}
