//! Splits the partition keys out of a body that arrives in pieces, and hashes each. It understands as much of JSON and
//! CBOR as this program's own bodies need, and keeps nothing of a body but what lies over a seam.

mod cbor;
pub(crate) mod json;

use md5::{Digest, Md5};

use crate::floor::keys::cbor::CborKeys;
use crate::floor::keys::json::JsonKeys;

/// Where in the body the search is.
pub(crate) enum Keys {
    Json(JsonKeys),
    Cbor(CborKeys),
}

impl Keys {
    pub(crate) fn new(cbor: bool) -> Keys {
        if cbor { Keys::Cbor(CborKeys::default()) } else { Keys::Json(JsonKeys::default()) }
    }

    /// Hashes the keys that end in this piece.
    pub(crate) fn hash(&mut self, piece: &[u8]) {
        self.feed(piece, |key| {
            std::hint::black_box(Md5::digest(key));
        });
    }

    fn feed(&mut self, piece: &[u8], key: impl FnMut(&[u8])) {
        match self {
            Keys::Json(keys) => keys.feed(piece, key),
            Keys::Cbor(keys) => keys.feed(piece, key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bodies::{self, Encoding};

    #[test]
    fn keys_are_found_wherever_the_pieces_end() {
        for (encoding, data_bytes) in [(Encoding::Json, 5), (Encoding::Cbor, 5), (Encoding::Cbor, 300)] {
            let body = bodies::put_records(encoding, "stream", 3, 9, data_bytes);
            for size in (1..40).chain([100, 300, body.len()]) {
                let mut keys = Keys::new(encoding == Encoding::Cbor);
                let mut found = Vec::new();
                for piece in body.chunks(size) {
                    keys.feed(piece, |key| found.push(String::from_utf8(key.to_vec()).expect("ASCII")));
                }
                let expected: Vec<String> = (0..9).map(|i| format!("key-000003-{i:08}")).collect();
                assert_eq!(found, expected, "{} in pieces of {size}", encoding.name());
            }
        }
    }
}
