//! Requests of the hot operations, borrowed from their bodies.

use thalweg_types::limits::PUT_RECORDS_COUNT_MAX;

use super::likeness::Likeness;
use super::scan::{Scan, once};
use crate::Protocol;
use crate::aws_cbor::CborScan;
use crate::aws_json::JsonScan;
use crate::base64;

/// A blob as the body carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data<'a> {
    /// Text that is base64 if it decodes.
    Base64 {
        /// The text. Its length is a multiple of 4.
        text: &'a [u8],
        /// How many bytes it decodes to.
        length: usize,
    },
    /// The bytes themselves.
    Raw(&'a [u8]),
}

/// A blob's text is not base64 after all: take the ordinary path, which words the error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not base64")]
pub struct NotBase64;

impl<'a> Data<'a> {
    /// Of base64 text; declines lengths that base64 cannot have.
    pub(crate) fn base64(text: &'a [u8]) -> Option<Self> {
        let padding = match text {
            [.., b'=', b'='] => 2,
            [.., b'='] => 1,
            _ => 0,
        };
        text.len().is_multiple_of(4).then(|| Data::Base64 { text, length: text.len() / 4 * 3 - padding })
    }

    /// How many bytes it is, decoded.
    pub fn len(&self) -> usize {
        match self {
            Data::Base64 { length, .. } => *length,
            Data::Raw(bytes) => bytes.len(),
        }
    }

    /// Whether it is no bytes at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends the decoded bytes.
    ///
    /// # Errors
    /// When the text is not base64; `out` is as before.
    pub fn append_to(&self, out: &mut Vec<u8>) -> Result<(), NotBase64> {
        match self {
            Data::Base64 { text, .. } => base64::decode_append(text, out),
            Data::Raw(bytes) => {
                out.extend_from_slice(bytes);
                Ok(())
            }
        }
    }

    /// Whether [`Data::append_to`] will do it. As expensive as that: for whoever must know before.
    ///
    /// # Errors
    /// When the text is not base64.
    pub fn check(&self) -> Result<(), NotBase64> {
        match self {
            Data::Base64 { .. } => self.append_to(&mut Vec::new()),
            Data::Raw(_) => Ok(()),
        }
    }
}

/// One record of a PutRecords.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PutEntry<'a> {
    /// The partition key, any text.
    pub partition_key: Option<&'a str>,
    /// The explicit hash key, any text.
    pub explicit_hash_key: Option<&'a str>,
    /// The data.
    pub data: Data<'a>,
}

/// A PutRecords without DryRun and StreamId. No constraint but the number of records is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutRecords<'a> {
    /// StreamName, any text.
    pub stream_name: Option<&'a str>,
    /// StreamARN, any text.
    pub stream_arn: Option<&'a str>,
    /// At most [`PUT_RECORDS_COUNT_MAX`] records.
    pub records: Vec<PutEntry<'a>>,
}

/// A PutRecord without DryRun and StreamId. No constraint is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PutRecord<'a> {
    /// StreamName, any text.
    pub stream_name: Option<&'a str>,
    /// StreamARN, any text.
    pub stream_arn: Option<&'a str>,
    /// SequenceNumberForOrdering, any text.
    pub sequence_number_for_ordering: Option<&'a str>,
    /// The record.
    pub record: PutEntry<'a>,
}

/// A GetRecords without DryRun and StreamId. No constraint is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GetRecords<'a> {
    /// ShardIterator, any text.
    pub shard_iterator: &'a str,
    /// Limit, any number that is not negative.
    pub limit: Option<i64>,
    /// StreamARN, any text.
    pub stream_arn: Option<&'a str>,
}

impl<'a> PutRecords<'a> {
    /// Reads a body, or declines.
    pub fn scan(protocol: Protocol, body: &'a [u8]) -> Option<Self> {
        Self::read(protocol, body, false)
    }

    /// Reads a body in a shorter time: records that look like those before them are taken to be so. What it reads is
    /// right if all data decodes; else it may be anything, and whoever gets no further must [`PutRecords::scan`].
    /// Declines what a scan declines, and more.
    pub fn guess(protocol: Protocol, body: &'a [u8]) -> Option<Self> {
        Self::read(protocol, body, true)
    }

    fn read(protocol: Protocol, body: &'a [u8], guess: bool) -> Option<Self> {
        match protocol {
            Protocol::AwsJson11 => Self::walk(JsonScan::new(body), guess),
            Protocol::AwsCbor11 => Self::walk(CborScan::new(body), guess),
        }
    }

