//! The 128-bit space that partition keys are hashed into, and ranges of it.

use std::fmt;

use crate::md5_lanes;

/// A place in the hash space, 0 to 2^128 - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HashKey(pub u128);

impl HashKey {
    /// The smallest.
    pub const MIN: HashKey = HashKey(0);
    /// The largest, 2^128 - 1.
    pub const MAX: HashKey = HashKey(u128::MAX);

    /// Where AWS places a record: the MD5 of the key's UTF-8 bytes, read as a big-endian number.
    pub fn of_partition_key(partition_key: &str) -> Self {
        md5_lanes::digest(partition_key)
    }

    /// As [`HashKey::of_partition_key`], for many keys: several times as fast for each.
    ///
    /// # Panics
    /// When there is not one place for each key.
    pub fn of_partition_keys(partition_keys: &[&str], places: &mut [HashKey]) {
        md5_lanes::digest_each(partition_keys, places);
    }

    /// Reads a decimal number without leading zeros. `None` when it is malformed or above 2^128 - 1.
    pub fn parse(text: &str) -> Option<Self> {
        let well_formed = text == "0" || (!text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit()));
        if text.is_empty() || !well_formed {
            return None;
        }
        text.parse().ok().map(HashKey)
    }
}

impl fmt::Display for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A range of the hash space; both ends belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HashKeyRange {
    /// The first key of the range.
    pub start: HashKey,
    /// The last key of the range.
    pub end: HashKey,
}

impl HashKeyRange {
    /// Whether `key` lies in this range.
    pub fn contains(&self, key: HashKey) -> bool {
        self.start <= key && key <= self.end
    }

    /// The whole space cut into `count` ranges as AWS cuts it: each floor(2^128 / count) wide, the last one up
    /// to the end.
    ///
    /// # Panics
    /// When `count` is 0.
    pub fn evenly(count: u32) -> impl Iterator<Item = HashKeyRange> {
        assert!(count > 0, "a stream has at least one shard");
        // 2^128 itself does not fit: floor((2^128 - 1) / n) is short by one exactly when n divides 2^128.
        let width = u128::MAX / u128::from(count) + u128::from(count.is_power_of_two() && count > 1);
        (0..count).map(move |i| HashKeyRange {
            start: HashKey(width * u128::from(i)),
            end: if i + 1 == count { HashKey::MAX } else { HashKey(width * u128::from(i + 1) - 1) },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_evenly(count: u32, expected: &[(&str, &str)]) {
        let ranges: Vec<_> =
            HashKeyRange::evenly(count).map(|r| (r.start.to_string(), r.end.to_string())).collect();
        let ranges: Vec<_> = ranges.iter().map(|(s, e)| (s.as_str(), e.as_str())).collect();
        assert_eq!(ranges, expected);
    }

    #[test]
    fn new_streams_are_cut_as_aws_cuts_them() {
        let max = "340282366920938463463374607431768211455";
        check_evenly(1, &[("0", max)]);
        check_evenly(
            2,
            &[
                ("0", "170141183460469231731687303715884105727"),
                ("170141183460469231731687303715884105728", max),
            ],
        );
        check_evenly(
            3,
            &[
                ("0", "113427455640312821154458202477256070484"),
                ("113427455640312821154458202477256070485", "226854911280625642308916404954512140969"),
                ("226854911280625642308916404954512140970", max),
            ],
        );
    }

    #[test]
    fn a_partition_key_is_placed_by_its_md5() {
        // md5("a") = 0cc175b9c0f1b6a831c399e269772661
        assert_eq!(HashKey::of_partition_key("a"), HashKey(0x0cc1_75b9_c0f1_b6a8_31c3_99e2_6977_2661));
    }

    #[test]
    fn explicit_hash_keys_are_strict_decimals() {
        for (text, expected) in [
            ("0", Some(0)),
            ("340282366920938463463374607431768211455", Some(u128::MAX)),
            ("340282366920938463463374607431768211456", None),
            ("01", None),
            ("+1", None),
            ("-1", None),
            ("", None),
        ] {
            assert_eq!(HashKey::parse(text), expected.map(HashKey), "{text}");
        }
    }
}
