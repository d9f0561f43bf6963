//! AWS's front door: which request gets which error, in which form. Recorded from AWS by others
//! (facts/aws-apis.md 2.12, facts/aws-behaviour.md "Protocol").

use crate::support::{Answered, Ask, CBOR, JSON, PREFIX, Server};
use thalweg_wire::Protocol;

const ECHO: &str = "Test_1.Echo";
const ACCESS_DENIED: &str = "<AccessDeniedException>\n  <Message>Unable to determine service/operation name to be \
                             authorized</Message>\n</AccessDeniedException>\n";
const OLD_BROKEN: &str =
    r#"{"Output":{"__type":"com.amazon.coral.service#SerializationException"},"Version":"1.0"}"#;
const OLD_UNKNOWN: &str =
    r#"{"Output":{"__type":"com.amazon.coral.service#UnknownOperationException"},"Version":"1.0"}"#;

/// What every answer has.
#[track_caller]
fn check_ids(answered: &Answered) {
    let id = answered.header("x-amzn-requestid").expect("every answer has an id");
    let parts: Vec<usize> = id.split('-').map(str::len).collect();
    assert_eq!(parts, [8, 4, 4, 4, 12], "{id}");
    assert!(id.bytes().all(|byte| byte == b'-' || matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{id}");
    let extended = answered.header("x-amz-id-2").expect("every answer has an extended id");
    let bytes = base64_simd::STANDARD.decode_to_vec(extended).expect("it is base64").len();
    assert!((64..=80).contains(&bytes), "{bytes}");
    assert!(answered.header("date").is_some_and(|date| date.ends_with(" GMT")));
    assert_eq!(answered.header("content-length"), Some(answered.body.len().to_string().as_str()));
}

/// A rule, a request and what it gets: status, Content-Type, and the body (of CBOR: its JSON form).
struct Case<'a>(&'a str, Ask<'a>, u16, Option<&'a str>, &'a str);

async fn check(server: &Server, Case(rule, ask, status, content_type, body): Case<'_>) {
    let answered = server.ask(&ask).await;
    let shown = if content_type == Some(CBOR) && !answered.body.is_empty() {
        let mut json = Vec::new();
        Protocol::AwsJson11.encode(&Protocol::AwsCbor11.decode(&answered.body).expect("CBOR"), &mut json);
        String::from_utf8(json).expect("JSON is UTF-8")
    } else {
        answered.text().to_owned()
    };
    assert_eq!(
        (answered.status, answered.header("content-type"), shown.as_str()),
        (status, content_type, body),
        "{rule}"
    );
    check_ids(&answered);
}

fn typed(code: &str) -> String {
    format!(r#"{{"__type":"{code}"}}"#)
}

fn worded(code: &str, message: &str) -> String {
    format!(r#"{{"__type":"{code}","message":"{message}"}}"#)
}

/// A POST with these headers only.
fn post<'a>(headers: &[(&'a str, &'a str)], body: &'a str) -> Ask<'a> {
    Ask { method: "POST", path: "/", headers: headers.to_vec(), body: body.as_bytes() }
}

fn to<'a>(content_type: &'a str, target: &'a str, body: &'a str) -> Ask<'a> {
    post(&[("Content-Type", content_type), ("X-Amz-Target", target)], body)
}

#[tokio::test]
async fn methods_other_than_post_are_denied_in_xml() {
    let server = Server::start();
    for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        check(&server, Case(method, Ask::bare(method, "/"), 403, None, ACCESS_DENIED)).await;
        let asked = Ask { method, ..Ask::json(ECHO, "{}") };
        check(&server, Case("whatever else they say", asked, 403, None, ACCESS_DENIED)).await;
    }
}

#[tokio::test]
async fn an_empty_body_is_told_by_target_and_in_json_only_if_it_says_so() {
    let server = Server::start();
    let serialization = typed("SerializationException");
    let unknown = typed("UnknownOperationException");
    for content_type in
        ["application/x-amz-json-1.0", "application/x-amz-json-1.1asdf", "application/json", "", CBOR]
    {
        check(&server, Case(content_type, to(content_type, "", ""), 400, Some(CBOR), &unknown)).await;
        check(&server, Case(content_type, to(content_type, ECHO, ""), 400, Some(CBOR), &serialization)).await;
    }
    check(&server, Case("no headers", post(&[], ""), 400, Some(CBOR), &unknown)).await;
    for target in ["Whatever", "Test_1.", "Test_1.Whatever", "Whatever.Whatever", "Test_1.Ech", ".Echo", ""] {
        check(&server, Case(target, to(CBOR, target, ""), 400, Some(CBOR), &unknown)).await;
        check(&server, Case(target, to(JSON, target, ""), 400, Some(JSON), &unknown)).await;
    }
    check(&server, Case("known target", to(JSON, ECHO, ""), 400, Some(JSON), &serialization)).await;
    let malformed = to(JSON, ECHO, "").with("Authorization", "X");
    check(&server, Case("before the signature", malformed, 400, Some(JSON), &serialization)).await;
}

