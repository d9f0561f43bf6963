//! `thalweg streams list`.

use aws_sdk_kinesis::types::StreamSummary;
use serde::Serialize;

use crate::connect::Connection;
use crate::{CliError, output};

/// One line of `--json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListedStream<'a> {
    stream_name: &'a str,
    #[serde(rename = "streamARN")]
    stream_arn: &'a str,
    status: &'a str,
    /// `PROVISIONED` or `ON_DEMAND`.
    mode: Option<&'a str>,
    created: Option<String>,
}

impl<'a> ListedStream<'a> {
    fn of(summary: &'a StreamSummary) -> Self {
        ListedStream {
            stream_name: summary.stream_name(),
            stream_arn: summary.stream_arn(),
            status: summary.stream_status().as_str(),
            mode: summary.stream_mode_details().map(|details| details.stream_mode().as_str()),
            created: summary.stream_creation_timestamp().map(output::timestamp_in_seconds),
        }
    }
}

/// Prints the streams in the order of their names.
pub(crate) async fn run(connection: &Connection, json: bool) -> Result<(), CliError> {
    let summaries = list(connection).await?;
    let mut text = String::new();
    if !json {
        let width = summaries.iter().map(|summary| summary.stream_name().len()).max().unwrap_or(0).max(4);
        text += &format!("{:width$}  {:8}  {:11}  CREATED\n", "NAME", "STATUS", "MODE");
        for stream in summaries.iter().map(ListedStream::of) {
            let mode = stream.mode.unwrap_or("-");
            let created = stream.created.as_deref().unwrap_or("-");
            text += &format!("{:width$}  {:8}  {mode:11}  {created}\n", stream.stream_name, stream.status);
        }
    } else {
        for stream in summaries.iter().map(ListedStream::of) {
            text += &output::json(&stream);
            text.push('\n');
        }
    }
    output::print(&text)
}

async fn list(connection: &Connection) -> Result<Vec<StreamSummary>, CliError> {
    let mut summaries: Vec<StreamSummary> = Vec::new();
    let mut next_token: Option<String> = None;
    loop {
        let page = connection
            .kinesis
            .list_streams()
            .set_next_token(next_token)
            .send()
            .await
            .map_err(|error| connection.explain("ListStreams", error))?;
        summaries.extend(page.stream_summaries.unwrap_or_default());
        next_token = page.next_token;
        if !page.has_more_streams || next_token.is_none() {
            return Ok(summaries);
        }
    }
}
