//! The generated trait, operation by operation. Nothing is decided here: each has its file in
//! [`crate::operations`]. What changes something runs to its end even when the caller goes away.

use bytes::Bytes;
use thalweg_api::kinesis::Kinesis;
use thalweg_api::{Call, EventStream, HotAnswer, Reply};
use thalweg_model::kinesis::*;

use crate::operations;
use crate::service::Streams;

impl Kinesis for Streams {
    fn add_tags_to_stream<'a>(&'a self, _call: &'a Call, input: AddTagsToStreamInput) -> Reply<'a, ()> {
        Box::pin(
            self.detached(
                |streams| async move { operations::add_tags_to_stream::run(&streams, input).await },
            ),
        )
    }

    fn create_stream<'a>(&'a self, _call: &'a Call, input: CreateStreamInput) -> Reply<'a, ()> {
        Box::pin(
            self.detached(|streams| async move { operations::create_stream::run(&streams, input).await }),
        )
    }

    fn decrease_stream_retention_period<'a>(
        &'a self,
        _call: &'a Call,
        input: DecreaseStreamRetentionPeriodInput,
    ) -> Reply<'a, ()> {
        Box::pin(self.detached(|streams| async move {
            operations::decrease_stream_retention_period::run(&streams, input).await
        }))
    }

    fn delete_resource_policy<'a>(
        &'a self,
        _call: &'a Call,
        input: DeleteResourcePolicyInput,
    ) -> Reply<'a, ()> {
        Box::pin(self.detached(|streams| async move {
            operations::delete_resource_policy::run(&streams, input).await
        }))
    }

    fn delete_stream<'a>(&'a self, _call: &'a Call, input: DeleteStreamInput) -> Reply<'a, ()> {
        Box::pin(
            self.detached(|streams| async move { operations::delete_stream::run(&streams, input).await }),
        )
    }

    fn deregister_stream_consumer<'a>(
        &'a self,
        _call: &'a Call,
        input: DeregisterStreamConsumerInput,
    ) -> Reply<'a, ()> {
        Box::pin(self.detached(|streams| async move {
            operations::deregister_stream_consumer::run(&streams, input).await
        }))
    }

    fn describe_account_settings<'a>(
        &'a self,
        _call: &'a Call,
        _input: DescribeAccountSettingsInput,
    ) -> Reply<'a, DescribeAccountSettingsOutput> {
        Box::pin(operations::describe_account_settings::run(self))
    }

    fn describe_limits<'a>(
        &'a self,
        _call: &'a Call,
        _input: DescribeLimitsInput,
    ) -> Reply<'a, DescribeLimitsOutput> {
        Box::pin(operations::describe_limits::run(self))
    }

    fn describe_stream<'a>(
        &'a self,
        _call: &'a Call,
        input: DescribeStreamInput,
    ) -> Reply<'a, DescribeStreamOutput> {
        Box::pin(operations::describe_stream::run(self, input))
    }

    fn describe_stream_consumer<'a>(
        &'a self,
        _call: &'a Call,
        input: DescribeStreamConsumerInput,
    ) -> Reply<'a, DescribeStreamConsumerOutput> {
        Box::pin(operations::describe_stream_consumer::run(self, input))
    }

    fn describe_stream_summary<'a>(
        &'a self,
        _call: &'a Call,
        input: DescribeStreamSummaryInput,
    ) -> Reply<'a, DescribeStreamSummaryOutput> {
        Box::pin(operations::describe_stream_summary::run(self, input))
    }

    fn disable_enhanced_monitoring<'a>(
        &'a self,
        _call: &'a Call,
        input: DisableEnhancedMonitoringInput,
    ) -> Reply<'a, EnhancedMonitoringOutput> {
        Box::pin(self.detached(|streams| async move {
            operations::disable_enhanced_monitoring::run(&streams, input).await
        }))
    }

    fn enable_enhanced_monitoring<'a>(
        &'a self,
        _call: &'a Call,
        input: EnableEnhancedMonitoringInput,
    ) -> Reply<'a, EnhancedMonitoringOutput> {
        Box::pin(self.detached(|streams| async move {
            operations::enable_enhanced_monitoring::run(&streams, input).await
        }))
    }

    fn get_records<'a>(&'a self, call: &'a Call, input: GetRecordsInput) -> Reply<'a, GetRecordsOutput> {
        Box::pin(operations::get_records::run(self, call, input))
    }

    fn get_records_hot<'a>(&'a self, call: &'a Call, body: &'a Bytes) -> HotAnswer<'a> {
        operations::get_records::hot(self, call, body)
    }

    fn get_resource_policy<'a>(
        &'a self,
        _call: &'a Call,
        input: GetResourcePolicyInput,
    ) -> Reply<'a, GetResourcePolicyOutput> {
        Box::pin(operations::get_resource_policy::run(self, input))
    }

    fn get_shard_iterator<'a>(
        &'a self,
        call: &'a Call,
        input: GetShardIteratorInput,
    ) -> Reply<'a, GetShardIteratorOutput> {
        Box::pin(operations::get_shard_iterator::run(self, call, input))
    }

    fn increase_stream_retention_period<'a>(
        &'a self,
        _call: &'a Call,
        input: IncreaseStreamRetentionPeriodInput,
    ) -> Reply<'a, ()> {
        Box::pin(self.detached(|streams| async move {
            operations::increase_stream_retention_period::run(&streams, input).await
        }))
    }

    fn list_shards<'a>(&'a self, _call: &'a Call, input: ListShardsInput) -> Reply<'a, ListShardsOutput> {
        Box::pin(operations::list_shards::run(self, input))
    }

    fn list_stream_consumers<'a>(
        &'a self,
        _call: &'a Call,
        input: ListStreamConsumersInput,
    ) -> Reply<'a, ListStreamConsumersOutput> {
        Box::pin(operations::list_stream_consumers::run(self, input))
    }

    fn list_streams<'a>(&'a self, _call: &'a Call, input: ListStreamsInput) -> Reply<'a, ListStreamsOutput> {
        Box::pin(operations::list_streams::run(self, input))
    }

    fn list_tags_for_resource<'a>(
        &'a self,
        _call: &'a Call,
        input: ListTagsForResourceInput,
    ) -> Reply<'a, ListTagsForResourceOutput> {
        Box::pin(operations::list_tags_for_resource::run(self, input))
    }

    fn list_tags_for_stream<'a>(
        &'a self,
        _call: &'a Call,
        input: ListTagsForStreamInput,
    ) -> Reply<'a, ListTagsForStreamOutput> {
        Box::pin(operations::list_tags_for_stream::run(self, input))
    }

    fn merge_shards<'a>(&'a self, _call: &'a Call, input: MergeShardsInput) -> Reply<'a, ()> {
        Box::pin(self.detached(|streams| async move { operations::merge_shards::run(&streams, input).await }))
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

    fn put_resource_policy<'a>(&'a self, _call: &'a Call, input: PutResourcePolicyInput) -> Reply<'a, ()> {
        Box::pin(
            self.detached(
                |streams| async move { operations::put_resource_policy::run(&streams, input).await },
            ),
        )
    }

    fn register_stream_consumer<'a>(
        &'a self,
        _call: &'a Call,
        input: RegisterStreamConsumerInput,
    ) -> Reply<'a, RegisterStreamConsumerOutput> {
        Box::pin(self.detached(|streams| async move {
            operations::register_stream_consumer::run(&streams, input).await
        }))
    }

    fn remove_tags_from_stream<'a>(
        &'a self,
        _call: &'a Call,
        input: RemoveTagsFromStreamInput,
    ) -> Reply<'a, ()> {
        Box::pin(self.detached(|streams| async move {
            operations::remove_tags_from_stream::run(&streams, input).await
        }))
    }

    fn split_shard<'a>(&'a self, _call: &'a Call, input: SplitShardInput) -> Reply<'a, ()> {
        Box::pin(self.detached(|streams| async move { operations::split_shard::run(&streams, input).await }))
    }

    fn subscribe_to_shard<'a>(
        &'a self,
        call: &'a Call,
        input: SubscribeToShardInput,
    ) -> Reply<'a, EventStream> {
        Box::pin(operations::subscribe_to_shard::run(self, call, input))
    }

    fn tag_resource<'a>(&'a self, _call: &'a Call, input: TagResourceInput) -> Reply<'a, ()> {
        Box::pin(self.detached(|streams| async move { operations::tag_resource::run(&streams, input).await }))
    }

    fn untag_resource<'a>(&'a self, _call: &'a Call, input: UntagResourceInput) -> Reply<'a, ()> {
        Box::pin(
            self.detached(|streams| async move { operations::untag_resource::run(&streams, input).await }),
        )
    }

    fn update_account_settings<'a>(
        &'a self,
        _call: &'a Call,
        input: UpdateAccountSettingsInput,
    ) -> Reply<'a, UpdateAccountSettingsOutput> {
        Box::pin(self.detached(|streams| async move {
            operations::update_account_settings::run(&streams, input).await
        }))
    }

    fn update_max_record_size<'a>(
        &'a self,
        _call: &'a Call,
        input: UpdateMaxRecordSizeInput,
    ) -> Reply<'a, ()> {
        Box::pin(self.detached(|streams| async move {
            operations::update_max_record_size::run(&streams, input).await
        }))
    }

    fn update_shard_count<'a>(
        &'a self,
        _call: &'a Call,
        input: UpdateShardCountInput,
    ) -> Reply<'a, UpdateShardCountOutput> {
        Box::pin(
            self.detached(
                |streams| async move { operations::update_shard_count::run(&streams, input).await },
            ),
        )
    }

    fn update_stream_mode<'a>(&'a self, _call: &'a Call, input: UpdateStreamModeInput) -> Reply<'a, ()> {
        Box::pin(
            self.detached(
                |streams| async move { operations::update_stream_mode::run(&streams, input).await },
            ),
        )
    }

    fn update_stream_record_distribution_strategy<'a>(
        &'a self,
        _call: &'a Call,
        input: UpdateStreamRecordDistributionStrategyInput,
    ) -> Reply<'a, ()> {
        Box::pin(self.detached(|streams| async move {
            operations::update_stream_record_distribution_strategy::run(&streams, input).await
        }))
    }

    fn update_stream_warm_throughput<'a>(
        &'a self,
        _call: &'a Call,
        input: UpdateStreamWarmThroughputInput,
    ) -> Reply<'a, UpdateStreamWarmThroughputOutput> {
        Box::pin(self.detached(|streams| async move {
            operations::update_stream_warm_throughput::run(&streams, input).await
        }))
    }
}
