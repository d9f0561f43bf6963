//! What the tests prove of each operation, and the compatibility table made of it.
//!
//! An operation is *proven* when a success and every modelled error that can be raised were seen, in both encodings.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use thalweg_api::kinesis::OPERATIONS;
use thalweg_wire::Protocol;

/// Errors that the model lists and nothing can raise yet, with the reason.
const NOT_YET: &[(&str, &str)] = &[
    ("AccessDeniedException", "access control"),
    ("KMSAccessDeniedException", "encryption"),
    ("KMSDisabledException", "encryption"),
    ("KMSInvalidStateException", "encryption"),
    ("KMSNotFoundException", "encryption"),
    ("KMSOptInRequired", "encryption"),
    ("KMSThrottlingException", "encryption"),
];

/// Errors that the model lists for an operation which has no way to fail so, with the reason.
const NEVER: &[(&str, &str, &str)] = &[
    ("ListTagsForResource", "InternalFailureException", "it asks no storage"),
    ("UpdateAccountSettings", "InvalidArgumentException", "its constraints leave nothing else to be wrong"),
];

/// What was seen.
#[derive(Debug, Default)]
pub struct Proofs {
    successes: BTreeSet<(String, &'static str)>,
    errors: BTreeSet<(String, String, &'static str)>,
}

fn name(encoding: Protocol) -> &'static str {
    match encoding {
        Protocol::AwsJson11 => "JSON",
        Protocol::AwsCbor11 => "CBOR",
    }
}

const ENCODINGS: [&str; 2] = ["JSON", "CBOR"];

impl Proofs {
    /// A success was seen, and its members were right.
    pub fn success(&mut self, operation: &str, encoding: Protocol) {
        self.successes.insert((operation.to_owned(), name(encoding)));
    }

    /// An error was seen, with its status and message.
    pub fn error(&mut self, operation: &str, error: &str, encoding: Protocol) {
        self.errors.insert((operation.to_owned(), error.to_owned(), name(encoding)));
    }

    /// What is missing before an operation is proven; empty when it is.
    pub fn missing(&self, operation: &str) -> Vec<String> {
        let mut missing = Vec::new();
        let known =
            OPERATIONS.iter().find(|known| known.name == operation).expect("an operation of the model");
        for encoding in ENCODINGS {
            if !self.successes.contains(&(operation.to_owned(), encoding)) {
                missing.push(format!("success in {encoding}"));
            }
            for error in known.errors.iter().filter(|error| can_be_raised(operation, error)) {
                if !self.errors.contains(&(operation.to_owned(), (*error).to_owned(), encoding)) {
                    missing.push(format!("{error} in {encoding}"));
                }
            }
        }
        missing
    }

    /// `docs/compatibility.md`
    pub fn table(&self) -> String {
        let proven: Vec<&str> = OPERATIONS
            .iter()
            .map(|operation| operation.name)
            .filter(|name| self.missing(name).is_empty())
            .collect();
        let mut out = format!(
            "# Compatibility: Kinesis Data Streams\n\n\
             Generated from what `cargo test -p thalweg-conformance` proves; do not edit. *Proven* means: a success and every \
             modelled error that can be raised were seen, in JSON and in CBOR. {} of {} operations are proven; the others are \
             known and answer that they are not available.\n\n\
             Errors that nothing can raise yet: ",
            proven.len(),
            OPERATIONS.len()
        );
        let not_yet: Vec<String> = NOT_YET.iter().map(|(error, why)| format!("{error} ({why})")).collect();
        let _ = writeln!(out, "{}.\n", not_yet.join(", "));
        for (operation, error, why) in NEVER {
            let _ = writeln!(out, "- {operation} never answers {error}: {why}.");
        }
        out += "\n| operation | state | errors seen |\n|---|---|---|\n";
        let mut errors: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (operation, error, _) in &self.errors {
            errors.entry(operation).or_default().insert(error);
        }
        for operation in OPERATIONS {
            let state = if proven.contains(&operation.name) { "proven" } else { "not available" };
            let seen: Vec<&str> = errors.get(operation.name).into_iter().flatten().copied().collect();
            let seen = if state == "proven" { seen.join(", ") } else { String::new() };
            let _ = writeln!(out, "| {} | {state} | {seen} |", operation.name);
        }
        out
    }
}

fn can_be_raised(operation: &str, error: &str) -> bool {
    !NOT_YET.iter().any(|(known, _)| *known == error)
        && !NEVER.iter().any(|(of, known, _)| *of == operation && *known == error)
}
