//! Directories whose files an input edits: stored ones, which real engines wrote.
//!
//! ```text
//!  an edit:  kind · file · place u16 · …        the numbers of bytes are the file's, as far as it goes
//!            0  write      length u8, bytes
//!            1  cut        here
//!            2  remove     the file
//!            3  lengthen   by so many zeros
//!            4  copy       file, place u16, length u16: from there
//!            5  add        a signed byte to the number of four bytes here
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crc_fast::{CrcAlgorithm, checksum};
use thalweg_system::simulated::SimulatedDisk;

use crate::input::Input;

/// Edits in one input.
const EDITS_MAX: usize = 32;

/// The files of a directory, by path.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// The files of a folder of the repository, its texts left out, below `directory`.
///
/// # Panics
/// When it is not there.
#[allow(clippy::disallowed_methods, reason = "fixtures are files of the repository")]
pub(crate) fn stored(folder: &str, directory: &str) -> Files {
    fn add(root: &Path, folder: &Path, directory: &str, files: &mut Files) {
        for entry in std::fs::read_dir(folder).expect("the fixture is part of the repository") {
            let path = entry.expect("it can be listed").path();
            if path.is_dir() {
                add(root, &path, directory, files);
            } else if path.extension().is_none_or(|extension| extension != "txt") {
                let name = path.strip_prefix(root).expect("it is below").to_str().expect("names are plain");
                files.insert(format!("{directory}{name}"), std::fs::read(&path).expect("it can be read"));
            }
        }
    }
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder);
    let mut files = Files::new();
    add(&root, &root, directory, &mut files);
    files
}

/// Makes all the edits of an input.
pub(crate) fn edit(files: &mut Files, mut input: Input<'_>) {
    for _ in 0..EDITS_MAX {
        if input.is_empty() || files.is_empty() {
            return;
        }
        let kind = input.byte() % 6;
        let path = chosen(files, input.byte());
        let place = usize::from(input.short());
        let mut file = files.remove(&path).expect("it was chosen among them");
        let place = place.min(file.len());
        match kind {
            0 => {
                let length = usize::from(input.byte());
                overwrite(&mut file[place..], input.bytes(length));
            }
            1 => file.truncate(place),
            2 => continue,
            3 => file.resize(file.len() + place, 0),
            4 => {
                let other = chosen(files, input.byte());
                let (from, length) = (usize::from(input.short()), usize::from(input.short()));
                let source = files.get(&other).unwrap_or(&file);
                let from = from.min(source.len());
                let copy = source[from..source.len().min(from + length)].to_vec();
                overwrite(&mut file[place..], &copy);
            }
            _ => {
                let delta = input.byte() as i8;
                if let Some(number) = file[place..].first_chunk_mut() {
                    *number = u32::from_le_bytes(*number).wrapping_add_signed(i32::from(delta)).to_le_bytes();
                }
            }
        }
        files.insert(path, file);
    }
}

/// A file's path; empty when there is none.
fn chosen(files: &Files, number: u8) -> String {
    files.keys().nth(usize::from(number) % files.len().max(1)).cloned().unwrap_or_default()
}

fn overwrite(place: &mut [u8], bytes: &[u8]) {
    let length = place.len().min(bytes.len());
    place[..length].copy_from_slice(&bytes[..length]);
}

/// A disk with these files.
pub(crate) fn disk(files: &Files) -> SimulatedDisk {
    let disk = SimulatedDisk::new();
    for (path, bytes) in files {
        disk.put(path, bytes);
    }
    disk
}

/// CRC-32C, which all of our formats have.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    checksum(CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

/// The little-endian number of four bytes at `at`; 0 behind the end.
pub(crate) fn get_u32(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |number| u32::from_le_bytes(*number))
}

/// The little-endian number of eight bytes at `at`; 0 behind the end.
pub(crate) fn get_u64(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |number| u64::from_le_bytes(*number))
}

/// Writes the number at `at`, unless that is behind the end.
pub(crate) fn put_u32(bytes: &mut [u8], at: usize, value: u32) {
    if let Some(number) = bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *number = value.to_le_bytes();
    }
}

/// Writes the checksum of `from..to` at `at`; of nothing, where that is not within the bytes.
pub(crate) fn put_sum(bytes: &mut [u8], at: usize, from: usize, to: usize) {
    if let Some(covered) = bytes.get(from..to) {
        let sum = crc32c(covered);
        put_u32(bytes, at, sum);
    }
}

/// Whether these four bytes stand at `at`.
pub(crate) fn has_magic(bytes: &[u8], at: usize, magic: &[u8; 4]) -> bool {
    bytes.get(at..).is_some_and(|rest| rest.starts_with(magic))
}
