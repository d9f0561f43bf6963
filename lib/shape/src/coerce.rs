//! Type checks: does a value tree have the shapes that an operation expects?
//!
//! Where it has not, AWS answers SerializationException with the texts below (recorded by kinesalite from AWS).
//! Members that the schema does not know are dropped; nulls count as absent.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use thalweg_types::Timestamp;

use crate::{Schema, StructureSchema, Value};

/// Why a value does not have the shape that the operation expects; the message of a SerializationException.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeMismatch(pub String);

impl fmt::Display for TypeMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TypeMismatch {}

const NUMBER: &str = "class com.amazon.coral.value.json.numbers.TruncatingBigNumber";
const BOOLEAN: &str = "class java.lang.Boolean";
const STRING: &str = "class java.lang.String";

fn mismatch<T>(message: impl Into<String>) -> Result<T, TypeMismatch> {
    Err(TypeMismatch(message.into()))
}

/// What a scalar gets that is none of its own kind.
fn scalar_mismatch<T>(value: &Value, target: &str) -> Result<T, TypeMismatch> {
    let class = match value {
        Value::List(_) => return mismatch("Start of list found where not expected"),
        Value::Map(_) => return mismatch("Start of structure or map found where not expected."),
        Value::Boolean(_) => BOOLEAN,
        Value::Integer(_) | Value::Float(_) => NUMBER,
        Value::Text(_) => STRING,
        Value::Bytes(_) => "class java.nio.HeapByteBuffer",
        Value::Timestamp(_) => "class java.util.Date",
        Value::Null => "null",
    };
    mismatch(format!("{class} can not be converted to {target}"))
}

/// Checks the types in `value` against `schema` and brings blobs, timestamps and numbers to one form.
///
/// # Errors
/// The first mismatch, worded as AWS words it.
pub fn coerce(value: Value, schema: &Schema) -> Result<Value, TypeMismatch> {
    match schema {
        Schema::Boolean => match value {
            Value::Boolean(_) | Value::Null => Ok(value),
            Value::Text(text) => {
                mismatch(format!("'{}' can not be converted to an Boolean", text.to_uppercase()))
            }
            other => scalar_mismatch(&other, "an Boolean"),
        },
        Schema::Integer { .. } => whole_number(value, "an Integer", i64::from(i32::MIN), i64::from(i32::MAX)),
        Schema::Long { .. } => whole_number(value, "an Long", i64::MIN, i64::MAX),
        Schema::Double => match value {
            Value::Integer(_) | Value::Float(_) | Value::Null => Ok(value),
            other => scalar_mismatch(&other, "an Double"),
        },
        Schema::Text { .. } => match value {
            Value::Text(_) | Value::Null => Ok(value),
            other => scalar_mismatch(&other, "an String"),
        },
        Schema::Blob { .. } => match value {
            Value::Bytes(_) | Value::Null => Ok(value),
            Value::Text(text) => base64(&text).map(Value::Bytes),
            other => scalar_mismatch(&other, "a Blob"),
        },
        Schema::Timestamp => match value {
            Value::Timestamp(_) | Value::Null => Ok(value),
            Value::Integer(seconds) => Ok(Value::Timestamp(Timestamp::from_seconds(seconds))),
            Value::Float(seconds) => {
                Ok(Value::Timestamp(Timestamp::from_millis((seconds * 1000.0).round() as i64)))
            }
            other => scalar_mismatch(&other, "milliseconds since epoch"),
        },
        Schema::List { member, .. } => match value {
            Value::List(values) => {
                let values: Result<Vec<_>, _> =
                    values.into_iter().map(|value| coerce(value, member)).collect();
                Ok(Value::List(values?))
            }
            Value::Map(_) => mismatch("Start of structure or map found where not expected."),
            Value::Null => Ok(value),
            _ => mismatch("Expected list or null"),
        },
        Schema::Map { value: element, .. } => match value {
            Value::Map(members) => coerce_named(members, element),
            Value::List(_) => mismatch("Start of list found where not expected"),
            Value::Null => Ok(value),
            _ => mismatch("Expected map or null"),
        },
        Schema::Structure(structure) => match value {
            Value::Map(members) => coerce_members(members, structure),
            Value::List(_) => mismatch("Start of list found where not expected"),
            Value::Null => Ok(value),
            _ => mismatch("Expected null"),
        },
    }
}

/// A map's values by name. There may be as many as a body holds, so that no name is looked for among all others.
fn coerce_named(members: Vec<(String, Value)>, element: &Schema) -> Result<Value, TypeMismatch> {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut coerced: Vec<(String, Value)> = Vec::with_capacity(members.len());
    for (name, value) in members {
        let value = coerce(value, element)?;
        match places.get(&name) {
            Some(place) => coerced[*place].1 = value,
            None => {
                places.insert(name.clone(), coerced.len());
                coerced.push((name, value));
            }
        }
    }
    Ok(Value::Map(coerced))
}

fn coerce_members(members: Vec<(String, Value)>, structure: &StructureSchema) -> Result<Value, TypeMismatch> {
    let mut coerced: Vec<(String, Value)> = Vec::with_capacity(structure.members.len());
    for (name, value) in members {
        let Some(member) = structure.members.iter().find(|member| member.name == name) else { continue };
        let value = coerce(value, member.schema)?;
        match coerced.iter_mut().find(|(earlier, _)| *earlier == name) {
            Some((_, earlier)) => *earlier = value,
            None => coerced.push((name, value)),
        }
    }
    Ok(Value::Map(coerced))
}

