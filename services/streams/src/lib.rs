//! Kinesis Data Streams, on a journal and a catalog.
//!
//! Meets the gateway only at the generated trait (`thalweg_api::kinesis::Kinesis`), and storage only at the traits
//! `Journal` and `Catalog`. `operations/` has a file for each operation.

#![allow(dead_code, reason = "until every operation that uses it is here")]

mod change;
mod consumer;
mod errors;
mod iterator;
mod kinesis;
mod operations;
mod rate;
mod registry;
mod resolve;
mod service;
mod shard_map;
mod stream;

pub use service::{Components, Limits, OpenError, Settings, Streams};
