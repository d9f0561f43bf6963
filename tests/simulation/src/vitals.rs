//! What the kernel says of a process: its memory and its descriptors.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // it looks at another process

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Between two counts of descriptors.
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Clone)]
pub(crate) struct Vitals {
    folder: PathBuf,
}

/// At one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    /// Resident memory.
    pub(crate) bytes: usize,
    /// Open descriptors.
    pub(crate) files: usize,
}

/// Counts descriptors until it is ended.
pub(crate) struct FileWatch {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
}

impl Vitals {
    pub(crate) fn of(id: &str) -> Vitals {
        Vitals { folder: PathBuf::from("/proc").join(id) }
    }

    pub(crate) fn now(&self) -> Reading {
        Reading { bytes: self.status_bytes("VmRSS:"), files: self.files() }
    }

    /// The most memory since [`Vitals::forget_peak`].
    pub(crate) fn peak_bytes(&self) -> usize {
        self.status_bytes("VmHWM:")
    }

    pub(crate) fn forget_peak(&self) {
        fs::write(self.folder.join("clear_refs"), "5").expect("the kernel forgets peaks");
    }

    /// Watches for the most descriptors.
    pub(crate) fn watch_files(&self) -> FileWatch {
        let is_over = Arc::new(AtomicBool::new(false));
        let (vitals, ended) = (self.clone(), Arc::clone(&is_over));
        let thread = thread::spawn(move || {
            let mut most = 0;
            while !ended.load(Ordering::Relaxed) {
                most = most.max(vitals.files());
                thread::sleep(PAUSE);
            }
            most
        });
        FileWatch { is_over, thread }
    }

    fn files(&self) -> usize {
        fs::read_dir(self.folder.join("fd")).expect("the server runs").count()
    }

    fn status_bytes(&self, name: &str) -> usize {
        let status = fs::read_to_string(self.folder.join("status")).expect("the server runs");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("the kernel says it");
        let kib: usize = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kib * 1024
    }
}

impl FileWatch {
    /// The most that were open.
    pub(crate) fn end(self) -> usize {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().expect("it counts")
    }
}
