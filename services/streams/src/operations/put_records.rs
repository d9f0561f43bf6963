//! PutRecords: up to 500 records, each durable when it is answered, or failed by itself.

use bytes::Bytes;
use thalweg_api::{Call, HotAnswer};
use thalweg_model::kinesis::{PutRecordsInput, PutRecordsOutput, PutRecordsResultEntry};
use thalweg_shape::Failure;
use thalweg_wire::hot::{Data, PutEntry, PutRecords, PutResult, put_records_answer};

use crate::hot;
use crate::put::{self, Refusal};
use crate::service::Streams;

pub(crate) async fn run(
    streams: &Streams,
    _call: &Call,
    input: PutRecordsInput,
) -> Result<PutRecordsOutput, Failure> {
    let records = input.records.iter().map(|record| PutEntry {
        partition_key: record.partition_key.as_deref(),
        explicit_hash_key: record.explicit_hash_key.as_deref(),
        data: Data::Raw(&record.data),
    });
    let request = PutRecords {
        stream_name: input.stream_name.as_deref(),
        stream_arn: input.stream_arn.as_deref(),
        records: records.collect(),
    };
    let dry_run = input.dry_run == Some(true);
    let batch = match prepare(streams, &request, input.stream_id.as_deref(), dry_run) {
        Ok(batch) => batch,
        Err(Refusal::Failure(failure)) => return Err(failure),
        Err(Refusal::NotBase64) => unreachable!("the data is decoded already"),
    };
    let outcome = put::place(streams, batch).await?;
    let texts = outcome.texts(&streams.settings.account);
    let mut failed = 0;
    let results = outcome.results(&texts).map(|result| match result {
        PutResult::Placed { run, place } => {
            let run = outcome.runs()[run as usize];
            PutRecordsResultEntry {
                sequence_number: Some(run.number(place).to_string()),
                shard_id: Some(run.shard.to_string()),
                ..PutRecordsResultEntry::default()
            }
        }
        PutResult::Failed { code, message } => {
            failed += 1;
            PutRecordsResultEntry {
                error_code: Some(code.to_owned()),
                error_message: Some(message.to_owned()),
                ..PutRecordsResultEntry::default()
            }
        }
    });
    let records = results.collect();
    Ok(PutRecordsOutput { encryption_type: None, failed_record_count: Some(failed), records })
}

/// From the encoded body; None: by the ordinary path.
pub(crate) fn hot<'a>(streams: &'a Streams, call: &'a Call, body: &'a Bytes) -> HotAnswer<'a> {
    let batch = |request: PutRecords<'_>| {
        let arn_is_plain = request.stream_arn.is_none_or(hot::arn_is_plain);
        if request.records.is_empty() || !arn_is_plain || !request.records.iter().all(hot::record_is_plain) {
            return None;
        }
        // The scanned request ends here: nothing of it is held while the journal writes.
        prepare(streams, &request, None, false).ok()
    };
    // A batch has decoded all data: then what was guessed is right.
    let guessed = PutRecords::guess(call.protocol, body).and_then(batch);
    let batch = guessed.or_else(|| PutRecords::scan(call.protocol, body).and_then(batch))?;
    Some(Box::pin(async move {
        let outcome = put::place(streams, batch).await?;
        let texts = outcome.texts(&streams.settings.account);
        let mut out = Vec::new();
        put_records_answer(&mut out, call.protocol, outcome.runs(), outcome.results(&texts), None);
        Ok(Bytes::from(out))
    }))
}

/// Everything before the journal, in AWS's order.
fn prepare(
    streams: &Streams,
    request: &PutRecords<'_>,
    stream_id: Option<&str>,
    dry_run: bool,
) -> Result<put::Batch, Refusal> {
    let stream = streams.resolve_stream(request.stream_name, request.stream_arn, stream_id)?;
    put::check_rules(&stream, put::Call::PutRecords, &request.records, &streams.settings.account)?;
    put::prepare(streams, stream, &request.records, dry_run)
}
