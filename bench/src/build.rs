//! Builds the server that is measured.

use std::path::PathBuf;
use std::process::Command;

/// Builds this checkout's server in the release profile, and says where it is.
///
/// # Panics
/// When it does not build; Cargo has said why.
pub(crate) fn server() -> PathBuf {
    let status = Command::new("cargo")
        .args(["build", "--release", "--locked", "--quiet", "-p", "thalweg-server"])
        .status()
        .expect("Cargo is there");
    assert!(status.success(), "the server does not build");
    // This program was built into the same target directory.
    let own = std::env::current_exe().expect("this program has a path");
    own.with_file_name("thalweg")
}
