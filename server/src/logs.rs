//! Diagnostics, to standard error. Not what a server prints at its start, which is `serve`'s and goes to standard
//! output.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

use crate::config::{Config, LogFormat};

/// Starts logging.
pub(crate) fn start(config: &Config) {
    let filter = EnvFilter::builder().parse(&config.log_level).expect("the configuration has checked it");
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    match config.log_format {
        LogFormat::Text => logs.with_ansi(config.log_colours && stderr().is_terminal()).init(),
        LogFormat::Json => logs.json().flatten_event(true).init(),
    }
}
