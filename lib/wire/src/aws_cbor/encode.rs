//! How AWS writes CBOR: maps and lists of indefinite length, shortest heads, 64-bit floats.

use thalweg_types::Timestamp;

use crate::notation::Notation;

/// AWS CBOR 1.1 as a notation.
pub(crate) struct Cbor;

const UNSIGNED: u8 = 0x00;
const NEGATIVE: u8 = 0x20;
const BYTES: u8 = 0x40;
const TEXT: u8 = 0x60;
const LIST_INDEFINITE: u8 = 0x9f;
const MAP_INDEFINITE: u8 = 0xbf;
const TAG_TIME: u8 = 0xc1;
const FALSE: u8 = 0xf4;
const TRUE: u8 = 0xf5;
const NULL: u8 = 0xf6;
const FLOAT_64: u8 = 0xfb;
const BREAK: u8 = 0xff;

/// The longest head: a kind and a 64-bit number.
const HEAD_MAX: usize = 9;

/// A kind and a number, in the shortest form.
#[inline]
fn head(out: &mut Vec<u8>, kind: u8, number: u64) {
    match number {
        0..24 => out.push(kind | number as u8),
        24..0x100 => out.extend_from_slice(&[kind | 24, number as u8]),
        0x100..0x1_0000 => {
            let [a, b] = (number as u16).to_be_bytes();
            out.extend_from_slice(&[kind | 25, a, b]);
        }
        0x1_0000..0x1_0000_0000 => {
            let [a, b, c, d] = (number as u32).to_be_bytes();
            out.extend_from_slice(&[kind | 26, a, b, c, d]);
        }
        _ => {
            out.push(kind | 27);
            out.extend_from_slice(&number.to_be_bytes());
        }
    }
}

impl Notation for Cbor {
    fn open_map(out: &mut Vec<u8>) {
        out.push(MAP_INDEFINITE);
    }

    #[inline]
    fn member(out: &mut Vec<u8>, name: &str) {
        Self::text(out, name);
    }

    fn close_map(out: &mut Vec<u8>) {
        out.push(BREAK);
    }

    fn open_list(out: &mut Vec<u8>) {
        out.push(LIST_INDEFINITE);
    }

    #[inline]
    fn element(_: &mut Vec<u8>) {}

    fn close_list(out: &mut Vec<u8>) {
        out.push(BREAK);
    }

    fn null(out: &mut Vec<u8>) {
        out.push(NULL);
    }

    fn boolean(out: &mut Vec<u8>, boolean: bool) {
        out.push(if boolean { TRUE } else { FALSE });
    }

    #[inline]
    fn integer(out: &mut Vec<u8>, number: i64) {
        // -1 - n is how CBOR writes negative numbers, and what inverting the bits gives.
        if number < 0 { head(out, NEGATIVE, !number as u64) } else { head(out, UNSIGNED, number as u64) }
    }

    fn float(out: &mut Vec<u8>, number: f64) {
        out.push(FLOAT_64);
        out.extend_from_slice(&number.to_be_bytes());
    }

    #[inline]
    fn text(out: &mut Vec<u8>, text: &str) {
        Self::plain_text(out, text.as_bytes());
    }

    #[inline]
    fn plain_text(out: &mut Vec<u8>, text: &[u8]) {
        head(out, TEXT, text.len() as u64);
        out.extend_from_slice(text);
    }

    fn plain_text_head(length: usize) -> usize {
        match length {
            0..24 => 1,
            24..0x100 => 2,
            0x100..0x1_0000 => 3,
            0x1_0000..0x1_0000_0000 => 5,
            _ => HEAD_MAX,
        }
    }

    #[inline]
    fn bytes(out: &mut Vec<u8>, bytes: &[u8]) {
        head(out, BYTES, bytes.len() as u64);
        out.extend_from_slice(bytes);
    }

    #[inline]
    fn timestamp(out: &mut Vec<u8>, timestamp: Timestamp) {
        out.push(TAG_TIME);
        Self::integer(out, timestamp.as_millis());
    }

    fn bytes_length(length: usize) -> usize {
        length + HEAD_MAX
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use thalweg_shape::Value;

    use super::*;
    use crate::aws_cbor::{decode, encode};

    #[track_caller]
    fn check(value: Value, expected: &[u8]) {
        let mut out = Vec::new();
        encode(&value, &mut out);
        assert_eq!(out, expected);
    }

    #[test]
    fn each_kind_of_value_is_written_as_aws_writes_it() {
        check(Value::Bytes(Bytes::from_static(b"hi")), b"\x42hi");
        check(
            Value::Timestamp(Timestamp::from_millis(0x0190_70e0_e07b)),
            b"\xc1\x1b\x00\x00\x01\x90\x70\xe0\xe0\x7b",
        );
        check(Value::Float(1.5), b"\xfb\x3f\xf8\0\0\0\0\0\0");
        check(Value::Integer(-1), b"\x20");
        check(Value::Integer(i64::MIN), b"\x3b\x7f\xff\xff\xff\xff\xff\xff\xff");
        check(
            Value::Map(vec![
                ("A".into(), Value::Null),
                ("B".into(), Value::List(vec![Value::Null, Value::Boolean(true)])),
            ]),
            b"\xbf\x61B\x9f\xf6\xf5\xff\xff",
        );
    }

    proptest! {
        #[test]
        fn heads_are_what_minicbor_writes(number: i64, length in 0usize..70_000) {
            let mut ours = Vec::new();
            Cbor::integer(&mut ours, number);
            Cbor::bytes(&mut ours, &vec![7; length]);
            let mut theirs = minicbor::Encoder::new(Vec::new());
            theirs.i64(number).expect("memory").bytes(&vec![7; length]).expect("memory");
            prop_assert_eq!(ours, theirs.into_writer());
        }

        #[test]
        fn heads_are_as_long_as_they_say(length in prop_oneof![0usize..300, 65_500usize..65_600]) {
            let mut out = Vec::new();
            Cbor::plain_text(&mut out, &vec![b'x'; length]);
            prop_assert_eq!(out.len(), Cbor::plain_text_head(length) + length);
        }

        #[test]
        fn numbers_come_back(number: i64, shift in 0u32..64) {
            let mut out = Vec::new();
            encode(&Value::Integer(number >> shift), &mut out);
            prop_assert_eq!(decode(&out), Ok(Value::Integer(number >> shift)));
        }
    }
}
