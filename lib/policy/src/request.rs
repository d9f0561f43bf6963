//! What is asked: who wants to do what, to which resource, and what else is known of the request.

use std::collections::BTreeMap;

use crate::principal::Caller;

/// A request as policies see it.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Who asks.
    pub caller: &'a Caller,
    /// `kinesis:PutRecord`
    pub action: &'a str,
    /// The ARN; `*` for what has none.
    pub resource: &'a str,
    /// What conditions and variables look at.
    pub context: &'a Context,
}

/// Keys and their values. Case says nothing in keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context(BTreeMap<String, Vec<String>>);

impl Context {
    /// Without keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// With this key, which has these values. One without values is there, and empty.
    #[must_use]
    pub fn with<V: Into<String>>(mut self, key: &str, values: impl IntoIterator<Item = V>) -> Self {
        self.set(key, values);
        self
    }

    /// Sets a key's values.
    pub fn set<V: Into<String>>(&mut self, key: &str, values: impl IntoIterator<Item = V>) {
        self.0.insert(key.to_ascii_lowercase(), values.into_iter().map(Into::into).collect());
    }

    /// All keys, in lower case, with their values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.0.iter().map(|(key, values)| (key.as_str(), values.as_slice()))
    }

    /// Of a key in lower case; `None` when it is not there.
    pub(crate) fn values(&self, key: &str) -> Option<&[String]> {
        self.0.get(key).map(Vec::as_slice)
    }

    /// The one value of a key in lower case.
    pub(crate) fn single(&self, key: &str) -> Option<&str> {
        match self.values(key)? {
            [value] => Some(value),
            _ => None,
        }
    }
}
