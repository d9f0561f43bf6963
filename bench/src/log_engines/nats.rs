//! NATS JetStream in file storage. Its publisher speaks the server's plain-text protocol from this program: that costs
//! the client least, and the server nothing that another client would not. Every way to publish is tried: each message
//! with an answer of its own, atomic batches (one answer, and since 2.15 one sync) and fast ingest (an answer for many).

use std::fmt;
use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

use super::install::{self, Installed};
use super::{Context, Engine, Mode, PARTITIONS, RECORD_BYTES, WARM_UP};
use crate::bodies;
use crate::figure::{Findings, Run};
use crate::meter::{Meter, Work};
use crate::process::Server;

/// Bytes that all streams together keep.
const STREAM_BYTES: usize = 3 << 30;
/// Messages in an atomic batch: the server takes no more.
const BATCH_MAX: usize = 1_000;
/// Different prepared records of a connection, so that caches do not flatter.
const RECORDS: usize = 500;
/// In fast ingest the server answers at most so rarely.
const FLOW_MAX: usize = 500;

/// A server that says nothing for so long will not answer.
const SILENCE_MAX: Duration = Duration::from_secs(30);

#[derive(Clone, Copy)]
enum Publish {
    /// An answer for each message.
    Single,
    /// One batch outstanding on each connection.
    Atomic,
    /// An endless batch on each connection.
    Fast,
}

#[derive(Clone, Copy)]
struct Shape {
    publish: Publish,
    connections: usize,
    /// Outstanding on each connection.
    window: usize,
    streams: usize,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let publish = match self.publish {
            Publish::Single => "single messages",
            Publish::Atomic => "an atomic batch",
            Publish::Fast => "fast ingest",
        };
        let Shape { connections, window, streams, .. } = self;
        write!(f, "{publish}, {window} on each of {connections} connections, {streams} streams")
    }
}

struct Nats {
    server: Server,
    _folder: tempfile::TempDir,
    how: String,
    /// `always` or the default.
    sync_always: bool,
}

pub(super) async fn run(context: &Context, findings: &mut Findings) -> Result<(), String> {
    let Installed { folder: installed, how } = install::nats(&context.peers)?;
    for sync_always in [true, false] {
        let folder = context.empty_folder();
        let server = start(&installed.join("bin/nats-server"), folder.path(), sync_always)?;
        let engine = Nats { server, _folder: folder, how: how.clone(), sync_always };
        super::measure(context, engine, findings).await;
    }
    Ok(())
}

fn start(program: &PathBuf, folder: &std::path::Path, sync_always: bool) -> Result<Server, String> {
    let port = super::free_port();
    let sync = if sync_always { "sync_interval: always" } else { "" };
    let settings = format!(
        "listen: \"127.0.0.1:{port}\"\njetstream {{\n store_dir: \"{}\"\n max_file_store: {}\n {sync}\n}}\n",
        folder.join("data").display(),
        STREAM_BYTES * 2,
    );
    let file = folder.join("nats.conf");
    std::fs::write(&file, settings).map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.arg("--config").arg(file);
    super::start(command, port, folder)
}

impl Engine for Nats {
    type Shape = Shape;

    fn mode(&self) -> Mode {
        let (mode, durability) = match self.sync_always {
            true => ("sync_interval always", "durable before the answer"),
            false => ("default", "not durable before the answer: on the disk within two minutes"),
        };
        Mode {
            subject: format!("NATS JetStream {}, {mode}", install::NATS),
            durable: self.sync_always,
            install: self.how.clone(),
            command: format!(
                "nats-server, streams in file storage, one replica, {mode}; client: the generator, PUB and HPUB over \
                 the text protocol"
            ),
            durability,
        }
    }

    fn shapes(&self, outstanding: usize) -> Vec<Shape> {
        let mut shapes = Vec::new();
        let mut add = |publish, connections: usize, streams| {
            let window = outstanding / connections;
            let fits = !matches!(publish, Publish::Atomic) || (16..=BATCH_MAX).contains(&window);
            if fits {
                shapes.push(Shape { publish, connections, window, streams });
            }
        };
        // Each of these is synced by itself if any is: more of them outstanding change nothing but the time it takes
        // to see that.
        if !self.sync_always || outstanding <= 500 {
            for (connections, streams) in [(1, 1), (4, PARTITIONS)] {
                add(Publish::Single, connections, streams);
                add(Publish::Fast, connections, streams);
            }
        }
        for (connections, streams) in
            [(1, 1), (4, PARTITIONS), (8, PARTITIONS), (16, PARTITIONS), (32, PARTITIONS)]
        {
            add(Publish::Atomic, connections, streams);
        }
        shapes
    }

