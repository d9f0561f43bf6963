//! What a shard may take and give a second under `--limits aws`. Time is passed in; no error is worded here.
//!
//! Token buckets, each full after the longest time that it may take to fill: a shard that rests as long as that is
//! forgotten, so that the state is bounded by the shards in use.
//!
//! | what | rate | source |
//! |---|---|---|
//! | records in | 1,000 a second | facts/aws-apis.md 2.5 |
//! | bytes in (data and key) | 1 MiB a second; larger records draw on what a shard left unused before | 2.5 |
//! | GetRecords | 5 calls a second; 2 MiB a second, and nothing for 5 seconds after 10 MiB | 2.6 |
//! | GetShardIterator | 5 calls a second | 2.6 |
//! | SubscribeToShard | 1 call a second for a consumer and shard | 2.9 |

use std::hash::Hash;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use rustc_hash::FxHashMap;
use thalweg_types::limits::GET_RECORDS_BYTES_MAX;
use thalweg_types::{ConsumerName, ShardKey, Timestamp};

const MIB: u64 = 1 << 20;
/// A record larger than this draws on the burst.
const STEADY_BYTES: u64 = MIB;
/// How far the burst fills: the largest record. It fills from what is not used of the steady rate.
const BURST_BYTES: u64 = 10 * MIB;
const RECORDS: u64 = 1_000;
const READS: u64 = 5;
const READ_BYTES: u64 = 2 * MIB;
/// How long GetRecords rests after an answer as large as an answer can be.
const REST_AFTER_LARGEST_ANSWER: Duration = Duration::from_secs(5);
const ITERATORS: u64 = 5;
const SUBSCRIPTIONS: u64 = 1;
/// After this long without a call every bucket is full again: the burst takes the longest.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(10);
/// So many entries are kept without looking for those that can be forgotten.
const ENTRIES_UNSWEPT: usize = 1_024;

/// Fills by `rate` a second up to `room`. Counts in millionths, so that no call is too frequent to count.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// Below zero: a debt, for takers who are told afterwards what they took.
    millionths: i64,
    at: Duration,
}

impl Bucket {
    fn full(room: u64, now: Duration) -> Self {
        Bucket { millionths: millionths(room), at: now }
    }

    fn fill(&mut self, rate: u64, room: u64, now: Duration) {
        let micros = i64::try_from(now.saturating_sub(self.at).as_micros()).unwrap_or(i64::MAX);
        let rate = i64::try_from(rate).expect("rates are small");
        self.millionths = self.millionths.saturating_add(micros.saturating_mul(rate)).min(millionths(room));
        self.at = self.at.max(now);
    }

    fn has(&self, amount: u64) -> bool {
        self.millionths >= millionths(amount)
    }

    fn take(&mut self, amount: u64) {
        self.millionths = self.millionths.saturating_sub(millionths(amount));
    }

    /// Takes what there is, at most `amount`.
    fn drain(&mut self, amount: u64) {
        self.millionths = self.millionths.saturating_sub(millionths(amount)).max(0);
    }

    fn try_take(&mut self, amount: u64) -> bool {
        let has = self.has(amount);
        if has {
            self.take(amount);
        }
        has
    }
}

fn millionths(amount: u64) -> i64 {
    i64::try_from(amount.saturating_mul(1_000_000)).unwrap_or(i64::MAX)
}

/// One shard's buckets.
#[derive(Clone, Copy, Debug)]
struct ShardRates {
    records: Bucket,
    steady: Bucket,
    burst: Bucket,
    reads: Bucket,
    read_bytes: Bucket,
    /// GetRecords is refused before this.
    rests_until: Duration,
    iterators: Bucket,
}

impl ShardRates {
    fn new(now: Duration) -> Self {
        ShardRates {
            records: Bucket::full(RECORDS, now),
            steady: Bucket::full(STEADY_BYTES, now),
            burst: Bucket::full(BURST_BYTES, now),
            reads: Bucket::full(READS, now),
            read_bytes: Bucket::full(READ_BYTES, now),
            rests_until: Duration::ZERO,
            iterators: Bucket::full(ITERATORS, now),
        }
    }

    fn put(&mut self, bytes: u64, now: Duration) -> bool {
        self.records.fill(RECORDS, RECORDS, now);
        self.steady.fill(STEADY_BYTES, STEADY_BYTES, now);
        self.burst.fill(STEADY_BYTES, BURST_BYTES, now);
        let room = if bytes > STEADY_BYTES { &self.burst } else { &self.steady };
        let admitted = self.records.has(1) && room.has(bytes);
        if admitted {
            self.records.take(1);
            self.steady.drain(bytes);
            self.burst.drain(bytes);
        }
        admitted
    }

    fn read(&mut self, now: Duration) -> bool {
        self.reads.fill(READS, READS, now);
        self.read_bytes.fill(READ_BYTES, READ_BYTES, now);
        // How much a read gives is known after it: it needs no more than to be out of debt.
        now >= self.rests_until && self.read_bytes.millionths > 0 && self.reads.try_take(1)
    }

