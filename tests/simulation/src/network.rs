//! A network in memory: connections whose bytes come in pieces of any size, later than they were sent, and which may be
//! reset after any byte.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use thalweg_gateway::Gateway;
use thalweg_system::simulated::{SeededRandom, SimulatedSpawn};
use thalweg_system::{BoxFuture, Spawn};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::client::{Connection, Road};

/// What a connection holds in each direction.
const WINDOW_BYTES: usize = 16 << 10;

/// The network between all clients and the one server. Clones are the same network.
#[derive(Clone)]
pub(crate) struct Network {
    shared: Arc<Shared>,
}

struct Shared {
    random: SeededRandom,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The server that listens, and where its tasks run.
    server: Option<(Gateway, SimulatedSpawn)>,
    /// One connection in so many is reset at some point; 0: none.
    resets_one_in: u64,
    resets: u64,
}

impl Network {
    pub(crate) fn new(seed: u64) -> Self {
        let shared = Shared { random: SeededRandom::new(seed), state: Mutex::default() };
        Network { shared: Arc::new(shared) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().expect("no one panics while holding the network")
    }

    /// From now on connections come to this server.
    pub(crate) fn listen(&self, gateway: Gateway, spawn: SimulatedSpawn) {
        self.state().server = Some((gateway, spawn));
    }

    /// Nobody listens any more.
    pub(crate) fn silence(&self) {
        self.state().server = None;
    }

    /// One connection in so many, of those that begin from now on, is reset; 0: none.
    pub(crate) fn reset_one_in(&self, connections: u64) {
        self.state().resets_one_in = connections;
    }

    /// How many connections were reset.
    pub(crate) fn resets(&self) -> u64 {
        self.state().resets
    }

    fn end(&self) -> Option<End> {
        let random = &self.shared.random;
        let state = self.state();
        let (gateway, spawn) = state.server.clone()?;
        let is_reset = state.resets_one_in > 0 && random.one_in(state.resets_one_in);
        drop(state);
        let link = Link {
            ways: [Way::default(), Way::default()],
            reset_after: is_reset.then(|| random.below(4 * WINDOW_BYTES as u64)),
            is_reset: false,
        };
        let link = Arc::new(Mutex::new(link));
        let ends = [0, 1].map(|side| End { network: self.clone(), link: Arc::clone(&link), side });
        let [ours, theirs] = ends;
        drop(spawn.spawn("connection", Box::pin(async move { gateway.serve_connection(theirs).await })));
        Some(ours)
    }
}

impl Road for Network {
    fn connect(&self) -> BoxFuture<'_, Option<Box<dyn Connection>>> {
        let end = self.end().map(|end| Box::new(end) as Box<dyn Connection>);
        Box::pin(std::future::ready(end))
    }
}

/// A connection, as both ends know it.
struct Link {
    /// From side 0 to side 1, and back.
    ways: [Way; 2],
    /// Bytes until it is reset.
    reset_after: Option<u64>,
    is_reset: bool,
}

#[derive(Default)]
struct Way {
    bytes: VecDeque<u8>,
    /// No more is sent.
    is_closed: bool,
    /// Nobody reads any more.
    is_deaf: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Way {
    fn wake(&mut self) {
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }
}

impl Link {
    fn reset(&mut self) {
        self.is_reset = true;
        for way in &mut self.ways {
            way.bytes.clear();
            way.wake();
        }
    }
}

/// One end of a connection. Dropping it closes it.
pub(crate) struct End {
    network: Network,
    link: Arc<Mutex<Link>>,
    side: usize,
}

impl End {
    fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().expect("no one panics while holding a connection")
    }

    /// A part of `most`: all of it, or any.
    fn some_of(&self, most: usize) -> usize {
        let random = &self.network.shared.random;
        if random.one_in(2) { most } else { 1 + random.below(most as u64) as usize }
    }

    /// Whether it does nothing for now, and goes on later.
    fn hesitates(&self) -> bool {
        self.network.shared.random.one_in(8)
    }
}

fn reset() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}

impl AsyncRead for End {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut link = self.link();
        if link.is_reset {
            return Poll::Ready(Err(reset()));
        }
        let way = &mut link.ways[1 - self.side];
        if way.bytes.is_empty() {
            if way.is_closed {
                return Poll::Ready(Ok(()));
            }
            way.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        if self.hesitates() {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let most = way.bytes.len().min(buffer.remaining());
        if most == 0 {
            return Poll::Ready(Ok(()));
        }
        let count = self.some_of(most);
        let (front, back) = way.bytes.as_slices();
        buffer.put_slice(&front[..count.min(front.len())]);
        buffer.put_slice(&back[..count.saturating_sub(front.len())]);
        way.bytes.drain(..count);
        way.writer.take().into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut link = self.link();
        if link.is_reset {
            return Poll::Ready(Err(reset()));
        }
        let way = &mut link.ways[self.side];
        if way.is_deaf || way.is_closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = (WINDOW_BYTES - way.bytes.len()).min(bytes.len());
        if room == 0 {
            if bytes.is_empty() {
                return Poll::Ready(Ok(0));
            }
            way.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        if self.hesitates() {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let count = self.some_of(room);
        way.bytes.extend(&bytes[..count]);
        way.reader.take().into_iter().for_each(Waker::wake);
        if let Some(left) = &mut link.reset_after {
            *left = left.saturating_sub(count as u64);
            if *left == 0 {
                link.reset();
                drop(link);
                self.network.state().resets += 1;
                return Poll::Ready(Err(reset()));
            }
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut link = self.link();
        let way = &mut link.ways[self.side];
        way.is_closed = true;
        way.wake();
        Poll::Ready(Ok(()))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let mut link = self.link();
        link.ways[self.side].is_closed = true;
        link.ways[1 - self.side].is_deaf = true;
        link.ways.iter_mut().for_each(Way::wake);
    }
}
