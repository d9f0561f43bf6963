//! Makes the checksums of a journal's files right again, as `docs/formats/journal.md` has them: what is left wrong is
//! what the checksums do not cover for.

use std::collections::BTreeMap;

use crate::disk::{Files, get_u32, get_u64, has_magic, put_sum, put_u32};

const BLOCK: usize = 4096;
const BATCH_HEADER: usize = 96;
const BATCH_ENTRY: usize = 64;
const CHUNK_HEADER: usize = 80;
const CHUNK_ROW: usize = 32;
const INDEX_ENTRY: usize = 64;
const SEGMENT_HEADER: usize = 64;

/// All of them, from the innermost out.
pub(super) fn make_right(files: &mut Files) {
    let batches = ring(files);
    let mut chunks = BTreeMap::new();
    for (path, file) in files.iter_mut().filter(|(path, _)| path.ends_with(".seg")) {
        segment(path.trim_end_matches(".seg"), file, &mut chunks);
    }
    for (path, file) in files.iter_mut().filter(|(path, _)| path.ends_with(".idx")) {
        index(path.trim_end_matches(".idx"), file, &chunks);
    }
    for (path, file) in files {
        if path.starts_with("superblock-") {
            put_sum(file, 0, 4, BLOCK);
        } else if path.starts_with("checkpoint-") {
            checkpoint(file, &batches);
        }
    }
}

/// The ring; the checksums of its batches, by position.
fn ring(files: &mut Files) -> BTreeMap<u64, u32> {
    // Where the batches lie, in the order of the log: each has the checksum of the one before in it.
    let mut places: BTreeMap<u64, (String, usize)> = BTreeMap::new();
    for (path, file) in files.iter_mut().filter(|(path, _)| path.ends_with(".wal")) {
        put_sum(file, 0, 4, BLOCK);
        for at in (BLOCK..file.len()).step_by(BLOCK).filter(|at| has_magic(file, at + 4, b"TWB1")) {
            places.insert(get_u64(file, at + 32), (path.clone(), at));
        }
    }
    let mut sums: BTreeMap<u64, u32> = BTreeMap::new();
    for (position, (path, at)) in places {
        let batch = &mut files.get_mut(&path).expect("it was found there")[at..];
        let entries = get_u32(batch, 12) as usize;
        let covered = runs(batch, Rows { at: BATCH_HEADER, count: entries, bytes: BATCH_ENTRY, length: 36 });
        if let Some(before) = position.checked_sub(1).and_then(|before| sums.get(&before)) {
            put_u32(batch, 72, *before);
        }
        put_sum(batch, 0, 4, covered);
        sums.insert(position, get_u32(batch, 0));
    }
    sums
}

/// A row for each of the runs that lie behind all rows, in their order; a run's checksum stands behind its length.
struct Rows {
    at: usize,
    count: usize,
    /// Of one row.
    bytes: usize,
    /// Where in a row the length stands.
    length: usize,
}

/// The checksums of runs; answers where their rows end.
fn runs(bytes: &mut [u8], rows: Rows) -> usize {
    let end = rows.at.saturating_add(rows.count.saturating_mul(rows.bytes));
    let mut run = end;
    for row in (0..rows.count).map(|row| rows.at + row * rows.bytes) {
        if row >= bytes.len() {
            break;
        }
        let length = get_u32(bytes, row + rows.length) as usize;
        put_sum(bytes, row + rows.length + 4, run, run.saturating_add(length));
        run = run.saturating_add(length);
    }
    end
}

/// A segment; the checksums of its chunks, by name and place.
fn segment(name: &str, file: &mut [u8], chunks: &mut BTreeMap<(String, u64), u32>) {
    put_sum(file, 0, 4, SEGMENT_HEADER);
    let mut at = SEGMENT_HEADER;
    while at < file.len() {
        if !has_magic(file, at + 4, b"TWCH") {
            let next = (at + 1).next_multiple_of(BLOCK);
            at = next;
            continue;
        }
        let chunk = &mut file[at..];
        let (count, length) = (get_u32(chunk, 12) as usize, get_u32(chunk, 56) as usize);
        let covered = runs(chunk, Rows { at: CHUNK_HEADER, count, bytes: CHUNK_ROW, length: 12 });
        put_sum(chunk, 0, 4, covered);
        chunks.insert((name.to_owned(), at as u64), get_u32(chunk, 0));
        at += length.max(1);
    }
}

fn index(name: &str, file: &mut [u8], chunks: &BTreeMap<(String, u64), u32>) {
    put_sum(file, 0, 4, SEGMENT_HEADER);
    for at in (SEGMENT_HEADER..file.len()).step_by(INDEX_ENTRY) {
        let entry = &mut file[at..];
        if let Some(sum) = chunks.get(&(name.to_owned(), get_u64(entry, 40))) {
            put_u32(entry, 52, *sum);
        }
        put_sum(entry, 0, 4, INDEX_ENTRY);
    }
}

fn checkpoint(file: &mut [u8], batches: &BTreeMap<u64, u32>) {
    if let Some(sum) = batches.get(&get_u64(file, 48)) {
        put_u32(file, 84, *sum);
    }
    let mut from = 128_usize;
    for (part, row) in [48_usize, 16, 64, 16].into_iter().enumerate() {
        let count = get_u32(file, 88 + 4 * part) as usize;
        let to = from.saturating_add(count.saturating_mul(row));
        put_sum(file, 104 + 4 * part, from, to);
        from = to;
    }
    put_sum(file, 0, 4, 128);
}
