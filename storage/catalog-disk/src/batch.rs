//! One batch of the log: its bytes, and what makes it valid. `docs/formats/catalog.md` draws them.
//!
//! Pure: no file is touched here, and which batches follow one another is `recovery`'s to say.

use bytes::{Buf, Bytes};
use crc_fast::{CrcAlgorithm, checksum};
use thalweg_catalog::{Version, Write};
use thalweg_system::AlignedBuffer;

use crate::FORMAT_VERSION;

const MAGIC: [u8; 4] = *b"TWCB";

/// What the checksum leaves out: the magic and itself.
const UNCHECKED_BYTES: usize = 8;

/// Before the payload.
pub(crate) const HEADER_BYTES: usize = 72;

const TAG_DELETE: u8 = 0;
const TAG_PUT: u8 = 1;

/// CRC-32C.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    u32::try_from(checksum(CrcAlgorithm::Crc32Iscsi, bytes)).expect("this CRC has 32 bits")
}

/// What a batch is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BatchKind {
    /// Commits, in order.
    Commits,
    /// Nothing: it shows that the batch before it was durable.
    Confirmation,
    /// Nothing: it begins the epoch of a start.
    Epoch,
}

/// Everything before the payload but the magic, the checksum and the format version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    pub(crate) kind: BatchKind,
    /// The checksum of the batch before this one.
    pub(crate) previous: u32,
    /// What all files of one catalog share, and no value stored in it can guess.
    pub(crate) lineage: u64,
    /// Grows with each change from one log file to the other.
    pub(crate) generation: u64,
    /// Grows by one with each batch.
    pub(crate) sequence: u64,
    /// Grows with each start.
    pub(crate) epoch: u64,
    /// The highest sequence known durable when this one was encoded.
    pub(crate) durable_through: u64,
    /// The version before the first commit of this batch.
    pub(crate) base_version: Version,
    pub(crate) commits: u32,
    pub(crate) payload_bytes: u32,
}

/// How long a batch with this payload is on disk.
pub(crate) fn batch_bytes(payload_bytes: usize, block: u64) -> u64 {
    ((HEADER_BYTES + payload_bytes) as u64).next_multiple_of(block)
}

/// How long one commit is in a payload.
pub(crate) fn commit_bytes(writes: &[Write]) -> usize {
    let mut bytes = 4;
    for write in writes {
        bytes += match write {
            Write::Put(key, value) => 1 + 4 + 4 + key.len() + value.len(),
            Write::Delete(key) => 1 + 4 + key.len(),
        };
    }
    bytes
}

fn length_of(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).expect("commits are bounded").to_le_bytes()
}

fn encode_commit(writes: &[Write], out: &mut AlignedBuffer) {
    let count = u32::try_from(writes.len()).expect("commits are bounded");
    out.extend_from_slice(&count.to_le_bytes());
    for write in writes {
        match write {
            Write::Put(key, value) => {
                out.extend_from_slice(&[TAG_PUT]);
                out.extend_from_slice(&length_of(key));
                out.extend_from_slice(&length_of(value));
                out.extend_from_slice(key);
                out.extend_from_slice(value);
            }
            Write::Delete(key) => {
                out.extend_from_slice(&[TAG_DELETE]);
                out.extend_from_slice(&length_of(key));
                out.extend_from_slice(key);
            }
        }
    }
}

/// The whole batch, padded with zeros to blocks, and its checksum.
///
/// # Panics
/// When `commits` is not what the header says.
pub(crate) fn encode<'a>(
    header: &BatchHeader,
    commits: impl Iterator<Item = &'a [Write]>,
    block: u64,
) -> (AlignedBuffer, u32) {
    let bytes = batch_bytes(header.payload_bytes as usize, block);
    let mut out = AlignedBuffer::with_capacity(usize::try_from(bytes).expect("batches are bounded"));
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&u16::try_from(FORMAT_VERSION).expect("versions are small").to_le_bytes());
    let kind: u16 = match header.kind {
        BatchKind::Commits => 1,
        BatchKind::Confirmation => 2,
        BatchKind::Epoch => 3,
    };
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&header.previous.to_le_bytes());
    for field in [
        header.lineage,
        header.generation,
        header.sequence,
        header.epoch,
        header.durable_through,
        header.base_version,
    ] {
        out.extend_from_slice(&field.to_le_bytes());
    }
    out.extend_from_slice(&header.commits.to_le_bytes());
    out.extend_from_slice(&header.payload_bytes.to_le_bytes());
    assert_eq!(out.len(), HEADER_BYTES, "the header is as long as the format says");
    let mut count = 0;
    for writes in commits {
        encode_commit(writes, &mut out);
        count += 1;
    }
    let encoded = (count, out.len() - HEADER_BYTES);
    assert_eq!(encoded, (header.commits, header.payload_bytes as usize), "the header describes the payload");
    out.pad_to(usize::try_from(block).expect("blocks are small"));
    let checksum = crc32c(&out[UNCHECKED_BYTES..]);
    out[4..UNCHECKED_BYTES].copy_from_slice(&checksum.to_le_bytes());
    (out, checksum)
}

