//! Who may have how many files and sockets open, of as many as the process may.

use crate::start_error::StartError;

/// What a server has open whatever it does: its streams, the listener, the lock, the superblocks, the catalog with a
/// snapshot in the making, a checkpoint, a segment that is rewritten and one that is re-read, and three for each of its
/// eleven loops' event queues. About 50.
const OWN: usize = 64;
/// The event queue of a thread that serves connections.
const PER_THREAD: usize = 4;
/// With fewer than so many connections, and so many segments' files, a server is of no use.
const CONNECTIONS_MIN: usize = 16;
const FILES_MIN: usize = 16;

/// What is wanted, at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// Threads that serve connections.
    pub(crate) threads: usize,
    /// Slots that the journal's ring may have.
    pub(crate) slots: usize,
    pub(crate) connections: usize,
    /// Segments that are held open for reading.
    pub(crate) segments_read: usize,
    /// Segments that are written to at once, of two files each.
    pub(crate) segments_written: usize,
}

/// What there is of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shares {
    pub(crate) connections: usize,
    pub(crate) segments_read: usize,
    pub(crate) segments_written: usize,
}

/// Shares out so many descriptors: what the server itself needs comes first, and segments get as many as connections
/// until they have all that they want.
///
/// # Errors
/// They are too few to serve anybody.
pub(crate) fn share_out(descriptors: usize, wanted: Wanted) -> Result<Shares, StartError> {
    let Wanted { threads, slots, connections, segments_read, segments_written } = wanted;
    let own = OWN + PER_THREAD * threads + slots;
    let needed = own + CONNECTIONS_MIN + FILES_MIN;
    if descriptors < needed {
        return Err(StartError::Descriptors { allowed: descriptors, needed });
    }
    let rest = descriptors - own;
    let files = (segments_read + 2 * segments_written).min(rest / 2);
    // In the proportion in which they are wanted by default: a third of the files is written.
    let segments_written = segments_written.min(files / 6);
    Ok(Shares {
        connections: connections.min(rest - files),
        segments_read: segments_read.min(files - 2 * segments_written),
        segments_written,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Wanted =
        Wanted { threads: 2, slots: 10, connections: 10_000, segments_read: 256, segments_written: 64 };
    /// 64, 4 for each thread, one for each slot.
    const OWN_OF_WANTED: usize = 82;

    #[track_caller]
    fn check_shares(descriptors: usize, connections: usize, segments_read: usize, segments_written: usize) {
        let shares = share_out(descriptors, WANTED).expect("they are enough");
        assert_eq!(shares, Shares { connections, segments_read, segments_written });
        assert!(connections + segments_read + 2 * segments_written + OWN_OF_WANTED <= descriptors);
    }

    #[test]
    fn connections_leave_descriptors_to_files() {
        check_shares(usize::MAX, 10_000, 256, 64);
        check_shares(20_000, 10_000, 256, 64);
        check_shares(4096, 3630, 256, 64);
        check_shares(1024, 558, 256, 64);
        check_shares(400, 159, 107, 26);
        check_shares(OWN_OF_WANTED + 32, 16, 12, 2);
    }

    #[test]
    fn too_few_are_refused_with_how_many_it_takes() {
        let refused = share_out(113, WANTED).expect_err("one is missing");
        let text = "this process may have 113 files and connections open and needs 114 at least; raise its limit \
                    (ulimit -n)";
        assert_eq!(refused.to_string(), text);
    }
}
