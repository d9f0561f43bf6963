//! Base64 by AVX-512 VBMI: 64 characters or 48 bytes a step, several times as fast as AVX2.
//!
//! `unsafe` is in four places only: the calls after the processor was asked ([`is_available`]), the lengths of vectors
//! after the kernels filled them, and a load and a store that touch no byte outside of the slices they are given.
//! The kernels themselves are safe code over slices.

#![allow(unsafe_code, reason = "processor features and uninitialised memory; measured in decision 0040")]

use std::arch::x86_64::*;
use std::mem::MaybeUninit;

use crate::hot::NotBase64;

/// Whether this processor has what the kernels need.
#[inline]
pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx512vbmi")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512f")
}

/// As [`super::encode_append`].
///
/// # Panics
/// When the processor cannot.
#[inline]
pub(super) fn encode_append(bytes: &[u8], out: &mut Vec<u8>) {
    let length = bytes.len().div_ceil(3) * 4;
    out.reserve(length);
    encode_into(bytes, &mut out.spare_capacity_mut()[..length]);
    // SAFETY: encoding filled all of the slice.
    unsafe { out.set_len(out.len() + length) };
}

/// As [`super::decode_append`].
///
/// # Errors
/// When it is not base64; `out` is as before.
///
/// # Panics
/// When the processor cannot.
#[inline]
pub(super) fn decode_append(text: &[u8], out: &mut Vec<u8>) -> Result<(), NotBase64> {
    if !text.len().is_multiple_of(4) {
        return Err(NotBase64);
    }
    let length = text.len() / 4 * 3 - padding(text);
    out.reserve(length);
    decode_into(text, &mut out.spare_capacity_mut()[..length])?;
    // SAFETY: decoding without an error filled all of the slice.
    unsafe { out.set_len(out.len() + length) };
    Ok(())
}

/// Fills `place`, which is as long as the text.
#[inline]
pub(super) fn encode_into(bytes: &[u8], place: &mut [MaybeUninit<u8>]) {
    assert!(is_available(), "the caller asked");
    // SAFETY: the processor was asked.
    unsafe { encode(bytes, place) }
}

/// Fills `place`, which is as long as what `text`, whole groups, decodes to.
///
/// # Errors
/// When it is not base64; `place` may be filled in part.
#[inline]
pub(super) fn decode_into(text: &[u8], place: &mut [MaybeUninit<u8>]) -> Result<(), NotBase64> {
    assert!(is_available(), "the caller asked");
    // SAFETY: the processor was asked.
    unsafe { decode(&text[..text.len() - padding(text)], place) }
}

#[inline]
fn padding(text: &[u8]) -> usize {
    match text {
        [.., b'=', b'='] => 2,
        [.., b'='] => 1,
        _ => 0,
    }
}

const ALPHABET: [u8; 64] = *b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// What each ASCII character stands for; the top bit is set where it is none of the alphabet.
static VALUES: [[u8; 64]; 2] = {
    let mut values = [[0x80; 64]; 2];
    let mut value = 0;
    while value < ALPHABET.len() {
        let character = ALPHABET[value] as usize;
        values[character / 64][character % 64] = value as u8;
        value += 1;
    }
    values
};

/// Takes the three bytes of each 32-bit number in big-endian order; then sixteen zeros, from a top byte.
static PACK: [u8; 64] = {
    let mut pack = [3; 64];
    let mut place = 0;
    while place < 48 {
        pack[place] = (place / 3 * 4 + 2 - place % 3) as u8;
        place += 1;
    }
    pack
};

/// Gives each three bytes a, b, c the order b, a, c, b: in there, as a little-endian number, each six bits of a
/// character are neighbours.
static SPREAD: [u8; 64] = {
    let mut spread = [0; 64];
    let mut group = 0;
    while group < 16 {
        let byte = group as u8 * 3;
        spread[group * 4] = byte + 1;
        spread[group * 4 + 1] = byte;
        spread[group * 4 + 2] = byte + 2;
        spread[group * 4 + 3] = byte + 1;
        group += 1;
    }
    spread
};

/// Any of three bits: the truth table of a ternary operation.
const OR: i32 = 0b1111_1110;
/// Characters in one step of decoding, and bytes that encode as many.
const CHARACTERS: usize = 64;
const BYTES: usize = 48;

/// Loads a whole vector.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn load(bytes: &[u8; 64]) -> __m512i {
    // SAFETY: 64 bytes are there, and any alignment will do.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

/// Loads the first bytes of a vector, at most 64; those that are missing are taken from `filler`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn load_some(bytes: &[u8], filler: __m512i) -> __m512i {
    // SAFETY: no byte is touched that is not in the slice.
    unsafe { _mm512_mask_loadu_epi8(filler, first(bytes.len()), bytes.as_ptr().cast()) }
}

/// Stores a whole vector.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn store(place: &mut [MaybeUninit<u8>; 64], vector: __m512i) {
    // SAFETY: there is room for 64 bytes, and any alignment will do.
    unsafe { _mm512_storeu_si512(place.as_mut_ptr().cast(), vector) }
}

