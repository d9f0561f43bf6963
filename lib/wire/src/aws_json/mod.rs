//! AWS JSON 1.1: blobs are base64, timestamps are seconds with three decimals.

mod decode;
mod encode;
mod scan;

pub use decode::decode;
pub(crate) use encode::Json;
pub(crate) use scan::JsonScan;

use thalweg_shape::Value;

/// Appends a body.
pub fn encode(value: &Value, out: &mut Vec<u8>) {
    crate::notation::encode::<Json>(value, out);
}
