//! Chores: `cargo xtask COMMAND`.
//!
//! - `generate`: writes lib/model and edge/api from models/
//! - `models [VERSION]`: writes models/ from the newest (or that) botocore package, then generates
//!
//! Its tests (`cargo test -p thalweg-xtask`) keep the house: generated code up to date, the layer table, tidiness.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a chore reads and writes the repository's files"
)]

mod generate;
mod layers;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The repository's root.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("xtask lies two folders deep").to_owned()
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments.as_slice() {
        ["generate"] => generate::write(&root()),
        ["models", version @ ..] => models(version).and_then(|()| generate::write(&root())),
        _ => {
            eprintln!("usage: cargo xtask generate | models [VERSION]");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn models(version: &[&str]) -> Result<(), String> {
    let status = Command::new("python3")
        .arg(root().join("tools/models.py"))
        .args(version)
        .status()
        .map_err(|error| format!("cannot run python3: {error}"))?;
    if status.success() { Ok(()) } else { Err("tools/models.py failed".to_owned()) }
}
