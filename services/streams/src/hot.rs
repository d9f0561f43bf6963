//! What the hot paths check by themselves because they go past the model's constraints. Whatever does not pass
//! takes the ordinary path, which words the errors: so this may be stricter than the model, never laxer.

use thalweg_types::HashKey;
use thalweg_wire::hot::PutEntry;

/// Longest partition key, in characters. Source: model, `PartitionKey`.
const KEY_CHARACTERS_MAX: usize = 256;
/// Longest sequence number, in digits. Source: model, `SequenceNumber`.
const DIGITS_MAX: usize = 129;
/// Longest ARN that is ever right: `arn:aws:kinesis:REGION:ACCOUNT:stream/NAME`, with room.
const ARN_BYTES_MAX: usize = 256;

/// The constraints on a record, but for the size of its data: each stream has a narrower one.
pub(crate) fn record_is_plain(record: &PutEntry<'_>) -> bool {
    let key = record.partition_key.is_none_or(|key| {
        !key.is_empty() && (key.len() <= KEY_CHARACTERS_MAX || key.chars().count() <= KEY_CHARACTERS_MAX)
    });
    key && record.explicit_hash_key.is_none_or(|text| HashKey::parse(text).is_some())
}

/// `StreamARN`, in the partition that nearly everyone means.
pub(crate) fn arn_is_plain(arn: &str) -> bool {
    arn.starts_with("arn:aws:kinesis:") && arn.len() <= ARN_BYTES_MAX
}

/// `SequenceNumberForOrdering`
pub(crate) fn sequence_number_is_plain(text: &str) -> bool {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits && (1..=DIGITS_MAX).contains(&text.len()) && (text == "0" || !text.starts_with('0'))
}

#[cfg(test)]
mod tests {
    use thalweg_model::kinesis::schemas;
    use thalweg_shape::Schema;
    use thalweg_wire::hot::Data;

    use super::*;

    /// What passes here passes the model.
    #[track_caller]
    fn check(passes: bool, expected: bool, schema: &'static Schema, text: &str) {
        assert_eq!(passes, expected, "{text}");
        let Schema::Text { min, max, pattern, .. } = schema else { panic!("all of these are texts") };
        let characters = text.chars().count();
        let model = min.is_none_or(|min| characters >= min)
            && max.is_none_or(|max| characters <= max)
            && pattern.as_ref().is_none_or(|pattern| pattern.matches(text));
        assert!(model || !passes, "{text} breaks the model's constraints");
    }

    #[test]
    fn what_passes_here_passes_the_models_constraints() {
        fn record(partition_key: Option<&str>, explicit_hash_key: Option<&str>) -> bool {
            record_is_plain(&PutEntry { partition_key, explicit_hash_key, data: Data::Raw(b"") })
        }
        for (key, expected) in [
            ("k".to_owned(), true),
            (String::new(), false),
            ("k".repeat(256), true),
            ("k".repeat(257), false),
            ("é".repeat(256), true),
            ("é".repeat(257), false),
        ] {
            check(record(Some(&key), None), expected, &schemas::PARTITION_KEY, &key);
        }
        for (key, expected) in [
            ("0", true),
            ("340282366920938463463374607431768211455", true),
            ("340282366920938463463374607431768211456", false),
            ("01", false),
            ("-1", false),
            ("", false),
        ] {
            check(record(None, Some(key)), expected, &schemas::HASH_KEY, key);
        }
        for (number, expected) in [
            ("0".to_owned(), true),
            ("5".to_owned(), true),
            ("9".repeat(129), true),
            ("9".repeat(130), false),
            ("00".to_owned(), false),
            ("05".to_owned(), false),
            (String::new(), false),
            ("x".to_owned(), false),
        ] {
            check(sequence_number_is_plain(&number), expected, &schemas::SEQUENCE_NUMBER, &number);
        }
        for (arn, expected) in [
            ("arn:aws:kinesis:us-east-1:000000000000:stream/orders", true),
            ("arn:aws-cn:kinesis:cn-north-1:000000000000:stream/orders", false),
            ("arn:xyz:kinesis:us-east-1:000000000000:stream/orders", false),
            ("orders", false),
        ] {
            check(arn_is_plain(arn), expected, &schemas::STREAM_ARN, arn);
        }
    }
}