    fn was_read(&mut self, bytes: usize, now: Duration) {
        self.read_bytes.take(bytes as u64);
        if bytes >= GET_RECORDS_BYTES_MAX {
            self.rests_until = now + REST_AFTER_LARGEST_ANSWER;
        }
    }

    fn iterator(&mut self, now: Duration) -> bool {
        self.iterators.fill(ITERATORS, ITERATORS, now);
        self.iterators.try_take(1)
    }
}

/// A consumer's name is not enough: another may have had it before.
type Subscriber = (ShardKey, ConsumerName, Timestamp);

/// The rates of all shards. Without limits every question is answered yes, and nothing is kept.
pub(crate) struct Rates(Option<Mutex<State>>);

struct State {
    shards: Entries<ShardKey, ShardRates>,
    subscribers: Entries<Subscriber, Bucket>,
}

impl Rates {
    /// With limits, or without.
    pub(crate) fn new(limited: bool) -> Self {
        Rates(limited.then(|| Mutex::new(State { shards: Entries::new(), subscribers: Entries::new() })))
    }

    fn state(&self) -> Option<MutexGuard<'_, State>> {
        Some(self.0.as_ref()?.lock().expect("no holder panics"))
    }

    /// Asks for every record, in order, whether its shard takes so many bytes of data and key; tells `refuse` the
    /// number of each that it does not.
    pub(crate) fn put(
        &self,
        records: impl Iterator<Item = (ShardKey, usize)>,
        now: Duration,
        mut refuse: impl FnMut(usize),
    ) {
        let Some(mut state) = self.state() else { return };
        for (number, (shard, bytes)) in records.enumerate() {
            if !state.shards.of(shard, now, ShardRates::new).put(bytes as u64, now) {
                refuse(number);
            }
        }
    }

    /// Whether GetRecords may read from the shard.
    pub(crate) fn read(&self, shard: ShardKey, now: Duration) -> bool {
        self.state().is_none_or(|mut state| state.shards.of(shard, now, ShardRates::new).read(now))
    }

    /// GetRecords has read so many bytes of data and keys.
    pub(crate) fn was_read(&self, shard: ShardKey, bytes: usize, now: Duration) {
        if let Some(mut state) = self.state() {
            state.shards.of(shard, now, ShardRates::new).was_read(bytes, now);
        }
    }

    /// Whether GetShardIterator may make one for the shard.
    pub(crate) fn iterator(&self, shard: ShardKey, now: Duration) -> bool {
        self.state().is_none_or(|mut state| state.shards.of(shard, now, ShardRates::new).iterator(now))
    }

    /// Whether the consumer may call SubscribeToShard for the shard.
    pub(crate) fn subscribe(
        &self,
        shard: ShardKey,
        name: &ConsumerName,
        created: Timestamp,
        now: Duration,
    ) -> bool {
        let Some(mut state) = self.state() else { return true };
        let new = |now| Bucket::full(SUBSCRIPTIONS, now);
        let bucket = state.subscribers.of((shard, name.clone(), created), now, new);
        bucket.fill(SUBSCRIPTIONS, SUBSCRIPTIONS, now);
        bucket.try_take(1)
    }
}

/// Values that are as good as new when nobody has asked for them for [`FORGOTTEN_AFTER`].
struct Entries<K, V> {
    entries: FxHashMap<K, (V, Duration)>,
    /// How many there may be before the next sweep.
    sweep_at: usize,
}

impl<K: Eq + Hash, V> Entries<K, V> {
    fn new() -> Self {
        Entries { entries: FxHashMap::default(), sweep_at: ENTRIES_UNSWEPT }
    }

    fn of(&mut self, key: K, now: Duration, new: impl FnOnce(Duration) -> V) -> &mut V {
        if self.entries.len() >= self.sweep_at && !self.entries.contains_key(&key) {
            self.entries.retain(|_, (_, used)| now.saturating_sub(*used) < FORGOTTEN_AFTER);
            // A sweep costs as much as there is: it pays when as many were added since.
            self.sweep_at = ENTRIES_UNSWEPT.max(self.entries.len() * 2);
        }
        let (value, used) = self.entries.entry(key).or_insert_with(|| (new(now), now));
        *used = now;
        value
    }
}

#[cfg(test)]
mod tests {
    use thalweg_types::{ShardIndex, StreamId};

    use super::*;

    const SHARD: ShardKey = key(0);

    const fn key(shard: u32) -> ShardKey {
        ShardKey { stream: StreamId(1), shard: ShardIndex(shard) }
    }

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Puts records of these sizes one after the other; answers which were taken.
    fn taken(rates: &Rates, sizes: &[usize], now: Duration) -> Vec<bool> {
        let mut taken = vec![true; sizes.len()];
        rates.put(sizes.iter().map(|bytes| (SHARD, *bytes)), now, |number| taken[number] = false);
        taken
    }

