//! Standard base64 with padding, appended to buffers: what JSON carries bytes in.
//!
//! Strict: the alphabet of RFC 4648 only, whole groups, padding where it belongs and nothing but zeros under it.

use base64_simd::STANDARD;

use crate::hot::NotBase64;

/// Appends the text of `bytes`.
#[inline]
pub(crate) fn encode_append(bytes: &[u8], out: &mut Vec<u8>) {
    STANDARD.encode_append(bytes, out);
}

/// Appends the bytes of `text`.
///
/// # Errors
/// When it is not base64; `out` is as before.
#[inline]
pub(crate) fn decode_append(text: &[u8], out: &mut Vec<u8>) -> Result<(), NotBase64> {
    STANDARD.decode_append(text, out).map_err(|_| NotBase64)
}
