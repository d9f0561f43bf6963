//! A byte stream that counts, and that can be looked at before it is read.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use crate::activity::Activity;

/// How every HTTP/2 connection begins.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// HTTP/1.1 or 1.0 (or something that is neither and will be refused there).
    Http1,
    /// HTTP/2 by prior knowledge.
    Http2,
}

/// A stream whose activity is counted. What was looked at ahead is read again.
pub(crate) struct Monitored<I> {
    stream: I,
    activity: Arc<Activity>,
    /// Bytes `ahead_start..ahead_end` were looked at and not read yet.
    ahead: [u8; PREFACE.len()],
    ahead_start: usize,
    ahead_end: usize,
}

impl<I: AsyncRead + AsyncWrite + Unpin> Monitored<I> {
    pub(crate) fn new(stream: I, activity: Arc<Activity>) -> Self {
        Monitored { stream, activity, ahead: [0; PREFACE.len()], ahead_start: 0, ahead_end: 0 }
    }

    /// Looks at as many bytes as it takes to tell what the client speaks: one for most HTTP/1.1 methods, two for
    /// POST, 24 for HTTP/2. A stream that ends before that is HTTP/1.
    pub(crate) async fn version(&mut self) -> io::Result<Version> {
        while self.ahead_end < PREFACE.len() {
            let count = self.stream.read(&mut self.ahead[self.ahead_end..]).await?;
            self.activity.bytes_read.fetch_add(count as u64, Ordering::Relaxed);
            self.ahead_end += count;
            if count == 0 || self.ahead[..self.ahead_end] != PREFACE[..self.ahead_end] {
                return Ok(Version::Http1);
            }
        }
        Ok(Version::Http2)
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Monitored<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.ahead_start < this.ahead_end {
            let count = (this.ahead_end - this.ahead_start).min(buffer.remaining());
            buffer.put_slice(&this.ahead[this.ahead_start..this.ahead_start + count]);
            this.ahead_start += count;
            return Poll::Ready(Ok(()));
        }
        if this.activity.has_had_its_turn() {
            // Wakes this task when everyone else who is ready has had a turn, and those too of whom something came meanwhile.
            let _ = pin!(tokio::task::yield_now()).poll(context);
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut this.stream).poll_read(context, buffer);
        let count = buffer.filled().len() - before;
        this.activity.bytes_read.fetch_add(count as u64, Ordering::Relaxed);
        outcome
    }
}

impl<I: AsyncWrite + Unpin> Monitored<I> {
    fn count(&self, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.activity.blocked.store(outcome.is_pending(), Ordering::Relaxed);
        if let Poll::Ready(Ok(count)) = outcome {
            self.activity.bytes_written.fetch_add(count as u64, Ordering::Relaxed);
        }
        outcome
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Monitored<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.count(outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.count(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client that always has more to say.
    struct Endless;

    impl AsyncRead for Endless {
        fn poll_read(
            self: Pin<&mut Self>,
            _context: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            buffer.put_slice(&vec![b'0'; buffer.remaining()]);
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn whoever_has_much_to_say_takes_turns() {
        let activity = Arc::new(Activity::default());
        let mut stream = Monitored {
            stream: Endless,
            activity: Arc::clone(&activity),
            ahead: [0; PREFACE.len()],
            ahead_start: 0,
            ahead_end: 0,
        };
        let mut buffer = vec![0; 100_000];
        for _ in 0..3 {
            let mut read = 0;
            std::future::poll_fn(|context| {
                activity.begin_turn();
                while let Poll::Ready(outcome) =
                    Pin::new(&mut stream).poll_read(context, &mut ReadBuf::new(&mut buffer))
                {
                    outcome.expect("it is endless");
                    read += 100_000;
                    assert!(read < 1 << 20, "it does not end");
                }
                Poll::Ready(())
            })
            .await;
            assert_eq!(read, 300_000, "a turn, and a new one after it");
        }
    }
}
