//! Installs peers with the package managers of their languages, once: each into a folder named after its version.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::table::{Peer, Source};
use crate::process::{GENERATOR_CORE, SERVER_CORE};

/// Written when an installation is complete.
const MARK: &str = "complete";

/// Installs it below `folder` unless it is there; answers where.
///
/// # Errors
/// Why it cannot be had, in words that name neither this machine nor a registry. The package manager's own words go
/// to standard error.
pub(crate) fn install(peer: &Peer, folder: &Path) -> Result<PathBuf, String> {
    let here = folder.join(format!("{}-{}", peer.name.replace(' ', "-"), peer.version));
    if here.join(MARK).exists() && here.join(peer.proof).exists() {
        return Ok(here);
    }
    eprintln!("installing {} {}", peer.name, peer.version);
    // What an interrupted installation left would be taken for a complete one.
    let _ = fs::remove_dir_all(&here);
    fs::create_dir_all(&here).map_err(|error| format!("no folder for it: {error}"))?;
    for command in commands(peer, &here) {
        let mut command = on_both_cores(&command);
        // Not from a checkout, whose settings it would take.
        command.current_dir(&here).stdin(Stdio::null()).stdout(Stdio::null());
        let status = command.status().map_err(|error| format!("its package manager: {error}"))?;
        if !status.success() {
            return Err(format!("`{}` failed", words(peer)));
        }
    }
    if !here.join(peer.proof).exists() {
        return Err(format!("`{}` did not bring {}", words(peer), peer.proof));
    }
    fs::write(here.join(MARK), "").map_err(|error| format!("no mark for it: {error}"))?;
    Ok(here)
}

/// How it is installed, and what runs it, for people.
pub(crate) fn describe(peer: &Peer, here: &Path) -> String {
    let runtime = match peer.source {
        Source::Npm(_) => version("Node.js", Path::new("node")),
        Source::PyPi(_) => version("", &here.join("bin/python")),
        Source::Cargo(_) => version("", Path::new("rustc")),
    };
    format!("{} ({runtime})", words(peer))
}

/// The command that a person would use.
fn words(peer: &Peer) -> String {
    let version = peer.version;
    match peer.source {
        Source::Npm(package) => format!("npm install {package}@{version}"),
        Source::PyPi(package) => format!("pip install {package}=={version}"),
        Source::Cargo(package) => format!("cargo install {package} --version {version} --locked"),
    }
}

/// The commands that do it.
fn commands(peer: &Peer, here: &Path) -> Vec<Command> {
    match peer.source {
        Source::Npm(package) => {
            let mut npm = Command::new("npm");
            npm.args(["install", "--no-audit", "--no-fund", "--prefix"]).arg(here);
            npm.arg(format!("{package}@{}", peer.version));
            vec![npm]
        }
        Source::PyPi(package) => {
            let mut python = Command::new("python3");
            python.args(["-m", "venv"]).arg(here);
            let mut pip = Command::new(here.join("bin/pip"));
            pip.args(["install", "--quiet", "--disable-pip-version-check"]);
            pip.arg(format!("{package}=={}", peer.version));
            vec![python, pip]
        }
        Source::Cargo(package) => {
            let mut cargo = Command::new("cargo");
            cargo.args(["install", package, "--version", peer.version, "--locked", "--quiet", "--root"]);
            cargo.arg(here);
            vec![cargo]
        }
    }
}

/// The same command, which would otherwise be pinned as this program is.
fn on_both_cores(command: &Command) -> Command {
    let mut free = Command::new("taskset");
    free.args(["-c", &format!("{SERVER_CORE},{GENERATOR_CORE}")]);
    free.arg(command.get_program()).args(command.get_args());
    // Cargo gives these to what it runs, and they are meant for this project.
    for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
        free.env_remove(variable);
    }
    free
}

/// What a program says about its version.
fn version(name: &str, program: &Path) -> String {
    let output = Command::new(program).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    format!("{name} {}", text.unwrap_or_default()).trim().to_owned()
}
