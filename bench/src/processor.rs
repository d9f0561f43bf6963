//! Whose processor time it was: the server's, the kernel's own threads', or that of programs which have nothing to do
//! with the measurement. What the load generator uses is in none of them.
//!
//! Times of processes are read from `/proc/PID/stat`, where the kernel scales the ticks it sampled to the time that it
//! measured, and include those of children that have ended. Kernel threads have none that end: theirs are read one by
//! one from `/proc/PID/schedstat`, in nanoseconds, since most of them use less than a tick.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

/// Clock ticks per second; fixed on Linux.
const TICKS: u64 = 100;
/// The parent of all kernel threads.
const KERNEL: u32 = 2;
/// What the kernel's flags of a task say when it is a thread of the kernel: `PF_KTHREAD` in `linux/sched.h`.
const FLAG_KERNEL: u64 = 0x0020_0000;

/// Processor time used so far.
#[derive(Debug, Default)]
pub(crate) struct Times {
    server: Duration,
    /// By thread: those that end take their times with them.
    kernel: HashMap<u32, Duration>,
    others: Duration,
}

/// Processor time used between two readings.
pub(crate) struct Used {
    pub(crate) server: Duration,
    pub(crate) kernel: Duration,
    pub(crate) others: Duration,
}

impl Times {
    /// Reads it. `server`: its processes. `generators`: processes besides this one that make load, with all that they
    /// have started.
    pub(crate) fn read(server: &[u32], generators: &[u32]) -> Times {
        let mut tasks = HashMap::new();
        for entry in fs::read_dir("/proc").expect("Linux has it") {
            let name = entry.expect("it can be read").file_name();
            let Some(process) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            // It may have ended since.
            let text = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
            if let Some(stat) = Stat::parse(&text) {
                tasks.insert(process, stat);
            }
        }
        let mut times = Times::default();
        for (process, stat) in &tasks {
            match owner(*process, &tasks, server, generators) {
                Owner::Server => times.server += stat.time,
                Owner::Kernel => {
                    times.kernel.insert(*process, precise_time(*process).unwrap_or(stat.time));
                }
                Owner::Generator => {}
                Owner::Other => times.others += stat.time,
            }
        }
        times
    }

    /// What was used since an earlier reading of the same.
    pub(crate) fn since(&self, earlier: &Times) -> Used {
        let mut kernel = Duration::ZERO;
        for (thread, time) in &self.kernel {
            kernel += time.saturating_sub(earlier.kernel.get(thread).copied().unwrap_or_default());
        }
        Used {
            server: self.server.saturating_sub(earlier.server),
            kernel,
            others: self.others.saturating_sub(earlier.others),
        }
    }
}

/// What a line of `/proc/PID/stat` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    is_kernel: bool,
    /// With that of children that have ended.
    time: Duration,
}

impl Stat {
    /// `PID (NAME) STATE PARENT …`: a name may hold anything, also `)` and blanks.
    fn parse(line: &str) -> Option<Stat> {
        let fields: Vec<&str> = line[line.rfind(')')? + 1..].split_whitespace().collect();
        // The manual's fields are numbered from 1, and the first here is its third.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        // utime, stime, cutime and cstime.
        let ticks = field(14)? + field(15)? + field(16)? + field(17)?;
        Some(Stat {
            parent: field(4)?.try_into().ok()?,
            is_kernel: field(9)? & FLAG_KERNEL != 0,
            time: Duration::from_millis(ticks * 1000 / TICKS),
        })
    }
}

/// Whose time a process's is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Server,
    Kernel,
    Generator,
    Other,
}

/// The nearest of its ancestors decides: a server is a child of this program, the generator.
fn owner(process: u32, tasks: &HashMap<u32, Stat>, server: &[u32], generators: &[u32]) -> Owner {
    let own = std::process::id();
    let mut at = process;
    // Parents may have been read before they changed: not further than there are tasks.
    for _ in 0..=tasks.len() {
        if server.contains(&at) {
            return Owner::Server;
        }
        if at == own || generators.contains(&at) {
            return Owner::Generator;
        }
        let Some(stat) = tasks.get(&at) else { return Owner::Other };
        // In a container the second process is any program.
        if stat.is_kernel && (at == KERNEL || stat.parent == KERNEL) {
            return Owner::Kernel;
        }
        at = stat.parent;
    }
    Owner::Other
}

/// A task's own time; `None` where the kernel does not keep it.
fn precise_time(task: u32) -> Option<Duration> {
    let text = fs::read_to_string(format!("/proc/{task}/schedstat")).ok()?;
    text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_after_the_name() {
        #[track_caller]
        fn check(line: &str, expected: Option<(u32, bool, u64)>) {
            let expected = expected.map(|(parent, is_kernel, millis)| Stat {
                parent,
                is_kernel,
                time: Duration::from_millis(millis),
            });
            assert_eq!(Stat::parse(line), expected, "{line}");
        }
        let numbers = "7 7 0 -1 4194560 90 0 0 0 11 22 33 44 20 0 1 0 5 1000 2";
        check(&format!("12 (thalweg) S 7 {numbers}"), Some((7, false, 1100)));
        check(&format!("12 (a) b) (c) R 7 {numbers}\n"), Some((7, false, 1100)));
        check(
            "31 (kworker/0:1-ev) I 2 0 0 0 -1 69238880 0 0 0 0 0 7 0 0 20 0 1 0 33 0 0",
            Some((2, true, 70)),
        );
        check("12 (thalweg) S 7 7 7", None);
        check("12 (thalweg)", None);
        check("", None);
    }

    #[test]
    fn the_nearest_ancestor_says_whose_time_it_is() {
        let own = std::process::id();
        let task = |process, parent, is_kernel| (process, Stat { parent, is_kernel, time: Duration::ZERO });
        let base = own + 10;
        let (server, fork, tool, helper, shell) = (base, base + 1, base + 2, base + 3, base + 4);
        let (kthreadd, worker) = (task(2, 0, true), task(base + 5, 2, true));
        let tasks: HashMap<u32, Stat> = [
            task(1, 0, false),
            kthreadd,
            worker,
            task(own, shell, false),
            task(server, own, false),
            task(fork, server, false),
            task(tool, 1, false),
            task(helper, tool, false),
            task(shell, 1, false),
        ]
        .into();
        for (process, expected) in [
            (server, Owner::Server),
            (fork, Owner::Server),
            (own, Owner::Generator),
            (helper, Owner::Generator),
            (shell, Owner::Other),
            (1, Owner::Other),
            (2, Owner::Kernel),
            (worker.0, Owner::Kernel),
        ] {
            assert_eq!(owner(process, &tasks, &[server], &[tool]), expected, "{process}");
        }
    }

    #[test]
    fn a_kernel_thread_that_ended_takes_nothing_away() {
        let times = |server, kernel: &[(u32, u64)]| Times {
            server: Duration::from_millis(server),
            kernel: kernel.iter().map(|(thread, millis)| (*thread, Duration::from_millis(*millis))).collect(),
            others: Duration::ZERO,
        };
        let used = times(30, &[(9, 12), (11, 5)]).since(&times(10, &[(9, 10), (10, 1000)]));
        assert_eq!(used.server, Duration::from_millis(20));
        assert_eq!(used.kernel, Duration::from_millis(7));
    }
}
