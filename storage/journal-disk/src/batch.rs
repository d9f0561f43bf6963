//! A batch's bytes: what one durable write commits to the ring.
//!
//! ```text
//!   +--------+-----------+-----------+--------------+---------+
//!   | header | directory | run bytes | run bytes …  | zeros   |   whole blocks
//!   +--------+-----------+-----------+--------------+---------+
//!   \__ checksum covers __/\_ each run has its own _/
//! ```
//!
//! The directory holds every run's checksum (made by whoever encoded the records) and is itself under the batch's
//! checksum: each byte of a record is summed once on its way in. Not here: where in the ring a batch lies
//! ([`crate::ring`]) and what its entries do to a shard ([`crate::committer`], [`crate::drain`]).

use std::sync::Arc;

use bytes::Bytes;
use thalweg_journal::checksum;
use thalweg_system::AlignedBuffer;
use thalweg_types::{Offset, ShardIndex, ShardKey, StreamId, Timestamp};

use crate::layout::{
    get_i64, get_u16, get_u32, get_u64, put_i64, put_u16, put_u32, put_u64, sum_behind_first_field,
};
use crate::settings::BLOCK_BYTES;

/// `TWB1` in the file.
const MAGIC: u32 = u32::from_le_bytes(*b"TWB1");
/// The latest batch format that is read. It has entries that forget shards…
pub(crate) const VERSION: u16 = 2;
/// …and a batch without them is written as what it is to earlier builds, too: those take an entry that they do not know
/// for a torn end, and would drop it.
const VERSION_1: u16 = 1;
/// Bytes before the directory.
pub(crate) const HEADER_BYTES: usize = 96;
/// Bytes of a directory entry.
pub(crate) const ENTRY_BYTES: usize = 64;
/// What a run costs in memory beside its bytes: its place in its shard's index.
pub(crate) const ENTRY_COST_BYTES: usize = 48;

/// The first batch of an epoch.
pub(crate) const FLAG_EPOCH: u16 = 1;
/// Carries nothing and says that the batch before it is durable.
pub(crate) const FLAG_CONFIRM: u16 = 2;

/// A place between two batches of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogPoint {
    /// Number of the batch before it; the first batch of a journal is 1.
    pub(crate) position: u64,
    /// Epoch of that batch.
    pub(crate) epoch: u64,
    /// Its checksum.
    pub(crate) checksum: u32,
    /// The slot it lies in.
    pub(crate) slot: u32,
    /// That slot's generation: grows by one with each slot that the log enters.
    pub(crate) generation: u64,
    /// Where in the slot the next batch goes, if it fits.
    pub(crate) offset: u64,
}

impl LogPoint {
    /// Before the first batch of a journal: in no slot yet.
    pub(crate) const ORIGIN: LogPoint =
        LogPoint { position: 0, epoch: 0, checksum: 0, slot: 0, generation: 0, offset: 0 };
}

/// A batch's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) flags: u16,
    pub(crate) entries: u32,
    pub(crate) journal: u64,
    pub(crate) epoch: u64,
    pub(crate) position: u64,
    pub(crate) durable_through: u64,
    pub(crate) generation: u64,
    pub(crate) wall: Timestamp,
    pub(crate) total_bytes: u32,
    pub(crate) payload_bytes: u32,
    pub(crate) previous_checksum: u32,
    /// Of this batch: header and directory.
    pub(crate) checksum: u32,
}

/// What a directory entry does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Records join the shard.
    Records,
    /// The shard begins to exist; `first` is a time ([`Entry::not_before`]).
    Open,
    /// The shard takes no more; `first` is its next offset for ever.
    Seal,
    /// Everything before `first` is gone.
    Trim,
    /// The stream is gone; `shard` means nothing.
    Delete,
    /// The shard, which is sealed, exists no longer; `first` is its next offset.
    Forget,
}

/// A directory entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    pub(crate) shard: ShardKey,
    pub(crate) first: Offset,
    pub(crate) arrival: Timestamp,
    pub(crate) count: u32,
    pub(crate) length: u32,
    pub(crate) checksum: u32,
}

