//! Base64 in requests: the vectorised decoder of the hot path against the one that the ordinary path has.

use thalweg_shape::{Schema, Value, coerce};
use thalweg_wire::Protocol;
use thalweg_wire::hot::PutRecord;

use super::Target;

pub(crate) const TARGET: Target = Target { name: "base64", run, seeds, bytes_max: 1024, mutations: 4000 };

fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let ordinary = coerce(Value::Text(text.to_owned()), &Schema::Blob { min: None, max: None });
    let body = [br#"{"Data":""#, bytes, br#""}"#].concat();
    let Some(request) = PutRecord::scan(Protocol::AwsJson11, &body) else { return };
    let mut data = b"before".to_vec();
    let outcome = request.record.data.append_to(&mut data);
    match (outcome, ordinary) {
        (Ok(()), Ok(Value::Bytes(expected))) => {
            assert_eq!(data, [b"before", &expected[..]].concat());
            assert_eq!(base64_simd::STANDARD.encode_to_string(&expected), text, "there is one text for each");
        }
        (Err(_), Err(_)) => assert_eq!(data, b"before"),
        (hot, ordinary) => panic!("{text}: {hot:?} by the hot path, {ordinary:?} by the ordinary one"),
    }
}

fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let encode = |length: usize| {
        let bytes: Vec<u8> = (0..length).map(|place| (place * 37) as u8).collect();
        base64_simd::STANDARD.encode_to_string(bytes).into_bytes()
    };
    vec![("empty", encode(0)), ("short", encode(5)), ("lanes", encode(48)), ("long", encode(301))]
}
