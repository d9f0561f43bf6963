//! What an answer's body is made of.

use std::convert::Infallible;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use thalweg_api::{ANSWER_BYTES_LARGE, BoxFuture, EventStream};
use thalweg_wire::event_stream;

use crate::activity::{InFlight, Part, Unread};
use crate::budget::{Budget, Full, Share};
use crate::settings::ANSWER_BYTES_COUNTED;

/// A body, and the request that it ends.
pub(crate) struct AnswerBody {
    content: Content,
    /// What it takes of the memory for answers, until its last byte is gone.
    share: Option<Share>,
    /// Of all of it, where that is watched.
    unread: Option<Unread>,
    /// The request is in flight until its body is gone.
    in_flight: Option<InFlight>,
}

enum Content {
    /// All of it; empty once it was taken.
    Whole(Bytes),
    /// Events as they come.
    Events {
        stream: EventStream,
        /// Something was sent since others had their turn.
        is_ahead: bool,
        /// Completes when the gateway shuts down: the stream then ends between two events, as if its time were up.
        draining: BoxFuture<'static, ()>,
    },
    /// The stream has ended.
    Ended,
}

impl AnswerBody {
    pub(crate) fn whole(bytes: Bytes) -> Self {
        Self::of(Content::Whole(bytes))
    }

    pub(crate) fn events(stream: EventStream, draining: BoxFuture<'static, ()>) -> Self {
        Self::of(Content::Events { stream, is_ahead: false, draining })
    }

    fn of(content: Content) -> Self {
        AnswerBody { content, share: None, unread: None, in_flight: None }
    }

    /// Takes its share of the memory for answers. Event streams hold an event at a time. Who only asks leaves room to those
    /// who changed something, whose answers must go out.
    ///
    /// # Errors
    /// There is no room, and it must be thrown away.
    pub(crate) fn count(&mut self, budget: &Arc<Budget>, has_changed: bool) -> Result<(), Full> {
        let Content::Whole(bytes) = &self.content else { return Ok(()) };
        if bytes.len() < ANSWER_BYTES_COUNTED {
            return Ok(());
        }
        let mut share = budget.share();
        match bytes.len() {
            ANSWER_BYTES_LARGE.. => share.take_for_long(bytes.len())?,
            _ if has_changed => share.take_anyway(bytes.len()),
            _ => share.take_small(bytes.len())?,
        }
        self.share = Some(share);
        Ok(())
    }

    /// Keeps the request in flight until this body is gone. What is counted, and events, are unread until their last byte
    /// is taken; in HTTP/2, where a window may be closed and nothing blocked, everything is.
    pub(crate) fn until_gone(mut self, in_flight: InFlight, is_http2: bool) -> Self {
        if let Content::Whole(bytes) = &self.content
            && (is_http2 || self.share.is_some())
        {
            let part = if self.share.is_some() { Part::Large } else { Part::Small };
            self.unread = Some(in_flight.unread(bytes.len(), part));
        }
        self.in_flight = Some(in_flight);
        self
    }

    /// A frame of an event stream.
    fn event(&self, bytes: Bytes) -> Frame<Piece> {
        let unread = self.in_flight.as_ref().map(|in_flight| in_flight.unread(bytes.len(), Part::Event));
        Frame::data(Piece { bytes, unread, _share: None })
    }
}

/// A piece of an answer, and what ends with its last byte: where that is, only HTTP knows.
pub(crate) struct Piece {
    bytes: Bytes,
    unread: Option<Unread>,
    _share: Option<Share>,
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        if let Some(unread) = &mut self.unread {
            unread.take(count);
        }
    }
}

impl Body for AnswerBody {
    type Data = Piece;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, Infallible>>> {
        let next = match &mut self.content {
            Content::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                let piece = Piece { bytes, unread: self.unread.take(), _share: self.share.take() };
                return Poll::Ready(piece.has_remaining().then(|| Ok(Frame::data(piece))));
            }
            Content::Ended => return Poll::Ready(None),
            Content::Events { is_ahead, .. } if *is_ahead => {
                // A client that reads as fast as its socket takes would have the thread for itself. And subscriptions
                // that read the same stay together so, and share what is encoded.
                *is_ahead = false;
                // Behind those, too, whose sockets take more again by now: tokio looks at these before it goes on.
                // It wakes us then; polling it once is enough.
                let _ = pin!(tokio::task::yield_now()).poll(context);
                return Poll::Pending;
            }
            Content::Events { stream, is_ahead, draining } => {
                let polled = match draining.as_mut().poll(context) {
                    Poll::Ready(()) => Ok(Poll::Ready(None)),
                    Poll::Pending => catch_unwind(AssertUnwindSafe(|| stream.as_mut().poll_next(context))),
                };
                match polled {
                    Ok(Poll::Pending) => return Poll::Pending,
                    Ok(Poll::Ready(Some(events))) => {
                        *is_ahead = true;
                        return Poll::Ready(Some(Ok(self.event(events))));
                    }
                    Ok(Poll::Ready(None)) => None,
                    Err(_) => {
                        tracing::error!("an event stream panicked; its client is told so");
                        let mut frame = Vec::new();
                        event_stream::error(&mut frame, "InternalFailure", "Internal Service Failure");
                        Some(Bytes::from(frame))
                    }
                }
            }
        };
        // Dropped now rather than with the body: its subscription is over.
        self.content = Content::Ended;
        Poll::Ready(next.map(|bytes| Ok(self.event(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole(bytes) => bytes.is_empty(),
            Content::Events { .. } => false,
            Content::Ended => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Events { .. } => SizeHint::default(),
            Content::Ended => SizeHint::with_exact(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use thalweg_system::simulated::WakeCount;

    use super::*;

    #[test]
    fn an_event_stream_lets_others_have_their_turn_after_each_event() {
        let events = ["one", "two"].map(|text| Bytes::from_static(text.as_bytes()));
        let stream = Box::pin(futures_util::stream::iter(events.clone()));
        let mut body = AnswerBody::events(stream, Box::pin(std::future::pending()));
        let wakes = WakeCount::default();
        let waker = wakes.waker();
        let mut poll = || Pin::new(&mut body).poll_frame(&mut Context::from_waker(&waker));
        for (number, event) in events.into_iter().enumerate() {
            let Poll::Ready(Some(Ok(frame))) = poll() else { panic!("an event is there") };
            assert_eq!(frame.into_data().ok().map(|piece| piece.bytes), Some(event));
            assert!(poll().is_pending());
            assert_eq!(wakes.get(), number + 1, "it goes on by itself");
        }
        assert!(matches!(poll(), Poll::Ready(None)));
    }
}
