//! Sequence numbers: what clients see of a record's place.
//!
//! ```text
//! hex digits   1     9                1              16        2    9            8             1
//!            +---+------------------+--------------+---------+----+------------+-------------+---+
//!            | 2 | shard created, s | index's low  | counter | 00 | record's   | shard index | 2 |
//!            |   |                  | four bits    |         |    | arrival, s |             |   |
//!            +---+------------------+--------------+---------+----+------------+-------------+---+
//! bit       188 184                148            144       80   72           36             4   0
//! ```
//!
//! Printed in decimal: 56 digits that begin with 49. The counter of a record is its offset + 1, so a shard's
//! first record exceeds the number of the shard's start (counter 0). Source: `facts/aws-apis.md` 2.4.

use std::fmt;

use crate::{Offset, ShardIndex, Timestamp};

/// A 186-bit number. Ordered as clients order them: as an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceNumber {
    high: u64,
    low: u128,
}

/// Why a text is not one of our sequence numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a sequence number of version 2")]
pub struct NotASequenceNumber;

/// The counter in a closed shard's ending sequence number.
const COUNTER_END: u64 = 0x7fff_ffff_ffff_ffff;
/// No time in a number is this second or later: AWS rejects such (they would overflow its 36-bit field after scaling).
pub const SECONDS_MAX: u64 = 16_025_175_000;
/// The longest decimal form: 2^188 has 57 digits.
const DIGITS_MAX: usize = 57;
/// 10^19, the largest power of ten in a u64.
const CHUNK: u64 = 10_000_000_000_000_000_000;
/// Digits in a chunk.
const CHUNK_DIGITS: usize = 19;
/// 10^8: eight digits are what 32 bits hold.
const EIGHT: u64 = 100_000_000;
/// Where the counter begins.
const COUNTER_BIT: u32 = 80;

impl SequenceNumber {
    fn assemble(created: u64, shard: ShardIndex, counter: u64, arrival: u64) -> Self {
        let index = u128::from(shard.0);
        let low = 2 | index << 4 | u128::from(arrival) << 36 | u128::from(counter) << 80;
        let high = counter >> 48 | u64::from(shard.0 & 0xf) << 16 | created << 20 | 2 << 56;
        SequenceNumber { high, low }
    }

    /// The number of the record at `offset`. `created` and `arrival` are cut to seconds.
    pub fn of_record(created: Timestamp, shard: ShardIndex, offset: Offset, arrival: Timestamp) -> Self {
        Self::assemble(created.as_seconds(), shard, offset + 1, arrival.as_seconds())
    }

    /// The number that a shard starts with; every record of it has a larger one.
    pub fn shard_start(created: Timestamp, shard: ShardIndex) -> Self {
        Self::assemble(created.as_seconds(), shard, 0, created.as_seconds())
    }

    /// The number that a closed shard ends with; every record of it has a smaller one.
    pub fn shard_end(created: Timestamp, shard: ShardIndex, closed: Timestamp) -> Self {
        Self::assemble(created.as_seconds(), shard, COUNTER_END, closed.as_seconds())
    }

    /// A number between those of the records at `offset - 1` and `offset`: where a reader stands who has read all
    /// before `offset`. It grows with `at`, which is not before the arrival of the record at `offset - 1`.
    pub fn of_place(created: Timestamp, shard: ShardIndex, offset: Offset, at: Timestamp) -> Self {
        Self::assemble(created.as_seconds(), shard, offset, at.as_seconds())
    }

    /// Reads the decimal form.
    ///
    /// # Errors
    /// When it is not a decimal number, not of version 2, or its times are out of range.
    pub fn parse(text: &str) -> Result<Self, NotASequenceNumber> {
        if text.len() > DIGITS_MAX || text.is_empty() || text.starts_with('0') {
            return Err(NotASequenceNumber);
        }
        let mut words = [0u64; 3];
        // Nineteen digits at a time: value = value * 10^n + chunk.
        for chunk in text.as_bytes().chunks(19) {
            let mut value = 0u64;
            for digit in chunk {
                if !digit.is_ascii_digit() {
                    return Err(NotASequenceNumber);
                }
                value = value * 10 + u64::from(digit - b'0');
            }
            let scale = u128::from(10u64.pow(u32::try_from(chunk.len()).expect("at most 19")));
            let mut carry = u128::from(value);
            for word in &mut words {
                let product = u128::from(*word) * scale + carry;
                *word = product as u64;
                carry = product >> 64;
            }
            if carry != 0 {
                return Err(NotASequenceNumber);
            }
        }
        let number =
            SequenceNumber { high: words[2], low: u128::from(words[1]) << 64 | u128::from(words[0]) };
        let plausible = number.high >> 56 == 2
            && number.low & 0xf == 2
            && (number.low >> 72) & 0xff == 0
            && number.counter() <= COUNTER_END
            && number.created().as_seconds() < SECONDS_MAX
            && number.arrival().as_seconds() < SECONDS_MAX
            && number.shard().0 <= ShardIndex::MAX.0
            && u64::from(number.shard().0 & 0xf) == (number.high >> 16) & 0xf;
        if plausible { Ok(number) } else { Err(NotASequenceNumber) }
    }

