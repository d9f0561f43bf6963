//! Diagnostics, to standard error. Not what a server prints at its start, which is `serve`'s and goes to standard
//! output.

mod bounded;

use std::io::{IsTerminal, stderr};

use thalweg_system::Clock;
use thalweg_system::os::OsClock;
use tracing_subscriber::EnvFilter;

use self::bounded::Bounded;
use crate::config::{Config, LogFormat};

/// Starts logging.
pub(crate) fn start(config: &Config) {
    let filter = EnvFilter::builder().parse(&config.log_level).expect("the configuration has checked it");
    // A line that cannot be written is let go: to say so on the same standard error would panic, and end the process.
    let logs =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).log_internal_errors(false);
    let clock = OsClock::new();
    let now = Box::new(move || clock.monotonic());
    match config.log_format {
        LogFormat::Text => logs
            .with_ansi(config.log_colours && stderr().is_terminal())
            .map_event_format(|format| Bounded::new(format, false, now))
            .init(),
        LogFormat::Json => {
            logs.json().flatten_event(true).map_event_format(|format| Bounded::new(format, true, now)).init();
        }
    }
}
