//! How many system calls a request takes: counted by `perf` in a short run of its own, since counting costs time.

use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use crate::figure::Run;
use crate::load::{Pool, Request, Until};
use crate::workloads::subject::Subject;

/// How long requests are sent while calls are counted.
const SECONDS: f64 = 1.0;
/// `perf` counts by then.
const ATTACH: Duration = Duration::from_millis(300);

/// Says in the run how many system calls its requests took, as far as `perf` can tell.
pub(crate) async fn count(run: &mut Run, subject: &Subject, pool: &mut Pool, requests: &Rc<[Request]>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("calls");
    let Some(mut perf) = start(subject, &file) else { return };
    tokio::time::sleep(ATTACH).await;
    let work = pool.closed(requests, Until::seconds(SECONDS)).await;
    let process = rustix::process::Pid::from_child(&perf);
    // It may have ended by itself, when the machine does not let it count.
    let _ = rustix::process::kill_process(process, rustix::process::Signal::INT);
    let _ = perf.wait();
    match calls(&std::fs::read_to_string(&file).unwrap_or_default()) {
        Some(calls) => run.syscalls = Some(calls * run.requests / work.requests.max(1)),
        None => eprintln!("perf counted no system calls"),
    }
}

fn start(subject: &Subject, file: &std::path::Path) -> Option<Child> {
    let processes: Vec<String> = subject.server.processes().iter().map(u32::to_string).collect();
    let started = Command::new("perf")
        .args(["stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-p", &processes.join(","), "-o"])
        .arg(file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    if let Err(error) = &started {
        eprintln!("system calls are not counted: perf: {error}");
    }
    started.ok()
}

/// The count in what `perf stat -x ,` wrote.
fn calls(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.contains("raw_syscalls:sys_enter"))?;
    line.split(',').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_the_first_field() {
        #[track_caller]
        fn check(text: &str, count: Option<u64>) {
            assert_eq!(calls(text), count);
        }
        check("# started\n\n2917,,raw_syscalls:sys_enter,1000,100.00,,\n", Some(2917));
        check("<not supported>,,raw_syscalls:sys_enter,0,100.00,,\n", None);
        check("", None);
    }
}
