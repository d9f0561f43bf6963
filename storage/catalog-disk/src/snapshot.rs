//! All rows at one moment, in one file that replaces the one before it whole. `docs/formats/catalog.md` draws it.

use bytes::{Buf, Bytes};
use thalweg_catalog::{Rows, Version};
use thalweg_system::disk::Access;
use thalweg_system::{Disk, DiskError, DiskFile};

use crate::batch::{crc32c, take};
use crate::settings::FRAME_BYTES;
use crate::{FORMAT_VERSION, OpenError};

pub(crate) const NAME: &str = "snapshot";

const MAGIC: [u8; 4] = *b"TWCS";
const FRAME_MAGIC: [u8; 4] = *b"TWCR";
const UNCHECKED_BYTES: usize = 8;
const HEADER_BYTES: usize = 60;
const FRAME_HEADER_BYTES: usize = 16;

/// A point in the log: everything up to and with this batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Point {
    /// The batch; 0 is before the first.
    pub(crate) sequence: u64,
    /// Its checksum; 0 before the first.
    pub(crate) checksum: u32,
    /// Its epoch.
    pub(crate) epoch: u64,
    /// The newest commit's version.
    pub(crate) version: Version,
}

impl Point {
    /// Before the first batch.
    pub(crate) const START: Point = Point { sequence: 0, checksum: 0, epoch: 0, version: 0 };
}

/// A snapshot as it was found.
pub(crate) struct Snapshot {
    pub(crate) lineage: u64,
    pub(crate) point: Point,
    pub(crate) rows: Rows,
}

fn seal(out: &mut [u8]) {
    let checksum = crc32c(&out[UNCHECKED_BYTES..]);
    out[4..UNCHECKED_BYTES].copy_from_slice(&checksum.to_le_bytes());
}

fn encode_header(lineage: u64, point: Point, rows: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    out.extend_from_slice(&lineage.to_le_bytes());
    out.extend_from_slice(&point.sequence.to_le_bytes());
    out.extend_from_slice(&point.epoch.to_le_bytes());
    out.extend_from_slice(&point.version.to_le_bytes());
    out.extend_from_slice(&(rows as u64).to_le_bytes());
    out.extend_from_slice(&point.checksum.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    assert_eq!(out.len(), HEADER_BYTES, "the header is as long as the format says");
    seal(&mut out);
    out
}

fn length_of(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).expect("keys and values came in bounded commits").to_le_bytes()
}

/// Rows on their way into a file, in frames.
struct FrameWriter<'a> {
    file: &'a dyn DiskFile,
    offset: u64,
    frame: Vec<u8>,
    rows: u32,
}

impl FrameWriter<'_> {
    fn push(&mut self, key: &[u8], value: &[u8], version: Version) {
        if self.frame.is_empty() {
            self.frame.extend_from_slice(&FRAME_MAGIC);
            self.frame.extend_from_slice(&[0; FRAME_HEADER_BYTES - FRAME_MAGIC.len()]);
        }
        self.frame.extend_from_slice(&version.to_le_bytes());
        self.frame.extend_from_slice(&length_of(key));
        self.frame.extend_from_slice(&length_of(value));
        self.frame.extend_from_slice(key);
        self.frame.extend_from_slice(value);
        self.rows += 1;
    }

    async fn flush(&mut self) -> Result<(), DiskError> {
        if self.frame.is_empty() {
            return Ok(());
        }
        let payload = length_of(&self.frame[FRAME_HEADER_BYTES..]);
        self.frame[8..12].copy_from_slice(&self.rows.to_le_bytes());
        self.frame[12..FRAME_HEADER_BYTES].copy_from_slice(&payload);
        seal(&mut self.frame);
        self.file.write(self.offset, &self.frame).await?;
        self.offset += self.frame.len() as u64;
        self.frame.clear();
        self.rows = 0;
        Ok(())
    }
}

/// Writes a snapshot in place of the one before it, and returns its length in bytes once it is durable. After an
/// error the one before may be there, or this one: either is whole.
pub(crate) async fn write(
    disk: &dyn Disk,
    directory: &str,
    lineage: u64,
    point: Point,
    rows: &Rows,
) -> Result<u64, DiskError> {
    let path = format!("{directory}/{NAME}");
    let temporary = format!("{path}.tmp");
    let outcome = write_temporary(disk, &temporary, lineage, point, rows).await;
    let length = match outcome {
        Ok(length) => length,
        Err(error) => {
            // Half a snapshot takes room and serves nothing. Should this fail too, the next start does it.
            let _ = disk.unlink(&temporary).await;
            return Err(error);
        }
    };
    disk.rename(&temporary, &path).await?;
    disk.sync_directory(directory).await?;
    Ok(length)
}

