//! Sockets: listening, accepting, spreading connections over threads, and shutting down.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::select_all;
use socket2::{Domain, Protocol, Socket, Type};
use thalweg_system::{Spawn, TaskHandle};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Gateway;
use crate::bell::Bell;
use crate::gateway::Phase;
use crate::settings::{ACCEPT_PAUSE, BACKLOG, HAND_OVER_MAX};

/// Why the gateway cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The operating system does not let us listen there.
    #[error("cannot listen on {address}")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The operating system does not say where a socket listens.
    #[error("cannot use a listening socket")]
    Listener(#[source] io::Error),
}

/// Listens on an address. From here on the kernel accepts connections for us: call it when ready to serve.
///
/// # Errors
/// When the address is in use, not ours, or not allowed.
pub fn bind(address: SocketAddr) -> Result<std::net::TcpListener, GatewayError> {
    let listen = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // A restarted server need not wait for the old connections' last packets.
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(std::net::TcpListener::from(socket))
    };
    listen().map_err(|source| GatewayError::Bind { address, source })
}

/// A gateway that is serving.
pub struct Serving {
    gateway: Gateway,
    addresses: Vec<SocketAddr>,
    workers: Vec<TaskHandle>,
}

/// A connection on its way to the thread that serves it.
struct Accepted {
    stream: std::net::TcpStream,
    /// Its place among [`crate::Settings::connections_max`].
    permit: OwnedSemaphorePermit,
    /// Its weight on the thread.
    load: LoadGuard,
}

/// A thread that serves connections, as the accepting one sees it.
struct Worker {
    connections: Sender<Accepted>,
    /// How many it serves, or was handed.
    load: Arc<AtomicUsize>,
}

impl Gateway {
    /// Serves what connects to these listeners, on threads of its own.
    ///
    /// `spawn` must run its tasks under a tokio runtime with network and time: `OsNetworkSpawn` in production.
    ///
    /// # Errors
    /// When a listener is not usable.
    ///
    /// # Panics
    /// Without a listener.
    pub fn serve(
        &self,
        listeners: Vec<std::net::TcpListener>,
        spawn: &dyn Spawn,
    ) -> Result<Serving, GatewayError> {
        assert!(!listeners.is_empty(), "a gateway without listeners serves no one");
        let mut addresses = Vec::new();
        for listener in &listeners {
            listener.set_nonblocking(true).map_err(GatewayError::Listener)?;
            addresses.push(listener.local_addr().map_err(GatewayError::Listener)?);
        }
        let mut workers = Vec::new();
        let mut handles = Vec::new();
        for number in 0..self.shared.settings.threads.get() {
            let (connections, accepted) = mpsc::channel(HAND_OVER_MAX);
            workers.push(Worker { connections, load: Arc::default() });
            let task = work(self.clone(), accepted);
            handles.push(spawn.spawn(&format!("gateway-{number}"), Box::pin(task)));
        }
        let acceptor = accept(self.clone(), listeners, workers);
        handles.push(spawn.spawn("gateway-accept", Box::pin(acceptor)));
        Ok(Serving { gateway: self.clone(), addresses, workers: handles })
    }
}

impl Serving {
    /// Where it listens, in the order of the listeners.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Shuts down in good order: accepts nothing more, lets every request that has begun be answered and every
    /// event stream end between two events, and drops what is left after `grace`. Returns how many connections
    /// and calls were dropped so.
    ///
    /// Sleeps by the gateway's clock.
    pub async fn shutdown(self, grace: Duration) -> usize {
        self.gateway.start_draining();
        let shared = &self.gateway.shared;
        tokio::select! {
            biased;
            () = self.gateway.drained() => {}
            () = shared.clock.sleep(grace) => {}
        }
        let left = shared.live.count();
        if left > 0 {
            tracing::warn!("{left} connections and calls did not end within {grace:?} and are dropped");
        }
        shared.phase.send_replace(Phase::Closed);
        for worker in self.workers {
            worker.0.await;
        }
        left
    }
}

/// Serves the connections that are handed over, until the gateway is closed.
async fn work(gateway: Gateway, mut accepted: Receiver<Accepted>) {
    let mut closed = gateway.shared.reached(Phase::Closed);
    let bell = Bell::new();
    tokio::spawn(Arc::clone(&bell).ring());
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut closed => return,
            accepted = accepted.recv() => accepted,
        };
        let Some(Accepted { stream, permit, load }) = accepted else { break };
        let gateway = gateway.clone();
        tokio::spawn(bell.gather(async move {
            match TcpStream::from_std(stream) {
                Ok(stream) => gateway.serve_connection(stream).await,
                Err(error) => tracing::warn!("an accepted connection is not usable: {error}"),
            }
            drop((permit, load));
        }));
    }
    // Nothing more comes; the tasks end with this thread.
    closed.await;
}

/// Counts a connection among its thread's.
struct LoadGuard(Arc<AtomicUsize>);

impl LoadGuard {
    fn new(load: &Arc<AtomicUsize>) -> Self {
        load.fetch_add(1, Ordering::Relaxed);
        LoadGuard(Arc::clone(load))
    }
}

impl Drop for LoadGuard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Accepts until the gateway drains, each connection to the thread with the fewest.
async fn accept(gateway: Gateway, listeners: Vec<std::net::TcpListener>, workers: Vec<Worker>) {
    let listeners: Vec<TcpListener> = listeners
        .into_iter()
        .map(|listener| TcpListener::from_std(listener).expect("a listening socket can be waited for"))
        .collect();
    let shared = &gateway.shared;
    let places = Arc::new(Semaphore::new(shared.settings.connections_max));
    let mut draining = shared.reached(Phase::Draining);
    loop {
        let next = async {
            let permit = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
            let (accepted, _, _) =
                select_all(listeners.iter().map(|listener| listener.accept().boxed())).await;
            (accepted, permit)
        };
        let (accepted, permit) = tokio::select! {
            biased;
            () = &mut draining => return,
            next = next => next,
        };
        let stream = accepted.and_then(|(stream, _)| {
            // Events and small answers go out at once.
            stream.set_nodelay(true)?;
            stream.into_std()
        });
        let stream = match stream {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!("cannot accept a connection: {error}");
                shared.clock.sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let worker = workers
            .iter()
            .min_by_key(|worker| worker.load.load(Ordering::Relaxed))
            .expect("there is at least one thread");
        // A worker ends only when the gateway closes.
        let load = LoadGuard::new(&worker.load);
        let _ = worker.connections.send(Accepted { stream, permit, load }).await;
    }
}
