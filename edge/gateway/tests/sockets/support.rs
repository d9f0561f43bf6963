//! A service to put behind the gateway, a gateway on a real socket, and a client that sees every byte.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderValue, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use thalweg_api::{Answer, Call, HotAnswer, Operation, Reply, ResourceMember, Service};
use thalweg_gateway::{Gateway, Readiness, Serving, Settings, bind};
use thalweg_shape::{Failure, Member, Schema, StructureSchema, Value};
use thalweg_system::os::{OsClock, OsNetworkSpawn, OsRandom, TokioTasks};
use thalweg_wire::event_stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::JoinHandle;

/// The failsafe of tests: nothing here takes that long unless it is broken.
pub(crate) const AGES: Duration = Duration::from_secs(30);

pub(crate) const PREFIX: &str = "Test_1";
pub(crate) const JSON: &str = "application/x-amz-json-1.1";
pub(crate) const CBOR: &str = "application/x-amz-cbor-1.1";

static TEXT: Schema = Schema::Text { min: Some(1), max: Some(5), pattern: None, values: &[] };
static BLOB: Schema = Schema::Blob { min: None, max: None };
static NUMBER: Schema = Schema::Integer { min: Some(1), max: None };
static INPUT: StructureSchema = StructureSchema {
    name: "Input",
    members: &[
        Member { name: "Text", required: true, schema: &TEXT },
        Member { name: "Number", required: false, schema: &NUMBER },
    ],
};
static DATA_INPUT: StructureSchema =
    StructureSchema { name: "DataInput", members: &[Member { name: "Data", required: true, schema: &BLOB }] };

const fn operation(name: &'static str, input: &'static StructureSchema, hot: bool) -> Operation {
    Operation {
        name,
        input,
        errors: &[],
        action: "test:Operation",
        resource: ResourceMember::Account,
        streaming: false,
        hot,
        available: true,
    }
}

static OPERATIONS: [Operation; 11] = [
    operation("Echo", &INPUT, false),
    operation("Hot", &INPUT, true),
    operation("Length", &DATA_INPUT, false),
    operation("Nothing", &INPUT, false),
    operation("Fail", &INPUT, false),
    operation("Panic", &INPUT, false),
    operation("Wait", &INPUT, false),
    operation("Stream", &INPUT, false),
    operation("Large", &INPUT, false),
    operation("GetLarge", &INPUT, false),
    operation("Unwritten", &INPUT, false),
];

/// What a hot body looks like that the service takes.
pub(crate) const HOT_BODY: &str = r#"{"Text":"hot"}"#;

/// The service behind the gateway. Tests steer it by what is public here.
pub(crate) struct Fake {
    /// Calls that reached `Wait`.
    pub(crate) waiting: Semaphore,
    /// Lets one `Wait` go on.
    pub(crate) go_on: Semaphore,
    /// Calls of `Wait` that came to their end.
    pub(crate) ended: Semaphore,
    /// What `Stream` sends; each permit of `polled` is one event that was asked for.
    pub(crate) events: Mutex<Option<mpsc::UnboundedReceiver<Bytes>>>,
    /// How often an event stream was asked for something and had it.
    pub(crate) taken: AtomicUsize,
    /// How many calls each thread has run.
    pub(crate) threads: Mutex<BTreeMap<String, usize>>,
    /// Notified when an event stream is dropped.
    pub(crate) stream_dropped: Arc<Notify>,
}

impl Default for Fake {
    fn default() -> Self {
        Fake {
            waiting: Semaphore::new(0),
            go_on: Semaphore::new(0),
            ended: Semaphore::new(0),
            events: Mutex::new(None),
            taken: AtomicUsize::new(0),
            threads: Mutex::default(),
            stream_dropped: Arc::default(),
        }
    }
}

struct NotifyOnDrop(Arc<Notify>);

impl Drop for NotifyOnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// The service as the gateway holds it.
pub(crate) struct FakeService(pub(crate) Arc<Fake>);

