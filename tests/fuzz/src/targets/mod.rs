//! What is fuzzed.

mod aggregate;
mod base64;
mod catalog;
mod cbor;
mod event_stream;
mod http1;
mod http2;
mod journal;
mod json;
mod models;
mod records;
mod rows;
mod service;
mod texts;
mod tokens;
mod trees;

/// A parser, or several that belong together.
#[derive(Debug)]
pub struct Target {
    /// Its name, and that of its corpus.
    pub name: &'static str,
    /// Takes any bytes. Panics where a rule is broken.
    pub run: fn(&[u8]),
    /// Inputs to begin with, by name, made by the real encoders.
    pub seeds: fn() -> Vec<(&'static str, Vec<u8>)>,
    /// Longer inputs bring nothing new.
    pub bytes_max: usize,
    /// How many random inputs a test tries: fewer where each takes long.
    pub mutations: u32,
}

/// All of them.
pub static TARGETS: &[Target] = &[
    json::TARGET,
    cbor::TARGET,
    base64::TARGET,
    models::TARGET,
    event_stream::TARGET,
    aggregate::TARGET,
    tokens::TARGET,
    texts::TARGET,
    records::TARGET,
    rows::TARGET,
    service::TARGET,
    http1::TARGET,
    http2::TARGET,
    journal::TARGET,
    catalog::TARGET,
];
