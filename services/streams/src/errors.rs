//! Every error text of the service. Those that AWS was recorded with say so by their wording; where no recording
//! is known the text is ours, in the same manner. Which code an operation may answer is in its model.

use thalweg_model::kinesis::errors as model;
use thalweg_shape::Failure;

// ---- Both: streams, consumers and ARNs that do not resolve -------------------------------------------------

pub(crate) fn stream_not_found(name: &str, account: &str) -> Failure {
    model::resource_not_found(format!("Stream {name} under account {account} not found."))
}

pub(crate) fn stream_id_not_found(id: &str, account: &str) -> Failure {
    model::resource_not_found(format!("Stream with StreamId {id} under account {account} not found."))
}

pub(crate) fn no_stream_named() -> Failure {
    model::invalid_argument("Either StreamName or StreamARN should be provided.")
}

pub(crate) fn stream_names_differ(arn: &str, name: &str) -> Failure {
    model::invalid_argument(format!("StreamARN {arn} and StreamName {name} do not name the same stream."))
}

pub(crate) fn not_a_stream_arn(arn: &str) -> Failure {
    model::invalid_argument(format!("{arn} is not the ARN of a stream."))
}

pub(crate) fn not_a_consumer_arn(arn: &str) -> Failure {
    model::invalid_argument(format!("{arn} is not the ARN of a consumer."))
}

pub(crate) fn consumer_arn_not_found(arn: &str) -> Failure {
    model::resource_not_found(format!("Consumer {arn} not found."))
}

pub(crate) fn resource_not_found(arn: &str) -> Failure {
    model::resource_not_found(format!("Resource {arn} not found."))
}

/// Something of ours failed; the log says what.
pub(crate) fn internal_failure() -> Failure {
    model::internal_failure("Internal Service Failure")
}

// ---- Control operations ------------------------------------------------------------------------------------

// ---- Data operations: put, iterate, get, subscribe -----------------------------------------------------------
