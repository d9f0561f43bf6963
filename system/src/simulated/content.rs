//! What a simulated disk holds: files and names, what of them is durable, and what a crash leaves.
//!
//! ```text
//!  a file:       durable bytes  +  changes since, in order      = what reads see
//!                                  [write] [truncate] [write*]     * by `write_durable`: survives every crash
//!  the names:    durable names  +  changes since, in order      = what `list` and `open` see
//! ```
//!
//! A crash keeps the durable part, and of each change that was not synced nothing, all, or some sectors of 512
//! bytes, by its seed: so writes are torn, and later ones may survive without earlier ones. Plain data: no call,
//! no fault and no lock is known here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::disk::parent_directory;
use crate::simulated::SeededRandom;

/// What a crash tears at: the smallest unit that disks write whole.
pub(super) const SECTOR: usize = 512;

/// How it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process is killed and the machine goes on: everything written is there, and still as little synced.
    Process,
    /// Power fails, and nothing survives that was not synced.
    PowerNothing,
    /// Power fails, and everything written had reached the disk.
    PowerEverything,
    /// Power fails, and of what was not synced a part survives that this seed decides.
    Power(u64),
}

#[derive(Clone, Default)]
pub(super) struct Content {
    pub(super) files: BTreeMap<FileId, File>,
    pub(super) next_file: FileId,
    pub(super) names: BTreeMap<String, Entry>,
    pub(super) durable_names: BTreeMap<String, Entry>,
    /// Since the last sync of their directories, in order.
    pub(super) name_changes: Vec<NameChange>,
}

pub(super) type FileId = u64;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    File(FileId),
    Directory,
}

/// Happens whole or not at all: a rename is two edits.
pub(super) type NameChange = Vec<(String, Option<Entry>)>;

#[derive(Default)]
pub(super) struct File {
    /// Copied when written: mostly both are the same, and the same as before the crash.
    pub(super) bytes: Arc<Vec<u8>>,
    pub(super) durable: Arc<Vec<u8>>,
    /// Since the last sync, in order.
    pub(super) changes: Vec<Change>,
    next_change: u64,
    /// By block: whether its bytes were written past the cache. Of blocks that nobody wrote, nothing.
    written_past_cache: BTreeMap<usize, bool>,
    /// Held by whoever has the file open.
    pub(super) handles: Arc<()>,
}

impl Clone for File {
    /// The same content, open to no one.
    fn clone(&self) -> Self {
        File {
            bytes: Arc::clone(&self.bytes),
            durable: Arc::clone(&self.durable),
            changes: self.changes.clone(),
            next_change: self.next_change,
            written_past_cache: self.written_past_cache.clone(),
            handles: Arc::default(),
        }
    }
}

#[derive(Clone)]
pub(super) struct Change {
    id: u64,
    /// Written durably, but kept here because changes before it are not durable.
    is_durable: bool,
    what: What,
}

#[derive(Clone)]
pub(super) enum What {
    Write { offset: usize, bytes: Arc<[u8]> },
    Truncate(usize),
}

fn write_at(content: &mut Arc<Vec<u8>>, offset: usize, bytes: &[u8]) {
    let content = Arc::make_mut(content);
    let end = offset + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(bytes);
}

impl What {
    fn apply(&self, content: &mut Arc<Vec<u8>>) {
        match self {
            What::Write { offset, bytes } => write_at(content, *offset, bytes),
            What::Truncate(length) => Arc::make_mut(content).resize(*length, 0),
        }
    }

    /// Applies what survives of it, sector by sector.
    fn apply_torn(&self, content: &mut Arc<Vec<u8>>, random: &SeededRandom) {
        match self {
            What::Truncate(length) => {
                if random.one_in(2) {
                    Arc::make_mut(content).resize(*length, 0);
                }
            }
            What::Write { offset, bytes } => {
                // Nothing, everything, or each sector by a coin.
                let fate = random.below(4);
                let mut start = 0;
                while start < bytes.len() {
                    let end = (start + SECTOR - (offset + start) % SECTOR).min(bytes.len());
                    if fate == 1 || (fate > 1 && random.one_in(2)) {
                        write_at(content, offset + start, &bytes[start..end]);
                    }
                    start = end;
                }
            }
        }
    }
}

impl File {
    /// A file with this durable content.
    pub(super) fn of(durable: Arc<Vec<u8>>) -> Self {
        File { bytes: Arc::clone(&durable), durable, ..File::default() }
    }

    /// Takes note of how a write reaches the device. A kernel keeps its cache right only as long as no block is
    /// written both ways.
    ///
    /// # Panics
    /// When one is.
    pub(super) fn note_way(&mut self, offset: usize, length: usize, block: usize, past_cache: bool) {
        for index in offset / block..(offset + length).div_ceil(block) {
            let way = *self.written_past_cache.entry(index).or_insert(past_cache);
            assert_eq!(
                way,
                past_cache,
                "the block at {} is written past the cache and through it",
                index * block
            );
        }
    }

    /// What is cut off may be written anew in either way.
    pub(super) fn forget_ways(&mut self, length: usize, block: usize) {
        self.written_past_cache.split_off(&length.div_ceil(block));
    }

    pub(super) fn push(&mut self, what: What) -> u64 {
        what.apply(&mut self.bytes);
        self.next_change += 1;
        self.changes.push(Change { id: self.next_change, is_durable: false, what });
        self.next_change
    }