    async fn load(&mut self, shape: Shape, duration: Duration) -> Result<Run, String> {
        let mut control = Connection::open(&self.server.address, "control").await?;
        for stream in 0..shape.streams {
            let config = serde_json::json!({
                "name": format!("s{stream}"), "subjects": [format!("s{stream}")], "storage": "file",
                "num_replicas": 1, "retention": "limits", "discard": "old",
                "max_bytes": STREAM_BYTES / shape.streams, "allow_atomic": true, "allow_batched": true,
            });
            control.ask(&format!("$JS.API.STREAM.CREATE.s{stream}"), &config.to_string()).await?;
        }
        drive(&self.server.address, shape, WARM_UP).await?;
        let meter = Meter::start(&self.server, &[]);
        let work = drive(&self.server.address, shape, duration).await?;
        let run = meter.stop(&self.server, work);
        for stream in 0..shape.streams {
            control.ask(&format!("$JS.API.STREAM.DELETE.s{stream}"), "").await?;
        }
        Ok(run)
    }
}

/// Publishes on every connection until the time is over, and waits for the last answers.
async fn drive(address: &str, shape: Shape, duration: Duration) -> Result<Work, String> {
    let until = Instant::now() + duration;
    let local = LocalSet::new();
    let publishers: Vec<_> = (0..shape.connections)
        .map(|number| {
            let address = address.to_owned();
            local.spawn_local(async move {
                let connection = Connection::open(&address, &format!("c{number}")).await?;
                let subject = format!("s{}", number % shape.streams);
                match shape.publish {
                    Publish::Single => single(connection, &subject, shape.window, until).await,
                    Publish::Atomic => atomic(connection, &subject, shape.window, until).await,
                    Publish::Fast => fast(connection, &subject, shape.window, until).await,
                }
            })
        })
        .collect();
    let mut work = Work::default();
    local
        .run_until(async {
            for publisher in publishers {
                work.records += publisher.await.map_err(|error| error.to_string())??;
            }
            Ok::<(), String>(())
        })
        .await?;
    work.requests = work.records;
    work.payload_bytes = work.records * RECORD_BYTES as u64;
    Ok(work)
}

/// Every message has an answer; answers how many there were.
async fn single(
    mut connection: Connection,
    subject: &str,
    window: usize,
    until: Instant,
) -> Result<u64, String> {
    let mut messages = Vec::new();
    let mut message_bytes = 0;
    let count = RECORDS.max(window);
    for seed in 0..count {
        messages
            .extend_from_slice(format!("PUB {subject} {}.a {RECORD_BYTES}\r\n", connection.inbox).as_bytes());
        messages.extend_from_slice(&bodies::noise(seed as u64 + 1, RECORD_BYTES));
        messages.extend_from_slice(b"\r\n");
        message_bytes = messages.len() / (seed + 1);
    }
    let (mut sent, mut answered, mut next) = (0, 0, 0);
    while answered < sent || Instant::now() < until {
        if Instant::now() < until {
            // As many as there is room for, up to the end of the prepared ones.
            let room = window - (sent - answered) as usize;
            let now = room.min(count - next);
            connection.send(&messages[next * message_bytes..(next + now) * message_bytes]).await?;
            next = (next + now) % count;
            sent += now as u64;
        }
        connection.receive(|answer| acknowledged(answer).map(|()| answered += 1)).await?;
    }
    Ok(answered)
}

