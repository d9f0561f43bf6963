//! What is wrong with a signature, in AWS's words.

use crate::SigningTime;

/// Why a request is not served. Displayed as AWS's message.
///
/// Source: answers of AWS's services; those about the scope and the time are documented under *Troubleshoot signed
/// requests for AWS APIs*.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Neither a header nor a query signs it.
    #[error("Missing Authentication Token")]
    Missing,
    /// Both do.
    #[error("Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.")]
    Twice,
    /// The header or the query lacks something; the text names all of it.
    #[error("{0}")]
    Incomplete(String),
    /// Another algorithm.
    #[error("Unsupported AWS 'algorithm': '{0}'")]
    Algorithm(String),
    /// The credential is not a key and a scope of four parts.
    #[error(
        "Credential must have exactly 5 slash-delimited elements, e.g. \
         keyid/date/region/service/term, got '{0}'"
    )]
    Credential(String),
    /// A header that must be signed is not.
    #[error("'{0}' must be a 'SignedHeader' in the AWS Authorization.")]
    Unsigned(String),
    /// The time is none.
    #[error("Date must be in ISO-8601 'basic format'. Got '{0}'. See http://en.wikipedia.org/wiki/ISO_8601")]
    Time(String),
    /// A presigned request is to be good for no, or too long a, time.
    #[error("X-Amz-Expires must be a number between 1 and 604800, got '{0}'")]
    Expires(String),
    /// The scope names another region.
    #[error("Credential should be scoped to a valid region, not '{0}'. ")]
    Region(String),
    /// The scope names another service.
    #[error("Credential should be scoped to correct service: '{0}'. ")]
    Service(String),
    /// The scope ends with something else.
    #[error("Credential should be scoped with a valid terminator: 'aws4_request', not '{0}'. ")]
    Terminator(String),
    /// The scope is of another day than the request.
    #[error(
        "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: \
         '{scope}' != '{}', from '{time}'.",
        time.day()
    )]
    Day {
        /// The scope's day.
        scope: String,
        /// When the request says it was signed.
        time: SigningTime,
    },
    /// Signed too long ago.
    #[error("Signature expired: {signed} is now earlier than {earliest} ({now} - {}.)", minutes(*seconds))]
    Expired {
        /// When the request says it was signed.
        signed: SigningTime,
        /// The earliest time that is served.
        earliest: SigningTime,
        /// Our time.
        now: SigningTime,
        /// How long it is good for.
        seconds: i64,
    },
    /// Signed in the future.
    #[error("Signature not yet current: {signed} is still later than {latest} ({now} + 5 min.)")]
    Early {
        /// When the request says it was signed.
        signed: SigningTime,
        /// The latest time that is served.
        latest: SigningTime,
        /// Our time.
        now: SigningTime,
    },
    /// The key's owner signed something else, or nothing.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
         Access Key and signing method. Consult the service documentation for details."
    )]
    Mismatch,
}

/// `5 min`, or seconds where they are no whole minutes.
fn minutes(seconds: i64) -> String {
    if seconds % 60 == 0 { format!("{} min", seconds / 60) } else { format!("{seconds} sec") }
}

impl Refusal {
    /// AWS's error code. The status is 403 with [`Refusal::Missing`] and a scope, a time or a signature that is not right, else 400.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::Missing => "MissingAuthenticationTokenException",
            Refusal::Incomplete(_) | Refusal::Algorithm(_) | Refusal::Credential(_) | Refusal::Time(_) => {
                "IncompleteSignatureException"
            }
            _ => "InvalidSignatureException",
        }
    }
}
