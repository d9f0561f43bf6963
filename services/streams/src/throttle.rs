//! AWS's request rates, kept under `--limits aws` only: token buckets by operation and by what the rate is counted
//! for. Time is passed in. Throughput of shards is not here.

use std::sync::Mutex;
use std::time::Duration;

use rustc_hash::FxHashMap;
use thalweg_shape::Failure;
use thalweg_types::StreamId;

use crate::errors;
use crate::service::Streams;
use crate::stream::Stream;

/// Buckets kept at once; beyond it those that are full again are dropped, which changes nothing for anyone.
const BUCKETS_MAX: usize = 65_536;

/// Requests a second, by operation, over the whole account. Source: facts/aws-apis.md 2.11.
const PER_ACCOUNT: &[(&str, u32)] = &[
    ("AddTagsToStream", 5),
    ("CreateStream", 5),
    ("DeleteResourcePolicy", 5),
    ("DeleteStream", 5),
    ("DescribeAccountSettings", 5),
    ("DescribeLimits", 1),
    ("DescribeStream", 10),
    ("DescribeStreamSummary", 20),
    ("GetResourcePolicy", 5),
    ("ListStreams", 5),
    ("PutResourcePolicy", 5),
    ("UpdateAccountSettings", 5),
    ("UpdateStreamWarmThroughput", 5),
];

/// Requests a second, by operation, for each stream. Source: facts/aws-apis.md 2.11; of those on resources and of
/// the newer updates only that there is a limit (the model lists the error), so they have their siblings' 5.
const PER_STREAM: &[(&str, u32)] = &[
    ("DecreaseStreamRetentionPeriod", 5),
    ("DeregisterStreamConsumer", 5),
    ("DescribeStreamConsumer", 20),
    ("DisableEnhancedMonitoring", 5),
    ("EnableEnhancedMonitoring", 5),
    ("IncreaseStreamRetentionPeriod", 5),
    ("ListShards", 1000),
    ("ListStreamConsumers", 5),
    ("ListTagsForResource", 5),
    ("ListTagsForStream", 5),
    ("MergeShards", 5),
    ("RegisterStreamConsumer", 5),
    ("RemoveTagsFromStream", 5),
    ("SplitShard", 5),
    ("TagResource", 5),
    ("UntagResource", 5),
    ("UpdateMaxRecordSize", 5),
    ("UpdateStreamRecordDistributionStrategy", 5),
];

fn rate(table: &[(&str, u32)], operation: &str) -> Option<u32> {
    let place = table.binary_search_by(|(name, _)| (*name).cmp(operation)).ok()?;
    Some(table[place].1)
}

/// One second's worth of requests at most, refilled evenly.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    /// When `tokens` was right; monotonic.
    at: Duration,
}

impl Bucket {
    fn refilled(self, rate: u32, now: Duration) -> f64 {
        let earned = now.saturating_sub(self.at).as_secs_f64() * f64::from(rate);
        (self.tokens + earned).min(f64::from(rate))
    }
}

/// The buckets of all operations.
#[derive(Default)]
pub(crate) struct Throttle {
    buckets: Mutex<FxHashMap<(&'static str, Option<StreamId>), Bucket>>,
}

impl Throttle {
    /// Takes one request of `rate` a second out of a bucket: whether there was one.
    fn admit(&self, operation: &'static str, stream: Option<StreamId>, rate: u32, now: Duration) -> bool {
        let mut buckets = self.buckets.lock().expect("no holder panics");
        if buckets.len() >= BUCKETS_MAX {
            // A bucket that was not used for a second is full, and a full one is as good as none.
            buckets.retain(|_, bucket| now.saturating_sub(bucket.at) < Duration::from_secs(1));
        }
        let full = Bucket { tokens: f64::from(rate), at: now };
        let bucket = buckets.entry((operation, stream)).or_insert(full);
        let tokens = bucket.refilled(rate, now);
        let admitted = tokens >= 1.0;
        *bucket = Bucket { tokens: if admitted { tokens - 1.0 } else { tokens }, at: now };
        admitted
    }
}

impl Streams {
    /// Counts a request whose rate is limited over the account. `name` is the stream that it is about.
    ///
    /// # Errors
    /// LimitExceeded, under `--limits aws`.
    pub(crate) fn admit(&self, operation: &'static str, name: Option<&str>) -> Result<(), Failure> {
        if !self.keeps_aws_limits() {
            return Ok(());
        }
        let rate = rate(PER_ACCOUNT, operation).expect("operations name themselves as the table does");
        if self.throttle.admit(operation, None, rate, self.clock.monotonic()) {
            return Ok(());
        }
        Err(match name {
            Some(name) => errors::stream_rate_exceeded(name, &self.settings.account),
            None => errors::account_rate_exceeded(&self.settings.account),
        })
    }

    /// Counts a request whose rate is limited for each stream.
    ///
    /// # Errors
    /// LimitExceeded, under `--limits aws`.
    pub(crate) fn admit_for(&self, operation: &'static str, stream: &Stream) -> Result<(), Failure> {
        if !self.keeps_aws_limits() {
            return Ok(());
        }
        let rate = rate(PER_STREAM, operation).expect("operations name themselves as the table does");
        if self.throttle.admit(operation, Some(stream.id), rate, self.clock.monotonic()) {
            return Ok(());
        }
        Err(errors::stream_rate_exceeded(stream.name.as_str(), &self.settings.account))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_in_order() {
        for table in [PER_ACCOUNT, PER_STREAM] {
            assert!(table.is_sorted(), "they are searched by halves");
        }
    }

    #[test]
    fn a_second_of_requests_at_once_then_one_by_one() {
        let throttle = Throttle::default();
        let admit = |millis| throttle.admit("ListStreams", None, 5, Duration::from_millis(millis));
        assert!((0..5).all(|_| admit(1000)), "a full bucket");
        assert!(!admit(1000), "an empty one");
        assert!(!admit(1199), "not quite a token");
        assert!(admit(1200), "a fifth of a second earns one");
        assert!(!admit(1201));
        assert!((0..5).all(|_| admit(10_000)), "never more than a second's worth");
        assert!(!admit(10_000));
    }

    #[test]
    fn streams_have_rates_of_their_own() {
        let throttle = Throttle::default();
        let admit = |stream| throttle.admit("SplitShard", Some(StreamId(stream)), 1, Duration::ZERO);
        assert!(admit(1));
        assert!(!admit(1));
        assert!(admit(2));
    }

    #[test]
    fn idle_buckets_are_dropped() {
        let throttle = Throttle::default();
        for stream in 0..BUCKETS_MAX as u64 {
            throttle.admit("SplitShard", Some(StreamId(stream)), 5, Duration::ZERO);
        }
        assert!(throttle.admit("SplitShard", Some(StreamId(u64::MAX)), 5, Duration::from_secs(2)));
        assert_eq!(throttle.buckets.lock().expect("no holder panics").len(), 1);
    }
}
