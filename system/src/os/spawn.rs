//! A thread for each loop.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::runtime::Builder;

use crate::{BoxFuture, Spawn, TaskHandle};

/// Runs each task on an operating system thread of its own, under a small tokio runtime with time (and without
/// network), so that the task may block the thread and may sleep by [`super::OsClock`].
///
/// A task that panics ends the process: a committer that died silently would leave every put waiting for ever.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsSpawn;

impl Spawn for OsSpawn {
    /// # Panics
    /// When the operating system gives no thread.
    fn spawn(&self, name: &str, task: BoxFuture<'static, ()>) -> TaskHandle {
        on_a_thread(name, task, |builder| builder.enable_time())
    }
}

/// As [`OsSpawn`], under a runtime with network too: for loops that own sockets. Such a loop must not block its
/// thread, and may start tasks by `tokio::spawn`; those end with the loop.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsNetworkSpawn;

impl Spawn for OsNetworkSpawn {
    /// # Panics
    /// When the operating system gives no thread.
    fn spawn(&self, name: &str, task: BoxFuture<'static, ()>) -> TaskHandle {
        on_a_thread(name, task, |builder| builder.enable_all())
    }
}

/// Runs `task` on a thread of its own, under a runtime of its own with the drivers that `enable` names.
fn on_a_thread(
    name: &str,
    task: BoxFuture<'static, ()>,
    enable: fn(&mut Builder) -> &mut Builder,
) -> TaskHandle {
    let (ended, end) = tokio::sync::oneshot::channel::<()>();
    let thread_name = name.to_owned();
    let run = move || {
        let task = AssertUnwindSafe(task);
        // Whole-closure capture: the wrapper, not its field, is what may cross the unwind.
        let outcome = catch_unwind(move || {
            let task = task;
            let runtime = enable(&mut Builder::new_current_thread())
                .build()
                .expect("the system gives a process its drivers unless it is out of file descriptors");
            runtime.block_on(task.0);
        });
        if outcome.is_err() {
            // Straight to standard error: the logger may be what failed. The hook has printed the panic itself.
            let _ = writeln!(
                std::io::stderr(),
                "thalweg: the task \"{thread_name}\" panicked; the process ends so that no one waits for it"
            );
            std::process::abort();
        }
        // Whoever waited may have gone; the end is not theirs alone.
        let _ = ended.send(());
    };
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .unwrap_or_else(|error| panic!("no thread for the task \"{name}\": {error}"));
    TaskHandle(Box::pin(async move {
        // An error would mean that the thread ended without sending: a panic, and that aborts.
        let _ = end.await;
    }))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use super::*;
    use crate::Clock;
    use crate::os::OsClock;

    #[tokio::test]
    async fn the_handle_completes_when_the_task_has_ended() {
        let seen = Arc::new(Mutex::new(None));
        let task = {
            let seen = Arc::clone(&seen);
            Box::pin(async move {
                OsClock::new().sleep(Duration::from_millis(1)).await;
                let name = std::thread::current().name().map(str::to_owned);
                *seen.lock().expect("no one panics with it") = name;
            })
        };
        OsSpawn.spawn("committer", task).0.await;
        assert_eq!(seen.lock().expect("no one panics with it").as_deref(), Some("committer"));
    }

    #[test]
    fn a_panic_in_a_task_ends_the_process() {
        const CHILD: &str = "THALWEG_TEST_PANICKING_TASK";
        if std::env::var_os(CHILD).is_some() {
            let handle = OsSpawn.spawn("committer", Box::pin(async { panic!("the disk is on fire") }));
            tokio::runtime::Builder::new_current_thread().build().expect("no needs").block_on(handle.0);
            return;
        }
        let program = std::env::current_exe().expect("a test is a program");
        let output = std::process::Command::new(program)
            .args(["--exact", "os::spawn::tests::a_panic_in_a_task_ends_the_process", "--nocapture"])
            .env(CHILD, "1")
            .output()
            .expect("the test program starts");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "the child went on: {errors}");
        assert!(errors.contains("the task \"committer\" panicked"), "{errors}");
    }
}
