//! Answers of PutRecord and PutRecords.

use std::ops::Range;

use thalweg_types::{FollowingDigits, SequenceNumber, ShardIndex};

use super::records::{SEQUENCE_NUMBER, SHARD_ID, sequence_number, shard_id, shard_id_text};
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

/// So many records a run has on the average when their digits are made of each other.
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
    // A run of few records is not worth remembering its digits.
    let are_shared = runs.len() * RUN_SHARED_MIN <= placed;
    let mut shared: Vec<Option<FollowingDigits>> = vec![None; if are_shared { runs.len() } else { 0 }];
    let mut last = None;
    for result in results {
        N::element(out);
        match result {
            PutResult::Placed { run, place } => {
                let PlacedRun { shard, first } = runs[run as usize];
                let number = first.following(place);
                match shared.get_mut(run as usize) {
                    None => entry::<N>(out, &mut last, number.digits().as_bytes(), shard),
                    Some(digits) => {
                        let digits = digits.get_or_insert_with(|| FollowingDigits::new(number));
                        entry::<N>(out, &mut last, digits.go_to(number).as_bytes(), shard);
                    }
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

/// The entry of a record that is stored, as it was written last: the next one is a copy with other digits.
struct Entry {
    /// Where it is in the answer.
    place: Range<usize>,
    /// Where the sequence number is in it.
    digits: Range<usize>,
    /// Where the shard id is in it.
    shard: Range<usize>,
}

/// What a record is answered that is stored.
#[inline]
fn entry<N: Notation>(out: &mut Vec<u8>, last: &mut Option<Entry>, digits: &[u8], shard: ShardIndex) {
    let shard = shard_id_text(shard);
    let start = out.len();
    if let Some(last) = last
        && last.digits.len() == digits.len()
    {
        out.extend_from_within(last.place.clone());
        let copy = &mut out[start..];
        copy[last.digits.clone()].copy_from_slice(digits);
        copy[last.shard.clone()].copy_from_slice(&shard);
        return;
    }
    N::open_map(out);
    let digits = text::<N>(out, "SequenceNumber", digits, start);
    let shard = text::<N>(out, "ShardId", &shard, start);
    N::close_map(out);
    *last = Some(Entry { place: start..out.len(), digits, shard });
}

/// A member that is plain text. Answers where the text is, counted from `start`.
fn text<N: Notation>(out: &mut Vec<u8>, member: &str, text: &[u8], start: usize) -> Range<usize> {
    N::member(out, member);
    let text_start = out.len() + N::plain_text_head(text.len()) - start;
    N::plain_text(out, text);
    text_start..text_start + text.len()
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