    #[test]
    fn without_limits_nothing_is_refused_or_kept() {
        let rates = Rates::new(false);
        assert!(taken(&rates, &[usize::MAX; 5_000], Duration::ZERO).into_iter().all(|taken| taken));
        let name = ConsumerName::new("c").expect("a good name");
        for _ in 0..100 {
            assert!(rates.read(SHARD, Duration::ZERO) && rates.iterator(SHARD, Duration::ZERO));
            rates.was_read(SHARD, usize::MAX, Duration::ZERO);
            assert!(rates.subscribe(SHARD, &name, Timestamp::ZERO, Duration::ZERO));
        }
        assert!(rates.0.is_none());
    }

    #[test]
    fn a_shard_takes_a_thousand_records_a_second() {
        let rates = Rates::new(true);
        let count = |now| taken(&rates, &[1; 1_500], now).into_iter().filter(|taken| *taken).count();
        assert_eq!(count(millis(0)), 1_000);
        assert_eq!(count(millis(0)), 0);
        assert_eq!(count(millis(250)), 250);
        assert_eq!(count(millis(60_000)), 1_000, "what was not used is not saved up");
    }

    #[test]
    fn a_shard_takes_a_mebibyte_a_second() {
        let rates = Rates::new(true);
        let half = 512 << 10;
        assert_eq!(taken(&rates, &[half, half, 1, half], millis(0)), [true, true, false, false]);
        assert_eq!(taken(&rates, &[half, 1], millis(500)), [true, false]);
        assert_eq!(taken(&rates, &[half + 1, half], millis(1_000)), [false, true], "each record by itself");
    }

    #[test]
    fn larger_records_draw_on_what_was_left_unused() {
        let rates = Rates::new(true);
        let mib = 1 << 20;
        assert_eq!(taken(&rates, &[10 * mib, mib, 2 * mib], millis(0)), [true, false, false]);
        assert_eq!(taken(&rates, &[mib], millis(1_000)), [true], "the steady rate goes on");
        assert_eq!(taken(&rates, &[2 * mib], millis(2_000)), [false], "half of it was used");
        assert_eq!(taken(&rates, &[2 * mib], millis(3_000)), [true]);
    }

    #[test]
    fn shards_are_counted_apart() {
        let rates = Rates::new(true);
        for shard in 0..10 {
            assert!((0..5).all(|_| rates.iterator(key(shard), millis(0))));
            assert!(!rates.iterator(key(shard), millis(0)));
        }
    }

    #[test]
    fn a_shard_is_read_five_times_a_second() {
        let rates = Rates::new(true);
        assert!((0..5).all(|_| rates.read(SHARD, millis(0))));
        assert!(!rates.read(SHARD, millis(0)) && !rates.read(SHARD, millis(199)));
        assert!(rates.read(SHARD, millis(200)));
    }

    #[test]
    fn large_answers_are_paid_for_afterwards() {
        for (bytes, refused_at, allowed_at) in
            [(1 << 20, None, 0), (4 << 20, Some(1_000), 1_001), (10 << 20, Some(4_999), 5_000)]
        {
            let rates = Rates::new(true);
            assert!(rates.read(SHARD, millis(0)));
            rates.was_read(SHARD, bytes, millis(0));
            assert!(refused_at.is_none_or(|at| !rates.read(SHARD, millis(at))), "{bytes}");
            assert!(rates.read(SHARD, millis(allowed_at)), "{bytes}");
        }
    }

    #[test]
    fn a_consumer_subscribes_once_a_second() {
        let rates = Rates::new(true);
        let name = ConsumerName::new("c").expect("a good name");
        let subscribe = |created, now| rates.subscribe(SHARD, &name, Timestamp::from_seconds(created), now);
        assert!(subscribe(1, millis(0)) && !subscribe(1, millis(999)) && subscribe(1, millis(1_000)));
        assert!(subscribe(2, millis(1_000)), "another consumer that is called so");
    }

    #[test]
    fn shards_that_rest_are_forgotten() {
        let rates = Rates::new(true);
        let kept = || rates.state().expect("limited").shards.entries.len();
        for shard in 0..100_000 {
            // A thousand shards a second.
            assert!(rates.iterator(key(shard), Duration::from_millis(u64::from(shard))));
            assert!(kept() <= 2 * 10_000 + ENTRIES_UNSWEPT, "{}", kept());
        }
        assert!(kept() > 5_000, "those in use are not: {}", kept());
    }

    #[test]
    fn time_that_stands_still_or_is_told_late_gives_nothing_away() {
        let rates = Rates::new(true);
        assert!((0..5).all(|_| rates.iterator(SHARD, millis(1_000))));
        assert!(!rates.iterator(SHARD, millis(500)));
        assert!(!rates.iterator(SHARD, millis(1_000)));
    }
}
