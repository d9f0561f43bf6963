//! Appending chunks to one segment: its data file, and its index behind it.
//!
//! Nothing written here counts before a checkpoint names the new lengths. Not here: which chunks
//! ([`crate::drain`]).

use std::sync::Arc;

use thalweg_system::disk::Access;
use thalweg_system::{Disk, DiskError, DiskFile};
use thalweg_types::ShardIndex;

use crate::manifest::SegmentRow;
use crate::segment::{
    self, CHUNK_HEADER_BYTES, CHUNK_RUN_BYTES, ChunkRow, ChunkRun, HEADER_BYTES, Part, SegmentName,
};

/// Chunks are gathered into writes of about this size.
const WRITE_BYTES: usize = 1024 * 1024;

pub(crate) struct SegmentWriter {
    name: SegmentName,
    data: Arc<dyn DiskFile>,
    index: Arc<dyn DiskFile>,
    row: SegmentRow,
    /// What is not written yet: the end of the data…
    data_buffer: Vec<u8>,
    /// …and of the index.
    index_buffer: Vec<u8>,
    is_new: bool,
}

impl SegmentWriter {
    /// Makes a new segment, empty.
    pub(crate) async fn create(disk: &dyn Disk, journal: u64, name: SegmentName) -> Result<Self, DiskError> {
        disk.create_directory(&segment::directory(name.stream)).await?;
        let data = disk.create(&name.data_path(), Access::Appended).await?;
        let index = disk.create(&name.index_path(), Access::Appended).await?;
        let row = SegmentRow {
            revision: name.revision,
            open: true,
            chunks: 0,
            data_bytes: HEADER_BYTES as u64,
            index_bytes: HEADER_BYTES as u64,
            first_arrival: thalweg_types::Timestamp::MAX,
            last_arrival: thalweg_types::Timestamp::from_millis(i64::MIN),
        };
        let data_buffer = segment::encode_header(Part::Data, journal, name).to_vec();
        let index_buffer = segment::encode_header(Part::Index, journal, name).to_vec();
        Ok(SegmentWriter { name, data, index, row, data_buffer, index_buffer, is_new: true })
    }

    /// Goes on with an open segment.
    pub(crate) async fn open(disk: &dyn Disk, name: SegmentName, row: SegmentRow) -> Result<Self, DiskError> {
        let data = disk.open(&name.data_path(), Access::Appended).await?;
        let index = disk.open(&name.index_path(), Access::Appended).await?;
        let (data_buffer, index_buffer) = (Vec::new(), Vec::new());
        Ok(SegmentWriter { name, data, index, row, data_buffer, index_buffer, is_new: false })
    }

    pub(crate) fn name(&self) -> SegmentName {
        self.name
    }

    /// Whether so many bytes more are within the bound; an empty segment takes anything.
    pub(crate) fn takes(&self, bytes: usize, segment_bytes_max: u64) -> bool {
        self.row.chunks == 0 || self.row.data_bytes + bytes as u64 <= segment_bytes_max
    }

    /// Appends a chunk of these runs.
    pub(crate) async fn append<'a>(
        &mut self,
        shard: ShardIndex,
        runs: impl ExactSizeIterator<Item = (ChunkRun, &'a [u8])> + Clone,
        payload_bytes: usize,
    ) -> Result<ChunkRow, DiskError> {
        let written = self.row.data_bytes - self.data_buffer.len() as u64;
        let length = CHUNK_HEADER_BYTES + runs.len() * CHUNK_RUN_BYTES + payload_bytes;
        self.data_buffer.reserve(length);
        let chunk = segment::encode_chunk(&mut self.data_buffer, written, self.name.stream, shard, runs);
        self.index_buffer.extend_from_slice(&segment::encode_index_entry(&chunk));
        self.row.chunks += 1;
        self.row.data_bytes += u64::from(chunk.length);
        self.row.index_bytes += segment::INDEX_ENTRY_BYTES as u64;
        self.row.first_arrival = self.row.first_arrival.min(chunk.first_arrival);
        self.row.last_arrival = self.row.last_arrival.max(chunk.last_arrival);
        if self.data_buffer.len() >= WRITE_BYTES {
            self.write_data().await?;
        }
        Ok(chunk)
    }

    async fn write_data(&mut self) -> Result<(), DiskError> {
        let at = self.row.data_bytes - self.data_buffer.len() as u64;
        self.data.write(at, &self.data_buffer).await?;
        self.data_buffer.clear();
        Ok(())
    }

    /// Makes everything durable: after this a checkpoint may name the row.
    pub(crate) async fn finish(mut self, disk: &dyn Disk) -> Result<SegmentRow, DiskError> {
        self.write_data().await?;
        let at = self.row.index_bytes - self.index_buffer.len() as u64;
        self.index.write(at, &self.index_buffer).await?;
        self.data.sync().await?;
        self.index.sync().await?;
        if self.is_new {
            disk.sync_directory(&segment::directory(self.name.stream)).await?;
        }
        Ok(self.row)
    }
}
