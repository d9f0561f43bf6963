//! The embedded journal: a write-ahead ring for what was just answered, segments for what is kept, and recovery
//! that gives both back after any crash. `docs/formats/journal.md` draws every byte.
//!
//! ```text
//!  append -> queue -> committer --one durable write--> ring      (wal/: slots, written over and over)
//!                        | publish                      |
//!                        v                              v drained from memory, when the ring fills
//!  read <----------- tail cache                      segments    (seg/: chunks of one shard, an index)
//!   ^                                                   |
//!   +---------------- readers <-------------------------+        superblocks -> checkpoint: what counts
//! ```
//!
//! One owner for each piece of durable state: the committer for the log's head, the maintenance loop for the
//! manifest; both superblocks behind one lock off the write path. What this crate does not know: names, hash keys,
//! sequence numbers, AWS.

mod batch;
mod batch_memory;
mod buffer_pool;
mod check;
mod checkpoint;
mod committer;
mod drain;
mod engine;
mod error;
mod grow;
mod index;
mod journal;
mod layout;
mod maintenance;
mod manifest;
mod merge;
mod pace;
mod queue;
mod read_queue;
mod reader;
mod recovery;
mod replay;
mod retention;
mod ring;
mod salvage;
mod scrub;
mod segment;
mod segment_writer;
mod set_aside;
mod settings;
mod shards;
mod slot;
mod status;
mod superblock;
mod survey;
mod tail_cache;

pub use check::{Checked, Damage, check};
pub use error::OpenError;
pub use journal::{DiskJournal, Figures};
pub use recovery::is_made;
pub use set_aside::{Lost, SetAside, set_aside};
pub use settings::{BLOCK_BYTES, Settings};