impl Entry {
    /// One without records.
    pub(crate) fn mark(kind: Kind, shard: ShardKey, first: Offset, arrival: Timestamp) -> Self {
        Entry { kind, shard, first, arrival, count: 0, length: 0, checksum: 0 }
    }

    /// One that opens a shard in which nothing arrives before `not_before`: that takes the place of an offset. Its own
    /// arrival was written before there was such a time, and bounds nothing.
    pub(crate) fn open(shard: ShardKey, not_before: Timestamp, arrival: Timestamp) -> Self {
        let first = u64::try_from(not_before.as_millis()).unwrap_or(0);
        Entry::mark(Kind::Open, shard, first, arrival)
    }

    /// Of an entry that opens a shard: before this time nothing arrives in it.
    pub(crate) fn not_before(&self) -> Timestamp {
        Timestamp::from_millis(i64::try_from(self.first).unwrap_or(i64::MAX))
    }
}

/// Why bytes are not a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not even its first bytes look like one.
    NoBatch,
    /// A later version wrote it.
    Version(u16),
    /// It is longer than the bytes at hand: this many are needed to check it.
    Short(usize),
    /// It contradicts itself; at this byte of it.
    Damaged { at: usize, what: &'static str },
}

/// Bytes of a batch with so many entries and run bytes, in whole blocks.
pub(crate) fn total_bytes(entries: usize, payload_bytes: usize) -> usize {
    (HEADER_BYTES + entries * ENTRY_BYTES + payload_bytes).next_multiple_of(BLOCK_BYTES)
}

/// Lays a batch out in `buffer`, with its checksum, and returns that. `header`'s lengths, counts and checksum are
/// filled in here.
///
/// # Panics
/// When `buffer` is smaller than [`total_bytes`] says, or the payload is not what the entries say.
pub(crate) fn encode<'a>(
    header: &Header,
    entries: &[Entry],
    payload: impl Iterator<Item = &'a [u8]>,
    buffer: &mut AlignedBuffer,
) -> u32 {
    buffer.clear();
    buffer.extend_zeros(HEADER_BYTES);
    let mut payload_bytes = 0usize;
    let mut version = VERSION_1;
    for entry in entries {
        buffer.extend_from_slice(&encode_entry(entry));
        payload_bytes += entry.length as usize;
        let is_new = match entry.kind {
            Kind::Forget => true,
            // A build that does not know this time would put earlier records there.
            Kind::Open => entry.not_before() > entry.arrival,
            _ => false,
        };
        if is_new {
            version = VERSION;
        }
    }
    let total = total_bytes(entries.len(), payload_bytes);
    for part in payload {
        buffer.extend_from_slice(part);
    }
    let content = HEADER_BYTES + entries.len() * ENTRY_BYTES + payload_bytes;
    assert_eq!(buffer.len(), content, "the entries describe the payload");
    buffer.pad_to(BLOCK_BYTES);
    assert_eq!(buffer.len(), total, "padding fills the last block");
    let small = |bytes: usize| u32::try_from(bytes).expect("settings keep batches under 4 GiB");
    put_u32(buffer, 4, MAGIC);
    put_u16(buffer, 8, version);
    put_u16(buffer, 10, header.flags);
    put_u32(buffer, 12, small(entries.len()));
    put_u64(buffer, 16, header.journal);
    put_u64(buffer, 24, header.epoch);
    put_u64(buffer, 32, header.position);
    put_u64(buffer, 40, header.durable_through);
    put_u64(buffer, 48, header.generation);
    put_i64(buffer, 56, header.wall.as_millis());
    put_u32(buffer, 64, small(total));
    put_u32(buffer, 68, small(payload_bytes));
    put_u32(buffer, 72, header.previous_checksum);
    let sum = sum_behind_first_field(&buffer[..HEADER_BYTES + entries.len() * ENTRY_BYTES]);
    put_u32(buffer, 0, sum);
    sum
}

