//! Names: from the model's to Rust's.

/// `MaxRecordSizeInKiB` as `max_record_size_in_kib`, `StreamARN` as `stream_arn`, `S3Key` as `s3_key`.
pub(crate) fn snake(name: &str) -> String {
    let name = name.replace("KiB", "Kib").replace("MiBps", "Mibps").replace("ARNs", "Arns");
    let characters: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (index, &character) in characters.iter().enumerate() {
        if matches!(character, '_' | '-' | '.' | ':') {
            out.push('_');
            continue;
        }
        let after_lower =
            index > 0 && (characters[index - 1].is_lowercase() || characters[index - 1].is_ascii_digit());
        let before_lower = index > 0
            && characters[index - 1].is_uppercase()
            && characters.get(index + 1).is_some_and(|next| next.is_lowercase());
        if character.is_uppercase() && (after_lower || before_lower) && !out.ends_with('_') {
            out.push('_');
        }
        out.extend(character.to_lowercase());
    }
    out
}

/// A field's name; Rust's own words get a trailing underscore.
pub(crate) fn field(name: &str) -> String {
    let name = snake(name);
    match name.as_str() {
        "type" | "match" | "ref" | "self" | "move" | "enum" | "use" | "where" | "async" | "in" => name + "_",
        _ => name,
    }
}

/// `AT_SEQUENCE_NUMBER` as `AtSequenceNumber`, `IncomingBytes` as it is.
pub(crate) fn variant(value: &str) -> String {
    let mut out = String::new();
    for word in value.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
        let all_upper = word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
        let mut characters = word.chars();
        let first = characters.next().expect("words are not empty");
        if first.is_ascii_digit() {
            out.push('V');
        }
        out.push(first.to_ascii_uppercase());
        let rest = characters.as_str();
        out += &if all_upper { rest.to_ascii_lowercase() } else { rest.to_owned() };
    }
    out
}

/// `PutRecords` as `PUT_RECORDS`.
pub(crate) fn constant(name: &str) -> String {
    snake(name).to_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_rust() {
        for (name, expected) in [
            ("StreamARN", "stream_arn"),
            ("MaxRecordSizeInKiB", "max_record_size_in_kib"),
            ("WarmThroughputMiBps", "warm_throughput_mibps"),
            ("S3DestinationConfiguration", "s3_destination_configuration"),
            ("KMSOptInRequired", "kms_opt_in_required"),
            ("GSRSchemaARN", "gsr_schema_arn"),
        ] {
            assert_eq!(snake(name), expected);
        }
        assert_eq!(field("Type"), "type_");
        assert_eq!(variant("AT_SEQUENCE_NUMBER"), "AtSequenceNumber");
        assert_eq!(variant("IncomingBytes"), "IncomingBytes");
        assert_eq!(variant("ALL"), "All");
        assert_eq!(variant("2.1"), "V2V1");
    }
}
