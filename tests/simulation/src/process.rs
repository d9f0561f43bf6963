//! The real program as a process, and the way to it.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // a whole program: processes, files, sockets

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use thalweg_system::BoxFuture;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::{JoinError, JoinSet};

use crate::client::{Connection, Road};

/// An address that nobody listens on now.
pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the machine has free ports");
    listener.local_addr().expect("it is bound")
}

/// Connections to this address.
pub(crate) struct Tcp(pub(crate) SocketAddr);

impl Road for Tcp {
    fn connect(&self) -> BoxFuture<'_, Option<Box<dyn Connection>>> {
        Box::pin(async {
            let stream = TcpStream::connect(self.0).await.ok()?;
            stream.set_nodelay(true).ok()?;
            Some(Box::new(stream) as Box<dyn Connection>)
        })
    }
}

/// What drives clients of a real program.
pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts")
}

/// Lets these run; where they have ended is for [`must_not_panic`].
pub(crate) fn spawn_all(actors: Vec<BoxFuture<'static, ()>>) -> JoinSet<()> {
    actors.into_iter().collect()
}

/// Passes on what an actor panicked with: a broken rule.
pub(crate) fn must_not_panic(ended: Result<(), JoinError>) {
    if let Err(panicked) = ended {
        std::panic::resume_unwind(panicked.into_panic());
    }
}

/// `program serve` with its data here, listening there.
pub(crate) fn serve(program: &Path, data: &Path, address: SocketAddr) -> Command {
    let mut command = Command::new(program);
    command.args(["serve", "--listen", &address.to_string(), "--data-dir"]).arg(data);
    command
}

/// A server, killed when dropped.
pub(crate) struct Process {
    /// It, or what it runs under.
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// Its process.
    id: String,
}

impl Process {
    /// Starts it.
    pub(crate) fn start(command: &mut Command) -> Process {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{:?} cannot be run: {error}", command.get_program()));
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let id = child.id().to_string();
        Process { child, stdout, id }
    }

    /// Waits until it is ready.
    pub(crate) fn ready(mut self) -> Process {
        let mut line = String::new();
        while !line.starts_with("ready in ") {
            line.clear();
            let read = self.stdout.read_line(&mut line).expect("it prints text");
            assert!(read > 0, "the server does not start");
        }
        self
    }

    /// As [`Process::ready`], for one that runs under another program: which process it is says its data directory.
    pub(crate) fn ready_under_another(self, data: &Path) -> Process {
        let mut ready = self.ready();
        let lock = fs::read_to_string(data.join("LOCK")).expect("a server that runs holds the lock");
        let id = lock.lines().next().and_then(|line| line.rsplit(' ').next()).expect("it names the process");
        id.clone_into(&mut ready.id);
        ready
    }

    /// Its process.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    fn signal(&self, signal: &str) -> bool {
        let told = Command::new("kill").args([signal, &self.id]).stderr(Stdio::null()).status();
        told.expect("there is a kill command").success()
    }

    /// Kills it.
    pub(crate) fn kill(self) {
        drop(self);
    }

    /// Ends it in good order.
    pub(crate) fn end(mut self) {
        assert!(self.signal("-TERM"), "it runs");
        let status = self.child.wait().expect("it is our child");
        assert!(status.success(), "it ends in good order: {status}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself, and what it runs under ends with it.
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal("-KILL");
        }
        let _ = self.child.wait();
    }
}