/// One batch after the other; answers how many messages were in them.
async fn atomic(
    mut connection: Connection,
    subject: &str,
    batch: usize,
    until: Instant,
) -> Result<u64, String> {
    let mut messages = Vec::new();
    for seq in 1..=batch {
        let last = seq == batch;
        // An identifier can be used again once its batch is committed.
        let mut headers = format!(
            "NATS/1.0\r\nNats-Batch-Id: {}\r\nNats-Batch-Sequence: {seq}\r\n",
            connection.inbox.trim_start_matches("_INBOX.")
        );
        if last {
            headers += "Nats-Batch-Commit: 1\r\n";
        }
        headers += "\r\n";
        let reply = if last { format!("{}.a ", connection.inbox) } else { String::new() };
        let total = headers.len() + RECORD_BYTES;
        messages.extend_from_slice(
            format!("HPUB {subject} {reply}{} {total}\r\n{headers}", headers.len()).as_bytes(),
        );
        messages.extend_from_slice(&bodies::noise(seq as u64, RECORD_BYTES));
        messages.extend_from_slice(b"\r\n");
    }
    let count = format!("\"count\":{batch}");
    let mut batches = 0;
    while Instant::now() < until {
        connection.send(&messages).await?;
        let mut committed = false;
        while !committed {
            let answer = |answer: &[u8]| {
                acknowledged(answer)?;
                committed = true;
                match memchr::memmem::find(answer, count.as_bytes()) {
                    Some(_) => Ok(()),
                    None => Err(format!("not the whole batch: {}", String::from_utf8_lossy(answer))),
                }
            };
            connection.receive(answer).await?;
        }
        batches += 1;
    }
    Ok(batches * batch as u64)
}

/// A batch that ends with the time; answers how many messages were in it.
async fn fast(
    mut connection: Connection,
    subject: &str,
    window: usize,
    until: Instant,
) -> Result<u64, String> {
    let records: Vec<Vec<u8>> =
        (0..RECORDS).map(|seed| bodies::noise(seed as u64 + 1, RECORD_BYTES)).collect();
    // The server answers every so many messages; with four answers a window it never runs dry.
    let flow = FLOW_MAX.min(window / 4).max(1);
    let batch = format!("{}.{}", connection.inbox, connection.inbox.trim_start_matches("_INBOX."));
    let (start, append, commit) = (0, 1, 2);
    let (mut sent, mut answered) = (0, 0);
    let (mut out, mut committed) = (Vec::new(), false);
    while !committed {
        let over = Instant::now() >= until;
        let room = if over { 1 } else { window - (sent - answered) as usize };
        out.clear();
        for _ in 0..room {
            sent += 1;
            let operation = if over {
                commit
            } else if sent == 1 {
                start
            } else {
                append
            };
            let head = format!("PUB {subject} {batch}.{flow}.fail.{sent}.{operation}.$FI {RECORD_BYTES}\r\n");
            out.extend_from_slice(head.as_bytes());
            out.extend_from_slice(&records[sent as usize % RECORDS]);
            out.extend_from_slice(b"\r\n");
        }
        connection.send(&out).await?;
        // After the commit all that is awaited is its answer.
        loop {
            let answer = |answer: &[u8]| {
                acknowledged(answer)?;
                let json: serde_json::Value =
                    serde_json::from_slice(answer).map_err(|error| error.to_string())?;
                match (json["type"].as_str(), json["count"].as_u64()) {
                    (Some("ack"), _) => answered = json["seq"].as_u64().unwrap_or(0).max(answered),
                    (None, Some(count)) if count == sent => committed = true,
                    _ => return Err(format!("unexpected: {json}")),
                }
                Ok(())
            };
            connection.receive(answer).await?;
            if !over || committed {
                break;
            }
        }
    }
    Ok(sent)
}

/// Whether an answer says that the message is stored.
fn acknowledged(answer: &[u8]) -> Result<(), String> {
    match memchr::memmem::find(answer, b"\"error\"") {
        None if answer.starts_with(b"{") => Ok(()),
        _ => Err(format!("answered {}", String::from_utf8_lossy(answer))),
    }
}

/// A connection that hears what is sent to its inbox.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    inbox: String,
}

impl Connection {
    /// `name` must be no other connection's: its inbox would hear the same answers.
    async fn open(address: &str, name: &str) -> Result<Connection, String> {
        let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let inbox = format!("_INBOX.{name}");
        let mut hello = String::from("CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true}\r\n");
        write!(hello, "SUB {inbox}.> 1\r\n").expect("a string takes it");
        let mut connection = Connection { stream, buffer: Vec::with_capacity(1 << 20), inbox };
        connection.send(hello.as_bytes()).await?;
        Ok(connection)
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.stream.write_all(bytes).await.map_err(|error| format!("the server does not read: {error}"))
    }

