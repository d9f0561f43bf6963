//! Protocols: from bytes to [`thalweg_shape::Value`] and back. One folder each, with the same files in each.
//!
//! No HTTP here: which header says which protocol is known ([`Protocol::of_content_type`]), how a request is
//! routed is not.

pub mod aws_cbor;
pub mod aws_json;
mod base64;
pub mod bounds;
pub mod event_stream;
pub mod hot;
mod notation;
pub mod protocol;

pub use protocol::{DecodeError, Protocol};
