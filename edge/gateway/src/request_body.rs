//! Taking a request's body in: bounded in size, in time, and in what all bodies together may take.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use http::header::{CONTENT_LENGTH, EXPECT};
use http::request::Parts;
use http_body::Body;
use http_body_util::BodyExt;
use thalweg_system::Clock;

use crate::Settings;
use crate::budget::{Budget, Full, Share};
use crate::settings::{
    BODY_BYTES_AT_ONCE, BODY_BYTES_MAX, BODY_GROWTH, BODY_PROGRESS_BYTES, CROWDED_HASTE, DRAINED_BYTES_MAX,
    FIELD_BYTES, REQUEST_BYTES,
};

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyRefusal {
    /// It is longer than any request may be.
    TooLong,
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

impl From<Full> for BodyRefusal {
    fn from(_: Full) -> Self {
        BodyRefusal::NoRoom
    }
}

/// Reads the body to its end. One that comes in a single piece is not copied. A request whose body must be waited for
/// pays for its head, too.
pub(crate) async fn collect<B>(
    head: &Parts,
    body: B,
    settings: &Settings,
    clock: &dyn Clock,
    budget: &Arc<Budget>,
) -> Result<RequestBody, BodyRefusal>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut share = budget.share();
    let mut pieces = Pieces {
        body,
        clock,
        budget,
        timeout: settings.body_timeout,
        pause: None,
        progress_at: Duration::ZERO,
        since_progress: 0,
        reserved: 0,
    };
    let claimed = match content_length(head) {
        Some(length) if length > BODY_BYTES_MAX as u64 => {
            return Err(pieces.refuse(head, share, BodyRefusal::TooLong).await);
        }
        Some(length) => Some(length as usize),
        None => None,
    };
    // Small ones find room beside large ones that are slow.
    let is_small = claimed.is_some_and(|claimed| claimed <= BODY_BYTES_AT_ONCE);
    let take = |share: &mut Share, more| match is_small {
        true => share.take_small(more),
        false => share.take_for_long(more),
    };

    let first = match pieces.next().now_or_never() {
        Some(first) => first?,
        None => {
            if take(&mut share, request_bytes(head)).is_err() {
                return Err(pieces.refuse(head, share, BodyRefusal::NoRoom).await);
            }
            match pieces.next().await {
                Ok(first) => first,
                Err(refusal) => return Err(pieces.refuse(head, share, refusal).await),
            }
        }
    };
    let Some(first) = first else {
        return Ok(RequestBody { bytes: Bytes::new(), share });
    };
    let mut whole = BytesMut::new();
    let mut only = Some(first);
    loop {
        let piece = match only.take() {
            // All of it, where the client said how much comes.
            Some(first) if claimed == Some(first.len()) => {
                // All has come: there is nothing to throw away.
                share.take(first.len())?;
                return Ok(RequestBody { bytes: first, share });
            }
            Some(first) => first,
            None => match pieces.next().await {
                Ok(Some(piece)) => piece,
                Ok(None) => return Ok(RequestBody { bytes: whole.freeze(), share }),
                Err(refusal) => {
                    drop(whole);
                    return Err(pieces.refuse(head, share, refusal).await);
                }
            },
        };
        let capacity = capacity_for(&whole, piece.len(), claimed);
        let refusal = if whole.len() + piece.len() > BODY_BYTES_MAX {
            Err(BodyRefusal::TooLong)
        } else {
            // What is reserved counts, not what has come: the allocator gives each body other pages.
            take(&mut share, capacity - whole.capacity()).map_err(BodyRefusal::from)
        };
        if let Err(refusal) = refusal {
            drop((whole, piece));
            return Err(pieces.refuse(head, share, refusal).await);
        }
        pieces.reserved = capacity;
        whole.reserve(capacity - whole.len());
        whole.extend_from_slice(&piece);
    }
}

