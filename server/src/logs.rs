//! Diagnostics, to standard error. Not what a server prints at its start, which is `serve`'s and goes to standard
//! output.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

use crate::config::{Config, LogFormat};
use crate::start_error::StartError;

/// Starts logging.
pub(crate) fn start(config: &Config) -> Result<(), StartError> {
    let filter = EnvFilter::builder().parse(&config.log_level).map_err(|error| StartError::LogLevel {
        level: config.log_level.clone(),
        reason: error.to_string(),
    })?;
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    match config.log_format {
        LogFormat::Text => logs.with_ansi(has_colours()).init(),
        LogFormat::Json => logs.json().flatten_event(true).init(),
    }
    Ok(())
}

/// On a terminal, unless the user wants none (no-color.org).
fn has_colours() -> bool {
    stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
