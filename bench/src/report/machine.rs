//! What the figures were measured on.

use std::fs;
use std::process::Command;

use serde::Serialize;

/// The machine and the checkout.
#[derive(Serialize)]
pub(crate) struct Machine {
    /// Year, month, day, in UTC.
    pub(crate) date: String,
    /// The checkout's commit; with `+` when files differ from it.
    pub(crate) commit: String,
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_gib: u64,
    pub(crate) kernel: String,
}

impl Machine {
    /// Reads it; what cannot be read is empty.
    pub(crate) fn read() -> Machine {
        let information = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let processor = information.lines().find_map(|line| {
            line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name.to_owned())
        });
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kib = memory
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        let changed = !output("git", &["status", "--porcelain", "--untracked-files=no"]).is_empty();
        let commit = output("git", &["rev-parse", "--short=12", "HEAD"]);
        Machine {
            date: output("date", &["-u", "+%Y-%m-%d"]),
            commit: if changed { commit + "+" } else { commit },
            processor: processor.unwrap_or_default(),
            // Not those that this program may use: it is pinned to one.
            cores: information.lines().filter(|line| line.starts_with("processor")).count(),
            memory_gib: kib.unwrap_or(0).div_ceil(1 << 20),
            kernel: output("uname", &["-sr"]),
        }
    }
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}
