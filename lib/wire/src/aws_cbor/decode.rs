//! From CBOR to a tree of values: minicbor's decoder, driven by hand, because clients differ in what they send
//! (indefinite lengths, tagged and untagged times, floats of any width).

use bytes::Bytes;
use minicbor::Decoder;
use minicbor::data::Type;
use thalweg_shape::Value;
use thalweg_types::Timestamp;

use crate::DecodeError;
use crate::bounds::{DEPTH_MAX, VALUES_MAX};

/// Epoch times.
const TAG_TIME: u64 = 1;

/// Reads a body. Nothing is allocated for a length that a body merely claims. Of members with the same name all
/// are kept, in order; whole numbers outside of 64 bits become floats; unknown tags are passed over.
///
/// # Errors
/// When it is not CBOR, has members that are not named by text, is beyond the [bounds](crate::bounds), or is
/// followed by something else.
pub fn decode(body: &[u8]) -> Result<Value, DecodeError> {
    let mut tree = Tree { decoder: Decoder::new(body), values: 0 };
    let value = tree.value(0)?;
    if tree.decoder.position() != body.len() {
        return refuse("something follows the value");
    }
    Ok(value)
}

fn refuse<T>(why: impl Into<String>) -> Result<T, DecodeError> {
    Err(DecodeError(why.into()))
}

impl From<minicbor::decode::Error> for DecodeError {
    fn from(error: minicbor::decode::Error) -> Self {
        DecodeError(error.to_string())
    }
}

struct Tree<'b> {
    decoder: Decoder<'b>,
    values: usize,
}

impl Tree<'_> {
    /// One value, which lies inside of `depth` others.
    fn value(&mut self, depth: usize) -> Result<Value, DecodeError> {
        if depth > DEPTH_MAX {
            return refuse(format!("nested deeper than {DEPTH_MAX}"));
        }
        if self.values == VALUES_MAX {
            return refuse(format!("more than {VALUES_MAX} values"));
        }
        self.values += 1;
        let decoder = &mut self.decoder;
        Ok(match decoder.datatype()? {
            Type::Null => {
                decoder.null()?;
                Value::Null
            }
            Type::Undefined => {
                decoder.undefined()?;
                Value::Null
            }
            Type::Bool => Value::Boolean(decoder.bool()?),
            Type::F16 => Value::Float(half(decoder)?),
            Type::F32 | Type::F64 => Value::Float(decoder.f64()?),
            Type::String | Type::StringIndef => Value::Text(text(decoder)?),
            Type::Bytes => Value::Bytes(Bytes::copy_from_slice(decoder.bytes()?)),
            Type::BytesIndef => {
                let mut bytes = Vec::new();
                for chunk in decoder.bytes_iter()? {
                    bytes.extend_from_slice(chunk?);
                }
                Value::Bytes(Bytes::from(bytes))
            }
            Type::Array | Type::ArrayIndef => self.list(depth)?,
            Type::Map | Type::MapIndef => self.map(depth)?,
            Type::Tag => match (decoder.tag()?.as_u64(), self.value(depth + 1)?) {
                (TAG_TIME, Value::Integer(millis)) => Value::Timestamp(Timestamp::from_millis(millis)),
                (TAG_TIME, Value::Float(seconds)) => {
                    Value::Timestamp(Timestamp::from_millis((seconds * 1000.0).round() as i64))
                }
                (TAG_TIME, _) => return refuse("a time is a number"),
                (_, value) => value,
            },
            Type::U8
            | Type::U16
            | Type::U32
            | Type::U64
            | Type::I8
            | Type::I16
            | Type::I32
            | Type::I64
            | Type::Int => {
                let number = i128::from(decoder.int()?);
                i64::try_from(number).map_or(Value::Float(number as f64), Value::Integer)
            }
            kind @ (Type::Simple | Type::Break | Type::Unknown(_)) => {
                return refuse(format!("unexpected {kind}"));
            }
        })
    }

    fn list(&mut self, depth: usize) -> Result<Value, DecodeError> {
        let length = self.decoder.array()?;
        let mut list = Vec::new();
        while goes_on(&mut self.decoder, length, list.len() as u64)? {
            list.push(self.value(depth + 1)?);
        }
        Ok(Value::List(list))
    }

    fn map(&mut self, depth: usize) -> Result<Value, DecodeError> {
        let length = self.decoder.map()?;
        let mut map = Vec::new();
        while goes_on(&mut self.decoder, length, map.len() as u64)? {
            let name = text(&mut self.decoder)?;
            map.push((name, self.value(depth + 1)?));
        }
        Ok(Value::Map(map))
    }
}

/// Whether a list or map of this length (`None`: until a break) has more than `taken`; takes the break.
fn goes_on(decoder: &mut Decoder<'_>, length: Option<u64>, taken: u64) -> Result<bool, DecodeError> {
    match length {
        Some(length) => Ok(taken < length),
        None => {
            let more = decoder.datatype()? != Type::Break;
            if !more {
                decoder.set_position(decoder.position() + 1);
            }
            Ok(more)
        }
    }
}

fn text(decoder: &mut Decoder<'_>) -> Result<String, DecodeError> {
    let mut text = String::new();
    for chunk in decoder.str_iter()? {
        text.push_str(chunk?);
    }
    Ok(text)
}

