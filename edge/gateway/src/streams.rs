//! The streams of an HTTP/2 connection, polled by the connection's own task: what they have to send goes out in the same
//! turn. docs/decisions/0055 says why.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use thalweg_api::BoxFuture;

/// Streams that the connection has begun and that were not polled yet.
type Begun = Arc<Mutex<Vec<BoxFuture<'static, ()>>>>;

/// What hyper gives the streams of a connection to.
#[derive(Clone, Default)]
pub(crate) struct Executor {
    begun: Begun,
}

impl<F> hyper::rt::Executor<F> for Executor
where
    F: Future<Output = ()> + Send + 'static,
{
    /// A stream begins while its connection is polled, and that polls the stream next.
    fn execute(&self, stream: F) {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).push(Box::pin(stream));
    }
}

/// The streams of one connection.
pub(crate) struct Streams {
    begun: Begun,
    running: FuturesUnordered<BoxFuture<'static, ()>>,
}

impl Streams {
    /// Those that are given to this executor.
    pub(crate) fn of(executor: &Executor) -> Self {
        Streams { begun: Arc::clone(&executor.begun), running: FuturesUnordered::new() }
    }

    /// Polls the streams that were woken, then the connection, which sends what they made; again while that begins new
    /// ones. Streams that are left when the connection has ended are for the caller to drop.
    pub(crate) fn poll_with<C: Future>(
        &mut self,
        mut connection: Pin<&mut C>,
        context: &mut Context<'_>,
    ) -> Poll<C::Output> {
        loop {
            while let Poll::Ready(Some(())) = self.running.poll_next_unpin(context) {}
            if let Poll::Ready(output) = connection.as_mut().poll(context) {
                return Poll::Ready(output);
            }
            let begun = std::mem::take(&mut *self.begun.lock().unwrap_or_else(PoisonError::into_inner));
            if begun.is_empty() {
                return Poll::Pending;
            }
            self.running.extend(begun);
        }
    }
}
