//! One batch into the stream: PutRecords, and again for what was not taken, until all of it is there or patience ends.

use std::time::Duration;

use aws_sdk_kinesis::types::PutRecordsRequestEntry;

use crate::CliError;
use crate::connect::Connection;

/// The pause after the first attempt in which nothing got in.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Attempts in a row that get nothing in before we give up: about half a minute of pauses, enough for a restart.
const ATTEMPTS_MAX: u32 = 12;

/// Where a record is.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    /// `shardId-000000000000`
    pub(crate) shard_id: String,
    /// Its sequence number.
    pub(crate) sequence_number: String,
}

/// What became of a batch.
#[derive(Debug)]
pub(crate) struct Sent {
    /// In the order of the records; `None` for those that did not get in.
    pub(crate) placed: Vec<Option<Placed>>,
    /// Why, when there is a `None`.
    pub(crate) error: Option<CliError>,
}

/// Sends records until all are placed. A record that was refused is sent again before anything after this batch.
/// `retrying` hears of each attempt that got nothing in and will be repeated. On `is_first_contact`, a server that does
/// not answer is an error at once: nobody waits half a minute for a mistyped endpoint.
pub(crate) async fn send(
    connection: &Connection,
    stream: &str,
    entries: Vec<PutRecordsRequestEntry>,
    is_first_contact: bool,
    mut retrying: impl FnMut(&CliError),
) -> Sent {
    let mut placed = vec![None; entries.len()];
    let mut attempts_in_vain = 0;
    loop {
        let missing: Vec<usize> = (0..entries.len()).filter(|&at| placed[at].is_none()).collect();
        if missing.is_empty() {
            return Sent { placed, error: None };
        }
        let records = missing.iter().map(|&at| entries[at].clone()).collect();
        let error = match put_records(connection, stream, records).await {
            Ok(answers) => {
                let mut refusal = None;
                for (&at, answer) in missing.iter().zip(answers) {
                    match answer {
                        Ok(place) => {
                            placed[at] = Some(place);
                            attempts_in_vain = 0;
                        }
                        Err(error) => refusal = Some(error),
                    }
                }
                let Some(refusal) = refusal else { continue };
                refusal
            }
            Err(error) => error,
        };
        attempts_in_vain += 1;
        let is_wrong_address = is_first_contact && matches!(error, CliError::Unreachable { .. });
        if !error.is_transient() || is_wrong_address || attempts_in_vain == ATTEMPTS_MAX {
            return Sent { placed, error: Some(error) };
        }
        retrying(&error);
        tokio::time::sleep(pause(attempts_in_vain)).await;
    }
}

/// Doubles with each attempt; half of it is random, so that several producers do not come back together.
fn pause(attempts_in_vain: u32) -> Duration {
    let pause = PAUSE_FIRST.saturating_mul(1 << attempts_in_vain.saturating_sub(1)).min(PAUSE_MAX);
    pause.mul_f64(0.5 + 0.5 * fastrand::f64())
}

/// One request: an answer for each record, in their order.
async fn put_records(
    connection: &Connection,
    stream: &str,
    records: Vec<PutRecordsRequestEntry>,
) -> Result<Vec<Result<Placed, CliError>>, CliError> {
    let count = records.len();
    let answer = connection
        .kinesis
        .put_records()
        .stream_name(stream)
        .set_records(Some(records))
        .send()
        .await
        .map_err(|error| connection.explain("PutRecords", error))
        .map_err(|error| error.advise("ResourceNotFoundException", || advice_to_create(stream)))?;
    if answer.records.len() != count {
        return Err(CliError::Incomplete { operation: "PutRecords", missing: "an entry for each record" });
    }
    let mut results = Vec::with_capacity(count);
    for entry in answer.records {
        results.push(match (entry.shard_id, entry.sequence_number, entry.error_code) {
            (Some(shard_id), Some(sequence_number), None) => Ok(Placed { shard_id, sequence_number }),
            (_, _, Some(code)) => Err(CliError::Refused {
                operation: "PutRecords",
                code,
                message: entry.error_message.unwrap_or_else(|| "no message was given".to_owned()),
                advice: String::new(),
            }),
            _ => return Err(CliError::Incomplete { operation: "PutRecords", missing: "SequenceNumber" }),
        });
    }
    Ok(results)
}

fn advice_to_create(stream: &str) -> String {
    format!("`thalweg put {stream} --create` makes it, `thalweg streams list` shows what there is")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_the_longest() {
        for (attempts, most) in [(1, 50), (2, 100), (3, 200), (7, 3200), (8, 5000), (11, 5000)] {
            let pause = pause(attempts).as_millis();
            assert!((most / 2..=most).contains(&pause), "{pause} ms after {attempts} attempts");
        }
    }
}