/// The capacity that a body needs for so many bytes more. It grows with what has come, up to what was claimed: to no more
/// than [`BODY_GROWTH`] times of it, or [`BODY_BYTES_AT_ONCE`].
fn capacity_for(whole: &BytesMut, more: usize, claimed: Option<usize>) -> usize {
    let needed = whole.len() + more;
    if needed <= whole.capacity() {
        return whole.capacity();
    }
    match claimed {
        Some(claimed) => (needed * BODY_GROWTH).max(BODY_BYTES_AT_ONCE).min(claimed).max(needed),
        None => needed.max(whole.capacity() * 2),
    }
}

/// What a request takes that waits for its body.
fn request_bytes(head: &Parts) -> usize {
    let fields = head.headers.iter().map(|(name, value)| FIELD_BYTES + name.as_str().len() + value.len());
    REQUEST_BYTES + fields.sum::<usize>()
}

fn content_length(head: &Parts) -> Option<u64> {
    head.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The pieces of a body as they come, watched for progress.
struct Pieces<'a, B> {
    body: B,
    clock: &'a dyn Clock,
    budget: &'a Budget,
    timeout: Duration,
    /// Runs while a piece is waited for: until the next look at the progress.
    pause: Option<thalweg_system::BoxFuture<'static, ()>>,
    /// When there was progress, by the monotonic clock; or the first pause.
    progress_at: Duration,
    /// What has come since then.
    since_progress: usize,
    /// What is held for it.
    reserved: usize,
}

