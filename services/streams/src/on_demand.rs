//! What only on-demand streams may have, and what they may not do. Kept whatever the limits are.

use thalweg_model::kinesis::{RecordDistributionStrategy, StreamMode};
use thalweg_shape::Failure;
use thalweg_types::StreamName;
use thalweg_types::limits::ON_DEMAND_STREAMS_MAX;

use crate::account::Account;
use crate::commitment;
use crate::errors;
use crate::service::Streams;
use crate::stream::Stream;

/// Highest warm throughput, in MiB/s (10 GiB/s). Source: facts/aws-apis.md 2.2.
const WARM_THROUGHPUT_MAX: u32 = 10 * 1024;

/// Whether a stream may be resharded by its owner.
///
/// # Errors
/// Validation, for an on-demand stream.
pub(crate) fn refuse(stream: &Stream, account: &str) -> Result<(), Failure> {
    match stream.mode {
        StreamMode::OnDemand => Err(errors::in_on_demand_mode(stream.name.as_str(), account)),
        StreamMode::Provisioned => Ok(()),
    }
}

/// Whether a stream of this mode may distribute records so.
///
/// # Errors
/// Validation, for AUTO on a provisioned stream.
pub(crate) fn check_distribution(
    distribution: RecordDistributionStrategy,
    mode: StreamMode,
    name: &StreamName,
    account: &str,
) -> Result<(), Failure> {
    match (distribution, mode) {
        (RecordDistributionStrategy::Auto, StreamMode::Provisioned) => {
            Err(errors::distribution_needs_on_demand(name.as_str(), account))
        }
        _ => Ok(()),
    }
}

/// Whether a stream of this mode may have this warm throughput.
///
/// # Errors
/// Validation for a provisioned stream, and without the account's commitment; InvalidArgument above 10 GiB/s.
pub(crate) fn check_warm_throughput(
    mibps: i32,
    mode: StreamMode,
    account: &Account,
    name: &StreamName,
    streams: &Streams,
) -> Result<u32, Failure> {
    let owner = streams.settings.account.as_str();
    if mode != StreamMode::OnDemand {
        return Err(errors::not_in_on_demand_mode(name.as_str(), owner, "warm throughput"));
    }
    if !commitment::is_in_force(account.row.commitment.as_ref(), streams.now()) {
        return Err(errors::commitment_missing(owner));
    }
    match u32::try_from(mibps) {
        Ok(within) if within <= WARM_THROUGHPUT_MAX => Ok(within),
        _ => Err(errors::warm_throughput_too_high(mibps, WARM_THROUGHPUT_MAX)),
    }
}

/// Whether there may be one more on-demand stream. Only under `--limits aws`.
///
/// # Errors
/// LimitExceeded.
pub(crate) fn check_stream_count(streams: &Streams) -> Result<(), Failure> {
    let all = streams.registry.all();
    let count = all.iter().filter(|stream| stream.mode == StreamMode::OnDemand).count();
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    if count < ON_DEMAND_STREAMS_MAX {
        return Ok(());
    }
    let settings = &streams.settings;
    Err(errors::on_demand_stream_limit(&settings.account, &settings.region, count, ON_DEMAND_STREAMS_MAX))
}
