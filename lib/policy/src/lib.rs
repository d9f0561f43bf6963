//! AWS's policy language: documents are parsed, and a request is decided by those that apply to it. It knows no store, no
//! clock and no service: whoever asks brings the documents, and the request's context with the time in it.
//!
//! ```text
//!   document   JSON -> statements
//!   pattern    `arn:aws:kinesis:*:111122223333:stream/${aws:username}-?`
//!   principal  whom a resource's policy, or a role's trust policy, means
//!   condition  `{"NumericLessThan": {"kinesis:ShardCount": "8"}}`
//!   request    who wants to do what to which resource, and the context's keys
//!   decide     a denial counts before everything; nothing is allowed that is not allowed somewhere
//! ```
//!
//! Source: the *IAM JSON policy reference* and *Policy evaluation logic* of the IAM user guide.

mod condition;
mod decide;
mod document;
mod pattern;
mod principal;
mod request;

pub use decide::{Applied, Decision, Kind, Policies, decide};
pub use document::{Effect, Malformed, Policy};
pub use principal::{Caller, Identity};
pub use request::{Context, Request};
