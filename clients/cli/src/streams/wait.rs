//! Waiting until a stream is what it should be.

use std::time::Duration;

use aws_sdk_kinesis::types::{StreamDescriptionSummary, StreamStatus};

use crate::CliError;
use crate::connect::Connection;
use crate::os::Moment;

/// How often a changing stream is looked at. AWS allows 20 DescribeStreamSummary a second; a local server is done at
/// the first look.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The pause before the second look, for servers that are done at once.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How long AWS takes at most in practice to create a stream or reshard it.
const PATIENCE: Duration = Duration::from_secs(300);

/// A stream as it is now.
pub(crate) async fn describe(
    connection: &Connection,
    stream: &str,
) -> Result<StreamDescriptionSummary, CliError> {
    let answer = connection
        .kinesis
        .describe_stream_summary()
        .stream_name(stream)
        .send()
        .await
        .map_err(|error| connection.explain("DescribeStreamSummary", error))
        .map_err(|error| advise_missing(error, stream))?;
    answer.stream_description_summary.ok_or(CliError::Incomplete {
        operation: "DescribeStreamSummary",
        missing: "StreamDescriptionSummary",
    })
}

/// Adds to a "not found" how to find or make streams.
pub(crate) fn advise_missing(error: CliError, stream: &str) -> CliError {
    error.advise("ResourceNotFoundException", || {
        format!("`thalweg streams list` shows what there is, `thalweg streams create {stream}` makes it")
    })
}

/// Completes once the stream is ACTIVE.
pub(crate) async fn until_active(
    connection: &Connection,
    stream: &str,
) -> Result<StreamDescriptionSummary, CliError> {
    let began = Moment::now();
    let mut pause = LOOK_AGAIN;
    loop {
        let summary = describe(connection, stream).await?;
        if *summary.stream_status() == StreamStatus::Active {
            return Ok(summary);
        }
        give_up_after_patience(began, stream, summary.stream_status())?;
        tokio::time::sleep(pause).await;
        pause = LOOK_EVERY;
    }
}

/// Completes once there is no such stream.
pub(crate) async fn until_gone(connection: &Connection, stream: &str) -> Result<(), CliError> {
    let began = Moment::now();
    let mut pause = LOOK_AGAIN;
    loop {
        match describe(connection, stream).await {
            Ok(summary) => give_up_after_patience(began, stream, summary.stream_status())?,
            Err(error) if error.has_code("ResourceNotFoundException") => return Ok(()),
            Err(error) => return Err(error),
        }
        tokio::time::sleep(pause).await;
        pause = LOOK_EVERY;
    }
}

fn give_up_after_patience(began: Moment, stream: &str, status: &StreamStatus) -> Result<(), CliError> {
    if began.elapsed() < PATIENCE {
        return Ok(());
    }
    Err(CliError::StillChanging {
        stream: stream.to_owned(),
        status: status.to_string(),
        seconds: PATIENCE.as_secs(),
    })
}