fn encode_entry(entry: &Entry) -> [u8; ENTRY_BYTES] {
    let mut bytes = [0; ENTRY_BYTES];
    put_u64(&mut bytes, 0, entry.shard.stream.0);
    put_u32(&mut bytes, 8, entry.shard.shard.0);
    bytes[12] = match entry.kind {
        Kind::Records => 1,
        Kind::Open => 2,
        Kind::Seal => 3,
        Kind::Trim => 4,
        Kind::Delete => 5,
        Kind::Forget => 6,
    };
    put_u64(&mut bytes, 16, entry.first);
    put_i64(&mut bytes, 24, entry.arrival.as_millis());
    put_u32(&mut bytes, 32, entry.count);
    put_u32(&mut bytes, 36, entry.length);
    put_u32(&mut bytes, 40, entry.checksum);
    // 44: zero; 48: the key's id, zero means clear; 56: zero.
    bytes
}

fn decode_entry(bytes: &[u8]) -> Result<Entry, &'static str> {
    let kind = match bytes[12] {
        1 => Kind::Records,
        2 => Kind::Open,
        3 => Kind::Seal,
        4 => Kind::Trim,
        5 => Kind::Delete,
        6 => Kind::Forget,
        _ => return Err("a directory entry of an unknown kind"),
    };
    if get_u64(bytes, 48) != 0 {
        return Err("a run that is encrypted, which this version cannot read");
    }
    Ok(Entry {
        kind,
        shard: ShardKey { stream: StreamId(get_u64(bytes, 0)), shard: ShardIndex(get_u32(bytes, 8)) },
        first: get_u64(bytes, 16),
        arrival: Timestamp::from_millis(get_i64(bytes, 24)),
        count: get_u32(bytes, 32),
        length: get_u32(bytes, 36),
        checksum: get_u32(bytes, 40),
    })
}

/// Reads and checks a batch's header and directory at the start of `bytes`, which may end before or after the batch
/// does. The runs are not looked at: [`check_runs`].
pub(crate) fn decode(bytes: &[u8], journal: u64) -> Result<Header, Fault> {
    if bytes.len() < HEADER_BYTES {
        return Err(Fault::Short(HEADER_BYTES));
    }
    if get_u32(bytes, 4) != MAGIC || get_u64(bytes, 16) != journal {
        return Err(Fault::NoBatch);
    }
    let entries = get_u32(bytes, 12);
    let total = get_u32(bytes, 64) as usize;
    let payload = get_u32(bytes, 68) as usize;
    let summed = HEADER_BYTES + entries as usize * ENTRY_BYTES;
    if total != (summed + payload).next_multiple_of(BLOCK_BYTES) {
        return Err(Fault::Damaged { at: 64, what: "its lengths contradict one another" });
    }
    if bytes.len() < summed {
        return Err(Fault::Short(summed));
    }
    let sum = sum_behind_first_field(&bytes[..summed]);
    if sum != get_u32(bytes, 0) {
        return Err(Fault::Damaged { at: 0, what: "its header's checksum does not fit" });
    }
    // Only now: a version is believed when it is under a checksum that fits.
    let version = get_u16(bytes, 8);
    if version > VERSION {
        return Err(Fault::Version(version));
    }
    Ok(Header {
        flags: get_u16(bytes, 10),
        entries,
        journal,
        epoch: get_u64(bytes, 24),
        position: get_u64(bytes, 32),
        durable_through: get_u64(bytes, 40),
        generation: get_u64(bytes, 48),
        wall: Timestamp::from_millis(get_i64(bytes, 56)),
        total_bytes: get_u32(bytes, 64),
        payload_bytes: get_u32(bytes, 68),
        previous_checksum: get_u32(bytes, 72),
        checksum: sum,
    })
}

/// Whether a header that does not check out is, but for one of its fields, that of the batch behind `head`: what a write that
/// was cut short leaves, or damage. Blocks that the log has left behind have other positions and another chain.
///
/// # Panics
/// When there is less than a header.
pub(crate) fn resembles(bytes: &[u8], journal: u64, head: &LogPoint, generation: u64) -> bool {
    let fitting = [
        get_u32(bytes, 4) == MAGIC,
        get_u64(bytes, 16) == journal,
        get_u64(bytes, 32) == head.position + 1,
        get_u64(bytes, 48) == generation,
        get_u32(bytes, 72) == head.checksum,
    ];
    fitting.iter().filter(|fits| **fits).count() >= fitting.len() - 1
}

