//! Reading chunks from disk, off the network threads: a few loops fed by a bounded queue, a cache of what they
//! read, and the files they hold open.
//!
//! ```text
//!   wanted    [A5][A6][A7]  [A8]        A5 to A7 are neighbours in the file: one read, into one buffer
//!   ahead                       [A9]…   what a sequential reader wants next: read when nobody waits
//! ```
//!
//! Large reads go past the kernel's cache, small ones through it: docs/decisions/0032. Nothing leaves here unchecked: a
//! chunk's header must be the one that the index names, and each run must fit its checksum.

use std::collections::BTreeMap;
use std::mem::take;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rustc_hash::{FxHashMap, FxHashSet};
use thalweg_journal::record::are_records;
use thalweg_journal::{ReadError, RunView};
use thalweg_system::disk::{Access, DiskErrorKind};
use thalweg_system::{Disk, DiskError, DiskFile};
use thalweg_types::Offset;
use tokio::sync::{Notify, oneshot};

use crate::buffer_pool::BufferPool;
use crate::engine::{Engine, Phase};
use crate::read_queue::ReadQueue;
use crate::segment::{self, ChunkRow, ChunkRun, SegmentName};
use crate::settings::{BLOCK_BYTES, Settings};
use crate::shards::ChunkRef;

/// A read that goes on where no other one was, asks for so many of the next chunks…
const AHEAD_AFTER_JUMP: usize = 1;
/// …and one that found all that it wants begins to ask when the second of the next ones is not there. Who reads on is
/// worth a whole large read.
const AHEAD_DISTANCE: usize = 2;

/// The memory that chunks were read into together is no more than so many times the cache's size. Chunks that stay hold
/// all of theirs: where each reader is in the middle of one, twice as much is usual, and without a bound the worst is
/// [`crate::Settings::bulk_bytes_max`] for each chunk.
const MEMORY_FACTOR: usize = 4;

/// A chunk in memory, checked.
#[derive(Debug)]
pub(crate) struct LoadedChunk {
    bytes: Bytes,
    runs: Vec<ChunkRun>,
    /// The offset behind its records.
    end: Offset,
    /// Bytes of memory: its share of `memory`, and its own.
    cost: usize,
    memory: Memory,
}

/// What chunks were read into together; all of it stays as long as one of them does.
#[derive(Clone, Copy, Debug)]
struct Memory {
    address: usize,
    bytes: usize,
}

impl LoadedChunk {
    pub(crate) fn runs(&self) -> &[ChunkRun] {
        &self.runs
    }

    pub(crate) fn end(&self) -> Offset {
        self.end
    }

    pub(crate) fn view(&self, run: &ChunkRun) -> RunView {
        RunView {
            first: run.first,
            count: run.count,
            arrival: run.arrival,
            bytes: self.bytes.slice(run.start..run.start + run.length as usize),
        }
    }
}

/// Why a chunk could not be read.
#[derive(Clone, Debug)]
pub(crate) enum LoadError {
    /// Its segment was removed or replaced meanwhile, or the shard was trimmed: look again.
    Gone(SegmentName),
    Failed(ReadError),
}

/// Chunks to read, in order, and who waits for them.
struct Job {
    /// The first `wanted` of these are waited for; their neighbours behind them come with the same read.
    chunks: Vec<ChunkRef>,
    wanted: usize,
    /// Read after the answer, when nobody else waits.
    ahead: Vec<ChunkRef>,
    /// `None` when nobody waits.
    reply: Option<oneshot::Sender<Result<Vec<Arc<LoadedChunk>>, LoadError>>>,
}

/// The way to the loops.
pub(crate) struct Readers {
    jobs: ReadQueue<Job>,
    cache: Mutex<ChunkCache>,
    /// Rings when chunks that were being read are there, or are not.
    loaded: Notify,
    files: Mutex<OpenFiles>,
    buffers: Arc<BufferPool>,
    bulk_bytes_min: usize,
    bulk_bytes_max: usize,
}

type ChunkKey = (SegmentName, u64);