/// AWS rounds fractions down and clamps to the type.
fn whole_number(value: Value, target: &str, min: i64, max: i64) -> Result<Value, TypeMismatch> {
    match value {
        Value::Integer(number) => Ok(Value::Integer(number.clamp(min, max))),
        // The cast saturates.
        Value::Float(number) => Ok(Value::Integer((number.floor() as i64).clamp(min, max))),
        Value::Null => Ok(Value::Null),
        other => scalar_mismatch(&other, target),
    }
}

fn base64(text: &str) -> Result<Bytes, TypeMismatch> {
    if let Ok(bytes) = base64_simd::STANDARD.decode_to_vec(text) {
        return Ok(Bytes::from(bytes));
    }
    let mut message = format!("'{text}' can not be converted to a Blob: ");
    let bytes = text.as_bytes();
    let odd = bytes.iter().enumerate().find(|(place, byte)| {
        let alphabet = byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
        !alphabet || (**byte == b'=' && bytes.get(place + 1).is_some_and(|next| *next != b'='))
    });
    if !bytes.len().is_multiple_of(4) {
        message +=
            &format!("Base64 encoded length is expected a multiple of 4 bytes but found: {}", bytes.len());
    } else if let Some((place, _)) = odd {
        let character = text[place..].chars().next().expect("the place is in the text");
        message += &format!("Invalid Base64 character: '{character}'");
    } else {
        // AWS's own spelling.
        message += "Invalid last non-pad Base64 character dectected";
    }
    mismatch(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: Schema = Schema::Text { min: None, max: None, pattern: None, values: &[] };
    const INTEGER: Schema = Schema::Integer { min: None, max: None };
    const BLOB: Schema = Schema::Blob { min: None, max: None };
    const LIST: Schema = Schema::List { member: &TEXT, min: None, max: None };
    const MAP: Schema = Schema::Map { key: &TEXT, value: &TEXT, min: None, max: None };

    #[track_caller]
    fn check(value: Value, schema: &Schema, expected: Result<Value, &str>) {
        assert_eq!(coerce(value, schema), expected.map_err(|text| TypeMismatch(text.to_owned())));
    }

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn scalars_are_told_apart_as_aws_tells_them_apart() {
        check(text("a"), &TEXT, Ok(text("a")));
        check(Value::Null, &TEXT, Ok(Value::Null));
        check(
            Value::Integer(1),
            &TEXT,
            Err(
                "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to an String",
            ),
        );
        check(Value::Boolean(true), &TEXT, Err("class java.lang.Boolean can not be converted to an String"));
        check(Value::List(vec![]), &TEXT, Err("Start of list found where not expected"));
        check(Value::Map(vec![]), &TEXT, Err("Start of structure or map found where not expected."));
        check(text("1"), &INTEGER, Err("class java.lang.String can not be converted to an Integer"));
        check(text("yes"), &Schema::Boolean, Err("'YES' can not be converted to an Boolean"));
        check(
            text("x"),
            &Schema::Timestamp,
            Err("class java.lang.String can not be converted to milliseconds since epoch"),
        );
    }

    #[test]
    fn numbers_are_rounded_down_and_clamped() {
        check(Value::Float(1.9), &INTEGER, Ok(Value::Integer(1)));
        check(Value::Float(1e300), &INTEGER, Ok(Value::Integer(i64::from(i32::MAX))));
        check(Value::Integer(i64::MAX), &INTEGER, Ok(Value::Integer(i64::from(i32::MAX))));
    }

    #[test]
    fn blobs_are_strict_base64() {
        check(text("aGk="), &BLOB, Ok(Value::Bytes(Bytes::from_static(b"hi"))));
        check(
            text("abc"),
            &BLOB,
            Err(
                "'abc' can not be converted to a Blob: Base64 encoded length is expected a multiple of 4 bytes \
                 but found: 3",
            ),
        );
        check(
            text("=aaa"),
            &BLOB,
            Err("'=aaa' can not be converted to a Blob: Invalid Base64 character: '='"),
        );
        check(
            text("Yé=="),
            &BLOB,
            Err("'Yé==' can not be converted to a Blob: Base64 encoded length is expected a \
                 multiple of 4 bytes but found: 5"),
        );
        check(
            text("YQ=b"),
            &BLOB,
            Err("'YQ=b' can not be converted to a Blob: Invalid Base64 character: '='"),
        );
        check(
            text("YR=="),
            &BLOB,
            Err("'YR==' can not be converted to a Blob: Invalid last non-pad Base64 character dectected"),
        );
    }

    #[test]
    fn a_map_may_have_as_many_names_as_a_body() {
        // Found by fuzzing: a request of 1.5 MB with so many tags took ten seconds of a network thread.
        let names = (0..100_000).map(|number| (format!("k{number:06}"), text("v")));
        let mut members: Vec<(String, Value)> = names.collect();
        let mut expected = members.clone();
        members.push(("k000007".into(), text("the last one counts")));
        expected[7].1 = text("the last one counts");
        check(Value::Map(members), &MAP, Ok(Value::Map(expected)));
    }

    #[test]
    fn collections_are_told_apart_as_aws_tells_them_apart() {
        check(text("x"), &LIST, Err("Expected list or null"));
        check(Value::Map(vec![]), &LIST, Err("Start of structure or map found where not expected."));
        check(text("x"), &MAP, Err("Expected map or null"));
        check(Value::List(vec![]), &MAP, Err("Start of list found where not expected"));
        let structure = Schema::Structure(&StructureSchema {
            name: "S",
            members: &[crate::Member { name: "A", required: true, schema: &TEXT }],
        });
        check(text("x"), &structure, Err("Expected null"));
        check(
            Value::Map(vec![
                ("A".into(), text("1")),
                ("B".into(), text("unknown members are dropped")),
                ("A".into(), text("2")),
            ]),
            &structure,
            Ok(Value::Map(vec![("A".into(), text("2"))])),
        );
    }
}
