//! Every bound of the gateway, with its reason.

use std::num::NonZeroUsize;
use std::time::Duration;

use thalweg_types::limits::SUBSCRIPTION_SECONDS;

/// Longest request head, all its lines together. SigV4 with a session token takes about 4 KiB; 431 above it.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Most fields in a request's head; 431 above it.
pub const HEADERS_MAX: usize = 100;
/// Largest read buffer of an HTTP/1.1 connection: two reads for a PutRecords of 500 x 1 KiB. hyper grows it only
/// while reads fill it.
pub const READ_BUFFER_BYTES_MAX: usize = 512 * 1024;
/// Smallest bound of a read buffer: the longest head and the beginning of its body.
pub const READ_BUFFER_BYTES_MIN: usize = HEAD_BYTES_MAX + 8 * 1024;
/// What read buffers may take together as long as there are few connections: hyper never gives back what one has grown to, so
/// that later connections get smaller ones.
pub const READ_BUFFERS_BYTES: usize = 64 * 1024 * 1024;

/// The bound of the read buffer of one of so many connections.
pub const fn read_buffer_bytes(connections: usize) -> usize {
    let share = READ_BUFFERS_BYTES / if connections == 0 { 1 } else { connections };
    match share {
        ..READ_BUFFER_BYTES_MIN => READ_BUFFER_BYTES_MIN,
        READ_BUFFER_BYTES_MAX.. => READ_BUFFER_BYTES_MAX,
        _ => share,
    }
}

/// Longest request body: a PutRecords of 10 MiB in base64 (13.4 MiB), 500 partition keys of 256 characters, all
/// of them escaped (1.5 MiB), names and punctuation. 413 above it.
pub const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How much of a body that is too long is read and thrown away, so that a client that sends all before it reads
/// gets its 413 instead of a broken connection.
pub const DRAINED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How much a client that only claims a length makes us allocate before the bytes come.
pub const BODY_BYTES_AT_ONCE: usize = 64 * 1024;
/// How many times what has come of a body is made room for, where the client says that so much comes: the usual PutRecords
/// over HTTP/2 grows twice.
pub const BODY_GROWTH: usize = 4;
/// A body makes progress when this much of it (or its end) arrives within [`Settings::body_timeout`].
pub const BODY_PROGRESS_BYTES: usize = 16 * 1024;
/// When a connection has read so much others have their turn on its thread. hyper reads on while there is something, and a
/// chunk size that never ends costs it 60 ns a byte.
pub const TURN_BYTES_MAX: u64 = 256 * 1024;

/// Streams at once on one HTTP/2 connection: requests and subscriptions together. Clients open another connection
/// when they need more. AWS's own number is not known; its SDKs assume 100 or fewer.
pub const STREAMS_MAX: u32 = 128;
/// What an HTTP/2 client may send on one stream before it waits for us: a PutRecords of 500 x 1 KiB at once.
pub const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
/// What an HTTP/2 client may send on all streams of a connection before it waits for us.
pub const CONNECTION_WINDOW_BYTES: u32 = 8 * 1024 * 1024;
/// Largest HTTP/2 frame that we take: fewer, larger reads for large bodies.
pub const FRAME_BYTES_MAX: u32 = 256 * 1024;
/// What is buffered per HTTP/2 stream for a client that does not read.
pub const SEND_BUFFER_BYTES_MAX: usize = 512 * 1024;
/// Streams that an HTTP/2 client may reset before we looked at them; beyond it the connection ends ("rapid reset").
pub const PENDING_RESETS_MAX: usize = 20;
/// Streams that an HTTP/2 client may make us reset by protocol errors; beyond it the connection ends.
pub const ERROR_RESETS_MAX: usize = 64;

/// What a request takes besides its head and its body while it waits for the body: its stream, its future.
pub const REQUEST_BYTES: usize = 4 * 1024;
/// What a field of a head takes besides its name and its value: HeaderMap keeps 104 bytes for a name, and 72 for each further
/// value of it.
pub const FIELD_BYTES: usize = 112;
/// Answers from this size on are counted. Smaller ones are soon in the kernel's buffers.
pub const ANSWER_BYTES_COUNTED: usize = 4 * 1024;
/// A client takes its answers when it takes so much (or all) of them within [`Settings::write_timeout`].
pub const ANSWER_PROGRESS_BYTES: u64 = 16 * 1024;
/// How many times as often bodies and answers must make progress while more than half of what they may take is taken. Progress
/// is then at least this part of what is held for one.
pub const CROWDED_HASTE: u32 = 12;

/// Connections that wait in the kernel for us to accept them.
pub const BACKLOG: i32 = 1024;
/// Connections on their way from the accepting thread to a worker.
pub const HAND_OVER_MAX: usize = 64;
/// How long accepting pauses after the operating system refused (out of file descriptors).
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What the program may choose.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many threads serve connections.
    pub threads: NonZeroUsize,
    /// Connections at once. Further ones wait in the kernel's backlog until one ends.
    pub connections_max: usize,
    /// Request bodies in memory at once, in bytes, over all connections. Beyond it requests are answered with 503,
    /// which clients retry.
    pub bodies_bytes_max: usize,
    /// Answers that clients have not taken yet, in bytes, over all connections. Beyond it requests are answered with
    /// 503, which clients retry.
    pub answers_bytes_max: usize,
    /// Events of subscriptions that are kept for others or that not all clients have taken yet, in bytes; one that goes
    /// to many counts once. Beyond it, subscriptions wait.
    pub events_bytes_max: usize,
    /// How long a request head may take from its first byte on.
    pub head_timeout: Duration,
    /// How long a connection may be open without a request. Longer than clients keep theirs, so that it is they
    /// who close: a request that crosses our closing on the wire looks like a lost answer to them.
    pub idle_timeout: Duration,
    /// Within which time a body must make progress ([`BODY_PROGRESS_BYTES`]).
    pub body_timeout: Duration,
    /// How long a client may leave an answer unread: without taking a single byte of it, or [`ANSWER_PROGRESS_BYTES`] of a
    /// large one, and over HTTP/2 of any.
    pub write_timeout: Duration,
    /// The same for the events of subscriptions. Longer, because consumers process what they have before they take more, and
    /// a subscription that stands still should not end those beside it on its connection; so long as it would last.
    pub event_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            connections_max: 10_000,
            bodies_bytes_max: 256 * 1024 * 1024,
            answers_bytes_max: 256 * 1024 * 1024,
            events_bytes_max: 256 * 1024 * 1024,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(300),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(60),
            event_timeout: Duration::from_secs(SUBSCRIPTION_SECONDS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_buffers_of_many_connections_are_small() {
        for (connections, expected) in
            [(0, 512 << 10), (1, 512 << 10), (128, 512 << 10), (256, 256 << 10), (10_000, 72 << 10)]
        {
            assert_eq!(read_buffer_bytes(connections), expected, "{connections}");
        }
        let of_all: usize = (1..=10_000).map(read_buffer_bytes).sum();
        assert!(of_all < 900 << 20, "{of_all}");
    }
}
