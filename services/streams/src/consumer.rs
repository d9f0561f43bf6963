//! Registered fan-out consumers of one stream, as operations see them. Their subscriptions are not here.

use std::collections::BTreeMap;

use thalweg_model::kinesis::ConsumerStatus;
use thalweg_types::{ConsumerName, Timestamp};

/// The consumers of a stream, by name.
pub(crate) type Consumers = BTreeMap<ConsumerName, Consumer>;

/// A consumer at one moment. Its stream's id, its name and its creation second name it for ever.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Consumer {
    pub(crate) name: ConsumerName,
    /// In whole seconds; part of its ARN, and greater than that of any earlier consumer of this name.
    pub(crate) created: Timestamp,
    pub(crate) tags: BTreeMap<String, String>,
    /// What is under way with it.
    pub(crate) change: Option<ConsumerChange>,
}

/// A change that was accepted and is not finished before `not_before`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ConsumerChange {
    pub(crate) kind: ConsumerChangeKind,
    pub(crate) not_before: Timestamp,
}

/// Which change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum ConsumerChangeKind {
    /// It is being registered.
    Create,
    /// It is being deregistered.
    Delete,
}

impl Consumer {
    /// What AWS calls the consumer's state.
    pub(crate) fn status(&self) -> ConsumerStatus {
        match self.change.map(|change| change.kind) {
            None => ConsumerStatus::Active,
            Some(ConsumerChangeKind::Create) => ConsumerStatus::Creating,
            Some(ConsumerChangeKind::Delete) => ConsumerStatus::Deleting,
        }
    }
}
