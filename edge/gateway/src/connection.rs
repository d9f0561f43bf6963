//! One byte stream, from its first byte to its end.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use thalweg_api::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::Gateway;
use crate::activity::{Activity, Crowded, Verdict, Watch};
use crate::gateway::{Phase, Shared};
use crate::monitored::{Monitored, Version};
use crate::pipeline;
use crate::settings::{
    CONNECTION_WINDOW_BYTES, ERROR_RESETS_MAX, FRAME_BYTES_MAX, HEAD_BYTES_MAX, HEADERS_MAX,
    PENDING_RESETS_MAX, SEND_BUFFER_BYTES_MAX, STREAM_WINDOW_BYTES, STREAMS_MAX, read_buffer_bytes,
};
use crate::streams::{Executor, Streams};

impl Gateway {
    /// Serves one connection to its end: a socket, a TLS session, or a simulated network's pipe. What it speaks
    /// is told by its first bytes. Runs under any executor; what it leaves behind runs by the gateway's `tasks`.
    pub async fn serve_connection<I>(&self, stream: I)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let shared = &self.shared;
        let _live = shared.live.begin();
        let activity = Arc::new(Activity::default());
        let mut stream = Monitored::new(stream, Arc::clone(&activity));
        let mut watch = Watch::new(&shared.settings, shared.clock.monotonic());
        let version = tokio::select! {
            biased;
            version = stream.version() => version,
            () = shared.reached(Phase::Draining) => return,
            why = overdue(shared, &mut watch, &activity) => {
                tracing::debug!("a connection was dropped before its first request: {why}");
                return;
            }
        };
        let Ok(version) = version else { return };
        let service = service_fn(|request: Request<Incoming>| {
            let shared = Arc::clone(shared);
            // From the head to the last byte of the answer.
            let in_flight = activity.begin();
            async move {
                let response = pipeline::answer(&shared, request).await;
                Ok::<_, Infallible>(
                    response.map(|body| body.until_gone(in_flight, version == Version::Http2)),
                )
            }
        });
        match version {
            Version::Http1 => {
                let connection = http1(shared.live.count()).serve_connection(TokioIo::new(stream), service);
                let finish = |connection: Pin<&mut http1::Connection<_, _>>| connection.graceful_shutdown();
                let poll = |connection: Pin<&mut http1::Connection<_, _>>, context: &mut Context<'_>| {
                    connection.poll(context)
                };
                drive(shared, &mut watch, &activity, connection, poll, finish).await;
            }
            Version::Http2 => {
                watch.is_http2();
                let executor = Executor::default();
                let mut streams = Streams::of(&executor);
                let connection = http2(executor).serve_connection(TokioIo::new(stream), service);
                let finish =
                    |connection: Pin<&mut http2::Connection<_, _, _>>| connection.graceful_shutdown();
                let poll = |connection: Pin<&mut http2::Connection<_, _, _>>, context: &mut Context<'_>| {
                    streams.poll_with(connection, context)
                };
                drive(shared, &mut watch, &activity, connection, poll, finish).await;
            }
        }
    }
}

/// What a connection is told while it is served.
#[derive(Clone, Copy)]
enum Event {
    /// The gateway drains.
    Draining,
    /// The gateway is closed.
    Closed,
    /// It is time to look at it again.
    Look,
}

/// Polls a connection until it ends, is given up, or the gateway closes.
async fn drive<C>(
    shared: &Arc<Shared>,
    watch: &mut Watch,
    activity: &Activity,
    connection: C,
    mut poll: impl FnMut(Pin<&mut C>, &mut Context<'_>) -> Poll<hyper::Result<()>>,
    finish: impl Fn(Pin<&mut C>),
) {
    async fn then(cause: BoxFuture<'static, ()>, event: Event) -> Event {
        cause.await;
        event
    }
    let mut connection = pin!(connection);
    // A connection is polled several times for each request. These are polled only when they were woken themselves.
    let mut events = FuturesUnordered::new();
    events.push(then(shared.reached(Phase::Closed), Event::Closed));
    events.push(then(shared.reached(Phase::Draining), Event::Draining));
    events.push(then(shared.clock.sleep(watch.interval()), Event::Look));
    loop {
        let event = tokio::select! {
            biased;
            outcome = poll_fn(|context| {
                activity.begin_turn();
                poll(connection.as_mut(), context)
            }) => {
                if let Err(error) = outcome {
                    tracing::debug!("a connection ended early: {error}");
                }
                return;
            }
            event = events.next() => event.expect("the next look is always among them"),
        };
        match event {
            Event::Closed => return,
            Event::Draining => finish(connection.as_mut()),
            Event::Look => {
                match watch.look(activity, shared.clock.monotonic(), Crowded::of(&shared.outgoing)) {
                    Verdict::Keep => {}
                    Verdict::Finish => finish(connection.as_mut()),
                    Verdict::Drop(why) => {
                        tracing::debug!("a connection was dropped: {why}");
                        return;
                    }
                }
            }
        }
        if let Event::Look = event {
            events.push(then(shared.clock.sleep(watch.interval()), Event::Look));
        }
    }
}

/// Completes when the watch gives the connection up.
async fn overdue(shared: &Shared, watch: &mut Watch, activity: &Activity) -> &'static str {
    loop {
        shared.clock.sleep(watch.interval()).await;
        match watch.look(activity, shared.clock.monotonic(), Crowded::of(&shared.outgoing)) {
            Verdict::Keep => {}
            Verdict::Finish => return "it was idle",
            Verdict::Drop(why) => return why,
        }
    }
}

/// For one of so many connections.
fn http1(connections: usize) -> http1::Builder {
    let mut builder = http1::Builder::new();
    // Without `pipeline_flush`: it copies every body once more and lifts the bound of the write buffer, so that an
    // event stream would be buffered whole for a client that does not read. Pipelining works without it.
    builder
        // The watch times heads out: hyper's own timer would be set anew for each request.
        .header_read_timeout(None)
        .max_buf_size(read_buffer_bytes(connections))
        .max_header_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX);
    builder
}

fn http2(executor: Executor) -> http2::Builder<Executor> {
    let mut builder = http2::Builder::new(executor);
    builder
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES_MAX)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEAD_BYTES_MAX as u32)
        .max_send_buf_size(SEND_BUFFER_BYTES_MAX)
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        .max_local_error_reset_streams(ERROR_RESETS_MAX);
    builder
}
