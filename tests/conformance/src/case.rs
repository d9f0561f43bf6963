//! One request and what AWS answers to it, as data.

use serde_json::Value;

/// A request and the error that it must get.
#[derive(Debug)]
pub struct Case {
    /// The rule that the request breaks.
    pub rule: &'static str,
    /// The operation.
    pub operation: &'static str,
    /// The request's members; blobs in base64, timestamps in seconds, as JSON carries them.
    pub request: Value,
    /// The error's name.
    pub error: &'static str,
    /// What the message says.
    pub message: Message,
    /// Whether CBOR can say the same: a type error may look different there.
    pub json_only: bool,
}

/// What is known of an error's message.
#[derive(Debug)]
pub enum Message {
    /// Recorded from AWS, or built by its rules: every character.
    Exactly(String),
    /// AWS's words are known in part.
    Contains(&'static str),
    /// AWS's words are not known; it must not be empty.
    Some,
}

/// A case whose message is known.
pub fn case(
    rule: &'static str,
    operation: &'static str,
    request: Value,
    error: &'static str,
    message: impl Into<String>,
) -> Case {
    Case { rule, operation, request, error, message: Message::Exactly(message.into()), json_only: false }
}

/// A case whose message is known in part (empty: not at all).
pub fn partly(
    rule: &'static str,
    operation: &'static str,
    request: Value,
    error: &'static str,
    part: &'static str,
) -> Case {
    let message = if part.is_empty() { Message::Some } else { Message::Contains(part) };
    Case { rule, operation, request, error, message, json_only: false }
}

/// A constraint violation: `rules` are pairs of `Value … at '…'` and the broken rule.
pub fn invalid(
    rule: &'static str,
    operation: &'static str,
    request: Value,
    violations: &[(&str, &str)],
) -> Case {
    let plural = if violations.len() == 1 { "" } else { "s" };
    let all: Vec<String> = violations
        .iter()
        .map(|(at, rule)| format!("Value {at} failed to satisfy constraint: {rule}"))
        .collect();
    let message = format!("{} validation error{plural} detected: {}", all.len(), all.join("; "));
    case(rule, operation, request, "ValidationException", message)
}

/// A type error, in JSON.
pub fn mistyped(rule: &'static str, operation: &'static str, request: Value, message: &str) -> Case {
    Case { json_only: true, ..case(rule, operation, request, "SerializationException", message) }
}