/// Checks every run of a batch whose header and directory [`decode`] accepted.
pub(crate) fn check_runs(bytes: &[u8], header: &Header) -> Result<(), Fault> {
    let mut start = HEADER_BYTES + header.entries as usize * ENTRY_BYTES;
    let end = start + header.payload_bytes as usize;
    if bytes.len() < header.total_bytes as usize {
        return Err(Fault::Short(header.total_bytes as usize));
    }
    for index in 0..header.entries as usize {
        let at = HEADER_BYTES + index * ENTRY_BYTES;
        let entry = decode_entry(&bytes[at..at + ENTRY_BYTES]).map_err(|what| Fault::Damaged { at, what })?;
        let run = start..start + entry.length as usize;
        if run.end > end {
            return Err(Fault::Damaged { at, what: "its runs are longer than its payload" });
        }
        if entry.length > 0 && checksum(&bytes[run.clone()]) != entry.checksum {
            return Err(Fault::Damaged { at: run.start, what: "a run's checksum does not fit" });
        }
        start = run.end;
    }
    if start == end {
        Ok(())
    } else {
        Err(Fault::Damaged { at: 68, what: "its runs do not fill its payload" })
    }
}

/// A durable batch in memory. Readers' runs are slices of its bytes.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The place behind it.
    pub(crate) end: LogPoint,
    /// All of it, header and padding included.
    pub(crate) bytes: Bytes,
    /// Directory entries.
    pub(crate) entries: u32,
    /// What it counts for in every budget.
    pub(crate) cost: usize,
}

impl Batch {
    /// # Panics
    /// When `bytes` are not the batch of `header`, checked.
    pub(crate) fn new(end: LogPoint, bytes: Bytes, entries: u32) -> Arc<Self> {
        let cost = bytes.len() + entries as usize * ENTRY_COST_BYTES;
        Arc::new(Batch { end, bytes, entries, cost })
    }

