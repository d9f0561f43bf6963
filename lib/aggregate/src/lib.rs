//! KPL record aggregation, both ways: several *user records* inside the data of one Kinesis record. It knows
//! neither streams nor shards nor time: producers decide what goes together and when it is sent.
//!
//! ```text
//!  F3 89 9A C2 | protobuf AggregatedRecord | MD5 of the protobuf bytes, 16 bytes
//!
//!  message AggregatedRecord { repeated string partition_key_table = 1;
//!                             repeated string explicit_hash_key_table = 2;   decimal numbers
//!                             repeated Record records = 3; }
//!  message Record           { required uint64 partition_key_index = 1;
//!                             optional uint64 explicit_hash_key_index = 2;
//!                             required bytes data = 3;
//!                             repeated Tag tags = 4; }
//!  message Tag              { required string key = 1; optional string value = 2; }   no library uses them
//! ```
//! (proto2; the format is the Kinesis Producer Library's.)
//!
//! The two handfuls of protobuf that this takes are written by hand in `protobuf`.

mod aggregator;
mod deaggregate;
mod protobuf;

pub use aggregator::{Added, Aggregator, Limits, Outgoing};
pub use deaggregate::{Aggregated, Deaggregated, UserRecord, deaggregate};

/// What an aggregated record starts with.
const MAGIC: [u8; 4] = [0xf3, 0x89, 0x9a, 0xc2];
/// Bytes of the MD5 at the end.
const DIGEST_BYTES: usize = 16;
/// The partition key of an aggregated record: it says nothing, its explicit hash key places it.
const OUTER_PARTITION_KEY: &str = "a";

// Field numbers.
const AGGREGATED_PARTITION_KEY: u32 = 1;
const AGGREGATED_EXPLICIT_HASH_KEY: u32 = 2;
const AGGREGATED_RECORD: u32 = 3;
const RECORD_PARTITION_KEY_INDEX: u32 = 1;
const RECORD_EXPLICIT_HASH_KEY_INDEX: u32 = 2;
const RECORD_DATA: u32 = 3;
const RECORD_TAG: u32 = 4;
const TAG_KEY: u32 = 1;
const TAG_VALUE: u32 = 2;

#[cfg(test)]
mod tests {
    /// Made with the PyPI package aws-kinesis-agg from (pk1, "hello"), (pk1, "world"), (pk2, explicit hash key 123,
    /// "!!").
    const VECTOR: &str = "f3899ac20a03706b310a03706b3212033132331a0908001a0568656c6c6f1a0908001a05776f726c64\
        1a08080110001a022121e9a5f7496b784f93a21c538402feed91";

    pub(crate) fn vector() -> Vec<u8> {
        let digit = |byte: u8| char::from(byte).to_digit(16).expect("the vector is hexadecimal");
        let byte = |pair: &[u8]| u8::try_from(digit(pair[0]) << 4 | digit(pair[1])).expect("two digits");
        VECTOR.as_bytes().chunks(2).map(byte).collect()
    }
}
