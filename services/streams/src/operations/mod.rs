//! The operations, a file for each. An operation checks its request against the state of things, in AWS's order,
//! and then either answers from a snapshot or hands a change to [`crate::transition`].

pub(crate) mod get_records;
pub(crate) mod get_shard_iterator;
pub(crate) mod put_record;
pub(crate) mod put_records;
pub(crate) mod subscribe_to_shard;
