//! Reads: what to read, and runs on their way out.

use bytes::Bytes;
use thalweg_types::{Offset, ShardKey, Timestamp};

use crate::record::{Record, Records};
use crate::tail::Tail;

/// What to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// From which shard.
    pub shard: ShardKey,
    /// First offset wanted; where it is gone already, the first that is left.
    pub from: Offset,
    /// At most this many records; at least 1.
    pub records_max: u32,
    /// At most this many bytes of data and partition keys, except that one record always comes.
    pub bytes_max: usize,
    /// Records that arrived before this are passed over (retention, to the record).
    pub not_before: Timestamp,
}

/// Records of a shard, in order.
#[derive(Clone, Debug)]
pub struct ReadAnswer {
    /// The records, in runs. May be empty although more follows.
    pub runs: Vec<RunView>,
    /// Where to read on. Never before `Read::from`; past everything in `runs` and everything passed over.
    pub next: Offset,
    /// The shard's end when this was read: at it, nothing more is there now.
    pub tail: Tail,
}

/// Neighbouring records with one arrival time, as they lie in memory: cloning shares the bytes.
#[derive(Clone, Debug)]
pub struct RunView {
    /// Offset of the first record in this view.
    pub first: Offset,
    /// How many records.
    pub count: u32,
    /// When they arrived.
    pub arrival: Timestamp,
    /// Their encoding, exactly these records.
    pub bytes: Bytes,
}

impl RunView {
    /// One past the offset of its last record.
    pub fn end(&self) -> Offset {
        self.first + u64::from(self.count)
    }

    /// The records with their offsets.
    ///
    /// # Panics
    /// When the bytes are not `count` records: engines check what they read from disk before it gets here.
    pub fn records(&self) -> impl Iterator<Item = (Offset, Record<'_>)> {
        (self.first..).zip(Records::new(&self.bytes).map(|r| r.expect("engines hand out checked runs")))
    }

    /// The part of this view from `skip` records on, at most `count_max` records and `bytes_max` bytes of data and
    /// keys, yet at least one record when `at_least_one`. `None` when that leaves nothing.
    ///
    /// # Panics
    /// As [`RunView::records`].
    pub fn cut(&self, skip: u32, count_max: u32, bytes_max: usize, at_least_one: bool) -> Option<RunView> {
        let mut start = 0;
        let (mut end, mut count, mut payload) = (0, 0, 0);
        let mut records = Records::new(&self.bytes);
        for index in 0..self.count {
            let record = records.next().expect("count").expect("engines hand out checked runs");
            if index < skip {
                start = records.position();
                end = start;
                continue;
            }
            payload += record.payload_bytes();
            if count == count_max || (payload > bytes_max && !(at_least_one && count == 0)) {
                break;
            }
            count += 1;
            end = records.position();
        }
        (count > 0).then(|| RunView {
            first: self.first + u64::from(skip),
            count,
            arrival: self.arrival,
            bytes: self.bytes.slice(start..end),
        })
    }
}

/// Why a read failed. None of these is the reader's fault except the first.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// There is no such shard (any more).
    #[error("there is no shard {0}")]
    UnknownShard(ShardKey),
    /// What the disk holds is not what was written.
    #[error("{file} is damaged at byte {position}: {what}")]
    Corrupt {
        /// The damaged file.
        file: String,
        /// Where in it.
        position: u64,
        /// What does not fit.
        what: String,
    },
    /// The disk did not answer as it should; trying again may help.
    #[error("the disk failed: {0}")]
    Disk(String),
}
