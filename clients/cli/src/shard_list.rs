//! All shards of a stream, page by page.

use aws_sdk_kinesis::types::Shard;

use crate::CliError;
use crate::connect::Connection;

/// The stream's shards, closed ones that still hold records included, in the order of their ids.
pub(crate) async fn list_shards(connection: &Connection, stream: &str) -> Result<Vec<Shard>, CliError> {
    let mut shards = Vec::new();
    let mut next_token: Option<String> = None;
    loop {
        let request = connection.kinesis.list_shards();
        // A token stands for the stream and everything else that was asked.
        let request = match next_token {
            Some(token) => request.next_token(token),
            None => request.stream_name(stream),
        };
        let page = request.send().await.map_err(|error| {
            connection.explain("ListShards", error).advise("ResourceNotFoundException", || {
                format!(
                    "`thalweg streams list` shows what there is, `thalweg streams create {stream}` makes it"
                )
            })
        })?;
        shards.extend(page.shards.unwrap_or_default());
        next_token = page.next_token;
        if next_token.is_none() {
            break;
        }
    }
    shards.sort_by(|a, b| a.shard_id.cmp(&b.shard_id));
    Ok(shards)
}

/// The full id of a shard named by its id or by its number alone: `3` is `shardId-000000000003`.
pub(crate) fn shard_id(text: &str) -> String {
    match text.parse::<u32>() {
        Ok(number) => format!("shardId-{number:012}"),
        Err(_) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_may_be_named_by_its_number() {
        assert_eq!(shard_id("3"), "shardId-000000000003");
        assert_eq!(shard_id("shardId-000000000003"), "shardId-000000000003");
    }
}
