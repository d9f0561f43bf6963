//! A service over engines in memory, with a clock that tests move, and short ways to call it.

use std::sync::Arc;
use std::time::Duration;

use thalweg_api::Call;
use thalweg_api::kinesis::Kinesis;
use thalweg_catalog::Catalog;
use thalweg_catalog::memory::MemoryCatalog;
use thalweg_journal::record::Record;
use thalweg_journal::{Append, Journal, Run, RunOutcome};
use thalweg_journal_memory::{Knobs, MemoryJournal};
use thalweg_model::kinesis::*;
use thalweg_shape::Failure;
use thalweg_streams::{Components, Limits, OpenError, Settings, Streams};
use thalweg_system::os::TokioTasks;
use thalweg_system::simulated::{ManualClock, SeededRandom};
use thalweg_types::{ShardIndex, ShardKey, StreamId, Timestamp};
use thalweg_wire::Protocol;

pub(crate) const ACCOUNT: &str = "123456789012";
pub(crate) const REGION: &str = "eu-west-1";
/// When tests begin: a whole second.
pub(crate) const START: i64 = 1_700_000_000;

/// The parts that outlive a restart, and the service on them.
pub(crate) struct World {
    pub(crate) clock: ManualClock,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) catalog: Arc<dyn Catalog>,
    pub(crate) settings: Settings,
    /// Of its randomness.
    pub(crate) seed: u64,
    pub(crate) streams: Arc<Streams>,
}

pub(crate) fn settings() -> Settings {
    Settings { region: REGION.to_owned(), account: ACCOUNT.to_owned(), ..Settings::default() }
}

pub(crate) fn aws_limits() -> Settings {
    Settings { limits: Limits::Aws, ..settings() }
}

pub(crate) fn call() -> Call {
    Call::unlimited("test", Protocol::AwsJson11)
}

impl World {
    pub(crate) async fn new() -> World {
        World::with(settings()).await
    }

    pub(crate) async fn with(settings: Settings) -> World {
        World::with_seed(1, settings).await
    }

    /// Worlds with different seeds are different installations.
    pub(crate) async fn with_seed(seed: u64, settings: Settings) -> World {
        let clock = ManualClock::new(Timestamp::from_seconds(START));
        let journal = Arc::new(MemoryJournal::new(Arc::new(clock.clone()), Knobs::default()));
        World::over_with_seed(seed, clock, journal, Arc::new(MemoryCatalog::new()), settings)
            .await
            .expect("nothing is there yet")
    }

    pub(crate) async fn over(
        clock: ManualClock,
        journal: Arc<dyn Journal>,
        catalog: Arc<dyn Catalog>,
        settings: Settings,
    ) -> Result<World, OpenError> {
        World::over_with_seed(1, clock, journal, catalog, settings).await
    }

    async fn over_with_seed(
        seed: u64,
        clock: ManualClock,
        journal: Arc<dyn Journal>,
        catalog: Arc<dyn Catalog>,
        settings: Settings,
    ) -> Result<World, OpenError> {
        let components = Components {
            journal: Arc::clone(&journal),
            catalog: Arc::clone(&catalog),
            clock: Arc::new(clock.clone()),
            random: Arc::new(SeededRandom::new(seed)),
            tasks: Arc::new(TokioTasks),
        };
        let streams = Streams::open(components, settings.clone()).await?;
        Ok(World { clock, journal, catalog, settings, seed, streams })
    }

    /// Ends the service and starts another one on the same engines.
    pub(crate) async fn restart(self) -> World {
        self.streams.shutdown().await;
        let World { clock, journal, catalog, settings, seed, streams } = self;
        drop(streams);
        // What it draws is drawn anew: only what the catalog keeps is the same.
        let restarted = World::over_with_seed(seed + 1_000, clock, journal, catalog, settings).await;
        restarted.expect("it starts again")
    }

    pub(crate) async fn create(&self, name: &str, shards: i32) {
        self.try_create(name, shards).await.expect("a stream can be created");
    }