#[tokio::test]
async fn content_types_that_are_not_ours_get_xml() {
    let server = Server::start();
    let unknown = "<UnknownOperationException/>\n";
    for content_type in
        ["", "application/x-amz-json-1.0", "application/x-amz-json-1.1asdf", "text/plain", "application/cbor"]
    {
        for target in ["", "Whatever", "Test_1.", ".Echo"] {
            check(&server, Case(target, to(content_type, target, "{}"), 403, None, ACCESS_DENIED)).await;
        }
        for target in [ECHO, "Test_1.Whatever", "Whatever.Whatever"] {
            check(&server, Case(target, to(content_type, target, "{}"), 404, None, unknown)).await;
        }
    }
    check(&server, Case("body and no Content-Type", post(&[], "{}"), 403, None, ACCESS_DENIED)).await;
}

#[tokio::test]
async fn plain_json_goes_no_further_than_its_syntax() {
    let server = Server::start();
    let old = Some("application/json");
    for content_type in ["application/json", "application/json; charset=utf-8", "  application/json   ;"] {
        for body in ["hello", "true", "null", "1", "\"x\"", "{"] {
            check(&server, Case(body, to(content_type, ECHO, body), 400, old, OLD_BROKEN)).await;
        }
        for target in [ECHO, "", "Whatever.Whatever"] {
            check(&server, Case(target, to(content_type, target, "{}"), 404, old, OLD_UNKNOWN)).await;
        }
    }
}

#[tokio::test]
async fn bodies_that_are_no_structure_are_a_serialization_exception_before_all_else() {
    let server = Server::start();
    let expected = typed("SerializationException");
    for body in ["hello", "true", "null", "1", "\"x\"", "{", "{} x", "{\"Text\":\"\u{1}\"}"] {
        for target in [ECHO, "Test_1.Hot", "Test_1.Whatever", ""] {
            check(&server, Case(body, to(JSON, target, body), 400, Some(JSON), &expected)).await;
        }
        let malformed = to(JSON, ECHO, body).with("Authorization", "X");
        check(&server, Case("before the signature", malformed, 400, Some(JSON), &expected)).await;
        let malformed = to(JSON, "Test_1.Hot", body).with("Authorization", "X");
        check(&server, Case("of hot operations too", malformed, 400, Some(JSON), &expected)).await;
    }
    for body in ["\u{1}", "x", "{}"] {
        check(&server, Case(body, to(CBOR, ECHO, body), 400, Some(CBOR), &expected)).await;
    }
    let nested = "[".repeat(100_000);
    check(&server, Case("nested", to(JSON, ECHO, &nested), 400, Some(JSON), &expected)).await;
    let nested = "\u{5f}".repeat(100_000);
    check(&server, Case("nested", to(CBOR, ECHO, &nested), 400, Some(CBOR), &expected)).await;
}

