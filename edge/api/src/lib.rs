//! The contract between the gateway and the services.
//!
//! The gateway holds [`Service`]s and knows neither their names nor their types. Each generated module (one per
//! service model) has a typed trait with a method per operation, which the service implements, and an adapter
//! that makes a [`Service`] of it. The pipeline in the gateway is the only caller.

pub mod kinesis;
pub mod operation;
pub mod service;

pub use operation::{Operation, ResourceMember, not_available};
pub use service::{
    ANSWER_BYTES_LARGE, Answer, BoxFuture, Call, EventRoom, EventStream, HotAnswer, Reply, Room, Service,
};
pub use thalweg_shape::Failure;
