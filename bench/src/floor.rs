//! The floor: a bare server of the same HTTP library. It reads and discards a body, then sends as many prepared
//! bytes as the request's `x-floor` header asks for; with `x-floor-pieces` it sends that many pieces of them.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

/// Serves for ever on a port of its own, printed like the server prints its.
pub(crate) async fn serve(_: &str) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    println!("listening on http://{} ", listener.local_addr().expect("bound"));
    let prepared = Bytes::from(crate::bodies::noise(7, 16 << 20));
    loop {
        let (stream, _) = listener.accept().await.expect("accepting works");
        stream.set_nodelay(true).expect("TCP");
        let prepared = prepared.clone();
        let service = service_fn(move |request| answer(request, prepared.clone()));
        tokio::task::spawn(async move {
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>;

async fn answer(mut request: Request<Incoming>, prepared: Bytes) -> Result<Response<Body>, Infallible> {
    while let Some(Ok(_)) = request.frame().await {}
    let header = |name: &str| -> usize {
        request.headers().get(name).and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok()).unwrap_or(0)
    };
    let (length, pieces) = (header("x-floor"), header("x-floor-pieces"));
    let piece = prepared.slice(..length);
    let body = if pieces == 0 {
        http_body_util::Full::new(piece).boxed_unsync()
    } else {
        let frames = (0..pieces).map(move |_| Ok(Frame::data(piece.clone())));
        StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync()
    };
    Ok(Response::new(body))
}