#[tokio::test]
async fn targets_that_are_not_ours_are_unknown_in_the_request_s_encoding() {
    let server = Server::start();
    let expected = typed("UnknownOperationException");
    for target in
        ["", "Whatever", "Test_1.", "Test_1.Whatever", "Whatever.Echo", "Test_1.echo", "test_1.Echo"]
    {
        check(&server, Case(target, to(JSON, target, "{}"), 400, Some(JSON), &expected)).await;
        // An empty CBOR map.
        let empty = Ask { body: b"\xbf\xff", ..to(CBOR, target, "") };
        check(&server, Case(target, empty, 400, Some(CBOR), &expected)).await;
        let malformed = to(JSON, target, "{}").with("Authorization", "X");
        check(&server, Case("before the signature", malformed, 400, Some(JSON), &expected)).await;
    }
    let unwritten =
        worded("UnknownOperationException", "Unwritten is known but not available in Thalweg 0.0.0");
    let asked = Ask::json("Test_1.Unwritten", r#"{"Text":"x"}"#);
    check(&server, Case("known to the model", asked, 400, Some(JSON), &unwritten)).await;
}

#[tokio::test]
async fn malformed_signatures_are_told_what_they_lack() {
    let server = Server::start();
    let body = r#"{"Text":"x"}"#;
    let incomplete = |message: &str| worded("IncompleteSignatureException", message);
    let (credential, signature, signed, date) = (
        "Authorization header requires 'Credential' parameter. ",
        "Authorization header requires 'Signature' parameter. ",
        "Authorization header requires 'SignedHeaders' parameter. ",
        "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ",
    );
    let all = format!("{credential}{signature}{signed}{date}");
    for header in ["X", "Basic dXNlcjpwYXNz", "Bearer token", "AWS4-HMAC-SHA256", "Credential=a"] {
        let expected = incomplete(&format!("{all}Authorization={header}"));
        for operation in [ECHO, "Test_1.Hot"] {
            let asked = Ask::json(operation, body).with("Authorization", header);
            check(&server, Case(header, asked, 400, Some(JSON), &expected)).await;
        }
    }
    for header in [
        "AWS4- Signature=b Credential=a",
        "AWS4- Signature=b,Credential=a",
        "AWS4- Signature=b, Credential=a",
    ] {
        let expected = incomplete(&format!("{signed}Authorization={header}"));
        for date in ["Date", "X-Amz-Date"] {
            let asked = Ask::json(ECHO, body).with("Authorization", header).with(date, "a");
            check(&server, Case(header, asked, 400, Some(JSON), &expected)).await;
        }
    }
    let header = "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=b, Signature=c";
    let asked = Ask::json(ECHO, body).with("Authorization", header);
    let expected = incomplete(&format!("{date}Authorization={header}"));
    check(&server, Case("no date", asked, 400, Some(JSON), &expected)).await;
    let header = "AWS4-HMAC-SHA256 Credential=, SignedHeaders=b, Signature=c";
    let asked = Ask::json(ECHO, body).with("Authorization", header).with("Date", "a");
    let expected = incomplete(&format!("{credential}Authorization={header}"));
    check(&server, Case("empty value", asked, 400, Some(JSON), &expected)).await;

    let query = |name: &str| format!("AWS query-string parameters must include '{name}'. ");
    let all: String =
        ["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date"]
            .map(query)
            .concat();
    let expected = incomplete(&format!("{all}Re-examine the query-string parameters."));
    let asked = Ask { path: "/?X-Amz-Algorithm", ..Ask::json(ECHO, body) };
    check(&server, Case("empty query", asked, 400, Some(JSON), &expected)).await;
    let path = "/?X-Amz-Algorithm=a&X-Amz-Credential=b&X-Amz-Signature=c&X-Amz-Date=d";
    let expected =
        incomplete(&format!("{}Re-examine the query-string parameters.", query("X-Amz-SignedHeaders")));
    let asked = Ask { path, ..Ask::json(ECHO, body) };
    check(&server, Case("incomplete query", asked, 400, Some(JSON), &expected)).await;

    let both = worded(
        "InvalidSignatureException",
        "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.",
    );
    for header in ["X", "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=b, Signature=c"] {
        let asked = Ask { path: "/?X-Amz-Algorithm", ..Ask::json(ECHO, body) }.with("Authorization", header);
        check(&server, Case("both", asked, 400, Some(JSON), &both)).await;
    }
    let asked = Ask { body: b"\xbf\xff", ..to(CBOR, ECHO, "") }.with("Authorization", "X").with("Date", "a");
    let expected = incomplete(&format!("{credential}{signature}{signed}Authorization=X"));
    check(&server, Case("in CBOR", asked, 400, Some(CBOR), &expected)).await;
}

#[tokio::test]
async fn any_signature_of_the_right_shape_is_served_and_none_is_too() {
    let server = Server::start();
    let body = r#"{"Text":"x"}"#;
    let served = |rule: &'static str, ask| Case(rule, ask, 200, Some(JSON), r#"{"Text":"x"}"#);
    let ask = || Ask::json(ECHO, body);
    check(&server, served("none", ask())).await;
    check(&server, served("empty", ask().with("Authorization", ""))).await;
    let foreign = "AWS4-HMAC-SHA256 Credential=AKIA/20110909/mars-1/other/aws4_request, SignedHeaders=host, Signature=00";
    check(
        &server,
        served("foreign and stale", ask().with("Authorization", foreign).with("X-Amz-Date", "2011")),
    )
    .await;
    let path =
        "/any/path?X-Amz-Algorithm=a&X-Amz-Credential=b&X-Amz-Signature=c&X-Amz-SignedHeaders=d&X-Amz-Date=e";
    check(&server, served("presigned", Ask { path, ..ask() })).await;
    let path = "/?X-Amz-Credential=a&X-Amz-Signature=b&X-Amz-SignedHeaders=c&X-Amz-Date=d";
    check(&server, served("all but the algorithm", Ask { path, ..ask() })).await;
    check(&server, served("the path does not matter", Ask { path: "/healthz", ..ask() })).await;
    check(&server, served("nor a second Host", ask().with("Host", "kinesis.us-east-1.amazonaws.com"))).await;
    check(&server, served("nor parameters", to("Application/X-Amz-JSON-1.1 ; charset=utf-8", ECHO, body)))
        .await;
}

#[tokio::test]
async fn types_then_constraints_then_the_operation() {
    let server = Server::start();
    let case = |body: &'static str, expected| Case(body, Ask::json(ECHO, body), 400, Some(JSON), expected);
    let number =
        "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to an String";
    let serialization = format!(r#"{{"__type":"SerializationException","Message":"{number}"}}"#);
    check(&server, case(r#"{"Text":1,"Number":0}"#, &serialization)).await;
    let list = r#"{"__type":"SerializationException","Message":"Start of list found where not expected"}"#;
    check(&server, case("[]", list)).await;
    let null = worded(
        "ValidationException",
        "1 validation error detected: Value null at 'text' failed to satisfy constraint: Member must not be null",
    );
    check(&server, case("{}", &null)).await;
    check(&server, case(r#"{"Text":null,"Unknown":{"a":[1,2]}}"#, &null)).await;
    let two = worded(
        "ValidationException",
        "2 validation errors detected: Value '' at 'text' failed to satisfy constraint: Member must have length \
         greater than or equal to 1; Value '0' at 'number' failed to satisfy constraint: Member must have value \
         greater than or equal to 1",
    );
    check(&server, case(r#"{"Text":"","Number":0}"#, &two)).await;
    let cbor = Ask { body: b"\xa1\x64Text\x01", ..to(CBOR, ECHO, "") };
    check(&server, Case("in CBOR", cbor, 400, Some(CBOR), &serialization)).await;
    let cbor = Ask { body: b"\xa0", ..to(CBOR, ECHO, "") };
    check(&server, Case("in CBOR", cbor, 400, Some(CBOR), &null)).await;
}

#[tokio::test]
async fn answers_are_in_the_request_s_encoding() {
    let server = Server::start();
    let text = r#"{"Text":"x","Number":3}"#;
    check(&server, Case("JSON", Ask::json(ECHO, text), 200, Some(JSON), text)).await;
    let cbor = Ask { body: b"\xa2\x64Text\x61x\x66Number\x03", ..to(CBOR, ECHO, "") };
    check(&server, Case("CBOR", cbor.clone(), 200, Some(CBOR), text)).await;
    assert_eq!(server.ask(&cbor).await.body, b"\xbf\x64Text\x61x\x66Number\x03\xff");
    let nothing = Ask::json("Test_1.Nothing", text);
    check(&server, Case("no output", nothing, 200, Some(JSON), "")).await;
    let nothing = Ask { body: b"\xa1\x64Text\x61x", ..to(CBOR, "Test_1.Nothing", "") };
    check(&server, Case("no output", nothing, 200, Some(CBOR), "")).await;
}

#[tokio::test]
async fn hot_operations_are_answered_from_the_bytes_or_as_any_other() {
    let server = Server::start();
    let hot = "Test_1.Hot";
    let case =
        |rule: &'static str, body, expected| Case(rule, Ask::json(hot, body), 200, Some(JSON), expected);
    check(&server, case("taken", crate::support::HOT_BODY, r#"{"Way":"hot"}"#)).await;
    check(&server, case("declined", r#"{"Text":"cold"}"#, r#"{"Way":"ordinary"}"#)).await;
    let null = worded(
        "ValidationException",
        "1 validation error detected: Value null at 'text' failed to satisfy constraint: Member must not be null",
    );
    check(&server, Case("declined and wrong", Ask::json(hot, "{}"), 400, Some(JSON), &null)).await;
}

#[tokio::test]
async fn failures_carry_their_status_and_the_request_s_id() {
    let server = Server::start();
    for content_type in [JSON, CBOR] {
        let body: &[u8] = if content_type == JSON { br#"{"Text":"x"}"# } else { b"\xa1\x64Text\x61x" };
        let answered = server.ask(&Ask { body, ..to(content_type, "Test_1.Fail", "") }).await;
        assert_eq!((answered.status, answered.header("content-type")), (500, Some(content_type)));
        let protocol = Protocol::of_content_type(content_type).expect("ours");
        let value = protocol.decode(&answered.body).expect("in its encoding");
        let id = answered.header("x-amzn-requestid").expect("every answer has one");
        let message = thalweg_shape::Value::Text(format!("id {id}"));
        assert_eq!(value.member("message"), Some(&message), "the service was told the same id");
        check_ids(&answered);
    }
}

#[tokio::test]
async fn a_panic_is_answered_and_does_not_spread() {
    let server = Server::start();
    let mut client = server.connect().await;
    let expected = worded("InternalFailureException", "Internal Service Failure");
    for _ in 0..3 {
        client.send(&Ask::json("Test_1.Panic", r#"{"Text":"x"}"#).bytes()).await;
        let answered = client.answer().await;
        assert_eq!((answered.status, answered.text()), (500, expected.as_str()));
        check_ids(&answered);
        client.send(&Ask::json(ECHO, r#"{"Text":"x"}"#).bytes()).await;
        assert_eq!(client.answer().await.status, 200, "the same connection goes on");
    }
}

#[tokio::test]
async fn browsers_may_ask_from_anywhere() {
    let server = Server::start();
    let preflight = Ask::bare("OPTIONS", "/").with("Origin", "whatever");
    let answered = server.ask(&preflight).await;
    assert_eq!((answered.status, answered.text()), (200, ""));
    assert_eq!(answered.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answered.header("access-control-max-age"), Some("172800"));
    assert_eq!(answered.header("content-length"), Some("0"));
    assert!(answered.header("x-amzn-requestid").is_some());
    for absent in
        ["x-amz-id-2", "content-type", "access-control-allow-headers", "access-control-allow-methods"]
    {
        assert_eq!(answered.header(absent), None, "{absent}");
    }
    let preflight = preflight
        .with("Access-Control-Request-Headers", "a, b, c")
        .with("Access-Control-Request-Method", "d");
    let answered = server.ask(&preflight).await;
    assert_eq!(answered.header("access-control-allow-headers"), Some("a, b, c"));
    assert_eq!(answered.header("access-control-allow-methods"), Some("d"));

    let exposed = "x-amzn-RequestId,x-amzn-ErrorType,x-amz-request-id,x-amz-id-2,x-amzn-ErrorMessage,Date";
    let origin = |ask: Ask<'static>| ask.with("Origin", "whatever");
    for (ask, status) in [
        (origin(Ask::json(ECHO, r#"{"Text":"x"}"#)), 200),
        (origin(Ask::json(ECHO, "{}")), 400),
        (origin(post(&[], "")), 400),
        (origin(Ask::bare("GET", "/")), 403),
    ] {
        let answered = server.ask(&ask).await;
        assert_eq!(answered.status, status);
        assert_eq!(answered.header("access-control-allow-origin"), Some("*"));
        assert_eq!(answered.header("access-control-expose-headers"), Some(exposed));
        check_ids(&answered);
    }
    let answered = server.ask(&Ask::json(ECHO, "{}")).await;
    assert_eq!(answered.header("access-control-allow-origin"), None, "only those that ask");
}

#[tokio::test]
async fn probes_are_told_how_the_server_is() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    let broken = Arc::new(AtomicBool::new(false));
    let readiness = {
        let broken = Arc::clone(&broken);
        Box::new(
            move || if broken.load(Ordering::SeqCst) { Err("the disk is full".to_owned()) } else { Ok(()) },
        )
    };
    let server = Server::start_ready_when(crate::support::settings(), readiness);
    let plain = Some("text/plain; charset=utf-8");
    for path in ["/healthz", "/readyz", "/readyz?x"] {
        check(&server, Case(path, Ask::bare("GET", path), 200, plain, "ok\n")).await;
        let answered = server.ask(&Ask::bare("HEAD", path)).await;
        assert_eq!((answered.status, answered.header("content-length")), (200, Some("3")));
    }
    broken.store(true, Ordering::SeqCst);
    check(&server, Case("alive", Ask::bare("GET", "/healthz"), 200, plain, "ok\n")).await;
    check(&server, Case("not ready", Ask::bare("GET", "/readyz"), 503, plain, "the disk is full\n")).await;
    assert_eq!(server.ask(&Ask::bare("HEAD", "/readyz")).await.status, 503);
    check(&server, Case("other paths", Ask::bare("GET", "/health"), 403, None, ACCESS_DENIED)).await;
    assert_eq!(PREFIX, "Test_1");
}
