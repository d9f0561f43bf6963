//! Short ways to call the data operations.

use thalweg_api::kinesis::Kinesis;
use thalweg_model::kinesis::*;
use thalweg_shape::Failure;
use thalweg_types::{SequenceNumber, Timestamp};

use crate::world::{World, call};

/// The last hash key.
pub(crate) const LAST: &str = "340282366920938463463374607431768211455";

pub(crate) fn entry(key: &str, data: &[u8]) -> PutRecordsRequestEntry {
    PutRecordsRequestEntry {
        partition_key: Some(key.to_owned()),
        explicit_hash_key: None,
        data: data.to_vec().into(),
    }
}

/// What a test asks of GetShardIterator and SubscribeToShard.
#[derive(Clone, Debug)]
pub(crate) struct From {
    pub(crate) kind: ShardIteratorType,
    pub(crate) number: Option<String>,
    pub(crate) time: Option<Timestamp>,
}

impl From {
    pub(crate) const HORIZON: From = From { kind: ShardIteratorType::TrimHorizon, number: None, time: None };
    pub(crate) const LATEST: From = From { kind: ShardIteratorType::Latest, number: None, time: None };

    pub(crate) fn at(number: &str) -> From {
        From { kind: ShardIteratorType::AtSequenceNumber, number: Some(number.to_owned()), time: None }
    }

    pub(crate) fn after(number: &str) -> From {
        From { kind: ShardIteratorType::AfterSequenceNumber, number: Some(number.to_owned()), time: None }
    }

    pub(crate) fn time(time: Timestamp) -> From {
        From { kind: ShardIteratorType::AtTimestamp, number: None, time: Some(time) }
    }
}

impl World {
    pub(crate) async fn put(&self, stream: &str, key: &str, data: &[u8]) -> Result<PutRecordOutput, Failure> {
        let input = PutRecordInput {
            stream_name: Some(stream.to_owned()),
            partition_key: Some(key.to_owned()),
            data: data.to_vec().into(),
            ..PutRecordInput::default()
        };
        self.streams.put_record(&call(), input).await
    }

    /// Puts a record; answers its number.
    pub(crate) async fn number_of(&self, stream: &str, key: &str, data: &[u8]) -> String {
        self.put(stream, key, data).await.expect("it is taken").sequence_number
    }

    pub(crate) async fn put_many(
        &self,
        stream: &str,
        records: Vec<PutRecordsRequestEntry>,
    ) -> Result<PutRecordsOutput, Failure> {
        let input =
            PutRecordsInput { stream_name: Some(stream.to_owned()), records, ..PutRecordsInput::default() };
        self.streams.put_records(&call(), input).await
    }

    pub(crate) async fn try_iterator(
        &self,
        stream: &str,
        shard: &str,
        from: From,
    ) -> Result<String, Failure> {
        let input = GetShardIteratorInput {
            stream_name: Some(stream.to_owned()),
            shard_id: shard.to_owned(),
            shard_iterator_type: from.kind,
            starting_sequence_number: from.number,
            timestamp: from.time,
            stream_arn: None,
            stream_id: None,
            dry_run: None,
        };
        let output = self.streams.get_shard_iterator(&call(), input).await?;
        Ok(output.shard_iterator.expect("always there"))
    }

    pub(crate) async fn iterator(&self, stream: &str, shard: &str, from: From) -> String {
        self.try_iterator(stream, shard, from).await.expect("there is such a place")
    }

    pub(crate) async fn try_get(
        &self,
        iterator: &str,
        limit: Option<i32>,
    ) -> Result<GetRecordsOutput, Failure> {
        let input =
            GetRecordsInput { shard_iterator: iterator.to_owned(), limit, ..GetRecordsInput::default() };
        self.streams.get_records(&call(), input).await
    }

    pub(crate) async fn get(&self, iterator: &str) -> GetRecordsOutput {
        self.try_get(iterator, None).await.expect("the iterator is good")
    }

    /// The data that a reader gets from there, until it has caught up or the shard ends.
    pub(crate) async fn data_from(&self, stream: &str, shard: &str, from: From) -> Vec<String> {
        let records = self.records_from(stream, shard, from).await;
        records.iter().map(|record| String::from_utf8_lossy(&record.data).into_owned()).collect()
    }

    pub(crate) async fn records_from(&self, stream: &str, shard: &str, from: From) -> Vec<Record> {
        let mut next = Some(self.iterator(stream, shard, from).await);
        let mut records = Vec::new();
        while let Some(iterator) = next {
            let output = self.get(&iterator).await;
            records.extend(output.records);
            next = output.next_shard_iterator.filter(|_| output.millis_behind_latest != Some(0));
        }
        records
    }
}

/// A number that our side made.
#[track_caller]
pub(crate) fn parse(number: &str) -> SequenceNumber {
    SequenceNumber::parse(number).expect("one of ours")
}
