//! CreateStream.

use std::collections::BTreeMap;
use std::sync::Arc;

use thalweg_catalog::Write;
use thalweg_model::kinesis::{CreateStreamInput, RecordDistributionStrategy, StreamMode, StreamStatus};
use thalweg_shape::Failure;
use thalweg_types::limits::{CREATING_MAX, ON_DEMAND_SHARDS, RECORD_KIB_DEFAULT, RETENTION_HOURS_MIN};
use thalweg_types::{StreamId, StreamName, Timestamp};

use crate::change::ChangeKind;
use crate::errors;
use crate::on_demand;
use crate::registry::Entry;
use crate::rows::{self, AccountRow, NameRow, StreamRow};
use crate::service::Streams;
use crate::shard_map::ShardMap;
use crate::stream::Stream;
use crate::tags;

/// A stream is made with so many shards at most, whatever the account's limit: their rows, of 210 bytes or so, are one commit,
/// and the catalog takes none above 64 MiB.
const SHARDS_MAX: u32 = 100_000;

pub(crate) async fn run(streams: &Streams, input: CreateStreamInput) -> Result<(), Failure> {
    let name = input.stream_name.as_str();
    let account = &streams.settings.account;
    streams.admit("CreateStream", Some(name))?;
    let name = StreamName::new(name).map_err(|error| errors::invalid_name(name, &error))?;
    let (mode, shards) = shape(&input)?;
    let distribution =
        input.record_distribution_strategy.unwrap_or(RecordDistributionStrategy::UserPartitionKey);
    on_demand::check_distribution(distribution, mode, &name, account)?;
    let resource = format!("stream {name}");
    let tags = tags::add(&BTreeMap::new(), input.tags.unwrap_or_default(), &resource, account)?;

    let mut locked = streams.account.lock().await;
    let warm_throughput_mibps = match input.warm_throughput_mibps {
        Some(mibps) => Some(on_demand::check_warm_throughput(mibps, mode, &locked, &name, streams)?),
        None => None,
    };
    if streams.registry.find(name.as_str()).is_some() {
        return Err(errors::stream_exists(name.as_str(), account));
    }
    check_counts(streams, mode)?;
    streams.check_shard_limit(shards)?;
    if shards > SHARDS_MAX {
        let current = streams.shards_claimed();
        return Err(errors::shard_limit(account, &streams.settings.region, current, SHARDS_MAX, shards));
    }

    let id = locked.next_stream();
    let stream = Stream {
        id,
        created: creation_second(streams, &name, locked.row.names_before).await?,
        name,
        mode,
        retention_hours: RETENTION_HOURS_MIN,
        record_kib_max: input
            .max_record_size_in_kib
            .and_then(|kib| u32::try_from(kib).ok())
            .unwrap_or(RECORD_KIB_DEFAULT),
        distribution,
        warm_throughput_mibps,
        metrics: Vec::new(),
        tags,
        shard_count_updates: Vec::new(),
        mode_updates: Vec::new(),
        consumers_gone: Timestamp::ZERO,
        shards: Arc::new(ShardMap::default()),
        consumers: Arc::default(),
        change: Some(streams.begin(ChangeKind::Create { shards })),
        frozen_horizon: None,
        is_held_up: false,
    };
    let writes = vec![
        Write::Put(rows::stream_key(id), rows::encode(&StreamRow::of(&stream))),
        Write::Delete(rows::name_key(&stream.name)),
    ];
    let row = AccountRow { next_stream: id.0 + 1, ..locked.row.clone() };
    let version = locked.replace(&streams.catalog, row, writes).await.map_err(|error| {
        tracing::error!(stream = %stream.name, %error, "a stream was not created");
        errors::internal_failure()
    })?;
    streams.registry.insert(Entry::new(stream, version));
    drop(locked);
    carry_on(streams, id).await;
    Ok(())
}

async fn carry_on(streams: &Streams, id: StreamId) {
    let changing = streams.lock(id).await.expect("a stream that is being created cannot be deleted");
    streams.carry_on(changing).await;
}

/// The mode and the number of shards. Neither given means on demand, as recorded from AWS; on demand, a count is
/// ignored.
fn shape(input: &CreateStreamInput) -> Result<(StreamMode, u32), Failure> {
    let given = input.shard_count.and_then(|count| u32::try_from(count).ok());
    let mode = match &input.stream_mode_details {
        Some(details) => details.stream_mode,
        None if given.is_some() => StreamMode::Provisioned,
        None => StreamMode::OnDemand,
    };
    match mode {
        StreamMode::OnDemand => Ok((mode, ON_DEMAND_SHARDS)),
        StreamMode::Provisioned => Ok((mode, given.ok_or_else(errors::shard_count_missing)?)),
    }
}

/// AWS's limits on how many streams there may be.
fn check_counts(streams: &Streams, mode: StreamMode) -> Result<(), Failure> {
    if !streams.keeps_aws_limits() {
        return Ok(());
    }
    let passing = [StreamStatus::Creating, StreamStatus::Deleting];
    let in_transition =
        streams.registry.all().iter().filter(|stream| passing.contains(&stream.status())).count();
    if in_transition >= CREATING_MAX {
        return Err(errors::too_many_in_transition(&streams.settings.account, CREATING_MAX));
    }
    match mode {
        StreamMode::OnDemand => on_demand::check_stream_count(streams),
        StreamMode::Provisioned => Ok(()),
    }
}

/// Now, or later if anything of an earlier stream of this name was created later than that.
async fn creation_second(
    streams: &Streams,
    name: &StreamName,
    names_before: u64,
) -> Result<Timestamp, Failure> {
    let found = streams.catalog.get(&rows::name_key(name)).await;
    let earlier = found.map_err(|error| error.to_string()).and_then(|row| match row {
        None => Ok(names_before),
        Some(row) => rows::decode::<NameRow>(&row)
            .map(|row| (row.created + 1).max(names_before))
            .map_err(|error| error.to_string()),
    });
    match earlier {
        Ok(earlier) => Ok(rows::second(streams.now().as_seconds().max(earlier))),
        Err(error) => {
            tracing::error!(stream = %name, %error, "a stream was not created");
            Err(errors::internal_failure())
        }
    }
}
