//! A disk in memory that keeps, at a crash, only what it promised to keep.
//!
//! ```text
//!  a file:       durable bytes  +  changes since, in order      = what reads see
//!                                  [write] [truncate] [write*]     * by `write_durable`: survives every crash
//!  the names:    durable names  +  changes since, in order      = what `list` and `open` see
//! ```
//!
//! A crash keeps the durable part, and of each change that was not synced nothing, all, or some sectors of 512
//! bytes, by its seed: so writes are torn, and later ones may survive without earlier ones.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;

use tokio::sync::watch;

use crate::BoxFuture;
use crate::disk::{
    Access, Disk, DiskError, DiskErrorKind, DiskFile, DiskSpace, assert_aligned, assert_relative,
    parent_directory,
};
use crate::simulated::SeededRandom;

/// What a crash tears at: the smallest unit that disks write whole.
const SECTOR: usize = 512;

/// The volume's size when no capacity is set, in bytes.
const TOTAL: u64 = 1 << 40;

/// Which of the trait's calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallKind {
    /// [`Disk::open`]
    Open,
    /// [`Disk::create`]
    Create,
    /// [`Disk::create_directory`]
    CreateDirectory,
    /// [`Disk::rename`]
    Rename,
    /// [`Disk::unlink`]
    Unlink,
    /// [`Disk::remove_directory`]
    RemoveDirectory,
    /// [`Disk::list`]
    List,
    /// [`Disk::sync_directory`]
    SyncDirectory,
    /// [`Disk::space`]
    Space,
    /// [`DiskFile::read`]
    Read,
    /// [`DiskFile::write`]
    Write,
    /// [`DiskFile::write_durable`]
    WriteDurable,
    /// [`DiskFile::sync`]
    Sync,
    /// [`DiskFile::length`]
    Length,
    /// [`DiskFile::truncate`]
    Truncate,
}

/// A call that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Which.
    pub kind: CallKind,
    /// On what; for a rename, the old name.
    pub path: String,
    /// Where, in bytes; 0 for calls without a place.
    pub offset: u64,
    /// How much, in bytes; 0 for calls without an extent.
    pub length: u64,
}

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

/// A disk in memory. Clones are the same disk.
#[derive(Clone)]
pub struct SimulatedDisk {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Moves whenever a held call should look again.
    released: watch::Sender<u64>,
}

struct State {
    alignment: usize,
    capacity: Option<u64>,
    content: Content,
    /// After a crash every call fails.
    stopped: bool,
    /// The call that will be the last.
    stop_at: Option<u64>,
    lying: bool,
    held: BTreeSet<CallKind>,
    faults: Vec<Fault>,
    calls: u64,
    calls_by_kind: BTreeMap<CallKind, u64>,
    log: Option<Vec<Call>>,
}

/// A failure to come.
struct Fault {
    kind: CallKind,
    path_part: String,
    /// Matching calls that go well before it strikes.
    passes: u64,
    strikes_once: bool,
    error: DiskErrorKind,
}

#[derive(Clone, Default)]
struct Content {
    files: BTreeMap<FileId, File>,
    next_file: FileId,
    names: BTreeMap<String, Entry>,
    durable_names: BTreeMap<String, Entry>,
    /// Since the last sync of their directories, in order.
    name_changes: Vec<NameChange>,
}

type FileId = u64;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Entry {
    File(FileId),
    Directory,
}

/// Happens whole or not at all: a rename is two edits.
type NameChange = Vec<(String, Option<Entry>)>;

#[derive(Default)]
struct File {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    /// Since the last sync, in order.
    changes: Vec<Change>,
    next_change: u64,
    /// Held by whoever has the file open.
    handles: Arc<()>,
}

impl Clone for File {
    /// The same content, open to no one.
    fn clone(&self) -> Self {
        File {
            bytes: self.bytes.clone(),
            durable: self.durable.clone(),
            changes: self.changes.clone(),
            next_change: self.next_change,
            handles: Arc::default(),
        }
    }
}

#[derive(Clone)]
struct Change {
    id: u64,
    /// Written durably, but kept here because changes before it are not durable.
    is_durable: bool,
    what: What,
}

#[derive(Clone)]
enum What {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate(usize),
}

