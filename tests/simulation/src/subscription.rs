//! What SubscribeToShard answers over HTTP/1.1: chunks of an event stream, for as long as both sides like.

use serde_json::Value;
use thalweg_wire::event_stream;

use crate::client::{Connection, receive};

pub(crate) struct Subscription {
    connection: Box<dyn Connection>,
    /// Behind the head: chunks, the last of which may not be whole.
    received: Vec<u8>,
    /// What was in the chunks: frames, the last of which may not be whole.
    frames: Vec<u8>,
}

impl Subscription {
    /// Goes on from `received`, what came behind the answer's head.
    pub(crate) fn new(connection: Box<dyn Connection>, received: Vec<u8>) -> Subscription {
        Subscription { connection, received, frames: Vec::new() }
    }

    /// The next event; `None` when the stream ends, or breaks.
    ///
    /// # Panics
    /// When what comes is no event stream.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            let Some((frame, length)) = event_stream::decode(&self.frames).expect("frames are whole") else {
                self.take_chunk().await?;
                continue;
            };
            if frame.header(":message-type") != Some("event") {
                return None;
            }
            let is_event = frame.header(":event-type") == Some("SubscribeToShardEvent");
            let event = is_event.then(|| serde_json::from_slice(frame.payload).expect("events are JSON"));
            self.frames.drain(..length);
            if event.is_some() {
                return event;
            }
        }
    }

    async fn take_chunk(&mut self) -> Option<()> {
        loop {
            if let Some((chunk, length)) = chunk(&self.received) {
                if chunk.is_empty() {
                    return None;
                }
                self.frames.extend_from_slice(chunk);
                self.received.drain(..length);
                return Some(());
            }
            receive(&mut self.connection, &mut self.received).await.ok()?;
        }
    }
}

/// The first chunk, if it is whole, and how many bytes it takes with all around it. An empty one is the last.
fn chunk(received: &[u8]) -> Option<(&[u8], usize)> {
    let line = received.windows(2).position(|window| window == b"\r\n")?;
    let length = std::str::from_utf8(&received[..line]).expect("lengths of chunks are ASCII");
    let length = usize::from_str_radix(length, 16).expect("chunks have a length");
    let end = line + 2 + length + 2;
    (end <= received.len()).then(|| (&received[line + 2..end - 2], end))
}
