//! Rows in order, in memory: what the engines that keep everything in memory have in common.
//!
//! Not here: durability, waiting, and who may look when.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use bytes::Bytes;

use crate::{CommitError, Condition, Row, Version, Write};

/// All rows, by key. A clone copies the order and shares the bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    by_key: BTreeMap<Bytes, Stored>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Stored {
    value: Bytes,
    version: Version,
}

impl Rows {
    /// How many.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// The row with this key.
    pub fn get(&self, key: &[u8]) -> Option<Row> {
        let (key, stored) = self.by_key.get_key_value(key)?;
        Some(Row { key: key.clone(), value: stored.value.clone(), version: stored.version })
    }

    /// The version of the row with this key.
    pub fn version_of(&self, key: &[u8]) -> Option<Version> {
        self.by_key.get(key).map(|stored| stored.version)
    }

    /// At most `limit` rows whose keys begin with `prefix` and come after `after`, in key order.
    pub fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Vec<Row> {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let mut found = Vec::new();
        for (key, stored) in self.by_key.range::<[u8], _>((start, Bound::Unbounded)) {
            if found.len() == limit || !key.starts_with(prefix) {
                break;
            }
            found.push(Row { key: key.clone(), value: stored.value.clone(), version: stored.version });
        }
        found
    }

    /// Every row, in key order: key, value, version.
    pub fn iter(&self) -> impl Iterator<Item = (&Bytes, &Bytes, Version)> {
        self.by_key.iter().map(|(key, stored)| (key, &stored.value, stored.version))
    }

    /// Puts one row, as a commit of this version did.
    pub fn put(&mut self, key: Bytes, value: Bytes, version: Version) {
        self.by_key.insert(key, Stored { value, version });
    }

    /// Applies the writes of the commit with this version.
    pub fn apply(&mut self, writes: Vec<Write>, version: Version) {
        for write in writes {
            match write {
                Write::Put(key, value) => self.put(key, value, version),
                Write::Delete(key) => {
                    self.by_key.remove(&key);
                }
            }
        }
    }
}

/// Refuses a commit that writes a key twice: which of the two should win is not for us to guess.
///
/// # Errors
/// `NotApplied`
pub fn check_written_once(writes: &[Write]) -> Result<(), CommitError> {
    let mut seen = BTreeSet::new();
    for write in writes {
        if !seen.insert(write.key()) {
            let key = write.key().escape_ascii();
            return Err(CommitError::NotApplied(format!("the commit writes the key \"{key}\" twice")));
        }
    }
    Ok(())
}

/// Checks conditions against the versions that `version_of` knows.
///
/// # Errors
/// `Conflict` with the index of the first condition that does not hold.
pub fn check_conditions(
    conditions: &[Condition],
    version_of: impl Fn(&[u8]) -> Option<Version>,
) -> Result<(), CommitError> {
    match conditions.iter().position(|condition| !condition.holds(version_of(condition.key()))) {
        Some(index) => Err(CommitError::Conflict(index)),
        None => Ok(()),
    }
}
