//! From JSON text to a tree of values, by serde_json.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use thalweg_shape::Value;

use crate::DecodeError;
use crate::bounds::{DEPTH_MAX, VALUES_MAX};

/// Reads a body. Blobs and timestamps stay what JSON makes of them (text, numbers) until a schema is known; of
/// members with the same name all are kept, in order. Whole numbers outside of 64 bits become floats.
///
/// # Errors
/// When it is not JSON, beyond the [bounds](crate::bounds), or followed by something else.
pub fn decode(body: &[u8]) -> Result<Value, DecodeError> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let mut values = 0;
    let tree = Tree { depth: 0, values: &mut values };
    let value = tree.deserialize(&mut deserializer).map_err(|error| DecodeError(error.to_string()))?;
    deserializer.end().map_err(|error| DecodeError(error.to_string()))?;
    Ok(value)
}

/// Builds one value, which lies inside of `depth` others.
struct Tree<'a> {
    depth: usize,
    values: &'a mut usize,
}

impl Tree<'_> {
    fn inner(&mut self) -> Tree<'_> {
        Tree { depth: self.depth + 1, values: self.values }
    }
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.depth > DEPTH_MAX {
            return Err(D::Error::custom(format_args!("nested deeper than {DEPTH_MAX}")));
        }
        if *self.values == VALUES_MAX {
            return Err(D::Error::custom(format_args!("more than {VALUES_MAX} values")));
        }
        *self.values += 1;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, boolean: bool) -> Result<Value, E> {
        Ok(Value::Boolean(boolean))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Integer(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(i64::try_from(number).map_or(Value::Float(number as f64), Value::Integer))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element_seed(self.inner())? {
            list.push(element);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some(name) = members.next_key::<String>()? {
            map.push((name, members.next_value_seed(self.inner())?));
        }
        Ok(Value::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, expected: Option<Value>) {
        assert_eq!(decode(body.as_bytes()).ok(), expected, "{body}");
    }

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn each_kind_of_value_is_read() {
        check("null", Some(Value::Null));
        check(" true ", Some(Value::Boolean(true)));
        check("-7", Some(Value::Integer(-7)));
        check("9223372036854775807", Some(Value::Integer(i64::MAX)));
        check("9223372036854775808", Some(Value::Float(9_223_372_036_854_775_808.0)));
        check("99999999999999999999999999", Some(Value::Float(1e26)));
        check("1.5e3", Some(Value::Float(1500.0)));
        check(r#""a\/b\u00e9""#, Some(text("a/bé")));
        check("[1,[]]", Some(Value::List(vec![Value::Integer(1), Value::List(vec![])])));
        check(
            r#"{"A":1,"B":null,"A":2}"#,
            Some(Value::Map(vec![
                ("A".into(), Value::Integer(1)),
                ("B".into(), Value::Null),
                ("A".into(), Value::Integer(2)),
            ])),
        );
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for body in
            ["", "hello", "{} x", "{}{}", "{\"A\":1,}", "{'A':1}", "\"\u{1}\"", "\"\\ud800\"", "01", "[1 2]"]
        {
            check(body, None);
        }
        assert!(decode(b"\"\xff\"").is_err(), "text is UTF-8");
    }

    #[test]
    fn nesting_and_count_are_bounded() {
        let nested = |depth: usize| format!("{}0{}", "[".repeat(depth), "]".repeat(depth));
        assert!(decode(nested(DEPTH_MAX).as_bytes()).is_ok());
        assert!(decode(nested(DEPTH_MAX + 1).as_bytes()).is_err());
        assert!(decode(nested(1_000_000).as_bytes()).is_err());
        let listed = |count: usize| format!("[{}]", vec!["0"; count].join(","));
        assert!(decode(listed(VALUES_MAX - 1).as_bytes()).is_ok());
        assert!(decode(listed(VALUES_MAX).as_bytes()).is_err());
    }
}
