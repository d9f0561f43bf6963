//! Heads and bodies that do not come, or come for ever.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::scene::{Scene, pour, swallow};

pub(super) const MANY: usize = 4_000;
/// Between two bytes.
const PAUSE: Duration = Duration::from_millis(500);
const HEAD: &str = "POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-amz-json-1.1\r\n\
                    x-amz-target: Kinesis_20131202.PutRecords\r\n";
/// Nearly as much as heads may be.
const FILLER_BYTES: usize = 60 * 1024;
/// Nearly as much as bodies may be.
const BODY_BYTES: usize = 15 << 20;

/// Large heads, and then a byte now and then. The server gives them up.
pub(super) async fn heads(scene: Arc<Scene>) {
    let start = format!("{HEAD}filler: {}", "a".repeat(FILLER_BYTES));
    let count = scene.count(400, MANY);
    trickle(&scene, count, start.as_bytes()).await;
    let dropped = scene.noted("dropped") as usize;
    assert!(scene.is_quick() || dropped == count, "only {dropped} slow heads of {count} were dropped");
}

/// The first part of a body, and then a byte now and then.
pub(super) async fn bodies(scene: Arc<Scene>) {
    let start = format!("{HEAD}content-length: 1048576\r\n\r\n{}", "a".repeat(32 * 1024));
    trickle(&scene, scene.count(400, MANY), start.as_bytes()).await;
}

/// Nearly all of the largest bodies, of more connections than there is room for, and smaller ones for the rest of the room;
/// and then a byte now and then.
pub(super) async fn large_bodies(scene: Arc<Scene>) {
    let starts = [BODY_BYTES, 1 << 20, 64 << 10, 4 << 10].map(|length| {
        format!("{HEAD}content-length: {}\r\n\r\n{}", length + 1000, "a".repeat(length)).into_bytes()
    });
    let starts = starts.into_iter().enumerate();
    let starts = starts.flat_map(|(size, start)| vec![start; scene.count(20, 40) * (size + 1)]).collect();
    trickle_each(&scene, starts).await;
}

/// A length, and no body.
pub(super) async fn claims(scene: Arc<Scene>) {
    let start = format!("{HEAD}content-length: 16777216\r\n\r\n");
    trickle(&scene, scene.count(400, MANY), start.as_bytes()).await;
}

/// A length, and the first byte of a body.
pub(super) async fn claims_with_a_byte(scene: Arc<Scene>) {
    let start = format!("{HEAD}content-length: 16777216\r\n\r\n");
    let mut streams = scene.connect_all(scene.count(400, MANY)).await;
    for stream in &mut streams {
        stream.write_all(start.as_bytes()).await.expect("it is taken");
    }
    for stream in &mut streams {
        stream.write_all(b"{").await.expect("it is taken");
    }
    scene.run(Vec::new()).await;
}

/// So many connections that begin with this and go on slowly, until the server ends them.
async fn trickle(scene: &Arc<Scene>, count: usize, start: &[u8]) {
    trickle_each(scene, vec![start.to_vec(); count]).await;
}

/// Connections that begin with these and go on slowly, until the server ends them.
async fn trickle_each(scene: &Arc<Scene>, starts: Vec<Vec<u8>>) {
    let streams = scene.connect_all(starts.len()).await;
    let mut both = streams.into_iter().zip(starts);
    scene
        .run_each(both.len(), |scene, _| {
            let (stream, start) = both.next().expect("one for each");
            let (mut from, mut to) = stream.into_split();
            async move {
                let _ = to.write_all(&start).await;
                drop(start);
                tokio::select! {
                    () = swallow(&mut from) => scene.note("dropped"),
                    () = drip(&mut to) => {}
                }
            }
        })
        .await;
}

async fn drip(to: &mut (impl AsyncWriteExt + Unpin)) {
    while to.write_all(b"a").await.is_ok() {
        tokio::time::sleep(PAUSE).await;
    }
    std::future::pending::<()>().await;
}

/// Bodies in chunks that never end: tiny ones, one with an endless extension, and endless trailers.
pub(super) async fn chunks(scene: Arc<Scene>) {
    const KINDS: [(&str, &str); 4] =
        [("", "1\r\na\r\n"), ("1;", "extension"), ("0\r\n", "trailer: a\r\n"), ("", "0000000000")];
    scene
        .run_each(scene.count(8, 40), |scene, number| async move {
            let (start, more) = KINDS[number % KINDS.len()];
            loop {
                let (mut from, mut to) = scene.connect().await.into_split();
                let head = format!("{HEAD}transfer-encoding: chunked\r\n\r\n{start}");
                let _ = to.write_all(head.as_bytes()).await;
                tokio::select! {
                    () = swallow(&mut from) => {}
                    () = pour(&mut to, more.as_bytes()) => {}
                }
                scene.note("ends");
            }
        })
        .await;
}
