//! MD5 of many short texts at once: each text is a lane of vectors that go through the rounds together.
//!
//! For texts that fit into one block of MD5, at most [`TEXT_BYTES_MAX`] bytes: what partition keys are. Longer ones go
//! to `md-5`, one by one. The lanes are plain arrays; the compiler makes vectors of them where it may use wide ones,
//! and `unsafe` is only the call into such a function after the processor was asked. Nothing here is about secrecy: a
//! partition key's MD5 is its place among the shards.
//!
//! Why so: `docs/decisions/0040-base64-and-md5-have-kernels-of-their-own.md`. The algorithm: RFC 1321.

#![allow(unsafe_code, reason = "calls functions that need a processor feature; measured in decision 0040")]

use md5::{Digest, Md5};

use crate::HashKey;

/// A block has 64 bytes; one marks the text's end, eight say how long it is.
const TEXT_BYTES_MAX: usize = 55;
/// As many lanes as make two vectors of AVX-512, or two of AVX2: the steps of one hide the waits of the other.
#[cfg(target_arch = "x86_64")]
const LANES_AVX512: usize = 32;
#[cfg(target_arch = "x86_64")]
const LANES_AVX2: usize = 16;

/// A block of each lane's text: its words, each with those of all lanes side by side.
type Blocks<const LANES: usize> = [[u32; LANES]; 16];
/// The four words of each lane's digest.
type Digests<const LANES: usize> = [[u32; LANES]; 4];

/// Where each text's MD5 places it.
///
/// # Panics
/// When there is not one place for each text.
pub(crate) fn digest_each(texts: &[&str], places: &mut [HashKey]) {
    assert_eq!(texts.len(), places.len(), "a place for each text");
    match texts {
        [] => {}
        // A single text would pay for all lanes.
        [text] => places[0] = digest(text),
        #[cfg(target_arch = "x86_64")]
        _ if is_x86_feature_detected!("avx512f") => {
            // SAFETY: the processor was asked.
            in_lanes(texts, places, |blocks| unsafe { rounds_avx512(blocks) });
        }
        #[cfg(target_arch = "x86_64")]
        _ if is_x86_feature_detected!("avx2") => {
            // SAFETY: the processor was asked.
            in_lanes(texts, places, |blocks| unsafe { rounds_avx2(blocks) });
        }
        _ => in_lanes(texts, places, rounds::<1>),
    }
}

/// Where a text's MD5 places it.
pub(crate) fn digest(text: &str) -> HashKey {
    if text.len() > TEXT_BYTES_MAX {
        return digest_long(text);
    }
    let mut blocks = [[0]; 16];
    place(&mut blocks, 0, text.as_bytes());
    number(&rounds::<1>(&blocks), 0)
}