/// Stores the first bytes of a vector: as many as there is place for, at most 64.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn store_some(place: &mut [MaybeUninit<u8>], vector: __m512i) {
    // SAFETY: no byte is touched that is not in the slice.
    unsafe { _mm512_mask_storeu_epi8(place.as_mut_ptr().cast(), first(place.len()), vector) }
}

/// A mask of the first `count` bytes.
#[inline]
fn first(count: usize) -> u64 {
    assert!(count <= 64, "a vector has 64 bytes");
    if count == 0 { 0 } else { u64::MAX >> (64 - count) }
}

/// Decodes text without its padding. `place` is as long as what it decodes to; when there is no error, all of it
/// is filled.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn decode(mut text: &[u8], mut place: &mut [MaybeUninit<u8>]) -> Result<(), NotBase64> {
    let [low, high] = [load(&VALUES[0]), load(&VALUES[1])];
    let pack = load(&PACK);
    // The top bit of a byte is set here when it was in a character, or in what it stands for.
    let mut wrong = _mm512_setzero_si512();
    let mut step = |characters: __m512i| {
        let values = _mm512_permutex2var_epi8(low, characters, high);
        wrong = _mm512_ternarylogic_epi32::<OR>(wrong, characters, values);
        // Six bits and six are twelve, twelve and twelve are 24.
        let twelves = _mm512_maddubs_epi16(values, _mm512_set1_epi16(0x0140));
        _mm512_permutexvar_epi8(pack, _mm512_madd_epi16(twelves, _mm512_set1_epi32(0x0001_1000)))
    };
    // A step's sixteen zeros are overwritten by the next one.
    while place.len() >= 3 * BYTES + 64 {
        let (steps, rest) =
            text.split_first_chunk::<{ 4 * CHARACTERS }>().expect("a byte is more than a character");
        for (number, characters) in steps.as_chunks().0.iter().enumerate() {
            let bytes = step(load(characters));
            store(place[number * BYTES..].first_chunk_mut().expect("as the loop asks"), bytes);
        }
        (text, place) = (rest, &mut place[4 * BYTES..]);
    }
    while let Some(whole) = place.first_chunk_mut() {
        let (characters, rest) = text.split_first_chunk().expect("a byte is more than a character");
        store(whole, step(load(characters)));
        (text, place) = (rest, &mut place[BYTES..]);
    }
    let mut over = 0;
    while !text.is_empty() {
        let (characters, rest) = text.split_at(text.len().min(CHARACTERS));
        let (some, after) = place.split_at_mut(place.len().min(BYTES));
        // A is zero: what is missing of the last group adds nothing.
        let bytes = step(load_some(characters, _mm512_set1_epi8(b'A' as i8)));
        // Bits under the padding come out behind the last byte.
        over |= _mm512_test_epi8_mask(bytes, bytes) & !first(some.len());
        store_some(some, bytes);
        (text, place) = (rest, after);
    }
    let right = place.is_empty() && over == 0 && _mm512_movepi8_mask(wrong) == 0;
    if right { Ok(()) } else { Err(NotBase64) }
}

/// Encodes, with padding. `place` is as long as the text; all of it is filled.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn encode(mut bytes: &[u8], mut place: &mut [MaybeUninit<u8>]) {
    let (spread, alphabet) = (load(&SPREAD), load(&ALPHABET));
    // Where the characters of the two groups in 64 bits begin: at bits 10, 4, 22 and 16 of each.
    let begins = _mm512_set1_epi64(0x3036_242a_1016_040a);
    let step = |bytes: __m512i| {
        let groups = _mm512_permutexvar_epi8(spread, bytes);
        // The two bits above each character's six are not looked at.
        _mm512_permutexvar_epi8(_mm512_multishift_epi64_epi8(begins, groups), alphabet)
    };
    while bytes.len() >= 3 * BYTES + 64 {
        let (steps, rest) = place.split_first_chunk_mut::<{ 4 * CHARACTERS }>().expect("text is longer");
        for (number, characters) in steps.as_chunks_mut().0.iter_mut().enumerate() {
            let whole = bytes[number * BYTES..].first_chunk().expect("as the loop asks");
            store(characters, step(load(whole)));
        }
        (bytes, place) = (&bytes[4 * BYTES..], rest);
    }
    while let Some(whole) = bytes.first_chunk() {
        let (characters, rest) = place.split_first_chunk_mut().expect("text is longer");
        store(characters, step(load(whole)));
        (bytes, place) = (&bytes[BYTES..], rest);
    }
    while !bytes.is_empty() {
        let (some, rest) = bytes.split_at(bytes.len().min(BYTES));
        let (characters, after) = place.split_at_mut(place.len().min(CHARACTERS));
        let padding = _mm512_set1_epi8(b'=' as i8);
        let text = step(load_some(some, _mm512_setzero_si512()));
        // A byte and a half, or two of them, take another character each.
        store_some(characters, _mm512_mask_mov_epi8(padding, first((some.len() * 4).div_ceil(3)), text));
        (bytes, place) = (rest, after);
    }
    assert!(place.is_empty(), "place is as long as the text");
}
