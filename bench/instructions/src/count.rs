//! Counting: `perf stat` where the machine has counters, callgrind elsewhere.

use std::process::Command;

use crate::workloads::Workload;

/// Callgrind counts a repeated move as one instruction per byte; loops of vector moves are nearer the truth.
const NO_REPEATED_MOVES: &str =
    "glibc.cpu.x86_rep_movsb_threshold=1073741824:glibc.cpu.x86_rep_stosb_threshold=1073741824";

/// What counts instructions here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counter {
    Perf,
    Callgrind,
}

impl Counter {
    /// The best that this machine has. For a check it must be one that `has_figures` has something to compare with, as
    /// far as there is a choice; for new figures it is the best.
    pub(crate) fn find(update: bool, has_figures: impl Fn(Counter) -> bool) -> Option<Counter> {
        // Any program will do: cargo's is certainly there, but this one is, too.
        let perf_counts = Counter::Perf.count(&["--version"]).is_some();
        let valgrind_is_there = Command::new("valgrind").arg("--version").output().is_ok();
        if perf_counts && (update || has_figures(Counter::Perf)) {
            return Some(Counter::Perf);
        }
        valgrind_is_there.then_some(Counter::Callgrind)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Counter::Perf => "perf",
            Counter::Callgrind => "callgrind",
        }
    }

    /// User-space instructions of one request of this workload.
    ///
    /// # Panics
    /// When the workload fails.
    pub(crate) fn per_request(self, workload: &Workload) -> u64 {
        let counted = |requests: u64| {
            let requests = requests.to_string();
            self.count(&["run", workload.name, &requests]).expect("the workload runs and is counted")
        };
        let (once, twice) = (counted(workload.requests), counted(2 * workload.requests));
        twice.saturating_sub(once) / workload.requests
    }

    /// Instructions of this program with these arguments; `None` when they were not counted.
    fn count(self, arguments: &[&str]) -> Option<u64> {
        let own = std::env::current_exe().expect("this program has a path");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let report = folder.path().join("count");
        let mut command = match self {
            Counter::Perf => {
                let mut command = Command::new("perf");
                command.args(["stat", "-x,", "-e", "instructions:u", "-o"]).arg(&report).arg("--");
                command
            }
            Counter::Callgrind => {
                let mut command = Command::new("valgrind");
                let mut out = std::ffi::OsString::from("--callgrind-out-file=");
                out.push(&report);
                command.args(["--tool=callgrind", "--quiet"]).arg(out);
                command.env("GLIBC_TUNABLES", NO_REPEATED_MOVES);
                command
            }
        };
        let output = command.arg(own).args(arguments).output().ok()?;
        let text = std::fs::read_to_string(report).ok()?;
        let count = match self {
            Counter::Perf => {
                text.lines().find(|line| line.contains("instructions"))?.split(',').next()?.parse().ok()
            }
            Counter::Callgrind => text
                .lines()
                .find_map(|line| line.strip_prefix("totals: ").or(line.strip_prefix("summary: ")))?
                .trim()
                .parse()
                .ok(),
        };
        if arguments[0] == "run" && !output.status.success() {
            panic!("{}", String::from_utf8_lossy(&output.stderr));
        }
        count
    }
}
