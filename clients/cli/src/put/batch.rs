//! Records gathered into batches, each one PutRecords. Pure but for the waiting.

use std::collections::VecDeque;

use thalweg_types::limits::PUT_RECORDS_COUNT_MAX;
use tokio::sync::mpsc;

use super::source::Lines;
use crate::CliError;

/// A batch takes no more records once it has this many bytes of data. AWS's limit is 10 MiB a request, other servers'
/// is 5 MiB; beyond a megabyte a larger request is no faster.
const BATCH_BYTES: usize = 2 * 1024 * 1024;

/// A source of records, batch by batch.
pub(crate) struct Batches {
    /// Where more come from; `None` once it has ended.
    source: Option<mpsc::Receiver<Lines>>,
    /// Read, not yet in a batch: at most a batch and one read.
    waiting: VecDeque<Vec<u8>>,
    /// The bytes of `waiting`.
    waiting_bytes: usize,
    /// Why the source ended, told once `waiting` is empty.
    error: Option<CliError>,
}

impl Batches {
    /// From a source that gives records as they come.
    pub(crate) fn new(source: mpsc::Receiver<Lines>) -> Self {
        Batches { source: Some(source), waiting: VecDeque::new(), waiting_bytes: 0, error: None }
    }

    /// From records that are all there.
    pub(crate) fn of_records(records: Vec<Vec<u8>>) -> Self {
        let waiting_bytes = records.iter().map(Vec::len).sum();
        Batches { source: None, waiting: records.into(), waiting_bytes, error: None }
    }

    /// The next batch: what is there, up to the bounds; waits only while there is nothing. `None` at the end.
    /// Nothing is lost when the wait is dropped.
    ///
    /// # Errors
    /// The source's, once everything before it was given out.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Vec<u8>>>, CliError> {
        while let Some(source) = &mut self.source {
            let is_full = self.waiting.len() >= PUT_RECORDS_COUNT_MAX || self.waiting_bytes >= BATCH_BYTES;
            if is_full {
                break;
            }
            let read = match source.try_recv() {
                Ok(read) => Some(read),
                Err(mpsc::error::TryRecvError::Disconnected) => None,
                Err(mpsc::error::TryRecvError::Empty) if self.waiting.is_empty() => source.recv().await,
                Err(mpsc::error::TryRecvError::Empty) => break,
            };
            match read {
                Some(Ok(records)) => {
                    self.waiting_bytes += records.iter().map(Vec::len).sum::<usize>();
                    self.waiting.extend(records);
                }
                Some(Err(error)) => {
                    self.error = Some(error);
                    self.source = None;
                }
                None => self.source = None,
            }
        }
        let mut batch = Vec::new();
        let mut batch_bytes = 0;
        while let Some(record) = self.waiting.front() {
            let is_over = batch_bytes + record.len() > BATCH_BYTES || batch.len() == PUT_RECORDS_COUNT_MAX;
            if is_over && !batch.is_empty() {
                break;
            }
            batch_bytes += record.len();
            batch.extend(self.waiting.pop_front());
        }
        self.waiting_bytes -= batch_bytes;
        if !batch.is_empty() {
            return Ok(Some(batch));
        }
        self.error.take().map_or(Ok(None), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Record sizes in, sizes of each batch's records out.
    async fn check(sizes: &[usize], expected: &[&[usize]]) {
        let mut batches = Batches::of_records(sizes.iter().map(|&size| vec![0; size]).collect());
        let mut seen: Vec<Vec<usize>> = Vec::new();
        while let Some(batch) = batches.next().await.expect("these records are all there") {
            seen.push(batch.iter().map(Vec::len).collect());
        }
        assert_eq!(seen, expected);
    }

    #[tokio::test]
    async fn a_batch_ends_at_500_records_or_before_its_bytes_are_too_many() {
        check(&[], &[]).await;
        check(&[0, 0], &[&[0, 0]]).await;
        check(&[1; 501], &[&[1; 500], &[1]]).await;
        check(&[BATCH_BYTES, 1, BATCH_BYTES], &[&[BATCH_BYTES], &[1], &[BATCH_BYTES]]).await;
        check(&[1, 5 * BATCH_BYTES, 1], &[&[1], &[5 * BATCH_BYTES], &[1]]).await;
    }

    #[tokio::test]
    async fn what_has_been_read_is_sent_without_waiting_for_more() {
        let (sender, receiver) = mpsc::channel(2);
        let mut batches = Batches::new(receiver);
        sender.send(Ok(vec![b"a".to_vec()])).await.expect("there is room");
        assert_eq!(batches.next().await.expect("no error was sent"), Some(vec![b"a".to_vec()]));
        drop(sender);
        assert_eq!(batches.next().await.expect("no error was sent"), None);
    }

    #[tokio::test]
    async fn an_error_of_the_source_comes_after_what_was_read_before_it() {
        let (sender, receiver) = mpsc::channel(2);
        sender.send(Ok(vec![b"a".to_vec()])).await.expect("there is room");
        sender.send(Err(CliError::LineTooLong { line: 2, bytes_max: 1 })).await.expect("there is room");
        let mut batches = Batches::new(receiver);
        assert_eq!(batches.next().await.expect("the record comes first"), Some(vec![b"a".to_vec()]));
        assert!(batches.next().await.is_err());
    }
}