impl Service for FakeService {
    fn target_prefix(&self) -> &'static str {
        PREFIX
    }

    fn operation(&self, name: &str) -> Option<&'static Operation> {
        OPERATIONS.iter().find(|operation| operation.name == name)
    }

    fn hot<'a>(&'a self, operation: &'static Operation, _: &'a Call, body: &'a Bytes) -> HotAnswer<'a> {
        assert_eq!(operation.name, "Hot");
        if *body == HOT_BODY {
            return Some(Box::pin(async { Ok(Bytes::from_static(b"{\"Way\":\"hot\"}")) }));
        }
        None
    }

    fn call<'a>(&'a self, operation: &'static Operation, call: &'a Call, input: Value) -> Reply<'a, Answer> {
        Box::pin(async move {
            let thread = std::thread::current().name().unwrap_or_default().to_owned();
            *self.0.threads.lock().expect("no one panics with it").entry(thread).or_default() += 1;
            match operation.name {
                "Echo" => Ok(Answer::Value(input)),
                "Hot" => Ok(Answer::Value(Value::Map(vec![("Way".into(), Value::Text("ordinary".into()))]))),
                "Length" => {
                    let Some(Value::Bytes(bytes)) = input.member("Data") else {
                        panic!("coerced and checked")
                    };
                    let length = i64::try_from(bytes.len()).expect("small");
                    Ok(Answer::Value(Value::Map(vec![("Length".into(), Value::Integer(length))])))
                }
                "Large" | "GetLarge" => {
                    let Some(Value::Integer(length)) = input.member("Number") else {
                        panic!("coerced and checked")
                    };
                    let length = usize::try_from(*length).expect("positive");
                    Ok(Answer::Encoded(Bytes::from(vec![b'a'; length])))
                }
                "Nothing" => Ok(Answer::Value(Value::Null)),
                "Fail" => Err(Failure::server("InternalFailureException", format!("id {}", call.request_id))),
                "Panic" => panic!("the test asked for it"),
                "Wait" => {
                    self.0.waiting.add_permits(1);
                    self.0.go_on.acquire().await.expect("never closed").forget();
                    self.0.ended.add_permits(1);
                    Ok(Answer::Value(Value::Map(vec![])))
                }
                "Stream" => Ok(self.0.stream(call)),
                other => Err(Failure::client(
                    "UnknownOperationException",
                    format!("{other} is known but not available in Thalweg 0.0.0"),
                )),
            }
        })
    }
}

impl Fake {
    fn stream(self: &Arc<Self>, call: &Call) -> Answer {
        let mut first = Vec::new();
        event_stream::initial_response(&mut first, call.protocol);
        let receiver = self.events.lock().expect("no one panics with it").take();
        let (fake, guard) = (Arc::clone(self), NotifyOnDrop(Arc::clone(&self.stream_dropped)));
        let rest = stream::unfold((receiver, guard), move |(receiver, guard)| {
            let fake = Arc::clone(&fake);
            async move {
                let mut receiver = receiver?;
                let event = receiver.recv().await?;
                fake.taken.fetch_add(1, Ordering::SeqCst);
                assert!(event != "panic", "the test asked for it");
                Some((event, (Some(receiver), guard)))
            }
        });
        Answer::Events(Box::pin(stream::iter([Bytes::from(first)]).chain(rest)))
    }

    /// Where the next `Stream` takes its events from.
    pub(crate) fn event_source(&self) -> mpsc::UnboundedSender<Bytes> {
        let (sender, receiver) = mpsc::unbounded_channel();
        *self.events.lock().expect("no one panics with it") = Some(receiver);
        sender
    }
}

/// A gateway with the fake service on a socket.
pub(crate) struct Server {
    pub(crate) fake: Arc<Fake>,
    pub(crate) address: SocketAddr,
    pub(crate) serving: Serving,
}

pub(crate) fn settings() -> Settings {
    Settings { threads: NonZeroUsize::new(2).expect("two"), ..Settings::default() }
}

