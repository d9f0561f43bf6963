//! Shard iterators: a place in a shard, sealed into a text that only this installation can make. No state is kept
//! for them, so that any number may be alive, and they outlive a restart.
//!
//! ```text
//! byte  0          8         9       10     12      16       24       32       40          n        n + 16
//!       +----------+---------+-------+------+-------+--------+--------+--------+-----------+----------+
//!       | 0 0 … 1  | version | name  | turn | shard | issued | stream | offset | name, and | MAC      |
//!       | as AWS's |       1 | bytes | u16  | u32   | ms i64 | id u64 | u64    | zeros     | 16 bytes |
//!       +----------+---------+-------+------+-------+--------+--------+--------+-----------+----------+
//! ```
//!
//! Numbers are big-endian; after the first 8 bytes the length is a multiple of 16, as AWS's is; the text is base64:
//! 96 characters for names up to 16 bytes, at most 248. The MAC is HMAC-SHA-256 over everything before it, cut to
//! 128 bits: with access control an iterator names the stream that a caller may read, so nobody else may make one.
//! The stream's name is in it for the errors' sake; the id decides. The turn grows with each answer, so that the next
//! iterator is another one even within a millisecond.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use thalweg_types::limits::ITERATOR_MILLIS;
use thalweg_types::{Offset, ShardIndex, StreamId, StreamName, Timestamp};

/// What AWS's iterators begin with.
const PREFIX: [u8; 8] = [0, 0, 0, 0, 0, 0, 0, 1];
/// Ours, of version 1.
const VERSION: u8 = 1;
/// Everything before the name.
const FIXED_BYTES: usize = 40;
/// Names are padded to a multiple of this.
const BLOCK_BYTES: usize = 16;
/// Length of the MAC.
const MAC_BYTES: usize = 16;
/// Longest name.
const NAME_BYTES_MAX: usize = 128;
/// Longest iterator, decoded.
const BYTES_MAX: usize = FIXED_BYTES + NAME_BYTES_MAX + MAC_BYTES;
/// Longest iterator as text. AWS allows 512 characters.
const TEXT_MAX: usize = BYTES_MAX.div_ceil(3) * 4;

/// Where a reader goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) stream: StreamId,
    pub(crate) shard: ShardIndex,
    pub(crate) offset: Offset,
    /// How many answers ago the reader asked for an iterator; it wraps.
    pub(crate) turn: u16,
}

/// Why a text is no iterator that can be used now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IteratorError {
    /// We did not make it.
    Invalid,
    /// It is too old.
    Expired { issued: Timestamp, now: Timestamp },
}

/// Makes and opens iterators.
pub(crate) struct Sealer {
    keyed: Hmac<Sha256>,
}

/// An iterator's text, on the stack.
pub(crate) struct Token {
    text: [u8; TEXT_MAX],
    length: usize,
}

/// What an iterator says.
pub(crate) struct Opened {
    pub(crate) place: Place,
    bytes: [u8; BYTES_MAX],
    name_length: usize,
}

impl Sealer {
    /// With the installation's secret.
    pub(crate) fn new(secret: &[u8; 32]) -> Self {
        Sealer { keyed: Hmac::new_from_slice(secret).expect("HMAC takes keys of any length") }
    }

