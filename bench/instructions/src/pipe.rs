//! A client at the other end of a pipe in memory: sends prepared requests, takes answers by their length.

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// A connection to the gateway.
pub(crate) struct Client {
    stream: DuplexStream,
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) fn new(stream: DuplexStream) -> Client {
        Client { stream, buffer: Vec::with_capacity(2 << 20) }
    }

    /// Sends a whole request and returns the body of its answer, which must be a success.
    pub(crate) async fn call(&mut self, request: &[u8]) -> &[u8] {
        self.stream.write_all(request).await.expect("the server reads");
        self.buffer.clear();
        let head = loop {
            if let Some(at) = memchr::memmem::find(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
            self.read().await;
        };
        let text = std::str::from_utf8(&self.buffer[..head]).expect("headers are ASCII").to_ascii_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.expect("answers have a length").parse().expect("a number");
        while self.buffer.len() < head + length {
            self.read().await;
        }
        let body = &self.buffer[head..head + length];
        assert!(text.starts_with("http/1.1 200"), "{text}{}", String::from_utf8_lossy(body));
        body
    }

    /// Sends a request whose answer does not end, and reads until it has brought `name` so many times.
    pub(crate) async fn stream_until(&mut self, request: &[u8], name: &[u8], wanted: usize) {
        self.stream.write_all(request).await.expect("the server reads");
        self.buffer.clear();
        let mut seen = 0;
        while seen < wanted {
            self.read().await;
            seen += memchr::memmem::find_iter(&self.buffer, name).count();
            // What may be the beginning of another one stays.
            let kept = self.buffer.len().min(name.len() - 1);
            let start = self.buffer.len() - kept;
            self.buffer.drain(..start);
        }
    }

    async fn read(&mut self) {
        let read = self.stream.read_buf(&mut self.buffer).await.expect("the server answers");
        assert!(read > 0, "the connection ended");
    }
}