    /// Makes one change durable, and folds what can be folded.
    pub(super) fn settle(&mut self, id: u64) {
        for change in &mut self.changes {
            change.is_durable |= change.id == id;
        }
        // Only from the front: a change that was overwritten later must not come back over it at a crash.
        let count = self.changes.iter().take_while(|change| change.is_durable).count();
        for change in self.changes.drain(..count) {
            change.what.apply(&mut self.durable);
        }
    }

    pub(super) fn settle_all(&mut self) {
        for change in self.changes.drain(..) {
            change.what.apply(&mut self.durable);
        }
    }

    /// A failed sync: the kernel marks what it could not write as written, and the next sync does not try it again.
    pub(super) fn forget(&mut self) {
        self.changes.retain(|change| change.is_durable);
    }

    /// The cache is dropped: what a failed sync forgot is gone.
    pub(super) fn reload(&mut self) {
        self.bytes = Arc::clone(&self.durable);
        for change in &self.changes {
            change.what.apply(&mut self.bytes);
        }
    }

    fn survivor(&self, how: Crash, random: &SeededRandom) -> Arc<Vec<u8>> {
        let mut content = Arc::clone(&self.durable);
        for change in &self.changes {
            match how {
                _ if change.is_durable => change.what.apply(&mut content),
                Crash::PowerNothing => {}
                Crash::Process | Crash::PowerEverything => change.what.apply(&mut content),
                Crash::Power(_) => change.what.apply_torn(&mut content, random),
            }
        }
        content
    }
}

impl Content {
    pub(super) fn change_names(&mut self, change: NameChange) {
        for (path, entry) in &change {
            set_name(&mut self.names, path, *entry);
        }
        self.name_changes.push(change);
    }

    /// Makes the changes of names in `directory` durable, with the earlier ones that they build upon. Its own name is
    /// not among them.
    pub(super) fn settle_names(&mut self, directory: &str) {
        self.settle_names_that(|path| parent_directory(path) == directory);
    }

    /// Makes the changes of one name durable, with the earlier ones that they build upon.
    pub(super) fn settle_name(&mut self, name: &str) {
        self.settle_names_that(|path| path == name);
    }

    fn settle_names_that(&mut self, is_meant: impl Fn(&str) -> bool) {
        let mut wanted = BTreeSet::new();
        let mut keep = vec![false; self.name_changes.len()];
        for (index, change) in self.name_changes.iter().enumerate().rev() {
            let touches = change.iter().any(|(path, _)| is_meant(path) || wanted.contains(path.as_str()));
            if touches {
                wanted.extend(change.iter().map(|(path, _)| path.as_str()));
            }
            keep[index] = !touches;
        }
        let mut keep = keep.into_iter();
        let durable_names = &mut self.durable_names;
        self.name_changes.retain(|change| {
            let stays = keep.next().expect("one per change");
            if !stays {
                for (path, entry) in change {
                    set_name(durable_names, path, *entry);
                }
            }
            stays
        });
        self.forget_unreachable();
    }

    /// Frees files without a name, now or after any crash, that no one has open.
    fn forget_unreachable(&mut self) {
        let named = self.names.values().chain(self.durable_names.values()).copied();
        let renamed = self.name_changes.iter().flatten().filter_map(|(_, entry)| *entry);
        let mut reachable = BTreeSet::new();
        for entry in named.chain(renamed) {
            if let Entry::File(id) = entry {
                reachable.insert(id);
            }
        }
        self.files.retain(|id, file| Arc::strong_count(&file.handles) > 1 || reachable.contains(id));
    }

    pub(super) fn used(&self) -> u64 {
        let files = self.names.values().filter_map(|entry| match entry {
            Entry::File(id) => self.files.get(id),
            Entry::Directory => None,
        });
        files.map(|file| file.bytes.len() as u64).sum()
    }

    pub(super) fn after(&self, how: Crash) -> Content {
        if how == Crash::Process {
            return self.clone();
        }
        let random = SeededRandom::new(if let Crash::Power(seed) = how { seed } else { 0 });
        let mut names = self.durable_names.clone();
        for change in &self.name_changes {
            let survives = match how {
                Crash::PowerNothing => false,
                Crash::Power(_) => random.one_in(2),
                Crash::Process | Crash::PowerEverything => true,
            };
            if survives {
                for (path, entry) in change {
                    set_name(&mut names, path, *entry);
                }
            }
        }
        // Whatever is in a directory that is gone is gone; parents come before what they hold.
        for (path, entry) in std::mem::take(&mut names) {
            let parent = parent_directory(&path);
            if parent.is_empty() || names.get(parent) == Some(&Entry::Directory) {
                names.insert(path, entry);
            }
        }
        let mut files = BTreeMap::new();
        for entry in names.values() {
            if let Entry::File(id) = entry {
                files.insert(*id, File::of(self.files[id].survivor(how, &random)));
            }
        }
        Content {
            files,
            next_file: self.next_file,
            durable_names: names.clone(),
            names,
            name_changes: Vec::new(),
        }
    }
}

pub(super) fn set_name(names: &mut BTreeMap<String, Entry>, path: &str, entry: Option<Entry>) {
    match entry {
        Some(entry) => names.insert(path.to_owned(), entry),
        None => names.remove(path),
    };
}