/// A float of 16 bits (1 sign, 5 exponent, 10 fraction); minicbor reads them only with another dependency.
fn half(decoder: &mut Decoder<'_>) -> Result<f64, DecodeError> {
    let position = decoder.position();
    let Some(&[_, high, low]) = decoder.input().get(position..position + 3) else {
        return refuse("end of input");
    };
    decoder.set_position(position + 3);
    let bits = u16::from_be_bytes([high, low]);
    let exponent = i32::from(bits >> 10 & 0x1f);
    let fraction = f64::from(bits & 0x3ff);
    let magnitude = match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (fraction + 1024.0) * 2f64.powi(exponent - 25),
    };
    Ok(if bits >> 15 == 1 { -magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unhex(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(|byte| *byte != b' ').collect();
        digits
            .chunks(2)
            .map(|pair| {
                let pair = std::str::from_utf8(pair).expect("hex is ASCII");
                u8::from_str_radix(pair, 16).expect("tests are written in hex")
            })
            .collect()
    }

    #[track_caller]
    fn check(hex: &str, expected: Option<Value>) {
        assert_eq!(decode(&unhex(hex)).ok(), expected, "{hex}");
    }

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    fn bytes(bytes: &'static [u8]) -> Value {
        Value::Bytes(Bytes::from_static(bytes))
    }

    fn time(millis: i64) -> Value {
        Value::Timestamp(Timestamp::from_millis(millis))
    }

    #[test]
    fn each_kind_of_value_is_read() {
        check("f6", Some(Value::Null));
        check("f7", Some(Value::Null));
        check("f5", Some(Value::Boolean(true)));
        check("17", Some(Value::Integer(23)));
        check("1b 7fffffffffffffff", Some(Value::Integer(i64::MAX)));
        check("1b 8000000000000000", Some(Value::Float(9_223_372_036_854_775_808.0)));
        check("3b 7fffffffffffffff", Some(Value::Integer(i64::MIN)));
        check("3b ffffffffffffffff", Some(Value::Float(-18_446_744_073_709_551_616.0)));
        check("fa 3fc00000", Some(Value::Float(1.5)));
        check("fb 3ff8000000000000", Some(Value::Float(1.5)));
        check("62 6869", Some(text("hi")));
        check("42 6869", Some(bytes(b"hi")));
        check("82 01 80", Some(Value::List(vec![Value::Integer(1), Value::List(vec![])])));
        check(
            "a2 61 41 01 61 41 f6",
            Some(Value::Map(vec![("A".into(), Value::Integer(1)), ("A".into(), Value::Null)])),
        );
    }

    #[test]
    fn half_floats_are_read() {
        for (hex, expected) in [
            ("f9 0000", 0.0),
            ("f9 3c00", 1.0),
            ("f9 7bff", 65504.0),
            ("f9 c400", -4.0),
            ("f9 0001", 2f64.powi(-24)),
        ] {
            check(hex, Some(Value::Float(expected)));
        }
        check("f9 fc00", Some(Value::Float(f64::NEG_INFINITY)));
    }

    #[test]
    fn indefinite_lengths_are_read() {
        check("bf ff", Some(Value::Map(vec![])));
        check("9f 01 9f ff ff", Some(Value::List(vec![Value::Integer(1), Value::List(vec![])])));
        check("bf 61 41 01 ff", Some(Value::Map(vec![("A".into(), Value::Integer(1))])));
        check("5f 41 68 41 69 ff", Some(bytes(b"hi")));
        check("7f 61 68 61 69 ff", Some(text("hi")));
        check("bf 7f 61 41 ff 01 ff", Some(Value::Map(vec![("A".into(), Value::Integer(1))])));
    }

    #[test]
    fn whole_times_are_milliseconds_and_floating_ones_seconds() {
        check("c1 1b 0000019070e0e07b", Some(time(0x0190_70e0_e07b)));
        check("c1 fb 41d954fc2ef47ae1", Some(time(1_699_999_931_820)));
        check("c1 f9 3e00", Some(time(1500)));
        check("c1 62 6869", None);
        check("d9 d9f7 a0", Some(Value::Map(vec![])));
    }

    #[test]
    fn what_is_not_aws_cbor_is_refused() {
        for hex in [
            "",
            "ff",
            "1c",
            "f8 20",
            "e0",
            "62 68",
            "42 68",
            "62 fffe",
            "82 01",
            "9f 01",
            "a1 61 41",
            "bf 61 41 ff",
            "a1 01 01",
            "a1 41 41 01",
            "5f 61 68 ff",
            "7f 41 68 ff",
            "01 01",
            "f9 3c",
            "c1",
            "7f 61 c3 61 a9 ff",
        ] {
            check(hex, None);
        }
    }

    #[test]
    fn nesting_count_and_claimed_lengths_are_bounded() {
        let nested = |head: u8, depth: usize| [vec![head; depth], vec![0]].concat();
        for head in [0x81, 0xc2] {
            assert!(decode(&nested(head, DEPTH_MAX)).is_ok());
            assert!(decode(&nested(head, DEPTH_MAX + 1)).is_err());
            assert!(decode(&nested(head, 1_000_000)).is_err());
        }
        assert!(decode(&nested(0x9f, 1_000_000)).is_err());
        // Lists, maps, texts and bytes of 2^63 elements.
        for head in [0x9b, 0xbb, 0x7b, 0x5b] {
            assert!(decode(&[head, 0x80, 0, 0, 0, 0, 0, 0, 0]).is_err());
        }
        let mut many = vec![0x9f];
        many.resize(VALUES_MAX + 2, 0);
        many.push(0xff);
        assert!(decode(&many).is_err());
    }
}
