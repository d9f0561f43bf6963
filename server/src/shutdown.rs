//! How a server is told to end: by SIGINT or SIGTERM. The first asks for a clean end once it serves; a second one, or
//! one while it is still starting, ends the process at once, which loses nothing: every write is made for `kill -9`.

use std::sync::Arc;

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
    /// Starts to listen, on a thread of its own: the caller may be busy with a recovery.
    ///
    /// # Panics
    /// When the operating system refuses signal handlers.
    pub(crate) fn listen() -> Self {
        let stage = Arc::new(watch::Sender::new(Stage::Starting));
        let listener = Arc::clone(&stage);
        // Nobody waits for this thread: it ends with the process.
        drop(OsNetworkSpawn.spawn(
            "signals",
            Box::pin(async move {
                let mut interrupt = signal(SignalKind::interrupt()).expect("SIGINT can be handled");
                let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be handled");
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
