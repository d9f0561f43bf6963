//! SubscribeToShard. Not written yet: it answers that the service failed.

use thalweg_api::{Call, EventStream};
use thalweg_model::kinesis::SubscribeToShardInput;
use thalweg_shape::Failure;

use crate::errors;
use crate::service::Streams;

pub(crate) async fn run(
    _streams: &Streams,
    _call: &Call,
    _input: SubscribeToShardInput,
) -> Result<EventStream, Failure> {
    Err(errors::internal_failure())
}
