//! Prepared requests: encoding stays outside the measured loop.

/// Bytes that look random and are the same in every run.
pub(crate) fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(count + 8);
    while bytes.len() < count {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(count);
    bytes
}

/// A protocol under test.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Json,
    Cbor,
}

impl Encoding {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Encoding::Json => "JSON",
            Encoding::Cbor => "CBOR",
        }
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Encoding::Json => "application/x-amz-json-1.1",
            Encoding::Cbor => "application/x-amz-cbor-1.1",
        }
    }
}

/// A whole HTTP/1.1 request.
pub(crate) fn request(operation: &str, encoding: Encoding, body: &[u8]) -> Vec<u8> {
    let mut out = format!(
        "POST / HTTP/1.1\r\nhost: bench\r\ncontent-type: {}\r\nx-amz-target: Kinesis_20131202.{operation}\r\n\
         content-length: {}\r\n\r\n",
        encoding.content_type(),
        body.len()
    )
    .into_bytes();
    out.extend_from_slice(body);
    out
}

/// A body of strings, whole numbers and objects of these.
pub(crate) fn flat(encoding: Encoding, members: &[(&str, serde_json::Value)]) -> Vec<u8> {
    let body: serde_json::Value = members.iter().map(|(name, value)| (*name, value.clone())).collect();
    match encoding {
        Encoding::Json => serde_json::to_vec(&body).expect("it is JSON"),
        Encoding::Cbor => {
            let mut encoder = minicbor::Encoder::new(Vec::new());
            cbor(&mut encoder, &body);
            encoder.into_writer()
        }
    }
}

fn cbor(encoder: &mut minicbor::Encoder<Vec<u8>>, value: &serde_json::Value) {
    match value {
        serde_json::Value::String(text) => {
            encoder.str(text).expect("memory");
        }
        serde_json::Value::Object(members) => {
            encoder.map(members.len() as u64).expect("memory");
            for (name, value) in members {
                encoder.str(name).expect("memory");
                cbor(encoder, value);
            }
        }
        other => {
            encoder.i64(other.as_i64().expect("whole numbers")).expect("memory");
        }
    }
}

/// PutRecord of one record.
pub(crate) fn put_record(encoding: Encoding, stream: &str, key: &str, data: &[u8]) -> Vec<u8> {
    match encoding {
        Encoding::Json => {
            let data = base64_simd::STANDARD.encode_to_string(data);
            format!("{{\"Data\":\"{data}\",\"PartitionKey\":\"{key}\",\"StreamName\":\"{stream}\"}}")
                .into_bytes()
        }
        Encoding::Cbor => {
            let mut encoder = minicbor::Encoder::new(Vec::new());
            encoder.map(3).expect("memory").str("Data").expect("memory").bytes(data).expect("memory");
            encoder.str("PartitionKey").expect("memory").str(key).expect("memory");
            encoder.str("StreamName").expect("memory").str(stream).expect("memory");
            encoder.into_writer()
        }
    }
}

/// PutRecords of `count` records of `data_bytes` each.
pub(crate) fn put_records(
    encoding: Encoding,
    stream: &str,
    seed: u64,
    count: usize,
    data_bytes: usize,
) -> Vec<u8> {
    let records: Vec<(String, Vec<u8>)> = (0..count)
        .map(|i| (format!("key-{seed:06}-{i:08}"), noise(seed * 100_000 + i as u64 + 1, data_bytes)))
        .collect();
    match encoding {
        Encoding::Json => {
            let mut body = String::from("{\"Records\":[");
            for (index, (key, data)) in records.iter().enumerate() {
                let comma = if index == 0 { "" } else { "," };
                let data = base64_simd::STANDARD.encode_to_string(data);
                body += &format!("{comma}{{\"Data\":\"{data}\",\"PartitionKey\":\"{key}\"}}");
            }
            body += &format!("],\"StreamName\":\"{stream}\"}}");
            body.into_bytes()
        }
        Encoding::Cbor => {
            let mut encoder = minicbor::Encoder::new(Vec::new());
            encoder
                .map(2)
                .expect("memory")
                .str("Records")
                .expect("memory")
                .array(count as u64)
                .expect("memory");
            for (key, data) in &records {
                encoder.map(2).expect("memory").str("Data").expect("memory").bytes(data).expect("memory");
                encoder.str("PartitionKey").expect("memory").str(key).expect("memory");
            }
            encoder.str("StreamName").expect("memory").str(stream).expect("memory");
            encoder.into_writer()
        }
    }
}

/// A member of an answer in either encoding: its value begins behind this name.
fn behind<'a>(body: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let at = memchr::memmem::rfind(body, name.as_bytes())? + name.len();
    let rest = &body[at..];
    Some(rest.strip_prefix(b"\":").unwrap_or(rest))
}

/// Whether the last number of this name in an answer is 0.
///
/// # Panics
/// When there is none.
pub(crate) fn number_is_zero(body: &[u8], name: &str) -> bool {
    match behind(body, name).expect("the answer has it") {
        [0, ..] => true,
        [b'0', rest @ ..] => !rest.first().is_some_and(u8::is_ascii_digit),
        _ => false,
    }
}

/// The last text of this name in an answer, if there is one. No escapes.
pub(crate) fn text_of(body: &[u8], name: &str) -> Option<String> {
    let value = behind(body, name)?;
    let text = match value {
        [b'"', rest @ ..] => &rest[..memchr::memchr(b'"', rest)?],
        cbor => return minicbor::Decoder::new(cbor).str().ok().map(str::to_owned),
    };
    String::from_utf8(text.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_in_both_encodings() {
        #[track_caller]
        fn check(body: &[u8], zero: bool, text: Option<&str>) {
            assert_eq!(number_is_zero(body, "Count"), zero);
            assert_eq!(text_of(body, "Next").as_deref(), text);
        }
        check(br#"{"Count":0,"Next":"abc"}"#, true, Some("abc"));
        check(br#"{"Next":"abc","Count":10}"#, false, Some("abc"));
        check(br#"{"Count":0}"#, true, None);
        check(b"\xa2\x65Count\x00\x64Next\x63abc", true, Some("abc"));
        check(b"\xa1\x65Count\x18\x64", false, None);
        let long = "x".repeat(200);
        let mut encoder = minicbor::Encoder::new(Vec::new());
        encoder.map(2).expect("memory").str("Next").expect("memory").str(&long).expect("memory");
        encoder.str("Count").expect("memory").u8(0).expect("memory");
        check(&encoder.into_writer(), true, Some(&long));
    }
}