    /// A request of the server's own interface.
    async fn ask(&mut self, subject: &str, body: &str) -> Result<(), String> {
        let message = format!("PUB {subject} {}.a {}\r\n{body}\r\n", self.inbox, body.len());
        self.send(message.as_bytes()).await?;
        let mut answered = false;
        while !answered {
            self.receive(|answer| acknowledged(answer).map(|()| answered = true)).await?;
        }
        Ok(())
    }

    /// Waits for something from the server, and hands every whole message in it to `message`.
    async fn receive(&mut self, mut message: impl FnMut(&[u8]) -> Result<(), String>) -> Result<(), String> {
        let read = tokio::time::timeout(SILENCE_MAX, self.stream.read_buf(&mut self.buffer)).await;
        let read = read.map_err(|_| "it does not answer".to_owned())?;
        if read.map_err(|error| error.to_string())? == 0 {
            return Err(format!("closed: {}", String::from_utf8_lossy(&self.buffer)));
        }
        let (whole, asked) = split(&self.buffer, &mut message)?;
        self.buffer.drain(..whole);
        if asked {
            self.send(b"PONG\r\n").await?;
        }
        Ok(())
    }
}

/// Hands every whole message to `message`; answers how many bytes were whole, and whether a PONG is due.
///
/// # Errors
/// What `message` says, and what the server says that is not a message.
fn split(
    bytes: &[u8],
    message: &mut impl FnMut(&[u8]) -> Result<(), String>,
) -> Result<(usize, bool), String> {
    let (mut at, mut asked) = (0, false);
    while let Some(length) = memchr::memmem::find(&bytes[at..], b"\r\n") {
        let line = &bytes[at..at + length];
        let after = at + length + 2;
        if line.starts_with(b"MSG ") {
            let length = line.rsplit(|byte| *byte == b' ').next().expect("a line has words");
            let length = std::str::from_utf8(length).ok().and_then(|length| length.parse::<usize>().ok());
            let end = after + length.ok_or("a MSG without a length")?;
            if bytes.len() < end + 2 {
                break;
            }
            message(&bytes[after..end])?;
            at = end + 2;
            continue;
        }
        match line {
            b"PING" => asked = true,
            b"PONG" | b"+OK" => {}
            line if line.starts_with(b"INFO ") => {}
            // An error, or a message with headers: nobody listens on the subject.
            line => return Err(String::from_utf8_lossy(line).into_owned()),
        }
        at = after;
    }
    Ok((at, asked))
}

#[cfg(test)]
mod tests {
    use super::{acknowledged, split};

    #[test]
    fn messages_are_whole_wherever_the_pieces_end() {
        let text = b"INFO {}\r\nMSG _INBOX.c0.a 1 7\r\n{\"a\":1}\r\nPING\r\nMSG x 1 4\r\n\r\n{}\r\n";
        for cut in 0..=text.len() {
            let mut heard: Vec<Vec<u8>> = Vec::new();
            let mut hear = |message: &[u8]| {
                heard.push(message.to_vec());
                Ok(())
            };
            let (whole, first) = split(&text[..cut], &mut hear).expect("there is no error in it");
            let (rest, second) = split(&text[whole..], &mut hear).expect("there is no error in it");
            assert_eq!((whole + rest, first != second), (text.len(), true), "cut at {cut}");
            assert_eq!(heard, [&b"{\"a\":1}"[..], b"\r\n{}"], "cut at {cut}");
        }
    }

    #[test]
    fn what_is_not_success_is_an_error() {
        let check = |text: &str, succeeds: bool| {
            let answer = split(text.as_bytes(), &mut acknowledged);
            assert_eq!(answer.is_ok(), succeeds, "{text:?}: {answer:?}");
        };
        let message = |body: &str| format!("MSG _INBOX.c0.a 1 {}\r\n{body}\r\n", body.len());
        check(&message("{\"stream\":\"s0\",\"seq\":1}"), true);
        check(&message("{\"error\":{\"code\":503},\"seq\":0}"), false);
        check(&message(""), false);
        check("-ERR 'Unknown Protocol Operation'\r\n", false);
        check("HMSG _INBOX.c0.a 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n", false);
    }
}
