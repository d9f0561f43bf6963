//! What every protocol decodes to and encodes from: a tree of values without a schema.

use std::collections::BTreeMap;

use bytes::Bytes;
use thalweg_types::Timestamp;

/// One value, as a request carried it or as an answer will.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing: the same as an absent member.
    Null,
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Float(f64),
    /// Text; in JSON also how blobs arrive (base64).
    Text(String),
    /// Bytes, decoded.
    Bytes(Bytes),
    /// A moment.
    Timestamp(Timestamp),
    /// Values in order.
    List(Vec<Value>),
    /// Named values, in the order in which they came.
    Map(Vec<(String, Value)>),
}

impl Value {
    /// A member of a map; `None` when this is no map, or it is absent or null. Of members with the same name the
    /// last one counts, as on AWS.
    pub fn member(&self, name: &str) -> Option<&Value> {
        match self {
            Value::Map(members) => members
                .iter()
                .rev()
                .find(|(member, _)| member == name)
                .map(|(_, value)| value)
                .filter(|value| **value != Value::Null),
            _ => None,
        }
    }
}

/// A structure's members on their way into a generated type. Every method takes a member out; the value was
/// coerced and checked before, so a mismatch is a bug of ours.
#[derive(Debug)]
pub struct Fields(Vec<(String, Value)>);

impl Fields {
    /// The members of a coerced structure.
    ///
    /// # Panics
    /// When `value` is not a map.
    pub fn of(value: Value) -> Self {
        match value {
            Value::Map(members) => Fields(members),
            other => panic!("coerced structures are maps, not {other:?}"),
        }
    }

    /// Takes an optional member out.
    pub fn optional<T>(&mut self, name: &str, convert: impl FnOnce(Value) -> T) -> Option<T> {
        let position = self.0.iter().rposition(|(member, _)| member == name)?;
        match self.0.swap_remove(position).1 {
            Value::Null => None,
            value => Some(convert(value)),
        }
    }

    /// Takes a required member out.
    ///
    /// # Panics
    /// When it is absent: the constraint check comes first.
    pub fn required<T>(&mut self, name: &str, convert: impl FnOnce(Value) -> T) -> T {
        self.optional(name, convert).unwrap_or_else(|| panic!("{name} was checked to be present"))
    }
}

/// Conversions of coerced values, for generated code. All of them panic on a value of another kind: coercing
/// came first.
pub mod convert {
    use super::*;

    /// A boolean.
    pub fn boolean(value: Value) -> bool {
        match value {
            Value::Boolean(boolean) => boolean,
            other => panic!("coerced to a boolean, not {other:?}"),
        }
    }

    /// A 32-bit number.
    pub fn integer(value: Value) -> i32 {
        i32::try_from(long(value)).expect("coercing clamps integers")
    }

    /// A 64-bit number.
    pub fn long(value: Value) -> i64 {
        match value {
            Value::Integer(number) => number,
            other => panic!("coerced to a whole number, not {other:?}"),
        }
    }

    /// A floating-point number.
    pub fn double(value: Value) -> f64 {
        match value {
            Value::Float(number) => number,
            Value::Integer(number) => number as f64,
            other => panic!("coerced to a number, not {other:?}"),
        }
    }

    /// Text.
    pub fn text(value: Value) -> String {
        match value {
            Value::Text(text) => text,
            other => panic!("coerced to text, not {other:?}"),
        }
    }

    /// Bytes.
    pub fn blob(value: Value) -> Bytes {
        match value {
            Value::Bytes(bytes) => bytes,
            other => panic!("coerced to bytes, not {other:?}"),
        }
    }

    /// A moment.
    pub fn timestamp(value: Value) -> Timestamp {
        match value {
            Value::Timestamp(timestamp) => timestamp,
            other => panic!("coerced to a timestamp, not {other:?}"),
        }
    }

    /// A list.
    pub fn list<T>(value: Value, element: impl FnMut(Value) -> T) -> Vec<T> {
        match value {
            Value::List(values) => values.into_iter().map(element).collect(),
            other => panic!("coerced to a list, not {other:?}"),
        }
    }

    /// A map, in the order of its names.
    pub fn map<T>(value: Value, mut element: impl FnMut(Value) -> T) -> BTreeMap<String, T> {
        match value {
            Value::Map(values) => values.into_iter().map(|(key, value)| (key, element(value))).collect(),
            other => panic!("coerced to a map, not {other:?}"),
        }
    }
}
