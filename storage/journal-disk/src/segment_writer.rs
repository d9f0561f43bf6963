//! Appending chunks to one segment: its data file, and its index behind it.
//!
//! ```text
//!   chunks    [ head | run | run ][ head | run … ]                       as they come
//!   gathered  |                    |         |          |                 whole buffers, one write each
//!   file      … old chunk ] 0 0 0 [ chunk ][ chunk   ][ chunk ] 0 0       large: from block to block, zeros between
//!   file      … old chunk ][ chunk ][ chunk ]                             small: right behind what is there
//! ```
//!
//! Much at once is written past the kernel's cache, little through it: docs/decisions/0031. No block is written both
//! ways.
//!
//! Nothing written here counts before a checkpoint names the new lengths. Not here: which chunks
//! ([`crate::drain`]).

use std::hint::black_box;
use std::sync::Arc;

use thalweg_system::disk::Access;
use thalweg_system::planted::{Bug, is_planted};
use thalweg_system::{Disk, DiskError, DiskFile};
use thalweg_types::ShardIndex;

use crate::buffer_pool::{BufferPool, PooledBuffer};
use crate::manifest::SegmentRow;
use crate::pace::Pace;
use crate::segment::{self, ChunkRow, ChunkRun, HEADER_BYTES, Part, SegmentName};
use crate::settings::{BLOCK_BYTES, Settings};

/// The first bytes of so many runs are brought into the processor's cache together, before the first one is copied: runs
/// of a shard lie apart.
const RUNS_AHEAD: usize = 64;

/// What every writer needs.
#[derive(Clone, Copy)]
pub(crate) struct Tools<'a> {
    pub(crate) disk: &'a dyn Disk,
    pub(crate) journal: u64,
    pub(crate) settings: &'a Settings,
    pub(crate) buffers: &'a Arc<BufferPool>,
    pub(crate) pace: &'a Pace<'a>,
}

/// How so many bytes are written.
fn access_for(bytes: u64, settings: &Settings) -> Access {
    if bytes >= settings.bulk_bytes_min as u64 { Access::Bulk } else { Access::Appended }
}

pub(crate) struct SegmentWriter<'a> {
    name: SegmentName,
    pace: &'a Pace<'a>,
    data: Arc<dyn DiskFile>,
    index: Arc<dyn DiskFile>,
    row: SegmentRow,
    /// The end of the data that is not written yet; it begins at `written` in the file.
    gathered: PooledBuffer,
    written: u64,
    /// So much is gathered before it is written: at most the buffer.
    piece_bytes: usize,
    /// Whether it is written past the cache, in whole blocks.
    is_bulk: bool,
    /// The header and directory of the chunk at hand.
    head: Vec<u8>,
    /// The end of the index that is not written yet.
    index_buffer: Vec<u8>,
    is_new: bool,
}

impl<'a> SegmentWriter<'a> {
    /// Makes a new segment, empty, for chunks of so many bytes.
    pub(crate) async fn create(
        tools: Tools<'a>,
        name: SegmentName,
        chunk_bytes: u64,
    ) -> Result<Self, DiskError> {
        let disk = tools.disk;
        disk.create_directory(&segment::directory(name.stream)).await?;
        let bytes = HEADER_BYTES as u64 + chunk_bytes;
        let data = disk.create(&name.data_path(), access_for(bytes, tools.settings)).await?;
        let index = disk.create(&name.index_path(), Access::Appended).await?;
        let row = SegmentRow {
            revision: name.revision,
            open: true,
            chunks: 0,
            data_bytes: HEADER_BYTES as u64,
            index_bytes: HEADER_BYTES as u64,
            first_arrival: thalweg_types::Timestamp::MAX,
            last_arrival: thalweg_types::Timestamp::from_millis(i64::MIN),
            misdated: None,
        };
        let mut writer = Self::go_on(tools, name, row, 0, bytes, data, index).await?;
        writer.gathered.extend_from_slice(&segment::encode_header(Part::Data, tools.journal, name));
        writer.index_buffer.extend_from_slice(&segment::encode_header(Part::Index, tools.journal, name));
        writer.is_new = true;
        Ok(writer)
    }

    /// Goes on with an open segment, for chunks of so many bytes.
    pub(crate) async fn open(
        tools: Tools<'a>,
        name: SegmentName,
        row: SegmentRow,
        chunk_bytes: u64,
    ) -> Result<Self, DiskError> {
        let access = access_for(chunk_bytes, tools.settings);
        let data = tools.disk.open(&name.data_path(), access).await?;
        let index = tools.disk.open(&name.index_path(), Access::Appended).await?;
        Self::go_on(tools, name, row, row.data_bytes, chunk_bytes, data, index).await
    }

    /// Goes on behind byte `end` of the data file.
    async fn go_on(
        tools: Tools<'a>,
        name: SegmentName,
        row: SegmentRow,
        end: u64,
        bytes: u64,
        mut data: Arc<dyn DiskFile>,
        index: Arc<dyn DiskFile>,
    ) -> Result<Self, DiskError> {
        let mut is_bulk = access_for(bytes, tools.settings) == Access::Bulk;
        if data.alignment() > BLOCK_BYTES {
            // The format knows no larger blocks.
            is_bulk = false;
            data = tools.disk.open(&name.data_path(), Access::Appended).await?;
        }
        let written = if is_bulk { segment::next_block(end) } else { end };
        let room = bytes.next_multiple_of(BLOCK_BYTES as u64).min(tools.settings.bulk_bytes_max as u64);
        let gathered = tools.buffers.take(usize::try_from(room).expect("it is at most a usize"));
        let (head, index_buffer) = (Vec::new(), Vec::new());
        let mut writer = SegmentWriter {
            name,
            pace: tools.pace,
            data,
            index,
            row,
            gathered,
            written,
            piece_bytes: 0,
            is_bulk,
            head,
            index_buffer,
            is_new: false,
        };
        writer.next_piece().await;
        Ok(writer)
    }

