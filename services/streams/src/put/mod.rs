//! Records on their way in: from what a request carries to durable runs, for PutRecord and PutRecords, by the hot
//! and by the ordinary path.
//!
//! ```text
//!  rules      which records a stream takes            pure
//!  route      which shard each record belongs to      pure
//!  runs       the records of each shard, encoded      pure; the only copy of the data
//!  place      append, and again where a shard closed  waits for the journal
//! ```
//!
//! Everything but the last step happens before the first await, so that a hot request can still be declined. No
//! step allocates for a record; their number does not depend on how many records there are. How a request is read
//! and an answer written is not here: that is in the operations.

mod ordering;
mod place;
mod route;
mod rules;
mod runs;

use std::sync::Arc;

use thalweg_shape::Failure;
use thalweg_types::{SequenceNumber, ShardIndex};
use thalweg_wire::hot::{PlacedRun, PutEntry, PutResult};

use crate::errors;
use crate::service::Streams;
use crate::stream::Stream;

pub(crate) use ordering::check as check_ordering;
pub(crate) use place::place;
pub(crate) use rules::{Call, check as check_rules};

use route::Routes;
use runs::NotBase64;

/// Records that were checked, routed and encoded.
pub(crate) struct Batch {
    stream: Arc<Stream>,
    /// Record by record, in the request's order; those that the rates refuse are decided already.
    fates: Vec<Fate>,
    /// The others, by shard.
    routes: Routes,
    runs: runs::Runs,
}

/// What became of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nothing yet.
    Pending,
    /// It is durable: the record at this place of a run.
    Placed { run: u32, place: u32 },
    /// It was not written: its shard has too much to do.
    Throttled { shard: ShardIndex },
    /// It was not written, or nobody knows.
    Failed,
}

/// The records' fates, none of them pending; at least one is placed, or all are throttled.
pub(crate) struct Outcome {
    stream: Arc<Stream>,
    fates: Vec<Fate>,
    runs: Vec<PlacedRun>,
}

/// Why there is no batch.
#[derive(Debug, PartialEq)]
pub(crate) enum Refusal {
    /// The records are not what they should be.
    Failure(Failure),
    /// A blob is not base64 after all; only the hot path reads any.
    NotBase64,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Refusal::Failure(failure)
    }
}

impl From<NotBase64> for Refusal {
    fn from(_: NotBase64) -> Self {
        Refusal::NotBase64
    }
}

/// Routes and encodes the records of a call. The stream takes them: [`check_rules`] said so.
///
/// # Errors
/// [`Refusal`]; nothing was written then. A dry run ends here, when all is in order.
pub(crate) fn prepare(
    streams: &Streams,
    stream: Arc<Stream>,
    records: &[PutEntry<'_>],
    dry_run: bool,
) -> Result<Batch, Refusal> {
    let mut routes = Routes::of_request(&stream, records, &*streams.random)?;
    if dry_run {
        return Err(errors::dry_run().into());
    }
    if streams.keeps_aws_limits() {
        // Or the ordinary path, which may see it otherwise, would count the records a second time.
        records.iter().try_for_each(|record| record.data.check())?;
    }
    let mut fates = vec![Fate::Pending; records.len()];
    let asked = records.iter().zip(routes.shards());
    let asked = asked.map(|(record, shard)| (stream.key(shard), rules::payload_bytes(record)));
    let mut refused = Vec::new();
    streams.rates.put(asked, streams.clock.monotonic(), |record| refused.push(record));
    for record in refused {
        fates[record] = Fate::Throttled { shard: routes.refuse(record) };
    }
    routes.group();
    let runs = runs::Runs::of_request(&stream, &routes, records)?;
    Ok(Batch { stream, fates, routes, runs })
}

impl Outcome {
    /// The fate of the only record of a PutRecord.
    ///
    /// # Errors
    /// When it is not placed.
    pub(crate) fn single(&self, account: &str) -> Result<(ShardIndex, SequenceNumber), Failure> {
        match self.fates[0] {
            Fate::Placed { run, place } => {
                let run = self.runs[run as usize];
                Ok((run.shard, run.number(place)))
            }
            Fate::Throttled { shard } => {
                Err(errors::shard_throughput_exceeded(shard, self.stream.name.as_str(), account))
            }
            Fate::Failed => Err(errors::internal_failure()),
            Fate::Pending => unreachable!("an outcome is known for every record"),
        }
    }

    /// The texts that [`Outcome::results`] needs: one for each shard that throttles.
    pub(crate) fn texts(&self, account: &str) -> Vec<(ShardIndex, String)> {
        let mut texts: Vec<(ShardIndex, String)> = Vec::new();
        for fate in &self.fates {
            if let Fate::Throttled { shard } = *fate
                && texts.iter().all(|(known, _)| *known != shard)
            {
                texts.push((shard, errors::rate_exceeded(shard, self.stream.name.as_str(), account)));
            }
        }
        texts
    }

    /// The runs that [`Outcome::results`] speaks of.
    pub(crate) fn runs(&self) -> &[PlacedRun] {
        &self.runs
    }

    /// The results of a PutRecords, in the request's order.
    pub(crate) fn results<'a>(
        &'a self,
        texts: &'a [(ShardIndex, String)],
    ) -> impl ExactSizeIterator<Item = PutResult<'a>> + Clone {
        self.fates.iter().map(move |fate| match *fate {
            Fate::Placed { run, place } => PutResult::Placed { run, place },
            Fate::Throttled { shard } => {
                let text = texts.iter().find(|(known, _)| *known == shard);
                let (_, message) = text.expect("there is one for each shard that throttles");
                PutResult::Failed { code: errors::THROUGHPUT_EXCEEDED_CODE, message }
            }
            Fate::Failed => PutResult::Failed {
                code: errors::INTERNAL_FAILURE_CODE,
                message: errors::INTERNAL_FAILURE_TEXT,
            },
            Fate::Pending => unreachable!("an outcome is known for every record"),
        })
    }
}
