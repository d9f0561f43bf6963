//! How a server is told to end: by SIGINT or SIGTERM. The first asks for a clean end once it serves; a second one, or
//! one while it is still starting, ends the process at once, which loses nothing: every write is made for `kill -9`.

use std::sync::{Arc, mpsc};

use thalweg_system::Spawn;
use thalweg_system::os::OsNetworkSpawn;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How far the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Starting,
    Serving,
    Ending,
}

/// The end of the process, as far as signals want it.
pub(crate) struct Signals {
    stage: Arc<watch::Sender<Stage>>,
}

/// What shells call the end by a signal: 128 and its number.
const EXIT_BY_SIGNAL: i32 = 128;

impl Signals {
    /// Starts to listen, on a thread of its own: the caller may be busy with a recovery. Once this returns no signal ends
    /// the process unheard.
    ///
    /// # Panics
    /// When the operating system refuses signal handlers.
    pub(crate) fn listen() -> Self {
        let stage = Arc::new(watch::Sender::new(Stage::Starting));
        let listener = Arc::clone(&stage);
        let (listening, begun) = mpsc::channel();
        // Nobody waits for this thread: it ends with the process.
        drop(OsNetworkSpawn.spawn(
            "signals",
            Box::pin(async move {
                let mut interrupt = signal(SignalKind::interrupt()).expect("SIGINT can be handled");
                let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be handled");
                listening.send(()).expect("the caller waits for it");
                loop {
                    let (name, number) = tokio::select! {
                        _ = interrupt.recv() => ("SIGINT", SignalKind::interrupt().as_raw_value()),
                        _ = terminate.recv() => ("SIGTERM", SignalKind::terminate().as_raw_value()),
                    };
                    let before = listener.send_replace(Stage::Ending);
                    if before != Stage::Serving {
                        tracing::warn!("{name}: ending at once");
                        std::process::exit(EXIT_BY_SIGNAL + number);
                    }
                    tracing::info!(
                        "{name}: answering what is in flight, then ending; once more ends at once"
                    );
                }
            }),
        ));
        begun.recv().expect("both signals can be handled");
        Signals { stage }
    }

    /// From now on the first signal asks for a clean end.
    pub(crate) fn serving(&self) {
        self.stage.send_if_modified(|stage| {
            let is_first = *stage == Stage::Starting;
            if is_first {
                *stage = Stage::Serving;
            }
            is_first
        });
    }

    /// Completes once the first signal has come.
    pub(crate) async fn end_requested(&self) {
        let mut stages = self.stage.subscribe();
        stages.wait_for(|stage| *stage == Stage::Ending).await.expect("`self` holds the sender");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that was told to end right after it said that it listens was killed by the signal: its thread had not
    /// come to installing the handlers yet.
    #[test]
    #[cfg(target_os = "linux")]
    #[allow(clippy::disallowed_methods)] // what the kernel says of this process
    fn signals_are_handled_from_the_beginning() {
        let _signals = Signals::listen();
        let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).expect("it has this line");
        let caught = u64::from_str_radix(caught.trim(), 16).expect("it is a mask");
        for signal in [SignalKind::interrupt(), SignalKind::terminate()] {
            assert!(caught & 1 << (signal.as_raw_value() - 1) != 0, "{signal:?} is not in {caught:x}");
        }
    }
}
