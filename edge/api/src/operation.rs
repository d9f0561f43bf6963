//! What is known of an operation before it is called.

use thalweg_shape::{Failure, StructureSchema};

/// One operation of a service model.
#[derive(Debug)]
pub struct Operation {
    /// `PutRecords`
    pub name: &'static str,
    /// What a request must be.
    pub input: &'static StructureSchema,
    /// The errors that the model lists for it.
    pub errors: &'static [&'static str],
    /// What a caller must be allowed to do: `kinesis:PutRecords`.
    pub action: &'static str,
    /// Which member of the input names the resource that the action is about.
    pub resource: ResourceMember,
    /// Whether the answer is a stream of events.
    pub streaming: bool,
    /// Whether a service may answer it from the encoded body ([`crate::Service::hot`]).
    pub hot: bool,
    /// Whether it is written. One that is not is refused before its members are looked at.
    pub available: bool,
}

impl Operation {
    /// Whether a call may change something, by AWS's names: then its answer must go out.
    pub fn may_change(&self) -> bool {
        !["Get", "List", "Describe"].iter().any(|verb| self.name.starts_with(verb))
    }
}

/// What an operation answers that the model has and the program does not have yet.
pub fn not_available(operation: &str) -> Failure {
    let message = format!("{operation} is known but not available in Thalweg {}", env!("CARGO_PKG_VERSION"));
    Failure::client("UnknownOperationException", message)
}

/// Which member of an input names the resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceMember {
    /// No resource: the account.
    Account,
    /// A member that is an ARN.
    Arn(&'static str),
    /// A stream's ARN in `StreamARN`, or its name in `StreamName`.
    Stream,
}
