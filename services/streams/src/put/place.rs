//! From runs to places: one append, and another one for the runs whose shards closed meanwhile.
//!
//! The journal decides whether a shard is open; the shard map follows it. So a run that finds its shard closed
//! waits for the next snapshot of the stream and is routed again, in the request's order; the client never sees
//! it. Records of one key are in one run, and what was placed already had other keys: nothing is overtaken.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use thalweg_journal::record::Records;
use thalweg_journal::{AppendError, NotAppliedReason, RunOutcome};
use thalweg_shape::Failure;
use thalweg_types::ShardIndex;
use thalweg_wire::hot::PlacedRun;
use tracing::warn;

use super::route::Routes;
use super::runs::Runs;
use super::{Batch, Fate, Outcome};
use crate::errors;
use crate::service::Streams;
use crate::stream::Stream;

/// How long records wait for the children of closed shards, all together. Resharding opens them one durable write
/// after the seal; clients give up after some seconds.
const REROUTE_WAIT_MAX: Duration = Duration::from_secs(10);
/// How often one record is routed again. UpdateShardCount closes a range's shards twice.
const REROUTES_MAX: u32 = 16;

/// Why some records are not placed.
enum Trouble {
    /// Not written: the journal takes nothing for now, or a reshard takes too long or is held up.
    Throttled,
    /// Not written, or nobody knows.
    Failed,
    /// The stream was deleted.
    Deleted,
}

/// Writes a batch.
///
/// # Errors
/// When nothing was placed: ProvisionedThroughputExceeded, InternalFailure or ResourceNotFound.
pub(crate) async fn place(streams: &Streams, batch: Batch) -> Result<Outcome, Failure> {
    let Batch { mut stream, mut fates, mut routes, runs: Runs(mut append) } = batch;
    let mut placed = Vec::with_capacity(append.runs.len());
    let mut deadline = None;
    let mut rounds = 0;
    while !append.runs.is_empty() {
        let (runs, bytes) = (append.runs.len(), append.bytes.clone());
        let outcomes = match streams.journal.append(append).await {
            Ok(outcomes) => outcomes,
            Err(error) => {
                settle(streams, &stream, &mut fates, &routes, trouble_of(&error, &stream))?;
                break;
            }
        };
        assert_eq!(outcomes.len(), runs, "the journal answers for each run");
        let mut closed: Vec<ShardIndex> = Vec::new();
        stream.shards.fetch(routes.groups().map(|(index, _)| index));
        for (outcome, (index, records)) in outcomes.iter().zip(routes.groups()) {
            match *outcome {
                RunOutcome::Placed { first, arrival } => {
                    let shard = stream.shards.get(index).expect("records were routed by this map");
                    let run = u32::try_from(placed.len()).expect("a request has at most 500 records");
                    placed.push(PlacedRun { shard: index, first: shard.sequence_number(first, arrival) });
                    for (place, number) in (0..).zip(records) {
                        fates[number as usize] = Fate::Placed { run, place };
                    }
                }
                RunOutcome::ShardClosed | RunOutcome::UnknownShard => closed.push(index),
            }
        }
        if closed.is_empty() {
            break;
        }
        let mut left: Vec<(u32, Bytes)> = routes.records().zip(encoded_records(bytes)).collect();
        left.retain(|(number, _)| fates[*number as usize] == Fate::Pending);
        left.sort_unstable_by_key(|(number, _)| *number);
        rounds += 1;
        let now = streams.clock.monotonic();
        let wait = deadline.get_or_insert(now + REROUTE_WAIT_MAX).saturating_sub(now);
        let newer = tokio::select! {
            biased;
            newer = newer_map(streams, &stream, &closed), if rounds <= REROUTES_MAX => newer,
            () = streams.clock.sleep(wait) => Err(Trouble::Throttled),
        };
        match newer {
            Ok(newer) => {
                stream = newer;
                let decoded = left.iter().map(|(number, bytes)| {
                    let record = Records::new(bytes).next().expect("one record").expect("encoded by us");
                    (*number, record)
                });
                routes = Routes::again(&stream, decoded, &*streams.random);
                let encoded = |number: u32| {
                    let place = left.binary_search_by_key(&number, |(number, _)| *number);
                    left[place.expect("routes are of what is left")].1.clone()
                };
                Runs(append) = Runs::again(&stream, &routes, &encoded);
            }
            Err(trouble) => {
                // Only what is left is still pending.
                settle(streams, &stream, &mut fates, &routes, trouble)?;
                break;
            }
        }
    }
    Ok(Outcome { stream, fates, runs: placed })
}

/// The records of a run, each with the bytes that it is encoded in.
pub(super) fn encoded_records(run: Bytes) -> impl Iterator<Item = Bytes> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let mut records = Records::new(&run[start..]);
        records.next()?.expect("encoded by us");
        let end = start + records.position();
        let record = run.slice(start..end);
        start = end;
        Some(record)
    })
}

/// The first snapshot in which none of these shards is open.
///
/// # Errors
/// The stream was deleted; or what would close them is held up, by a full disk for one: then there is no telling how
/// long that takes, and none of it is the client's to wait for.
async fn newer_map(
    streams: &Streams,
    seen: &Arc<Stream>,
    closed: &[ShardIndex],
) -> Result<Arc<Stream>, Trouble> {
    let mut stream = Arc::clone(seen);
    while !stream.is_held_up {
        stream = streams.registry.newer(&stream).await.ok_or(Trouble::Deleted)?;
        let is_open = |index: &ShardIndex| stream.shards.get(*index).is_some_and(|shard| shard.is_open());
        if !closed.iter().any(is_open) {
            return Ok(stream);
        }
    }
    Err(Trouble::Throttled)
}

/// What a failed append means for its records, and for whoever runs this.
fn trouble_of(error: &AppendError, stream: &Stream) -> Trouble {
    match error {
        AppendError::NotApplied(NotAppliedReason::Throttled(_)) => Trouble::Throttled,
        AppendError::NotApplied(NotAppliedReason::UnknownShard(_)) => Trouble::Deleted,
        AppendError::NotApplied(NotAppliedReason::Stopped(_))
        | AppendError::OutcomeUnknown(_)
        | AppendError::Fenced => {
            warn!(stream = %stream.name, %error, "a put failed");
            Trouble::Failed
        }
    }
}

/// Decides the fate of the pending records of `routes`.
///
/// # Errors
/// When nothing of the call was placed: then the trouble is the whole call's, and clients may send all of it again.
fn settle(
    streams: &Streams,
    stream: &Stream,
    fates: &mut [Fate],
    routes: &Routes,
    trouble: Trouble,
) -> Result<(), Failure> {
    let account = &streams.settings.account;
    if !fates.iter().any(|fate| matches!(fate, Fate::Placed { .. })) {
        return Err(match trouble {
            Trouble::Throttled => errors::put_throughput_exceeded(stream.name.as_str(), account),
            Trouble::Failed => errors::internal_failure(),
            Trouble::Deleted => errors::stream_not_found(stream.name.as_str(), account),
        });
    }
    for (shard, records) in routes.groups() {
        for number in records {
            let fate = &mut fates[number as usize];
            if *fate == Fate::Pending {
                *fate = match trouble {
                    Trouble::Throttled => Fate::Throttled { shard },
                    Trouble::Failed | Trouble::Deleted => Fate::Failed,
                };
            }
        }
    }
    Ok(())
}
