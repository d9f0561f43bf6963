//! Walking JSON text in place. Accepts less than JSON: no escapes, no numbers but short whole ones.

use memchr::{memchr, memchr2};

use super::encode::is_escaped;
use crate::hot::Data;
use crate::hot::scan::{Open, Scan};

/// More digits could exceed 64 bits.
const DIGITS_MAX: usize = 18;

/// Strings that are longer are searched by vectors, which take longer to start.
const SHORT: usize = 64;

/// Each byte of a word is this one.
const fn each(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// The top bit of each byte that is zero, up to the first of them; those above may be set without reason.
#[inline]
const fn zeros(word: u64) -> u64 {
    word.wrapping_sub(each(1)) & !word & each(0x80)
}

/// Where the first quote or backslash is, which is expected soon: eight bytes at a time.
#[inline]
fn end_of_short(bytes: &[u8]) -> Option<usize> {
    for (number, word) in bytes.as_chunks().0.iter().take(SHORT / 8).enumerate() {
        let word = u64::from_le_bytes(*word);
        let ends = zeros(word ^ each(b'"')) | zeros(word ^ each(b'\\'));
        if ends != 0 {
            return Some(number * 8 + ends.trailing_zeros() as usize / 8);
        }
    }
    memchr2(b'"', b'\\', bytes)
}

/// Whether these bytes may stand in a string as they are: no quotes, backslashes or control characters.
#[inline]
fn is_plain(bytes: &[u8]) -> bool {
    let escaped = |word: &[u8; 8]| {
        let word = u64::from_le_bytes(*word);
        let control = word.wrapping_sub(each(0x20)) & !word & each(0x80);
        control | zeros(word ^ each(b'"')) | zeros(word ^ each(b'\\'))
    };
    let (words, rest) = bytes.as_chunks();
    let found = words.iter().fold(0, |found, word| found | escaped(word));
    // The rest together with some of what was looked at, if there is so much.
    match bytes.last_chunk() {
        Some(last) => found | escaped(last) == 0,
        None => !rest.iter().any(|byte| is_escaped(*byte)),
    }
}

/// A walk over a JSON text.
pub(crate) struct JsonScan<'a> {
    rest: &'a [u8],
}

impl<'a> JsonScan<'a> {
    pub(crate) fn new(body: &'a [u8]) -> Self {
        JsonScan { rest: body }
    }

    /// The next byte that is not white space; it is not taken.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        while let [b' ' | b'\n' | b'\r' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
        self.rest.first().copied()
    }

    #[inline]
    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.rest = &self.rest[1..])
    }

    /// What stands between quotes; declines escapes. For names, keys and the like.
    #[inline]
    fn string(&mut self) -> Option<&'a [u8]> {
        self.take(b'"')?;
        let end = end_of_short(self.rest)?;
        let (string, rest) = self.rest.split_at(end);
        if rest[0] != b'"' {
            return None;
        }
        self.rest = &rest[1..];
        Some(string)
    }

    /// Whether something follows in the open map or list; takes the comma before it, or the closing byte.
    #[inline]
    fn goes_on(&mut self, open: &mut Open, closing: u8) -> Option<bool> {
        let next = self.peek()?;
        if next == closing {
            self.rest = &self.rest[1..];
            return Some(false);
        }
        if open.taken > 0 {
            self.take(b',')?;
        }
        open.taken += 1;
        Some(true)
    }
}

impl<'a> Scan<'a> for JsonScan<'a> {
    fn open_map(&mut self) -> Option<Open> {
        self.take(b'{')?;
        Some(Open { length: None, taken: 0 })
    }

    #[inline]
    fn member(&mut self, open: &mut Open) -> Option<Option<&'a [u8]>> {
        if !self.goes_on(open, b'}')? {
            return Some(None);
        }
        // A name need not be checked: only those that equal one of ours are accepted.
        let name = self.string()?;
        self.take(b':')?;
        Some(Some(name))
    }

    fn open_list(&mut self) -> Option<Open> {
        self.take(b'[')?;
        Some(Open { length: None, taken: 0 })
    }

    fn element(&mut self, open: &mut Open) -> Option<bool> {
        self.goes_on(open, b']')
    }

    #[inline]
    fn text(&mut self) -> Option<&'a str> {
        Self::text_of(self.string()?)
    }

    /// Ends at the first quote, even at one that is escaped: what is before that is no base64, so that it does not
    /// decode.
    #[inline]
    fn data(&mut self) -> Option<Data<'a>> {
        self.take(b'"')?;
        let (text, rest) = self.rest.split_at(memchr(b'"', self.rest)?);
        self.rest = &rest[1..];
        Data::base64(text)
    }

    fn number(&mut self) -> Option<i64> {
        self.peek()?;
        let length = self.rest.iter().position(|byte| !byte.is_ascii_digit())?;
        let (digits, rest) = self.rest.split_at(length);
        let plausible = match digits {
            [] => false,
            [b'0', _, ..] => false,
            _ => length <= DIGITS_MAX,
        };
        if !plausible {
            return None;
        }
        self.rest = rest;
        Some(digits.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0')))
    }

    fn ended(&mut self) -> bool {
        self.peek().is_none()
    }

    #[inline]
    fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    fn skip(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
    }

    #[inline]
    fn text_of(bytes: &'a [u8]) -> Option<&'a str> {
        if is_plain(bytes) { std::str::from_utf8(bytes).ok() } else { None }
    }

    #[inline]
    fn data_of(bytes: &'a [u8]) -> Option<Data<'a>> {
        Data::base64(bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn words_are_searched_as_bytes_are(
            bytes in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                "[a-zé \"\\\\\u{0}-\u{30}]{0,100}".prop_map(String::into_bytes),
                "[a-zé!#\\[\\]]{0,100}".prop_map(String::into_bytes),
            ],
        ) {
            let end = bytes.iter().position(|byte| matches!(byte, b'"' | b'\\'));
            prop_assert_eq!(end_of_short(&bytes), end);
            prop_assert_eq!(is_plain(&bytes), !bytes.iter().any(|byte| is_escaped(*byte)));
        }
    }
}
