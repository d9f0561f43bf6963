//! Every parser of outside bytes, each behind a plain function that takes any bytes and panics where a rule is broken.
//!
//! ```text
//!  targets      what is fuzzed, a file for each
//!    world        the service over engines in memory, for those that take a whole server
//!    gateway      a connection to the service
//!    disk         directories whose files are edited, and checksums made right again
//!    input        how bytes are taken apart
//!  mutation     random changes of inputs: what `cargo test` tries besides the corpus
//!  bin          the same targets under libFuzzer, which sees what they reach: `tests/fuzz/run`
//! ```
//!
//! `corpus/NAME` has inputs for each target: seeds that the real encoders made, what libFuzzer found worth keeping, and
//! every input that ever broke a rule (`past-…`).

mod disk;
mod gateway;
mod input;
pub mod mutation;
mod targets;
mod world;

pub use targets::{TARGETS, Target};
