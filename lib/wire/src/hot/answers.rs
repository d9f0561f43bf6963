//! Answers of PutRecord and PutRecords.

use std::ops::Range;

use thalweg_types::{FollowingDigits, SequenceNumber, ShardIndex};

use super::records::{SEQUENCE_NUMBER, SHARD_ID, sequence_number, shard_id};
use crate::Protocol;
use crate::aws_cbor::Cbor;
use crate::aws_json::Json;
use crate::notation::Notation;

/// Neighbouring records of one shard that were stored together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlacedRun {
    /// Their shard.
    pub shard: ShardIndex,
    /// The first one's number.
    pub first: SequenceNumber,
}

impl PlacedRun {
    /// The number of the record so many places after the first.
    pub fn number(&self, place: u32) -> SequenceNumber {
        self.first.following(place)
    }
}

/// What became of one record of a PutRecords.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutResult<'a> {
    /// It is stored.
    Placed {
        /// Which of the runs it belongs to.
        run: u32,
        /// How many of the run's records precede it.
        place: u32,
    },
    /// It is not stored (or nobody knows); the client may send it again.
    Failed {
        /// `ProvisionedThroughputExceededException` or `InternalFailure`.
        code: &'a str,
        /// For people.
        message: &'a str,
    },
}

/// What an entry takes beside its texts: names, quotes, braces.
const ENTRY_OVERHEAD: usize = 48;
/// What the answer takes beside its entries.
const ANSWER_OVERHEAD: usize = 96;

/// A run of fewer records is not worth remembering its last entry.
const RUN_SHARED_MIN: usize = 4;

/// Appends the answer to a PutRecords: one result per record, in the request's order. Goes through the results
/// twice: once to count.
///
/// # Panics
/// When a result names a run that is not there.
pub fn put_records_answer<'a>(
    out: &mut Vec<u8>,
    protocol: Protocol,
    runs: &[PlacedRun],
    results: impl Iterator<Item = PutResult<'a>> + Clone,
    encryption_type: Option<&str>,
) {
    match protocol {
        Protocol::AwsJson11 => put_records::<Json>(out, runs, results, encryption_type),
        Protocol::AwsCbor11 => put_records::<Cbor>(out, runs, results, encryption_type),
    }
}

fn put_records<'a, N: Notation>(
    out: &mut Vec<u8>,
    runs: &[PlacedRun],
    results: impl Iterator<Item = PutResult<'a>> + Clone,
    encryption_type: Option<&str>,
) {
    let (mut placed, mut failed) = (0, 0);
    let mut bytes = ANSWER_OVERHEAD;
    for result in results.clone() {
        bytes += ENTRY_OVERHEAD;
        bytes += match result {
            PutResult::Placed { .. } => {
                placed += 1;
                SEQUENCE_NUMBER + SHARD_ID
            }
            PutResult::Failed { code, message } => {
                failed += 1;
                code.len() + message.len()
            }
        };
    }
    out.reserve(bytes);
    N::open_map(out);
    N::member(out, "FailedRecordCount");
    N::integer(out, failed);
    N::member(out, "Records");
    N::open_list(out);
    let are_shared = runs.len() * RUN_SHARED_MIN <= placed;
    let mut entries: Vec<Option<Entry>> = vec![None; if are_shared { runs.len() } else { 0 }];
    for result in results {
        N::element(out);
        match result {
            PutResult::Placed { run, place } => {
                let PlacedRun { shard, first } = runs[run as usize];
                let number = first.following(place);
                match entries.get_mut(run as usize) {
                    None => {
                        entry::<N>(out, number.digits().as_bytes(), shard);
                    }
                    Some(last) => Entry::write::<N>(last, out, number, shard),
                }
            }
            PutResult::Failed { code, message } => {
                N::open_map(out);
                N::member(out, "ErrorCode");
                N::text(out, code);
                N::member(out, "ErrorMessage");
                N::text(out, message);
                N::close_map(out);
            }
        }
    }
    N::close_list(out);
    encryption::<N>(out, encryption_type);
    N::close_map(out);
}

/// What a record is answered that is stored. Returns where the digits are.
#[inline]
fn entry<N: Notation>(out: &mut Vec<u8>, digits: &[u8], shard: ShardIndex) -> usize {
    N::open_map(out);
    N::member(out, "SequenceNumber");
    let start = out.len() + N::plain_text_head(digits.len());
    N::plain_text(out, digits);
    shard_id::<N>(out, "ShardId", shard);
    N::close_map(out);
    start
}

/// The last entry of a run. The next one is a copy with a few other digits.
#[derive(Clone)]
struct Entry {
    digits: FollowingDigits,
    /// Where it is in the answer.
    place: Range<usize>,
    /// Where the digits begin in it, and how many they are.
    digits_start: usize,
    digits_length: usize,
}

impl Entry {
    #[inline]
    fn write<N: Notation>(
        last: &mut Option<Entry>,
        out: &mut Vec<u8>,
        number: SequenceNumber,
        shard: ShardIndex,
    ) {
        let start = out.len();
        if let Some(Entry { digits, place, digits_start, digits_length }) = last {
            let text = digits.go_to(number).as_bytes();
            // As good as always.
            if text.len() == *digits_length {
                out.extend_from_within(place.clone());
                out[start + *digits_start..][..text.len()].copy_from_slice(text);
                return;
            }
        }
        let mut digits = FollowingDigits::new(number);
        let text = digits.go_to(number).as_bytes();
        let digits_length = text.len();
        let digits_start = entry::<N>(out, text, shard) - start;
        *last = Some(Entry { digits, place: start..out.len(), digits_start, digits_length });
    }
}

/// Appends the answer to a PutRecord.
pub fn put_record_answer(
    out: &mut Vec<u8>,
    protocol: Protocol,
    shard: ShardIndex,
    sequence_number: SequenceNumber,
    encryption_type: Option<&str>,
) {
    match protocol {
        Protocol::AwsJson11 => put_record::<Json>(out, shard, sequence_number, encryption_type),
        Protocol::AwsCbor11 => put_record::<Cbor>(out, shard, sequence_number, encryption_type),
    }
}

fn put_record<N: Notation>(
    out: &mut Vec<u8>,
    shard: ShardIndex,
    number: SequenceNumber,
    encryption_type: Option<&str>,
) {
    out.reserve(ANSWER_OVERHEAD + SHARD_ID + SEQUENCE_NUMBER);
    N::open_map(out);
    shard_id::<N>(out, "ShardId", shard);
    sequence_number::<N>(out, "SequenceNumber", number);
    encryption::<N>(out, encryption_type);
    N::close_map(out);
}

fn encryption<N: Notation>(out: &mut Vec<u8>, encryption_type: Option<&str>) {
    if let Some(encryption_type) = encryption_type {
        N::member(out, "EncryptionType");
        N::text(out, encryption_type);
    }
}
