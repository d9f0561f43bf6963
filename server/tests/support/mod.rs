//! Starting the real program and waiting for what it says. Nothing here sleeps: every wait is for a line or an end, and
//! a program that keeps us waiting for longer than [`PATIENCE`] is killed, which ends the wait.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // tests of a whole program: threads, files, processes
#![allow(dead_code, unreachable_pub)] // each test file uses its part

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region};
use tempfile::TempDir;

/// The program under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_thalweg");
/// Longest that anything may take, on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a program said and how it ended.
#[derive(Debug)]
pub struct Finished {
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Finished {
    /// Standard output as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("this command prints text")
    }

    /// The lines of standard output as JSON.
    pub fn json(&self) -> Vec<serde_json::Value> {
        self.text().lines().map(|line| serde_json::from_str(line).expect("every line is JSON")).collect()
    }

    /// Itself, if it ended well.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// Checks a failure: its exit code, and one line on standard error that has all of `parts`.
    #[track_caller]
    pub fn check_failure(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.stderr.trim_end().lines().count(), 1, "one line: {}", self.stderr);
        assert!(self.stderr.starts_with("thalweg: "), "{}", self.stderr);
        for part in parts {
            assert!(self.stderr.contains(part), "no {part:?} in: {}", self.stderr);
        }
    }
}

/// A command line of the program, in an environment with nothing of the developer's in it.
pub fn command<S: AsRef<OsStr>>(home: &Path, arguments: &[S]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).env_clear().env("HOME", home).current_dir(home);
    // Coverage and sanitizers speak to the program by variables.
    for (name, value) in std::env::vars() {
        if name.starts_with("LLVM_PROFILE") {
            command.env(name, value);
        }
    }
    command
}

/// The same command for a process that may have so many files and connections open.
pub fn with_descriptors(count: usize, command: &Command) -> Command {
    by_shell(&format!("ulimit -n {count} && exec \"$@\""), command)
}

/// The same command for a process that cannot write to standard error: its volume is full.
pub fn without_logs(command: &Command) -> Command {
    by_shell("exec \"$@\" 2>/dev/full", command)
}

/// What this line makes of a command, which it has as `"$@"`.
fn by_shell(line: &str, command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", line, "sh"]);
    shell.arg(command.get_program()).args(command.get_args()).env_clear();
    shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(directory) = command.get_current_dir() {
        shell.current_dir(directory);
    }
    shell
}

/// Runs a command to its end.
pub fn run(command: &mut Command, input: &[u8]) -> Finished {
    let mut child = Running::start(command);
    let mut stdin = child.child.stdin.take().expect("it is piped");
    let input = input.to_vec();
    let writer = thread::spawn(move || {
        // The program may end before it has read everything.
        let _ = stdin.write_all(&input);
    });
    let finished = child.finish();
    writer.join().expect("writing does not panic");
    finished
}

/// A running program, killed when it is dropped or keeps us waiting.
pub struct Running {
    child: Child,
    stdout: Option<BufReader<ChildStdout>>,
    stderr: Option<thread::JoinHandle<String>>,
    stderr_lines: mpsc::Receiver<String>,
    _watchdog: mpsc::Sender<()>,
}

impl Running {
    /// Starts it.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program was built");
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let stderr = BufReader::new(child.stderr.take().expect("it is piped"));
        let (lines, stderr_lines) = mpsc::channel();
        let stderr = thread::spawn(move || {
            let mut text = String::new();
            for line in stderr.lines().map_while(Result::ok) {
                text += &line;
                text.push('\n');
                // Nobody may be waiting for lines.
                let _ = lines.send(line);
            }
            text
        });
        let (watchdog, alarm) = mpsc::channel::<()>();
        let id = child.id();
        thread::spawn(move || {
            if alarm.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
                eprintln!("killing process {id}: nothing for {PATIENCE:?}");
                signal(id, "KILL");
            }
        });
        Running { child, stdout: Some(stdout), stderr: Some(stderr), stderr_lines, _watchdog: watchdog }
    }

    /// Sends a signal: `TERM`, `INT`, `KILL`.
    pub fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Writes to its standard input.
    pub fn write(&mut self, input: &[u8]) {
        let stdin = self.child.stdin.as_mut().expect("it is piped");
        stdin.write_all(input).expect("the program reads");
        stdin.flush().expect("the program reads");
    }

    /// The next line of standard output, without its end; `None` at the end.
    pub fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let stdout = self.stdout.as_mut().expect("it is still ours");
        let bytes = stdout.read_line(&mut line).expect("the program prints text");
        (bytes > 0).then(|| line.trim_end_matches('\n').to_owned())
    }

    /// Waits for a line on standard error that has `part`.
    #[track_caller]
    pub fn wait_for_error_line(&self, part: &str) {
        loop {
            match self.stderr_lines.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(part) => return,
                Ok(_) => {}
                Err(_) => panic!("standard error ended without {part:?}"),
            }
        }
    }

    /// Closes our end of its standard output.
    pub fn close_stdout(&mut self) {
        self.stdout = None;
    }

    /// Waits for the end.
    pub fn finish(&mut self) -> Finished {
        drop(self.child.stdin.take());
        let mut stdout = Vec::new();
        if let Some(pipe) = &mut self.stdout {
            pipe.read_to_end(&mut stdout).expect("a pipe can be read");
        }
        let code = self.child.wait().expect("it is our child").code();
        let stderr = self.stderr.take().expect("it ends once").join().expect("reading does not panic");
        Finished { code, stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn signal(id: u32, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &id.to_string()]).status();
    assert!(status.expect("there is a kill command").success() || name == "KILL");
}

