//! Keeps peers and log engines on the loopback interface, also those that have no setting for it. Not a sandbox.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// What is preloaded into them.
const SOURCE: &str = include_str!("loopback.c");

/// Compiles the library into `folder`.
///
/// # Errors
/// There is no C compiler.
pub(crate) fn compile(folder: &Path) -> Result<PathBuf, String> {
    let (source, library) = (folder.join("loopback.c"), folder.join("loopback.so"));
    std::fs::write(&source, SOURCE).map_err(|error| error.to_string())?;
    let status =
        Command::new("cc").args(["-O1", "-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
    if status.is_ok_and(|status| status.success()) {
        Ok(library)
    } else {
        Err("without a C compiler it cannot be kept from listening on every interface".to_owned())
    }
}

/// # Errors
/// The port is open on more than 127.0.0.1: 127.0.0.2 reaches what listens on every address.
pub(crate) fn check(port: u16) -> Result<(), String> {
    let other = SocketAddr::from(([127, 0, 0, 2], port));
    match TcpStream::connect_timeout(&other, Duration::from_secs(1)) {
        Ok(_) => Err("it listens on every interface".to_owned()),
        Err(_) => Ok(()),
    }
}
