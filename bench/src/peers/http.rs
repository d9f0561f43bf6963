//! An HTTP/1.1 client for servers of any kind: they may close after an answer, send it in chunks, or fail, none of
//! which ends the benchmark.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A keep-alive connection, made again when the server closes it after an answer.
pub(crate) struct Connection {
    address: SocketAddr,
    stream: Option<TcpStream>,
    /// What was received of the answer.
    buffer: Vec<u8>,
    /// The body of an answer that came in chunks.
    joined: Vec<u8>,
}

/// An answer: its status and its body.
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
}

/// What an answer's head says.
struct Head {
    status: u16,
    /// Bytes of the body; `None` when it comes in chunks.
    length: Option<usize>,
    closes: bool,
}

impl Connection {
    /// Connects at the first call.
    ///
    /// # Panics
    /// When `address` is not an address and a port.
    pub(crate) fn new(address: &str) -> Connection {
        let address = address.parse().expect("servers are addressed by numbers");
        Connection { address, stream: None, buffer: Vec::with_capacity(64 << 10), joined: Vec::new() }
    }

    /// Sends a prepared request and waits for the whole answer.
    ///
    /// # Errors
    /// The server closed too early, or answered something that is not HTTP. The connection is not to be used again.
    pub(crate) async fn call(&mut self, request: &[u8]) -> Result<Answer<'_>, String> {
        if self.stream.is_none() {
            let stream = TcpStream::connect(self.address).await.map_err(text)?;
            stream.set_nodelay(true).map_err(text)?;
            self.stream = Some(stream);
        }
        let stream = self.stream.as_mut().expect("it was connected above");
        stream.write_all(request).await.map_err(text)?;
        self.buffer.clear();
        let body = loop {
            if let Some(at) = memchr::memmem::find(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
            receive(stream, &mut self.buffer).await?;
        };
        let head = read_head(&self.buffer[..body])?;
        match head.length {
            Some(length) => {
                self.buffer.reserve((body + length).saturating_sub(self.buffer.len()));
                while self.buffer.len() < body + length {
                    receive(stream, &mut self.buffer).await?;
                }
            }
            None => join_chunks(stream, &mut self.buffer, body, &mut self.joined).await?,
        }
        if head.closes {
            self.stream = None;
        }
        let body = match head.length {
            Some(length) => &self.buffer[body..body + length],
            None => &self.joined,
        };
        Ok(Answer { status: head.status, body })
    }
}

fn text(error: std::io::Error) -> String {
    error.to_string()
}

/// Some more bytes.
async fn receive(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<(), String> {
    match stream.read_buf(buffer).await.map_err(text)? {
        0 => Err("it closed the connection within an answer".to_owned()),
        _ => Ok(()),
    }
}

fn read_head(bytes: &[u8]) -> Result<Head, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let status = text.get(9..12).and_then(|digits| digits.parse().ok());
    let status = status.ok_or_else(|| format!("not an answer: {text}"))?;
    let (mut length, mut chunked, mut closes) = (None, false, text.starts_with("HTTP/1.0"));
    for line in text.lines().skip(1) {
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(value.parse().map_err(|_| format!("no length: {value}"))?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            chunked = value.eq_ignore_ascii_case("chunked");
        } else if name.eq_ignore_ascii_case("connection") {
            closes = value.eq_ignore_ascii_case("close");
        }
    }
    if length.is_none() && !chunked {
        return Err("an answer without a length".to_owned());
    }
    Ok(Head { status, length: if chunked { None } else { length }, closes })
}

/// Receives all chunks, whose first begins at `at` in `buffer`, and joins what is in them.
async fn join_chunks(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    mut at: usize,
    joined: &mut Vec<u8>,
) -> Result<(), String> {
    joined.clear();
    loop {
        let line = loop {
            if let Some(end) = memchr::memmem::find(&buffer[at..], b"\r\n") {
                break at + end;
            }
            receive(stream, buffer).await?;
        };
        let size = chunk_size(&buffer[at..line])?;
        let (start, end) = (line + 2, line + 2 + size);
        // Behind the data of each chunk, and behind the last one, is an empty line. No peer sends trailers.
        while buffer.len() < end + 2 {
            receive(stream, buffer).await?;
        }
        joined.extend_from_slice(&buffer[start..end]);
        if size == 0 {
            return Ok(());
        }
        at = end + 2;
    }
}

/// The number before any extension.
fn chunk_size(line: &[u8]) -> Result<usize, String> {
    let text = String::from_utf8_lossy(line);
    let digits = text.split(';').next().unwrap_or_default().trim();
    usize::from_str_radix(digits, 16).map_err(|_| format!("not the size of a chunk: {text}"))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// Serves one connection with these pieces, each sent by itself, and reads it with a client.
    #[track_caller]
    fn check(pieces: &[&str], wanted: Result<(u16, &str), &str>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let answer = runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
            let mut connection = Connection::new(&listener.local_addr().expect("bound").to_string());
            let serve = async {
                let (mut stream, _) = listener.accept().await.expect("one comes");
                stream.set_nodelay(true).expect("TCP");
                let mut request = [0; 4];
                stream.read_exact(&mut request).await.expect("it asks");
                for piece in pieces {
                    // A client that has all that it needs is gone.
                    let _ = stream.write_all(piece.as_bytes()).await;
                    tokio::task::yield_now().await;
                }
            };
            let (answer, ()) = tokio::join!(connection.call(b"ask!"), serve);
            answer.map(|answer| (answer.status, String::from_utf8_lossy(answer.body).into_owned()))
        });
        let wanted = wanted.map(|(status, body)| (status, body.to_owned())).map_err(str::to_owned);
        assert_eq!(answer, wanted);
    }

    #[test]
    fn an_answer_is_whole_however_it_comes() {
        check(&["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"], Ok((200, "hello")));
        check(&["HTTP/1.1 400 No\r\ncontent-", "length:5\r\n\r", "\nhel", "lo"], Ok((400, "hello")));
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        check(&[head, "5\r\nhello\r\n1;x=y\r\n!\r\n0\r\n\r\n"], Ok((200, "hello!")));
        check(&[head, "A", "\r\n012345", "6789\r", "\n0\r\n", "\r\n"], Ok((200, "0123456789")));
    }

    #[test]
    fn half_an_answer_is_an_error() {
        let closed = Err("it closed the connection within an answer");
        check(&["HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello"], closed);
        check(&["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"], closed);
        check(&["HTTP/1.1 200 OK\r\n\r\n"], Err("an answer without a length"));
    }
}
