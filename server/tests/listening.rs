//! When the program listens: not before it can answer, and never where it does not start.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // tests of a whole program: threads, files, processes

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use support::{Running, Server, command, runtime};
use tempfile::TempDir;
use tokio::net::unix::pipe;

/// The failsafe of waits for another process.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often somebody knocks, at least, while a start is held up.
const KNOCKS: usize = 1_000;

/// An address of this machine's loopback that no other process chooses; each test has a port of it.
fn own_address(port: u16) -> SocketAddr {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    SocketAddr::from(([127, 128 | high, middle, low], port))
}

/// Waits until another process has done something.
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(began.elapsed() < PATIENCE, "never: {what}");
        thread::yield_now();
    }
}

/// Whether a socket has the address, be it that it listens or not.
fn is_taken(address: SocketAddr) -> bool {
    let socket =
        Socket::new(Domain::for_address(address), Type::STREAM, None).expect("sockets are to be had");
    socket.bind(&address.into()).is_err()
}

/// A data directory whose server was killed.
fn used_directory() -> TempDir {
    let mut server = Server::start(&["--create-stream", "orders"]);
    server.run(&["put", "orders", "before"]).ok();
    server.running.signal("KILL");
    server.running.finish();
    server.directory
}

fn serve(home: &Path, address: SocketAddr) -> Running {
    Running::start(&mut command(home, &["serve", "--listen", &address.to_string()]))
}

/// Sets it when it goes, also where a test fails.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn nobody_is_let_in_while_a_start_recovers_nor_where_it_is_refused() {
    let directory = used_directory();
    // Whoever opens a pipe for reading waits for one who writes: the start stands still where it reads the catalog.
    let snapshot = directory.path().join("thalweg-data/meta/snapshot");
    fs::remove_file(&snapshot).expect("it is ours");
    let made = Command::new("mkfifo").arg(&snapshot).status().expect("there is a mkfifo command");
    assert!(made.success());
    let address = own_address(4567);
    let (knocks, was_let_in) = (AtomicUsize::new(0), AtomicBool::new(false));
    let has_ended = AtomicBool::new(false);
    let mut running = serve(directory.path(), address);
    let finished = thread::scope(|scope| {
        let _ended = SetOnDrop(&has_ended);
        scope.spawn(|| {
            while !has_ended.load(Ordering::SeqCst) && !was_let_in.load(Ordering::SeqCst) {
                was_let_in.store(TcpStream::connect(address).is_ok(), Ordering::SeqCst);
                knocks.fetch_add(1, Ordering::SeqCst);
            }
        });
        until("the port is taken", || is_taken(address).then_some(()));
        let before = knocks.load(Ordering::SeqCst);
        until("somebody has knocked often", || {
            let is_often = knocks.load(Ordering::SeqCst) >= before + KNOCKS;
            (is_often || was_let_in.load(Ordering::SeqCst)).then_some(())
        });
        let held_up = runtime().block_on(async {
            until("the start reads the catalog", || pipe::OpenOptions::new().open_sender(&snapshot).ok())
        });
        // It reads on, and there is nothing.
        drop(held_up);
        running.finish()
    });
    finished.check_failure(1, &["thalweg-data", "meta/snapshot"]);
    assert!(!was_let_in.into_inner(), "the kernel let somebody in, whom nobody will answer");
}

#[test]
fn the_first_that_is_let_in_is_answered() {
    let directory = used_directory();
    let address = own_address(4568);
    let running = serve(directory.path(), address);
    let mut first = until("it listens", || TcpStream::connect(address).ok());
    first.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
    first.write_all(b"GET /readyz HTTP/1.1\r\nHost: any\r\nConnection: close\r\n\r\n").expect("it is taken");
    let mut answer = String::new();
    first.read_to_string(&mut answer).expect("it is answered");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let mut tail = command(directory.path(), &["tail", "orders", "--no-follow", "--quiet"]);
    tail.env("AWS_ENDPOINT_URL_KINESIS", format!("http://{address}"));
    assert_eq!(support::run(&mut tail, b"").ok().text(), "before\n");
    drop(running);
}