/// Turns from here on are those of chunks that no reader has passed.
const TURN_FIRST: u64 = 1 << 63;

/// Chunks by segment and place. Those that readers have passed go first, then the ones not used for longest (by a clock
/// with one hand).
struct ChunkCache {
    chunks: FxHashMap<ChunkKey, Cached>,
    /// Those that a loop is reading now. One whose segment is forgotten meanwhile is not among them any more.
    loading: FxHashSet<ChunkKey>,
    /// By [`Cached::turn`]: the first one goes next.
    turns: BTreeMap<u64, ChunkKey>,
    /// The next turn of a chunk that is passed…
    turn_passed: u64,
    /// …and of any other.
    turn_next: u64,
    bytes: usize,
    bytes_max: usize,
    /// How many chunks are there of each [`Memory`], by its address…
    memory: FxHashMap<usize, usize>,
    /// …and all its bytes.
    memory_bytes: usize,
    /// Of those that are read ahead, and of those that were and that nobody wanted yet.
    ahead_bytes: usize,
}

struct Cached {
    chunk: Arc<LoadedChunk>,
    turn: u64,
    /// Since its turn was last.
    used: bool,
    /// Nobody wanted it yet.
    is_ahead: bool,
}

/// Segments that are open for reading; the one not used for longest is closed first.
struct OpenFiles {
    /// By how they are read, with the number of the last use.
    files: FxHashMap<(SegmentName, bool), (Arc<dyn DiskFile>, u64)>,
    uses: u64,
    /// Segments that were forgotten.
    forgotten: u64,
    count_max: usize,
}

impl ChunkCache {
    fn new(bytes_max: usize) -> Self {
        ChunkCache {
            chunks: FxHashMap::default(),
            loading: FxHashSet::default(),
            turns: BTreeMap::new(),
            turn_passed: 0,
            turn_next: TURN_FIRST,
            bytes: 0,
            bytes_max,
            memory: FxHashMap::default(),
            memory_bytes: 0,
            ahead_bytes: 0,
        }
    }

    /// Whether a chunk is there, or will be soon.
    fn has(&self, key: &ChunkKey) -> bool {
        self.chunks.contains_key(key) || self.loading.contains(key)
    }

    fn get(&mut self, key: &ChunkKey) -> Option<Arc<LoadedChunk>> {
        let cached = self.chunks.get_mut(key)?;
        cached.used = true;
        if take(&mut cached.is_ahead) {
            self.ahead_bytes -= cached.chunk.cost;
        }
        Some(Arc::clone(&cached.chunk))
    }

    /// A sequential reader has left it behind: it goes before those that readers still want. Others who follow find it until
    /// then, and by that keep it for another round.
    fn pass(&mut self, key: &ChunkKey) {
        let Some(cached) = self.chunks.get_mut(key).filter(|cached| cached.turn >= TURN_FIRST) else {
            return;
        };
        self.turns.remove(&cached.turn);
        cached.turn = self.turn_passed;
        cached.used = false;
        self.turns.insert(cached.turn, *key);
        self.turn_passed += 1;
    }

    /// Whether so many bytes more may be read ahead. More than half of the cache, and some would be gone before they are
    /// wanted.
    fn has_room_ahead(&self, bytes: usize) -> bool {
        self.ahead_bytes + bytes <= self.bytes_max / 2
    }

    fn insert(&mut self, key: ChunkKey, chunk: Arc<LoadedChunk>, is_ahead: bool) {
        self.remove(&key);
        self.bytes += chunk.cost;
        self.ahead_bytes += if is_ahead { chunk.cost } else { 0 };
        let Memory { address, bytes } = chunk.memory;
        let chunks = self.memory.entry(address).or_default();
        *chunks += 1;
        self.memory_bytes += if *chunks == 1 { bytes } else { 0 };
        let turn = self.turn_next;
        self.turn_next += 1;
        self.turns.insert(turn, key);
        // Its reader wants the rest of it, or all of it, and says when it needs it no more.
        self.chunks.insert(key, Cached { chunk, turn, used: true, is_ahead });
        self.shrink(self.bytes_max);
    }

