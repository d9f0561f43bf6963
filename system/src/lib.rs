//! What the operating system gives, behind traits: time, tasks, randomness and the disk.
//!
//! Everything outside this crate takes these as arguments and names neither a clock nor a thread nor a file, so
//! that the seeded simulation can run the very code that production runs. `os` holds the real adapters, the only
//! place that may call the operating system; `simulated` holds the ones that tests drive.

pub mod buffer;
pub mod clock;
pub mod cork;
pub mod disk;
pub mod os;
pub mod planted;
pub mod random;
pub mod simulated;
pub mod spawn;
pub mod tasks;

pub use buffer::{AlignedBuffer, BufferRegion, HUGE_PAGE};
pub use clock::Clock;
pub use disk::{Disk, DiskError, DiskFile};
pub use random::Random;
pub use spawn::{Spawn, TaskHandle};
pub use tasks::Tasks;

use std::future::Future;
use std::pin::Pin;

/// A future on the heap: what makes the traits here usable behind `dyn`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
