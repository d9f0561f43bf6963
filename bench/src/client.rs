//! A client that costs little: prepared requests out, answers read by their length.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A keep-alive connection.
pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer: its status line's code, and where its body lies in the client's buffer.
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
}

impl Client {
    pub(crate) async fn connect(address: &str) -> Client {
        let stream = TcpStream::connect(address).await.expect("the server listens");
        stream.set_nodelay(true).expect("TCP");
        Client { stream, buffer: Vec::with_capacity(1 << 20) }
    }

    /// Sends a prepared request and waits for the whole answer.
    pub(crate) async fn call(&mut self, request: &[u8]) -> Answer<'_> {
        self.stream.write_all(request).await.expect("the server reads");
        self.buffer.clear();
        let head = self.read_head().await;
        let text = std::str::from_utf8(&self.buffer[..head]).expect("headers are ASCII").to_ascii_lowercase();
        let status = text[9..12].parse().expect("a status");
        let length: usize = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.trim().parse().expect("a length"));
        let end = head + length;
        self.buffer.reserve(end.saturating_sub(self.buffer.len()));
        while self.buffer.len() < end {
            assert!(self.stream.read_buf(&mut self.buffer).await.expect("the server answers") > 0, "closed");
        }
        Answer { status, body: &self.buffer[head..end] }
    }

    async fn read_head(&mut self) -> usize {
        loop {
            if let Some(at) = memchr::memmem::find(&self.buffer, b"\r\n\r\n") {
                return at + 4;
            }
            assert!(self.stream.read_buf(&mut self.buffer).await.expect("the server answers") > 0, "closed");
        }
    }

    /// Sends a request whose answer does not end, and hands each piece that arrives to `piece` until it says stop.
    pub(crate) async fn stream(&mut self, request: &[u8], mut piece: impl FnMut(&[u8]) -> bool) {
        self.stream.write_all(request).await.expect("the server reads");
        self.buffer.clear();
        loop {
            let read = self.stream.read_buf(&mut self.buffer).await.expect("the server answers");
            if read == 0 || piece(&self.buffer) {
                return;
            }
            self.buffer.clear();
        }
    }
}