    fn remove(&mut self, key: &ChunkKey) {
        let Some(cached) = self.chunks.remove(key) else { return };
        self.turns.remove(&cached.turn);
        self.bytes -= cached.chunk.cost;
        self.ahead_bytes -= if cached.is_ahead { cached.chunk.cost } else { 0 };
        let Memory { address, bytes } = cached.chunk.memory;
        let chunks = self.memory.get_mut(&address).expect("it was counted");
        *chunks -= 1;
        if *chunks == 0 {
            self.memory.remove(&address);
            self.memory_bytes -= bytes;
        }
    }

    fn shrink(&mut self, bytes_max: usize) {
        while self.bytes > bytes_max || self.memory_bytes > MEMORY_FACTOR * bytes_max {
            let Some((_, key)) = self.turns.pop_first() else { break };
            let cached = self.chunks.get_mut(&key).expect("whose turn it is, is there");
            if take(&mut cached.used) {
                cached.turn = self.turn_next;
                self.turns.insert(cached.turn, key);
                self.turn_next += 1;
            } else {
                self.remove(&key);
            }
        }
    }

    /// Forgets the chunks of a segment, also those that are being read.
    fn forget(&mut self, segment: &SegmentName) {
        let gone: Vec<_> = self.chunks.keys().filter(|(of, _)| of == segment).copied().collect();
        gone.iter().for_each(|key| self.remove(key));
        self.loading.retain(|(of, _)| of != segment);
    }
}

impl Readers {
    pub(crate) fn new(settings: &Settings, buffers: Arc<BufferPool>) -> Self {
        let cache = ChunkCache::new(settings.chunk_cache_bytes_max);
        let files = OpenFiles {
            files: FxHashMap::default(),
            uses: 0,
            forgotten: 0,
            count_max: settings.open_files_max,
        };
        Readers {
            jobs: ReadQueue::new(settings.read_queue_max),
            cache: Mutex::new(cache),
            loaded: Notify::new(),
            files: Mutex::new(files),
            buffers,
            bulk_bytes_min: settings.bulk_bytes_min,
            bulk_bytes_max: settings.bulk_bytes_max,
        }
    }

    fn cache(&self) -> MutexGuard<'_, ChunkCache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn files(&self) -> MutexGuard<'_, OpenFiles> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The chunks, from the cache or from disk. Waits while the queue is full. `before` is the chunk that a sequential
    /// reader had last, and `ahead` are those that it could want soon.
    pub(crate) async fn load(
        &self,
        before: Option<&ChunkRef>,
        mut chunks: Vec<ChunkRef>,
        mut ahead: Vec<ChunkRef>,
    ) -> Result<Vec<Arc<LoadedChunk>>, LoadError> {
        let wanted = chunks.len();
        let (cached, reads_on) = {
            let mut cache = self.cache();
            let before = before.map(key_of);
            let reads_on = before.is_some_and(|before| cache.has(&before));
            if let Some(before) = before {
                cache.pass(&before);
            }
            let cached: Option<Vec<_>> = chunks.iter().map(|chunk| cache.get(&key_of(chunk))).collect();
            if cached.is_some() {
                let missing = ahead.iter().take(AHEAD_DISTANCE).position(|chunk| !cache.has(&key_of(chunk)));
                ahead.drain(..missing.unwrap_or(ahead.len()));
            }
            (cached, reads_on)
        };
        if let Some(cached) = cached {
            if !ahead.is_empty() {
                self.jobs.push_if_idle(Job { chunks: Vec::new(), wanted: 0, ahead, reply: None });
            }
            return Ok(cached);
        }
        if reads_on {
            chunks.append(&mut ahead);
        }
        ahead.truncate(AHEAD_AFTER_JUMP);
        let (reply, answer) = oneshot::channel();
        let ended = || LoadError::Failed(ReadError::Disk("the journal was shut down".to_owned()));
        if !self.jobs.push(Job { chunks, wanted, ahead, reply: Some(reply) }).await {
            return Err(ended());
        }
        answer.await.map_err(|_| ended())?
    }

