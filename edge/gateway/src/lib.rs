//! From a byte stream to a typed call and back: listeners, routing, and the request pipeline.
//!
//! Names no service: it holds what implements [`thalweg_api::Service`]. Nothing here is specific to Kinesis but
//! the manners of AWS's front door (`pipeline`), and nothing here knows a file, a clock or a thread of its own.
//!
//! ```text
//! serve       listeners, workers, shutdown
//!   bell        wakes from other threads, gathered
//!   connection  one byte stream: HTTP/1.1 or HTTP/2, and when to give up on it
//!     pipeline    one request: route, check, decode, call
//!       response    the only place that builds a response
//! ```

mod activity;
mod answer_body;
mod authorization;
mod bell;
mod budget;
mod connection;
mod gateway;
mod monitored;
mod pipeline;
mod request_body;
mod request_id;
mod response;
mod serve;
pub mod settings;
mod streams;

pub use gateway::{Gateway, Readiness};
pub use serve::{GatewayError, Serving, bind};
pub use settings::Settings;
