//! Makes a server that was just started ready for load: it answers, and has an active stream.

use std::time::{Duration, Instant};

use serde_json::json;

use super::api::ask;
use super::http::Connection;
use crate::process::Server;

/// Peers listen before they answer, and make streams in the background.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Waits until the server answers, creates the stream, and waits until it is active.
///
/// # Errors
/// Any of this fails or takes longer than [`PATIENCE`].
pub(crate) async fn stream(server: &Server, name: &str, shards: usize) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut connection = Connection::new(&server.address);
        let answer = tokio::time::timeout(PATIENCE, ask(&mut connection, "ListStreams", &json!({}))).await;
        match answer.unwrap_or_else(|_| Err("ListStreams: no answer".to_owned())) {
            Ok(_) => break,
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
    let mut connection = Connection::new(&server.address);
    ask(&mut connection, "CreateStream", &json!({"StreamName": name, "ShardCount": shards})).await?;
    loop {
        let answer = ask(&mut connection, "DescribeStreamSummary", &json!({"StreamName": name})).await?;
        let summary = &answer["StreamDescriptionSummary"];
        if summary["StreamStatus"] == "ACTIVE" {
            return if summary["OpenShardCount"] == shards {
                Ok(())
            } else {
                Err(format!("a stream of {shards} shards became {summary}"))
            };
        }
        if Instant::now() > deadline {
            return Err(format!("the stream does not become active: {summary}"));
        }
        tokio::time::sleep(PAUSE).await;
    }
}
