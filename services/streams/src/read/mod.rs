//! Records on their way out: where a reader starts, and a page of records from there, for GetShardIterator,
//! GetRecords and SubscribeToShard. How answers are written is not here.

pub(crate) mod numbers;
mod page;
mod start;

pub(crate) use page::{Page, children, numbered, page, write_records};
pub(crate) use start::{Asked, offset};