    /// The iterator for this place in the stream named so, issued now.
    pub(crate) fn seal(&self, place: Place, name: &StreamName, now: Timestamp) -> Token {
        let name = name.as_str().as_bytes();
        let mut bytes = [0; BYTES_MAX];
        bytes[..8].copy_from_slice(&PREFIX);
        bytes[8] = VERSION;
        bytes[9] = u8::try_from(name.len()).expect("names have at most 128 characters");
        bytes[10..12].copy_from_slice(&place.turn.to_be_bytes());
        bytes[12..16].copy_from_slice(&place.shard.0.to_be_bytes());
        bytes[16..24].copy_from_slice(&now.as_millis().to_be_bytes());
        bytes[24..32].copy_from_slice(&place.stream.0.to_be_bytes());
        bytes[32..40].copy_from_slice(&place.offset.to_be_bytes());
        bytes[FIXED_BYTES..][..name.len()].copy_from_slice(name);
        let signed = signed_length(name.len());
        let mut mac = self.keyed.clone();
        mac.update(&bytes[..signed]);
        bytes[signed..][..MAC_BYTES].copy_from_slice(&mac.finalize().into_bytes()[..MAC_BYTES]);

        let mut token = Token { text: [0; TEXT_MAX], length: 0 };
        let out = base64_simd::Out::from_slice(&mut token.text);
        token.length = base64_simd::STANDARD.encode(&bytes[..signed + MAC_BYTES], out).len();
        token
    }

    /// What `text` says, unless it is not ours or older than AWS allows. Quotes around it do not matter, as on AWS.
    pub(crate) fn open(&self, text: &str, now: Timestamp) -> Result<Opened, IteratorError> {
        let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text).as_bytes();
        if text.len() > TEXT_MAX {
            return Err(IteratorError::Invalid);
        }
        let mut bytes = [0; BYTES_MAX + 2];
        let decoded = base64_simd::STANDARD
            .decode(text, base64_simd::Out::from_slice(&mut bytes))
            .map_err(|_| IteratorError::Invalid)?
            .len();
        if decoded < FIXED_BYTES || bytes[..8] != PREFIX || bytes[8] != VERSION {
            return Err(IteratorError::Invalid);
        }
        let name_length = usize::from(bytes[9]);
        let signed = signed_length(name_length);
        if decoded != signed + MAC_BYTES {
            return Err(IteratorError::Invalid);
        }
        let mut mac = self.keyed.clone();
        mac.update(&bytes[..signed]);
        mac.verify_truncated_left(&bytes[signed..decoded]).map_err(|_| IteratorError::Invalid)?;

        let eight = |from: usize| -> [u8; 8] { bytes[from..from + 8].try_into().expect("8 bytes") };
        let issued = Timestamp::from_millis(i64::from_be_bytes(eight(16)));
        // One from the future is ours too: the wall clock has been set back. It is as good as new.
        if now.as_millis().saturating_sub(issued.as_millis()) > ITERATOR_MILLIS {
            return Err(IteratorError::Expired { issued, now });
        }
        let place = Place {
            stream: StreamId(u64::from_be_bytes(eight(24))),
            shard: ShardIndex(u32::from_be_bytes(bytes[12..16].try_into().expect("4 bytes"))),
            offset: u64::from_be_bytes(eight(32)),
            turn: u16::from_be_bytes(bytes[10..12].try_into().expect("2 bytes")),
        };
        let bytes = bytes[..BYTES_MAX].try_into().expect("the longest iterator");
        Ok(Opened { place, bytes, name_length })
    }
}

/// How many bytes the MAC covers.
fn signed_length(name_length: usize) -> usize {
    FIXED_BYTES + name_length.next_multiple_of(BLOCK_BYTES)
}

impl Token {
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text[..self.length]).expect("base64 is ASCII")
    }
}

impl Opened {
    /// What the stream was called.
    pub(crate) fn name(&self) -> &str {
        std::str::from_utf8(&self.bytes[FIXED_BYTES..][..self.name_length]).expect("names are ASCII")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_421_889_722_500);

    fn sealer() -> Sealer {
        Sealer::new(&[7; 32])
    }

    fn name(text: &str) -> StreamName {
        StreamName::new(text).expect("a good name")
    }

    const PLACE: Place = Place { stream: StreamId(12), shard: ShardIndex(3), offset: 4_567, turn: 0 };

    #[track_caller]
    fn check_open(text: &str, now: Timestamp, expected: Result<(), IteratorError>) {
        let opened = sealer().open(text, now);
        if let Ok(opened) = &opened {
            assert_eq!((opened.place, opened.name()), (PLACE, "orders"));
        }
        assert_eq!(opened.map(drop), expected, "{text}");
    }

