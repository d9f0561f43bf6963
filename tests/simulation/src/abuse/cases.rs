//! All cases, with what each may take.

use std::sync::Arc;

use thalweg_gateway::settings::read_buffer_bytes;
use thalweg_system::BoxFuture;

use super::scene::Scene;
use super::{bodies, connections, frames, overload, slow, unread};

pub(super) struct Case {
    pub(super) name: &'static str,
    /// The most resident memory that the server may have.
    pub(super) bytes_max: usize,
    /// What may stay resident afterwards, more than before, without a look at whether it is lost.
    pub(super) kept_bytes_max: usize,
    /// How long it lasts in the long form.
    pub(super) seconds: u64,
    /// The server's limit of open files, if it is not the machine's.
    pub(super) descriptors: Option<usize>,
    pub(super) act: fn(Arc<Scene>) -> BoxFuture<'static, ()>,
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// The program at rest and what records take in it: undrained 64 MiB, queued 64 MiB, tail and chunk cache 16 MiB each,
/// buffers of segments 32 MiB.
const STORE: usize = 224 * MIB;
/// What the journal keeps of the memory of batches while puts come, beside the store (`batch_memory`).
const BATCHES: usize = 256 * MIB;
/// `bodies_bytes_max` of the gateway.
const BODIES: usize = 256 * MIB;
/// `answers_bytes_max` of the gateway, and the answers in the making: `PAGES_MAX` times 23.4 MiB.
const ANSWERS: usize = 256 * MIB + 188 * MIB;
/// `events_bytes_max` of the gateway.
const EVENTS: usize = 256 * MIB;
/// What the allocator keeps of small pieces that were given back to it.
const ALLOCATOR: usize = 96 * MIB;
/// Less than the files and a few connections need together.
pub(super) const SCARCE_DESCRIPTORS: usize = 400;

const fn case(
    name: &'static str,
    bytes_max: usize,
    seconds: u64,
    act: fn(Arc<Scene>) -> BoxFuture<'static, ()>,
) -> Case {
    Case { name, bytes_max, kept_bytes_max: ALLOCATOR, seconds, descriptors: None, act }
}

/// The read buffers of so many connections with large bodies.
const fn read_buffers(connections: usize) -> usize {
    let (mut sum, mut number) = (0, 1);
    while number <= connections {
        sum += read_buffer_bytes(number);
        number += 1;
    }
    sum
}

impl Case {
    /// Clients put much: the caches are full afterwards.
    const fn with_puts(mut self) -> Case {
        self.kept_bytes_max = STORE + BATCHES + ALLOCATOR;
        self
    }
}

pub(super) const CASES: &[Case] = &[
    // A connection that has said nothing has no buffers.
    case("connections-idle", STORE + connections::MANY * 8 * KIB, 5, |scene| {
        Box::pin(connections::idle(scene))
    }),
    case("connections-active", STORE + connections::MANY * 32 * KIB, 10, |scene| {
        Box::pin(connections::active(scene))
    })
    .with_puts(),
    case("connections-after-large", STORE + BATCHES + read_buffers(4000), 5, |scene| {
        Box::pin(connections::idle_after_large(scene))
    })
    .with_puts(),
    case("connections-above-limit", STORE + connections::TOO_MANY * 8 * KIB, 5, |scene| {
        Box::pin(connections::above_the_limit(scene))
    }),
    Case {
        descriptors: Some(SCARCE_DESCRIPTORS),
        ..case("descriptors-scarce", STORE + BODIES, 5, |scene| {
            Box::pin(connections::above_the_descriptors(scene))
        })
        .with_puts()
    },
    case("resets", STORE + BODIES, 5, |scene| Box::pin(connections::resets(scene))).with_puts(),
    case("garbage", STORE, 3, |scene| Box::pin(connections::garbage(scene))),
    case("pipelined-unread", STORE + 500 * 512 * KIB, 5, |scene| Box::pin(connections::pipelined(scene))),
    // A head may take 64 KiB, in a buffer that doubles.
    case("slow-heads", STORE + slow::MANY * 128 * KIB, 16, |scene| Box::pin(slow::heads(scene))),
    case("slow-bodies", STORE + BODIES + slow::MANY * 32 * KIB, 5, |scene| Box::pin(slow::bodies(scene))),
    case("slow-bodies-large", STORE + BODIES, 12, |scene| Box::pin(slow::large_bodies(scene))),
    case("claimed-lengths", STORE + slow::MANY * 32 * KIB, 5, |scene| Box::pin(slow::claims(scene))),
    case("claimed-lengths-byte", STORE + slow::MANY * 32 * KIB, 5, |scene| {
        Box::pin(slow::claims_with_a_byte(scene))
    }),
    case("chunks-endless", STORE + BODIES, 5, |scene| Box::pin(slow::chunks(scene))),
    case("unread-http1", STORE + ANSWERS, 12, |scene| Box::pin(unread::answers_http1(scene))).with_puts(),
    case("unread-http2", STORE + ANSWERS, 12, |scene| Box::pin(unread::answers_http2(scene))).with_puts(),
    case("unread-http2-small", STORE + 200 * 128 * 16 * KIB, 5, |scene| {
        Box::pin(unread::small_answers_http2(scene))
    }),
    case("subscribers-http1", STORE + 80 * MIB, 10, |scene| Box::pin(unread::subscribers_http1(scene)))
        .with_puts(),
    case("subscribers-http2", STORE + 80 * MIB, 10, |scene| Box::pin(unread::subscribers_http2(scene)))
        .with_puts(),
    case("subscribers-apart", STORE + EVENTS, 15, |scene| Box::pin(unread::subscribers_apart(scene)))
        .with_puts(),
    case("bodies-http1", STORE + BATCHES + BODIES + read_buffers(60), 10, |scene| {
        Box::pin(bodies::http1(scene))
    })
    .with_puts(),
    case("bodies-http2", STORE + BATCHES + BODIES, 10, |scene| Box::pin(bodies::http2(scene))).with_puts(),
    case("streams", STORE + 200 * frames::STREAMS_MAX * 16 * KIB, 5, |scene| {
        Box::pin(frames::streams(scene))
    }),
    case("large-heads", STORE + BODIES, 5, |scene| Box::pin(frames::large_heads(scene))),
    case("rapid-resets", STORE, 5, |scene| Box::pin(frames::rapid_resets(scene))),
    case("reset-requests", STORE + BODIES, 5, |scene| Box::pin(frames::reset_requests(scene))).with_puts(),
    case("continuations", STORE, 3, |scene| Box::pin(frames::continuations(scene))),
    case("continuations-empty", STORE, 3, |scene| Box::pin(frames::empty_continuations(scene))),
    case("data-empty", STORE, 3, |scene| Box::pin(frames::empty_data(scene))),
    case("pings", STORE, 3, |scene| Box::pin(frames::pings(scene))),
    case("settings", STORE, 3, |scene| Box::pin(frames::settings(scene))),
    case("window-updates", STORE, 3, |scene| Box::pin(frames::window_updates(scene))),
    case("overload", STORE + BATCHES + BODIES + read_buffers(600), 15, |scene| {
        Box::pin(overload::putters(scene))
    })
    .with_puts(),
];