    /// When the shard was created, to the second.
    pub fn created(self) -> Timestamp {
        Timestamp::from_seconds(((self.high >> 20) & 0xf_ffff_ffff) as i64)
    }

    /// The shard.
    pub fn shard(self) -> ShardIndex {
        ShardIndex((self.low >> 4) as u32)
    }

    /// When the record arrived, to the second.
    pub fn arrival(self) -> Timestamp {
        Timestamp::from_seconds(((self.low >> 36) as u64 & 0xf_ffff_ffff) as i64)
    }

    fn counter(self) -> u64 {
        (self.low >> 80) as u64 | (self.high & 0xffff) << 48
    }

    /// The offset of the first record whose number is at least this one: 0 for a shard's start, the largest
    /// possible offset for a shard's end.
    pub fn offset_at(self) -> Offset {
        self.counter().saturating_sub(1)
    }

    /// The offset of the first record whose number is larger than this one.
    pub fn offset_after(self) -> Offset {
        self.counter()
    }

    /// Whether this is the number of a shard's start rather than a record's.
    pub fn is_shard_start(self) -> bool {
        self.counter() == 0
    }

    /// Whether this is the number of a closed shard's end.
    pub fn is_shard_end(self) -> bool {
        self.counter() == COUNTER_END
    }

    /// The decimal digits, without going through the formatter.
    pub fn digits(self) -> Digits {
        Digits::of_chunks(self.chunks())
    }

    /// The number of the record so many places after this one's in its shard, if both arrived in the same second.
    pub fn following(self, places: u32) -> Self {
        let (low, carry) = self.low.overflowing_add(u128::from(places) << COUNTER_BIT);
        SequenceNumber { high: self.high + u64::from(carry), low }
    }

    /// As three chunks of 19 digits, from the left.
    fn chunks(self) -> [u64; 3] {
        // The number is below 2^186, so each quotient of a step fits into 64 bits: high < 10^19, and
        // number / 10^19 / 2^64 < 10^19.
        let (high, low) = divide(self.high, (self.low >> 64) as u64);
        let (middle, right) = divide(low, self.low as u64);
        let (left, middle) = divide(high, middle);
        [left, middle, right]
    }
}

impl Digits {
    fn of_chunks(chunks: [u64; 3]) -> Self {
        let mut text = [b'0'; DIGITS_MAX];
        let (places, rest) = text.as_chunks_mut();
        debug_assert!(rest.is_empty());
        for (chunk, place) in chunks.into_iter().zip(places) {
            write_chunk(chunk, place);
        }
        let start = text.iter().position(|&digit| digit != b'0').unwrap_or(DIGITS_MAX - 1);
        Digits { text, start: start as u8 }
    }
}

/// The digits of numbers that mostly follow each other, as those of a shard's records do.
#[derive(Clone, Debug)]
pub struct FollowingDigits {
    run: RunDigits,
    digits: Digits,
}

impl FollowingDigits {
    /// Those of `number`.
    pub fn new(number: SequenceNumber) -> Self {
        let digits = number.digits();
        FollowingDigits { run: RunDigits::of(number, &digits), digits }
    }

    /// Those of `number`, which may be any. Cheap for the number of the record that follows the last one asked for, if
    /// it arrived in the same second.
    pub fn go_to(&mut self, number: SequenceNumber) -> &Digits {
        if number != self.run.number && !self.run.next(number, &mut self.digits.text) {
            *self = FollowingDigits::new(number);
        }
        &self.digits
    }
}

/// Goes through the numbers of a run and writes their digits where they are to be: into copies of the first one's. What
/// is read back soon after it was written, byte by byte, makes the processor wait; this reads nothing back.
#[derive(Clone, Debug)]
pub struct RunDigits {
    number: SequenceNumber,
    low: LowDigits,
}

