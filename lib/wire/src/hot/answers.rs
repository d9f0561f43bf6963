//! Answers of PutRecord and PutRecords.

use thalweg_types::{SequenceNumber, ShardIndex};

use super::records::{SEQUENCE_NUMBER, SHARD_ID, sequence_number, shard_id};
use crate::Protocol;
use crate::aws_cbor::Cbor;
use crate::aws_json::Json;
use crate::notation::Notation;

/// What became of one record of a PutRecords.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutResult<'a> {
    /// It is stored.
    Placed {
        /// Its number.
        sequence_number: SequenceNumber,
        /// Its shard.
        shard: ShardIndex,
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

/// Appends the answer to a PutRecords: one result per record, in the request's order. Goes through the results
/// twice: once to count.
pub fn put_records_answer<'a>(
    out: &mut Vec<u8>,
    protocol: Protocol,
    results: impl Iterator<Item = PutResult<'a>> + Clone,
    encryption_type: Option<&str>,
) {
    match protocol {
        Protocol::AwsJson11 => put_records::<Json>(out, results, encryption_type),
        Protocol::AwsCbor11 => put_records::<Cbor>(out, results, encryption_type),
    }
}

fn put_records<'a, N: Notation>(
    out: &mut Vec<u8>,
    results: impl Iterator<Item = PutResult<'a>> + Clone,
    encryption_type: Option<&str>,
) {
    let mut failed = 0;
    let mut bytes = ANSWER_OVERHEAD;
    for result in results.clone() {
        bytes += ENTRY_OVERHEAD;
        bytes += match result {
            PutResult::Placed { .. } => SEQUENCE_NUMBER + SHARD_ID,
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
    for result in results {
        N::element(out);
        N::open_map(out);
        match result {
            PutResult::Placed { sequence_number: number, shard } => {
                sequence_number::<N>(out, "SequenceNumber", number);
                shard_id::<N>(out, "ShardId", shard);
            }
            PutResult::Failed { code, message } => {
                N::member(out, "ErrorCode");
                N::text(out, code);
                N::member(out, "ErrorMessage");
                N::text(out, message);
            }
        }
        N::close_map(out);
    }
    N::close_list(out);
    encryption::<N>(out, encryption_type);
    N::close_map(out);
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
