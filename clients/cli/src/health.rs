//! `thalweg health`: one GET of `/readyz`, for container health checks and scripts.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::connect::Endpoint;
use crate::{CliError, output};

/// Longest answer that is read; a ready server's is a few bytes.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// Asks a server whether it is ready.
#[derive(Debug, clap::Args)]
pub struct HealthArgs {
    /// The server's URL [env: AWS_ENDPOINT_URL_KINESIS, then AWS_ENDPOINT_URL] [default: http://127.0.0.1:4567]
    #[arg(long, value_name = "URL", value_parser = parse_endpoint)]
    endpoint: Option<Endpoint>,
    /// How many seconds to wait for the answer
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    timeout: u64,
}

fn parse_endpoint(text: &str) -> Result<Endpoint, String> {
    if !text.starts_with("http://") || text == "http://" {
        return Err("an endpoint is a URL such as http://127.0.0.1:4567".to_owned());
    }
    Ok(Endpoint::Url(text.trim_end_matches('/').to_owned()))
}

/// Succeeds when the server says that it is ready.
pub(crate) async fn run(args: HealthArgs) -> Result<(), CliError> {
    let Endpoint::Url(url) = Endpoint::from_environment(args.endpoint)? else {
        unreachable!("the flag's parser takes URLs only, and so does the environment");
    };
    let Some(authority) = url.strip_prefix("http://") else {
        return Err(CliError::Usage(format!("{url}: the health check speaks plain http:// only")));
    };
    let unreachable = |reason: String| CliError::Unreachable {
        endpoint: url.clone(),
        reason,
        advice: "; is a server running there? `thalweg serve` starts one, --endpoint names another",
    };
    let answer = tokio::time::timeout(Duration::from_secs(args.timeout), get_readyz(authority))
        .await
        .map_err(|_| unreachable(format!("no answer within {} seconds", args.timeout)))?
        .map_err(|error| unreachable(error.to_string()))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    // "HTTP/1.1 200 OK"
    match head.split_whitespace().nth(1) {
        Some("200") => output::print(&format!("{url} is ready\n")),
        Some(status) => {
            let reason =
                if body.trim().is_empty() { format!("HTTP status {status}") } else { body.trim().to_owned() };
            Err(CliError::NotReady { endpoint: url, reason: reason.replace('\n', " ") })
        }
        None => Err(CliError::NotReady { endpoint: url, reason: "that is no HTTP server".to_owned() }),
    }
}

/// The whole answer as text.
async fn get_readyz(authority: &str) -> std::io::Result<String> {
    let address = if has_port(authority) { authority.to_owned() } else { format!("{authority}:80") };
    let mut stream = TcpStream::connect(&address).await?;
    // Version 1.0: the server closes after the answer, whose body is then neither chunked nor counted.
    stream.write_all(format!("GET /readyz HTTP/1.0\r\nHost: {authority}\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Whether `host`, `host:port`, `[::1]` or `[::1]:port` has a port.
fn has_port(authority: &str) -> bool {
    let after_address = authority.rsplit_once(']').map_or(authority, |(_, rest)| rest);
    after_address.contains(':')
}
