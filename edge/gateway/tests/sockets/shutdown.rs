//! Shutting down: what has begun is answered, streams end between events, and it ends.

use std::time::Duration;

use http_body_util::BodyExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{AGES, Ask, Http2, Server};

const BODY: &str = r#"{"Text":"x"}"#;

/// Waits until the server accepts nothing more.
async fn refuses(address: std::net::SocketAddr) {
    let refused = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(AGES, refused).await.expect("the listener is closed in time");
}

#[tokio::test]
async fn requests_in_flight_are_answered_and_idle_connections_closed() {
    let server = Server::start();
    let mut idle = server.connect().await;
    idle.send(&Ask::json("Test_1.Echo", BODY).bytes()).await;
    assert_eq!(idle.answer().await.status, 200);
    let mut silent = server.connect().await;
    let mut busy = server.connect().await;
    busy.send(&Ask::json("Test_1.Wait", BODY).bytes()).await;
    server.fake.waiting.acquire().await.expect("never closed").forget();
    // Its body comes later.
    let mut slow = server.connect().await;
    let request = Ask::json("Test_1.Echo", BODY).with("Expect", "100-continue").bytes();
    let (head, body) = request.split_at(request.len() - BODY.len());
    slow.send(head).await;
    assert_eq!(slow.head().await.0, 100);

    let shutdown = tokio::spawn(server.serving.shutdown(AGES));
    refuses(server.address).await;
    assert!(idle.is_closed().await);
    assert!(silent.is_closed().await);
    slow.send(body).await;
    let answered = slow.answer().await;
    assert_eq!((answered.status, answered.text()), (200, BODY));
    assert!(slow.is_closed().await);
    assert!(!shutdown.is_finished(), "one request is in flight");
    server.fake.go_on.add_permits(1);
    assert_eq!(busy.answer().await.status, 200);
    assert!(busy.is_closed().await);
    let left = timeout(AGES, shutdown).await.expect("in time").expect("no panic");
    assert_eq!(left, 0);
}

#[tokio::test]
async fn http2_clients_are_told_to_go_and_answered() {
    let server = Server::start();
    let mut idle = Http2::connect(server.address).await;
    assert_eq!(idle.ask(&Ask::json("Test_1.Echo", BODY)).await.status, 200);
    let mut busy = Http2::connect(server.address).await;
    let request = busy.request(&Ask::json("Test_1.Wait", BODY));
    let answer = tokio::spawn(busy.sender.send_request(request));
    server.fake.waiting.acquire().await.expect("never closed").forget();
    let shutdown = tokio::spawn(server.serving.shutdown(AGES));
    timeout(AGES, idle.ended).await.expect("in time").expect("in good order");
    assert!(!shutdown.is_finished(), "one request is in flight");
    server.fake.go_on.add_permits(1);
    assert_eq!(answer.await.expect("no panic").expect("answered").status(), 200);
    timeout(AGES, busy.ended).await.expect("in time").expect("in good order");
    assert_eq!(timeout(AGES, shutdown).await.expect("in time").expect("no panic"), 0);
}

#[tokio::test]
async fn event_streams_end_between_events() {
    for version in [1, 2] {
        let server = Server::start();
        let source = server.fake.event_source();
        let ask = Ask::json("Test_1.Stream", BODY);
        if version == 1 {
            let mut client = server.connect().await;
            client.send(&ask.bytes()).await;
            client.head().await;
            client.chunk().await;
            let shutdown = tokio::spawn(server.serving.shutdown(AGES));
            assert_eq!(client.chunk().await, b"", "the body ends as a body does");
            assert_eq!(timeout(AGES, shutdown).await.expect("in time").expect("no panic"), 0);
        } else {
            let mut client = Http2::connect(server.address).await;
            let request = client.request(&ask);
            let mut body = client.sender.send_request(request).await.expect("answered").into_body();
            assert!(body.frame().await.expect("the first event").is_ok());
            let shutdown = tokio::spawn(server.serving.shutdown(AGES));
            let rest =
                timeout(AGES, body.collect()).await.expect("in time").expect("the body ends as a body does");
            assert!(rest.to_bytes().is_empty());
            assert_eq!(timeout(AGES, shutdown).await.expect("in time").expect("no panic"), 0);
        }
        assert!(source.is_closed(), "the service's stream is gone");
    }
}

#[tokio::test]
async fn what_does_not_end_is_dropped_after_the_grace_period() {
    let server = Server::start();
    let mut client = server.connect().await;
    client.send(&Ask::json("Test_1.Wait", BODY).bytes()).await;
    server.fake.waiting.acquire().await.expect("never closed").forget();
    let left = timeout(AGES, server.serving.shutdown(Duration::from_millis(50))).await.expect("in time");
    assert_eq!(left, 2, "a connection and its call");
    assert!(client.is_closed().await);
}
