//! An error as it goes to the client.

use std::fmt;

/// A code of a service model (or of the protocol), an HTTP status and a message. Which protocol carries it is
/// decided by the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The error's name, without a name space: `ResourceNotFoundException`.
    pub code: &'static str,
    /// The HTTP status: 400 unless the model says otherwise.
    pub status: u16,
    /// For people.
    pub message: String,
}

impl Failure {
    /// With status 400.
    pub fn client(code: &'static str, message: impl Into<String>) -> Self {
        Failure { code, status: 400, message: message.into() }
    }

    /// With status 500.
    pub fn server(code: &'static str, message: impl Into<String>) -> Self {
        Failure { code, status: 500, message: message.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Failure {}
