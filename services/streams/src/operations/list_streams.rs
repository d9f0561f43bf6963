//! ListStreams: by name, in pages by name or by token.

use thalweg_model::kinesis::{ListStreamsInput, ListStreamsOutput, StreamSummary};
use thalweg_shape::Failure;
use thalweg_types::limits::LIST_STREAMS_PAGE;

use crate::errors;
use crate::page_token::Position;
use crate::service::Streams;
use crate::view;

pub(crate) async fn run(streams: &Streams, input: ListStreamsInput) -> Result<ListStreamsOutput, Failure> {
    streams.admit("ListStreams", None)?;
    let after = match (input.next_token, input.exclusive_start_stream_name) {
        (None, start) => start,
        (Some(token), start) => match streams.position(&token)? {
            // A paginator that began after a name sends that name again with each token.
            Some(Position::Streams { after }) if start.as_ref().is_none_or(|start| *start <= after) => {
                Some(after)
            }
            _ if start.is_some() => return Err(errors::together_with_token("ExclusiveStartStreamName")),
            _ => return Err(errors::invalid_token()),
        },
    };
    let limit = input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(LIST_STREAMS_PAGE);
    let mut page = streams.registry.page(after.as_deref(), limit + 1);
    let has_more_streams = page.len() > limit;
    page.truncate(limit);
    let summaries = page.iter().map(|stream| StreamSummary {
        stream_arn: streams.stream_arn(stream).to_string(),
        stream_creation_timestamp: Some(stream.created),
        stream_mode_details: Some(view::mode(stream)),
        stream_name: stream.name.to_string(),
        stream_status: stream.status(),
    });
    let last = page.last().filter(|_| has_more_streams);
    Ok(ListStreamsOutput {
        has_more_streams,
        next_token: last.map(|last| streams.token(Position::Streams { after: last.name.to_string() })),
        stream_names: page.iter().map(|stream| stream.name.to_string()).collect(),
        stream_summaries: Some(summaries.collect()),
    })
}