/// A server of its own, and what is needed to speak to it.
pub struct Server {
    /// Its data directory's parent; the home directory of every command.
    pub directory: TempDir,
    pub running: Running,
    /// `http://127.0.0.1:43121`
    pub endpoint: String,
    /// What it printed at its start.
    pub greeting: Vec<String>,
}

impl Server {
    /// Starts one that keeps nothing.
    pub fn ephemeral() -> Self {
        Server::start(&["--ephemeral"])
    }

    /// Starts one on a free port, with its data in a fresh directory.
    pub fn start(flags: &[&str]) -> Self {
        Server::start_in(fresh_directory(), flags, &[])
    }

    /// Starts one with flags and variables.
    #[track_caller]
    pub fn start_in(directory: TempDir, flags: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut arguments = [&["serve"], flags].concat();
        if !flags.contains(&"--listen") {
            arguments.extend(["--listen", "127.0.0.1:0"]);
        }
        let mut command = command(directory.path(), &arguments);
        command.envs(variables.iter().copied());
        Server::start_by(directory, &mut command)
    }

    /// Starts one by this command.
    #[track_caller]
    pub fn start_by(directory: TempDir, command: &mut Command) -> Self {
        let mut running = Running::start(command);
        let mut greeting = Vec::new();
        loop {
            let Some(line) = running.line() else {
                panic!("the server did not start: {:?}", running.finish());
            };
            greeting.push(line);
            if greeting.last().is_some_and(|line| line.starts_with("ready in ")) {
                break;
            }
        }
        let endpoint = greeting
            .iter()
            .find_map(|line| line.strip_prefix("listening on "))
            .expect("it says where it listens")
            .to_owned();
        Server { directory, running, endpoint, greeting }
    }

    /// Ends it by a signal and starts it again on the same data.
    #[track_caller]
    pub fn restart(mut self, signal: &str, flags: &[&str]) -> Self {
        self.running.signal(signal);
        let finished = self.running.finish();
        assert_eq!(finished.code, if signal == "KILL" { None } else { Some(0) }, "{finished:?}");
        Server::start_in(self.directory, flags, &[])
    }

    /// A command that speaks to it.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(self.directory.path(), arguments);
        command.env("AWS_ENDPOINT_URL_KINESIS", &self.endpoint);
        command
    }

    /// Runs a command that speaks to it.
    pub fn run(&self, arguments: &[&str]) -> Finished {
        run(&mut self.command(arguments), b"")
    }

    /// Runs a command with standard input.
    pub fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Finished {
        run(&mut self.command(arguments), input)
    }

    /// Every record of a stream, from its beginning to its tip: the objects of `tail --json`.
    pub fn records(&self, stream: &str) -> Vec<serde_json::Value> {
        self.run(&["tail", stream, "--no-follow", "--json", "--quiet"]).ok().json()
    }
}

/// A directory of our own.
pub fn fresh_directory() -> TempDir {
    tempfile::tempdir().expect("there is room for temporary files")
}

/// The data of records by key, each key's in the order of the records.
pub fn data_by_key(records: &[serde_json::Value]) -> BTreeMap<String, Vec<String>> {
    let mut by_key: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for record in records {
        let text = |name: &str| record[name].as_str().expect("it is a text").to_owned();
        let data = base64_simd::STANDARD.decode_to_vec(text("data")).expect("it is base64");
        by_key
            .entry(text("partitionKey"))
            .or_default()
            .push(String::from_utf8(data).expect("these tests put text"));
    }
    by_key
}

/// A runtime for the SDK.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it has no needs")
}

/// The SDK's client of a server.
pub fn client(server: &Server) -> aws_sdk_kinesis::Client {
    let config = aws_sdk_kinesis::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(&server.endpoint);
    aws_sdk_kinesis::Client::from_conf(config.build())
}

/// Says that a test did not run, and why; `.ci/run` lists such lines at its end.
pub fn skip(why: &str) {
    eprintln!("SKIPPED: {why}");
    if let Some(path) = std::env::var_os("THALWEG_SKIPS") {
        let list = std::fs::OpenOptions::new().append(true).create(true).open(path);
        writeln!(list.expect("the list can be written"), "server tests: {why}")
            .expect("the list can be written");
    }
}
