//! The streams in memory: found by name or id, replaced whole, changed by one at a time. It holds what is durable
//! already; who makes it so is [`crate::transition`].

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use rustc_hash::FxHashMap;
use thalweg_catalog::Version;
use thalweg_types::{StreamId, StreamName};
use tokio::sync::{Mutex, watch};

use crate::stream::Stream;

/// All streams. Lookups take a read lock and allocate nothing.
#[derive(Default)]
pub(crate) struct Registry {
    maps: RwLock<Maps>,
}

#[derive(Default)]
struct Maps {
    /// Ordered, because ListStreams pages by name.
    by_name: BTreeMap<StreamName, Arc<Entry>>,
    by_id: FxHashMap<StreamId, Arc<Entry>>,
}

/// A stream's place in the registry, for as long as the stream exists.
pub(crate) struct Entry {
    snapshot: watch::Sender<Arc<Stream>>,
    /// Whoever changes the stream holds this from reading the snapshot to publishing the next one. Inside: the
    /// commit that last wrote the stream's row.
    pub(crate) change: Arc<Mutex<Version>>,
}

impl Entry {
    /// For a stream whose row was written by the commit `version`.
    pub(crate) fn new(stream: Stream, version: Version) -> Arc<Entry> {
        Arc::new(Entry {
            snapshot: watch::Sender::new(Arc::new(stream)),
            change: Arc::new(Mutex::new(version)),
        })
    }

    /// The stream now.
    pub(crate) fn stream(&self) -> Arc<Stream> {
        Arc::clone(&self.snapshot.borrow())
    }

    /// Replaces the snapshot. The caller holds the change lock.
    pub(crate) fn publish(&self, stream: Stream) {
        self.snapshot.send_replace(Arc::new(stream));
    }

    /// The stream as a series of snapshots; the newest counts. It ends when the stream is gone.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<Stream>> {
        self.snapshot.subscribe()
    }
}

impl Registry {
    /// The stream of this name, in any state.
    pub(crate) fn find(&self, name: &str) -> Option<Arc<Stream>> {
        self.read().by_name.get(name).map(|entry| entry.stream())
    }

    /// The stream with this id, in any state. None when it was deleted.
    pub(crate) fn by_id(&self, id: StreamId) -> Option<Arc<Stream>> {
        self.read().by_id.get(&id).map(|entry| entry.stream())
    }

    /// The place of the stream with this id.
    pub(crate) fn entry(&self, id: StreamId) -> Option<Arc<Entry>> {
        self.read().by_id.get(&id).cloned()
    }

    /// Waits until the stream is another than `seen`: what to do when the journal says that a shard is closed and
    /// `seen` says that it is open. `None` when the stream was deleted.
    pub(crate) async fn newer(&self, seen: &Arc<Stream>) -> Option<Arc<Stream>> {
        let mut snapshots = self.entry(seen.id)?.subscribe();
        snapshots.wait_for(|stream| !Arc::ptr_eq(stream, seen)).await.ok().map(|stream| Arc::clone(&stream))
    }

    /// At most `limit` streams whose names come after `after`, by name.
    pub(crate) fn page(&self, after: Option<&str>, limit: usize) -> Vec<Arc<Stream>> {
        use std::ops::Bound::{Excluded, Unbounded};
        let start = after.map_or(Unbounded, Excluded);
        let maps = self.read();
        maps.by_name
            .range::<str, _>((start, Unbounded))
            .take(limit)
            .map(|(_, entry)| entry.stream())
            .collect()
    }

    /// Every stream, by name.
    pub(crate) fn all(&self) -> Vec<Arc<Stream>> {
        self.page(None, usize::MAX)
    }

    /// Adds a stream.
    ///
    /// # Panics
    /// When its name or id is taken: the caller has looked, under the account's lock.
    pub(crate) fn insert(&self, entry: Arc<Entry>) {
        let stream = entry.stream();
        let mut maps = self.maps.write().expect("no holder panics");
        let before = maps.by_name.insert(stream.name.clone(), Arc::clone(&entry));
        assert!(before.is_none(), "stream names are unique");
        let before = maps.by_id.insert(stream.id, entry);
        assert!(before.is_none(), "stream ids are unique");
    }

    /// Removes a stream: whoever waits for its next snapshot learns that it is gone.
    pub(crate) fn remove(&self, stream: &Stream) {
        let mut maps = self.maps.write().expect("no holder panics");
        maps.by_name.remove(&stream.name);
        maps.by_id.remove(&stream.id);
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Maps> {
        self.maps.read().expect("no holder panics")
    }
}
