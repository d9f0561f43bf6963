//! The measured processes: starting them on a core, and reading what they used.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The measured server runs here.
pub(crate) const SERVER_CORE: usize = 0;
/// The load generator runs here.
pub(crate) const GENERATOR_CORE: usize = 1;

/// Pins this process to a core.
pub(crate) fn pin_this(core: usize) {
    let mut set = rustix::thread::CpuSet::new();
    set.set(core);
    rustix::thread::sched_setaffinity(None, &set).expect("the machine has two cores");
}

/// A server that is stopped when dropped.
pub(crate) struct Server {
    child: Child,
    /// `127.0.0.1:PORT`
    pub(crate) address: String,
}

impl Server {
    /// Starts `program` on the server's core; its standard output must name the address it listens on.
    pub(crate) fn start(program: &Path, arguments: &[&str], folder: &Path) -> Server {
        let output = folder.join("stdout");
        let child = Command::new("taskset")
            .args(["-c", &SERVER_CORE.to_string()])
            .arg(program)
            .args(arguments)
            .stdout(fs::File::create(&output).expect("the folder is writable"))
            .stderr(Stdio::from(fs::File::create(folder.join("stderr")).expect("the folder is writable")))
            .spawn()
            .expect("the server starts");
        let mut server = Server { child, address: String::new() };
        let deadline = Instant::now() + Duration::from_secs(30);
        while server.address.is_empty() {
            assert!(Instant::now() < deadline, "the server did not say where it listens");
            std::thread::sleep(Duration::from_millis(5));
            server.address = address_in(&fs::read_to_string(&output).unwrap_or_default());
        }
        server
    }

    /// Resident memory in bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/statm", self.child.id())).unwrap_or_default();
        text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
    }

    /// Processor time of the process so far.
    pub(crate) fn processor_time(&self) -> Duration {
        processor_time_of(self.child.id())
    }
}

/// The address in a line like `listening on http://127.0.0.1:1234`; empty when there is none yet.
fn address_in(output: &str) -> String {
    let Some(at) = output.find("http://") else { return String::new() };
    let rest = &output[at + 7..];
    rest.find(char::is_whitespace).map_or(String::new(), |end| rest[..end].to_owned())
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Clock ticks per second; fixed on Linux.
const TICKS: u64 = 100;

fn processor_time_of(process: u32) -> Duration {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).expect("the process lives");
    let fields: Vec<&str> = text[text.rfind(')').expect("the name ends") + 2..].split(' ').collect();
    let ticks: u64 =
        fields[11].parse::<u64>().expect("a number") + fields[12].parse::<u64>().expect("a number");
    Duration::from_millis(ticks * 1000 / TICKS)
}

/// Processor time of the whole machine that was neither idle nor this process's.
pub(crate) fn others_time() -> Duration {
    let text = fs::read_to_string("/proc/stat").expect("Linux");
    let fields: Vec<u64> = text
        .lines()
        .next()
        .expect("a line")
        .split_whitespace()
        .skip(1)
        .map(|f| f.parse().expect("a number"))
        .collect();
    // user, nice, system, idle, iowait, irq, softirq, steal: all but idle, iowait and steal.
    let busy = fields[0] + fields[1] + fields[2] + fields[5] + fields[6];
    Duration::from_millis(busy * 1000 / TICKS).saturating_sub(processor_time_of(std::process::id()))
}
