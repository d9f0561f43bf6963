//! CBOR bodies: the scanners against the decoder, the decoder against a second one, and both against the encoder.
//!
//! The second one is here, from RFC 8949 and what AWS makes of it: there is none in the tree.

use bytes::Bytes;
use thalweg_shape::Value;
use thalweg_types::Timestamp;
use thalweg_wire::Protocol;
use thalweg_wire::bounds::DEPTH_MAX;
use thalweg_wire::hot::agreement::{check_agreement, normal};

use super::Target;
use super::trees::{are_alike, check_round_trip};

pub(crate) const TARGET: Target = Target { name: "cbor", run, seeds, bytes_max: 4096, mutations: 4000 };

fn run(body: &[u8]) {
    check_agreement(Protocol::AwsCbor11, body);
    let mut second = Second { rest: body };
    let second = second.value(0).filter(|_| second.rest.is_empty());
    match (Protocol::AwsCbor11.decode(body), second) {
        (Ok(value), Some(second)) => {
            assert!(are_alike(&value, &second), "{value:?} is {second:?} to the second");
            check_round_trip(Protocol::AwsCbor11, value);
        }
        (Err(_), None) => {}
        (value, second) => panic!("one reads {value:?}, the second {second:?}"),
    }
}

/// What an item is, and the number in its head; `None` in it: of indefinite length, or the end of such a one.
struct Head {
    kind: u8,
    number: Option<u64>,
    /// Bits 0 to 4, which tell the simple values and floats apart.
    detail: u8,
}

/// A reader of CBOR that copies, recurses and knows nothing but the RFC.
struct Second<'a> {
    rest: &'a [u8],
}

impl<'a> Second<'a> {
    fn take(&mut self, count: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(usize::try_from(count).ok()?)?;
        self.rest = rest;
        Some(taken)
    }

    fn head(&mut self) -> Option<Head> {
        let first = self.take(1)?[0];
        let (kind, detail) = (first >> 5, first & 0x1f);
        let number = match detail {
            0..24 => Some(u64::from(detail)),
            24..28 => {
                let bytes = self.take(1 << (detail - 24))?;
                Some(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
            }
            31 if matches!(kind, 2..=5 | 7) => None,
            _ => return None,
        };
        Some(Head { kind, number, detail })
    }

    fn is_at_break(&self) -> bool {
        self.rest.first() == Some(&0xff)
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > DEPTH_MAX {
            return None;
        }
        let head = self.head()?;
        Some(match head.kind {
            0 => {
                let number = head.number?;
                i64::try_from(number).map_or(Value::Float(number as f64), Value::Integer)
            }
            1 => {
                let number = -1 - i128::from(head.number?);
                i64::try_from(number).map_or(Value::Float(number as f64), Value::Integer)
            }
            2 => Value::Bytes(Bytes::from(self.string(&head)?)),
            3 => Value::Text(self.text(&head)?),
            4 => {
                let mut list = Vec::new();
                while self.has_more(head.number, list.len())? {
                    list.push(self.value(depth + 1)?);
                }
                Value::List(list)
            }
            5 => {
                let mut map = Vec::new();
                while self.has_more(head.number, map.len())? {
                    let name = self.head().filter(|name| name.kind == 3)?;
                    map.push((self.text(&name)?, self.value(depth + 1)?));
                }
                Value::Map(map)
            }
            6 => match (head.number?, self.value(depth + 1)?) {
                (1, Value::Integer(millis)) => Value::Timestamp(Timestamp::from_millis(millis)),
                (1, Value::Float(seconds)) => {
                    Value::Timestamp(Timestamp::from_millis((seconds * 1000.0).round() as i64))
                }
                (1, _) => return None,
                (_, value) => value,
            },
            _ => match (head.detail, head.number?) {
                (20, _) => Value::Boolean(false),
                (21, _) => Value::Boolean(true),
                (22 | 23, _) => Value::Null,
                (25, bits) => Value::Float(half(bits as u16)),
                (26, bits) => Value::Float(f64::from(f32::from_bits(bits as u32))),
                (27, bits) => Value::Float(f64::from_bits(bits)),
                _ => return None,
            },
        })
    }

    fn has_more(&mut self, length: Option<u64>, taken: usize) -> Option<bool> {
        match length {
            Some(length) => Some((taken as u64) < length),
            None if self.is_at_break() => {
                self.take(1)?;
                Some(false)
            }
            None => Some(true),
        }
    }

    /// The pieces of a text or of bytes.
    fn pieces(&mut self, head: &Head) -> Option<Vec<&'a [u8]>> {
        if let Some(length) = head.number {
            return Some(vec![self.take(length)?]);
        }
        let mut pieces = Vec::new();
        while self.has_more(None, 0)? {
            let piece = self.head().filter(|piece| piece.kind == head.kind)?;
            pieces.push(self.take(piece.number?)?);
        }
        Some(pieces)
    }

    fn string(&mut self, head: &Head) -> Option<Vec<u8>> {
        Some(self.pieces(head)?.concat())
    }

    fn text(&mut self, head: &Head) -> Option<String> {
        let pieces = self.pieces(head)?;
        pieces.into_iter().map(|piece| std::str::from_utf8(piece).ok()).collect()
    }
}

/// RFC 8949, appendix D.
fn half(bits: u16) -> f64 {
    let exponent = i32::from(bits >> 10 & 0x1f);
    let mantissa = f64::from(bits & 0x3ff);
    let magnitude = match exponent {
        0 => mantissa * 2f64.powi(-24),
        31 if mantissa == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        exponent => (mantissa + 1024.0) * 2f64.powi(exponent - 25),
    };
    if bits & 0x8000 == 0 { magnitude } else { -magnitude }
}

fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let mut seeds: Vec<(&'static str, Vec<u8>)> = (super::json::TARGET.seeds)()
        .into_iter()
        .map(|(name, json)| {
            let tree = Protocol::AwsJson11.decode(&json).expect("seeds are JSON");
            let mut cbor = Vec::new();
            // With blobs for base64, where it is a request.
            let tree = if name == "values" { tree } else { normal(tree) };
            Protocol::AwsCbor11.encode(&tree, &mut cbor);
            (name, cbor)
        })
        .collect();
    let pieces = b"\xbf\x64Data\x5f\x41h\x41i\xff\x61T\x7f\x61a\x61b\xff\x61L\x9f\x01\xf9\x3c\x00\xff\xff";
    seeds.push(("pieces", pieces.to_vec()));
    let times = b"\x83\xc1\x1b\x00\x00\x01\x90\x70\xe0\xe0\x7b\xc1\xfb\x41\xd9\x54\xfc\x2e\xf4\x7a\xe1\xd9\xd9\xf7\xfa\x3f\xc0\x00\x00";
    seeds.push(("times", times.to_vec()));
    seeds
}