/// A valid batch in the bytes of a log file.
#[derive(Clone, Debug)]
pub(crate) struct Batch<'a> {
    pub(crate) header: BatchHeader,
    pub(crate) checksum: u32,
    /// On disk, with the padding.
    pub(crate) bytes: u64,
    pub(crate) payload: &'a [u8],
}

/// What stands at a block of a log file.
pub(crate) enum Found<'a> {
    Batch(Batch<'a>),
    /// A valid batch of a format that this program does not know.
    Unknown {
        version: u32,
    },
    /// Anything else: zeros, the inside of a batch, a torn or damaged one.
    Nothing,
}

/// Looks for a batch of this catalog at the start of `bytes`, which go on to the end of the file.
pub(crate) fn find(bytes: &[u8], lineage: u64, block: u64) -> Found<'_> {
    match try_find(bytes, lineage, block) {
        Some(found) => found,
        None => Found::Nothing,
    }
}

fn try_find(bytes: &[u8], lineage: u64, block: u64) -> Option<Found<'_>> {
    let mut fields = bytes.get(..HEADER_BYTES)?;
    if !fields.starts_with(&MAGIC) {
        return None;
    }
    fields.advance(MAGIC.len());
    let stored = fields.get_u32_le();
    let version = u32::from(fields.get_u16_le());
    let kind = fields.get_u16_le();
    let previous = fields.get_u32_le();
    if fields.get_u64_le() != lineage {
        return None;
    }
    let generation = fields.get_u64_le();
    let sequence = fields.get_u64_le();
    let epoch = fields.get_u64_le();
    let durable_through = fields.get_u64_le();
    let base_version = fields.get_u64_le();
    let commits = fields.get_u32_le();
    let payload_bytes = fields.get_u32_le();

    // The length is where it is in every version: what follows a batch of a newer one is found too.
    let length = batch_bytes(payload_bytes as usize, block);
    let whole = bytes.get(..usize::try_from(length).ok()?)?;
    if crc32c(&whole[UNCHECKED_BYTES..]) != stored {
        return None;
    }
    let kind = match (version, kind) {
        (FORMAT_VERSION, 1) => BatchKind::Commits,
        (FORMAT_VERSION, 2) => BatchKind::Confirmation,
        (FORMAT_VERSION, 3) => BatchKind::Epoch,
        _ => return Some(Found::Unknown { version }),
    };
    let header = BatchHeader {
        kind,
        previous,
        lineage,
        generation,
        sequence,
        epoch,
        durable_through,
        base_version,
        commits,
        payload_bytes,
    };
    let payload = &whole[HEADER_BYTES..HEADER_BYTES + payload_bytes as usize];
    Some(Found::Batch(Batch { header, checksum: stored, bytes: length, payload }))
}

/// Takes the next commit off a payload; `None` when the bytes are no commit, which a valid checksum makes a bug.
pub(crate) fn decode_commit(payload: &mut &[u8]) -> Option<Vec<Write>> {
    let count = payload.try_get_u32_le().ok()?;
    let mut writes = Vec::new();
    for _ in 0..count {
        let tag = payload.try_get_u8().ok()?;
        let key_bytes = payload.try_get_u32_le().ok()?;
        match tag {
            TAG_PUT => {
                let value_bytes = payload.try_get_u32_le().ok()?;
                let key = take(payload, key_bytes)?;
                writes.push(Write::Put(key, take(payload, value_bytes)?));
            }
            TAG_DELETE => writes.push(Write::Delete(take(payload, key_bytes)?)),
            _ => return None,
        }
    }
    Some(writes)
}

