//! Why a command failed, in one line that names the thing and what to do about it.

use std::error::Error;
use std::io;

use aws_sdk_kinesis::config::http::HttpResponse;
use aws_sdk_kinesis::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};

use crate::connect::Endpoint;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The command line makes no sense.
    #[error("{0}")]
    Usage(String),
    /// No answer came.
    #[error("cannot reach {endpoint}: {reason}{advice}")]
    Unreachable {
        /// Who was called.
        endpoint: String,
        /// The operating system's words.
        reason: String,
        /// What to do, with a leading separator.
        advice: &'static str,
    },
    /// The server refused the call, or failed at it.
    #[error("{operation} failed: {code}: {message}{advice}")]
    Refused {
        /// The operation: `CreateStream`.
        operation: &'static str,
        /// AWS's error code.
        code: String,
        /// The server's words.
        message: String,
        /// What to do, with a leading separator.
        advice: String,
    },
    /// The call could not be sent: no credentials, an unusable endpoint.
    #[error("{operation} was not sent: {reason}")]
    NotSent {
        /// The operation.
        operation: &'static str,
        /// The SDK's words.
        reason: String,
    },
    /// Standard input cannot be read.
    #[error("cannot read standard input: {0}")]
    Input(io::Error),
    /// A line of standard input cannot be a record.
    #[error("line {line} is longer than {bytes_max} bytes, the largest record there is")]
    LineTooLong {
        /// From 1.
        line: u64,
        /// The limit.
        bytes_max: usize,
    },
    /// Whoever read our output has left. Not a failure: see [`CliError::exit_code`].
    #[error("standard output was closed")]
    OutputClosed,
    /// Standard output cannot be written.
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
    /// Not all records were put.
    #[error("{put} records were put, then: {cause}")]
    PutStopped {
        /// How many were acknowledged.
        put: u64,
        /// Why no more were.
        cause: Box<CliError>,
    },
    /// Ctrl-C, or the like.
    #[error("interrupted")]
    Interrupted,
    /// The stream did not become what it should in time.
    #[error(
        "stream {stream} is still {status} after {seconds} seconds; `thalweg streams describe {stream}` shows it"
    )]
    StillChanging {
        /// The stream.
        stream: String,
        /// Its status.
        status: String,
        /// How long we waited.
        seconds: u64,
    },
    /// There is no such shard.
    #[error("stream {stream} has no shard {shard}; `thalweg streams describe {stream}` shows those it has")]
    NoSuchShard {
        /// The stream.
        stream: String,
        /// What was asked for.
        shard: String,
    },
    /// The server answered something that the API does not allow.
    #[error("{operation} was answered without {missing}: is this a Kinesis endpoint?")]
    Incomplete {
        /// The operation.
        operation: &'static str,
        /// The member that was not there.
        missing: &'static str,
    },
    /// The server is up and says that it is not ready.
    #[error("{endpoint} is not ready: {reason}")]
    NotReady {
        /// Who was asked.
        endpoint: String,
        /// Its words.
        reason: String,
    },
}

impl CliError {
    /// The program's exit code: 2 for a usage error, 1 for every other failure, 0 when there is nothing wrong.
    pub fn exit_code(&self) -> u8 {
        match self {
            CliError::Usage(_) => 2,
            CliError::OutputClosed => 0,
            _ => 1,
        }
    }

    /// From a failed write to standard output.
    pub(crate) fn output(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            CliError::OutputClosed
        } else {
            CliError::Output(error)
        }
    }

    /// Whether the same call may succeed later, without anyone doing anything but wait.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            CliError::Unreachable { .. } => true,
            CliError::Refused { code, .. } => matches!(
                code.as_str(),
                "ProvisionedThroughputExceededException"
                    | "LimitExceededException"
                    | "ThrottlingException"
                    | "InternalFailure"
                    | "InternalFailureException"
                    | "ServiceUnavailable"
                    | "KMSThrottlingException"
            ),
            _ => false,
        }
    }

    /// Whether this is the server's error with this code.
    pub(crate) fn has_code(&self, wanted: &str) -> bool {
        matches!(self, CliError::Refused { code, .. } if code == wanted)
    }

    /// Sorts what the SDK says into ours.
    pub(crate) fn from_sdk<E>(
        operation: &'static str,
        endpoint: &Endpoint,
        error: SdkError<E, HttpResponse>,
    ) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        match &error {
            SdkError::DispatchFailure(failure) if failure.is_io() || failure.is_timeout() => {
                let advice = if *endpoint == Endpoint::Aws {
                    ""
                } else {
                    "; is a server running there? `thalweg serve` starts one, --endpoint names another"
                };
                CliError::Unreachable { endpoint: endpoint.to_string(), reason: root_cause(&error), advice }
            }
            SdkError::TimeoutError(_) | SdkError::ResponseError(_) => CliError::Unreachable {
                endpoint: endpoint.to_string(),
                reason: root_cause(&error),
                advice: "",
            },
            SdkError::ServiceError(service) => {
                let status = service.raw().status().as_u16();
                let code = match service.err().code() {
                    Some(code) => code.to_owned(),
                    None if status >= 500 => "ServiceUnavailable".to_owned(),
                    None => format!("HTTP status {status}"),
                };
                let message = service.err().message().unwrap_or("no message was given");
                CliError::Refused {
                    operation,
                    message: message.trim_end_matches('.').to_owned(),
                    advice: String::new(),
                    code,
                }
            }
            // The SDK's outermost words for the rest ("dispatch failure") say nothing.
            _ => {
                let is_credentials = DisplayErrorContext(&error).to_string().contains("redentials");
                let mut reason = root_cause(&error);
                if is_credentials {
                    reason = format!("no usable credentials: {reason}");
                }
                CliError::NotSent { operation, reason }
            }
        }
    }

    /// Adds what to do.
    pub(crate) fn advise(self, wanted: &str, text: impl FnOnce() -> String) -> Self {
        match self {
            CliError::Refused { operation, code, message, .. } if code == wanted => {
                CliError::Refused { operation, code, message, advice: format!("; {}", text()) }
            }
            other => other,
        }
    }
}

/// The innermost cause's words, in one line.
fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string().replace('\n', " ")
}
