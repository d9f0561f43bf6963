//! Ctrl-C and SIGTERM: the first asks a command for a clean end, the second ends the program at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// The exit code of a program that was interrupted twice: 128 + SIGINT, as shells have it.
const EXIT_INTERRUPTED: i32 = 130;

/// Completes when the user wants an end.
pub(crate) struct Interrupt(watch::Receiver<bool>);

impl Interrupt {
    /// Starts to listen; the signals no longer kill the program.
    ///
    /// # Panics
    /// When the operating system refuses signal handlers.
    pub(crate) fn listen() -> Self {
        let mut interrupt = signal(SignalKind::interrupt()).expect("SIGINT can be handled");
        let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be handled");
        let (sender, receiver) = watch::channel(false);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if sender.send_replace(true) {
                    std::process::exit(EXIT_INTERRUPTED);
                }
            }
        });
        Interrupt(receiver)
    }

    /// Completes once the first signal has come.
    pub(crate) async fn requested(&mut self) {
        self.0.wait_for(|requested| *requested).await.expect("the listener runs as long as the program");
    }
}
