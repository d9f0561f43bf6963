//! Taking a request's body in: bounded in size, in time, and in what all bodies together may take.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, EXPECT};
use http::request::Parts;
use http_body::Body;
use http_body_util::BodyExt;
use thalweg_system::Clock;

use crate::Settings;
use crate::settings::{BODY_BYTES_AT_ONCE, BODY_BYTES_MAX, BODY_PROGRESS_BYTES, DRAINED_BYTES_MAX};

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyRefusal {
    /// It is longer than any request may be. Whether the client is still sending.
    TooLong { sending: bool },
    /// It does not come.
    TooSlow,
    /// There is no room for it at the moment.
    NoRoom,
    /// It broke off, or its encoding is malformed.
    Broken,
}

/// A body, and its share of what all bodies together may take.
pub(crate) struct RequestBody {
    pub(crate) bytes: Bytes,
    /// Given back when the request is over.
    pub(crate) share: Share,
}

/// What one body takes of [`Settings::bodies_bytes_max`].
pub(crate) struct Share {
    taken: usize,
    total: Arc<AtomicUsize>,
}

impl Share {
    fn take(&mut self, more: usize, max: usize) -> Result<(), BodyRefusal> {
        let before = self.total.fetch_add(more, Ordering::Relaxed);
        self.taken += more;
        // What was added too much is given back on drop.
        if before.saturating_add(more) > max { Err(BodyRefusal::NoRoom) } else { Ok(()) }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.total.fetch_sub(self.taken, Ordering::Relaxed);
    }
}

/// Reads the body to its end. One that comes in a single piece is not copied.
pub(crate) async fn collect<B>(
    head: &Parts,
    body: B,
    settings: &Settings,
    clock: &dyn Clock,
    total: &Arc<AtomicUsize>,
) -> Result<RequestBody, BodyRefusal>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut share = Share { taken: 0, total: Arc::clone(total) };
    let mut pieces = Pieces { body, clock, timeout: settings.body_timeout, pause: None, since_pause: 0 };
    let claimed = match content_length(head) {
        Some(length) if length > BODY_BYTES_MAX as u64 => return Err(pieces.too_long(head, 0).await),
        Some(length) => Some(length as usize),
        None => None,
    };

    let Some(first) = pieces.next().await? else {
        return Ok(RequestBody { bytes: Bytes::new(), share });
    };
    share.take(first.len(), settings.bodies_bytes_max)?;
    let Some(second) = (match claimed {
        Some(length) if first.len() >= length => None,
        _ => pieces.next().await?,
    }) else {
        return Ok(RequestBody { bytes: first, share });
    };

    let mut whole = BytesMut::new();
    let mut piece = first;
    let mut next = Some(second);
    loop {
        if whole.len() + piece.len() > BODY_BYTES_MAX {
            return Err(pieces.too_long(head, whole.len() + piece.len()).await);
        }
        make_room(&mut whole, piece.len(), claimed);
        whole.extend_from_slice(&piece);
        piece = match next.take() {
            Some(piece) => piece,
            None => match pieces.next().await? {
                Some(piece) => piece,
                None => break,
            },
        };
        share.take(piece.len(), settings.bodies_bytes_max)?;
    }
    Ok(RequestBody { bytes: whole.freeze(), share })
}

/// Grows with what has come, up to what was claimed: never by more than came, or [`BODY_BYTES_AT_ONCE`].
fn make_room(whole: &mut BytesMut, more: usize, claimed: Option<usize>) {
    let needed = whole.len() + more;
    if needed <= whole.capacity() {
        return;
    }
    let grown = needed.max(whole.capacity() * 2).max(BODY_BYTES_AT_ONCE);
    let capacity = claimed.map_or(needed.max(whole.capacity() * 2), |claimed| grown.min(claimed).max(needed));
    whole.reserve(capacity - whole.len());
}

fn content_length(head: &Parts) -> Option<u64> {
    head.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The pieces of a body as they come, watched for progress.
struct Pieces<'a, B> {
    body: B,
    clock: &'a dyn Clock,
    timeout: Duration,
    /// Runs while a piece is waited for; renewed by progress.
    pause: Option<thalweg_system::BoxFuture<'static, ()>>,
    /// What has come since it was started.
    since_pause: usize,
}

impl<B: Body<Data = Bytes> + Unpin> Pieces<'_, B> {
    /// The next piece; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, BodyRefusal> {
        loop {
            // Most pieces are there already: a timer for each would cost more than the piece.
            let frame = match futures_util::FutureExt::now_or_never(self.body.frame()) {
                Some(frame) => frame,
                None => {
                    let (clock, timeout) = (self.clock, self.timeout);
                    let pause = self.pause.get_or_insert_with(|| clock.sleep(timeout));
                    match futures_util::future::select(self.body.frame(), pause).await {
                        futures_util::future::Either::Left((frame, _)) => frame,
                        futures_util::future::Either::Right(_) if self.since_pause >= BODY_PROGRESS_BYTES => {
                            (self.pause, self.since_pause) = (None, 0);
                            continue;
                        }
                        futures_util::future::Either::Right(_) => return Err(BodyRefusal::TooSlow),
                    }
                }
            };
            match frame {
                None => return Ok(None),
                Some(Err(_)) => return Err(BodyRefusal::Broken),
                // Trailers say nothing to us.
                Some(Ok(frame)) => {
                    if let Ok(piece) = frame.into_data()
                        && !piece.is_empty()
                    {
                        self.since_pause += piece.len();
                        return Ok(Some(piece));
                    }
                }
            }
        }
    }

    /// Lets a client that sends all before it reads send all, within bounds. One that asked first is told now.
    async fn too_long(mut self, head: &Parts, mut read: usize) -> BodyRefusal {
        if head.headers.contains_key(EXPECT) || head.version == http::Version::HTTP_2 {
            return BodyRefusal::TooLong { sending: true };
        }
        loop {
            match self.next().await {
                Ok(Some(piece)) if read + piece.len() <= DRAINED_BYTES_MAX => read += piece.len(),
                Ok(None) => return BodyRefusal::TooLong { sending: false },
                Ok(Some(_)) | Err(_) => return BodyRefusal::TooLong { sending: true },
            }
        }
    }
}