    /// Forgets a segment that was removed or replaced.
    pub(crate) fn forget(&self, segment: &SegmentName) {
        let mut files = self.files();
        files.forgotten += 1;
        files.files.remove(&(*segment, false));
        files.files.remove(&(*segment, true));
        drop(files);
        self.cache().forget(segment);
    }

    /// Closes the files that are held open for the next reads: descriptors are short.
    pub(crate) fn close_files(&self) {
        self.files().files.clear();
    }

    /// Frees the cache: nobody has read for a while.
    pub(crate) fn rest(&self) {
        let mut cache = self.cache();
        // Twice, because used ones get a second chance.
        cache.shrink(0);
        cache.chunks.shrink_to_fit();
    }

    pub(crate) fn cached_bytes(&self) -> usize {
        self.cache().bytes
    }

    async fn open(
        &self,
        disk: &dyn Disk,
        segment: &SegmentName,
        is_bulk: bool,
    ) -> Result<Arc<dyn DiskFile>, LoadError> {
        let key = (*segment, is_bulk);
        let forgotten = {
            let mut files = self.files();
            files.uses += 1;
            let uses = files.uses;
            if let Some((file, used)) = files.files.get_mut(&key) {
                *used = uses;
                return Ok(Arc::clone(file));
            }
            files.forgotten
        };
        let access = if is_bulk { Access::BulkReadOnly } else { Access::ReadOnly };
        let path = segment.data_path();
        let mut opened = disk.open(&path, access).await;
        if matches!(&opened, Err(error) if error.kind == DiskErrorKind::TooManyOpen) {
            // Those that are open here are wanted less.
            self.close_files();
            opened = disk.open(&path, access).await;
        }
        let file = opened.map_err(|error| match error.kind {
            DiskErrorKind::NotFound => LoadError::Gone(*segment),
            _ => LoadError::Failed(ReadError::Disk(error.to_string())),
        })?;
        let mut files = self.files();
        if files.forgotten != forgotten {
            // Perhaps this one, whose file would stay open.
            return Ok(file);
        }
        if files.files.len() >= files.count_max {
            let oldest = files.files.iter().min_by_key(|(_, (_, used))| *used).map(|(&name, _)| name);
            if let Some(oldest) = oldest {
                files.files.remove(&oldest);
            }
        }
        let uses = files.uses;
        files.files.insert(key, (Arc::clone(&file), uses));
        Ok(file)
    }

    /// Loads the first `wanted` chunks, as many from the front as can be read: all of them, or those before the one
    /// that fails. The others go into the cache where they can be read with these.
    async fn load_all(
        &self,
        disk: &dyn Disk,
        chunks: &[ChunkRef],
        wanted: usize,
    ) -> (Vec<Arc<LoadedChunk>>, Option<LoadError>) {
        let mut loaded = Vec::with_capacity(chunks.len());
        while loaded.len() < wanted {
            let rest = &chunks[loaded.len()..];
            match self.load_some(disk, rest, wanted - loaded.len()).await {
                Ok(some) => loaded.extend(some),
                Err(error) => return (loaded, Some(error)),
            }
        }
        loaded.truncate(wanted);
        (loaded, None)
    }

