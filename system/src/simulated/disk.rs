//! The simulated disk as the traits see it, and the faults that tests set. What it holds, and what a crash leaves
//! of it, is in `content`.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;

use tokio::sync::watch;

use crate::disk::{
    Access, Disk, DiskError, DiskErrorKind, DiskFile, DiskSpace, around, assert_aligned, assert_relative,
    parent_directory,
};
use crate::simulated::content::{Content, Crash, Entry, File, FileId, SECTOR, What};
use crate::{AlignedBuffer, BoxFuture};

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
    /// [`DiskFile::read`] and [`DiskFile::read_around`]
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
    flip: Option<Flip>,
    calls: u64,
    calls_by_kind: BTreeMap<CallKind, u64>,
    calls_without_room: u64,
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
    leaves: Remains,
}

/// What of a call that failed is there all the same.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Remains {
    /// Nothing.
    Nothing,
    /// A write that may have reached the disk in part, or still does.
    OnItsWay,
    /// A write that reads show until the cache is dropped. The kernel marked it as written: no sync brings it to the disk.
    InCache,
}

/// A bit that a read to come gets wrong.
struct Flip {
    /// Reads that are right before it.
    passes: u64,
    /// Which bit of what is read, modulo their number.
    bit: u64,
    /// Every read sees it until the cache is dropped.
    stays_in_cache: bool,
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

    /// An empty disk whose files want this alignment where access is aligned ([`DiskFile::alignment`]): a power of two, in bytes.
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
            flip: None,
            calls: 0,
            calls_by_kind: BTreeMap::new(),
            calls_without_room: 0,
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
    /// [`SimulatedDisk::crash`] may tear it, and so are the directories that it makes; any other call has not happened.
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
    /// lost what it should have made durable, though reads still show it; directories that could not be made durable are
    /// there (with `NoSpace`: not).
    pub fn fail_nth(&self, kind: CallKind, path_part: &str, nth: u64, error: DiskErrorKind) {
        assert!(nth > 0, "calls are counted from 1");
        self.set_fault(kind, path_part, nth - 1, true, error);
    }

    fn set_fault(
        &self,
        kind: CallKind,
        path_part: &str,
        passes: u64,
        strikes_once: bool,
        error: DiskErrorKind,
    ) {
        let path_part = path_part.to_owned();
        let leaves = if error.is_lack() { Remains::Nothing } else { Remains::OnItsWay };
        self.state().faults.push(Fault { kind, path_part, passes, strikes_once, error, leaves });
    }

    /// As [`SimulatedDisk::fail_nth`], for every call from now on.
    pub fn fail_always(&self, kind: CallKind, path_part: &str, error: DiskErrorKind) {
        self.set_fault(kind, path_part, 0, false, error);
    }

    /// Lets the `nth` durable write from now (1 is the next) fail where it syncs, counting as [`SimulatedDisk::fail_nth`]
    /// does: so where writes go through the cache. Reads show its bytes until the cache is dropped, and the syncs that
    /// follow answer well and do not make them durable.
    pub fn fail_nth_in_sync(&self, path_part: &str, nth: u64) {
        assert!(nth > 0, "calls are counted from 1");
        self.state().faults.push(Fault {
            kind: CallKind::WriteDurable,
            path_part: path_part.to_owned(),
            passes: nth - 1,
            strikes_once: true,
            error: DiskErrorKind::Io,
            leaves: Remains::InCache,
        });
    }

    /// Lets the `nth` read of bytes from now (1 is the next) get one bit wrong: bit number `bit`, modulo how many it
    /// reads. The disk keeps the right one, and the next read sees it.
    pub fn flip_nth_read(&self, nth: u64, bit: u64) {
        assert!(nth > 0, "reads are counted from 1");
        self.state().flip = Some(Flip { passes: nth - 1, bit, stays_in_cache: false });
    }

