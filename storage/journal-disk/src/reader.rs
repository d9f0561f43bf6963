//! Reading chunks from disk, off the network threads: a few loops fed by a bounded queue, a cache of what they
//! read, and the files they hold open.
//!
//! Nothing leaves here unchecked: a chunk's header must be the one that the index names, and each run must fit its
//! checksum.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rustc_hash::FxHashMap;
use thalweg_journal::{ReadError, RunView};
use thalweg_system::disk::{Access, DiskErrorKind};
use thalweg_system::{Disk, DiskFile};
use tokio::sync::{mpsc, oneshot};

use crate::engine::{Engine, Phase};
use crate::segment::{self, ChunkRow, ChunkRun, SegmentName};
use crate::settings::Settings;
use crate::shards::ChunkRef;

/// A chunk in memory, checked.
#[derive(Debug)]
pub(crate) struct LoadedChunk {
    bytes: Bytes,
    runs: Vec<ChunkRun>,
}

impl LoadedChunk {
    pub(crate) fn runs(&self) -> &[ChunkRun] {
        &self.runs
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
    chunks: Vec<ChunkRef>,
    /// What a sequential reader wants next: read after the answer, when nobody else waits.
    ahead: Option<ChunkRef>,
    reply: oneshot::Sender<Result<Vec<Arc<LoadedChunk>>, LoadError>>,
}

/// The way to the loops.
pub(crate) struct Readers {
    jobs: mpsc::Sender<Job>,
    cache: Mutex<ChunkCache>,
    files: Mutex<OpenFiles>,
}

/// The loops' end.
pub(crate) struct Jobs(Arc<tokio::sync::Mutex<mpsc::Receiver<Job>>>);

type ChunkKey = (SegmentName, u64);

/// Chunks by segment and place; the ones not used for longest go first (by a clock with one hand).
struct ChunkCache {
    chunks: FxHashMap<ChunkKey, Cached>,
    hand: VecDeque<ChunkKey>,
    bytes: usize,
    bytes_max: usize,
}

struct Cached {
    chunk: Arc<LoadedChunk>,
    used: bool,
}

/// Segments that are open for reading; the one not used for longest is closed first.
struct OpenFiles {
    files: FxHashMap<SegmentName, (Arc<dyn DiskFile>, u64)>,
    uses: u64,
    count_max: usize,
}

impl ChunkCache {
    fn get(&mut self, key: &ChunkKey) -> Option<Arc<LoadedChunk>> {
        let cached = self.chunks.get_mut(key)?;
        cached.used = true;
        Some(Arc::clone(&cached.chunk))
    }

    fn insert(&mut self, key: ChunkKey, chunk: Arc<LoadedChunk>) {
        let bytes = chunk.bytes.len();
        if let Some(old) = self.chunks.insert(key, Cached { chunk, used: false }) {
            self.bytes -= old.chunk.bytes.len();
        } else {
            self.hand.push_back(key);
        }
        self.bytes += bytes;
        self.shrink(self.bytes_max);
    }

    fn shrink(&mut self, bytes_max: usize) {
        while self.bytes > bytes_max {
            let Some(key) = self.hand.pop_front() else { break };
            let Some(cached) = self.chunks.get_mut(&key) else { continue };
            if cached.used {
                cached.used = false;
                self.hand.push_back(key);
            } else {
                self.bytes -= cached.chunk.bytes.len();
                self.chunks.remove(&key);
            }
        }
    }
}

impl Readers {
    pub(crate) fn new(settings: &Settings) -> (Self, Jobs) {
        let (sender, receiver) = mpsc::channel(settings.read_queue_max);
        let cache = ChunkCache {
            chunks: FxHashMap::default(),
            hand: VecDeque::new(),
            bytes: 0,
            bytes_max: settings.chunk_cache_bytes_max,
        };
        let files = OpenFiles { files: FxHashMap::default(), uses: 0, count_max: settings.open_files_max };
        let readers = Readers { jobs: sender, cache: Mutex::new(cache), files: Mutex::new(files) };
        (readers, Jobs(Arc::new(tokio::sync::Mutex::new(receiver))))
    }

    fn cache(&self) -> MutexGuard<'_, ChunkCache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn files(&self) -> MutexGuard<'_, OpenFiles> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The chunks, from the cache or from disk. Waits while the queue is full.
    pub(crate) async fn load(
        &self,
        chunks: Vec<ChunkRef>,
        ahead: Option<ChunkRef>,
    ) -> Result<Vec<Arc<LoadedChunk>>, LoadError> {
        let cached: Option<Vec<_>> = {
            let mut cache = self.cache();
            chunks.iter().map(|chunk| cache.get(&key_of(chunk))).collect()
        };
        if let Some(cached) = cached {
            return Ok(cached);
        }
        let (reply, answer) = oneshot::channel();
        let ended = || LoadError::Failed(ReadError::Disk("the journal was shut down".to_owned()));
        self.jobs.send(Job { chunks, ahead, reply }).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }

