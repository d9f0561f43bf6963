//! A closed loop of prepared HTTP/1.1 calls, for engines whose records travel in requests: one call outstanding on
//! each connection.

use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::LocalSet;

use super::RECORD_BYTES;
use crate::client::{Answer, Client};
use crate::meter::Work;

/// How long a connection pauses that was told to slow down.
const THROTTLE_PAUSE: Duration = Duration::from_millis(10);
/// A server that does not answer for so long never will.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Records in a call, on so many connections.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) batch: usize,
    pub(super) connections: usize,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "calls of {} on {} connections", self.batch, self.connections)
    }
}

/// What an answer means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All records of the call were written.
    Written,
    /// None was, for now.
    SlowDown,
    Wrong,
}

/// Sends the calls round and round on every connection until the time is over, and waits for the last answers.
///
/// # Errors
/// An answer that is neither success nor a throttle.
pub(super) async fn drive(
    address: &str,
    calls: &Rc<Vec<Vec<u8>>>,
    shape: Shape,
    duration: Duration,
    judge: fn(&Answer) -> Verdict,
) -> Result<Work, String> {
    let until = Instant::now() + duration;
    let local = LocalSet::new();
    let connections: Vec<_> = (0..shape.connections)
        .map(|connection| {
            // Neighbours start at different calls.
            let first = connection * calls.len() / shape.connections;
            local.spawn_local(connection_loop(address.to_owned(), calls.clone(), first, until, judge))
        })
        .collect();
    let mut total = Work::default();
    local
        .run_until(async {
            for connection in connections {
                // A connection panics when the server is gone.
                total.add(connection.await.map_err(|error| error.to_string())??);
            }
            Ok::<(), String>(())
        })
        .await?;
    total.records = total.requests * shape.batch as u64;
    total.payload_bytes = total.records * RECORD_BYTES as u64;
    Ok(total)
}

async fn connection_loop(
    address: String,
    calls: Rc<Vec<Vec<u8>>>,
    first: usize,
    until: Instant,
    judge: fn(&Answer) -> Verdict,
) -> Result<Work, String> {
    let mut client = Client::connect(&address).await;
    let mut work = Work::default();
    let mut next = first;
    while Instant::now() < until {
        let answer = tokio::time::timeout(SILENCE_MAX, client.call(&calls[next % calls.len()])).await;
        let answer = answer.map_err(|_| "it does not answer".to_owned())?;
        match judge(&answer) {
            Verdict::Written => {
                work.requests += 1;
                next += 1;
            }
            Verdict::SlowDown => {
                work.throttled += 1;
                tokio::time::sleep(THROTTLE_PAUSE).await;
            }
            Verdict::Wrong => {
                let body = String::from_utf8_lossy(&answer.body[..answer.body.len().min(500)]).into_owned();
                return Err(format!("answered {}: {body}", answer.status));
            }
        }
    }
    Ok(work)
}
