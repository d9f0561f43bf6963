//! How a shard is named: inside (ids and indexes) and outside (`shardId-000000000000`).

use std::fmt;

/// A position in one shard's journal: the number of records before it. Dense, starts at 0, never reused.
pub type Offset = u64;

/// The durable identity of a stream. Never reused, so that nothing of a deleted stream can be taken for its
/// successor's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stream-{}", self.0)
    }
}

/// A shard's number within its stream. It grows with every shard ever made and is never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardIndex(pub u32);

impl ShardIndex {
    /// The largest index that AWS accepts in a shard id.
    pub const MAX: ShardIndex = ShardIndex(i32::MAX as u32);

    /// Reads a shard id as AWS does: what follows the last dash (or the whole text) is a decimal number of at
    /// most 2147483647; the prefix and the padding do not matter. `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.rsplit('-').next().unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let index: u32 = digits.parse().ok()?;
        (index <= Self::MAX.0).then_some(ShardIndex(index))
    }
}

impl fmt::Display for ShardIndex {
    /// AWS's form: `shardId-` and twelve digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shardId-{:012}", self.0)
    }
}

/// One shard of one stream: what a journal knows it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardKey {
    /// The stream.
    pub stream: StreamId,
    /// The shard in it.
    pub shard: ShardIndex,
}

impl fmt::Display for ShardKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.stream, self.shard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_parse(text: &str, expected: Option<u32>) {
        assert_eq!(ShardIndex::parse(text), expected.map(ShardIndex), "{text}");
    }

    #[test]
    fn shard_ids_are_read_leniently_as_aws_does() {
        check_parse("shardId-000000000005", Some(5));
        check_parse("shardId-5", Some(5));
        check_parse("x-5", Some(5));
        check_parse("5", Some(5));
        check_parse("shardId-2147483647", Some(2_147_483_647));
        check_parse("shardId-2147483648", None);
        check_parse("shardId-", None);
        check_parse("shardId-5x", None);
        check_parse("", None);
    }

    #[test]
    fn shard_ids_are_printed_with_twelve_digits() {
        assert_eq!(ShardIndex(7).to_string(), "shardId-000000000007");
    }
}
