//! Records on their way to readers: the answer to GetRecords and the payload of a SubscribeToShardEvent.

use std::ops::Range;

use thalweg_types::{HashKeyRange, RunDigits, SequenceNumber, ShardIndex, Timestamp};

use crate::Protocol;
use crate::aws_cbor::Cbor;
use crate::aws_json::Json;
use crate::notation::Notation;

/// The longest text of a sequence number (its digits).
pub(super) const SEQUENCE_NUMBER: usize = 57;
/// The text of a shard id: `shardId-` and twelve digits.
pub(super) const SHARD_ID: usize = 20;

/// What a record takes beside its data and partition key: names, quotes, braces, sequence number, arrival time.
const RECORD_OVERHEAD: usize = 192;
/// What an answer takes beside its records: names, an iterator of at most 512 characters, a number.
const ANSWER_OVERHEAD: usize = 640;
/// What a child shard takes: names, its id, two parents, two hash keys.
const CHILD_OVERHEAD: usize = 320;

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its number.
    pub sequence_number: SequenceNumber,
    /// When it arrived.
    pub arrival: Timestamp,
    /// Its data.
    pub data: &'a [u8],
    /// Its partition key.
    pub partition_key: Option<&'a str>,
    /// `KMS` when it is encrypted at rest; absent otherwise.
    pub encryption_type: Option<&'a str>,
}

/// A shard that follows the one that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChildShard<'a> {
    /// Its index.
    pub shard: ShardIndex,
    /// The shards that it follows.
    pub parents: &'a [ShardIndex],
    /// Its range.
    pub range: HashKeyRange,
}

/// An answer under construction: opened, then its records in order, then closed as what it is.
///
/// Nothing else may be written to the buffer meanwhile.
#[must_use = "an answer must be closed"]
#[derive(Debug)]
pub struct RecordsWriter {
    protocol: Protocol,
    texts: Texts,
}

/// What is the same in one record and the next, encoded: a record is written by copying these, with its own bytes and
/// key in between.
///
/// ```text
/// lead    ,{"SequenceNumber":"4954…","ApproximateArrivalTimestamp":1719849600.123,"Data":
/// key     ,"PartitionKey":
/// ```
#[derive(Debug, Default)]
struct Texts {
    /// Everything before a record's data, the separator included, with the number of a record of the run.
    lead: Vec<u8>,
    /// How long the separator is; the first record has none.
    separator: usize,
    /// Where the number's digits are in `lead`.
    digits: Range<usize>,
    /// The record that was written last, and the arrival that `lead` shows; `None` before the first record.
    last: Option<(RunDigits, Timestamp)>,
    /// Everything between a record's data and its partition key.
    key: Vec<u8>,
}

impl Texts {
    /// Encodes everything again.
    fn show<N: Notation>(&mut self, number: SequenceNumber, arrival: Timestamp) {
        let digits = number.digits();
        let text = digits.as_bytes();
        let Texts { lead, key, .. } = self;
        lead.clear();
        // As behind another record: notations look at no more than the last byte.
        N::close_map(lead);
        N::element(lead);
        self.separator = lead.len() - 1;
        N::open_map(lead);
        N::member(lead, "SequenceNumber");
        let before = lead.len();
        N::plain_text(lead, text);
        let start = memchr::memmem::find(&lead[before..], text).expect("it was just written") + before;
        N::member(lead, "ApproximateArrivalTimestamp");
        N::timestamp(lead, arrival);
        N::member(lead, "Data");
        lead.remove(0);
        self.digits = start - 1..start - 1 + text.len();
        if key.is_empty() {
            // Behind a value, as the data is.
            N::bytes(key, &[]);
            let before = key.len();
            N::member(key, "PartitionKey");
            key.drain(..before);
        }
        self.last = Some((RunDigits::new(number), arrival));
    }

    fn record<N: Notation>(&mut self, out: &mut Vec<u8>, record: &Record<'_>) {
        let start = out.len();
        match &mut self.last {
            Some((run, arrival)) if *arrival == record.arrival => {
                out.extend_from_slice(&self.lead);
                let digits = &mut out[start..][self.digits.clone()];
                if !run.next(record.sequence_number, digits) {
                    out.truncate(start);
                    self.show::<N>(record.sequence_number, record.arrival);
                    out.extend_from_slice(&self.lead);
                }
            }
            last => {
                let is_first = last.is_none();
                self.show::<N>(record.sequence_number, record.arrival);
                out.extend_from_slice(&self.lead[if is_first { self.separator } else { 0 }..]);
            }
        }
        N::bytes(out, record.data);
        if let Some(partition_key) = record.partition_key {
            out.extend_from_slice(&self.key);
            N::text(out, partition_key);
        }
        if let Some(encryption_type) = record.encryption_type {
            N::member(out, "EncryptionType");
            N::text(out, encryption_type);
        }
        N::close_map(out);
    }
}

