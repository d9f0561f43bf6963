//! PutRecord. Not written yet: it answers that the service failed.

use bytes::Bytes;
use thalweg_api::{Call, HotAnswer};
use thalweg_model::kinesis::{PutRecordInput, PutRecordOutput};
use thalweg_shape::Failure;

use crate::errors;
use crate::service::Streams;

pub(crate) async fn run(
    _streams: &Streams,
    _call: &Call,
    _input: PutRecordInput,
) -> Result<PutRecordOutput, Failure> {
    Err(errors::internal_failure())
}

/// From the encoded body; None: by the ordinary path.
pub(crate) fn hot<'a>(_streams: &'a Streams, _call: &'a Call, _body: &'a Bytes) -> HotAnswer<'a> {
    None
}
