//! Which shard is read when: a child only after all of its parents that are being read. Pure.

use std::collections::{BTreeMap, BTreeSet};

/// A shard and what it was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Descent {
    /// The shard.
    pub(crate) shard: String,
    /// Nothing, one shard, or two.
    pub(crate) parents: Vec<String>,
}

/// The shards being read, done, and waiting for their parents. Grows with the shards that were ever seen.
#[derive(Debug, Default)]
pub(crate) struct Lineage {
    /// Given out to be read, not done.
    reading: BTreeSet<String>,
    /// Read to their end.
    done: BTreeSet<String>,
    /// Known, with the parents that are not done yet; never empty.
    waiting: BTreeMap<String, BTreeSet<String>>,
}

impl Lineage {
    /// Takes shards on. Answers those that may be read now: those none of whose parents is being read, waits, or is
    /// among the shards taken on with it. A shard that is known already is left as it is.
    pub(crate) fn add(&mut self, shards: &[Descent]) -> Vec<String> {
        let arriving: BTreeSet<&str> = shards.iter().map(|descent| descent.shard.as_str()).collect();
        let mut ready = Vec::new();
        for Descent { shard, parents } in shards {
            if self.is_known(shard) {
                continue;
            }
            let unread: BTreeSet<String> = parents
                .iter()
                .filter(|parent| !self.done.contains(*parent))
                .filter(|parent| self.is_known(parent) || arriving.contains(parent.as_str()))
                .cloned()
                .collect();
            if unread.is_empty() {
                self.reading.insert(shard.clone());
                ready.push(shard.clone());
            } else {
                self.waiting.insert(shard.clone(), unread);
            }
        }
        ready
    }

    /// A shard was read to its end, and has these children (some of them perhaps known). Answers those shards that
    /// may be read now.
    pub(crate) fn finish(&mut self, shard: &str, children: &[Descent]) -> Vec<String> {
        self.reading.remove(shard);
        self.done.insert(shard.to_owned());
        let mut ready = self.add(children);
        for (child, unread) in &mut self.waiting {
            unread.remove(shard);
            if unread.is_empty() {
                ready.push(child.clone());
            }
        }
        self.waiting.retain(|_, unread| !unread.is_empty());
        self.reading.extend(ready.iter().cloned());
        ready
    }

    fn is_known(&self, shard: &str) -> bool {
        self.reading.contains(shard) || self.done.contains(shard) || self.waiting.contains_key(shard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descents(shards: &[(&str, &[&str])]) -> Vec<Descent> {
        shards
            .iter()
            .map(|(shard, parents)| Descent {
                shard: (*shard).to_owned(),
                parents: parents.iter().map(|parent| (*parent).to_owned()).collect(),
            })
            .collect()
    }

    #[test]
    fn children_wait_for_their_parents() {
        let mut lineage = Lineage::default();
        let all = descents(&[("a", &[]), ("b", &["a"]), ("c", &["a"]), ("d", &["b", "c"])]);
        assert_eq!(lineage.add(&all), ["a"]);
        assert_eq!(lineage.finish("a", &all[1..3]), ["b", "c"]);
        assert_eq!(lineage.finish("c", &all[3..]), [""; 0]);
        assert_eq!(lineage.finish("b", &all[3..]), ["d"]);
    }

    #[test]
    fn a_parent_that_is_not_read_holds_nobody_up() {
        let mut lineage = Lineage::default();
        // "gone" was trimmed away; "other" is not among the shards that were asked for.
        assert_eq!(lineage.add(&descents(&[("b", &["gone"])])), ["b"]);
        assert_eq!(lineage.finish("b", &descents(&[("c", &["b", "other"])])), ["c"]);
    }

    #[test]
    fn a_merge_seen_first_from_one_side_waits_for_the_other() {
        let mut lineage = Lineage::default();
        assert_eq!(lineage.add(&descents(&[("a", &[]), ("b", &[])])), ["a", "b"]);
        let merged = descents(&[("c", &["a", "b"])]);
        assert_eq!(lineage.finish("a", &merged), [""; 0]);
        assert_eq!(lineage.finish("b", &merged), ["c"]);
    }

    #[test]
    fn a_child_that_appears_later_does_not_start_twice() {
        let mut lineage = Lineage::default();
        assert_eq!(lineage.add(&descents(&[("a", &[])])), ["a"]);
        assert_eq!(lineage.finish("a", &descents(&[("b", &["a"])])), ["b"]);
        assert_eq!(lineage.add(&descents(&[("b", &["a"])])), [""; 0]);
    }
}
