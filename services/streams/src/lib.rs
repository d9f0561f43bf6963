//! Kinesis Data Streams, on a journal and a catalog.
//!
//! Meets the gateway only at the generated trait (`thalweg_api::kinesis::Kinesis`), and storage only at the traits
//! `Journal` and `Catalog`. `operations/` has a file for each operation.

#[allow(dead_code)] // until the operations that use it are here
mod stream;
