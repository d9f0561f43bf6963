//! Request ids: unique, not secret.

use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderValue;
use thalweg_system::Random;

/// AWS's extended ids are base64 of 64 to 80 bytes; this is of 72.
const EXTENDED_LENGTH: usize = 96;
/// Characters of base64 that one random word gives.
const CHARACTERS: usize = 8;
/// The alphabets of the ids' texts.
const HEX: &[u8; 16] = b"0123456789abcdef";
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// Length of a UUID's text.
const UUID_LENGTH: usize = 36;
/// The odd constant of the splitmix64 generator: 2^64 divided by the golden ratio.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
/// Numbers that one request uses: two for the id, the rest for the extended one.
const WORDS: u64 = 2 + (EXTENDED_LENGTH / CHARACTERS) as u64;

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
        let mut extended = [0; EXTENDED_LENGTH];
        for characters in extended.chunks_mut(CHARACTERS) {
            let mut word = word();
            for character in characters {
                *character = BASE64[(word % 64) as usize];
                word /= 64;
            }
        }
        RequestId { uuid, extended }
    }
}

/// `xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx`
fn uuid(high: u64, low: u64) -> [u8; UUID_LENGTH] {
    /// Where each byte's two digits are; the dashes are in between.
    const PLACES: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
    let high = high & !0xf000 | 0x4000;
    let low = low & !(0b11 << 62) | 0b10 << 62;
    let number = u128::from(high) << 64 | u128::from(low);
    let mut text = [b'-'; UUID_LENGTH];
    for (place, byte) in PLACES.into_iter().zip(number.to_be_bytes()) {
        let [tens, ones] = &mut text[place..place + 2] else { unreachable!("it is two long") };
        *tens = HEX[usize::from(byte >> 4)];
        *ones = HEX[usize::from(byte & 0xf)];
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
