//! AWS CBOR 1.1: blobs are byte strings, timestamps are tag 1 with whole *milliseconds* (not RFC 8949's seconds).
//!
//! Not smithy-rpc-v2-cbor, whose timestamps are floating seconds: facts/aws-apis.md 1.2 tells them apart.

mod decode;
mod encode;
mod scan;

pub use decode::decode;
pub(crate) use encode::Cbor;
pub(crate) use scan::CborScan;

use thalweg_shape::Value;

/// Appends a body.
pub fn encode(value: &Value, out: &mut Vec<u8>) {
    crate::notation::encode::<Cbor>(value, out);
}
