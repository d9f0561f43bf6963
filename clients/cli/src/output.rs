//! Standard output: lines, JSON lines, and the way timestamps look in both.

use std::io::{self, Write};

use aws_sdk_kinesis::primitives::DateTime;
use serde::Serialize;

use crate::CliError;

/// Prints text as it is.
pub(crate) fn print(text: &str) -> Result<(), CliError> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(CliError::output)
}

/// Prints one JSON object on a line of its own.
pub(crate) fn print_json<T: Serialize>(value: &T) -> Result<(), CliError> {
    print(&format!("{}\n", json(value)))
}

/// A value as JSON, without a line end.
pub(crate) fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("our own structs have string keys and finite numbers")
}

/// RFC 3339 in UTC, to the millisecond: `2026-11-20T13:33:07.125Z`. Always as many digits, so that texts sort as
/// times do.
pub(crate) fn timestamp(time: &DateTime) -> String {
    let millis = time.to_millis().unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis).map_or_else(|_| millis.to_string(), |time| format!("{time:.3}"))
}

/// RFC 3339 in UTC, to the second: `2026-11-20T13:33:07Z`.
pub(crate) fn timestamp_in_seconds(time: &DateTime) -> String {
    let seconds = time.secs();
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_rfc_3339_in_utc() {
        assert_eq!(timestamp(&DateTime::from_millis(1_795_181_587_125)), "2026-11-20T13:33:07.125Z");
        assert_eq!(timestamp(&DateTime::from_millis(1_795_181_587_120)), "2026-11-20T13:33:07.120Z");
        assert_eq!(timestamp(&DateTime::from_millis(1_795_181_587_000)), "2026-11-20T13:33:07.000Z");
        assert_eq!(timestamp_in_seconds(&DateTime::from_secs(1_795_181_587)), "2026-11-20T13:33:07Z");
    }
}