pub(crate) fn gateway(settings: Settings, readiness: Readiness) -> (Arc<Fake>, Gateway) {
    let fake = Arc::new(Fake::default());
    let service: Arc<dyn Service> = Arc::new(FakeService(Arc::clone(&fake)));
    let clock = Arc::new(OsClock::new());
    let gateway = Gateway::new(settings, vec![service], clock, &OsRandom, readiness, Arc::new(TokioTasks));
    (fake, gateway)
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_with(settings())
    }

    pub(crate) fn start_with(settings: Settings) -> Self {
        Self::start_ready_when(settings, Box::new(|| Ok(())))
    }

    pub(crate) fn start_ready_when(settings: Settings, readiness: Readiness) -> Self {
        let (fake, gateway) = gateway(settings, readiness);
        let listener = bind(([127, 0, 0, 1], 0).into()).expect("the loopback has a free port");
        let serving = gateway.serve(vec![listener], &OsNetworkSpawn).expect("the listener was just made");
        Server { fake, address: serving.addresses()[0], serving }
    }

    pub(crate) async fn connect(&self) -> Client<TcpStream> {
        Client::new(TcpStream::connect(self.address).await.expect("the server listens"))
    }

    /// Sends one request on a connection of its own.
    pub(crate) async fn ask(&self, request: &Ask<'_>) -> Answered {
        let mut client = self.connect().await;
        client.send(&request.bytes()).await;
        client.answer_to(request.method).await
    }
}

/// A request to send.
#[derive(Clone)]
pub(crate) struct Ask<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) headers: Vec<(&'a str, &'a str)>,
    pub(crate) body: &'a [u8],
}

impl<'a> Ask<'a> {
    /// A POST of a JSON body to an operation of the fake service.
    pub(crate) fn json(operation: &'a str, body: &'a str) -> Self {
        Ask {
            method: "POST",
            path: "/",
            headers: vec![("Content-Type", JSON), ("X-Amz-Target", operation)],
            body: body.as_bytes(),
        }
    }

    /// Without a body.
    pub(crate) fn bare(method: &'a str, path: &'a str) -> Self {
        Ask { method, path, headers: vec![], body: b"" }
    }

    pub(crate) fn with(mut self, name: &'a str, value: &'a str) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\nHost: anything\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            bytes += &format!("{name}: {value}\r\n");
        }
        if self.method == "POST" || !self.body.is_empty() {
            bytes += &format!("Content-Length: {}\r\n", self.body.len());
        }
        [bytes.as_bytes(), b"\r\n", self.body].concat()
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Answered {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }
}

/// An HTTP/1.1 connection, byte by byte.
pub(crate) struct Client<S> {
    pub(crate) stream: S,
    unread: Vec<u8>,
}

impl Client<TcpStream> {
    /// Whether nothing has come, not even an end.
    pub(crate) fn is_silent(&self) -> bool {
        let come = self.stream.try_read(&mut [0]);
        self.unread.is_empty() && come.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    }
}

impl<S: AsyncReadExt + AsyncWriteExt + Unpin> Client<S> {
    pub(crate) fn new(stream: S) -> Self {
        Client { stream, unread: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the server reads");
        self.stream.flush().await.expect("the server reads");
    }

    /// Reads some more; false at the end (or when the connection was reset).
    async fn read_more(&mut self) -> bool {
        let mut piece = vec![0; 64 * 1024];
        let count =
            tokio::time::timeout(AGES, self.stream.read(&mut piece)).await.expect("something comes in time");
        let count = count.unwrap_or(0);
        self.unread.extend_from_slice(&piece[..count]);
        count > 0
    }

    /// Whether the server has closed without another byte.
    pub(crate) async fn is_closed(&mut self) -> bool {
        self.unread.is_empty() && !self.read_more().await
    }

    pub(crate) async fn take(&mut self, count: usize) -> Vec<u8> {
        while self.unread.len() < count {
            assert!(self.read_more().await, "cut off: {}", String::from_utf8_lossy(&self.unread));
        }
        self.unread.drain(..count).collect()
    }

    async fn take_line(&mut self) -> String {
        loop {
            if let Some(end) = self.unread.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.take(end + 2).await;
                return String::from_utf8(line[..end].to_vec()).expect("heads are text");
            }
            assert!(self.read_more().await, "cut off: {}", String::from_utf8_lossy(&self.unread));
        }
    }

