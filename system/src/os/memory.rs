//! What glibc's allocator keeps for the next requests, and when it goes back to the system: neither with each request nor
//! never.
//!
//! By itself it gives back what is free at the end of a heap from 128 KiB on, or from twice the largest piece that had
//! pages of its own. That is what a few large bodies take, so that each fetched its pages anew: 260 page faults for a
//! PutRecords of 500 x 1 KiB in JSON over HTTP/2, and half of its processor time (docs/decisions/0057).
//!
//! And it gives back nothing else. Where thousands of clients begin large bodies and go, each touches other pages than the last
//! one did, and the process grows by what they touched, round after round, though nothing is in use: from 12 MiB to 1.5 GiB in
//! six rounds of 4,000 bodies of which 32 KiB came.

use std::fs;
use std::thread;
use std::time::Duration;

/// What is free at the end of a heap stays, up to this. Each thread has a heap at most.
const KEPT_BYTES: i32 = 64 << 20;
/// Larger pieces have pages of their own, which go back with them: the most that glibc allows, and where its own rule
/// ends up. Larger than any body.
const PIECE_BYTES_MAX: i32 = 32 << 20;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// More resident memory than at the least since memory was given back is worth the work: in the worst case it is all in use,
/// and the next look is worth it only at as much again.
const GROWTH_BYTES: usize = 128 << 20;

/// Looks after which so much is given back in any case: what was in use when memory grew may be free now.
const LOOKS_MAX: u32 = 60;

/// When memory is to be given back.
struct Watch {
    least_bytes: usize,
    /// Looks since it was.
    looks: u32,
}

impl Watch {
    /// Whether it is, at so much resident memory.
    fn is_due(&mut self, bytes: usize) -> bool {
        self.looks += 1;
        self.least_bytes = self.least_bytes.min(bytes);
        bytes > self.least_bytes + GROWTH_BYTES || (bytes > GROWTH_BYTES && self.looks > LOOKS_MAX)
    }

    /// It was, and so much is resident now.
    fn done(&mut self, bytes: usize) {
        *self = Watch { least_bytes: bytes, looks: 0 };
    }
}

/// Has the allocator keep what the next requests need, and starts a thread that gives back, for as long as the process runs,
/// what it keeps for no one. Where the allocator is another one, or memory cannot be looked at, it does nothing.
///
/// # Panics
/// When the system gives no thread.
pub fn look_after_memory() {
    keep();
    let Some(bytes) = resident_bytes() else { return };
    let mut watch = Watch { least_bytes: bytes, looks: 0 };
    let run = move || {
        while let Some(bytes) = resident_bytes() {
            if watch.is_due(bytes) {
                trim();
                watch.done(resident_bytes().unwrap_or(bytes));
            }
            thread::sleep(PAUSE);
        }
    };
    thread::Builder::new().name("memory".to_owned()).spawn(run).expect("the system gives a thread");
}

/// What this process has in memory.
fn resident_bytes() -> Option<usize> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: usize = text.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size())
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "the allocator has no other way in")]
fn keep() {
    // SAFETY: glibc's own function, callable at any time from any thread; it sets two numbers.
    unsafe {
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT_BYTES);
        libc::mallopt(libc::M_MMAP_THRESHOLD, PIECE_BYTES_MAX);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn keep() {}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "the allocator has no other way in")]
fn trim() {
    // SAFETY: glibc's own function, callable at any time from any thread; it touches only what is free.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn trim() {}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn memory_is_given_back_when_it_has_grown_and_not_again_while_it_is_in_use() {
        let mut watch = Watch { least_bytes: 20 * MIB, looks: 0 };
        assert!(!watch.is_due(148 * MIB) && watch.is_due(149 * MIB));
        watch.done(149 * MIB);
        assert!(!watch.is_due(270 * MIB), "it was in use");
        assert!(!watch.is_due(30 * MIB));
        assert!(watch.is_due(159 * MIB), "it had gone");
        watch.done(159 * MIB);
        assert!((0..LOOKS_MAX).all(|_| !watch.is_due(160 * MIB)));
        assert!(watch.is_due(160 * MIB), "perhaps it is free by now");
    }

    /// Page faults of this thread so far.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    fn faults() -> u64 {
        let text = fs::read_to_string("/proc/thread-self/stat").expect("there is a proc");
        let fields = text.rsplit_once(')').expect("a name in brackets").1;
        fields.split_ascii_whitespace().nth(7).expect("minor faults").parse().expect("a number")
    }

    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[test]
    fn large_pieces_are_made_of_the_same_pages_again() {
        keep();
        let pieces = || (0..8).map(|_| vec![1_u8; MIB]).collect::<Vec<_>>();
        drop(pieces());
        let before = faults();
        for _ in 0..100 {
            drop(pieces());
        }
        let each = (faults() - before) / 100;
        assert!(each < 8 * 256 / 10, "{each} of {} pages", 8 * 256);
    }

    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[test]
    fn what_lies_between_is_given_back() {
        let mut pieces: Vec<Vec<u8>> = (0..4000).map(|_| vec![1; 60_000]).collect();
        let full = resident_bytes().expect("there is a proc");
        // Of every eight one stays, so that nothing is at the end.
        let mut number = 0;
        pieces.retain(|_| {
            number += 1;
            number % 8 == 0
        });
        trim();
        let left = resident_bytes().expect("there is a proc");
        assert!(left + 150 * MIB < full, "{left} of {full}");
    }
}