    /// Forgets a segment that was removed or replaced.
    pub(crate) fn forget(&self, segment: &SegmentName) {
        self.files().files.remove(segment);
        let mut cache = self.cache();
        let mut freed = 0;
        cache.chunks.retain(|(of, _), cached| {
            let stays = of != segment;
            freed += if stays { 0 } else { cached.chunk.bytes.len() };
            stays
        });
        cache.bytes -= freed;
        let cache = &mut *cache;
        cache.hand.retain(|key| cache.chunks.contains_key(key));
    }

    /// Frees the cache: nobody has read for a while.
    pub(crate) fn rest(&self) {
        let mut cache = self.cache();
        // Twice, because used ones get a second chance.
        cache.shrink(0);
        cache.chunks.shrink_to_fit();
        cache.hand.shrink_to_fit();
    }

    pub(crate) fn cached_bytes(&self) -> usize {
        self.cache().bytes
    }

    async fn open(&self, disk: &dyn Disk, segment: &SegmentName) -> Result<Arc<dyn DiskFile>, LoadError> {
        {
            let mut files = self.files();
            files.uses += 1;
            let uses = files.uses;
            if let Some((file, used)) = files.files.get_mut(segment) {
                *used = uses;
                return Ok(Arc::clone(file));
            }
        }
        let file =
            disk.open(&segment.data_path(), Access::ReadOnly).await.map_err(|error| match error.kind {
                DiskErrorKind::NotFound => LoadError::Gone(*segment),
                _ => LoadError::Failed(ReadError::Disk(error.to_string())),
            })?;
        let mut files = self.files();
        if files.files.len() >= files.count_max {
            let oldest = files.files.iter().min_by_key(|(_, (_, used))| *used).map(|(&name, _)| name);
            if let Some(oldest) = oldest {
                files.files.remove(&oldest);
            }
        }
        let uses = files.uses;
        files.files.insert(*segment, (Arc::clone(&file), uses));
        Ok(file)
    }

    async fn load_one(&self, disk: &dyn Disk, chunk: &ChunkRef) -> Result<Arc<LoadedChunk>, LoadError> {
        let key = key_of(chunk);
        if let Some(cached) = self.cache().get(&key) {
            return Ok(cached);
        }
        let file = self.open(disk, &chunk.segment).await?;
        let loaded =
            Arc::new(read_chunk(&*file, &chunk.segment, &chunk.row).await.map_err(LoadError::Failed)?);
        self.cache().insert(key, Arc::clone(&loaded));
        Ok(loaded)
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
    let corrupt = |at: usize, what: &str| ReadError::Corrupt {
        file: segment.data_path(),
        position: row.position + at as u64,
        what: what.to_owned(),
    };
    let mut bytes = vec![0; row.length as usize];
    file.read(row.position, &mut bytes).await.map_err(|error| match error.kind {
        DiskErrorKind::EndOfFile => corrupt(0, "the segment is cut short"),
        _ => ReadError::Disk(error.to_string()),
    })?;
    let (found, runs) = segment::decode_chunk(&bytes, segment.stream, row.position)
        .map_err(|fault| corrupt(fault.at, fault.what))?;
    if found != *row {
        return Err(corrupt(0, "the chunk is not the one that the index names"));
    }
    segment::check_chunk_runs(&bytes, &runs).map_err(|fault| corrupt(fault.at, fault.what))?;
    Ok(LoadedChunk { bytes: bytes.into(), runs })
}

impl Jobs {
    pub(crate) fn share(&self) -> Jobs {
        Jobs(Arc::clone(&self.0))
    }

    /// Serves jobs until the journal ends.
    pub(crate) async fn serve(self, engine: Arc<Engine>) {
        loop {
            let job = tokio::select! {
                biased;
                () = engine.reached(Phase::Ended) => return,
                job = async { self.0.lock().await.recv().await } => job,
            };
            let Some(job) = job else { return };
            let readers = &engine.readers;
            let mut loaded = Vec::with_capacity(job.chunks.len());
            let mut failed = None;
            for chunk in &job.chunks {
                match readers.load_one(&*engine.disk, chunk).await {
                    Ok(chunk) => loaded.push(chunk),
                    // What was read before it can still be answered.
                    Err(_) if !loaded.is_empty() => break,
                    Err(error) => {
                        failed = Some(error);
                        break;
                    }
                }
            }
            let reply = failed.map_or(Ok(loaded), Err);
            let wanted = job.reply.send(reply).is_ok();
            if let Some(ahead) = job.ahead.filter(|_| wanted) {
                let nobody_waits = readers.jobs.capacity() == readers.jobs.max_capacity();
                if nobody_waits {
                    // An error will be met again, and told, when the chunk is asked for.
                    let _ = readers.load_one(&*engine.disk, &ahead).await;
                }
            }
        }
    }
}
