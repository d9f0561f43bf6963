//! What is under way with a stream: the durable intent of a control operation, from the commit that accepts it to
//! the one that finishes it. How each is carried out is in [`crate::transition`].

use thalweg_model::kinesis::StreamStatus;
use thalweg_types::{HashKey, ShardIndex, Timestamp};

/// A change that was accepted. It is finished, whatever happens: after a restart the start goes on with it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    pub(crate) kind: ChangeKind,
    /// It is not finished before this: `--transition-delay` keeps the status observable.
    pub(crate) not_before: Timestamp,
}

/// What is to be done. Small, even for thousands of shards: the plan follows from it and from the shard map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum ChangeKind {
    /// Make so many shards.
    Create { shards: u32 },
    /// Nothing is left to do but to become ACTIVE again.
    Settle,
    /// Close a shard; open one for what is below `at`, one for the rest.
    Split { shard: ShardIndex, at: HashKey },
    /// Close two neighbours and open one in their place.
    Merge { lower: ShardIndex, upper: ShardIndex },
    /// Split each open shard in its middle, then go on with [`ChangeKind::MergeDown`].
    SplitAll { target: u32 },
    /// Merge neighbours until `target` are open.
    MergeDown { target: u32 },
    /// Remove the stream.
    Delete,
}

impl Change {
    /// What AWS calls the state of a stream that is changed so.
    pub(crate) fn status(&self) -> StreamStatus {
        match self.kind {
            ChangeKind::Create { .. } => StreamStatus::Creating,
            ChangeKind::Delete => StreamStatus::Deleting,
            ChangeKind::Settle
            | ChangeKind::Split { .. }
            | ChangeKind::Merge { .. }
            | ChangeKind::SplitAll { .. }
            | ChangeKind::MergeDown { .. } => StreamStatus::Updating,
        }
    }

    /// How many shards will be open when it is finished, where that is more than the `open` ones now. What is
    /// open only in between does not count.
    pub(crate) fn shards_claimed(&self, open: u32) -> u32 {
        match self.kind {
            ChangeKind::Create { shards } => shards,
            ChangeKind::Split { .. } => open + 1,
            ChangeKind::SplitAll { target } | ChangeKind::MergeDown { target } => target,
            ChangeKind::Settle | ChangeKind::Merge { .. } | ChangeKind::Delete => open,
        }
    }
}
