//! The hot operations' own codecs: requests scanned in place, answers written without a tree of values.
//!
//! A scanner reads what clients really send and declines everything else (`None`): escapes, nulls, unknown or
//! doubled members, too many records, anything malformed. The ordinary path then reads the body again and words
//! the error, so nothing is decided here that it would decide otherwise. Tests hold both ways equal:
//! `tests/hot.rs`, and `tests/fuzz` of the workspace.

#[doc(hidden)]
pub mod agreement;
mod answers;
mod likeness;
mod records;
mod requests;
pub(crate) mod scan;

pub use answers::{PlacedRun, PutResult, put_record_answer, put_records_answer};
pub use records::{ChildShard, Record, RecordsWriter};
pub use requests::{Data, GetRecords, NotBase64, PutEntry, PutRecord, PutRecords};