    pub(crate) async fn try_create(&self, name: &str, shards: i32) -> Result<(), Failure> {
        let input = CreateStreamInput {
            stream_name: name.to_owned(),
            shard_count: Some(shards),
            ..CreateStreamInput::default()
        };
        self.streams.create_stream(&call(), input).await
    }

    pub(crate) async fn create_on_demand(&self, name: &str) {
        let input = CreateStreamInput { stream_name: name.to_owned(), ..CreateStreamInput::default() };
        self.streams.create_stream(&call(), input).await.expect("a stream can be created");
    }

    pub(crate) async fn delete(&self, name: &str) -> Result<(), Failure> {
        let input = DeleteStreamInput { stream_name: Some(name.to_owned()), ..DeleteStreamInput::default() };
        self.streams.delete_stream(&call(), input).await
    }

    pub(crate) async fn split(&self, name: &str, shard: &str, at: &str) -> Result<(), Failure> {
        let input = SplitShardInput {
            stream_name: Some(name.to_owned()),
            shard_to_split: shard.to_owned(),
            new_starting_hash_key: at.to_owned(),
            ..SplitShardInput::default()
        };
        self.streams.split_shard(&call(), input).await
    }

    pub(crate) async fn merge(&self, name: &str, shard: &str, adjacent: &str) -> Result<(), Failure> {
        let input = MergeShardsInput {
            stream_name: Some(name.to_owned()),
            shard_to_merge: shard.to_owned(),
            adjacent_shard_to_merge: adjacent.to_owned(),
            ..MergeShardsInput::default()
        };
        self.streams.merge_shards(&call(), input).await
    }

    pub(crate) async fn update_shard_count(
        &self,
        name: &str,
        target: i32,
    ) -> Result<UpdateShardCountOutput, Failure> {
        let input = UpdateShardCountInput {
            scaling_type: ScalingType::UniformScaling,
            stream_arn: None,
            stream_id: None,
            stream_name: Some(name.to_owned()),
            target_shard_count: target,
        };
        self.streams.update_shard_count(&call(), input).await
    }

    pub(crate) async fn summary(&self, name: &str) -> Result<StreamDescriptionSummary, Failure> {
        let input = DescribeStreamSummaryInput {
            stream_name: Some(name.to_owned()),
            ..DescribeStreamSummaryInput::default()
        };
        let output = self.streams.describe_stream_summary(&call(), input).await?;
        Ok(output.stream_description_summary)
    }

    pub(crate) async fn status(&self, name: &str) -> Option<StreamStatus> {
        self.summary(name).await.ok().map(|summary| summary.stream_status)
    }

    /// Every listed shard.
    pub(crate) async fn shards(&self, name: &str) -> Vec<Shard> {
        let input = ListShardsInput {
            stream_name: Some(name.to_owned()),
            max_results: Some(10_000),
            ..ListShardsInput::default()
        };
        let mut output = self.streams.list_shards(&call(), input).await.expect("shards can be listed");
        let mut shards = output.shards.take().expect("always there");
        while let Some(token) = output.next_token {
            let input = ListShardsInput {
                next_token: Some(token),
                max_results: Some(10_000),
                ..ListShardsInput::default()
            };
            output = self.streams.list_shards(&call(), input).await.expect("a page follows");
            shards.extend(output.shards.take().expect("always there"));
        }
        shards
    }

    pub(crate) async fn tag(&self, name: &str, key: &str, value: &str) -> Result<(), Failure> {
        let input = AddTagsToStreamInput {
            stream_name: Some(name.to_owned()),
            tags: [(key.to_owned(), value.to_owned())].into(),
            ..AddTagsToStreamInput::default()
        };
        self.streams.add_tags_to_stream(&call(), input).await
    }

    pub(crate) async fn register(&self, stream: &str, name: &str) -> Result<Consumer, Failure> {
        let input = RegisterStreamConsumerInput {
            stream_arn: arn(stream),
            consumer_name: name.to_owned(),
            ..RegisterStreamConsumerInput::default()
        };
        Ok(self.streams.register_stream_consumer(&call(), input).await?.consumer)
    }

