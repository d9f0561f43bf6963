//! Kinesis Data Streams, on a journal and a catalog.
//!
//! Meets the gateway only at the generated trait (`thalweg_api::kinesis::Kinesis`), and storage only at the traits
//! `Journal` and `Catalog`. `operations/` has a file for each operation.

mod account;
mod change;
mod commitment;
mod consumer;
mod errors;
mod fan_out;
#[doc(hidden)]
pub mod fuzzing;
mod hot;
mod iterator;
mod kinesis;
mod load;
mod on_demand;
mod operations;
mod page_token;
mod put;
mod rate;
mod read;
mod registry;
mod reshard;
mod resolve;
mod rows;
mod service;
mod shard_map;
mod stream;
mod sweep;
mod tags;
mod throttle;
mod transition;
mod view;

pub use load::{JournalFacts, check, names};
pub use service::{Components, Limits, OpenError, Settings, Streams};
