//! From records to standard output: unpacked, counted, written by a thread of its own, because a pager that waits for
//! its user must not keep Ctrl-C from working.

use std::io::{self, Write};

use aws_sdk_kinesis::types::Record;
use serde::Serialize;
use thalweg_aggregate::{UserRecord, deaggregate};
use tokio::sync::{mpsc, oneshot};

use super::shard::Arrived;
use crate::os::run_on_a_thread;
use crate::{CliError, output};

/// Texts waiting for the writing thread.
const TEXTS_WAITING_MAX: usize = 2;

/// One line of `--json`: the names are an interface.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PrintedRecord<'a> {
    shard_id: &'a str,
    sequence_number: &'a str,
    sub_sequence_number: u64,
    partition_key: &'a str,
    approximate_arrival_timestamp: Option<String>,
    /// Base64.
    data: String,
}

/// Prints records.
pub(crate) struct Printer {
    json: bool,
    /// How many records may still be printed; `None` for no limit.
    left: Option<u64>,
    texts: mpsc::Sender<Vec<u8>>,
    /// How the writing thread ended; `None` once that was told.
    done: Option<oneshot::Receiver<io::Result<()>>>,
}

impl Printer {
    /// Starts the writing thread.
    pub(crate) fn start(json: bool, limit: Option<u64>) -> Self {
        let (texts, mut receiver) = mpsc::channel::<Vec<u8>>(TEXTS_WAITING_MAX);
        let (done_sender, done) = oneshot::channel();
        run_on_a_thread(move || {
            let mut result = Ok(());
            while let Some(text) = receiver.blocking_recv() {
                let mut stdout = io::stdout().lock();
                result = stdout.write_all(&text).and_then(|()| stdout.flush());
                if result.is_err() {
                    break;
                }
            }
            // Nobody hears it when the program is ending anyway.
            let _ = done_sender.send(result);
        });
        Printer { json, left: limit, texts, done: Some(done) }
    }

    /// Prints the records of one answer; whether more are wanted.
    ///
    /// # Errors
    /// Why standard output cannot be written, [`CliError::OutputClosed`] among them.
    pub(crate) async fn print(&mut self, arrived: Arrived) -> Result<bool, CliError> {
        let mut text = Vec::new();
        for record in arrived.records {
            let partition_key = record.partition_key().unwrap_or_default();
            for user_record in deaggregate(partition_key, None, record.data().as_ref()).records() {
                if self.left == Some(0) {
                    break;
                }
                self.left = self.left.map(|left| left - 1);
                self.format(&arrived.shard, &record, &user_record, &mut text);
            }
        }
        if self.texts.send(text).await.is_err() {
            return Err(self.failed().await);
        }
        Ok(self.left != Some(0))
    }

    /// Completes once standard output cannot be written any more; why.
    pub(crate) async fn failed(&mut self) -> CliError {
        if let Some(done) = &mut self.done {
            let ended = done.await;
            self.done = None;
            if let Ok(Err(error)) = ended {
                return CliError::output(error);
            }
        }
        // It ended, and not by an error of its own: that was told before.
        CliError::OutputClosed
    }

    /// Completes once everything is written.
    ///
    /// # Errors
    /// As [`Printer::print`].
    pub(crate) async fn finish(self) -> Result<(), CliError> {
        drop(self.texts);
        match self.done {
            // An error here would mean that the thread was lost; there is nothing left to tell.
            Some(done) => done.await.unwrap_or(Ok(())).map_err(CliError::output),
            None => Ok(()),
        }
    }

    fn format(&self, shard: &str, record: &Record, user_record: &UserRecord<'_>, text: &mut Vec<u8>) {
        if !self.json {
            text.extend_from_slice(user_record.data);
            text.push(b'\n');
            return;
        }
        let printed = PrintedRecord {
            shard_id: shard,
            sequence_number: record.sequence_number(),
            sub_sequence_number: user_record.sub_sequence_number,
            partition_key: user_record.partition_key,
            approximate_arrival_timestamp: record.approximate_arrival_timestamp().map(output::timestamp),
            data: base64_simd::STANDARD.encode_to_string(user_record.data),
        };
        text.extend_from_slice(output::json(&printed).as_bytes());
        text.push(b'\n');
    }
}