    /// Loads at least the first of these chunks, if any is wanted: from the cache, or with its neighbours from disk. The
    /// first `wanted` are waited for, the others are read ahead as far as there is room.
    async fn load_some(
        &self,
        disk: &dyn Disk,
        chunks: &[ChunkRef],
        wanted: usize,
    ) -> Result<Vec<Arc<LoadedChunk>>, LoadError> {
        let span = loop {
            // Made before the look: a ring in between is heard.
            let loaded = self.loaded.notified();
            tokio::pin!(loaded);
            loaded.as_mut().enable();
            {
                let mut cache = self.cache();
                let first = key_of(&chunks[0]);
                if wanted == 0 && cache.has(&first) {
                    // Not taken for wanted: nobody does yet.
                    return Ok(Vec::new());
                }
                if let Some(cached) = cache.get(&first) {
                    return Ok(vec![cached]);
                }
                if !cache.loading.contains(&first) {
                    let count = self.span(chunks, wanted, &cache);
                    if count == 0 {
                        return Ok(Vec::new());
                    }
                    break Span::begin(self, &chunks[..count], wanted, &mut cache);
                }
            }
            // Another loop reads it now. Loops that read do not wait here, so that this ends.
            loaded.await;
        };
        let chunks = &chunks[..span.keys.len()];
        let loaded = match self.read_span(disk, chunks).await {
            // The first one may be readable all the same.
            Err(LoadError::Failed(_)) if chunks.len() > 1 => self.read_span(disk, &chunks[..1]).await?,
            other => other?,
        };
        let mut cache = self.cache();
        for (index, (key, chunk)) in span.keys.iter().zip(&loaded).enumerate() {
            if cache.loading.contains(key) {
                cache.insert(*key, Arc::clone(chunk), index >= wanted);
            }
        }
        drop(cache);
        Ok(loaded)
    }

    /// How many of these chunks are neighbours in one file and not there yet, up to the largest read: at least one if any
    /// is wanted, and no more behind the wanted ones than there is room for.
    fn span(&self, chunks: &[ChunkRef], wanted: usize, cache: &ChunkCache) -> usize {
        let first = &chunks[0];
        let start = first.row.position / BLOCK_BYTES as u64 * BLOCK_BYTES as u64;
        let (mut end, mut count, mut ahead) = (first.end(), 0, 0);
        for (index, chunk) in chunks.iter().enumerate() {
            if index > 0 {
                let is_next = *chunk.segment == *first.segment && segment::follows(end, chunk.row.position);
                // Only then it is behind the first one.
                let fits = is_next && segment::next_block(chunk.end()) - start <= self.bulk_bytes_max as u64;
                if !fits || cache.has(&key_of(chunk)) {
                    break;
                }
            }
            if index >= wanted {
                ahead += chunk.row.length as usize;
                if !cache.has_room_ahead(ahead) {
                    break;
                }
            }
            end = chunk.end();
            count += 1;
        }
        count
    }

    /// Reads neighbouring chunks at once, and checks them: as many from the front as are whole, or why the first is
    /// not.
    async fn read_span(
        &self,
        disk: &dyn Disk,
        chunks: &[ChunkRef],
    ) -> Result<Vec<Arc<LoadedChunk>>, LoadError> {
        let (first, last) = (&chunks[0], chunks.last().expect("a span has a chunk"));
        let name = &*first.segment;
        let start = first.row.position;
        let length = usize::try_from(last.end() - start).expect("reads are far below 4 GiB");
        let is_bulk = length >= self.bulk_bytes_min;
        let file = self.open(disk, name, is_bulk).await?;
        let failed = |error| LoadError::Failed(failed_read(name, start, &error));
        let (bytes, memory_bytes) = if is_bulk {
            let block = file.alignment();
            let before = usize::try_from(start % block as u64).expect("it is less than a block");
            let mut buffer = self.buffers.take((before + length).next_multiple_of(block));
            let before = file.read_around(start, length, &mut buffer).await.map_err(failed)?;
            let memory_bytes = buffer.capacity();
            (Bytes::from_owner(buffer).slice(before..before + length), memory_bytes)
        } else {
            let mut bytes = vec![0; length];
            file.read(start, &mut bytes).await.map_err(failed)?;
            (bytes.into(), length)
        };
        let memory = Memory { address: bytes.as_ptr() as usize, bytes: memory_bytes };
        let mut loaded = Vec::with_capacity(chunks.len());
        for chunk in chunks {
            let at = usize::try_from(chunk.row.position - start).expect("it lies in the span");
            let part = bytes.slice(at..at + chunk.row.length as usize);
            // The memory's parts that lie in no chunk are shared out among them.
            let share = part.len() * memory_bytes / length;
            match check_chunk(part, share, memory, name, &chunk.row) {
                Ok(chunk) => loaded.push(Arc::new(chunk)),
                // Told when it is asked for by itself.
                Err(_) if !loaded.is_empty() => break,
                Err(error) => return Err(LoadError::Failed(error)),
            }
        }
        Ok(loaded)
    }
}