    pub(crate) fn name(&self) -> SegmentName {
        self.name
    }

    pub(crate) fn is_new(&self) -> bool {
        self.is_new
    }

    /// Appends a chunk of these runs.
    ///
    /// # Panics
    /// When a run's bytes are not as long as it says: the drain takes them so.
    pub(crate) async fn append<'b>(
        &mut self,
        shard: ShardIndex,
        runs: impl Iterator<Item = (ChunkRun, &'b [u8])> + Clone,
    ) -> Result<ChunkRow, DiskError> {
        let position = self.written + self.gathered.len() as u64;
        let rows = runs.clone().map(|(run, _)| run);
        let chunk = segment::encode_chunk_head(&mut self.head, position, self.name.stream, shard, rows);
        let head = std::mem::take(&mut self.head);
        self.put(&head).await?;
        self.head = head;
        for (_, bytes) in runs.clone().take(RUNS_AHEAD) {
            black_box(bytes.first());
        }
        for (run, bytes) in runs {
            assert_eq!(bytes.len(), run.length as usize, "a run has its bytes");
            // Mostly it fits, and waiting for nothing costs as much as copying a short run does.
            if bytes.len() <= self.piece_bytes - self.gathered.len() {
                self.gathered.extend_from_slice(bytes);
            } else {
                self.put(bytes).await?;
            }
        }
        self.note(&chunk);
        Ok(chunk)
    }

    /// Appends a chunk that stands for these records, which are lost.
    pub(crate) async fn append_lost(&mut self, lost: &ChunkRow) -> Result<(), DiskError> {
        let position = self.written + self.gathered.len() as u64;
        let mut head = Vec::new();
        let chunk = segment::encode_lost_chunk(&mut head, position, self.name.stream, lost);
        self.put(&head).await?;
        self.note(&chunk);
        Ok(())
    }

    /// Counts a chunk that was put.
    fn note(&mut self, chunk: &ChunkRow) {
        self.index_buffer.extend_from_slice(&segment::encode_index_entry(chunk));
        self.row.chunks += 1;
        self.row.data_bytes = chunk.position + u64::from(chunk.length);
        self.row.index_bytes += segment::INDEX_ENTRY_BYTES as u64;
        self.row.first_arrival = self.row.first_arrival.min(chunk.first_arrival);
        self.row.last_arrival = self.row.last_arrival.max(chunk.last_arrival);
    }

    /// Gathers these bytes; writes what has been gathered whenever it fills the piece at hand.
    async fn put(&mut self, mut bytes: &[u8]) -> Result<(), DiskError> {
        loop {
            let room = self.piece_bytes - self.gathered.len();
            let (now, later) = bytes.split_at(bytes.len().min(room));
            self.gathered.extend_from_slice(now);
            if later.is_empty() {
                return Ok(());
            }
            self.write_gathered().await?;
            self.next_piece().await;
            bytes = later;
        }
    }

    /// Waits for the turn of the next piece, which is of whole blocks.
    async fn next_piece(&mut self) {
        let bytes_max = self.gathered.capacity();
        // Pieces of what goes through the cache would only be more calls.
        let bytes = if self.is_bulk { self.pace.take(bytes_max).await } else { bytes_max };
        self.piece_bytes = (bytes / BLOCK_BYTES * BLOCK_BYTES).max(BLOCK_BYTES);
    }

    async fn write_gathered(&mut self) -> Result<(), DiskError> {
        self.data.write(self.written, &self.gathered).await?;
        self.written += self.gathered.len() as u64;
        self.gathered.clear();
        Ok(())
    }

    /// Writes the rest. [`Written::sync`] makes it durable.
    pub(crate) async fn finish(mut self) -> Result<Written, DiskError> {
        if self.is_bulk {
            // The last block is full, too: nothing else is ever written to it.
            self.gathered.pad_to(BLOCK_BYTES);
        }
        let (data_at, data_bytes) = (self.written, self.gathered.len() as u64);
        self.write_gathered().await?;
        self.row.data_bytes = self.written;
        let index_bytes = self.index_buffer.len() as u64;
        let index_at = self.row.index_bytes - index_bytes;
        self.index.write(index_at, &self.index_buffer).await?;
        if !self.is_bulk {
            self.data.begin_sync(data_at, data_bytes);
        }
        self.index.begin_sync(index_at, index_bytes);
        let SegmentWriter { name, data, index, row, is_new, .. } = self;
        Ok(Written { name, data, index, row, is_new })
    }
}

/// A segment whose new chunks are written and not yet durable.
pub(crate) struct Written {
    pub(crate) name: SegmentName,
    pub(crate) row: SegmentRow,
    data: Arc<dyn DiskFile>,
    index: Arc<dyn DiskFile>,
    is_new: bool,
}

impl Written {
    /// Makes everything durable: after this a checkpoint may name the row.
    pub(crate) async fn sync(&self, disk: &dyn Disk) -> Result<(), DiskError> {
        // This order, because a journaling file system makes both files' changes durable with the first: what was written
        // past the cache is there already, and the second finds nothing to do.
        self.index.sync().await?;
        self.data.sync().await?;
        if self.is_new && !is_planted(Bug::DirectoryNotSynced) {
            disk.sync_directory(&segment::directory(self.name.stream)).await?;
        }
        Ok(())
    }
}