impl RecordsWriter {
    /// Opens an answer and makes room for `count` records whose data and partition keys together have
    /// `content_bytes`; both are only used for that.
    pub fn open(out: &mut Vec<u8>, protocol: Protocol, count: usize, content_bytes: usize) -> Self {
        fn open<N: Notation>(out: &mut Vec<u8>, count: usize, content_bytes: usize) {
            out.reserve(N::bytes_length(content_bytes) + count * RECORD_OVERHEAD + ANSWER_OVERHEAD);
            N::open_map(out);
            N::member(out, "Records");
            N::open_list(out);
        }
        match protocol {
            Protocol::AwsJson11 => open::<Json>(out, count, content_bytes),
            Protocol::AwsCbor11 => open::<Cbor>(out, count, content_bytes),
        }
        RecordsWriter { protocol, texts: Texts::default() }
    }

    /// Appends a record. Cheapest for one that follows the last one and arrived with it.
    pub fn record(&mut self, out: &mut Vec<u8>, record: &Record<'_>) {
        match self.protocol {
            Protocol::AwsJson11 => self.texts.record::<Json>(out, record),
            Protocol::AwsCbor11 => self.texts.record::<Cbor>(out, record),
        }
    }

    /// Closes the answer to a GetRecords. At the end of a shard there are children and no next iterator, else it
    /// is the other way round.
    pub fn close_get_records(
        self,
        out: &mut Vec<u8>,
        next_shard_iterator: Option<&str>,
        millis_behind_latest: i64,
        children: &[ChildShard<'_>],
    ) {
        fn close<N: Notation>(
            out: &mut Vec<u8>,
            next: Option<&str>,
            behind: i64,
            children: &[ChildShard<'_>],
        ) {
            N::close_list(out);
            if let Some(next) = next {
                N::member(out, "NextShardIterator");
                N::text(out, next);
            }
            end::<N>(out, behind, children);
        }
        match self.protocol {
            Protocol::AwsJson11 => close::<Json>(out, next_shard_iterator, millis_behind_latest, children),
            Protocol::AwsCbor11 => close::<Cbor>(out, next_shard_iterator, millis_behind_latest, children),
        }
    }

    /// Closes the payload of a SubscribeToShardEvent. At the end of a shard there are children and no
    /// continuation, else it is the other way round.
    pub fn close_event(
        self,
        out: &mut Vec<u8>,
        continuation: Option<SequenceNumber>,
        millis_behind_latest: i64,
        children: &[ChildShard<'_>],
    ) {
        fn close<N: Notation>(
            out: &mut Vec<u8>,
            continuation: Option<SequenceNumber>,
            behind: i64,
            children: &[ChildShard<'_>],
        ) {
            N::close_list(out);
            if let Some(continuation) = continuation {
                sequence_number::<N>(out, "ContinuationSequenceNumber", continuation);
            }
            end::<N>(out, behind, children);
        }
        match self.protocol {
            Protocol::AwsJson11 => close::<Json>(out, continuation, millis_behind_latest, children),
            Protocol::AwsCbor11 => close::<Cbor>(out, continuation, millis_behind_latest, children),
        }
    }
}

/// What both kinds of answer end with.
fn end<N: Notation>(out: &mut Vec<u8>, millis_behind_latest: i64, children: &[ChildShard<'_>]) {
    N::member(out, "MillisBehindLatest");
    N::integer(out, millis_behind_latest);
    if !children.is_empty() {
        out.reserve(children.len() * CHILD_OVERHEAD);
        N::member(out, "ChildShards");
        N::open_list(out);
        for child in children {
            N::element(out);
            N::open_map(out);
            shard_id::<N>(out, "ShardId", child.shard);
            N::member(out, "ParentShards");
            N::open_list(out);
            for parent in child.parents {
                N::element(out);
                N::plain_text(out, &shard_id_text(*parent));
            }
            N::close_list(out);
            N::member(out, "HashKeyRange");
            N::open_map(out);
            N::member(out, "StartingHashKey");
            N::plain_text(out, child.range.start.to_string().as_bytes());
            N::member(out, "EndingHashKey");
            N::plain_text(out, child.range.end.to_string().as_bytes());
            N::close_map(out);
            N::close_map(out);
        }
        N::close_list(out);
    }
    N::close_map(out);
}

/// A member that is a sequence number.
pub(super) fn sequence_number<N: Notation>(out: &mut Vec<u8>, member: &str, number: SequenceNumber) {
    N::member(out, member);
    N::plain_text(out, number.digits().as_bytes());
}

/// A member that is a shard id.
pub(super) fn shard_id<N: Notation>(out: &mut Vec<u8>, member: &str, shard: ShardIndex) {
    N::member(out, member);
    N::plain_text(out, &shard_id_text(shard));
}

/// As [`ShardIndex`] displays itself, without the formatter.
pub(super) fn shard_id_text(shard: ShardIndex) -> [u8; SHARD_ID] {
    let mut text = *b"shardId-000000000000";
    let mut index = shard.0;
    for digit in text.iter_mut().rev() {
        if index == 0 {
            break;
        }
        *digit = b'0' + (index % 10) as u8;
        index /= 10;
    }
    text
}