/// Chunks that are being read: others wait until this is dropped.
struct Span<'a> {
    readers: &'a Readers,
    keys: Vec<ChunkKey>,
    /// Of those that nobody wants yet.
    ahead_bytes: usize,
}

impl<'a> Span<'a> {
    /// The first `wanted` of the chunks are waited for.
    fn begin(readers: &'a Readers, chunks: &[ChunkRef], wanted: usize, cache: &mut ChunkCache) -> Self {
        let keys: Vec<_> = chunks.iter().map(key_of).collect();
        cache.loading.extend(keys.iter().copied());
        let ahead_bytes = chunks.iter().skip(wanted).map(|chunk| chunk.row.length as usize).sum();
        cache.ahead_bytes += ahead_bytes;
        Span { readers, keys, ahead_bytes }
    }
}

impl Drop for Span<'_> {
    fn drop(&mut self) {
        let mut cache = self.readers.cache();
        cache.ahead_bytes -= self.ahead_bytes;
        for key in &self.keys {
            cache.loading.remove(key);
        }
        drop(cache);
        self.readers.loaded.notify_waiters();
    }
}

fn key_of(chunk: &ChunkRef) -> ChunkKey {
    (*chunk.segment, chunk.row.position)
}

/// Reads one chunk and checks all of it.
pub(crate) async fn read_chunk(
    file: &dyn DiskFile,
    segment: &SegmentName,
    row: &ChunkRow,
) -> Result<LoadedChunk, ReadError> {
    let mut bytes = vec![0; row.length as usize];
    file.read(row.position, &mut bytes).await.map_err(|error| failed_read(segment, row.position, &error))?;
    let memory = Memory { address: bytes.as_ptr() as usize, bytes: bytes.len() };
    check_chunk(bytes.into(), memory.bytes, memory, segment, row)
}

fn failed_read(segment: &SegmentName, position: u64, error: &DiskError) -> ReadError {
    match error.kind {
        DiskErrorKind::EndOfFile => {
            let what = "the segment is cut short".to_owned();
            ReadError::Corrupt { file: segment.data_path(), position, what }
        }
        _ => ReadError::Disk(error.to_string()),
    }
}

/// Checks all of a chunk, which has this share of the memory that it was read into.
fn check_chunk(
    bytes: Bytes,
    share: usize,
    memory: Memory,
    segment: &SegmentName,
    row: &ChunkRow,
) -> Result<LoadedChunk, ReadError> {
    let corrupt = |at: usize, what: &str| ReadError::Corrupt {
        file: segment.data_path(),
        position: row.position + at as u64,
        what: what.to_owned(),
    };
    let (found, runs) = segment::decode_chunk(&bytes, segment.stream, row.position)
        .map_err(|fault| corrupt(fault.at, fault.what))?;
    if found != *row {
        return Err(corrupt(0, "the chunk is not the one that the index names"));
    }
    segment::check_chunk_runs(&bytes, &runs).map_err(|fault| corrupt(fault.at, fault.what))?;
    // Only we could have written it so; but who reads on relies on it.
    let is_whole = |run: &ChunkRun| are_records(&bytes[run.start..][..run.length as usize], run.count);
    if let Some(run) = runs.iter().find(|run| !is_whole(run)) {
        return Err(corrupt(run.start, "a run is not the records that it says"));
    }
    let cost = share + runs.len() * size_of::<ChunkRun>();
    Ok(LoadedChunk { bytes, runs, end: row.end(), cost, memory })
}

/// Ends the queue with the loop, however that ends: who waits is told.
struct Closing(Arc<Engine>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.readers.jobs.close();
    }
}

