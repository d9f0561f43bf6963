//! How JSON is written. Nothing is escaped that JSON does not require to be.

use std::io::Write;

use thalweg_types::Timestamp;

use crate::base64;
use crate::notation::Notation;

/// AWS JSON 1.1 as a notation.
pub(crate) struct Json;

impl Notation for Json {
    fn open_map(out: &mut Vec<u8>) {
        out.push(b'{');
    }

    // Of a name that is known when this is compiled, so is whether it has anything to escape.
    #[inline(always)]
    fn member(out: &mut Vec<u8>, name: &str) {
        // No value ends with an opening brace: strings end with a quote.
        if out.last() != Some(&b'{') {
            out.push(b',');
        }
        Json::text(out, name);
        out.push(b':');
    }

    fn close_map(out: &mut Vec<u8>) {
        out.push(b'}');
    }

    fn open_list(out: &mut Vec<u8>) {
        out.push(b'[');
    }

    #[inline]
    fn element(out: &mut Vec<u8>) {
        if out.last() != Some(&b'[') {
            out.push(b',');
        }
    }

    fn close_list(out: &mut Vec<u8>) {
        out.push(b']');
    }

    fn null(out: &mut Vec<u8>) {
        out.extend_from_slice(b"null");
    }

    fn boolean(out: &mut Vec<u8>, boolean: bool) {
        out.extend_from_slice(if boolean { b"true" } else { b"false" });
    }

    fn integer(out: &mut Vec<u8>, number: i64) {
        if number < 0 {
            out.push(b'-');
        }
        decimal(out, number.unsigned_abs());
    }

    /// Never in exponent form. JSON has no word for what is not a number: null.
    fn float(out: &mut Vec<u8>, number: f64) {
        if !number.is_finite() {
            return Self::null(out);
        }
        let point = if number.fract() == 0.0 { ".0" } else { "" };
        write!(out, "{number}{point}").expect("writing to memory does not fail");
    }

    #[inline(always)]
    fn text(out: &mut Vec<u8>, text: &str) {
        out.push(b'"');
        // A fold instead of a search: it has no early exit, so that the compiler can do many bytes at once.
        if text.bytes().fold(false, |any, byte| any | is_escaped(byte)) {
            escape(out, text);
        } else {
            out.extend_from_slice(text.as_bytes());
        }
        out.push(b'"');
    }

    #[inline]
    fn plain_text(out: &mut Vec<u8>, text: &[u8]) {
        out.push(b'"');
        out.extend_from_slice(text);
        out.push(b'"');
    }

    fn plain_text_head(_: usize) -> usize {
        1
    }

    #[inline]
    fn bytes(out: &mut Vec<u8>, bytes: &[u8]) {
        out.push(b'"');
        base64::encode_append(bytes, out);
        out.push(b'"');
    }

    /// As [`Timestamp`] displays itself: seconds with three decimals, never in exponent form.
    fn timestamp(out: &mut Vec<u8>, timestamp: Timestamp) {
        let millis = timestamp.as_millis();
        if millis < 0 {
            out.push(b'-');
        }
        decimal(out, millis.unsigned_abs() / 1000);
        let fraction = millis.unsigned_abs() % 1000;
        let digits = [fraction / 100, fraction / 10 % 10, fraction % 10].map(|digit| b'0' + digit as u8);
        out.push(b'.');
        out.extend_from_slice(&digits);
    }

    fn bytes_length(length: usize) -> usize {
        length.div_ceil(3) * 4 + 2
    }
}

/// The digits of a number, without the formatter.
fn decimal(out: &mut Vec<u8>, mut number: u64) {
    // 2^64 has 20 digits.
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// What cannot stand in a string as it is.
pub(super) fn is_escaped(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

#[cold]
fn escape(out: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..0x20 => write!(out, "\\u{byte:04x}").expect("writing to memory does not fail"),
            _ => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use thalweg_shape::Value;

    use super::*;
    use crate::aws_json::encode;

    #[track_caller]
    fn check(value: Value, expected: &str) {
        let mut out = Vec::new();
        encode(&value, &mut out);
        assert_eq!(String::from_utf8(out).expect("JSON is UTF-8"), expected);
    }

    #[test]
    fn each_kind_of_value_is_written_as_aws_writes_it() {
        check(Value::Bytes(Bytes::from_static(b"hi?>")), r#""aGk/Pg==""#);
        check(Value::Bytes(Bytes::new()), r#""""#);
        check(Value::Timestamp(Timestamp::from_millis(1_719_849_600_123)), "1719849600.123");
        check(Value::Timestamp(Timestamp::from_millis(1_719_849_600_000)), "1719849600.000");
        check(Value::Float(0.5), "0.5");
        check(Value::Float(1e21), "1000000000000000000000.0");
        check(Value::Float(f64::NAN), "null");
        check(Value::Integer(i64::MIN), "-9223372036854775808");
        check(Value::Text("a/b é \u{7f}\u{2028}".into()), "\"a/b é \u{7f}\u{2028}\"");
        check(Value::Text("\"\\\n\r\t\u{1}\u{1f}{[".into()), r#""\"\\\n\r\t\u0001\u001f{[""#);
    }

    #[test]
    fn null_members_are_left_out_and_null_elements_are_not() {
        check(
            Value::Map(vec![
                ("A".into(), Value::Null),
                ("B".into(), Value::List(vec![Value::Null, Value::Boolean(true), Value::List(vec![])])),
                ("C".into(), Value::Null),
                ("{".into(), Value::Map(vec![])),
                ("D".into(), Value::Text("{".into())),
                ("E".into(), Value::List(vec![Value::Text("[".into()), Value::Map(vec![])])),
            ]),
            r#"{"B":[null,true,[]],"{":{},"D":"{","E":["[",{}]}"#,
        );
    }
}
