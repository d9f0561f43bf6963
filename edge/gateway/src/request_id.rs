//! Request ids: unique, not secret.

use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderValue;
use thalweg_system::Random;

/// AWS's extended ids are base64 of 64 to 80 bytes.
const EXTENDED_WORDS: usize = 9;
/// Their text's length.
const EXTENDED_LENGTH: usize = EXTENDED_WORDS * 8 / 3 * 4;
/// Length of a UUID's text.
const UUID_LENGTH: usize = 36;
/// The odd constant of the splitmix64 generator: 2^64 divided by the golden ratio.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
/// Numbers that one request uses: two for the id, the rest for the extended one.
const WORDS: u64 = 2 + EXTENDED_WORDS as u64;

/// Gives each request its ids. A counter under a mixing function (splitmix64) with a random start: asking the
/// operating system for each request would cost more than the rest of its head.
pub(crate) struct RequestIds {
    state: AtomicU64,
}

/// What one answer is marked with.
#[derive(Clone, Copy)]
pub(crate) struct RequestId {
    uuid: [u8; UUID_LENGTH],
    extended: [u8; EXTENDED_LENGTH],
}

impl RequestId {
    /// `x-amzn-RequestId`: a UUID of version 4.
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.uuid).expect("a UUID is ASCII")
    }

    /// [`RequestId::as_str`] as a header.
    pub(crate) fn header(&self) -> HeaderValue {
        HeaderValue::from_bytes(&self.uuid).expect("a UUID is visible ASCII")
    }

    /// `x-amz-id-2`, as a header.
    pub(crate) fn extended_header(&self) -> HeaderValue {
        HeaderValue::from_bytes(&self.extended).expect("base64 is visible ASCII")
    }
}

impl RequestIds {
    pub(crate) fn new(random: &dyn Random) -> Self {
        RequestIds { state: AtomicU64::new(random.next_u64()) }
    }

    /// The ids of one more request.
    pub(crate) fn next(&self) -> RequestId {
        let mut state = self.state.fetch_add(STEP.wrapping_mul(WORDS), Ordering::Relaxed);
        let mut word = || {
            state = state.wrapping_add(STEP);
            let mut mixed = state;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        };
        let uuid = uuid(word(), word());
        let mut bytes = [0; EXTENDED_WORDS * 8];
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&word().to_le_bytes());
        }
        let mut extended = [0; EXTENDED_LENGTH];
        let written = base64_simd::STANDARD.encode(&bytes, base64_simd::Out::from_slice(&mut extended));
        debug_assert_eq!(written.len(), EXTENDED_LENGTH);
        RequestId { uuid, extended }
    }
}

/// `xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx`
fn uuid(high: u64, low: u64) -> [u8; UUID_LENGTH] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let high = high & !0xf000 | 0x4000;
    let low = low & !(0b11 << 62) | 0b10 << 62;
    let mut text = [b'-'; UUID_LENGTH];
    let mut place = 0;
    for (number, byte) in high.to_be_bytes().into_iter().chain(low.to_be_bytes()).enumerate() {
        if matches!(number, 4 | 6 | 8 | 10) {
            place += 1;
        }
        text[place] = HEX[usize::from(byte >> 4)];
        text[place + 1] = HEX[usize::from(byte & 0xf)];
        place += 2;
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use thalweg_system::simulated::SeededRandom;

    use super::*;

    #[test]
    fn ids_are_uuids_of_version_4() {
        assert_eq!(uuid(0, 0), *b"00000000-0000-4000-8000-000000000000");
        assert_eq!(uuid(u64::MAX, u64::MAX), *b"ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(
            uuid(0x0123_4567_89ab_cdef, 0x8123_4567_89ab_cdef),
            *b"01234567-89ab-4def-8123-456789abcdef"
        );
    }

    #[test]
    fn ids_do_not_repeat() {
        let ids = RequestIds::new(&SeededRandom::new(7));
        let mut seen = BTreeSet::new();
        for _ in 0..10_000 {
            let id = ids.next();
            assert_eq!((id.header().len(), id.extended_header().len()), (36, 96));
            assert!(seen.insert(id.as_str().to_owned()));
            assert!(seen.insert(id.extended_header().to_str().expect("base64").to_owned()));
        }
    }
}
