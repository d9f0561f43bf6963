//! PutRecord: one record, durable when it is answered.

use bytes::Bytes;
use thalweg_api::{Call, HotAnswer};
use thalweg_model::kinesis::{PutRecordInput, PutRecordOutput};
use thalweg_shape::Failure;
use thalweg_wire::hot::{Data, PutEntry, PutRecord, put_record_answer};

use crate::hot;
use crate::put::{self, Refusal};
use crate::service::Streams;

pub(crate) async fn run(
    streams: &Streams,
    _call: &Call,
    input: PutRecordInput,
) -> Result<PutRecordOutput, Failure> {
    let (name, arn) = (input.stream_name.as_deref(), input.stream_arn.as_deref());
    let request = PutRecord {
        stream_name: name,
        stream_arn: arn,
        sequence_number_for_ordering: input.sequence_number_for_ordering.as_deref(),
        record: PutEntry {
            partition_key: input.partition_key.as_deref(),
            explicit_hash_key: input.explicit_hash_key.as_deref(),
            data: Data::Raw(&input.data),
        },
    };
    let dry_run = input.dry_run == Some(true);
    let batch = match prepare(streams, &request, input.stream_id.as_deref(), dry_run) {
        Ok(batch) => batch,
        Err(Refusal::Failure(failure)) => return Err(failure),
        Err(Refusal::NotBase64) => unreachable!("the data is decoded already"),
    };
    let outcome = put::place(streams, batch).await?;
    let (shard, number) = outcome.single(&streams.settings.account)?;
    Ok(PutRecordOutput {
        encryption_type: None,
        sequence_number: number.to_string(),
        shard_id: shard.to_string(),
    })
}

/// From the encoded body; None: by the ordinary path.
pub(crate) fn hot<'a>(streams: &'a Streams, call: &'a Call, body: &'a Bytes) -> HotAnswer<'a> {
    let request = PutRecord::scan(call.protocol, body)?;
    let ordering_is_plain = request.sequence_number_for_ordering.is_none_or(hot::sequence_number_is_plain);
    let arn_is_plain = request.stream_arn.is_none_or(hot::arn_is_plain);
    if !ordering_is_plain || !arn_is_plain || !hot::record_is_plain(&request.record) {
        return None;
    }
    let batch = prepare(streams, &request, None, false).ok()?;
    Some(Box::pin(async move {
        let outcome = put::place(streams, batch).await?;
        let (shard, number) = outcome.single(&streams.settings.account)?;
        let mut out = Vec::new();
        put_record_answer(&mut out, call.protocol, shard, number, None);
        Ok(Bytes::from(out))
    }))
}

/// Everything before the journal, in AWS's order.
fn prepare(
    streams: &Streams,
    request: &PutRecord<'_>,
    stream_id: Option<&str>,
    dry_run: bool,
) -> Result<put::Batch, Refusal> {
    let stream = streams.resolve_stream(request.stream_name, request.stream_arn, stream_id)?;
    let records = std::slice::from_ref(&request.record);
    put::check_rules(&stream, put::Call::PutRecord, records, &streams.settings.account)?;
    if let Some(minimum) = request.sequence_number_for_ordering {
        put::check_ordering(streams, &stream, &request.record, minimum)?;
    }
    put::prepare(streams, stream, records, dry_run)
}
