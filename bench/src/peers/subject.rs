//! What is measured here, a peer in one of its modes or this project's server: how it is started, and what the report
//! says of that.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::table::{Mode, Peer, SYNCED};
use crate::figure::{Provenance, THALWEG};
use crate::loopback;
use crate::process::Server;

/// See the module.
pub(crate) struct Subject {
    /// As in the figures.
    pub(crate) name: String,
    /// Words of the command, with the names that [`super::table`] explains.
    words: Vec<String>,
    variables: Vec<(String, String)>,
    /// Where it is installed.
    here: PathBuf,
    /// The library that keeps it on the loopback interface.
    preload: Option<PathBuf>,
    install: String,
    durability: &'static str,
    /// See [`Mode::slows_down`].
    pub(crate) slows_down: bool,
}

/// A started subject. Its data is gone when this is dropped.
pub(crate) struct Running {
    // The server is stopped before its folder goes.
    pub(crate) server: Server,
    _folder: TempDir,
}

impl Subject {
    /// This project's server, storing durably.
    pub(crate) fn thalweg(program: &Path) -> Subject {
        let file = program.file_name().expect("the server is a file").to_string_lossy();
        let words = [&format!("{{here}}/{file}"), "serve", "--listen", "127.0.0.1:{port}"];
        let mut words: Vec<String> = words.map(String::from).into();
        words.extend(["--data-dir", "{dir}/data"].map(String::from));
        Subject {
            name: THALWEG.to_owned(),
            words,
            variables: Vec::new(),
            here: program.parent().unwrap_or(Path::new("")).to_owned(),
            preload: None,
            install: "built from this checkout, release profile".to_owned(),
            durability: SYNCED,
            slows_down: false,
        }
    }

    /// A peer that is installed at `here`, as `install` says.
    pub(crate) fn peer(peer: &Peer, mode: &Mode, here: &Path, install: &str, preload: &Path) -> Subject {
        let words = peer.program.iter().chain(mode.arguments);
        Subject {
            name: format!("{} {}, {}", peer.name, peer.version, mode.name),
            words: words.map(|word| (*word).to_owned()).collect(),
            variables: mode.variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            here: here.to_owned(),
            preload: Some(preload.to_owned()),
            install: install.to_owned(),
            durability: mode.durability,
            slows_down: mode.slows_down,
        }
    }

    /// For the report; names no folder of this machine.
    pub(crate) fn provenance(&self) -> Provenance {
        let mut words: Vec<String> =
            self.variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
        words.extend(self.words.iter().cloned());
        let command = words.join(" ");
        let command = command.replace("{here}/", "").replace("{dir}", "DIR").replace("{port}", "PORT");
        Provenance {
            subject: self.name.clone(),
            install: self.install.clone(),
            command: command.replace("{spare}", "PORT2"),
            durability: self.durability.to_owned(),
        }
    }

    /// Starts it with an empty folder below `data`, or below the system's for temporary files.
    ///
    /// # Errors
    /// It does not listen, or on more than the loopback interface. What it printed goes to standard error.
    pub(crate) fn start(&self, data: Option<&Path>) -> Result<Running, String> {
        let folder = data.map_or_else(TempDir::new, TempDir::new_in).map_err(|error| error.to_string())?;
        let (port, spare) = free_ports();
        let fill = |text: &str| {
            text.replace("{here}", &self.here.to_string_lossy())
                .replace("{dir}", &folder.path().to_string_lossy())
                .replace("{port}", &port.to_string())
                .replace("{spare}", &spare.to_string())
        };
        let mut command = Command::new(fill(&self.words[0]));
        command.args(self.words[1..].iter().map(|word| fill(word))).current_dir(folder.path());
        for (name, value) in &self.variables {
            command.env(name, fill(value));
        }
        if let Some(library) = &self.preload {
            command.env("LD_PRELOAD", library);
        }
        let server = Server::start_on_port(command, port, folder.path()).map_err(|error| {
            eprintln!("{}: {error}", self.name);
            "it does not start".to_owned()
        })?;
        loopback::check(port)?;
        Ok(Running { server, _folder: folder })
    }
}

/// Two ports of the loopback interface that nobody listens on.
fn free_ports() -> (u16, u16) {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("loopback has free ports"));
    let [first, second] = listeners.map(|listener| listener.local_addr().expect("it is bound").port());
    (first, second)
}