fn write_at(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(bytes);
}

impl What {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            What::Write { offset, bytes } => write_at(content, *offset, bytes),
            What::Truncate(length) => content.resize(*length, 0),
        }
    }

    /// Applies what survives of it, sector by sector.
    fn apply_torn(&self, content: &mut Vec<u8>, random: &SeededRandom) {
        match self {
            What::Truncate(length) => {
                if random.one_in(2) {
                    content.resize(*length, 0);
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
    fn push(&mut self, what: What) -> u64 {
        what.apply(&mut self.bytes);
        self.next_change += 1;
        self.changes.push(Change { id: self.next_change, is_durable: false, what });
        self.next_change
    }

    /// Makes one change durable, and folds what can be folded.
    fn settle(&mut self, id: u64) {
        for change in &mut self.changes {
            change.is_durable |= change.id == id;
        }
        // Only from the front: a change that was overwritten later must not come back over it at a crash.
        let count = self.changes.iter().take_while(|change| change.is_durable).count();
        for change in self.changes.drain(..count) {
            change.what.apply(&mut self.durable);
        }
    }

    fn settle_all(&mut self) {
        for change in self.changes.drain(..) {
            change.what.apply(&mut self.durable);
        }
    }

    /// What the device would give after a failed sync: memory forgets what it could not write.
    fn reload(&mut self) {
        self.bytes = self.durable.clone();
        for change in &self.changes {
            change.what.apply(&mut self.bytes);
        }
    }

    fn survivor(&self, how: Crash, random: &SeededRandom) -> Vec<u8> {
        let mut content = self.durable.clone();
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
    fn change_names(&mut self, change: NameChange) {
        for (path, entry) in &change {
            set_name(&mut self.names, path, *entry);
        }
        self.name_changes.push(change);
    }

    /// Makes the changes of names in `directory` durable, with the earlier ones that they build upon.
    fn settle_names(&mut self, directory: &str) {
        let mut wanted = BTreeSet::new();
        let mut keep = vec![false; self.name_changes.len()];
        for (index, change) in self.name_changes.iter().enumerate().rev() {
            let touches = change
                .iter()
                .any(|(path, _)| parent_directory(path) == directory || wanted.contains(path.as_str()));
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

    fn used(&self) -> u64 {
        let files = self.names.values().filter_map(|entry| match entry {
            Entry::File(id) => self.files.get(id),
            Entry::Directory => None,
        });
        files.map(|file| file.bytes.len() as u64).sum()
    }

    fn after(&self, how: Crash) -> Content {
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
                let durable = self.files[id].survivor(how, &random);
                files.insert(*id, File { bytes: durable.clone(), durable, ..File::default() });
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

fn set_name(names: &mut BTreeMap<String, Entry>, path: &str, entry: Option<Entry>) {
    match entry {
        Some(entry) => names.insert(path.to_owned(), entry),
        None => names.remove(path),
    };
}

fn call_name(kind: CallKind) -> &'static str {
    match kind {
        CallKind::Open => "open",
        CallKind::Create => "create",
        CallKind::CreateDirectory => "create the directory",
        CallKind::Rename => "rename",
        CallKind::Unlink => "remove",
        CallKind::RemoveDirectory => "remove the directory",
        CallKind::List => "list",
        CallKind::SyncDirectory => "sync the directory",
        CallKind::Space => "measure the volume of",
        CallKind::Read => "read",
        CallKind::Write => "write",
        CallKind::WriteDurable => "durably write",
        CallKind::Sync => "sync",
        CallKind::Length => "measure",
        CallKind::Truncate => "truncate",
    }
}

fn error(kind: DiskErrorKind, call: CallKind, path: &str, reason: &str) -> DiskError {
    DiskError { kind, call: call_name(call), path: path.to_owned(), reason: reason.to_owned() }
}

fn not_found(call: CallKind, path: &str) -> DiskError {
    error(DiskErrorKind::NotFound, call, path, "there is no such file or directory")
}

/// What a fault set by a test looks like to the code under test.
fn set_fault(kind: DiskErrorKind, call: CallKind, path: &str) -> DiskError {
    error(kind, call, path, &format!("simulated fault ({kind:?})"))
}

fn stopped(call: CallKind, path: &str) -> DiskError {
    error(DiskErrorKind::Io, call, path, "the machine has stopped")
}

impl Default for SimulatedDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl SimulatedDisk {
    /// An empty disk with blocks of 512 bytes.
    pub fn new() -> Self {
        Self::with_alignment(SECTOR)
    }

    /// An empty disk whose [`Access::Recycled`] files want this alignment: a power of two, in bytes.
    pub fn with_alignment(alignment: usize) -> Self {
        assert!(alignment.is_power_of_two(), "alignments are powers of two");
        Self::of(Content::default(), alignment, None)
    }

    fn of(content: Content, alignment: usize, capacity: Option<u64>) -> Self {
        let state = State {
            alignment,
            capacity,
            content,
            stopped: false,
            stop_at: None,
            lying: false,
            held: BTreeSet::new(),
            faults: Vec::new(),
            calls: 0,
            calls_by_kind: BTreeMap::new(),
            log: None,
        };
        SimulatedDisk {
            shared: Arc::new(Shared { state: Mutex::new(state), released: watch::Sender::new(0) }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().expect("no one panics while holding the disk")
    }

    // ---- What tests do to it ----

    /// Stops this disk for ever (every call fails, held calls too) and answers what the next start finds.
    pub fn crash(&self, how: Crash) -> SimulatedDisk {
        let mut state = self.state();
        state.stopped = true;
        let next = Self::of(state.content.after(how), state.alignment, state.capacity);
        drop(state);
        self.shared.released.send_modify(|moves| *moves += 1);
        next
    }

    /// Stops by itself at the `nth` call from now (1 is the next): a write of that call is in flight, so that
    /// [`SimulatedDisk::crash`] may tear it; any other call has not happened.
    pub fn stop_at_call(&self, nth: u64) {
        assert!(nth > 0, "calls are counted from 1");
        let mut state = self.state();
        state.stop_at = Some(state.calls + nth);
    }

    /// Whether it has stopped.
    pub fn is_stopped(&self) -> bool {
        self.state().stopped
    }

    /// An independent disk with the same content, synced and not. Faults and counters are not copied.
    pub fn copy(&self) -> SimulatedDisk {
        let state = self.state();
        Self::of(state.content.clone(), state.alignment, state.capacity)
    }

    /// Lets the `nth` call from now (1 is the next) of this kind fail, counting those whose path contains
    /// `path_part`. A failed write may have left any part of its bytes (with `NoSpace`: none); a failed sync has
    /// lost what it should have made durable, though reads still show it.
    pub fn fail_nth(&self, kind: CallKind, path_part: &str, nth: u64, error: DiskErrorKind) {
        assert!(nth > 0, "calls are counted from 1");
        let path_part = path_part.to_owned();
        self.state().faults.push(Fault { kind, path_part, passes: nth - 1, strikes_once: true, error });
    }

    /// As [`SimulatedDisk::fail_nth`], for every call from now on.
    pub fn fail_always(&self, kind: CallKind, path_part: &str, error: DiskErrorKind) {
        let path_part = path_part.to_owned();
        self.state().faults.push(Fault { kind, path_part, passes: 0, strikes_once: false, error });
    }

    /// Forgets the faults that were set.
    pub fn clear_faults(&self) {
        self.state().faults.clear();
    }

    /// From now on syncs and durable writes answer well and make nothing durable (or stop doing so).
    pub fn lie_about_syncs(&self, lie: bool) {
        self.state().lying = lie;
    }

    /// Lets calls of this kind begin and not end, until [`SimulatedDisk::release`]. A held write is in flight.
    pub fn hold(&self, kind: CallKind) {
        self.state().held.insert(kind);
    }

    /// Lets held calls end.
    pub fn release(&self) {
        self.state().held.clear();
        self.shared.released.send_modify(|moves| *moves += 1);
    }

    /// The volume's size in bytes; writes beyond it fail with `NoSpace`. `None` is a terabyte, and never full.
    pub fn set_capacity(&self, capacity: Option<u64>) {
        self.state().capacity = capacity;
    }

    /// Flips one bit (0 to 7) of the byte at `offset`, for good.
    ///
    /// # Panics
    /// When there is no such byte on the device.
    pub fn flip_bit(&self, path: &str, offset: u64, bit: u8) {
        self.damage(path, |bytes| {
            let offset = usize::try_from(offset).expect("simulated files are small");
            bytes[offset] ^= 1 << bit;
        });
    }

    /// Changes a file's durable content as `edit` likes. What was not synced is made durable first.
    ///
    /// # Panics
    /// When there is no such file.
    pub fn damage(&self, path: &str, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let id = match state.content.names.get(path) {
            Some(Entry::File(id)) => *id,
            _ => panic!("there is no file {path}"),
        };
        let file = state.content.files.get_mut(&id).expect("named files exist");
        file.settle_all();
        edit(&mut file.durable);
        file.reload();
    }

    /// Puts a file there, durably, replacing what had its name; its directory is made if needed.
    pub fn put(&self, path: &str, bytes: &[u8]) {
        assert_relative(path);
        let mut state = self.state();
        let content = &mut state.content;
        let mut parent = parent_directory(path);
        while !parent.is_empty() {
            content.names.insert(parent.to_owned(), Entry::Directory);
            content.durable_names.insert(parent.to_owned(), Entry::Directory);
            parent = parent_directory(parent);
        }
        content.next_file += 1;
        let id = content.next_file;
        let file = File { bytes: bytes.to_vec(), durable: bytes.to_vec(), ..File::default() };
        content.files.insert(id, file);
        content.names.insert(path.to_owned(), Entry::File(id));
        content.durable_names.insert(path.to_owned(), Entry::File(id));
    }

    /// Takes a file away, durably; no error when there is none.
    pub fn remove(&self, path: &str) {
        let mut state = self.state();
        state.content.names.remove(path);
        state.content.durable_names.remove(path);
    }

    /// What reads of a file would see; `None` when there is no such file.
    pub fn content(&self, path: &str) -> Option<Vec<u8>> {
        let state = self.state();
        match state.content.names.get(path) {
            Some(Entry::File(id)) => Some(state.content.files[id].bytes.clone()),
            _ => None,
        }
    }

    /// The paths of all files, sorted.
    pub fn files(&self) -> Vec<String> {
        let state = self.state();
        let files = state.content.names.iter().filter(|(_, entry)| matches!(entry, Entry::File(_)));
        files.map(|(path, _)| path.clone()).collect()
    }

    /// How many calls were made.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// How many calls of one kind were made.
    pub fn calls_of(&self, kind: CallKind) -> u64 {
        self.state().calls_by_kind.get(&kind).copied().unwrap_or(0)
    }

    /// Begins to record calls; answers what was recorded since this was last called.
    pub fn take_log(&self) -> Vec<Call> {
        self.state().log.replace(Vec::new()).unwrap_or_default()
    }

    // ---- What every call does ----

    /// Counts a call and meets its fate. With an error comes whether a write has left something on the way.
    fn begin(&self, kind: CallKind, path: &str, offset: u64, length: u64) -> Result<(), Failed> {
        let mut state = self.state();
        if state.stopped {
            return Err(Failed { error: stopped(kind, path), in_flight: false });
        }
        state.calls += 1;
        *state.calls_by_kind.entry(kind).or_default() += 1;
        if let Some(log) = &mut state.log {
            log.push(Call { kind, path: path.to_owned(), offset, length });
        }
        if state.stop_at == Some(state.calls) {
            state.stopped = true;
            return Err(Failed { error: stopped(kind, path), in_flight: true });
        }
        let mut fault = None;
        for (index, one) in state.faults.iter_mut().enumerate() {
            if one.kind == kind && path.contains(&one.path_part) {
                if one.passes == 0 {
                    fault = Some(index);
                    break;
                }
                one.passes -= 1;
            }
        }
        let Some(index) = fault else { return Ok(()) };
        let fault = &state.faults[index];
        let in_flight = fault.error != DiskErrorKind::NoSpace;
        let failed = Failed { error: set_fault(fault.error, kind, path), in_flight };
        if fault.strikes_once {
            state.faults.remove(index);
        }
        Err(failed)
    }

    /// The time that a call takes: others may run, and a test may hold or crash it here.
    async fn pass(&self, kind: CallKind, path: &str) -> Result<(), DiskError> {
        let mut yielded = false;
        poll_fn(|context| {
            if yielded {
                return Poll::Ready(());
            }
            yielded = true;
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        let mut released = self.shared.released.subscribe();
        loop {
            {
                let state = self.state();
                if state.stopped {
                    return Err(stopped(kind, path));
                }
                if !state.held.contains(&kind) {
                    return Ok(());
                }
            }
            // An error would mean that the disk is gone, and we are holding it.
            let _ = released.changed().await;
        }
    }

    async fn call(&self, kind: CallKind, path: &str) -> Result<(), DiskError> {
        assert_relative(path);
        self.begin(kind, path, 0, 0).map_err(|failed| failed.error)?;
        self.pass(kind, path).await
    }

    fn handle(&self, id: FileId, path: &str, access: Access) -> Arc<dyn DiskFile> {
        let state = self.state();
        let handle = Arc::clone(&state.content.files[&id].handles);
        let alignment = if access == Access::Recycled { state.alignment } else { 1 };
        drop(state);
        Arc::new(SimulatedFile {
            disk: self.clone(),
            id,
            _handle: handle,
            path: path.to_owned(),
            access,
            alignment,
        })
    }
}

struct Failed {
    error: DiskError,
    /// A write of this call may have reached the disk in part.
    in_flight: bool,
}

impl Disk for SimulatedDisk {
    fn open<'a>(
        &'a self,
        path: &'a str,
        access: Access,
    ) -> BoxFuture<'a, Result<Arc<dyn DiskFile>, DiskError>> {
        Box::pin(async move {
            self.call(CallKind::Open, path).await?;
            let entry = self.state().content.names.get(path).copied();
            match entry {
                Some(Entry::File(id)) => Ok(self.handle(id, path, access)),
                Some(Entry::Directory) => {
                    Err(error(DiskErrorKind::Io, CallKind::Open, path, "it is a directory"))
                }
                None => Err(not_found(CallKind::Open, path)),
            }
        })
    }

    fn create<'a>(
        &'a self,
        path: &'a str,
        access: Access,
    ) -> BoxFuture<'a, Result<Arc<dyn DiskFile>, DiskError>> {
        Box::pin(async move {
            self.call(CallKind::Create, path).await?;
            let id = {
                let mut state = self.state();
                let content = &mut state.content;
                if content.names.contains_key(path) {
                    let reason = "it exists already";
                    return Err(error(DiskErrorKind::AlreadyExists, CallKind::Create, path, reason));
                }
                let parent = parent_directory(path);
                if !parent.is_empty() && content.names.get(parent) != Some(&Entry::Directory) {
                    return Err(not_found(CallKind::Create, path));
                }
                content.next_file += 1;
                let id = content.next_file;
                content.files.insert(id, File::default());
                content.change_names(vec![(path.to_owned(), Some(Entry::File(id)))]);
                id
            };
            Ok(self.handle(id, path, access))
        })
    }

    fn create_directory<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<(), DiskError>> {
        Box::pin(async move {
            self.call(CallKind::CreateDirectory, path).await?;
            let mut state = self.state();
            let mut next = path;
            while !next.is_empty() {
                if let Some(Entry::File(_)) = state.content.names.get(next) {
                    let reason = "a file has this name";
                    return Err(error(DiskErrorKind::AlreadyExists, CallKind::CreateDirectory, next, reason));
                }
                state.content.names.insert(next.to_owned(), Entry::Directory);
                state.content.durable_names.insert(next.to_owned(), Entry::Directory);
                // A removal that was not synced is overtaken.
                for change in &mut state.content.name_changes {
                    change.retain(|(path, entry)| !(path == next && entry.is_none()));
                }
                next = parent_directory(next);
            }
            Ok(())
        })
    }

    fn rename<'a>(&'a self, from: &'a str, to: &'a str) -> BoxFuture<'a, Result<(), DiskError>> {
        Box::pin(async move {
            assert_relative(to);
            self.call(CallKind::Rename, from).await?;
            let mut state = self.state();
            let Some(Entry::File(id)) = state.content.names.get(from).copied() else {
                return Err(not_found(CallKind::Rename, from));
            };
            let parent = parent_directory(to);
            if !parent.is_empty() && state.content.names.get(parent) != Some(&Entry::Directory) {
                return Err(not_found(CallKind::Rename, to));
            }
            if state.content.names.get(to) == Some(&Entry::Directory) {
                return Err(error(DiskErrorKind::Io, CallKind::Rename, to, "it is a directory"));
            }
            if from != to {
                let edits = vec![(from.to_owned(), None), (to.to_owned(), Some(Entry::File(id)))];
                state.content.change_names(edits);
            }
            Ok(())
        })
    }

    fn unlink<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<(), DiskError>> {
        Box::pin(async move {
            self.call(CallKind::Unlink, path).await?;
            let mut state = self.state();
            match state.content.names.get(path) {
                Some(Entry::File(_)) => state.content.change_names(vec![(path.to_owned(), None)]),
                Some(Entry::Directory) => {
                    return Err(error(DiskErrorKind::Io, CallKind::Unlink, path, "it is a directory"));
                }
                None => return Err(not_found(CallKind::Unlink, path)),
            }
            Ok(())
        })
    }

    fn remove_directory<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<(), DiskError>> {
        Box::pin(async move {
            self.call(CallKind::RemoveDirectory, path).await?;
            let mut state = self.state();
            if state.content.names.get(path) != Some(&Entry::Directory) {
                return Err(not_found(CallKind::RemoveDirectory, path));
            }
            if state.content.names.keys().any(|name| parent_directory(name) == path) {
                let reason = "it is not empty";
                return Err(error(DiskErrorKind::Io, CallKind::RemoveDirectory, path, reason));
            }
            state.content.change_names(vec![(path.to_owned(), None)]);
            Ok(())
        })
    }

    fn list<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Vec<String>, DiskError>> {
        Box::pin(async move {
            self.call(CallKind::List, path).await?;
            let state = self.state();
            if let Some(Entry::File(_)) = state.content.names.get(path) {
                return Err(error(DiskErrorKind::Io, CallKind::List, path, "it is not a directory"));
            }
            let inside = state.content.names.keys().filter(|name| parent_directory(name) == path);
            let mut names: Vec<String> =
                inside.map(|name| name.rsplit('/').next().unwrap_or(name).to_owned()).collect();
            names.sort();
            Ok(names)
        })
    }

    fn sync_directory<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<(), DiskError>> {
        Box::pin(async move {
            self.call(CallKind::SyncDirectory, path).await?;
            let mut state = self.state();
            if !path.is_empty() && state.content.names.get(path) != Some(&Entry::Directory) {
                return Err(not_found(CallKind::SyncDirectory, path));
            }
            if !state.lying {
                state.content.settle_names(path);
            }
            Ok(())
        })
    }

    fn space(&self) -> BoxFuture<'_, Result<DiskSpace, DiskError>> {
        Box::pin(async move {
            self.call(CallKind::Space, "").await?;
            let state = self.state();
            let total = state.capacity.unwrap_or(TOTAL);
            Ok(DiskSpace { total, available: total.saturating_sub(state.content.used()) })
        })
    }
}

struct SimulatedFile {
    disk: SimulatedDisk,
    id: FileId,
    _handle: Arc<()>,
    path: String,
    access: Access,
    alignment: usize,
}

impl SimulatedFile {
    /// Runs `act` on the file's content.
    fn with<T>(&self, act: impl FnOnce(&mut File) -> T) -> T {
        let mut state = self.disk.state();
        act(state.content.files.get_mut(&self.id).expect("open files exist"))
    }

    /// Fails when the volume has no room for a file of `length` bytes here.
    fn check_room(&self, kind: CallKind, length: u64) -> Result<(), DiskError> {
        let state = self.disk.state();
        let grows = length.saturating_sub(state.content.files[&self.id].bytes.len() as u64);
        match state.capacity {
            Some(capacity) if grows > 0 && state.content.used() + grows > capacity => {
                Err(error(DiskErrorKind::NoSpace, kind, &self.path, "the volume is full"))
            }
            _ => Ok(()),
        }
    }

    /// Begins a write, and answers the number of its change, which is not durable yet.
    async fn begin_write(&self, kind: CallKind, offset: u64, bytes: &[u8]) -> Result<u64, DiskError> {
        assert!(self.access != Access::ReadOnly, "{} was opened for reading", self.path);
        assert_aligned(self.access, self.alignment, offset, bytes);
        let what = || {
            let offset = usize::try_from(offset).expect("simulated files are small");
            What::Write { offset, bytes: bytes.to_vec() }
        };
        if let Err(failed) = self.disk.begin(kind, &self.path, offset, bytes.len() as u64) {
            if failed.in_flight {
                self.with(|file| file.push(what()));
            }
            return Err(failed.error);
        }
        self.check_room(kind, offset + bytes.len() as u64)?;
        let change = self.with(|file| file.push(what()));
        self.disk.pass(kind, &self.path).await?;
        Ok(change)
    }
}

impl DiskFile for SimulatedFile {
    fn read<'a>(&'a self, offset: u64, buffer: &'a mut [u8]) -> BoxFuture<'a, Result<(), DiskError>> {
        Box::pin(async move {
            assert_aligned(self.access, self.alignment, offset, buffer);
            let begun = self.disk.begin(CallKind::Read, &self.path, offset, buffer.len() as u64);
            begun.map_err(|failed| failed.error)?;
            self.disk.pass(CallKind::Read, &self.path).await?;
            self.with(|file| {
                let start = usize::try_from(offset).expect("simulated files are small");
                match file.bytes.get(start..start.saturating_add(buffer.len())) {
                    Some(bytes) => {
                        buffer.copy_from_slice(bytes);
                        Ok(())
                    }
                    None => {
                        let reason = "the file ends before these bytes";
                        Err(error(DiskErrorKind::EndOfFile, CallKind::Read, &self.path, reason))
                    }
                }
            })
        })
    }

    fn write<'a>(&'a self, offset: u64, bytes: &'a [u8]) -> BoxFuture<'a, Result<(), DiskError>> {
        Box::pin(async move { self.begin_write(CallKind::Write, offset, bytes).await.map(|_| ()) })
    }

    fn write_durable<'a>(&'a self, offset: u64, bytes: &'a [u8]) -> BoxFuture<'a, Result<(), DiskError>> {
        Box::pin(async move {
            let change = self.begin_write(CallKind::WriteDurable, offset, bytes).await?;
            let mut state = self.disk.state();
            if !state.lying {
                state.content.files.get_mut(&self.id).expect("open files exist").settle(change);
            }
            Ok(())
        })
    }

    fn sync(&self) -> BoxFuture<'_, Result<(), DiskError>> {
        Box::pin(async move {
            if let Err(failed) = self.disk.begin(CallKind::Sync, &self.path, 0, 0) {
                // The kernel marks what it could not write as written: the next sync would succeed without it.
                if failed.in_flight && !self.disk.is_stopped() {
                    self.with(|file| file.changes.retain(|change| change.is_durable));
                }
                return Err(failed.error);
            }
            self.disk.pass(CallKind::Sync, &self.path).await?;
            let mut state = self.disk.state();
            if !state.lying {
                state.content.files.get_mut(&self.id).expect("open files exist").settle_all();
            }
            Ok(())
        })
    }

    fn length(&self) -> BoxFuture<'_, Result<u64, DiskError>> {
        Box::pin(async move {
            self.disk.call(CallKind::Length, &self.path).await?;
            Ok(self.with(|file| file.bytes.len() as u64))
        })
    }

    fn truncate(&self, length: u64) -> BoxFuture<'_, Result<(), DiskError>> {
        Box::pin(async move {
            assert!(self.access != Access::ReadOnly, "{} was opened for reading", self.path);
            let begun = self.disk.begin(CallKind::Truncate, &self.path, length, 0);
            begun.map_err(|failed| failed.error)?;
            self.disk.pass(CallKind::Truncate, &self.path).await?;
            self.check_room(CallKind::Truncate, length)?;
            let length = usize::try_from(length).expect("simulated files are small");
            self.with(|file| file.push(What::Truncate(length)));
            Ok(())
        })
    }

    fn drop_cache(&self, _offset: u64, _length: u64) {
        self.with(File::reload);
    }

    fn alignment(&self) -> usize {
        self.alignment
    }
}