/// Takes a copy of the next `count` bytes: rows must not keep a whole log in memory.
pub(crate) fn take(bytes: &mut &[u8], count: u32) -> Option<Bytes> {
    let taken = bytes.split_off(..count as usize)?;
    Some(Bytes::copy_from_slice(taken))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LINEAGE: u64 = 0x1122_3344_5566_7788;

    fn header_of(commits: &[Vec<Write>]) -> BatchHeader {
        BatchHeader {
            kind: BatchKind::Commits,
            previous: 0xaabb_ccdd,
            lineage: LINEAGE,
            generation: 2,
            sequence: 7,
            epoch: 3,
            durable_through: 6,
            base_version: 40,
            commits: u32::try_from(commits.len()).expect("few"),
            payload_bytes: u32::try_from(commits.iter().map(|writes| commit_bytes(writes)).sum::<usize>())
                .expect("small"),
        }
    }

    fn any_commits() -> impl Strategy<Value = Vec<Vec<Write>>> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from);
        let write = prop_oneof![
            (bytes(), bytes()).prop_map(|(key, value)| Write::Put(key, value)),
            bytes().prop_map(Write::Delete),
        ];
        prop::collection::vec(prop::collection::vec(write, 0..8), 0..8)
    }

    #[test]
    fn the_format_of_version_1_is_pinned() {
        let writes = vec![
            Write::Put(Bytes::from_static(b"key"), Bytes::from_static(b"value")),
            Write::Delete(Bytes::from_static(b"gone")),
        ];
        let commits = [writes];
        let (bytes, checksum) = encode(&header_of(&commits), commits.iter().map(Vec::as_slice), 512);
        let mut expected = b"TWCB".to_vec();
        expected.extend_from_slice(&checksum.to_le_bytes());
        expected.extend_from_slice(b"\x01\0\x01\0\xdd\xcc\xbb\xaa\x88\x77\x66\x55\x44\x33\x22\x11");
        for field in [2, 7, 3, 6, 40] {
            expected.extend_from_slice(&[field, 0, 0, 0, 0, 0, 0, 0]);
        }
        expected.extend_from_slice(b"\x01\0\0\0\x1e\0\0\0");
        expected.extend_from_slice(b"\x02\0\0\0\x01\x03\0\0\0\x05\0\0\0keyvalue\0\x04\0\0\0gone");
        expected.resize(512, 0);
        assert_eq!(bytes[..], expected[..]);
        assert_eq!(checksum, crc32c(&expected[8..]));
    }

    #[test]
    fn the_checksum_is_crc_32c() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283, "the check value of the algorithm's catalogue entry");
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_found(commits in any_commits(), block_shift in 9_u32..13) {
            let block = 1 << block_shift;
            let header = header_of(&commits);
            let (mut bytes, checksum) = encode(&header, commits.iter().map(Vec::as_slice), block);
            prop_assert_eq!(bytes.len() as u64 % block, 0);
            let Found::Batch(batch) = find(&bytes, LINEAGE, block) else { panic!("it is a batch") };
            prop_assert_eq!((batch.header, batch.checksum, batch.bytes), (header, checksum, bytes.len() as u64));
            let mut payload = batch.payload;
            for writes in &commits {
                prop_assert_eq!(decode_commit(&mut payload), Some(writes.clone()));
            }
            prop_assert!(payload.is_empty());
            prop_assert!(matches!(find(&bytes, LINEAGE + 1, block), Found::Nothing), "another catalog's");
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            prop_assert!(matches!(find(&bytes, LINEAGE, block), Found::Nothing), "padding is checked too");
        }

        #[test]
        fn any_bytes_are_safe_to_read(tail in any::<Vec<u8>>()) {
            let mut bytes = MAGIC.to_vec();
            bytes.extend_from_slice(&tail);
            let _ = find(&bytes, 0, 512);
            let _ = decode_commit(&mut &tail[..]);
        }
    }

    #[test]
    fn a_later_version_is_recognised() {
        let (mut bytes, _) = encode(&header_of(&[]), std::iter::empty(), 512);
        bytes[8] = 2;
        let checksum = crc32c(&bytes[8..]);
        bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
        assert!(matches!(find(&bytes, LINEAGE, 512), Found::Unknown { version: 2 }));
    }
}