    fn walk(mut scan: impl Scan<'a>, guess: bool) -> Option<Self> {
        let (mut stream_name, mut stream_arn, mut records) = (None, None, None);
        let mut request = scan.open_map()?;
        while let Some(name) = scan.member(&mut request)? {
            match name {
                b"Records" => once(&mut records, entries(&mut scan, guess))?,
                b"StreamName" => once(&mut stream_name, scan.text())?,
                b"StreamARN" => once(&mut stream_arn, scan.text())?,
                _ => return None,
            }
        }
        scan.ended().then_some(())?;
        Some(PutRecords { stream_name, stream_arn, records: records? })
    }
}

fn entries<'a>(scan: &mut impl Scan<'a>, guess: bool) -> Option<Vec<PutEntry<'a>>> {
    let mut entries = Vec::new();
    let mut likeness = Likeness::new(guess);
    let mut list = scan.open_list()?;
    while scan.element(&mut list)? {
        if entries.len() == PUT_RECORDS_COUNT_MAX {
            return None;
        }
        let entry = match likeness.take(scan) {
            Some(entry) => entry,
            None => {
                let start = scan.rest();
                let entry = entry(scan)?;
                likeness.walked(&start[..start.len() - scan.rest().len()], &entry);
                entry
            }
        };
        if entries.is_empty() {
            // Once, for as many as there may be: 32 KiB that are not touched cost nothing, growing does.
            entries.reserve_exact(PUT_RECORDS_COUNT_MAX);
        }
        entries.push(entry);
    }
    Some(entries)
}

fn entry<'a>(scan: &mut impl Scan<'a>) -> Option<PutEntry<'a>> {
    let (mut data, mut partition_key, mut explicit_hash_key) = (None, None, None);
    let mut entry = scan.open_map()?;
    while let Some(name) = scan.member(&mut entry)? {
        match name {
            b"Data" => once(&mut data, scan.data())?,
            b"PartitionKey" => once(&mut partition_key, scan.text())?,
            b"ExplicitHashKey" => once(&mut explicit_hash_key, scan.text())?,
            _ => return None,
        }
    }
    Some(PutEntry { partition_key, explicit_hash_key, data: data? })
}

impl<'a> PutRecord<'a> {
    /// Reads a body, or declines.
    pub fn scan(protocol: Protocol, body: &'a [u8]) -> Option<Self> {
        match protocol {
            Protocol::AwsJson11 => Self::read(JsonScan::new(body)),
            Protocol::AwsCbor11 => Self::read(CborScan::new(body)),
        }
    }

    fn read(mut scan: impl Scan<'a>) -> Option<Self> {
        let (mut stream_name, mut stream_arn, mut ordering) = (None, None, None);
        let (mut data, mut partition_key, mut explicit_hash_key) = (None, None, None);
        let mut request = scan.open_map()?;
        while let Some(name) = scan.member(&mut request)? {
            match name {
                b"Data" => once(&mut data, scan.data())?,
                b"PartitionKey" => once(&mut partition_key, scan.text())?,
                b"ExplicitHashKey" => once(&mut explicit_hash_key, scan.text())?,
                b"StreamName" => once(&mut stream_name, scan.text())?,
                b"StreamARN" => once(&mut stream_arn, scan.text())?,
                b"SequenceNumberForOrdering" => once(&mut ordering, scan.text())?,
                _ => return None,
            }
        }
        scan.ended().then_some(())?;
        let record = PutEntry { partition_key, explicit_hash_key, data: data? };
        Some(PutRecord { stream_name, stream_arn, sequence_number_for_ordering: ordering, record })
    }
}

impl<'a> GetRecords<'a> {
    /// Reads a body, or declines.
    pub fn scan(protocol: Protocol, body: &'a [u8]) -> Option<Self> {
        match protocol {
            Protocol::AwsJson11 => Self::read(JsonScan::new(body)),
            Protocol::AwsCbor11 => Self::read(CborScan::new(body)),
        }
    }

    fn read(mut scan: impl Scan<'a>) -> Option<Self> {
        let (mut shard_iterator, mut limit, mut stream_arn) = (None, None, None);
        let mut request = scan.open_map()?;
        while let Some(name) = scan.member(&mut request)? {
            match name {
                b"ShardIterator" => once(&mut shard_iterator, scan.text())?,
                b"Limit" => once(&mut limit, scan.number())?,
                b"StreamARN" => once(&mut stream_arn, scan.text())?,
                _ => return None,
            }
        }
        scan.ended().then_some(())?;
        Some(GetRecords { shard_iterator: shard_iterator?, limit, stream_arn })
    }
}
