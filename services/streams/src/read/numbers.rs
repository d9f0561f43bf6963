//! What AWS reads in the text of a sequence number of any version. Ours are of version 2
//! ([`thalweg_types::SequenceNumber`]); this is for the checks, and the errors, that AWS makes for the others.
//!
//! ```text
//! hex digits   1          9              1 or 2 …                                       8           1
//!  version 0   1..f  shard created, s    2 unknown, 16 random                        4: shard           32 digits
//!  version 1   2     shard created, s    1 nibble, 2 unknown, 9 time, 14 random, 2      shard       1   47 digits
//!  version 2   2     shard created, s    1 nibble, 16 counter, 2 unknown, 9 time        shard       2   47 digits
//! ```
//!
//! Source: kinesalite, which recorded AWS's answers; facts/aws-behaviour.md, Identity and ids.

/// AWS refuses times from here on, in seconds.
const SECONDS_MAX: u64 = 16_025_175_000;
/// 192 bits in hex digits.
const HEX_DIGITS: usize = 48;

/// A number that AWS understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Understood {
    pub(crate) version: u8,
    /// AWS reads it as a signed number, and shows it so.
    pub(crate) shard: i64,
    /// When the record arrived, in seconds; version 0 does not say.
    pub(crate) arrival: Option<u64>,
    /// When the shard was created, in seconds.
    pub(crate) created: u64,
}

/// Reads a decimal number without leading zeros. `None`: AWS understands nothing.
pub(crate) fn understand(text: &str) -> Option<Understood> {
    let mut words = parse(text)?;
    // Small numbers count from 2^124.
    if words[2] == 0 && words[1] < 1 << 60 {
        words[1] += 1 << 60;
    }
    let hex = format!("{:016x}{:016x}{:016x}", words[2], words[1], words[0]);
    debug_assert_eq!(hex.len(), HEX_DIGITS);
    let hex = hex.trim_start_matches('0');
    let part = |from: usize, to: usize| {
        let digits = hex.get(from..to).unwrap_or_default();
        u64::from_str_radix(digits, 16).unwrap_or(0)
    };
    let created = part(1, 10);
    match (hex.len(), hex.as_bytes().first(), hex.as_bytes().last()) {
        // Below 2^128; AWS's version 0 goes on to 2^129, but without a shard at this place.
        (32, _, _) => (created < SECONDS_MAX).then(|| Understood {
            version: 0,
            shard: part(28, 32) as i64,
            arrival: None,
            created,
        }),
        (47, Some(b'2'), Some(b'1')) => {
            let shard = part(38, 46) as i64;
            Some(Understood { version: 1, shard, arrival: Some(part(13, 22)), created })
        }
        (47, Some(b'2'), Some(b'2')) => {
            let shard = part(38, 46) as i64;
            let shard = if shard > i64::from(i32::MAX) { -shard } else { shard };
            let counter_in_range = part(11, 12) <= 7;
            let arrival = Some(part(29, 38));
            (counter_in_range && created < SECONDS_MAX).then_some(Understood {
                version: 2,
                shard,
                arrival,
                created,
            })
        }
        _ => None,
    }
}

/// 192 bits, lowest word first.
fn parse(text: &str) -> Option<[u64; 3]> {
    let mut words = [0u64; 3];
    if text.is_empty() {
        return None;
    }
    for digit in text.bytes() {
        if !digit.is_ascii_digit() {
            return None;
        }
        let mut carry = u128::from(digit - b'0');
        for word in &mut words {
            let product = u128::from(*word) * 10 + carry;
            *word = product as u64;
            carry = product >> 64;
        }
        if carry != 0 {
            return None;
        }
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use thalweg_types::{SequenceNumber, ShardIndex, Timestamp};

    use super::*;

    #[track_caller]
    fn check_understand(text: &str, expected: Option<(u8, i64)>) {
        let found = understand(text).map(|number| (number.version, number.shard));
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn our_own_numbers_are_of_version_2() {
        let created = Timestamp::from_seconds(1_700_000_000);
        let arrival = Timestamp::from_seconds(1_700_000_555);
        let text = SequenceNumber::of_record(created, ShardIndex(17), 12_345, arrival).to_string();
        let expected =
            Understood { version: 2, shard: 17, created: 1_700_000_000, arrival: Some(1_700_000_555) };
        assert_eq!(understand(&text), Some(expected));
    }

    #[test]
    fn numbers_are_understood_as_aws_understands_them() {
        // The texts, and what AWS read in them, are from kinesalite's recordings.
        check_understand("0", Some((0, 0)));
        check_understand("5", Some((0, 5)));
        // 13bb2cc3d80000000000000000000000, 20000000000800000000000000000000000000000000002: out of range.
        check_understand("26227199374822427428162556223570313216", None);
        check_understand("49039857307719593840066370180380661734935976090628259842", None);
        // 2…2, 2…1 and 2…800000002; 2…0, 2…3 and 2…4 are of no version.
        check_understand("49039857307708443467467104868809893875799651909875269634", Some((2, 0)));
        check_understand("49039857307708443467467104868809893875799651909875269633", Some((1, 0)));
        check_understand(
            "49039857307708443467467104868809893875799651944235008002",
            Some((2, -2_147_483_648)),
        );
        check_understand("49039857307708443467467104868809893875799651909875269632", None);
        check_understand("49039857307708443467467104868809893875799651909875269635", None);
        check_understand("49039857307708443467467104868809893875799651909875269636", None);
        check_understand(&"9".repeat(129), None);
        check_understand("", None);
        check_understand("5x", None);
    }
}
