//! HTTP/1.1 and HTTP/2 on one port, bodies of every form, and clients that misbehave.

use std::num::NonZeroUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use thalweg_gateway::Settings;
use thalweg_gateway::settings::{
    BODY_BYTES_MAX, CROWDED_HASTE, HEAD_BYTES_MAX, HEADERS_MAX, STREAM_WINDOW_BYTES, STREAMS_MAX,
};
use thalweg_wire::event_stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{
    AGES, Answered, Ask, Client, Http2, JSON, Server, asked_over_http2, frame, gateway, settings,
};

const ECHO: &str = "Test_1.Echo";
const LARGE: &str = "Test_1.Large";
const BODY: &str = r#"{"Text":"x"}"#;
/// Long enough for a socket on a busy machine, short enough to wait for.
const SHORT: Duration = Duration::from_millis(200);

#[track_caller]
fn check_echo(answered: &Answered) {
    assert_eq!((answered.status, answered.text()), (200, BODY));
}

/// A JSON body of exactly this length for `Length`, and the length of its data.
fn body_of(length: usize) -> (String, usize) {
    const FRAME: &str = r#"{"Data":""}"#;
    let encoded = (length - FRAME.len()) / 4 * 4;
    let blanks = length - FRAME.len() - encoded;
    (format!(r#"{{"Data":"{}"}}{}"#, "A".repeat(encoded), " ".repeat(blanks)), encoded / 4 * 3)
}

fn length_answer(length: usize) -> String {
    format!(r#"{{"Length":{length}}}"#)
}

#[tokio::test]
async fn a_connection_serves_many_requests() {
    let server = Server::start();
    let mut client = server.connect().await;
    for _ in 0..50 {
        client.send(&Ask::json(ECHO, BODY).bytes()).await;
        check_echo(&client.answer().await);
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = Server::start();
    let mut client = server.connect().await;
    let bodies: Vec<String> =
        (1..=100).map(|number| format!(r#"{{"Text":"x","Number":{number}}}"#)).collect();
    let requests: Vec<u8> = bodies.iter().flat_map(|body| Ask::json(ECHO, body).bytes()).collect();
    client.send(&requests).await;
    for body in &bodies {
        assert_eq!(client.answer().await.text(), body);
    }
}

#[tokio::test]
async fn a_connection_that_is_to_be_closed_is_closed() {
    let server = Server::start();
    let mut client = server.connect().await;
    client.send(&Ask::json(ECHO, BODY).with("Connection", "close").bytes()).await;
    check_echo(&client.answer().await);
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn requests_may_come_a_byte_at_a_time() {
    let server = Server::start();
    let mut client = server.connect().await;
    client.stream.set_nodelay(true).expect("a TCP socket");
    for byte in Ask::json(ECHO, BODY).bytes() {
        client.send(&[byte]).await;
    }
    check_echo(&client.answer().await);
}

#[tokio::test]
async fn chunked_bodies_are_put_together() {
    let server = Server::start();
    let mut client = server.connect().await;
    let head = format!(
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Type: {JSON}\r\nX-Amz-Target: {ECHO}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    for size in 1..=BODY.len() {
        client.send(head.as_bytes()).await;
        for chunk in BODY.as_bytes().chunks(size) {
            client.send(format!("{:x};extension=1\r\n", chunk.len()).as_bytes()).await;
            client.send(chunk).await;
            client.send(b"\r\n").await;
        }
        client.send(b"0\r\nTrailer: ignored\r\n\r\n").await;
        check_echo(&client.answer().await);
    }
}

#[tokio::test]
async fn a_client_that_asks_first_is_told_to_go_on() {
    let server = Server::start();
    let mut client = server.connect().await;
    let request = Ask::json(ECHO, BODY).with("Expect", "100-continue").bytes();
    let (head, body) = request.split_at(request.len() - BODY.len());
    client.send(head).await;
    assert_eq!(client.head().await.0, 100);
    client.send(body).await;
    check_echo(&client.answer().await);
}

#[tokio::test]
async fn bodies_are_taken_up_to_the_limit() {
    let server = Server::start();
    let mut client = server.connect().await;
    for length in [700_000, BODY_BYTES_MAX] {
        let (body, data) = body_of(length);
        assert_eq!(body.len(), length);
        client.send(&Ask::json("Test_1.Length", &body).bytes()).await;
        let answered = client.answer().await;
        assert_eq!((answered.status, answered.text()), (200, length_answer(data).as_str()));
    }
}

#[tokio::test]
async fn longer_bodies_are_refused() {
    let server = Server::start();
    let refused = |answered: &Answered| {
        assert_eq!((answered.status, answered.text()), (413, ""));
        assert!(answered.header("x-amzn-requestid").is_some());
        assert_eq!(answered.header("connection"), Some("close"));
    };
    // A client that sends all before it reads.
    let (body, _) = body_of(BODY_BYTES_MAX + 1);
    let mut client = server.connect().await;
    client.send(&Ask::json("Test_1.Length", &body).bytes()).await;
    refused(&client.answer().await);
    // One that does not say how much comes.
    let mut client = server.connect().await;
    client
        .send(
            format!("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n", body.len())
                .as_bytes(),
        )
        .await;
    client.send(body.as_bytes()).await;
    client.send(b"\r\n0\r\n\r\n").await;
    refused(&client.answer().await);
    // One that asks first is refused before it sends.
    for length in [BODY_BYTES_MAX as u64 + 1, u64::MAX >> 1] {
        let mut client = server.connect().await;
        let head =
            format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n\r\n");
        client.send(head.as_bytes()).await;
        refused(&client.answer().await);
        assert!(client.is_closed().await);
    }
}

#[tokio::test]
async fn what_is_not_http_is_refused() {
    let server = Server::start();
    let huge = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(HEAD_BYTES_MAX));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(101));
    let endless = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(2 * 1024 * 1024));
    let chunked = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n";
    for (rule, bytes, status) in [
        ("no method", "\0\0\0\r\n\r\n", Some(400)),
        ("no version", "GET /\r\n\r\n", Some(400)),
        ("a version of the future", "GET / HTTP/9.9\r\n\r\n", Some(400)),
        ("a bad header", "GET / HTTP/1.1\r\nbad header\r\n\r\n", Some(400)),
        ("two lengths", "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", Some(400)),
        ("too long a head", &huge, Some(431)),
        ("too many headers", &many, Some(431)),
        ("an endless head", &endless, Some(431)),
        ("a bad chunk", chunked, Some(400)),
        ("a TLS client's hello", "\x16\x03\x01\x02\0\x01\0\x01\u{7c}\x03\x03", None),
    ] {
        let mut stream = TcpStream::connect(server.address).await.expect("the server listens");
        // The server may close before all is sent.
        let _ = stream.write_all(bytes.as_bytes()).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = timeout(AGES, stream.read_to_end(&mut answer)).await.expect("the server closes");
        let answer = String::from_utf8_lossy(&answer);
        // A reset may overtake the answer.
        if let Some(status) = status.filter(|_| !answer.is_empty()) {
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{rule}: {answer}");
        }
    }
    check_echo(&server.ask(&Ask::json(ECHO, BODY)).await);
}

#[tokio::test]
async fn heads_that_do_not_come_end_the_connection() {
    let server = Server::start_with(Settings { head_timeout: SHORT, ..settings() });
    for start in ["P", "POST / HT", "POST / HTTP/1.1\r\nHost: h\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n"] {
        let mut client = server.connect().await;
        client.send(start.as_bytes()).await;
        assert!(client.is_closed().await, "{start}");
    }
    // So does the second one's.
    let mut client = server.connect().await;
    client.send(&Ask::json(ECHO, BODY).bytes()).await;
    check_echo(&client.answer().await);
    tokio::time::sleep(2 * SHORT).await;
    client.send(b"POST / HT").await;
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn bodies_that_do_not_come_are_given_up() {
    let server = Server::start_with(Settings { body_timeout: SHORT, ..settings() });
    let mut client = server.connect().await;
    let request = Ask::json(ECHO, BODY).bytes();
    client.send(&request[..request.len() - 1]).await;
    let answered = client.answer().await;
    assert_eq!((answered.status, answered.header("connection")), (408, Some("close")));
    assert!(client.is_closed().await);
    // A body that breaks off leaves nothing behind.
    let mut client = server.connect().await;
    client.send(&request[..request.len() - 1]).await;
    drop(client);
    check_echo(&server.ask(&Ask::json(ECHO, BODY)).await);
}

#[tokio::test]
async fn idle_connections_are_closed() {
    let server = Server::start_with(Settings { idle_timeout: SHORT, ..settings() });
    let mut silent = server.connect().await;
    assert!(silent.is_closed().await);
    let mut client = server.connect().await;
    client.send(&Ask::json(ECHO, BODY).bytes()).await;
    check_echo(&client.answer().await);
    assert!(client.is_closed().await);
    let mut http2 = Http2::connect(server.address).await;
    check_echo(&http2.ask(&Ask::json(ECHO, BODY)).await);
    timeout(AGES, http2.ended).await.expect("closed in time").expect("in good order");
}

#[tokio::test]
async fn bodies_share_what_memory_they_may_take() {
    let server = Server::start_with(Settings { bodies_bytes_max: 1000, ..settings() });
    let mut waiting = server.connect().await;
    let long = format!(r#"{{"Text":"x"}}{}"#, " ".repeat(900));
    waiting.send(&Ask::json("Test_1.Wait", &long).bytes()).await;
    server.fake.waiting.acquire().await.expect("never closed").forget();
    let answered = server.ask(&Ask::json(ECHO, &long)).await;
    assert_eq!((answered.status, answered.text()), (503, ""));
    check_echo(&server.ask(&Ask::json(ECHO, BODY)).await);
    server.fake.go_on.add_permits(1);
    assert_eq!(waiting.answer().await.status, 200);
    check_echo(&server.ask(&Ask::json(ECHO, &long)).await);
}

/// Little room for answers, and all the time to take them, however slow the machine.
fn narrow() -> Settings {
    Settings { answers_bytes_max: 1_000_000, write_timeout: CROWDED_HASTE * AGES, ..settings() }
}

/// An answer of so many bytes.
fn large(length: usize) -> String {
    format!(r#"{{"Text":"x","Number":{length}}}"#)
}

/// A client without a window for answers, which are asked for like this.
async fn unread(server: &Server, target: &str, body: &str, requests: usize) -> TcpStream {
    let mut client = TcpStream::connect(server.address).await.expect("the server listens");
    let asked = asked_over_http2(target, body, requests, 0);
    client.write_all(&asked).await.expect("the server reads");
    client
}

/// Takes frames until so many heads of answers have come.
async fn take_heads(client: &mut Client<TcpStream>, mut count: usize) {
    while count > 0 {
        let head = client.take(9).await;
        count -= usize::from(head[3] == HEADERS);
        client.take(usize::from(head[1]) << 8 | usize::from(head[2])).await;
    }
}

/// Asks until the answer has this status.
async fn until_answered(server: &Server, target: &str, body: &str, status: u16) {
    let answered = async {
        while server.ask(&Ask::json(target, body)).await.status != status {
            tokio::task::yield_now().await;
        }
    };
    timeout(AGES, answered).await.expect("it is answered so in time");
}

#[tokio::test]
async fn large_answers_leave_room_for_small_ones() {
    let server = Server::start_with(narrow());
    let client = unread(&server, LARGE, &large(300_000), 10).await;
    until_answered(&server, LARGE, &large(300_000), 503).await;
    assert_eq!(server.ask(&Ask::json("Test_1.Large", &large(100_000))).await.status, 200);
    drop(client);
    until_answered(&server, LARGE, &large(300_000), 200).await;
}

#[tokio::test]
async fn unread_reads_leave_room_for_what_puts_are_answered() {
    let server = Server::start_with(narrow());
    // The first ones fill what is for large answers, the others what is for those who only ask.
    let mut clients = Vec::new();
    for length in [300_000, 50_000, 5000] {
        let mut client = Client::new(unread(&server, "Test_1.GetLarge", &large(length), 40).await);
        take_heads(&mut client, 40).await;
        clients.push(client);
        assert_eq!(server.ask(&Ask::json("Test_1.GetLarge", &large(length))).await.status, 503, "{length}");
    }
    for length in [10, 5000, 100_000] {
        assert_eq!(server.ask(&Ask::json(LARGE, &large(length))).await.status, 200, "{length}");
    }
    assert_eq!(server.ask(&Ask::json("Test_1.GetLarge", &large(10))).await.status, 200, "it is small");
    drop(clients);
    until_answered(&server, "Test_1.GetLarge", &large(300_000), 200).await;
}

#[tokio::test]
async fn answers_share_what_memory_they_may_take() {
    let server = Server::start_with(narrow());
    let client = unread(&server, LARGE, &large(100_000), 20).await;
    until_answered(&server, LARGE, &large(10), 503).await;
    drop(client);
    until_answered(&server, LARGE, &large(10), 200).await;
}

#[tokio::test]
async fn answers_behind_a_closed_window_end_the_connection() {
    let server = Server::start_with(Settings { write_timeout: SHORT, ..settings() });
    let mut client = unread(&server, LARGE, &large(200_000), 1).await;
    let mut received = Vec::new();
    // It may be a reset.
    let _ = timeout(AGES, client.read_to_end(&mut received)).await.expect("the server gives it up");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place() {
    const TURNS: usize = 100;
    let server = Server::start_with(Settings { connections_max: 1, ..settings() });
    let mut first = server.connect().await;
    first.send(&Ask::json(ECHO, BODY).bytes()).await;
    check_echo(&first.answer().await);
    // They come while there is no place, and ask at once.
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let mut client = server.connect().await;
        client.send(&Ask::json(ECHO, BODY).bytes()).await;
        waiting.push(client);
    }
    let calls = || server.fake.threads.lock().expect("no one panics with it").values().sum::<usize>();
    let mut has_place = first;
    let mut expected = 1;
    for mut next in waiting {
        // Others had many turns to be served in.
        for _ in 0..TURNS {
            has_place.send(&Ask::json(ECHO, BODY).bytes()).await;
            check_echo(&has_place.answer().await);
            assert!(next.is_silent(), "it has no place, and nothing comes");
        }
        expected += TURNS;
        assert_eq!(calls(), expected, "nobody without a place is served");
        drop(has_place);
        check_echo(&next.answer().await);
        expected += 1;
        has_place = next;
    }
}

#[tokio::test]
async fn connections_are_spread_over_the_threads() {
    let server = Server::start_with(Settings { threads: NonZeroUsize::new(3).expect("three"), ..settings() });
    let mut clients = Vec::new();
    for _ in 0..6 {
        let mut client = server.connect().await;
        client.send(&Ask::json(ECHO, BODY).bytes()).await;
        check_echo(&client.answer().await);
        clients.push(client);
    }
    let threads = server.fake.threads.lock().expect("no one panics with it").clone();
    let expected = ["gateway-0", "gateway-1", "gateway-2"].map(|name| (name.to_owned(), 2));
    assert_eq!(threads.into_iter().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_call_runs_to_its_end_without_its_client() {
    let server = Server::start();
    for protocol in ["1", "2"] {
        if protocol == "1" {
            let mut client = server.connect().await;
            client.send(&Ask::json("Test_1.Wait", BODY).bytes()).await;
            server.fake.waiting.acquire().await.expect("never closed").forget();
            drop(client);
        } else {
            let mut client = Http2::connect(server.address).await;
            let request = client.request(&Ask::json("Test_1.Wait", BODY));
            let sent = client.sender.send_request(request);
            let asked = tokio::spawn(sent);
            server.fake.waiting.acquire().await.expect("never closed").forget();
            asked.abort();
            client.ended.abort();
        }
        server.fake.go_on.add_permits(1);
        timeout(AGES, server.fake.ended.acquire()).await.expect("it ends").expect("never closed").forget();
    }
}

#[tokio::test]
async fn any_byte_stream_is_served() {
    let (_, gateway) = gateway(settings(), Box::new(|| Ok(())));
    let (ours, theirs) = tokio::io::duplex(64);
    let served = tokio::spawn(async move { gateway.serve_connection(theirs).await });
    let mut client = Client::new(ours);
    for _ in 0..3 {
        client.send(&Ask::json(ECHO, BODY).bytes()).await;
        check_echo(&client.answer().await);
    }
    drop(client);
    timeout(AGES, served).await.expect("in time").expect("it does not panic");
}

#[tokio::test]
async fn http2_by_prior_knowledge_is_served_on_the_same_port() {
    let server = Server::start();
    let mut client = Http2::connect(server.address).await;
    check_echo(&client.ask(&Ask::json(ECHO, BODY)).await);
    let answered = client.ask(&Ask::json(ECHO, "{}")).await;
    assert_eq!((answered.status, answered.header("content-type")), (400, Some(JSON)));
    assert!(answered.header("x-amzn-requestid").is_some() && answered.header("x-amz-id-2").is_some());
    assert!(answered.header("date").is_some());
    assert_eq!(client.ask(&Ask::bare("GET", "/healthz")).await.text(), "ok\n");
    let head = client.ask(&Ask::bare("HEAD", "/healthz")).await;
    assert_eq!((head.status, head.header("content-length"), head.text()), (200, Some("3"), ""));
    let head = client.ask(&Ask::bare("HEAD", "/")).await;
    assert_eq!((head.status, head.header("content-length"), head.text()), (403, Some("130"), ""));
    let preflight = client.ask(&Ask::bare("OPTIONS", "/").with("Origin", "x")).await;
    assert_eq!((preflight.status, preflight.text()), (200, ""));
    // Beyond every window, and beyond every limit.
    let (body, data) = body_of(STREAM_WINDOW_BYTES as usize * 3);
    assert_eq!(client.ask(&Ask::json("Test_1.Length", &body)).await.text(), length_answer(data));
    let (body, _) = body_of(BODY_BYTES_MAX + 1);
    assert_eq!(client.ask(&Ask::json("Test_1.Length", &body)).await.status, 413);
    check_echo(&client.ask(&Ask::json(ECHO, BODY)).await);
}

#[tokio::test]
async fn heads_have_no_more_fields_over_http2_either() {
    let server = Server::start();
    let mut client = Http2::connect(server.address).await;
    for (fields, status) in [(HEADERS_MAX, 200), (HEADERS_MAX + 1, 431)] {
        let ask = (0..fields).fold(Ask::bare("GET", "/healthz"), |ask, _| ask.with("x", "y"));
        assert_eq!(client.ask(&ask).await.status, status);
    }
    let ask = (0..1800).fold(Ask::json(ECHO, BODY), |ask, _| ask.with("x", ""));
    assert_eq!(client.ask(&ask).await.status, 431);
    check_echo(&client.ask(&Ask::json(ECHO, BODY)).await);
}

#[tokio::test]
async fn http2_streams_do_not_wait_for_one_another() {
    let server = Server::start();
    let mut client = Http2::connect(server.address).await;
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            let request = client.request(&Ask::json("Test_1.Wait", BODY));
            tokio::spawn(client.sender.send_request(request))
        })
        .collect();
    server.fake.waiting.acquire_many(50).await.expect("never closed").forget();
    check_echo(&client.ask(&Ask::json(ECHO, BODY)).await);
    server.fake.go_on.add_permits(50);
    for answer in waiting {
        assert_eq!(answer.await.expect("no panic").expect("answered").status(), 200);
    }
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;

#[tokio::test]
async fn http2_settings_are_ours() {
    let server = Server::start();
    let mut client = server.connect().await;
    client.send(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await;
    let head = client.take(9).await;
    let length = usize::from(head[2]) | usize::from(head[1]) << 8;
    assert_eq!((head[0], head[3]), (0, SETTINGS));
    let settings = client.take(length).await;
    let setting = |id: u16| {
        let entry = settings.chunks(6).find(|entry| entry[..2] == id.to_be_bytes())?;
        Some(u32::from_be_bytes(entry[2..].try_into().expect("four bytes")))
    };
    assert_eq!(setting(3), Some(STREAMS_MAX), "streams at once");
    assert_eq!(setting(4), Some(STREAM_WINDOW_BYTES), "stream window");
    assert_eq!(setting(6), Some(HEAD_BYTES_MAX as u32), "header list");
}

#[tokio::test]
async fn a_flood_of_resets_ends_the_connection() {
    let server = Server::start();
    let mut client = server.connect().await;
    // POST, http, /, authority "a": indexed or literal.
    let headers = [0x83, 0x86, 0x84, 0x41, 0x01, b'a'];
    let mut flood = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    for stream in 0..20_000u32 {
        flood.extend(frame(HEADERS, 0x4, stream * 2 + 1, &headers));
        flood.extend(frame(RST_STREAM, 0, stream * 2 + 1, &[0, 0, 0, 8]));
    }
    // The server closes before all is sent.
    let _ = timeout(AGES, client.stream.write_all(&flood)).await.expect("the server reads or closes");
    let mut answer = Vec::new();
    let _ = timeout(AGES, client.stream.read_to_end(&mut answer)).await.expect("the server closes");
    check_echo(&server.ask(&Ask::json(ECHO, BODY)).await);
}

#[tokio::test]
async fn http2_frames_that_are_none_end_the_connection() {
    let server = Server::start();
    for (rule, bytes) in [
        ("garbage", vec![0xff; 100]),
        ("a frame that is too long", frame(0, 0, 1, &vec![0; 300_000])),
        ("data on no stream", frame(0, 0, 0, &[1])),
        ("headers that are none", frame(HEADERS, 0x4, 1, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff])),
        (
            "a stream number that goes back",
            [frame(HEADERS, 0x5, 3, &[0x83, 0x86, 0x84]), frame(HEADERS, 0x5, 1, &[0x83, 0x86, 0x84])]
                .concat(),
        ),
    ] {
        let mut client = server.connect().await;
        let _ = client.stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[]), &bytes].concat()).await;
        let mut answer = Vec::new();
        let _ = timeout(AGES, client.stream.read_to_end(&mut answer)).await.expect(rule);
        if let Some(rest) = answer.get(9..) {
            assert!(rest.contains(&GOAWAY), "{rule}: {answer:?}");
        }
    }
    check_echo(&server.ask(&Ask::json(ECHO, BODY)).await);
}

/// The frames of an event stream, decoded: event type (or message type) and payload.
fn decode_events(mut bytes: &[u8]) -> Vec<(String, String)> {
    let mut events = Vec::new();
    while !bytes.is_empty() {
        let (frame, length) = event_stream::decode(bytes).expect("well formed").expect("complete");
        let kind = frame.header(":event-type").or(frame.header(":message-type")).expect("every frame says");
        events.push((kind.to_owned(), String::from_utf8_lossy(frame.payload).into_owned()));
        bytes = &bytes[length..];
    }
    events
}

fn event(text: &str) -> Bytes {
    let mut out = Vec::new();
    let payload =
        thalweg_shape::Value::Map(vec![("T".to_owned(), thalweg_shape::Value::Text(text.to_owned()))]);
    event_stream::event(&mut out, thalweg_wire::Protocol::AwsJson11, "Event", &payload);
    Bytes::from(out)
}

fn expected(kind: &str, payload: &str) -> Vec<(String, String)> {
    vec![(kind.to_owned(), payload.to_owned())]
}

#[tokio::test]
async fn events_go_out_at_once_over_http1() {
    let server = Server::start();
    let source = server.fake.event_source();
    let mut client = server.connect().await;
    client.send(&Ask::json("Test_1.Stream", BODY).bytes()).await;
    let (status, headers) = client.head().await;
    assert_eq!(status, 200);
    assert_eq!(headers.get("content-type").map(String::as_str), Some(event_stream::CONTENT_TYPE));
    assert!(headers.contains_key("x-amzn-requestid"));
    assert_eq!(decode_events(&client.chunk().await), expected("initial-response", "{}"));
    for text in ["a", "b", "c"] {
        source.send(event(text)).expect("the stream is open");
        assert_eq!(decode_events(&client.chunk().await), expected("Event", &format!(r#"{{"T":"{text}"}}"#)));
    }
    drop(source);
    assert_eq!(client.chunk().await, b"", "the end");
    client.send(&Ask::json(ECHO, BODY).bytes()).await;
    check_echo(&client.answer().await);
}

#[tokio::test]
async fn events_go_out_at_once_over_http2_beside_other_requests() {
    let server = Server::start();
    let source = server.fake.event_source();
    let mut client = Http2::connect(server.address).await;
    let request = client.request(&Ask::json("Test_1.Stream", BODY));
    let response = client.sender.send_request(request).await.expect("answered");
    assert_eq!(response.headers()["content-type"], event_stream::CONTENT_TYPE);
    let mut body = response.into_body();
    let mut next = async || {
        let frame = timeout(AGES, body.frame()).await.expect("in time")?.expect("no error");
        Some(decode_events(&frame.into_data().expect("data")))
    };
    assert_eq!(next().await, Some(expected("initial-response", "{}")));
    for text in ["a", "b"] {
        source.send(event(text)).expect("the stream is open");
        assert_eq!(next().await, Some(expected("Event", &format!(r#"{{"T":"{text}"}}"#))));
        check_echo(&client.ask(&Ask::json(ECHO, BODY)).await);
    }
    drop(source);
    // An empty frame may carry the end.
    assert!(next().await.is_none_or(|events| events.is_empty()));
}

#[tokio::test]
async fn an_event_stream_is_asked_only_as_fast_as_its_client_reads() {
    let server = Server::start();
    let source = server.fake.event_source();
    const COUNT: usize = 200;
    let large = Bytes::from(vec![7; 1024 * 1024]);
    for _ in 0..COUNT {
        source.send(large.clone()).expect("the stream is open");
    }
    drop(source);
    let mut client = server.connect().await;
    client.send(&Ask::json("Test_1.Stream", BODY).bytes()).await;
    assert_eq!(client.head().await.0, 200);
    client.chunk().await;
    // Nothing tells when a server has stopped; but had it not, all would be taken long before this.
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let taken = server.fake.taken.load(Ordering::SeqCst);
    assert!(taken < COUNT / 2, "{taken} events were taken for a client that read none");
    for _ in 0..COUNT {
        assert_eq!(client.chunk().await.len(), large.len());
    }
    assert_eq!(client.chunk().await, b"");
}

#[tokio::test]
async fn an_event_stream_that_panics_ends_with_an_error_frame() {
    let server = Server::start();
    let source = server.fake.event_source();
    source.send(event("a")).expect("the stream is open");
    source.send(Bytes::from_static(b"panic")).expect("the stream is open");
    let answered = server.ask(&Ask::json("Test_1.Stream", BODY)).await;
    let kinds: Vec<String> = decode_events(&answered.body).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["initial-response", "Event", "error"]);
    check_echo(&server.ask(&Ask::json(ECHO, BODY)).await);
}

#[tokio::test]
async fn an_event_stream_ends_when_its_client_leaves_or_does_not_read() {
    let server = Server::start_with(Settings { write_timeout: SHORT, ..settings() });
    // Leaves.
    let source = server.fake.event_source();
    let mut client = server.connect().await;
    client.send(&Ask::json("Test_1.Stream", BODY).bytes()).await;
    client.head().await;
    drop(client);
    timeout(AGES, server.fake.stream_dropped.notified()).await.expect("it is dropped");
    assert!(source.is_closed());
    // Does not read.
    let source = server.fake.event_source();
    for _ in 0..100 {
        source.send(Bytes::from(vec![7; 1024 * 1024])).expect("the stream is open");
    }
    let mut client = server.connect().await;
    client.send(&Ask::json("Test_1.Stream", BODY).bytes()).await;
    timeout(AGES, server.fake.stream_dropped.notified()).await.expect("it is dropped");
    assert!(source.is_closed());
    // Over HTTP/2 a client takes a stream back.
    let source = server.fake.event_source();
    let mut client = Http2::connect(server.address).await;
    let request = client.request(&Ask::json("Test_1.Stream", BODY));
    let response = client.sender.send_request(request).await.expect("answered");
    drop(response);
    timeout(AGES, server.fake.stream_dropped.notified()).await.expect("it is dropped");
    assert!(source.is_closed());
    check_echo(&client.ask(&Ask::json(ECHO, BODY)).await);
}