/// So many digits change from one record of a run to the next, unless there is a carry out of them.
const LOW_DIGITS: usize = 40;
/// The last digits of a number, the last eight first: a digit a byte, the last one in the lowest.
type LowDigits = [u64; LOW_DIGITS / 8];

/// One more on the counter.
const STEP: LowDigits = {
    let mut step = [0; LOW_DIGITS / 8];
    let mut rest = 1u128 << COUNTER_BIT;
    let mut digit = 0;
    while rest > 0 {
        step[digit / 8] |= ((rest % 10) as u64) << (8 * (digit % 8));
        rest /= 10;
        digit += 1;
    }
    step
};

/// What makes eight digits text.
const ZEROS: u64 = u64::from_be_bytes([b'0'; 8]);

impl RunDigits {
    /// From the run's first number on.
    pub fn new(first: SequenceNumber) -> Self {
        RunDigits::of(first, &first.digits())
    }

    fn of(number: SequenceNumber, digits: &Digits) -> Self {
        let text: &[u8; LOW_DIGITS] = digits.text.last_chunk().expect("there are more");
        let mut low = LowDigits::default();
        for (word, eight) in low.iter_mut().rev().zip(text.as_chunks().0) {
            *word = u64::from_be_bytes(*eight) - ZEROS;
        }
        RunDigits { number, low }
    }

    /// Makes the digits of `number` of those in `digits`, which are of any number that this went through, if `number` is
    /// the next of the run. False if it is not, or differs in more than the last forty digits: nothing was written then.
    ///
    /// # Panics
    /// When `digits` are fewer than forty.
    pub fn next(&mut self, number: SequenceNumber, digits: &mut [u8]) -> bool {
        if number != self.number.following(1) {
            return false;
        }
        let (mut low, mut carry) = (self.low, false);
        for (eight, step) in low.iter_mut().zip(STEP) {
            (*eight, carry) = add_eight(*eight, step, carry);
        }
        if carry {
            return false;
        }
        let text: &mut [u8; LOW_DIGITS] =
            digits.last_chunk_mut().expect("numbers of version 2 have 56 digits");
        for (word, eight) in low.iter().rev().zip(text.as_chunks_mut().0) {
            *eight = (word + ZEROS).to_be_bytes();
        }
        *self = RunDigits { number, low };
        true
    }
}

/// The sum of eight digits and eight others, all of them a byte each, with the carries into it and out of it.
///
/// With 246 on top a sum of ten or more overflows its byte, which is the carry into the next one. Where it does not, six
/// too many are left in the lower half of the byte, and the upper half shows it.
fn add_eight(one: u64, other: u64, carry: bool) -> (u64, bool) {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let (sum, first) = one.overflowing_add(other + 246 * EACH);
    let (sum, second) = sum.overflowing_add(u64::from(carry));
    let six_too_many = (sum >> 4) & (6 * EACH);
    ((sum & (15 * EACH)) - six_too_many, first | second)
}

/// `high * 2^64 + low` by 10^19: quotient and remainder. `high` is below 10^19.
///
/// A multiplication by the reciprocal and two corrections, by Möller and Granlund, "Improved division by invariant
/// integers" (2011), algorithm 4: the processor's division of 128 bits takes several times as long, and a record in
/// an answer needs three of them.
fn divide(high: u64, low: u64) -> (u64, u64) {
    /// floor((2^128 - 1) / 10^19) - 2^64. The divisor has its top bit set, as the algorithm asks.
    const RECIPROCAL: u64 = (u128::MAX / CHUNK as u128 - (1 << 64)) as u64;
    debug_assert!(high < CHUNK, "or the quotient does not fit");
    let guess = u128::from(RECIPROCAL) * u128::from(high) + (u128::from(high) << 64 | u128::from(low));
    let mut quotient = ((guess >> 64) as u64).wrapping_add(1);
    let mut remainder = low.wrapping_sub(quotient.wrapping_mul(CHUNK));
    if remainder > guess as u64 {
        quotient = quotient.wrapping_sub(1);
        remainder = remainder.wrapping_add(CHUNK);
    }
    if remainder >= CHUNK {
        quotient += 1;
        remainder -= CHUNK;
    }
    (quotient, remainder)
}

/// The digits of 0 to 99, two each.
static PAIRS: [u8; 200] = {
    let mut pairs = [0; 200];
    let mut number = 0;
    while number < 100 {
        pairs[2 * number] = b'0' + (number / 10) as u8;
        pairs[2 * number + 1] = b'0' + (number % 10) as u8;
        number += 1;
    }
    pairs
};

