//! The measured processes: starting them on a core, and stopping them. What they used is read in [`crate::meter`].

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Measured servers run here.
pub(crate) const SERVER_CORE: usize = 0;
/// The load generator runs here.
pub(crate) const GENERATOR_CORE: usize = 1;
/// A server that does not answer by then has failed to start.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Pins this process to a core.
pub(crate) fn pin_this(core: usize) {
    let mut set = rustix::thread::CpuSet::new();
    set.set(core);
    rustix::thread::sched_setaffinity(None, &set).expect("the machine has two cores");
}

/// A measured server, which is killed with its children when dropped.
pub(crate) struct Server {
    child: Child,
    /// `127.0.0.1:PORT`
    pub(crate) address: String,
}

impl Server {
    /// Starts a program on the server's core, its output in `folder`; its standard output will name the address it
    /// listens on. For this project's server and the floors.
    pub(crate) fn start(program: &Path, arguments: &[&str], folder: &Path) -> Server {
        let mut command = Command::new(program);
        command.args(arguments);
        let mut server = Server::spawn(command, folder).expect("the server starts");
        let deadline = Instant::now() + START_TIMEOUT;
        while server.address.is_empty() {
            assert!(Instant::now() < deadline, "the server did not say where it listens");
            assert!(server.is_running(), "the server ended: {}", server.output(folder));
            std::thread::sleep(Duration::from_millis(5));
            server.address = address_in(&fs::read_to_string(folder.join("stdout")).unwrap_or_default());
        }
        server
    }

    /// Starts a program that was told its port, and waits until that port takes connections. For peers.
    ///
    /// # Errors
    /// What went wrong, with the end of its output.
    pub(crate) fn start_on_port(command: Command, port: u16, folder: &Path) -> Result<Server, String> {
        let mut server = Server::spawn(command, folder).map_err(|error| error.to_string())?;
        server.address = format!("127.0.0.1:{port}");
        let deadline = Instant::now() + START_TIMEOUT;
        while std::net::TcpStream::connect(&server.address).is_err() {
            if !server.is_running() || Instant::now() > deadline {
                return Err(format!("it did not listen on its port: {}", server.output(folder)));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// Starts it pinned, in a process group of its own. It dies with this program, however that ends.
    fn spawn(command: Command, folder: &Path) -> std::io::Result<Server> {
        use std::os::unix::process::CommandExt;
        let mut pinned = Command::new("setpriv");
        pinned.args(["--pdeathsig", "KILL", "taskset", "-c", &SERVER_CORE.to_string()]);
        pinned.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => pinned.env(name, value),
                None => pinned.env_remove(name),
            };
        }
        if let Some(directory) = command.get_current_dir() {
            pinned.current_dir(directory);
        }
        let child = pinned
            .stdin(Stdio::null())
            .stdout(fs::File::create(folder.join("stdout"))?)
            .stderr(fs::File::create(folder.join("stderr"))?)
            .process_group(0)
            .spawn()?;
        Ok(Server { child, address: String::new() })
    }

    fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The end of what it printed.
    fn output(&self, folder: &Path) -> String {
        let mut text = String::new();
        for name in ["stdout", "stderr"] {
            text += &fs::read_to_string(folder.join(name)).unwrap_or_default();
        }
        let start = text.char_indices().rev().nth(999).map_or(0, |(at, _)| at);
        text[start..].to_owned()
    }

    /// Asks it to end in good order, and waits until it did.
    ///
    /// # Panics
    /// When it does not within [`START_TIMEOUT`].
    pub(crate) fn terminate(mut self) {
        let process = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(process, rustix::process::Signal::TERM).expect("it runs");
        let deadline = Instant::now() + START_TIMEOUT;
        while self.is_running() {
            assert!(Instant::now() < deadline, "the server did not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// It and its children, as far as they live.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let mut found = vec![self.child.id()];
        let mut next = 0;
        while next < found.len() {
            let path = format!("/proc/{0}/task/{0}/children", found[next]);
            let children = fs::read_to_string(path).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
            next += 1;
        }
        found
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.child.wait();
    }
}

/// The address in a line like `listening on http://127.0.0.1:1234`; empty when there is none yet.
fn address_in(output: &str) -> String {
    let Some(at) = output.find("http://") else { return String::new() };
    let rest = &output[at + 7..];
    rest.find(char::is_whitespace).map_or(String::new(), |end| rest[..end].to_owned())
}