    /// The entries, each with the place of its run within [`Batch::bytes`].
    pub(crate) fn entries(&self) -> impl Iterator<Item = (Entry, usize)> {
        let mut start = HEADER_BYTES + self.entries as usize * ENTRY_BYTES;
        (0..self.entries as usize).map(move |index| {
            let at = HEADER_BYTES + index * ENTRY_BYTES;
            let entry = decode_entry(&self.bytes[at..at + ENTRY_BYTES])
                .expect("batches in memory were written or checked by us");
            let run = start;
            start += entry.length as usize;
            (entry, run)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            flags: FLAG_EPOCH,
            entries: 0,
            journal: 0x1122_3344_5566_7788,
            epoch: 3,
            position: 9,
            durable_through: 8,
            generation: 2,
            wall: Timestamp::from_millis(1_700_000_000_123),
            total_bytes: 0,
            payload_bytes: 0,
            previous_checksum: 0xdead_beef,
            checksum: 0,
        }
    }

    fn sample() -> (AlignedBuffer, u32) {
        let shard = ShardKey { stream: StreamId(5), shard: ShardIndex(1) };
        let arrival = Timestamp::from_millis(77);
        let run = b"not looked into";
        let entries = [
            Entry::mark(Kind::Open, shard, 0, arrival),
            Entry {
                kind: Kind::Records,
                shard,
                first: 10,
                arrival,
                count: 2,
                length: 15,
                checksum: checksum(run),
            },
        ];
        let mut buffer = AlignedBuffer::with_capacity(total_bytes(2, 15));
        let sum = encode(&header(), &entries, std::iter::once(&run[..]), &mut buffer);
        (buffer, sum)
    }

    #[test]
    fn the_format_of_version_1_is_pinned() {
        let (buffer, sum) = sample();
        let mut expected = vec![0; BLOCK_BYTES];
        let fields: &[(usize, &[u8])] = &[
            (0, &sum.to_le_bytes()),
            (4, b"TWB1\x01\0\x01\0\x02\0\0\0"),
            (16, &[0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11]),
            (24, &[3]),
            (32, &[9]),
            (40, &[8]),
            (48, &[2]),
            (56, &1_700_000_000_123u64.to_le_bytes()),
            (64, &[0, 0x10]),
            (68, &[15]),
            (72, &[0xef, 0xbe, 0xad, 0xde]),
            // The first entry: open stream 5, shard 1.
            (96, &[5, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2]),
            (96 + 24, &[77]),
            // The second: two records from offset 10 on, 15 bytes.
            (160, &[5, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 10]),
            (160 + 24, &[77, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 15]),
            (160 + 40, &checksum(b"not looked into").to_le_bytes()),
            (224, b"not looked into"),
        ];
        for (at, bytes) in fields {
            expected[*at..at + bytes.len()].copy_from_slice(bytes);
        }
        assert_eq!(&buffer[..], &expected[..]);
        assert_eq!(sum, 0xb334_11ad, "the checksum of these very bytes");
    }

    #[test]
    fn a_batch_that_forgets_is_of_version_2() {
        let shard = ShardKey { stream: StreamId(5), shard: ShardIndex(1) };
        let entries = [Kind::Seal, Kind::Forget].map(|kind| Entry::mark(kind, shard, 12, Timestamp::ZERO));
        let mut buffer = AlignedBuffer::with_capacity(total_bytes(2, 0));
        encode(&header(), &entries, std::iter::empty(), &mut buffer);
        assert_eq!(&buffer[4..10], b"TWB1\x02\0");
        assert_eq!(&buffer[160..180], &[5, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 6, 0, 0, 0, 12, 0, 0, 0]);
        let found = decode(&buffer, header().journal).expect("it was just encoded");
        check_runs(&buffer, &found).expect("it was just encoded");
        let batch = Batch::new(LogPoint::ORIGIN, buffer.to_vec().into(), found.entries);
        assert_eq!(batch.entries().map(|(entry, _)| entry).collect::<Vec<_>>(), entries);
    }

    #[test]
    fn a_batch_that_opens_a_shard_for_later_is_of_version_2() {
        let shard = ShardKey { stream: StreamId(5), shard: ShardIndex(1) };
        for (not_before, version) in [(0, 1), (50, 1), (51, 2)] {
            let at = Timestamp::from_millis;
            let entries = [Entry::open(shard, at(not_before), at(50))];
            let mut buffer = AlignedBuffer::with_capacity(total_bytes(1, 0));
            encode(&header(), &entries, std::iter::empty(), &mut buffer);
            assert_eq!(buffer[8], version, "not before {not_before}");
        }
    }

    #[test]
    fn what_was_encoded_is_decoded() {
        let (buffer, sum) = sample();
        let found = decode(&buffer, header().journal).expect("it was just encoded");
        let expected = Header { entries: 2, total_bytes: 4096, payload_bytes: 15, checksum: sum, ..header() };
        assert_eq!(found, expected);
        check_runs(&buffer, &found).expect("it was just encoded");
    }

    #[test]
    fn each_bit_that_means_anything_is_under_a_checksum() {
        let (buffer, _) = sample();
        let content = HEADER_BYTES + 2 * ENTRY_BYTES + 15;
        for bit in 0..content * 8 {
            let mut flipped = buffer.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let accepted =
                decode(&flipped, header().journal).and_then(|header| check_runs(&flipped, &header));
            assert!(accepted.is_err(), "bit {bit} may flip unseen");
        }
    }

    #[test]
    fn any_part_of_a_batch_is_safe_to_read() {
        let (buffer, _) = sample();
        for length in 0..buffer.len() {
            let short = decode(&buffer[..length], header().journal)
                .and_then(|header| check_runs(&buffer[..length], &header));
            assert!(matches!(short, Err(Fault::Short(needed)) if needed > length), "{length} bytes");
        }
    }

    #[test]
    fn another_journals_batch_is_no_batch() {
        let (buffer, _) = sample();
        assert_eq!(decode(&buffer, 1), Err(Fault::NoBatch));
    }
}