    #[test]
    fn the_format_of_version_1_is_pinned() {
        // Iterators are handed out before an update and come back after it.
        let token = sealer().seal(PLACE, &name("orders"), NOW);
        assert_eq!(
            token.as_str(),
            "AAAAAAAAAAEBBgAAAAAAAwAAAUsPO1iEAAAAAAAAAAwAAAAAAAAR129yZGVycwAAAAAAAAAAAAATUqXKEvC0VdvB58yK7wMx"
        );
    }

    #[test]
    fn iterators_look_like_aws_ones() {
        for length in [1, 16, 17, 128] {
            let token = sealer().seal(PLACE, &name(&"n".repeat(length)), NOW);
            let bytes = base64_simd::STANDARD.decode_to_vec(token.as_str()).expect("base64");
            assert_eq!(bytes[..8], PREFIX);
            assert_eq!((bytes.len() - 8) % 16, 0, "the remainder is a multiple of 16");
            assert!(token.as_str().len() <= 512);
        }
        assert_eq!(sealer().seal(PLACE, &name("orders"), NOW).as_str().len(), 96);
    }

    #[test]
    fn an_iterator_is_good_for_five_minutes_as_often_as_one_likes() {
        let token = sealer().seal(PLACE, &name("orders"), NOW);
        let after = |millis| Timestamp::from_millis(NOW.as_millis() + millis);
        for millis in [0, 1, 1, 300_000] {
            check_open(token.as_str(), after(millis), Ok(()));
        }
        let now = after(300_001);
        check_open(token.as_str(), now, Err(IteratorError::Expired { issued: NOW, now }));
        check_open(token.as_str(), after(-3_600_000), Ok(()));
    }

    #[test]
    fn quotes_around_an_iterator_are_tolerated() {
        let token = sealer().seal(PLACE, &name("orders"), NOW);
        check_open(&format!("\"{}\"", token.as_str()), NOW, Ok(()));
        check_open(&format!("\"{}", token.as_str()), NOW, Err(IteratorError::Invalid));
        check_open("\"", NOW, Err(IteratorError::Invalid));
    }

    #[test]
    fn what_we_did_not_make_is_refused() {
        for text in ["", "x", "AAAA", "AAAAAAAAAAEB", &"A".repeat(96), &"A".repeat(248), &"A".repeat(512)] {
            check_open(text, NOW, Err(IteratorError::Invalid));
        }
        let foreign = Sealer::new(&[8; 32]).seal(PLACE, &name("orders"), NOW);
        check_open(foreign.as_str(), NOW, Err(IteratorError::Invalid));
    }

    proptest! {
        #[test]
        fn what_was_sealed_is_opened(
            id in any::<u64>(),
            shard in any::<u32>(),
            offset in any::<u64>(),
            turn in any::<u16>(),
            text in "[a-zA-Z0-9_.-]{1,128}",
        ) {
            let place = Place { stream: StreamId(id), shard: ShardIndex(shard), offset, turn };
            let token = sealer().seal(place, &name(&text), NOW);
            let opened = sealer().open(token.as_str(), NOW).expect("just made");
            prop_assert_eq!((opened.place, opened.name()), (place, text.as_str()));
        }

        #[test]
        fn a_changed_bit_is_noticed(byte in 0usize..72, bit in 0u8..8) {
            let token = sealer().seal(PLACE, &name("orders"), NOW);
            let mut bytes = base64_simd::STANDARD.decode_to_vec(token.as_str()).expect("base64");
            bytes[byte] ^= 1 << bit;
            let text = base64_simd::STANDARD.encode_to_string(&bytes);
            prop_assert_eq!(sealer().open(&text, NOW).map(drop), Err(IteratorError::Invalid));
        }

        #[test]
        fn any_text_is_safe_to_open(text in any::<String>()) {
            prop_assert!(sealer().open(&text, NOW).is_err());
        }
    }
}