/// Writes 19 digits: three, eight and eight, which do not wait for each other.
fn write_chunk(chunk: u64, place: &mut [u8; CHUNK_DIGITS]) {
    let (rest, right) = (chunk / EIGHT, (chunk % EIGHT) as u32);
    let (left, middle) = ((rest / EIGHT) as u32, (rest % EIGHT) as u32);
    place[0] = b'0' + (left / 100) as u8;
    write_pair(left % 100, &mut place[1..3]);
    write_eight(middle, &mut place[3..11]);
    write_eight(right, &mut place[11..19]);
}

fn write_eight(number: u32, place: &mut [u8]) {
    let (high, low) = (number / 10_000, number % 10_000);
    write_pair(high / 100, &mut place[0..2]);
    write_pair(high % 100, &mut place[2..4]);
    write_pair(low / 100, &mut place[4..6]);
    write_pair(low % 100, &mut place[6..8]);
}

fn write_pair(number: u32, place: &mut [u8]) {
    let start = 2 * number as usize;
    place.copy_from_slice(&PAIRS[start..start + 2]);
}

/// The decimal form of a sequence number, on the stack.
#[derive(Clone, Copy, Debug)]
pub struct Digits {
    text: [u8; DIGITS_MAX],
    start: u8,
}

impl Digits {
    /// The digits as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text[usize::from(self.start)..]
    }

    /// The digits as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("digits are ASCII")
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.digits().as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_recorded_from_aws_is_understood() {
        // From AWS's own documentation of PutRecord.
        let text = "49543463076548007577105092703039560359975228518395019266";
        let number = SequenceNumber::parse(text).expect("well formed");
        assert_eq!(number.shard(), ShardIndex(0));
        assert_eq!(number.to_string(), text);
    }

    #[test]
    fn a_shard_starts_below_and_ends_above_all_of_its_records() {
        let created = Timestamp::from_seconds(1_700_000_000);
        let (shard, late) = (ShardIndex(17), Timestamp::from_seconds(1_800_000_000));
        let start = SequenceNumber::shard_start(created, shard);
        let first = SequenceNumber::of_record(created, shard, 0, created);
        let last = SequenceNumber::of_record(created, shard, 1 << 60, late);
        let end = SequenceNumber::shard_end(created, shard, late);
        assert!(start < first && first < last && last < end);
        let child = SequenceNumber::shard_start(Timestamp::from_seconds(1_700_000_001), ShardIndex(18));
        assert!(end < child, "a child's numbers exceed its parent's");
        assert_eq!((start.offset_at(), start.offset_after()), (0, 0));
        assert_eq!((first.offset_at(), first.offset_after()), (0, 1));
    }

    #[test]
    fn a_place_lies_between_the_records_around_it() {
        let created = Timestamp::from_seconds(1_700_000_000);
        let (shard, arrival) = (ShardIndex(17), Timestamp::from_seconds(1_700_000_007));
        let later = Timestamp::from_seconds(1_700_000_012);
        let place = |offset, at| SequenceNumber::of_place(created, shard, offset, at);
        let record = |offset| SequenceNumber::of_record(created, shard, offset, arrival);
        assert!(SequenceNumber::shard_start(created, shard) < place(0, later) && place(0, later) < record(0));
        assert_eq!(
            place(5, arrival),
            record(4),
            "at the moment when the last record came, they are the same"
        );
        assert!(record(4) < place(5, later) && place(5, later) < record(5));
        assert_eq!((place(5, later).offset_at(), place(5, later).offset_after()), (4, 5));
    }

    #[test]
    fn foreign_texts_are_refused() {
        for text in [
            "",
            "0",
            "1",
            "x",
            "049543463076548007577105092703039560359975228518395019266",
            "99999999999999999999999999999999999999999999999999999999",
            "999999999999999999999999999999999999999999999999999999999",
            "9999999999999999999999999999999999999999999999999999999999",
            "49543463076548007577105092703039560359975228518395019267",
        ] {
            assert_eq!(SequenceNumber::parse(text), Err(NotASequenceNumber), "{text}");
        }
    }

    proptest! {
        #[test]
        fn following_digits_are_the_numbers_own(
            created in 0u64..16_000_000_000,
            shard in 0u32..=i32::MAX as u32,
            // Also where the counter's lower 48 bits overflow.
            start in prop_oneof![0u64..COUNTER_END - 100_000, (1 << 48) - 3_000..(1u64 << 48) + 10],
            arrival in 1_000_000_000u64..16_000_000_000,
            jumps in prop::collection::vec((1u64..4, 0u64..2), 0..6),
        ) {
            let mut digits: Option<FollowingDigits> = None;
            let (mut counter, mut arrival) = (start, arrival);
            for (jump, seconds) in jumps {
                (counter, arrival) = (counter + jump, arrival + seconds);
                // Far enough that each chunk's low digits carry into its higher ones.
                for _ in 0..2_000 {
                    let number = SequenceNumber::assemble(created, ShardIndex(shard), counter, arrival);
                    let digits = digits.get_or_insert_with(|| FollowingDigits::new(number));
                    prop_assert_eq!(digits.go_to(number).as_str(), number.to_string());
                    counter += 1;
                }
            }
        }

        #[test]
        fn the_digits_of_a_run_are_the_numbers_own(
            created in 0u64..16_000_000_000,
            shard in 0u32..=i32::MAX as u32,
            start in prop_oneof![0u64..COUNTER_END - 100_000, (1 << 48) - 1_000..(1u64 << 48) + 10],
            arrival in 1_000_000_000u64..16_000_000_000,
        ) {
            let number = |counter| SequenceNumber::assemble(created, ShardIndex(shard), counter, arrival);
            let mut text = number(start).to_string().into_bytes();
            let mut digits = RunDigits::new(number(start));
            for counter in start + 1..start + 2_000 {
                let before = text.clone();
                prop_assert!(!digits.next(number(counter + 1), &mut text), "not the next one");
                prop_assert_eq!(&text, &before);
                let expected = number(counter).to_string();
                if digits.next(number(counter), &mut text) {
                    prop_assert_eq!(std::str::from_utf8(&text), Ok(expected.as_str()));
                } else {
                    prop_assert_ne!(&text[..text.len() - 40], &expected.as_bytes()[..expected.len() - 40]);
                    digits = RunDigits::new(number(counter));
                    text = expected.into_bytes();
                }
            }
        }

        #[test]
        fn decimal_sums_are_sums(one in 0..EIGHT, other in 0..EIGHT, carry: bool) {
            let decimal = |number: u64| {
                u64::from_be_bytes(format!("{number:08}").into_bytes().try_into().expect("eight digits")) - ZEROS
            };
            for (one, other) in [(one, other), (one, EIGHT - 1 - one), (EIGHT - 1, other), (0, 0)] {
                let sum = one + other + u64::from(carry);
                let expected = (decimal(sum % EIGHT), sum >= EIGHT);
                prop_assert_eq!(add_eight(decimal(one), decimal(other), carry), expected);
            }
        }

        #[test]
        fn printing_and_reading_agree(
            created in 1_000_000_000u64..16_000_000_000,
            shard in 0u32..=i32::MAX as u32,
            offset in 0u64..COUNTER_END - 1,
            arrival in 1_000_000_000u64..16_000_000_000,
        ) {
            let number = SequenceNumber::assemble(created, ShardIndex(shard), offset + 1, arrival);
            let read = SequenceNumber::parse(&number.to_string()).expect("printed by us");
            prop_assert_eq!(read, number);
            prop_assert_eq!(read.created().as_seconds(), created);
            prop_assert_eq!(read.shard(), ShardIndex(shard));
            prop_assert_eq!(read.offset_at(), offset);
            prop_assert_eq!(read.arrival().as_seconds(), arrival);
        }

        #[test]
        fn division_is_exact(high in 0..CHUNK, low: u64, quotient: u64, remainder in 0..CHUNK) {
            let dividend = u128::from(quotient) * u128::from(CHUNK) + u128::from(remainder);
            // Dividends of both kinds: any, and those next to a multiple.
            for dividend in [u128::from(high) << 64 | u128::from(low), dividend, dividend - u128::from(remainder)] {
                let expected = (dividend / u128::from(CHUNK), dividend % u128::from(CHUNK));
                let (quotient, remainder) = divide((dividend >> 64) as u64, dividend as u64);
                prop_assert_eq!((u128::from(quotient), u128::from(remainder)), expected);
            }
        }

        #[test]
        fn order_is_by_creation_then_offset(a in any::<(u32, u32)>(), b in any::<(u32, u32)>()) {
            let number = |(created, offset): (u32, u32)| SequenceNumber::assemble(
                u64::from(created) + 1_000_000_000, ShardIndex(3), u64::from(offset), 1_500_000_000);
            prop_assert_eq!(number(a).cmp(&number(b)), a.cmp(&b));
        }
    }
}
