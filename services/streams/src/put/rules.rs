//! Which records a stream takes. Pure. The model's own constraints are checked before this: by the gateway for the
//! ordinary path, in [`crate::hot`] for the hot one.

use thalweg_model::kinesis::{RecordDistributionStrategy, StreamStatus};
use thalweg_shape::Failure;
use thalweg_types::limits::PUT_RECORDS_BYTES_MAX;
use thalweg_wire::hot::PutEntry;

use crate::errors;
use crate::stream::Stream;

/// AWS reports at most this many violations. Source: facts/aws-behaviour.md, Protocol.
const VIOLATIONS_MAX: usize = 10;

/// Which call the records came in: it decides what errors call them, and what is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    PutRecord,
    PutRecords,
}

impl Call {
    fn path(self, record: usize, member: &str) -> String {
        match self {
            Call::PutRecord => member.to_owned(),
            Call::PutRecords => format!("records.{}.member.{member}", record + 1),
        }
    }
}

/// What the limits count of a record.
pub(super) fn payload_bytes(record: &PutEntry<'_>) -> usize {
    record.data.len() + record.partition_key.map_or(0, str::len)
}

/// Whether the stream takes these records.
///
/// # Errors
/// ResourceNotFound, Validation or InvalidArgument, in this order.
pub(crate) fn check(
    stream: &Stream,
    call: Call,
    records: &[PutEntry<'_>],
    account: &str,
) -> Result<(), Failure> {
    if !matches!(stream.status(), StreamStatus::Active | StreamStatus::Updating) {
        return Err(errors::stream_not_found(stream.name.as_str(), account));
    }
    let needs_keys = stream.distribution == RecordDistributionStrategy::UserPartitionKey;
    let bytes_max = stream.record_kib_max as usize * 1024;
    let mut violations = Vec::new();
    let mut bytes_total = 0;
    for (number, record) in records.iter().enumerate() {
        if needs_keys && record.partition_key.is_none() {
            violations.push(errors::must_not_be_null(&call.path(number, "partitionKey")));
        }
        let bytes = payload_bytes(record);
        bytes_total += bytes;
        if bytes > bytes_max {
            violations.push(errors::record_too_large(&call.path(number, "data"), bytes_max));
        }
        if violations.len() >= VIOLATIONS_MAX {
            break;
        }
    }
    if !violations.is_empty() {
        violations.truncate(VIOLATIONS_MAX);
        return Err(errors::constraints(&violations));
    }
    if call == Call::PutRecords && bytes_total > PUT_RECORDS_BYTES_MAX {
        return Err(errors::records_too_large());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use thalweg_wire::hot::Data;

    use super::*;
    use crate::change::{Change, ChangeKind};
    use crate::stream::tests::stream;

    fn record(key: Option<&'static str>, data: &'static [u8]) -> PutEntry<'static> {
        PutEntry { partition_key: key, explicit_hash_key: None, data: Data::Raw(data) }
    }

    #[track_caller]
    fn check_rules(
        stream: &Stream,
        call: Call,
        records: &[PutEntry<'_>],
        expected: Result<(), (&str, &str)>,
    ) {
        let found = check(stream, call, records, "123456789012");
        assert_eq!(
            found.as_ref().map_err(|failure| (failure.code, failure.message.as_str())).copied(),
            expected
        );
    }

    const MIB: &[u8] = &[0; 1 << 20];

    #[test]
    fn keys_are_required_where_they_place_records() {
        let mut stream = stream("orders");
        let records = [record(Some("k"), b""), record(None, b"")];
        let missing = "1 validation error detected: Value null at 'records.2.member.partitionKey' failed to \
                       satisfy constraint: Member must not be null";
        check_rules(&stream, Call::PutRecords, &records, Err(("ValidationException", missing)));
        let missing = "1 validation error detected: Value null at 'partitionKey' failed to satisfy constraint: \
                       Member must not be null";
        check_rules(&stream, Call::PutRecord, &records[1..], Err(("ValidationException", missing)));
        stream.distribution = RecordDistributionStrategy::Auto;
        check_rules(&stream, Call::PutRecords, &records, Ok(()));
    }

    #[test]
    fn a_record_is_as_large_as_its_stream_allows_key_included() {
        let mut stream = stream("orders");
        check_rules(&stream, Call::PutRecord, &[record(Some("k"), &MIB[1..])], Ok(()));
        let too_large = "1 validation error detected: Value at 'data' failed to satisfy constraint: Member must \
                         have length less than or equal to 1048576";
        check_rules(
            &stream,
            Call::PutRecord,
            &[record(Some("k"), MIB)],
            Err(("ValidationException", too_large)),
        );
        let too_large = "2 validation errors detected: Value at 'records.1.member.data' failed to satisfy \
                         constraint: Member must have length less than or equal to 1048576; Value at \
                         'records.3.member.data' failed to satisfy constraint: Member must have length less than \
                         or equal to 1048576";
        let records = [record(Some("k"), MIB), record(Some("k"), b""), record(Some("k"), MIB)];
        check_rules(&stream, Call::PutRecords, &records, Err(("ValidationException", too_large)));
        stream.record_kib_max = 1025;
        check_rules(&stream, Call::PutRecords, &records, Ok(()));
    }

    #[test]
    fn at_most_ten_violations_are_told() {
        let records = [record(None, MIB); 20];
        let failure = check(&stream("orders"), Call::PutRecords, &records, "1").expect_err("no keys");
        assert!(failure.message.starts_with("10 validation errors detected: "));
        assert_eq!(failure.message.matches("failed to satisfy").count(), 10);
    }

    #[test]
    fn a_request_has_at_most_ten_mebibytes_keys_included() {
        let records = [record(Some("k"), &MIB[1..]); 10];
        check_rules(&stream("orders"), Call::PutRecords, &records, Ok(()));
        let mut records = records.to_vec();
        records.push(record(Some("k"), b""));
        let too_large = Err(("InvalidArgumentException", "Records size exceeds 10 MB limit"));
        check_rules(&stream("orders"), Call::PutRecords, &records, too_large);
    }

    #[test]
    fn a_stream_takes_records_when_it_is_active_or_updating() {
        let not_found =
            Err(("ResourceNotFoundException", "Stream orders under account 123456789012 not found."));
        for (kind, expected) in [
            (ChangeKind::Settle, Ok(())),
            (ChangeKind::Create { shards: 1 }, not_found),
            (ChangeKind::Delete, not_found),
        ] {
            let change = Some(Change { kind, not_before: thalweg_types::Timestamp::ZERO });
            let stream = Stream { change, ..stream("orders") };
            check_rules(&stream, Call::PutRecords, &[record(Some("k"), b"")], expected);
        }
    }
}
