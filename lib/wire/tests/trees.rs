//! What is written comes back: trees of values through each protocol, and any bytes into each decoder.

use bytes::Bytes;
use proptest::prelude::*;
use thalweg_shape::Value;
use thalweg_types::Timestamp;
use thalweg_wire::Protocol;

fn trees() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Boolean),
        any::<i64>().prop_map(Value::Integer),
        // Few enough digits that serde_json reads them to the last bit; the only floats on the wire are times.
        any::<i32>().prop_map(|eighths| Value::Float(f64::from(eighths) / 8.0)),
        any::<String>().prop_map(Value::Text),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| Value::Bytes(Bytes::from(bytes))),
        (0i64..1 << 45).prop_map(|millis| Value::Timestamp(Timestamp::from_millis(millis))),
    ];
    leaf.prop_recursive(5, 60, 8, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..8).prop_map(Value::List),
            proptest::collection::vec((any::<String>(), inner), 0..8).prop_map(Value::Map),
        ]
    })
}

/// What a protocol makes of a value on the way: null members vanish, and JSON has neither blobs nor times.
fn expected(value: &Value, protocol: Protocol) -> Value {
    match value {
        Value::List(elements) => {
            Value::List(elements.iter().map(|element| expected(element, protocol)).collect())
        }
        Value::Map(members) => Value::Map(
            members
                .iter()
                .filter(|(_, value)| *value != Value::Null)
                .map(|(name, value)| (name.clone(), expected(value, protocol)))
                .collect(),
        ),
        Value::Bytes(bytes) if protocol == Protocol::AwsJson11 => {
            Value::Text(base64_simd::STANDARD.encode_to_string(bytes))
        }
        Value::Timestamp(time) if protocol == Protocol::AwsJson11 => {
            Value::Float(time.to_string().parse().expect("a decimal number"))
        }
        other => other.clone(),
    }
}

proptest! {
    #[test]
    fn what_is_written_comes_back(tree in trees()) {
        for protocol in [Protocol::AwsJson11, Protocol::AwsCbor11] {
            let mut body = b"before".to_vec();
            protocol.encode(&tree, &mut body);
            prop_assert_eq!(protocol.decode(&body[6..]), Ok(expected(&tree, protocol)));
        }
    }

    #[test]
    fn any_bytes_are_safe(bytes: Vec<u8>) {
        for protocol in [Protocol::AwsJson11, Protocol::AwsCbor11] {
            let _ = protocol.decode(&bytes);
        }
    }

    #[test]
    fn damaged_bodies_are_safe(tree in trees(), place: prop::sample::Index, byte: u8, cut: bool) {
        for protocol in [Protocol::AwsJson11, Protocol::AwsCbor11] {
            let mut body = Vec::new();
            protocol.encode(&tree, &mut body);
            let place = place.index(body.len());
            if cut {
                body.truncate(place);
            } else {
                body[place] = byte;
            }
            let _ = protocol.decode(&body);
        }
    }
}
