//! ListStreamConsumers: by name, in pages by token.

use std::ops::Bound::{Excluded, Unbounded};

use thalweg_model::kinesis::{ListStreamConsumersInput, ListStreamConsumersOutput};
use thalweg_shape::Failure;
use thalweg_types::limits::LIST_CONSUMERS_PAGE;

use crate::consumer::Consumer;
use crate::errors;
use crate::page_token::Position;
use crate::service::Streams;
use crate::view;

pub(crate) async fn run(
    streams: &Streams,
    input: ListStreamConsumersInput,
) -> Result<ListStreamConsumersOutput, Failure> {
    let account = &streams.settings.account;
    let stream = streams.resolve_stream(None, Some(&input.stream_arn), input.stream_id.as_deref())?;
    streams.admit_for("ListStreamConsumers", &stream)?;
    if input.stream_creation_timestamp.is_some_and(|at| !view::was_created_at(&stream, at)) {
        return Err(errors::no_stream_created_then(stream.name.as_str(), account));
    }
    streams.check_listable(&stream)?;
    let after = match input.next_token.as_deref() {
        None => None,
        Some(token) => match streams.position(token)? {
            Some(Position::Consumers { stream: id, after }) if id == stream.id.0 => Some(after),
            _ => return Err(errors::invalid_token()),
        },
    };
    let limit =
        input.max_results.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(LIST_CONSUMERS_PAGE);
    let start = after.as_deref().map_or(Unbounded, Excluded);
    let mut rest = stream.consumers.range::<str, _>((start, Unbounded)).map(|(_, consumer)| consumer);
    let page: Vec<&Consumer> = rest.by_ref().take(limit).collect();
    let last = page.last().filter(|_| rest.next().is_some());
    Ok(ListStreamConsumersOutput {
        next_token: last.map(|last| {
            streams.token(Position::Consumers { stream: stream.id.0, after: last.name.to_string() })
        }),
        consumers: Some(page.into_iter().map(|consumer| streams.view_consumer(&stream, consumer)).collect()),
    })
}