fn digest_long(text: &str) -> HashKey {
    HashKey(u128::from_be_bytes(Md5::digest(text.as_bytes()).into()))
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn rounds_avx512(blocks: &Blocks<LANES_AVX512>) -> Digests<LANES_AVX512> {
    rounds(blocks)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn rounds_avx2(blocks: &Blocks<LANES_AVX2>) -> Digests<LANES_AVX2> {
    rounds(blocks)
}

/// Goes through the texts, as many at once as there are lanes. A lane whose text is too long, or that has none, is
/// hashed with nothing in it.
#[inline]
fn in_lanes<const LANES: usize>(
    texts: &[&str],
    places: &mut [HashKey],
    rounds: impl Fn(&Blocks<LANES>) -> Digests<LANES>,
) {
    for (texts, places) in texts.chunks(LANES).zip(places.chunks_mut(LANES)) {
        let mut blocks = [[0; LANES]; 16];
        for (lane, text) in texts.iter().enumerate() {
            if text.len() <= TEXT_BYTES_MAX {
                self::place(&mut blocks, lane, text.as_bytes());
            }
        }
        let digests = rounds(&blocks);
        for (lane, (text, place)) in texts.iter().zip(places).enumerate() {
            *place = if text.len() <= TEXT_BYTES_MAX { number(&digests, lane) } else { digest_long(text) };
        }
    }
}

/// Makes a lane's block: the text, a bit that marks its end, and its length in bits. The lane is all zeros before.
#[inline]
fn place<const LANES: usize>(blocks: &mut Blocks<LANES>, lane: usize, text: &[u8]) {
    assert!(text.len() <= TEXT_BYTES_MAX, "longer texts take another way");
    let (words, rest) = text.as_chunks();
    for (word, block) in words.iter().zip(&mut *blocks) {
        block[lane] = u32::from_le_bytes(*word);
    }
    // Of the rest, by its length: what a loop, or a copy, would take longer to find out.
    let last = match *rest {
        [] => 0x80,
        [a] => u32::from_le_bytes([a, 0x80, 0, 0]),
        [a, b] => u32::from_le_bytes([a, b, 0x80, 0]),
        [a, b, c, ..] => u32::from_le_bytes([a, b, c, 0x80]),
    };
    blocks[words.len()][lane] = last;
    blocks[14][lane] = text.len() as u32 * 8;
}

/// A lane's digest, as a big-endian number.
#[inline]
fn number<const LANES: usize>(digests: &Digests<LANES>, lane: usize) -> HashKey {
    let word = |place: usize| u128::from(digests[place][lane].swap_bytes());
    HashKey(word(0) << 96 | word(1) << 64 | word(2) << 32 | word(3))
}

/// What the state is before the first block.
const START: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

/// By how much a step rotates: of each round, the four that it repeats.
const ROTATIONS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];

/// What a step adds: floor(2^32 * |sin(step + 1)|).
#[rustfmt::skip]
const ADDENDS: [u32; 64] = [
    0xd76a_a478, 0xe8c7_b756, 0x2420_70db, 0xc1bd_ceee, 0xf57c_0faf, 0x4787_c62a, 0xa830_4613, 0xfd46_9501,
    0x6980_98d8, 0x8b44_f7af, 0xffff_5bb1, 0x895c_d7be, 0x6b90_1122, 0xfd98_7193, 0xa679_438e, 0x49b4_0821,
    0xf61e_2562, 0xc040_b340, 0x265e_5a51, 0xe9b6_c7aa, 0xd62f_105d, 0x0244_1453, 0xd8a1_e681, 0xe7d3_fbc8,
    0x21e1_cde6, 0xc337_07d6, 0xf4d5_0d87, 0x455a_14ed, 0xa9e3_e905, 0xfcef_a3f8, 0x676f_02d9, 0x8d2a_4c8a,
    0xfffa_3942, 0x8771_f681, 0x6d9d_6122, 0xfde5_380c, 0xa4be_ea44, 0x4bde_cfa9, 0xf6bb_4b60, 0xbebf_bc70,
    0x289b_7ec6, 0xeaa1_27fa, 0xd4ef_3085, 0x0488_1d05, 0xd9d4_d039, 0xe6db_99e5, 0x1fa2_7cf8, 0xc4ac_5665,
    0xf429_2244, 0x432a_ff97, 0xab94_23a7, 0xfc93_a039, 0x655b_59c3, 0x8f0c_cc92, 0xffef_f47d, 0x8584_5dd1,
    0x6fa8_7e4f, 0xfe2c_e6e0, 0xa301_4314, 0x4e08_11a1, 0xf753_7e82, 0xbd3a_f235, 0x2ad7_d2bb, 0xeb86_d391,
];

/// All 64 steps on one block of each lane.
#[inline(always)]
fn rounds<const LANES: usize>(blocks: &Blocks<LANES>) -> Digests<LANES> {
    let [mut a, mut b, mut c, mut d] = START.map(|word| [word; LANES]);
    macro_rules! step {
        ($step:expr, $a:ident, $b:ident, $c:ident, $d:ident) => {
            const STEP: usize = $step;
            const ROUND: usize = STEP / 16;
            const WORD: usize = [STEP, 5 * STEP + 1, 3 * STEP + 5, 7 * STEP][ROUND] % 16;
            for lane in 0..LANES {
                let (b, c, d) = ($b[lane], $c[lane], $d[lane]);
                // In the order in which they are known: b comes from the step before. In the second round, whose
                // two parts have no bit in common, one of them needs no b.
                let (early, late) = match ROUND {
                    0 => (0, d ^ (b & (c ^ d))),
                    1 => (c & !d, b & d),
                    2 => (0, b ^ c ^ d),
                    _ => (0, c ^ (b | !d)),
                };
                let sum = $a[lane].wrapping_add(ADDENDS[STEP]).wrapping_add(blocks[WORD][lane]);
                let sum = sum.wrapping_add(early).wrapping_add(late);
                $a[lane] = sum.rotate_left(ROTATIONS[ROUND][STEP % 4]).wrapping_add(b);
            }
        };
    }
    macro_rules! four_steps {
        ($($four:literal)*) => {$({
            { step!(4 * $four, a, b, c, d); }
            { step!(4 * $four + 1, d, a, b, c); }
            { step!(4 * $four + 2, c, d, a, b); }
            { step!(4 * $four + 3, b, c, d, a); }
        })*};
    }
    // Spelled out, so that all but the lanes is known when this is compiled.
    four_steps!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    let mut digests = [a, b, c, d];
    for (words, start) in digests.iter_mut().zip(START) {
        for word in words {
            *word = word.wrapping_add(start);
        }
    }
    digests
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Hashes the texts with each kind of lanes that this processor has.
    #[track_caller]
    fn check(texts: &[&str]) {
        let expected: Vec<HashKey> = texts.iter().map(|text| digest_long(text)).collect();
        let with = |name: &str, hash: &dyn Fn(&mut [HashKey])| {
            let mut found = vec![HashKey::MIN; texts.len()];
            hash(&mut found);
            assert_eq!(found, expected, "{name}: {texts:?}");
        };
        with("as it comes", &|places| digest_each(texts, places));
        with("one by one", &|places| {
            texts.iter().zip(places).for_each(|(text, place)| *place = digest(text));
        });
        with("one lane", &|places| in_lanes(texts, places, rounds::<1>));
        with("three lanes", &|places| in_lanes(texts, places, rounds::<3>));
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor was asked.
            with("AVX2", &|places| in_lanes(texts, places, |blocks| unsafe { rounds_avx2(blocks) }));
        }
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor was asked.
            with("AVX-512", &|places| in_lanes(texts, places, |blocks| unsafe { rounds_avx512(blocks) }));
        }
    }

    #[test]
    fn texts_of_every_length_have_the_digest_that_md_5_gives_them() {
        let text: String = ('!'..='~').cycle().take(256).collect();
        let texts: Vec<&str> = (0..=256).map(|length| &text[..length]).collect();
        check(&texts);
        for text in texts {
            check(&[text]);
            check(&[text; 20]);
        }
    }

    #[test]
    fn any_number_of_texts_can_be_hashed() {
        let texts: Vec<String> = (0..100).map(|number| format!("key-{number}")).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        for count in 0..=texts.len() {
            check(&texts[..count]);
        }
    }

    #[test]
    fn the_known_digests_are_found() {
        // RFC 1321, appendix A.5.
        for (text, expected) in [
            ("", 0xd41d_8cd9_8f00_b204_e980_0998_ecf8_427e),
            ("a", 0x0cc1_75b9_c0f1_b6a8_31c3_99e2_6977_2661),
            ("message digest", 0xf96b_697d_7cb7_938d_525a_2f31_aaf1_61d0),
        ] {
            assert_eq!(digest(text), HashKey(expected), "{text}");
        }
    }

    proptest! {
        #[test]
        fn texts_of_mixed_lengths_do_not_disturb_each_other(
            texts in prop::collection::vec(prop_oneof!["[ -~]{0,70}", any::<String>()], 0..100),
        ) {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            check(&texts);
        }
    }
}
