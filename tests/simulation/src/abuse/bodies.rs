//! The largest bodies, more at once than there is room for.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::scene::Scene;
use crate::client::{exchange, request};

/// A PutRecords has so many records of a mebibyte.
const RECORDS: usize = 10;
const RECORD_BYTES: usize = 1_048_000;
/// Streams on a connection.
const STREAMS: usize = 10;

/// As large as PutRecords may be, to all shards.
fn largest() -> Value {
    let data = base64_simd::STANDARD.encode_to_string(vec![b'a'; RECORD_BYTES]);
    let record = |number: usize| json!({"PartitionKey": number.to_string(), "Data": data});
    json!({"StreamName": "abuse", "Records": (0..RECORDS).map(record).collect::<Vec<_>>()})
}

pub(super) async fn http1(scene: Arc<Scene>) {
    let request = Arc::new(request("PutRecords", &largest()));
    scene
        .run_each(scene.count(30, 60), |scene, _| {
            let request = Arc::clone(&request);
            async move {
                let mut stream = scene.connect().await;
                loop {
                    let answer = exchange(&mut stream, request.as_bytes()).await;
                    let (status, body) = answer.expect("one that reads gets its answer");
                    scene.answered(status, &body);
                }
            }
        })
        .await;
}

pub(super) async fn http2(scene: Arc<Scene>) {
    let body = Bytes::from(largest().to_string());
    scene
        .run_each(scene.count(3, 6), |scene, _| {
            let body = body.clone();
            async move {
                let stream = TcpStream::connect(scene.address).await.expect("the server listens");
                let (sender, connection) = h2::client::handshake(stream).await.expect("it speaks HTTP/2");
                let puts = (0..STREAMS).map(|_| put_for_ever(&scene, sender.clone(), body.clone()));
                let puts: Vec<_> = puts.collect();
                tokio::select! {
                    ended = connection => panic!("the server ended the connection: {ended:?}"),
                    () = all(puts) => {}
                }
            }
        })
        .await;
}

/// All of these, which never end.
async fn all(futures: Vec<impl Future<Output = ()>>) {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    std::future::poll_fn(|context| {
        for future in &mut futures {
            let _ = future.as_mut().poll(context);
        }
        std::task::Poll::<()>::Pending
    })
    .await;
}

async fn put_for_ever(scene: &Scene, sender: SendRequest<Bytes>, body: Bytes) {
    loop {
        let mut sender = sender.clone().ready().await.expect("the server takes requests");
        let head = http::Request::post("http://simulation/")
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", "Kinesis_20131202.PutRecords")
            .header("content-length", body.len())
            .body(())
            .expect("it is well formed");
        let (answer, mut stream) = sender.send_request(head, false).expect("the server takes requests");
        // An answer may come before all was sent.
        let _ = stream.send_data(body.clone(), true);
        let (status, body) = receive(answer).await;
        scene.answered(status, &body);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn receive(answer: ResponseFuture) -> (u16, Vec<u8>) {
    let answer = answer.await.expect("every request is answered");
    let status = answer.status().as_u16();
    let mut body = answer.into_body();
    let mut received = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece.expect("answers are whole");
        let _ = body.flow_control().release_capacity(piece.len());
        received.extend_from_slice(&piece);
    }
    (status, received)
}
