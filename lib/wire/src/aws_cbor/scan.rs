//! Walking CBOR in place. Accepts less than CBOR: texts and bytes in one piece, no tags.

use crate::hot::Data;
use crate::hot::scan::{Open, Scan};

/// Kinds of values: the upper three bits of a head (RFC 8949, 3.1).
const UNSIGNED: u8 = 0;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const LIST: u8 = 4;
const MAP: u8 = 5;
/// Ends a list or map of indefinite length.
const BREAK: u8 = 0xff;

/// A walk over a CBOR body.
pub(crate) struct CborScan<'a> {
    rest: &'a [u8],
}

impl<'a> CborScan<'a> {
    pub(crate) fn new(body: &'a [u8]) -> Self {
        CborScan { rest: body }
    }

    /// Takes a head of this kind: its number; `None` inside means an indefinite length.
    #[inline]
    fn head(&mut self, kind: u8) -> Option<Option<u64>> {
        let (first, rest) = self.rest.split_first()?;
        if first >> 5 != kind {
            return None;
        }
        let (number, rest) = match first & 0x1f {
            short @ 0..24 => (u64::from(short), rest),
            24 => {
                let (number, rest) = rest.split_first()?;
                (u64::from(*number), rest)
            }
            25 => {
                let (number, rest) = rest.split_first_chunk()?;
                (u64::from(u16::from_be_bytes(*number)), rest)
            }
            26 => {
                let (number, rest) = rest.split_first_chunk()?;
                (u64::from(u32::from_be_bytes(*number)), rest)
            }
            27 => {
                let (number, rest) = rest.split_first_chunk()?;
                (u64::from_be_bytes(*number), rest)
            }
            31 => {
                self.rest = rest;
                return Some(None);
            }
            _ => return None,
        };
        self.rest = rest;
        Some(Some(number))
    }

    /// Takes a text or bytes, in one piece.
    #[inline]
    fn piece(&mut self, kind: u8) -> Option<&'a [u8]> {
        let length = usize::try_from(self.head(kind)??).ok()?;
        let (piece, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(piece)
    }
}

impl<'a> Scan<'a> for CborScan<'a> {
    #[inline]
    fn open_map(&mut self) -> Option<Open> {
        Some(Open { length: self.head(MAP)?, taken: 0 })
    }

    #[inline]
    fn member(&mut self, open: &mut Open) -> Option<Option<&'a [u8]>> {
        if !self.element(open)? {
            return Some(None);
        }
        // A name need not be checked: only those that equal one of ours are accepted.
        Some(Some(self.piece(TEXT)?))
    }

    fn open_list(&mut self) -> Option<Open> {
        Some(Open { length: self.head(LIST)?, taken: 0 })
    }

    #[inline]
    fn element(&mut self, open: &mut Open) -> Option<bool> {
        let more = match open.length {
            Some(length) => open.taken < length,
            None => *self.rest.first()? != BREAK,
        };
        if !more && open.length.is_none() {
            self.rest = &self.rest[1..];
        }
        open.taken += 1;
        Some(more)
    }

    #[inline]
    fn text(&mut self) -> Option<&'a str> {
        Self::text_of(self.piece(TEXT)?)
    }

    #[inline]
    fn data(&mut self) -> Option<Data<'a>> {
        Self::data_of(self.piece(BYTES)?)
    }

    fn number(&mut self) -> Option<i64> {
        i64::try_from(self.head(UNSIGNED)??).ok()
    }

    fn ended(&mut self) -> bool {
        self.rest.is_empty()
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
        std::str::from_utf8(bytes).ok()
    }

    #[inline]
    fn data_of(bytes: &'a [u8]) -> Option<Data<'a>> {
        Some(Data::Raw(bytes))
    }
}
