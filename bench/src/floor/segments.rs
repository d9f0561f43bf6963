//! Buffered writes into files that are kept for a while, as the drain of a write-ahead ring makes them.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};

/// As in the measured server: `storage/journal-disk/src/settings.rs`.
const SEGMENT_BYTES: u64 = 256 << 20;
const SYNC_BYTES: u64 = 96 << 20;
/// The oldest of more than these is unlinked.
const SEGMENTS_KEPT: usize = 4;

/// See the module.
pub(crate) struct Segments {
    folder: PathBuf,
    file: File,
    written: u64,
    unsynced: u64,
    number: u64,
    kept: VecDeque<PathBuf>,
    /// One file waits to be synced while another is.
    syncs: SyncSender<File>,
}

impl Segments {
    /// Syncs on a thread of its own, so that nobody waits for a sync but the one after the next.
    pub(crate) fn create(folder: &Path) -> Segments {
        let (syncs, files) = sync_channel::<File>(1);
        std::thread::spawn(move || {
            for file in files {
                file.sync_data().expect("the disk writes");
            }
        });
        let path = folder.join("segment-0");
        let file = File::create(&path).expect("the folder is there");
        Segments {
            folder: folder.to_owned(),
            file,
            written: 0,
            unsynced: 0,
            number: 0,
            kept: VecDeque::from([path]),
            syncs,
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.file.write_all(bytes).expect("the disk has room");
        self.written += bytes.len() as u64;
        self.unsynced += bytes.len() as u64;
        let full = self.written >= SEGMENT_BYTES;
        if full || self.unsynced >= SYNC_BYTES {
            let file = self.file.try_clone().expect("descriptors are left");
            self.syncs.send(file).expect("the thread lives as long as this");
            self.unsynced = 0;
        }
        if full {
            self.next();
        }
    }

    fn next(&mut self) {
        self.number += 1;
        let path = self.folder.join(format!("segment-{}", self.number));
        self.file = File::create(&path).expect("the folder is there");
        self.written = 0;
        self.kept.push_back(path);
        if self.kept.len() > SEGMENTS_KEPT {
            let oldest = self.kept.pop_front().expect("some are kept");
            std::fs::remove_file(oldest).expect("it is there");
        }
    }
}
