//! The gateway over a connection in memory that speaks HTTP/2 without an upgrade. The input is frames without their
//! lengths, so that each change leaves frames: those are made right here.
//!
//! ```text
//!  piece, in whose size the rest arrives; 0: at once
//!  then frames: type · flags · stream · length u16 · payload
//! ```
//!
//! A type of 0x80 and more is no frame: its payload is sent as it is.

use super::Target;
use crate::gateway::exchange;
use crate::input::Input;

pub(crate) const TARGET: Target = Target { name: "http2", run, seeds, bytes_max: 4096, mutations: 800 };

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const RAW: u8 = 0x80;

fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let piece = input.byte();
    let mut sent = PREFACE.to_vec();
    while !input.is_empty() {
        let (kind, flags, stream, length) = (input.byte(), input.byte(), input.byte(), input.short());
        let payload = input.bytes(usize::from(length));
        if kind < RAW {
            sent.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
            sent.extend_from_slice(&[kind, flags, 0, 0, 0, stream]);
        }
        sent.extend_from_slice(payload);
    }
    let answer = exchange(usize::from(piece), &sent);
    // A settings frame comes first, whatever follows.
    assert!(answer.is_empty() || answer.get(3) == Some(&SETTINGS), "{answer:02x?}");
}

fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let frame = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
        let length = u16::try_from(payload.len()).expect("seeds are short").to_le_bytes();
        [&[kind, flags, stream], &length[..], payload].concat()
    };
    // HPACK: `:method: POST`, `:scheme: http`, `:path: /` are indexed, the others literal and never indexed.
    let literal = |name: &str, value: &str| {
        [&[0x10, name.len() as u8], name.as_bytes(), &[value.len() as u8], value.as_bytes()].concat()
    };
    let head = |target: &str| {
        [
            b"\x83\x86\x84".to_vec(),
            literal(":authority", "x"),
            literal("content-type", "application/x-amz-json-1.1"),
            literal("x-amz-target", &format!("Kinesis_20131202.{target}")),
        ]
        .concat()
    };
    let settings = frame(SETTINGS, 0, 0, &[]);
    let subscribe = br#"{"ConsumerARN":"arn:aws:kinesis:us-east-1:000000000000:stream/s/consumer/c:1700000000","ShardId":"shardId-000000000000","StartingPosition":{"Type":"LATEST"}}"#;
    let describe = head("DescribeStreamSummary");
    vec![
        (
            "two-streams",
            [
                vec![0],
                settings.clone(),
                frame(HEADERS, END_HEADERS, 1, &head("PutRecord")),
                frame(HEADERS, END_HEADERS, 3, &head("ListStreams")),
                frame(DATA, END_STREAM, 3, b"{}"),
                frame(DATA, END_STREAM, 1, br#"{"StreamName":"s","Data":"aGk=","PartitionKey":"k"}"#),
            ]
            .concat(),
        ),
        (
            "continued",
            [
                vec![5],
                settings.clone(),
                frame(HEADERS, 0, 1, &describe[..20]),
                frame(CONTINUATION, END_HEADERS, 1, &describe[20..]),
                frame(DATA, 0, 1, br#"{"Stream"#),
                frame(PING, 0, 0, b"12345678"),
                frame(DATA, END_STREAM, 1, br#"Name":"s"}"#),
            ]
            .concat(),
        ),
        (
            "subscribe",
            [
                vec![0],
                settings.clone(),
                frame(HEADERS, END_HEADERS, 1, &head("SubscribeToShard")),
                frame(DATA, END_STREAM, 1, subscribe),
                frame(WINDOW_UPDATE, 0, 1, &[0, 0, 1, 0]),
                frame(RESET, 0, 1, &[0, 0, 0, 8]),
            ]
            .concat(),
        ),
        (
            "indexed",
            [
                vec![0],
                settings,
                frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x82\x86\x41\x01x\x44\x08/healthz"),
            ]
            .concat(),
        ),
        (
            "raw",
            [vec![0], frame(RAW, 0, 0, b"\0\0\0\x04\0\0\0\0\0\0\0\x05\x02\0\0\0\0\x01\0\0\0\0\x10")].concat(),
        ),
    ]
}
