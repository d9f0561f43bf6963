//! The real adapters: the only place in the project that may name the operating system's clock, threads,
//! randomness and files. They decide nothing: rules live with their callers.
//!
//! Not here: sockets (the gateway's) and signals (the program's).

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "these adapters are what everyone else uses instead of the operating system"
)]

mod clock;
mod disk;
mod file;
mod limits;
mod memory;
mod random;
mod spawn;
mod tasks;

pub use clock::OsClock;
pub use disk::OsDisk;
pub use file::Durability;
pub use limits::raise_open_files;
pub use memory::look_after_memory;
pub use random::OsRandom;
pub use spawn::{OsNetworkSpawn, OsSpawn};
pub use tasks::TokioTasks;
