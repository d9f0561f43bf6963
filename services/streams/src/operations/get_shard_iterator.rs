//! GetShardIterator. Not written yet: it answers that the service failed.

use thalweg_api::Call;
use thalweg_model::kinesis::{GetShardIteratorInput, GetShardIteratorOutput};
use thalweg_shape::Failure;

use crate::errors;
use crate::service::Streams;

pub(crate) async fn run(
    _streams: &Streams,
    _call: &Call,
    _input: GetShardIteratorInput,
) -> Result<GetShardIteratorOutput, Failure> {
    Err(errors::internal_failure())
}
