//! Walking CBOR in place. Accepts less than CBOR: texts and bytes in one piece, no tags.

use minicbor::Decoder;

use super::decode::goes_on;
use crate::hot::Data;
use crate::hot::scan::{Open, Scan};

/// A walk over a CBOR body.
pub(crate) struct CborScan<'a> {
    decoder: Decoder<'a>,
}

impl<'a> CborScan<'a> {
    pub(crate) fn new(body: &'a [u8]) -> Self {
        CborScan { decoder: Decoder::new(body) }
    }
}

impl<'a> Scan<'a> for CborScan<'a> {
    fn open_map(&mut self) -> Option<Open> {
        Some(Open { length: self.decoder.map().ok()?, taken: 0 })
    }

    #[inline]
    fn member(&mut self, open: &mut Open) -> Option<Option<&'a [u8]>> {
        if !self.element(open)? {
            return Some(None);
        }
        Some(Some(self.decoder.str().ok()?.as_bytes()))
    }

    fn open_list(&mut self) -> Option<Open> {
        Some(Open { length: self.decoder.array().ok()?, taken: 0 })
    }

    #[inline]
    fn element(&mut self, open: &mut Open) -> Option<bool> {
        let more = goes_on(&mut self.decoder, open.length, open.taken).ok()?;
        open.taken += 1;
        Some(more)
    }

    #[inline]
    fn text(&mut self) -> Option<&'a str> {
        self.decoder.str().ok()
    }

    #[inline]
    fn data(&mut self) -> Option<Data<'a>> {
        self.decoder.bytes().ok().map(Data::Raw)
    }

    fn number(&mut self) -> Option<i64> {
        i64::try_from(self.decoder.u64().ok()?).ok()
    }

    fn ended(&mut self) -> bool {
        self.decoder.position() == self.decoder.input().len()
    }
}
