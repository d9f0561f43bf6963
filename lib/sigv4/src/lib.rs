//! AWS Signature Version 4, without keys' owners, clocks and sockets: callers bring the request, the time and the key.
//!
//! ```text
//!   claim      who says to have signed what, when: from the Authorization header or from a presigned query
//!   shape      whether the parts of one are there at all
//!   time       `20150830T123600Z`
//!   canonical  the request as both sides hash it
//!   key        secret -> signing key (of a day, a region, a service) -> signature
//!   refusal    what is wrong, in AWS's words
//! ```
//!
//! Verifying goes in two steps, because the key is only known after the first: [`Claim::check`] says whether the claim
//! can be meant for this place and time, [`Claim::is_signed_by`] whether the key's owner made it. Both are pure.
//!
//! Source: the *Signature Version 4* chapters of the AWS General Reference and the published test suite. The path is
//! normalised and encoded once more, as every service but S3 has it.

mod canonical;
mod claim;
mod key;
mod refusal;
mod shape;
mod time;

pub use canonical::{Request, hex_of, payload_hash};
pub use claim::{Claim, Expected};
pub use key::SigningKey;
pub use refusal::Refusal;
pub use shape::{QUERY_ALGORITHM, missing_in_header, missing_in_query};
pub use time::SigningTime;

/// The only algorithm there is (SigV4a, for several regions, is another protocol).
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// What a credential's scope ends with.
pub const TERMINATOR: &str = "aws4_request";
/// How far a signature's time may be from ours, both ways, in seconds.
pub const SKEW_SECONDS_MAX: i64 = 300;
/// The longest that a presigned request may say to be good for, in seconds: a week.
pub const EXPIRES_SECONDS_MAX: i64 = 604_800;
