//! The API as AWS answers it: every error of the facts as a row of a table, every operation once successfully, in
//! JSON and in CBOR; and the compatibility table that follows from it.
//!
//! `THALWEG_UPDATE=1 cargo test -p thalweg-conformance --test api` writes docs/compatibility.md anew.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests read and write files of the repository"
)]

mod constraints;
mod errors;
mod events;
mod faults;
mod rates;
mod semantics;
mod states;
mod successes;
mod times;

use std::path::Path;

use thalweg_api::kinesis::OPERATIONS;
use thalweg_conformance::{Encoding, Proofs};

const ENCODINGS: [Encoding; 2] = [Encoding::AwsJson11, Encoding::AwsCbor11];

#[tokio::test]
async fn every_operation_is_proven_and_the_table_says_so() {
    let mut proofs = Proofs::default();
    for encoding in ENCODINGS {
        println!("successes in {encoding:?}");
        successes::run(&mut proofs, encoding).await;
        println!("errors in {encoding:?}");
        errors::run(&mut proofs, encoding).await;
        println!("states in {encoding:?}");
        states::run(&mut proofs, encoding).await;
        println!("rates in {encoding:?}");
        rates::run(&mut proofs, encoding).await;
        println!("times in {encoding:?}");
        times::run(&mut proofs, encoding).await;
        println!("faults in {encoding:?}");
        faults::run(&mut proofs, encoding).await;
    }
    let mut missing = Vec::new();
    for operation in OPERATIONS.iter().filter(|operation| !is_later(operation.name)) {
        for what in proofs.missing(operation.name) {
            missing.push(format!("{}: {what}", operation.name));
        }
    }
    assert!(missing.is_empty(), "not proven:\n{}", missing.join("\n"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/compatibility.md");
    let table = proofs.table();
    if std::env::var_os("THALWEG_UPDATE").is_some() {
        std::fs::write(&path, &table).expect("docs/ is writable");
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == table, "docs/compatibility.md is out of date: run this test with THALWEG_UPDATE=1");
    assert!(table.contains("38 of 57 operations are proven"), "{table}");
}

/// Queues, channels and encryption come later.
fn is_later(operation: &str) -> bool {
    operation.contains("Queue") || operation.contains("Channel") || operation.ends_with("StreamEncryption")
}
