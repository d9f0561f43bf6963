//! HTTP/2 by hand: frames that no library would send.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::scene::{Scene, pour, swallow};
use super::unread::hold;

/// A setting: what a stream may send before it waits.
pub(super) const INITIAL_WINDOW_SIZE: u16 = 4;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// The largest frame before anything else is agreed.
const FRAME_BYTES_MAX: usize = 16_384;
/// Streams at once on a connection: the server's number.
pub(super) const STREAMS_MAX: usize = 128;

/// An HTTP/2 connection, as raw as they come.
pub(super) struct Wire {
    stream: TcpStream,
}

impl Wire {
    /// Opens one, with these settings.
    pub(super) async fn open(scene: &Scene, settings: &[(u16, u32)]) -> Wire {
        let mut stream = scene.connect().await;
        let mut payload = Vec::new();
        for (name, value) in settings {
            payload.extend_from_slice(&name.to_be_bytes());
            payload.extend_from_slice(&value.to_be_bytes());
        }
        let mut start = PREFACE.to_vec();
        start.extend(frame(SETTINGS, 0, 0, &payload));
        start.extend(frame(SETTINGS, ACK, 0, b""));
        let _ = stream.write_all(&start).await;
        Wire { stream }
    }

    /// A whole request. What the server does not take is not sent.
    pub(super) async fn request(&mut self, stream: u32, operation: &str, body: &[u8]) {
        let _ = self.stream.write_all(&request_frames(stream, operation, body)).await;
    }

    fn split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        self.stream.into_split()
    }
}

