//! The generated trait, operation by operation. Nothing is decided here: each has its file in
//! [`crate::operations`].

use bytes::Bytes;
use thalweg_api::kinesis::Kinesis;
use thalweg_api::{Call, EventStream, HotAnswer, Reply};
use thalweg_model::kinesis::*;

use crate::operations;
use crate::service::Streams;

impl Kinesis for Streams {
    fn get_records<'a>(&'a self, call: &'a Call, input: GetRecordsInput) -> Reply<'a, GetRecordsOutput> {
        Box::pin(operations::get_records::run(self, call, input))
    }

    fn get_records_hot<'a>(&'a self, call: &'a Call, body: &'a Bytes) -> HotAnswer<'a> {
        operations::get_records::hot(self, call, body)
    }

    fn get_shard_iterator<'a>(
        &'a self,
        call: &'a Call,
        input: GetShardIteratorInput,
    ) -> Reply<'a, GetShardIteratorOutput> {
        Box::pin(operations::get_shard_iterator::run(self, call, input))
    }

    fn put_record<'a>(&'a self, call: &'a Call, input: PutRecordInput) -> Reply<'a, PutRecordOutput> {
        Box::pin(operations::put_record::run(self, call, input))
    }

    fn put_record_hot<'a>(&'a self, call: &'a Call, body: &'a Bytes) -> HotAnswer<'a> {
        operations::put_record::hot(self, call, body)
    }

    fn put_records<'a>(&'a self, call: &'a Call, input: PutRecordsInput) -> Reply<'a, PutRecordsOutput> {
        Box::pin(operations::put_records::run(self, call, input))
    }

    fn put_records_hot<'a>(&'a self, call: &'a Call, body: &'a Bytes) -> HotAnswer<'a> {
        operations::put_records::hot(self, call, body)
    }

    fn subscribe_to_shard<'a>(
        &'a self,
        call: &'a Call,
        input: SubscribeToShardInput,
    ) -> Reply<'a, EventStream> {
        Box::pin(operations::subscribe_to_shard::run(self, call, input))
    }
}
