//! The floors: bare servers of the same HTTP library, with one thread for the network as the measured server has.
//!
//! ```text
//!  F1   reads and discards a body
//!  F2   also hashes the partition keys in it, and waits until the committer has made its bytes durable
//!  F3   is F1 asked for more: prepared answers, or streams of prepared pieces
//! ```
//!
//! Each answers with prepared bytes, as many as the request asks for. The floors decode, check, order and store nothing
//! that could be read again. They are a measure, not a bound: F2 hashes keys one by one and writes segments through the
//! system's cache, and a server that does either in a cheaper way can cost less.

mod answer;
mod ask;
mod committer;
pub(crate) mod keys;
pub(crate) mod recycled;
mod segments;

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::floor::answer::Prepared;
use crate::floor::ask::Ask;
use crate::floor::committer::Committer;
use crate::floor::keys::Keys;

/// As the measured server has them: `edge/gateway/src/settings.rs`.
const READ_BUFFER_BYTES_MAX: usize = 512 << 10;
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;
const FRAME_BYTES_MAX: u32 = 256 << 10;
const SEND_BUFFER_BYTES_MAX: usize = 512 << 10;
const STREAMS_MAX: u32 = 128;

/// The largest answer or piece.
const PREPARED_BYTES: usize = 16 << 20;

/// What all connections share.
struct Floor {
    prepared: Bytes,
    /// F2's.
    committer: Option<Committer>,
}

/// Serves for ever on a port of its own, printed like the server prints its.
///
/// # Panics
/// When `kind` is none of `f1`, `f2`, `f3`, or F2 has no folder to write to.
pub(crate) async fn serve(kind: &str, data_dir: Option<&Path>) {
    let committer = match kind {
        "f1" | "f3" => None,
        "f2" => Some(Committer::start(data_dir.expect("F2 writes: --data-dir"))),
        other => panic!("there is no floor {other}: f1, f2 or f3"),
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let prepared = Bytes::from(crate::bodies::noise(7, PREPARED_BYTES));
    let floor = Arc::new(Floor { prepared, committer });
    println!("listening on http://{} ", listener.local_addr().expect("bound"));
    loop {
        let (stream, _) = listener.accept().await.expect("accepting works");
        stream.set_nodelay(true).expect("TCP");
        tokio::task::spawn(connection(Arc::clone(&floor), stream));
    }
}

async fn connection(floor: Arc<Floor>, stream: TcpStream) {
    let mut first = [0; 4];
    // HTTP/2 by prior knowledge begins with `PRI * HTTP/2.0`.
    let Ok(read) = stream.peek(&mut first).await else { return };
    let service = service_fn(move |request| answer(Arc::clone(&floor), request));
    let stream = TokioIo::new(stream);
    // A connection ends with an error when the generator drops it in the middle of a stream.
    if &first[..read] == b"PRI " {
        let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        builder
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_frame_size(FRAME_BYTES_MAX)
            .max_concurrent_streams(STREAMS_MAX)
            .max_send_buf_size(SEND_BUFFER_BYTES_MAX);
        let _ = builder.serve_connection(stream, service).await;
    } else {
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder.header_read_timeout(None).max_buf_size(READ_BUFFER_BYTES_MAX);
        let _ = builder.serve_connection(stream, service).await;
    }
}

async fn answer(floor: Arc<Floor>, mut request: Request<Incoming>) -> Result<Response<Prepared>, Infallible> {
    let ask = Ask::of(request.headers());
    let mut keys = floor.committer.as_ref().map(|_| Keys::new(ask.cbor));
    // Nothing of the body is kept, so that the library reads into the same memory again.
    while let Some(frame) = request.frame().await {
        let piece = frame.expect("the generator sends it all").into_data().expect("no trailers");
        if let Some(keys) = &mut keys {
            keys.hash(&piece);
        }
    }
    if let Some(committer) = &floor.committer {
        committer.durable(ask.durable_bytes).await;
    }
    Ok(Response::new(Prepared::new(&floor.prepared, &ask)))
}