    pub(crate) async fn describe_consumer(&self, arn: &str) -> Result<ConsumerDescription, Failure> {
        let input = DescribeStreamConsumerInput {
            consumer_arn: Some(arn.to_owned()),
            ..DescribeStreamConsumerInput::default()
        };
        Ok(self.streams.describe_stream_consumer(&call(), input).await?.consumer_description)
    }

    pub(crate) async fn deregister(&self, arn: &str) -> Result<(), Failure> {
        let input = DeregisterStreamConsumerInput {
            consumer_arn: Some(arn.to_owned()),
            ..DeregisterStreamConsumerInput::default()
        };
        self.streams.deregister_stream_consumer(&call(), input).await
    }

    /// Puts a record into a shard, past the service.
    pub(crate) async fn append(&self, stream: u64, shard: u32) -> RunOutcome {
        let shard = key(stream, shard);
        let mut bytes = Vec::new();
        let record =
            Record { partition_key: Some("k"), explicit_hash_key: None, id: None, data: b"some data" };
        record.encode(&mut bytes);
        let append = Append { runs: vec![Run::new(shard, 1, &bytes)], bytes: bytes.into() };
        self.journal.append(append).await.expect("the journal takes it")[0]
    }

    /// Waits for what background tasks do once their time has come.
    #[track_caller]
    pub(crate) fn until_active<'a>(&'a self, name: &'a str) -> impl Future<Output = ()> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            for _ in 0..10_000 {
                if self.status(name).await == Some(StreamStatus::Active) {
                    return;
                }
                tokio::task::yield_now().await;
            }
            panic!("{name} is {:?}, not ACTIVE: {caller}", self.status(name).await);
        }
    }

    /// Lets time pass, and background tasks run that waited for it.
    pub(crate) async fn pass(&self, duration: Duration) {
        yield_often().await;
        self.clock.advance(duration);
        yield_often().await;
    }
}

pub(crate) async fn yield_often() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

pub(crate) fn key(stream: u64, shard: u32) -> ShardKey {
    ShardKey { stream: StreamId(stream), shard: ShardIndex(shard) }
}

pub(crate) fn arn(stream: &str) -> String {
    format!("arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{stream}")
}

pub(crate) fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3600)
}

#[track_caller]
pub(crate) fn assert_failure<T: std::fmt::Debug>(result: Result<T, Failure>, code: &str, message: &str) {
    let failure = result.expect_err("this is refused");
    assert_eq!((failure.code, failure.status, failure.message.as_str()), (code, 400, message));
}

/// The open shards cover the hash space once, and every shard's numbers exceed its parents'.
#[track_caller]
pub(crate) fn assert_whole(shards: &[Shard]) {
    let number = |text: &str| text.parse::<u128>().expect("a hash key");
    let is_open = |shard: &&Shard| shard.sequence_number_range.ending_sequence_number.is_none();
    let mut ranges: Vec<(u128, u128)> = shards
        .iter()
        .filter(is_open)
        .map(|shard| {
            let range = &shard.hash_key_range;
            (number(&range.starting_hash_key), number(&range.ending_hash_key))
        })
        .collect();
    ranges.sort_unstable();
    let mut next = Some(0);
    for (start, end) in ranges {
        assert_eq!(Some(start), next, "a gap or an overlap in {shards:#?}");
        next = end.checked_add(1);
    }
    assert_eq!(next, None, "the space is not covered in {shards:#?}");
    for shard in shards {
        let start = &shard.sequence_number_range.starting_sequence_number;
        for parent in [&shard.parent_shard_id, &shard.adjacent_parent_shard_id].into_iter().flatten() {
            let parent = shards.iter().find(|other| other.shard_id == *parent).expect("listed, too");
            let end = &parent.sequence_number_range.ending_sequence_number;
            assert!(Some(start) > end.as_ref(), "a child's numbers exceed its parent's");
            assert_eq!(start.len(), 56, "numbers compare as texts");
        }
    }
}
