//! An HTTP/1.1 client that costs little: prepared requests out, answers read by their length or in chunks.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How much of a stream is read at once.
const STREAM_READ_BYTES: usize = 256 << 10;

/// A keep-alive connection.
pub(crate) struct Client {
    stream: TcpStream,
    /// What was received of the answer.
    buffer: Vec<u8>,
    /// The body of an answer that came in chunks.
    joined: Vec<u8>,
}

/// An answer: its status line's code, and where its body lies in the client's buffer.
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
}

/// What the head of an answer says.
struct Head {
    status: u16,
    /// Where the body begins.
    end: usize,
    body: Length,
}

enum Length {
    Bytes(usize),
    Chunked,
}

impl Client {
    pub(crate) async fn connect(address: &str) -> Client {
        let stream = TcpStream::connect(address).await.expect("the server listens");
        stream.set_nodelay(true).expect("TCP");
        Client { stream, buffer: Vec::with_capacity(64 << 10), joined: Vec::new() }
    }

    /// Sends a prepared request and waits for the whole answer.
    pub(crate) async fn call(&mut self, request: &[u8]) -> Answer<'_> {
        self.stream.write_all(request).await.expect("the server reads");
        self.buffer.clear();
        let head = self.read_head().await;
        let length = match head.body {
            Length::Bytes(length) => length,
            Length::Chunked => {
                self.read_chunks(head.end).await;
                return Answer { status: head.status, body: &self.joined };
            }
        };
        let end = head.end + length;
        self.buffer.reserve(end.saturating_sub(self.buffer.len()));
        while self.buffer.len() < end {
            self.read_more().await;
        }
        assert_eq!(self.buffer.len(), end, "one answer to one request");
        Answer { status: head.status, body: &self.buffer[head.end..] }
    }

    /// Sends a request whose answer does not end, and hands each piece that arrives to `piece` until it says stop. The
    /// pieces have the frames of chunks among them, and the first begins with the head.
    ///
    /// # Panics
    /// When the answer's status is not 200.
    pub(crate) async fn stream(&mut self, request: &[u8], mut piece: impl FnMut(&[u8]) -> bool) {
        self.stream.write_all(request).await.expect("the server reads");
        self.buffer.clear();
        // The head may come with the first events.
        let status = self.read_head().await.status;
        assert_eq!(status, 200, "a stream was refused: {}", String::from_utf8_lossy(&self.buffer));
        // What is read at once stays in the processor's cache until it was looked at.
        self.buffer.reserve(STREAM_READ_BYTES);
        loop {
            if piece(&self.buffer) {
                return;
            }
            self.buffer.clear();
            if self.stream.read_buf(&mut self.buffer).await.expect("the server answers") == 0 {
                return;
            }
        }
    }

    async fn read_more(&mut self) {
        let read = self.stream.read_buf(&mut self.buffer).await.expect("the server answers");
        assert!(read > 0, "the server closed the connection; of its answer came: {}", {
            String::from_utf8_lossy(&self.buffer[..self.buffer.len().min(400)])
        });
    }

    async fn read_head(&mut self) -> Head {
        loop {
            if let Some(at) = memchr::memmem::find(&self.buffer, b"\r\n\r\n") {
                return head(&self.buffer[..at + 4]);
            }
            self.read_more().await;
        }
    }

    /// Joins the chunks that begin at `at` in the buffer.
    async fn read_chunks(&mut self, mut at: usize) {
        self.joined.clear();
        loop {
            let Some(line) = memchr::memmem::find(&self.buffer[at..], b"\r\n") else {
                self.read_more().await;
                continue;
            };
            let size = chunk_bytes(&self.buffer[at..at + line]);
            let data = at + line + 2;
            while self.buffer.len() < data + size + 2 {
                self.read_more().await;
            }
            if size == 0 {
                // No server here sends trailers.
                assert_eq!(&self.buffer[data..], b"\r\n", "an answer ends with its last chunk");
                return;
            }
            self.joined.extend_from_slice(&self.buffer[data..data + size]);
            at = data + size + 2;
        }
    }
}

/// Reads a whole head, the empty line included.
fn head(bytes: &[u8]) -> Head {
    let text = std::str::from_utf8(bytes).expect("headers are ASCII");
    let status = text[9..12].parse().expect("a status");
    let mut body = Length::Bytes(0);
    for line in text.split("\r\n").skip(1) {
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.eq_ignore_ascii_case("content-length") {
            body = Length::Bytes(value.trim().parse().expect("a length"));
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            body = Length::Chunked;
        }
    }
    Head { status, end: bytes.len(), body }
}

/// The size that a chunk's first line says.
fn chunk_bytes(line: &[u8]) -> usize {
    let text = std::str::from_utf8(line).expect("sizes are ASCII");
    let digits = text.split(';').next().expect("split gives one").trim();
    usize::from_str_radix(digits, 16).expect("sizes are hexadecimal")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_by_its_length_or_by_its_chunks() {
        #[track_caller]
        fn check(answer: &[&str], status: u16, body: &str) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("starts");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback");
                let address = listener.local_addr().expect("bound").to_string();
                let serve = async {
                    let (mut stream, _) = listener.accept().await.expect("it connects");
                    stream.set_nodelay(true).expect("TCP");
                    for piece in answer {
                        stream.write_all(piece.as_bytes()).await.expect("it reads");
                        tokio::task::yield_now().await;
                    }
                    stream
                };
                let call = async {
                    let mut client = Client::connect(&address).await;
                    let answer = client.call(b"x").await;
                    assert_eq!((answer.status, answer.body), (status, body.as_bytes()));
                };
                tokio::join!(serve, call);
            });
        }
        check(&["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"], 200, "hello");
        check(&["HTTP/1.1 40", "0 Bad\r\ncontent-length: 2\r", "\n\r\n{", "}"], 400, "{}");
        check(&["HTTP/1.1 204 No\r\n\r\n"], 204, "");
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        check(
            &[head, "5\r\nhel", "lo\r\n", "00A;x=y\r\n, wide wor\r\n2", "\r\nld\r\n0\r\n", "\r\n"],
            200,
            "hello, wide world",
        );
    }
}
