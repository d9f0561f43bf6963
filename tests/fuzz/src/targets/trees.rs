//! Trees of values: when two of them are alike, and building them from JSON by a second parser.

use aws_smithy_json::deserialize::{Token, error::DeserializeError, json_token_iter};
use aws_smithy_types::Number;
use thalweg_shape::Value;
use thalweg_wire::Protocol;

/// Whether two trees say the same. Floats may differ in the last digits, since serde_json does not read each to the
/// nearest; and zero with a sign is a float to serde_json and a whole number to the SDK, which is the same to every
/// operation: where a whole number is asked for, floats are rounded.
pub(crate) fn are_alike(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Float(float), Value::Integer(0)) => *float == 0.0,
        (Value::Float(one), Value::Float(other)) => floats_are_alike(*one, *other),
        (Value::List(one), Value::List(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| are_alike(one, other))
        }
        (Value::Map(one), Value::Map(other)) => {
            let members_are_alike = |(one, other): (&(String, Value), &(String, Value))| {
                one.0 == other.0 && are_alike(&one.1, &other.1)
            };
            one.len() == other.len() && one.iter().zip(other).all(members_are_alike)
        }
        _ => one == other,
    }
}

fn floats_are_alike(one: f64, other: f64) -> bool {
    one.to_bits() == other.to_bits()
        || (one.is_nan() && other.is_nan())
        || (one - other).abs() <= 4.0 * f64::EPSILON * one.abs().max(f64::MIN_POSITIVE)
}

/// A tree without the null members of maps, which no encoder writes.
pub(crate) fn without_nulls(value: Value) -> Value {
    match value {
        Value::List(values) => Value::List(values.into_iter().map(without_nulls).collect()),
        Value::Map(members) => {
            let present = members.into_iter().filter(|(_, value)| *value != Value::Null);
            Value::Map(present.map(|(name, value)| (name, without_nulls(value))).collect())
        }
        value => value,
    }
}

/// What was decoded is encoded and decoded again, and is what it was.
#[track_caller]
pub(crate) fn check_round_trip(protocol: Protocol, value: Value) {
    let value = without_nulls(value);
    let mut encoded = Vec::new();
    protocol.encode(&value, &mut encoded);
    let again =
        protocol.decode(&encoded).unwrap_or_else(|error| panic!("{value:?} does not come back: {error}"));
    assert!(are_alike(&value, &again), "{value:?} comes back as {again:?}");
}

/// A tree from JSON, as the SDK reads it.
pub(crate) fn from_json(body: &[u8]) -> Result<Value, DeserializeError> {
    // What is open: a list, or a map with the name of the member that comes next.
    let mut open: Vec<(Value, Option<String>)> = Vec::new();
    let mut whole = None;
    for token in json_token_iter(body) {
        let value = match token? {
            Token::StartArray { .. } => {
                open.push((Value::List(Vec::new()), None));
                continue;
            }
            Token::StartObject { .. } => {
                open.push((Value::Map(Vec::new()), None));
                continue;
            }
            Token::ObjectKey { key, .. } => {
                let name = key.to_unescaped()?.into_owned();
                open.last_mut().expect("names are in maps").1 = Some(name);
                continue;
            }
            Token::EndArray { .. } | Token::EndObject { .. } => open.pop().expect("ends are matched").0,
            Token::ValueBool { value, .. } => Value::Boolean(value),
            Token::ValueNull { .. } => Value::Null,
            Token::ValueNumber { value, .. } => number(value),
            Token::ValueString { value, .. } => Value::Text(value.to_unescaped()?.into_owned()),
        };
        match open.last_mut() {
            None => whole = Some(value),
            Some((Value::List(list), _)) => list.push(value),
            Some((Value::Map(map), name)) => map.push((name.take().expect("a name came before"), value)),
            Some(_) => unreachable!("only lists and maps are open"),
        }
    }
    Ok(whole.unwrap_or(Value::Null))
}

fn number(number: Number) -> Value {
    match number {
        Number::PosInt(number) => i64::try_from(number).map_or(Value::Float(number as f64), Value::Integer),
        Number::NegInt(number) => Value::Integer(number),
        Number::Float(number) => Value::Float(number),
    }
}