async fn write_temporary(
    disk: &dyn Disk,
    temporary: &str,
    lineage: u64,
    point: Point,
    rows: &Rows,
) -> Result<u64, DiskError> {
    let file = disk.create(temporary, Access::Appended).await?;
    let header = encode_header(lineage, point, rows.len());
    file.write(0, &header).await?;
    let mut frames = FrameWriter { file: &*file, offset: HEADER_BYTES as u64, frame: Vec::new(), rows: 0 };
    for (key, value, version) in rows.iter() {
        frames.push(key, value, version);
        if frames.frame.len() >= FRAME_BYTES {
            frames.flush().await?;
        }
    }
    frames.flush().await?;
    let length = frames.offset;
    file.sync().await?;
    Ok(length)
}

/// Reads a snapshot back, and checks every byte of it.
pub(crate) async fn read(disk: &dyn Disk, path: &str) -> Result<Snapshot, OpenError> {
    let corrupt =
        |offset, what: &str| OpenError::Corrupt { path: path.to_owned(), offset, what: what.to_owned() };
    let file = disk.open(path, Access::ReadOnly).await?;
    let length = file.length().await?;
    if length < HEADER_BYTES as u64 {
        return Err(corrupt(0, "the file is shorter than its header"));
    }
    let mut header = [0; HEADER_BYTES];
    file.read(0, &mut header).await?;
    let mut fields = &header[..];
    if !fields.starts_with(&MAGIC) {
        return Err(corrupt(0, "this is no snapshot of a catalog"));
    }
    fields.advance(MAGIC.len());
    if fields.get_u32_le() != crc32c(&header[UNCHECKED_BYTES..]) {
        return Err(corrupt(0, "the header's checksum does not match"));
    }
    let version = fields.get_u32_le();
    if version != FORMAT_VERSION {
        return Err(OpenError::Version { path: path.to_owned(), version });
    }
    let lineage = fields.get_u64_le();
    let sequence = fields.get_u64_le();
    let epoch = fields.get_u64_le();
    let version = fields.get_u64_le();
    let row_count = fields.get_u64_le();
    let point = Point { sequence, checksum: fields.get_u32_le(), epoch, version };

    let mut rows = Rows::default();
    let mut last_key: Option<Bytes> = None;
    let mut offset = HEADER_BYTES as u64;
    while offset < length {
        let mut head = [0; FRAME_HEADER_BYTES];
        if length - offset < FRAME_HEADER_BYTES as u64 {
            return Err(corrupt(offset, "the file ends within a frame"));
        }
        file.read(offset, &mut head).await?;
        let mut fields = &head[MAGIC.len()..];
        let stored = fields.get_u32_le();
        let count = fields.get_u32_le();
        let payload_bytes = fields.get_u32_le();
        // Checked before memory is asked for.
        if !head.starts_with(&FRAME_MAGIC)
            || length - offset - (FRAME_HEADER_BYTES as u64) < u64::from(payload_bytes)
        {
            return Err(corrupt(offset, "a frame does not begin here, or the file is cut"));
        }
        let mut frame = head.to_vec();
        frame.resize(FRAME_HEADER_BYTES + payload_bytes as usize, 0);
        file.read(offset + FRAME_HEADER_BYTES as u64, &mut frame[FRAME_HEADER_BYTES..]).await?;
        if stored != crc32c(&frame[UNCHECKED_BYTES..]) {
            return Err(corrupt(offset, "the frame's checksum does not match"));
        }
        let mut payload = &frame[FRAME_HEADER_BYTES..];
        for _ in 0..count {
            let Some((key, value, row_version)) = decode_row(&mut payload) else {
                return Err(corrupt(offset, "the frame is shorter than its rows"));
            };
            if last_key.as_ref().is_some_and(|last| *last >= key) || row_version > point.version {
                return Err(corrupt(offset, "the frame has rows that cannot follow those before"));
            }
            last_key = Some(key.clone());
            rows.put(key, value, row_version);
        }
        if !payload.is_empty() {
            return Err(corrupt(offset, "the frame is longer than its rows"));
        }
        offset += frame.len() as u64;
    }
    if rows.len() as u64 != row_count {
        return Err(corrupt(length, &format!("{} of {row_count} rows are there", rows.len())));
    }
    Ok(Snapshot { lineage, point, rows })
}

fn decode_row(payload: &mut &[u8]) -> Option<(Bytes, Bytes, Version)> {
    let version = payload.try_get_u64_le().ok()?;
    let key_bytes = payload.try_get_u32_le().ok()?;
    let value_bytes = payload.try_get_u32_le().ok()?;
    Some((take(payload, key_bytes)?, take(payload, value_bytes)?, version))
}
