//! Giving memory back to the system that the allocator keeps for itself.
//!
//! glibc's allocator returns only what lies at the end of its heap. Where thousands of clients begin large bodies and go, each
//! touches other pages of it than the last one did, and the process grows by what they touched, round after round, though
//! nothing is in use: from 12 MiB to 1.5 GiB in six rounds of 4,000 bodies of which 32 KiB came.

use std::fs;
use std::thread;
use std::time::Duration;

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

/// Starts a thread that gives back, for as long as the process runs, what the allocator keeps for no one. Where the
/// allocator is another one, or memory cannot be looked at, it does nothing.
///
/// # Panics
/// When the system gives no thread.
pub fn give_back_memory() {
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
