//! A client without opinions: any request in either encoding, signed or not, and the answer as JSON.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value as Json};
use thalweg_api::kinesis::OPERATIONS;
use thalweg_shape::{Schema, StructureSchema, Value};
use thalweg_types::Timestamp;
use thalweg_wire::Protocol;
use tokio::net::TcpStream;

/// How requests and answers are encoded.
pub type Encoding = Protocol;

/// An answer: status, members as JSON carries them (blobs in base64, timestamps in seconds), headers.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body's members; null when there is no body.
    pub body: Json,
    /// The headers.
    pub headers: http::HeaderMap,
}

impl Answer {
    /// The error's name; empty when there is none.
    pub fn error(&self) -> &str {
        self.body["__type"].as_str().unwrap_or_default()
    }

    /// The error's message; empty when there is none.
    pub fn message(&self) -> &str {
        let message = if self.error() == "SerializationException" { "Message" } else { "message" };
        self.body[message].as_str().unwrap_or_default()
    }

    /// The members of a success.
    ///
    /// # Panics
    /// When it is an error.
    #[track_caller]
    pub fn ok(self) -> Json {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body
    }
}

/// Speaks one encoding to one server; a connection per request.
#[derive(Clone, Debug)]
pub struct Client {
    /// `127.0.0.1:PORT`
    pub address: String,
    /// The encoding.
    pub encoding: Encoding,
}

impl Client {
    /// Calls an operation; of a stream of events only its beginning is looked at.
    ///
    /// # Panics
    /// When the server cannot be reached or its answer cannot be read.
    pub async fn call(&self, operation: &str, request: &Json) -> Answer {
        let response = self.send(operation, request).await;
        let (head, body) = response.into_parts();
        if head.headers.get("content-type").is_some_and(|kind| kind == "application/vnd.amazon.eventstream") {
            let body = serde_json::json!({"message": "a stream of events began"});
            return Answer { status: head.status.as_u16(), body, headers: head.headers };
        }
        let body = body.collect().await.expect("the answer arrives whole").to_bytes();
        let body = if body.is_empty() {
            Json::Null
        } else {
            to_json(&self.encoding.decode(&body).expect("answers are in the request's encoding"))
        };
        Answer { status: head.status.as_u16(), body, headers: head.headers }
    }

    /// Calls an operation and leaves the body to the caller.
    ///
    /// # Panics
    /// When the server cannot be reached.
    pub async fn send(&self, operation: &str, request: &Json) -> Response<Incoming> {
        let mut body = Vec::new();
        self.encoding.encode(&from_json(request, schema_of(operation)), &mut body);
        let request = Request::post("/")
            .header("host", "kinesis.test")
            .header("content-type", self.encoding.content_type())
            .header("x-amz-target", format!("Kinesis_20131202.{operation}"))
            .body(Full::new(Bytes::from(body)))
            .expect("a request");
        let stream = TcpStream::connect(&self.address).await.expect("the server listens");
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("HTTP/1.1");
        tokio::spawn(connection);
        sender.send_request(request).await.expect("the server answers")
    }
}

fn schema_of(operation: &str) -> Option<&'static StructureSchema> {
    OPERATIONS.iter().find(|known| known.name == operation).map(|known| known.input)
}

/// JSON as values; where the schema has a blob or a timestamp, CBOR must carry one.
fn from_json(json: &Json, schema: Option<&'static StructureSchema>) -> Value {
    let Json::Object(members) = json else { return scalar(json) };
    let member =
        |name: &str| schema.and_then(|s| s.members.iter().find(|m| m.name == name)).map(|m| m.schema);
    Value::Map(members.iter().map(|(name, value)| (name.clone(), typed(value, member(name)))).collect())
}

fn typed(json: &Json, schema: Option<&'static Schema>) -> Value {
    match (json, schema) {
        (Json::String(text), Some(Schema::Blob { .. })) => match base64_simd::STANDARD.decode_to_vec(text) {
            Ok(bytes) => Value::Bytes(Bytes::from(bytes)),
            Err(_) => scalar(json),
        },
        (Json::Number(seconds), Some(Schema::Timestamp)) => {
            let seconds = seconds.as_f64().expect("a number");
            Value::Timestamp(Timestamp::from_millis((seconds * 1000.0).round() as i64))
        }
        (Json::Array(values), Some(Schema::List { member, .. })) => {
            Value::List(values.iter().map(|value| typed(value, Some(member))).collect())
        }
        (Json::Object(_), Some(Schema::Structure(schema))) => from_json(json, Some(schema)),
        _ => scalar(json),
    }
}

fn scalar(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(boolean) => Value::Boolean(*boolean),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Value::Integer(whole),
            None => Value::Float(number.as_f64().expect("a number")),
        },
        Json::String(text) => Value::Text(text.clone()),
        Json::Array(values) => Value::List(values.iter().map(scalar).collect()),
        Json::Object(_) => from_json(json, None),
    }
}

/// Values as JSON carries them, whichever encoding they came in.
pub fn to_json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Boolean(boolean) => Json::Bool(*boolean),
        Value::Integer(number) => (*number).into(),
        Value::Float(number) => (*number).into(),
        Value::Text(text) => text.as_str().into(),
        Value::Bytes(bytes) => base64_simd::STANDARD.encode_to_string(bytes).into(),
        Value::Timestamp(timestamp) => (timestamp.as_millis() as f64 / 1000.0).into(),
        Value::List(values) => values.iter().map(to_json).collect(),
        Value::Map(members) => {
            let members: Map<String, Json> =
                members.iter().map(|(name, value)| (name.clone(), to_json(value))).collect();
            members.into()
        }
    }
}
