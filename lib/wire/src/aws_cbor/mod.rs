//! AWS CBOR 1.1.

use thalweg_shape::Value;

use crate::DecodeError;

/// Reads a body.
///
/// # Errors
/// When it is not CBOR, nested too deep, or followed by something else.
pub fn decode(body: &[u8]) -> Result<Value, DecodeError> {
    let _ = body;
    Err(DecodeError("not written yet".to_owned()))
}

/// Appends a body.
pub fn encode(value: &Value, out: &mut Vec<u8>) {
    let _ = (value, out);
}
