//! Names, numbers and ranges that the whole project shares.
//!
//! Pure values: nothing here opens a socket or a file, reads a clock or needs an async runtime. Holding one of
//! these types is the proof that its text was checked; wire types (plain strings) live in `thalweg-model`.

pub mod arn;
pub mod hash_key;
pub mod limits;
mod md5_lanes;
pub mod names;
pub mod sequence_number;
pub mod shard;
pub mod timestamp;

pub use arn::{Arn, ConsumerArn, StreamArn};
pub use hash_key::{HashKey, HashKeyRange};
pub use names::{ConsumerName, NameError, StreamName};
pub use sequence_number::{FollowingDigits, RunDigits, SequenceNumber};
pub use shard::{Offset, ShardIndex, ShardKey, StreamId};
pub use timestamp::Timestamp;