/// Serves jobs until the journal ends.
pub(crate) async fn run(engine: Arc<Engine>) {
    let closing = Closing(engine);
    let engine = &closing.0;
    let readers = &engine.readers;
    loop {
        let job = tokio::select! {
            biased;
            () = engine.reached(Phase::Ended) => return,
            job = readers.jobs.take() => job,
        };
        let wanted = match job.reply {
            None => true,
            Some(reply) => {
                let (loaded, failed) = readers.load_all(&*engine.disk, &job.chunks, job.wanted).await;
                // What was read before a failure can still be answered.
                let failed = failed.filter(|_| loaded.is_empty());
                reply.send(failed.map_or(Ok(loaded), Err)).is_ok()
            }
        };
        if wanted && readers.jobs.is_empty() && !job.ahead.is_empty() {
            // Neighbours only. An error will be met again, and told, when the chunk is asked for.
            let _ = readers.load_some(&*engine.disk, &job.ahead, 0).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use thalweg_types::StreamId;

    use super::*;

    fn key(position: u64) -> ChunkKey {
        (SegmentName { stream: StreamId(1), number: 0, revision: 0 }, position)
    }

    fn insert(cache: &mut ChunkCache, position: u64, is_ahead: bool) {
        let memory = Memory { address: usize::try_from(position).expect("tests are small"), bytes: 10 };
        insert_in(cache, position, is_ahead, memory);
    }

    fn insert_in(cache: &mut ChunkCache, position: u64, is_ahead: bool, memory: Memory) {
        let chunk = LoadedChunk { bytes: Bytes::new(), runs: Vec::new(), end: 0, cost: 10, memory };
        cache.insert(key(position), Arc::new(chunk), is_ahead);
    }

    #[test]
    fn what_nobody_wanted_yet_fills_half_of_the_cache_at_most() {
        let mut cache = ChunkCache::new(100);
        let check = |cache: &ChunkCache, room: usize| {
            assert!(cache.has_room_ahead(room) && !cache.has_room_ahead(room + 1), "{room} bytes more");
        };
        insert(&mut cache, 0, false);
        check(&cache, 50);
        (1..=3).for_each(|position| insert(&mut cache, position, true));
        check(&cache, 20);
        // Wanted, and again; read again; gone with others.
        assert!(cache.get(&key(1)).is_some() && cache.get(&key(1)).is_some());
        check(&cache, 30);
        insert(&mut cache, 2, true);
        check(&cache, 30);
        insert(&mut cache, 2, false);
        check(&cache, 40);
        cache.shrink(0);
        assert_eq!((cache.bytes, cache.chunks.len(), cache.turns.len()), (0, 0, 0));
        check(&cache, 50);
    }

    #[test]
    fn one_chunk_of_much_memory_counts_for_all_of_it() {
        let mut cache = ChunkCache::new(100);
        // Five chunks of each read, of which the last stays each time.
        for read in 1..=20 {
            let memory = Memory { address: read, bytes: 50 };
            for chunk in 0..5 {
                insert_in(&mut cache, 10 * read as u64 + chunk, false, memory);
            }
            (0..4).for_each(|chunk| cache.pass(&key(10 * read as u64 + chunk)));
            assert!(cache.memory_bytes <= MEMORY_FACTOR * 100, "after {read} reads");
            assert_eq!(cache.memory_bytes, 50 * cache.memory.len());
        }
        assert!(cache.memory.len() > 2, "within the bound, what readers want stays");
        cache.shrink(0);
        assert_eq!((cache.bytes, cache.memory_bytes, cache.memory.len()), (0, 0, 0));
    }

    #[test]
    fn what_a_reader_has_passed_goes_first() {
        let mut cache = ChunkCache::new(40);
        (0..4).for_each(|position| insert(&mut cache, position, false));
        // One that others follow on, one whose last reader has passed.
        cache.pass(&key(2));
        assert!(cache.get(&key(2)).is_some());
        cache.pass(&key(3));
        insert(&mut cache, 10, false);
        let mut left: Vec<u64> = cache.chunks.keys().map(|(_, position)| *position).collect();
        left.sort_unstable();
        assert_eq!(left, [0, 1, 2, 10]);
    }
}