    /// Status and headers of the next answer.
    pub(crate) async fn head(&mut self) -> (u16, BTreeMap<String, String>) {
        let status = self.take_line().await;
        let status = status.split(' ').nth(1).expect("a status line").parse().expect("a number");
        let mut headers = BTreeMap::new();
        loop {
            let line = self.take_line().await;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        (status, headers)
    }

    /// The next chunk of a chunked body; empty at its end.
    pub(crate) async fn chunk(&mut self) -> Vec<u8> {
        let length = usize::from_str_radix(&self.take_line().await, 16).expect("a chunk's length");
        let chunk = self.take(length).await;
        assert_eq!(self.take(2).await, b"\r\n");
        chunk
    }

    /// The next answer.
    pub(crate) async fn answer(&mut self) -> Answered {
        self.answer_to("POST").await
    }

    /// The next answer, to a request of this method.
    pub(crate) async fn answer_to(&mut self, method: &str) -> Answered {
        let (status, headers) = self.head().await;
        let mut body = Vec::new();
        if method == "HEAD" {
        } else if headers.get("transfer-encoding").is_some_and(|encoding| encoding == "chunked") {
            loop {
                let chunk = self.chunk().await;
                if chunk.is_empty() {
                    break;
                }
                body.extend(chunk);
            }
        } else if let Some(length) = headers.get("content-length") {
            body = self.take(length.parse().expect("a number")).await;
        }
        Answered { status, headers, body }
    }
}

/// An HTTP/2 frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// What an HTTP/2 client sends that asks for so many answers, and has a window of so many bytes for each.
pub(crate) fn asked_over_http2(target: &str, body: &str, requests: usize, window: u32) -> Vec<u8> {
    let mut block = vec![0x83, 0x86, 0x84];
    for (name, value) in [("content-type", JSON), ("x-amz-target", target)] {
        block.extend([0, name.len() as u8]);
        block.extend(name.as_bytes());
        block.push(value.len() as u8);
        block.extend(value.as_bytes());
    }
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(4, 0, 0, &[&[0, 4][..], &window.to_be_bytes()].concat()));
    for number in 0..requests as u32 {
        bytes.extend(frame(1, 4, 2 * number + 1, &block));
        bytes.extend(frame(0, 1, 2 * number + 1, body.as_bytes()));
    }
    bytes
}

/// An HTTP/2 connection by prior knowledge.
pub(crate) struct Http2 {
    pub(crate) sender: http2::SendRequest<Full<Bytes>>,
    /// Ends with the connection: without an error when it was closed in good order.
    pub(crate) ended: JoinHandle<()>,
    address: SocketAddr,
}

impl Http2 {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the server listens");
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .expect("the server speaks HTTP/2");
        let ended = tokio::spawn(async move { connection.await.expect("the connection ends in good order") });
        Http2 { sender, ended, address }
    }

    pub(crate) fn request(&self, ask: &Ask<'_>) -> Request<Full<Bytes>> {
        let uri = format!("http://{}{}", self.address, ask.path);
        let mut request = Request::builder().method(ask.method).uri(uri);
        for (name, value) in &ask.headers {
            request = request.header(*name, *value);
        }
        request.body(Full::new(Bytes::copy_from_slice(ask.body))).expect("tests ask what can be asked")
    }

    pub(crate) async fn ask(&mut self, ask: &Ask<'_>) -> Answered {
        let request = self.request(ask);
        let response = tokio::time::timeout(AGES, self.sender.send_request(request)).await.expect("in time");
        let (head, body) = response.expect("answered").into_parts();
        let text = |value: &HeaderValue| value.to_str().expect("headers are text").to_owned();
        Answered {
            status: head.status.as_u16(),
            headers: head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
            body: body.collect().await.expect("the body comes whole").to_bytes().to_vec(),
        }
    }
}
