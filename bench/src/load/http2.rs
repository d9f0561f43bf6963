//! HTTP/2 by prior knowledge, without TLS.

use bytes::Bytes;
use h2::RecvStream;
use h2::client::SendRequest;
use tokio::net::TcpStream;

use crate::client::Answer;
use crate::load::Request;

/// Large enough that no server waits for this side: the most that the protocol allows, less one frame.
const WINDOW_BYTES: u32 = (1 << 31) - (1 << 24);
/// The largest frame that a server may send.
const FRAME_BYTES: u32 = 1 << 20;
/// Bytes that wait to be sent.
const SEND_BUFFER_BYTES: usize = 32 << 20;

/// A share of a connection, for one request at a time.
pub(crate) struct Http2 {
    sender: SendRequest<Bytes>,
    buffer: Vec<u8>,
}

impl Http2 {
    /// Connects. The connection's own work is a local task.
    pub(crate) async fn connect(address: &str) -> Http2 {
        let stream = TcpStream::connect(address).await.expect("the server listens");
        stream.set_nodelay(true).expect("TCP");
        let (sender, connection) = h2::client::Builder::new()
            .initial_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .max_frame_size(FRAME_BYTES)
            .max_send_buffer_size(SEND_BUFFER_BYTES)
            .handshake(stream)
            .await
            .expect("the server speaks HTTP/2");
        tokio::task::spawn_local(async move {
            // It ends with an error when a measured server is killed; whoever waits for an answer then panics.
            let _ = connection.await;
        });
        Http2 { sender, buffer: Vec::new() }
    }

    /// Another share of the same connection.
    pub(crate) fn share(&self) -> Http2 {
        Http2 { sender: self.sender.clone(), buffer: Vec::new() }
    }

    /// Sends a prepared request and waits for the whole answer.
    pub(crate) async fn call(&mut self, request: &Request) -> Answer<'_> {
        let (status, mut body) = self.send(request).await;
        self.buffer.clear();
        while let Some(piece) = body.data().await {
            let piece = piece.expect("the server answers");
            body.flow_control().release_capacity(piece.len()).expect("it was received");
            self.buffer.extend_from_slice(&piece);
        }
        Answer { status, body: &self.buffer }
    }

    /// Sends a request whose answer does not end, and hands each piece that arrives to `piece` until it says stop.
    pub(crate) async fn stream(&mut self, request: &Request, mut piece: impl FnMut(&[u8]) -> bool) {
        let (status, mut body) = self.send(request).await;
        assert_eq!(status, 200, "a stream was refused");
        while let Some(data) = body.data().await {
            let data = data.expect("the server answers");
            body.flow_control().release_capacity(data.len()).expect("it was received");
            if piece(&data) {
                return;
            }
        }
    }

    async fn send(&mut self, request: &Request) -> (u16, RecvStream) {
        let mut sender = self.sender.clone().ready().await.expect("the connection lives");
        let (answer, mut body) = sender.send_request(request.head.clone(), false).expect("it is a request");
        // Waits in the connection's buffer for as long as the server's windows are shut.
        body.send_data(request.body(), true).expect("the connection lives");
        let answer = answer.await.expect("the server answers");
        (answer.status().as_u16(), answer.into_body())
    }
}
