//! Walking JSON text in place. Accepts less than JSON: no escapes, no numbers but short whole ones.

use memchr::memchr2;

use crate::hot::Data;
use crate::hot::scan::{Open, Scan};

/// More digits could exceed 64 bits.
const DIGITS_MAX: usize = 18;

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

    /// What stands between quotes; declines escapes.
    #[inline]
    fn string(&mut self) -> Option<&'a [u8]> {
        self.take(b'"')?;
        let end = memchr2(b'"', b'\\', self.rest)?;
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
        let text = self.string()?;
        if text.iter().fold(false, |any, byte| any | (*byte < 0x20)) {
            return None;
        }
        std::str::from_utf8(text).ok()
    }

    #[inline]
    fn data(&mut self) -> Option<Data<'a>> {
        Data::base64(self.string()?)
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
}
