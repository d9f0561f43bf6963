//! One thread that makes durable, in one write, all that was asked for while the last write was under way.

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};

use tokio::sync::{Notify, oneshot};

use crate::floor::recycled::Recycled;
use crate::floor::segments::Segments;

/// The file that is written again and again: as large as the measured server's ring becomes.
const RING_BYTES: u64 = 512 << 20;
/// A batch takes no further request that would make it larger than this, as in the measured server.
const BATCH_BYTES_MAX: usize = 8 << 20;
/// The largest request.
const REQUEST_BYTES_MAX: usize = 16 << 20;

/// A request that waits for its bytes.
struct Waiting {
    bytes: usize,
    durable: oneshot::Sender<()>,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Waiting>,
    /// The thread sleeps, and has to be woken.
    sleeps: bool,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    arrived: Condvar,
    /// Batches that are durable, for the network's thread to answer: it is woken once for all of them.
    done: Mutex<Vec<Waiting>>,
    finished: Notify,
}

/// The network's side of it.
pub(crate) struct Committer {
    shared: Arc<Shared>,
}

impl Committer {
    /// Prepares the files and starts the thread. Must be called within the network's runtime.
    pub(crate) fn start(folder: &Path) -> Committer {
        let recycled = Recycled::create(&folder.join("recycled"), RING_BYTES, REQUEST_BYTES_MAX);
        let segments = Segments::create(folder);
        let shared = Arc::new(Shared::default());
        let thread = Arc::clone(&shared);
        std::thread::spawn(move || commit(&thread, recycled, segments));
        tokio::task::spawn(answer(Arc::clone(&shared)));
        Committer { shared }
    }

    /// Returns when this many bytes are durable.
    pub(crate) async fn durable(&self, bytes: u64) {
        let (durable, answer) = oneshot::channel();
        self.hand_over(Waiting { bytes: bytes as usize, durable });
        answer.await.expect("the committer answers all");
    }

    fn hand_over(&self, waiting: Waiting) {
        let mut queue = self.shared.queue.lock().expect("nobody panics with it");
        queue.waiting.push(waiting);
        if std::mem::take(&mut queue.sleeps) {
            self.shared.arrived.notify_one();
        }
    }
}

/// Tells the requests of finished batches, on the network's thread.
async fn answer(shared: Arc<Shared>) {
    loop {
        shared.finished.notified().await;
        let done = std::mem::take(&mut *shared.done.lock().expect("nobody panics with it"));
        for waiting in done {
            // The generator may have dropped the connection.
            let _ = waiting.durable.send(());
        }
    }
}

fn commit(shared: &Shared, mut recycled: Recycled, mut segments: Segments) {
    loop {
        let batch = next(shared);
        let bytes = batch.iter().map(|waiting| waiting.bytes).sum();
        recycled.write(bytes);
        segments.write(recycled.bytes(bytes));
        shared.done.lock().expect("nobody panics with it").extend(batch);
        shared.finished.notify_one();
    }
}

/// All that is queued, as far as it fits into a batch; sleeps while there is nothing.
fn next(shared: &Shared) -> Vec<Waiting> {
    let mut queue = shared.queue.lock().expect("nobody panics with it");
    while queue.waiting.is_empty() {
        queue.sleeps = true;
        queue = shared.arrived.wait(queue).expect("nobody panics with it");
    }
    let count = fitting(queue.waiting.iter().map(|waiting| waiting.bytes));
    let rest = queue.waiting.split_off(count);
    std::mem::replace(&mut queue.waiting, rest)
}

/// How many of these make a batch: at least one.
fn fitting(sizes: impl Iterator<Item = usize>) -> usize {
    let (mut bytes, mut count) = (0, 0);
    for size in sizes {
        bytes += size;
        if count > 0 && bytes > BATCH_BYTES_MAX {
            break;
        }
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_bounded_but_takes_one_request_of_any_size() {
        const MIB: usize = 1 << 20;
        #[track_caller]
        fn check(sizes: &[usize], count: usize) {
            assert_eq!(fitting(sizes.iter().copied()), count, "{sizes:?}");
        }
        check(&[1], 1);
        check(&[10 * MIB, 1], 1);
        check(&[4 * MIB, 4 * MIB, 1], 2);
        check(&[1, 10 * MIB], 1);
        check(&[MIB; 7], 7);
    }
}