/// The streams of a client.
pub(super) fn stream_ids() -> impl Iterator<Item = u32> {
    (1..1 << 31).step_by(2)
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A request's header block: POST, http, / and the rest as literals that no table remembers.
fn header_block(operation: &str) -> Vec<u8> {
    let mut block = vec![0x83, 0x86, 0x84];
    let target = format!("Kinesis_20131202.{operation}");
    for (name, value) in [
        (":authority", "simulation"),
        ("content-type", "application/x-amz-json-1.1"),
        ("x-amz-target", target.as_str()),
    ] {
        field(&mut block, name, value);
    }
    block
}

/// Appends a literal.
fn field(block: &mut Vec<u8>, name: &str, value: &str) {
    block.push(0);
    for text in [name, value] {
        integer(block, text.len());
        block.extend(text.as_bytes());
    }
}

/// HPACK's integers with a prefix of seven bits.
fn integer(block: &mut Vec<u8>, value: usize) {
    if value < 127 {
        block.push(value as u8);
        return;
    }
    block.push(127);
    let mut rest = value - 127;
    while rest >= 128 {
        block.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    block.push(rest as u8);
}

fn request_frames(stream: u32, operation: &str, body: &[u8]) -> Vec<u8> {
    let mut frames = frame(HEADERS, END_HEADERS, stream, &header_block(operation));
    frames.extend(frame(DATA, END_STREAM, stream, body));
    frames
}

/// A head as large as it may be, in as many frames as it takes, and no body yet.
fn large_head_frames(stream: u32) -> Vec<u8> {
    let mut block = header_block("PutRecords");
    for number in 0..6 {
        field(&mut block, &format!("filler-{number}"), &"a".repeat(10_000));
    }
    let pieces: Vec<&[u8]> = block.chunks(FRAME_BYTES_MAX).collect();
    let mut frames = Vec::new();
    for (number, piece) in pieces.iter().enumerate() {
        let kind = if number == 0 { HEADERS } else { CONTINUATION };
        let flags = if number + 1 == pieces.len() { END_HEADERS } else { 0 };
        frames.extend(frame(kind, flags, stream, piece));
    }
    frames
}

/// Streams up to the most and beyond, none of which gets its body.
pub(super) async fn streams(scene: Arc<Scene>) {
    scene
        .run_each(scene.count(20, 200), |scene, _| async move {
            let (mut from, mut to) = Wire::open(&scene, &[]).await.split();
            for stream in stream_ids().take(STREAMS_MAX + 10) {
                let _ = to.write_all(&frame(HEADERS, END_HEADERS, stream, &header_block("PutRecords"))).await;
            }
            swallow(&mut from).await;
            hold(to).await;
        })
        .await;
}

/// Streams without bodies, whose heads are as large as they may be.
pub(super) async fn large_heads(scene: Arc<Scene>) {
    scene
        .run_each(scene.count(10, 200), |scene, _| async move {
            let (mut from, mut to) = Wire::open(&scene, &[]).await.split();
            let send = async {
                for stream in stream_ids().take(STREAMS_MAX) {
                    let _ = to.write_all(&large_head_frames(stream)).await;
                }
            };
            tokio::join!(send, swallow(&mut from));
            hold(to).await;
        })
        .await;
}

/// Streams that are reset right after their heads, over and over.
pub(super) async fn rapid_resets(scene: Arc<Scene>) {
    over_and_over(&scene, |stream| {
        let mut frames = frame(HEADERS, END_HEADERS, stream, &header_block("PutRecords"));
        frames.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
        frames
    })
    .await;
}

/// Whole requests that are reset before they can be answered, over and over.
pub(super) async fn reset_requests(scene: Arc<Scene>) {
    let body = format!(r#"{{"StreamName":"abuse","PartitionKey":"a","Data":"{}"}}"#, "A".repeat(8000));
    over_and_over(&scene, move |stream| {
        let mut frames = request_frames(stream, "PutRecord", body.as_bytes());
        frames.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
        frames
    })
    .await;
}

/// Sends for one stream after the other, and begins anew when the server ends the connection.
async fn over_and_over(scene: &Arc<Scene>, frames: impl Fn(u32) -> Vec<u8> + Send + Sync + 'static) {
    let frames = Arc::new(frames);
    scene
        .run_each(scene.count(8, 32), |scene, _| {
            let frames = Arc::clone(&frames);
            async move {
                loop {
                    let (mut from, mut to) = Wire::open(&scene, &[]).await.split();
                    let send = async {
                        for stream in stream_ids() {
                            if to.write_all(&frames(stream)).await.is_err() {
                                return;
                            }
                        }
                    };
                    tokio::select! {
                        () = send => {}
                        () = swallow(&mut from) => {}
                    }
                    scene.note("ends");
                }
            }
        })
        .await;
}

/// A head that never ends, in one frame after the other.
pub(super) async fn continuations(scene: Arc<Scene>) {
    let mut start = frame(HEADERS, 0, 1, &header_block("PutRecords"));
    let mut block = Vec::new();
    field(&mut block, "filler", &"a".repeat(1000));
    start.extend(frame(CONTINUATION, 0, 1, &block));
    flood(&scene, start, frame(CONTINUATION, 0, 1, &block), Reads::Yes).await;
}

/// The same with frames that have nothing in them.
pub(super) async fn empty_continuations(scene: Arc<Scene>) {
    let start = frame(HEADERS, 0, 1, &header_block("PutRecords"));
    flood(&scene, start, frame(CONTINUATION, 0, 1, b""), Reads::Yes).await;
}

/// Frames of a body that have nothing in them.
pub(super) async fn empty_data(scene: Arc<Scene>) {
    let start = frame(HEADERS, END_HEADERS, 1, &header_block("PutRecords"));
    flood(&scene, start, frame(DATA, 0, 1, b""), Reads::Yes).await;
}

/// Pings, whose answers nobody reads.
pub(super) async fn pings(scene: Arc<Scene>) {
    flood(&scene, Vec::new(), frame(PING, 0, 0, &[7; 8]), Reads::No).await;
}

/// Settings, whose acknowledgements nobody reads.
pub(super) async fn settings(scene: Arc<Scene>) {
    flood(&scene, Vec::new(), frame(SETTINGS, 0, 0, b"\0\x04\0\0\xff\xff"), Reads::No).await;
}

/// Windows that grow by a byte, over and over.
pub(super) async fn window_updates(scene: Arc<Scene>) {
    let start = frame(HEADERS, END_HEADERS, 1, &header_block("PutRecords"));
    let mut more = frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes());
    more.extend(frame(WINDOW_UPDATE, 0, 1, &1_u32.to_be_bytes()));
    flood(&scene, start, more, Reads::Yes).await;
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reads {
    Yes,
    No,
}

/// Sends the start once and the rest for ever, on connections that begin anew when the server ends them.
async fn flood(scene: &Arc<Scene>, start: Vec<u8>, more: Vec<u8>, reads: Reads) {
    scene
        .run_each(scene.count(8, 32), |scene, _| {
            let (start, more) = (start.clone(), more.clone());
            async move {
                loop {
                    let (mut from, mut to) = Wire::open(&scene, &[]).await.split();
                    let _ = to.write_all(&start).await;
                    match reads {
                        Reads::Yes => send_and_read(&mut to, &more, &mut from).await,
                        Reads::No => pour(&mut to, &more).await,
                    }
                    scene.note("ends");
                }
            }
        })
        .await;
}

async fn send_and_read(
    to: &mut (impl AsyncWrite + Unpin),
    bytes: &[u8],
    from: &mut (impl AsyncRead + Unpin),
) {
    tokio::select! {
        () = pour(to, bytes) => {}
        () = swallow(from) => {}
    }
}
