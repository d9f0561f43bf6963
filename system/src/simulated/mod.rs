//! Adapters that tests drive: a disk that tears, lies and fails on demand, a clock advanced by hand, seeded
//! randomness, and a seeded scheduler.
//!
//! They keep the contracts of the traits as strictly as a real system does, and are as unkind as one may be.
//! They need no async runtime: [`SimulatedSpawn::block_on`] is enough.

mod clock;
mod content;
mod disk;
#[cfg(test)]
mod names;
mod random;
mod spawn;
mod wakes;

pub use clock::ManualClock;
pub use content::Crash;
pub use disk::{Call, CallKind, SimulatedDisk};
pub use random::SeededRandom;
pub use spawn::SimulatedSpawn;
pub use wakes::WakeCount;