    /// As [`SimulatedDisk::flip_nth_read`], of a read that fills the cache: the reads that follow see the wrong bit, too,
    /// until the cache is dropped.
    pub fn flip_nth_read_into_cache(&self, nth: u64, bit: u64) {
        assert!(nth > 0, "reads are counted from 1");
        self.state().flip = Some(Flip { passes: nth - 1, bit, stays_in_cache: true });
    }

    /// Forgets the faults that were set. Answers how many of them were still to strike.
    pub fn clear_faults(&self) -> usize {
        let mut state = self.state();
        std::mem::take(&mut state.faults).len() + usize::from(state.flip.take().is_some())
    }

    /// From now on syncs and durable writes answer well and make nothing durable (or stop doing so).
    pub fn lie_about_syncs(&self, lie: bool) {
        self.state().lying = lie;
    }

    /// Lets calls of this kind begin and not end, until [`SimulatedDisk::release`]. A held write is in flight, and so are
    /// the directories that a held call makes.
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
        edit(Arc::make_mut(&mut file.durable));
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
        content.files.insert(id, File::of(Arc::new(bytes.to_vec())));
        content.names.insert(path.to_owned(), Entry::File(id));
        content.durable_names.insert(path.to_owned(), Entry::File(id));
    }

    /// Makes one directory as a kernel does: it is there at once, and durable after a sync of the directory above it.
    /// ([`Disk::create_directory`] makes one and syncs.)
    ///
    /// # Errors
    /// There is no directory above it, or its name is taken.
    pub fn make_directory(&self, path: &str) -> Result<(), DiskError> {
        assert_relative(path);
        let parent = parent_directory(path);
        let (is_free, has_parent) = {
            let names = &self.state().content.names;
            let has_parent = parent.is_empty() || names.get(parent) == Some(&Entry::Directory);
            (!path.is_empty() && !names.contains_key(path), has_parent)
        };
        if !has_parent {
            return Err(not_found(CallKind::CreateDirectory, path));
        }
        if !is_free {
            let reason = "it exists already";
            return Err(error(DiskErrorKind::AlreadyExists, CallKind::CreateDirectory, path, reason));
        }
        self.make_directories(path).map(drop)
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
            Some(Entry::File(id)) => Some(state.content.files[id].bytes.to_vec()),
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

    /// How many calls failed because the volume was full.
    pub fn calls_without_room(&self) -> u64 {
        self.state().calls_without_room
    }

    /// Begins to record calls; answers what was recorded since this was last called.
    pub fn take_log(&self) -> Vec<Call> {
        self.state().log.replace(Vec::new()).unwrap_or_default()
    }

    // ---- What every call does ----

    /// Counts a call and meets its fate. With an error comes what a write has left.
    fn begin(&self, kind: CallKind, path: &str, offset: u64, length: u64) -> Result<(), Failed> {
        let mut state = self.state();
        if state.stopped {
            return Err(Failed { error: stopped(kind, path), leaves: Remains::Nothing });
        }
        state.calls += 1;
        *state.calls_by_kind.entry(kind).or_default() += 1;
        if let Some(log) = &mut state.log {
            log.push(Call { kind, path: path.to_owned(), offset, length });
        }
        if state.stop_at == Some(state.calls) {
            state.stopped = true;
            return Err(Failed { error: stopped(kind, path), leaves: Remains::OnItsWay });
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
        let failed = Failed { error: set_fault(fault.error, kind, path), leaves: fault.leaves };
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

    /// Makes a directory and those above it that are not there; answers which. None of them is durable.
    fn make_directories<'a>(&self, path: &'a str) -> Result<Vec<&'a str>, DiskError> {
        let mut state = self.state();
        let mut missing = Vec::new();
        let mut next = path;
        while !next.is_empty() {
            match state.content.names.get(next) {
                None => missing.push(next),
                Some(Entry::Directory) => break,
                Some(Entry::File(_)) => {
                    let reason = "a file has this name";
                    return Err(error(DiskErrorKind::AlreadyExists, CallKind::CreateDirectory, next, reason));
                }
            }
            next = parent_directory(next);
        }
        missing.reverse();
        for name in &missing {
            state.content.change_names(vec![((*name).to_owned(), Some(Entry::Directory))]);
        }
        Ok(missing)
    }

    fn handle(&self, id: FileId, path: &str, access: Access) -> Arc<dyn DiskFile> {
        let state = self.state();
        let handle = Arc::clone(&state.content.files[&id].handles);
        let alignment = if access.is_aligned() { state.alignment } else { 1 };
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
    leaves: Remains,
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
            assert_relative(path);
            if let Err(failed) = self.begin(CallKind::CreateDirectory, path, 0, 0) {
                if failed.leaves != Remains::Nothing {
                    self.make_directories(path)?;
                }
                return Err(failed.error);
            }
            let made = self.make_directories(path)?;
            self.pass(CallKind::CreateDirectory, path).await?;
            let mut state = self.state();
            if !state.lying {
                made.iter().for_each(|name| state.content.settle_name(name));
                // It may be the work of a process that was killed before it synced the name.
                state.content.settle_name(path);
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
        let mut state = self.disk.state();
        let grows = length.saturating_sub(state.content.files[&self.id].bytes.len() as u64);
        match state.capacity {
            Some(capacity) if grows > 0 && state.content.used() + grows > capacity => {
                state.calls_without_room += 1;
                Err(error(DiskErrorKind::NoSpace, kind, &self.path, "the volume is full"))
            }
            _ => Ok(()),
        }
    }

    /// Fills `buffer` from `offset` on as far as the file goes, of which there must be `least` bytes.
    async fn fill(&self, offset: u64, least: usize, buffer: &mut [u8]) -> Result<(), DiskError> {
        let begun = self.disk.begin(CallKind::Read, &self.path, offset, least as u64);
        begun.map_err(|failed| failed.error)?;
        self.disk.pass(CallKind::Read, &self.path).await?;
        self.with(|file| {
            let start = usize::try_from(offset).expect("simulated files are small");
            let there = file.bytes.get(start..).unwrap_or_default();
            if there.len() < least {
                let reason = "the file ends before these bytes";
                return Err(error(DiskErrorKind::EndOfFile, CallKind::Read, &self.path, reason));
            }
            let count = there.len().min(buffer.len());
            buffer[..count].copy_from_slice(&there[..count]);
            Ok(())
        })?;
        self.flip(offset, buffer);
        Ok(())
    }

    /// Gets a bit of what was read wrong, where it is time for that.
    fn flip(&self, offset: u64, read: &mut [u8]) {
        let mut state = self.disk.state();
        let Some(flip) = &mut state.flip else { return };
        if flip.passes > 0 || read.is_empty() {
            flip.passes = flip.passes.saturating_sub(1);
            return;
        }
        let bit = flip.bit % (read.len() as u64 * 8);
        let stays_in_cache = flip.stays_in_cache;
        state.flip = None;
        read[(bit / 8) as usize] ^= 1 << (bit % 8);
        if stays_in_cache {
            let file = state.content.files.get_mut(&self.id).expect("open files exist");
            if let Some(byte) = Arc::make_mut(&mut file.bytes).get_mut((offset + bit / 8) as usize) {
                *byte ^= 1 << (bit % 8);
            }
        }
    }

    /// Begins a write, and answers the number of its change, which is not durable yet.
    async fn begin_write(&self, kind: CallKind, offset: u64, bytes: &[u8]) -> Result<u64, DiskError> {
        assert!(!self.access.is_read_only(), "{} was opened for reading", self.path);
        assert_aligned(self.access, self.alignment, offset, bytes);
        let what = || {
            let offset = usize::try_from(offset).expect("simulated files are small");
            What::Write { offset, bytes: bytes.into() }
        };
        if let Access::Appended | Access::Bulk = self.access {
            let (offset, block) = (offset as usize, self.disk.state().alignment);
            self.with(|file| file.note_way(offset, bytes.len(), block, self.access == Access::Bulk));
        }
        if let Err(failed) = self.disk.begin(kind, &self.path, offset, bytes.len() as u64) {
            self.with(|file| {
                if failed.leaves != Remains::Nothing {
                    file.push(what());
                }
                if failed.leaves == Remains::InCache {
                    file.forget();
                }
            });
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
            self.fill(offset, buffer.len(), buffer).await
        })
    }

    fn read_around<'a>(
        &'a self,
        offset: u64,
        length: usize,
        buffer: &'a mut AlignedBuffer,
    ) -> BoxFuture<'a, Result<usize, DiskError>> {
        Box::pin(async move {
            let (start, blocks, before) = around(offset, length, self.alignment, buffer);
            buffer.resize_with_any(blocks);
            self.fill(start, before + length, buffer).await?;
            Ok(before)
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
                if failed.leaves != Remains::Nothing && !self.disk.is_stopped() {
                    self.with(File::forget);
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
            assert!(!self.access.is_read_only(), "{} was opened for reading", self.path);
            let begun = self.disk.begin(CallKind::Truncate, &self.path, length, 0);
            begun.map_err(|failed| failed.error)?;
            self.disk.pass(CallKind::Truncate, &self.path).await?;
            self.check_room(CallKind::Truncate, length)?;
            let length = usize::try_from(length).expect("simulated files are small");
            let block = self.disk.state().alignment;
            self.with(|file| {
                file.forget_ways(length, block);
                file.push(What::Truncate(length))
            });
            Ok(())
        })
    }

    fn begin_sync(&self, _offset: u64, _length: u64) {
        // Any part of what was written may reach the device at any time, asked for or not.
    }

    fn drop_cache(&self, _offset: u64, _length: u64) {
        self.with(File::reload);
    }

    fn alignment(&self) -> usize {
        self.alignment
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AlignedBuffer;

    /// Every step of these tests ends within a few polls.
    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().expect("it needs nothing").block_on(future)
    }

    async fn file(disk: &SimulatedDisk, path: &str, access: Access) -> Arc<dyn DiskFile> {
        disk.create(path, access).await.expect("the name is free")
    }

    fn filled(length: usize, byte: u8) -> AlignedBuffer {
        let mut buffer = AlignedBuffer::zeroed(length);
        buffer.fill(byte);
        buffer
    }

    /// A file "a" with four durable sectors of 1, over which one write of 2 was made that is not durable.
    fn half_written() -> SimulatedDisk {
        let disk = SimulatedDisk::new();
        block_on(async {
            let file = file(&disk, "a", Access::Recycled).await;
            file.write_durable(0, &filled(2048, 1)).await.expect("no fault is set");
            disk.sync_directory("").await.expect("no fault is set");
            file.write(0, &filled(2048, 2)).await.expect("no fault is set");
        });
        disk
    }

    fn check_survivor(how: Crash, expected: Option<&[u8]>) {
        let found = half_written().crash(how).content("a");
        assert_eq!(found.as_deref(), expected, "{how:?}");
    }

    #[test]
    fn a_crash_keeps_what_was_synced() {
        check_survivor(Crash::PowerNothing, Some(&[1; 2048]));
        check_survivor(Crash::PowerEverything, Some(&[2; 2048]));
        check_survivor(Crash::Process, Some(&[2; 2048]));
        // A killed process syncs nothing.
        let disk = half_written().crash(Crash::Process).crash(Crash::PowerNothing);
        assert_eq!(disk.content("a").as_deref(), Some(&[1; 2048][..]));
    }

    #[test]
    fn a_crash_tears_between_sectors_and_its_seed_repeats_it() {
        let mut outcomes = BTreeSet::new();
        for seed in 0..200 {
            let content = half_written().crash(Crash::Power(seed)).content("a").expect("its name was synced");
            assert_eq!(Some(&content), half_written().crash(Crash::Power(seed)).content("a").as_ref());
            for sector in content.chunks(SECTOR) {
                assert!(sector.iter().all(|byte| *byte == sector[0]), "seed {seed}: a sector is torn");
            }
            outcomes.insert(content.chunks(SECTOR).map(|sector| sector[0]).collect::<Vec<_>>());
        }
        assert_eq!(outcomes.len(), 16, "every mixture of four sectors is possible: {outcomes:?}");
    }

    #[test]
    fn a_later_write_may_survive_without_an_earlier_one() {
        let survivors: BTreeSet<_> = (0..100)
            .map(|seed| {
                let disk = SimulatedDisk::new();
                block_on(async {
                    let file = file(&disk, "a", Access::Appended).await;
                    disk.sync_directory("").await.expect("no fault is set");
                    file.write(0, b"one").await.expect("no fault is set");
                    file.write(3, b"two").await.expect("no fault is set");
                });
                disk.crash(Crash::Power(seed)).content("a").expect("its name was synced")
            })
            .collect();
        let expected: BTreeSet<_> =
            [&b""[..], b"one", b"\0\0\0two", b"onetwo"].iter().map(|one| one.to_vec()).collect();
        assert_eq!(survivors, expected);
    }

    #[test]
    fn a_durable_write_survives_though_an_earlier_plain_one_does_not() {
        let disk = SimulatedDisk::new();
        block_on(async {
            let file = file(&disk, "a", Access::Recycled).await;
            disk.sync_directory("").await.expect("no fault is set");
            file.write(0, &filled(1024, 1)).await.expect("no fault is set");
            file.write_durable(512, &filled(512, 2)).await.expect("no fault is set");
        });
        let content = disk.crash(Crash::PowerNothing).content("a").expect("its name was synced");
        assert_eq!(content, [vec![0; 512], vec![2; 512]].concat());
    }

    #[test]
    fn after_a_crash_the_old_disk_answers_nothing() {
        let disk = SimulatedDisk::new();
        let old = block_on(file(&disk, "a", Access::Appended));
        let next = disk.crash(Crash::Process);
        for outcome in
            [block_on(old.write(0, b"late")), block_on(old.sync()), block_on(disk.sync_directory(""))]
        {
            assert_eq!(outcome.expect_err("the machine has stopped").kind, DiskErrorKind::Io);
        }
        assert_eq!(next.content("a").as_deref(), Some(&b""[..]));
    }

    #[test]
    fn a_stop_at_a_call_leaves_its_write_in_flight() {
        let torn: BTreeSet<_> = (0..100)
            .map(|seed| {
                let disk = SimulatedDisk::new();
                block_on(async {
                    let file = file(&disk, "a", Access::Recycled).await;
                    disk.sync_directory("").await.expect("no fault is set");
                    disk.stop_at_call(2);
                    file.write_durable(0, &filled(512, 1)).await.expect("the call before the last");
                    file.write_durable(512, &filled(1024, 2)).await.expect_err("the last call");
                });
                assert!(disk.is_stopped());
                disk.crash(Crash::Power(seed)).content("a").expect("its name was synced")
            })
            .collect();
        assert_eq!(torn.len(), 4, "two sectors, each there or not");
        assert!(torn.iter().all(|content| content[..512] == [1; 512]), "what was acknowledged is there");
    }

    #[test]
    fn faults_strike_the_call_that_was_asked_for() {
        let disk = SimulatedDisk::new();
        block_on(async {
            let (a, b) = (file(&disk, "a", Access::Appended).await, file(&disk, "b", Access::Appended).await);
            disk.fail_nth(CallKind::Write, "b", 2, DiskErrorKind::NoSpace);
            a.write(0, b"1").await.expect("another file");
            b.write(0, b"1").await.expect("the first");
            a.write(1, b"2").await.expect("another file");
            let error = b.write(1, b"2").await.expect_err("the second");
            assert_eq!((error.kind, error.path.as_str(), error.call), (DiskErrorKind::NoSpace, "b", "write"));
            assert_eq!(disk.content("b").as_deref(), Some(&b"1"[..]), "a full disk takes nothing");
            b.write(1, b"2").await.expect("it struck once");
            disk.fail_always(CallKind::Sync, "", DiskErrorKind::Io);
            b.sync().await.expect_err("every one");
            a.sync().await.expect_err("every one");
            disk.clear_faults();
            a.sync().await.expect("no fault is set");
        });
        assert_eq!((disk.calls_of(CallKind::Write), disk.calls_of(CallKind::Sync)), (5, 3));
    }

    #[test]
    fn a_failed_sync_loses_what_reads_still_show() {
        let disk = half_written();
        disk.fail_nth(CallKind::Sync, "a", 1, DiskErrorKind::Io);
        block_on(async {
            let file = disk.open("a", Access::Recycled).await.expect("it is there");
            file.sync().await.expect_err("the fault");
            file.sync().await.expect("the kernel has forgotten");
            assert_eq!(disk.content("a").as_deref(), Some(&[2; 2048][..]));
            file.drop_cache(0, 2048);
            assert_eq!(disk.content("a").as_deref(), Some(&[1; 2048][..]), "the device never had it");
        });
        assert_eq!(disk.crash(Crash::PowerEverything).content("a").as_deref(), Some(&[1; 2048][..]));
    }

    #[test]
    fn a_write_that_fails_in_its_sync_is_only_in_the_cache() {
        let disk = SimulatedDisk::new();
        block_on(async {
            let file = file(&disk, "a", Access::Recycled).await;
            file.write_durable(0, &filled(512, 1)).await.expect("no fault is set");
            disk.sync_directory("").await.expect("no fault is set");
            disk.fail_nth_in_sync("a", 1);
            file.write_durable(0, &filled(512, 2)).await.expect_err("the fault");
        });
        let next = disk.crash(Crash::Process);
        block_on(async {
            let file = next.open("a", Access::Recycled).await.expect("it is there");
            file.sync().await.expect("the kernel has forgotten");
            assert_eq!(next.content("a").as_deref(), Some(&[2; 512][..]));
            assert_eq!(
                next.copy().crash(Crash::PowerEverything).content("a").as_deref(),
                Some(&[1; 512][..])
            );
            file.drop_cache(0, 512);
            assert_eq!(next.content("a").as_deref(), Some(&[1; 512][..]), "the device never had it");
        });
    }

    #[test]
    fn a_wrong_bit_in_the_cache_is_read_until_that_is_dropped() {
        let disk = SimulatedDisk::new();
        disk.put("a", &[0, 0]);
        disk.flip_nth_read_into_cache(2, 11);
        block_on(async {
            let file = disk.open("a", Access::ReadOnly).await.expect("it is there");
            let mut read = [0; 2];
            for expected in [[0, 0], [0, 8], [0, 8]] {
                file.read(0, &mut read).await.expect("no call fails");
                assert_eq!(read, expected);
            }
            file.drop_cache(0, 2);
            file.read(0, &mut read).await.expect("no call fails");
            assert_eq!(read, [0, 0]);
        });
    }

    #[test]
    fn a_lying_disk_acknowledges_and_forgets() {
        let disk = SimulatedDisk::new();
        block_on(async {
            let file = file(&disk, "a", Access::Appended).await;
            disk.sync_directory("").await.expect("no fault is set");
            file.write_durable(0, b"kept").await.expect("no fault is set");
            disk.lie_about_syncs(true);
            file.write_durable(4, b"lost").await.expect("a lie");
            file.write(8, b"also").await.expect("no fault is set");
            file.sync().await.expect("a lie");
        });
        assert_eq!(disk.copy().crash(Crash::PowerNothing).content("a").as_deref(), Some(&b"kept"[..]));
    }

    #[test]
    fn a_held_write_is_in_flight() {
        let disk = SimulatedDisk::new();
        block_on(async {
            let file = file(&disk, "a", Access::Appended).await;
            disk.sync_directory("").await.expect("no fault is set");
            disk.hold(CallKind::WriteDurable);
            let write = file.write_durable(0, b"held");
            let watch = async {
                while disk.content("a").as_deref() != Some(b"held") {
                    tokio::task::yield_now().await;
                }
                let crashed = disk.copy().crash(Crash::PowerNothing);
                assert_eq!(crashed.content("a").as_deref(), Some(&b""[..]), "begun, and not durable");
                disk.release();
            };
            let (outcome, ()) = tokio::join!(write, watch);
            outcome.expect("it was released");

            disk.hold(CallKind::WriteDurable);
            let crash = async { disk.crash(Crash::PowerNothing) };
            let (outcome, next) = tokio::join!(file.write_durable(4, b"more"), crash);
            outcome.expect_err("a crash ends held calls");
            assert_eq!(next.content("a").as_deref(), Some(&b"held"[..]));
        });
    }

    #[test]
    #[should_panic(expected = "the block at 512 is written past the cache and through it")]
    fn a_block_is_written_in_one_way() {
        let disk = SimulatedDisk::new();
        block_on(async {
            let plain = file(&disk, "a", Access::Appended).await;
            plain.write(0, b"in the first block").await.expect("no fault is set");
            let bulk = disk.open("a", Access::Bulk).await.expect("it is there");
            bulk.write(512, &filled(512, 1)).await.expect("no fault is set");
            plain.truncate(512).await.expect("no fault is set");
            plain.write(512, b"what was there was cut off").await.expect("no fault is set");
            plain.truncate(512).await.expect("no fault is set");
            bulk.write(512, &filled(512, 1)).await.expect("no fault is set");
            plain.write(1000, b"here").await.expect("a broken promise is told before");
        });
    }

    #[test]
    fn a_full_volume_takes_overwrites_only() {
        let disk = SimulatedDisk::new();
        disk.set_capacity(Some(10));
        block_on(async {
            let file = file(&disk, "a", Access::Appended).await;
            file.write(0, b"12345678").await.expect("there is room");
            assert_eq!(disk.space().await.expect("no fault"), DiskSpace { total: 10, available: 2 });
            assert_eq!(file.write(8, b"9ab").await.expect_err("no room").kind, DiskErrorKind::NoSpace);
            file.write(4, b"xxxx").await.expect("no more room is needed");
            assert_eq!(disk.calls_without_room(), 1);
            disk.unlink("a").await.expect("it is there");
            assert_eq!(disk.space().await.expect("no fault").available, 10);
        });
    }

    #[test]
    fn tests_can_damage_and_watch_it() {
        let disk = SimulatedDisk::new();
        disk.put("d/a", &[0, 0]);
        disk.flip_bit("d/a", 1, 3);
        assert_eq!(disk.content("d/a").as_deref(), Some(&[0, 8][..]));
        disk.damage("d/a", Vec::clear);
        disk.take_log();
        block_on(async {
            let file = disk.open("d/a", Access::Appended).await.expect("it is there");
            file.write(3, b"xy").await.expect("no fault is set");
        });
        let call = |kind, offset, length| Call { kind, path: "d/a".to_owned(), offset, length };
        assert_eq!(disk.take_log(), [call(CallKind::Open, 0, 0), call(CallKind::Write, 3, 2)]);
        disk.remove("d/a");
        assert_eq!(disk.files(), Vec::<String>::new());
    }
}