impl<B: Body<Data = Bytes> + Unpin> Pieces<'_, B> {
    /// The next piece; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, BodyRefusal> {
        loop {
            // Most pieces are there already: a timer for each would cost more than the piece.
            let frame = match self.body.frame().now_or_never() {
                Some(frame) => frame,
                None => {
                    if self.pause.is_none() {
                        self.progress_at = self.clock.monotonic();
                        self.pause = Some(self.clock.sleep(self.timeout / CROWDED_HASTE));
                    }
                    let pause = self.pause.as_mut().expect("it was just made");
                    match futures_util::future::select(self.body.frame(), pause).await {
                        futures_util::future::Either::Left((frame, _)) => frame,
                        futures_util::future::Either::Right(_) => {
                            self.look()?;
                            continue;
                        }
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
                        self.since_progress += piece.len();
                        return Ok(Some(piece));
                    }
                }
            }
        }
    }

    /// Whether it comes fast enough: when it is crowded, so that all that is held for it would come within the timeout.
    fn look(&mut self) -> Result<(), BodyRefusal> {
        let step = self.timeout / CROWDED_HASTE;
        let is_crowded = self.budget.is_crowded();
        let part = if is_crowded { self.reserved / CROWDED_HASTE as usize } else { 0 };
        if self.since_progress >= BODY_PROGRESS_BYTES.max(part) {
            (self.pause, self.since_progress) = (None, 0);
            return Ok(());
        }
        let waited = self.clock.monotonic().saturating_sub(self.progress_at);
        self.pause = None;
        if is_crowded {
            return Err(BodyRefusal::NoRoom);
        }
        if waited >= self.timeout {
            return Err(BodyRefusal::TooSlow);
        }
        self.pause = Some(self.clock.sleep(step.min(self.timeout - waited)));
        Ok(())
    }

    /// Throws the rest away, within bounds, so that a client that sends all before it reads gets its answer
    /// instead of a broken connection. One that asked first is told now. In HTTP/2 too, although a stream can be
    /// reset there after its answer: Node.js and curl then lose the answer, and Node.js waits for it for ever.
    ///
    /// Meanwhile the head is held, and nothing else. Where there is no room for that either, the client is told now.
    ///
    /// Boxed, or it would be part of every request's future five times over.
    fn refuse(
        mut self,
        head: &Parts,
        mut share: Share,
        refusal: BodyRefusal,
    ) -> Pin<Box<impl Future<Output = BodyRefusal>>> {
        Box::pin(async move {
            let is_over = matches!(refusal, BodyRefusal::TooSlow | BodyRefusal::Broken);
            if is_over || head.headers.contains_key(EXPECT) {
                return refusal;
            }
            share.clear();
            if share.take_to_refuse(request_bytes(head)).is_err() {
                return refusal;
            }
            (self.since_progress, self.reserved) = (0, 0);
            let mut drained = 0;
            while let Ok(Some(piece)) = self.next().await {
                drained += piece.len();
                if drained > DRAINED_BYTES_MAX {
                    break;
                }
            }
            refusal
        })
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::Future;
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    use http::{Request, Version};
    use http_body::Frame;
    use thalweg_system::simulated::ManualClock;
    use thalweg_types::Timestamp;
    use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

    use super::*;

    const BUDGET_BYTES: usize = 24 * 1024 * 1024;

    /// A body that the test sends.
    struct Sent(UnboundedReceiver<Bytes>);

    impl Body for Sent {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            self.0.poll_recv(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
        }
    }

    type Collected = Result<RequestBody, BodyRefusal>;

    /// Collects a body in steps: the test gets the sender, the clock, and a way to poll.
    fn collecting(
        version: Version,
        claimed: Option<usize>,
        test: impl FnOnce(
            UnboundedSender<Bytes>,
            &ManualClock,
            &Arc<Budget>,
            &mut dyn FnMut() -> Option<Collected>,
        ),
    ) {
        let mut request = Request::builder().version(version);
        if let Some(claimed) = claimed {
            request = request.header(CONTENT_LENGTH, claimed);
        }
        collecting_for(request, test);
    }

    fn collecting_for(
        request: http::request::Builder,
        test: impl FnOnce(
            UnboundedSender<Bytes>,
            &ManualClock,
            &Arc<Budget>,
            &mut dyn FnMut() -> Option<Collected>,
        ),
    ) {
        let (head, ()) = request.body(()).expect("well formed").into_parts();
        let settings = Settings { body_timeout: Duration::from_secs(30), ..Settings::default() };
        let clock = ManualClock::new(Timestamp::ZERO);
        let total = Budget::new(BUDGET_BYTES);
        let (sender, receiver) = unbounded_channel();
        let mut future = pin!(collect(&head, Sent(receiver), &settings, &clock, &total));
        let mut poll = || match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => Some(outcome),
            Poll::Pending => None,
        };
        test(sender, &clock, &total, &mut poll);
    }

    fn send(sender: &UnboundedSender<Bytes>, length: usize) {
        sender.send(Bytes::from(vec![7; length])).expect("someone collects");
    }

    #[test]
    fn a_body_in_one_piece_is_not_copied() {
        collecting(Version::HTTP_11, Some(5), |sender, _, total, poll| {
            let piece = Bytes::from_static(b"piece");
            sender.send(piece.clone()).expect("someone collects");
            let body = poll().expect("all is there").map_err(|_| ()).expect("it is fine");
            assert_eq!((body.bytes.as_ptr(), body.bytes.len()), (piece.as_ptr(), 5));
            assert_eq!(total.taken(), 5);
            drop(body.share);
            assert_eq!(total.taken(), 0);
        });
    }

    #[test]
    fn pieces_are_put_together_with_and_without_a_length() {
        for claimed in [Some(4000), None] {
            collecting(Version::HTTP_11, claimed, |sender, _, _, poll| {
                for _ in 0..4 {
                    assert!(poll().is_none());
                    send(&sender, 1000);
                }
                drop(sender);
                let body = poll().expect("all is there").map_err(|_| ()).expect("it is fine");
                assert_eq!(*body.bytes, [7; 4000]);
            });
        }
    }

    #[test]
    fn a_body_must_make_progress() {
        collecting(Version::HTTP_11, None, |sender, clock, _, poll| {
            assert!(poll().is_none());
            for _ in 0..10 {
                clock.advance(Duration::from_secs(29));
                send(&sender, BODY_PROGRESS_BYTES);
                assert!(poll().is_none());
                clock.advance(Duration::from_secs(1));
                assert!(poll().is_none(), "enough came in these thirty seconds");
            }
            // A trickle is not progress.
            for _ in 0..5 {
                clock.advance(Duration::from_secs(5));
                send(&sender, 100);
                assert!(poll().is_none());
            }
            clock.advance(Duration::from_secs(5));
            assert_eq!(poll().map(|outcome| outcome.err()), Some(Some(BodyRefusal::TooSlow)));
        });
    }

    #[test]
    fn a_body_that_finds_no_room_is_thrown_away_to_its_end() {
        collecting(Version::HTTP_11, None, |sender, _, total, poll| {
            let mut others = total.share();
            others.take_anyway(BUDGET_BYTES / 4 * 3 - 10);
            let piece = Bytes::from(vec![7; 11]);
            sender.send(piece.clone()).expect("someone collects");
            assert!(poll().is_none());
            assert!(piece.is_unique(), "what has come is dropped");
            let kept = total.taken() - (BUDGET_BYTES / 4 * 3 - 10);
            assert_eq!(kept, REQUEST_BYTES, "nothing but the head");
            send(&sender, 1000);
            drop(sender);
            assert_eq!(poll().map(|outcome| outcome.err()), Some(Some(BodyRefusal::NoRoom)));
        });
    }

    #[test]
    fn bodies_that_are_slow_go_when_it_is_crowded() {
        collecting(Version::HTTP_11, None, |sender, clock, total, poll| {
            send(&sender, 1000);
            assert!(poll().is_none());
            clock.advance(Duration::from_secs(15));
            assert!(poll().is_none(), "there is room");
            let mut others = total.share();
            others.take_anyway(BUDGET_BYTES / 2);
            clock.advance(Duration::from_secs(3));
            assert!(poll().is_none());
            assert_eq!(total.taken(), BUDGET_BYTES / 2 + REQUEST_BYTES, "what comes is thrown away");
            clock.advance(Duration::from_secs(3));
            assert_eq!(poll().map(|outcome| outcome.err()), Some(Some(BodyRefusal::NoRoom)), "nothing came");
        });
    }

    #[test]
    fn when_it_is_crowded_bodies_come_as_fast_as_much_is_held_for_them() {
        for (step, goes) in [(BODY_PROGRESS_BYTES, true), (BODY_BYTES_MAX / 12 + 1, false)] {
            collecting(Version::HTTP_11, Some(BODY_BYTES_MAX), |sender, clock, total, poll| {
                send(&sender, BODY_BYTES_MAX / 4 + 1);
                assert!(poll().is_none());
                assert!(total.is_crowded());
                clock.advance(Duration::from_millis(2500));
                assert!(poll().is_none(), "much of it came at once");
                send(&sender, step);
                assert!(poll().is_none());
                clock.advance(Duration::from_millis(2500));
                assert!(poll().is_none());
                assert_eq!(total.taken() < BODY_BYTES_MAX, goes, "{step} bytes");
                drop(sender);
                let refusal = poll().map(|outcome| outcome.err());
                assert_eq!(refusal, Some(goes.then_some(BodyRefusal::NoRoom)), "{step} bytes");
            });
        }
    }

    #[test]
    fn a_small_body_that_waits_finds_room_beside_large_ones() {
        collecting(Version::HTTP_11, Some(BODY_BYTES_AT_ONCE), |sender, _, total, poll| {
            let mut others = total.share();
            others.take_for_long(BUDGET_BYTES / 4 * 3).expect("so much may wait");
            for _ in 0..4 {
                assert!(poll().is_none());
                send(&sender, BODY_BYTES_AT_ONCE / 4);
            }
            drop(sender);
            assert!(poll().is_some_and(|outcome| outcome.is_ok()));
        });
    }

    #[test]
    fn a_small_body_finds_room_beside_many_that_wait() {
        collecting(Version::HTTP_11, Some(5), |sender, _, total, poll| {
            let mut others = total.share();
            others.take_for_long(BUDGET_BYTES / 4 * 3).expect("so much may wait");
            others.take_small(BUDGET_BYTES / 8).expect("and so much of small ones");
            sender.send(Bytes::from_static(b"piece")).expect("someone collects");
            assert!(poll().is_some_and(|outcome| outcome.is_ok()));
        });
    }

    #[test]
    fn a_request_that_waits_pays_for_its_head() {
        collecting(Version::HTTP_2, None, |sender, _, total, poll| {
            assert!(poll().is_none());
            assert!(total.taken() >= REQUEST_BYTES);
            drop(sender);
            drop(poll().expect("it has ended"));
            assert_eq!(total.taken(), 0);
        });
        // Values of one name that are as short as can be.
        let many = (0..1800).fold(Request::builder(), |request, _| request.header("x", ""));
        collecting_for(many, |_sender, _, total, poll| {
            assert!(poll().is_none());
            assert!(total.taken() >= 1800 * 72, "{} bytes", total.taken());
        });
    }

    #[test]
    fn a_request_that_finds_no_room_to_wait_is_told_when_its_body_is_thrown_away() {
        collecting(Version::HTTP_2, None, |sender, _, total, poll| {
            let mut others = total.share();
            others.take_anyway(BUDGET_BYTES / 4 * 3);
            for _ in 0..3 {
                assert!(poll().is_none());
                assert_eq!(total.taken(), BUDGET_BYTES / 4 * 3 + REQUEST_BYTES, "nothing but the head");
                send(&sender, BODY_BYTES_MAX / 2);
            }
            drop(sender);
            assert_eq!(poll().map(|outcome| outcome.err()), Some(Some(BodyRefusal::NoRoom)));
        });
        // Where so many are being told already, at once.
        collecting(Version::HTTP_2, None, |_sender, _, total, poll| {
            let mut others = total.share();
            others.take_anyway(BUDGET_BYTES / 16 * 13);
            assert_eq!(poll().map(|outcome| outcome.err()), Some(Some(BodyRefusal::NoRoom)));
        });
    }

    #[test]
    fn a_body_that_is_too_long_is_thrown_away_to_a_bound() {
        for (version, claimed) in [
            (Version::HTTP_11, Some(1 << 40)),
            (Version::HTTP_11, None),
            (Version::HTTP_2, Some(1 << 40)),
            (Version::HTTP_2, None),
        ] {
            collecting(version, claimed, |sender, _, total, poll| {
                let piece = Bytes::from(vec![7; 1024 * 1024]);
                let mut sent = 0;
                let refusal = loop {
                    sender.send(piece.clone()).expect("someone collects");
                    sent += piece.len();
                    if let Some(outcome) = poll() {
                        break outcome.err();
                    }
                    assert!(total.taken() <= BODY_BYTES_MAX);
                };
                assert_eq!(refusal, Some(BodyRefusal::TooLong));
                assert!(
                    sent > DRAINED_BYTES_MAX && sent <= DRAINED_BYTES_MAX + BODY_BYTES_MAX + 2 * piece.len()
                );
                assert_eq!(total.taken(), 0);
            });
        }
    }

    #[test]
    fn a_claimed_length_reserves_no_more_than_a_few_times_of_what_came() {
        let check = |capacity, more, claimed, expected| {
            let mut whole = BytesMut::with_capacity(capacity);
            whole.resize(capacity, 0);
            assert_eq!(capacity_for(&whole, more, claimed), expected, "{capacity} and {more} of {claimed:?}");
        };
        check(0, 1000, Some(BODY_BYTES_MAX), BODY_BYTES_AT_ONCE);
        check(0, 1000, Some(3000), 3000);
        check(0, 512 * 1024, Some(700_000), 700_000);
        check(64 * 1024, 16 * 1024, Some(700_000), 320 * 1024);
        // Longer than it claims.
        check(3000, 1, Some(3000), 3001);
        check(0, 1000, None, 1000);
        check(1000, 1, None, 2000);
        assert_eq!(capacity_for(&BytesMut::with_capacity(1000), 900, Some(5000)), 1000, "it has room");
    }
}
