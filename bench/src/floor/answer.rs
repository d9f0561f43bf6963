//! Prepared bodies of answers: one piece, or a stream of them.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Interval, MissedTickBehavior};

use crate::floor::ask::Ask;

/// See the module. The pieces are the same memory for all.
pub(crate) struct Prepared {
    piece: Bytes,
    left: u64,
    streams: bool,
    pace: Option<Interval>,
}

impl Prepared {
    pub(crate) fn new(memory: &Bytes, ask: &Ask) -> Prepared {
        let pace = ask.every.map(|every| {
            let mut interval = tokio::time::interval(every);
            interval.set_missed_tick_behavior(MissedTickBehavior::Burst);
            interval
        });
        Prepared {
            piece: memory.slice(..ask.bytes),
            left: ask.pieces.unwrap_or(1),
            streams: ask.pieces.is_some(),
            pace,
        }
    }
}

impl Body for Prepared {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        if let Some(pace) = &mut self.pace {
            ready!(pace.poll_tick(context));
        }
        self.left -= 1;
        Poll::Ready(Some(Ok(Frame::data(self.piece.clone()))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        // A stream's length is not said beforehand, so it goes out in chunks.
        if self.streams {
            SizeHint::default()
        } else {
            SizeHint::with_exact(self.left * self.piece.len() as u64)
        }
    }
}
