//! Standard base64 with padding, appended to buffers: what JSON carries bytes in.
//!
//! Strict: the alphabet of RFC 4648 only, whole groups, padding where it belongs and nothing but zeros under it.
//! Processors with AVX-512 VBMI use [`vbmi`], all others `base64-simd`; tests hold both equal.
//! Why so: `docs/decisions/0040-base64-and-md5-have-kernels-of-their-own.md`.

#[cfg(target_arch = "x86_64")]
mod vbmi;

use base64_simd::STANDARD;

use crate::hot::NotBase64;

/// Appends the text of `bytes`.
#[inline]
pub(crate) fn encode_append(bytes: &[u8], out: &mut Vec<u8>) {
    #[cfg(target_arch = "x86_64")]
    if vbmi::is_available() {
        return vbmi::encode_append(bytes, out);
    }
    STANDARD.encode_append(bytes, out);
}

/// Appends the bytes of `text`.
///
/// # Errors
/// When it is not base64; `out` is as before.
#[inline]
pub(crate) fn decode_append(text: &[u8], out: &mut Vec<u8>) -> Result<(), NotBase64> {
    #[cfg(target_arch = "x86_64")]
    if vbmi::is_available() {
        return vbmi::decode_append(text, out);
    }
    STANDARD.decode_append(text, out).map_err(|_| NotBase64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Lengths that every loop of a kernel is entered and left by, more than once.
    const LENGTH_MAX: usize = 600;

    /// Bytes without a pattern that a mistake could hide in.
    fn noise(length: usize) -> Vec<u8> {
        let next = |state: &mut u32| {
            *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            Some((*state >> 24) as u8)
        };
        std::iter::repeat(()).scan(length as u32, |state, ()| next(state)).take(length).collect()
    }

    /// Decodes `text` as this module does, and as the reference does.
    #[track_caller]
    fn check_decoding(text: &[u8]) {
        let expected = STANDARD.decode_to_vec(text).map_err(|_| NotBase64);
        // With room, without, and from places of every kind.
        for (start, room) in [(0, 0), (1, 0), (7, LENGTH_MAX), (33, 16), (64, 1)] {
            let mut out = vec![0xa5; start];
            out.reserve_exact(room);
            let found = decode_append(text, &mut out).map(|()| out[start..].to_vec());
            assert_eq!(found, expected, "{:?}", String::from_utf8_lossy(text));
            assert!(out[..start].iter().all(|byte| *byte == 0xa5), "what was there stays");
            assert!(expected.is_ok() || out.len() == start, "nothing is appended but all");
        }
    }

    #[test]
    fn every_length_comes_back_from_any_alignment() {
        for length in 0..=LENGTH_MAX {
            let bytes = noise(length + 64);
            let shift = length % 64;
            let bytes = &bytes[shift..shift + length];
            let mut text = vec![0xa5; shift];
            encode_append(bytes, &mut text);
            assert!(text[..shift].iter().all(|byte| *byte == 0xa5), "what was there stays");
            assert_eq!(text[shift..], *STANDARD.encode_to_string(bytes).as_bytes(), "{length} bytes");
            check_decoding(&text[shift..]);
            check_decoding(&text[shift..text.len() - usize::from(length > 0)]);
        }
    }

    #[test]
    fn one_wrong_byte_anywhere_is_found() {
        for length in [1, 2, 3, 20, 47, 48, 49, 95, 96, 97, 98, 250, 400] {
            let mut text = STANDARD.encode_to_string(noise(length)).into_bytes();
            for place in 0..text.len() {
                let right = text[place];
                for wrong in [b'=', b'-', b'_', b'"', b'\\', b' ', b'\n', 0, 0x7f, 0x80, 0xff, right | 0x80] {
                    text[place] = wrong;
                    let mut out = Vec::new();
                    let expected = STANDARD.decode_append(&text, &mut out).map_err(|_| NotBase64);
                    let mut found = Vec::new();
                    assert_eq!(decode_append(&text, &mut found), expected, "{wrong} at {place} of {length}");
                    assert_eq!(found, out);
                }
                text[place] = right;
            }
        }
    }

    #[test]
    fn any_four_characters_are_what_the_reference_says() {
        // All that can stand in a last group, behind nothing, and behind what a step takes.
        let characters: Vec<u8> = (0..=u8::MAX).collect();
        for before in [0, 64, 128] {
            let mut text = vec![b'x'; before];
            text.extend_from_slice(b"AAAA");
            for one in &characters {
                for place in 0..4 {
                    for padding in 0..4 {
                        text[before..].copy_from_slice(b"AAAA");
                        text[before + place] = *one;
                        text[before + 4 - padding..].fill(b'=');
                        check_decoding(&text);
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let mut text = Vec::new();
            encode_append(&bytes, &mut text);
            prop_assert_eq!(&text, &STANDARD.encode_to_string(&bytes).into_bytes());
            check_decoding(&text);
        }

        #[test]
        fn any_text_is_judged_as_the_reference_judges_it(
            text in prop_oneof![
                "[A-Za-z0-9+/]{0,300}=?=?",
                "([A-Za-z0-9+/]{4}){0,100}([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?",
                any::<String>(),
            ],
            damage: u8,
            place: prop::sample::Index,
            damaged: bool,
        ) {
            let mut text = text.into_bytes();
            if damaged && !text.is_empty() {
                let place = place.index(text.len());
                text[place] = damage;
            }
            check_decoding(&text);
        }
    }

    /// The kernels by themselves: what is next to their place stays as it is.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn kernels_write_nothing_beside_their_place() {
        use std::mem::MaybeUninit;

        if !vbmi::is_available() {
            println!("not tested: this processor has no AVX-512 VBMI");
            return;
        }
        let check = |length: usize, write: &dyn Fn(&mut [MaybeUninit<u8>])| {
            let mut memory = vec![MaybeUninit::new(0xa5); 128 + length];
            write(&mut memory[64..64 + length]);
            let beside = memory[..64].iter().chain(&memory[64 + length..]);
            // SAFETY: all of the memory was initialised above.
            #[allow(unsafe_code, reason = "reads what the test initialised")]
            let beside = beside.map(|byte| unsafe { byte.assume_init() });
            assert!(beside.into_iter().all(|byte| byte == 0xa5), "{length} bytes");
        };
        for length in 0..=LENGTH_MAX {
            let bytes = noise(length);
            let text = STANDARD.encode_to_string(&bytes).into_bytes();
            check(text.len(), &|place| vbmi::encode_into(&bytes, place));
            check(length, &|place| vbmi::decode_into(&text, place).expect("base64"));
        }
    }
}
