//! All shards of all streams, and what each operation does to them. It reads no clock: times are arguments.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use rustc_hash::FxHashMap;
use thalweg_journal::{AppendError, NotAppliedReason, ReadError, RunOutcome, Tail};
use thalweg_types::{Offset, ShardIndex, ShardKey, StreamId, Timestamp};

use crate::expiry::{ExpiryTime, WALL_AHEAD_MAX};
use crate::knobs::{Dice, Fate, UnknownOutcomes};
use crate::operation::{Operation, answer};
use crate::shard::Shard;
use crate::stopped;

/// Expiry looks at every shard at most this often: a look at 10,000 takes under a millisecond.
const EXPIRE_INTERVAL: Duration = Duration::from_secs(1);

pub(crate) struct State {
    /// Ordered, so that a stream's shards are neighbours.
    shards: BTreeMap<ShardKey, Shard>,
    /// No shards before these indexes are made.
    forgotten_before: FxHashMap<StreamId, u32>,
    retentions: FxHashMap<StreamId, Duration>,
    expiry: ExpiryTime,
    /// When expiry last looked, in monotonic time.
    expired_at: Option<Duration>,
    dice: Option<Dice>,
    fenced: bool,
    stopped: bool,
}

impl State {
    pub(crate) fn new(unknown: Option<UnknownOutcomes>) -> Self {
        State {
            shards: BTreeMap::new(),
            forgotten_before: FxHashMap::default(),
            retentions: FxHashMap::default(),
            expiry: ExpiryTime::default(),
            expired_at: None,
            dice: unknown.map(Dice::new),
            fenced: false,
            stopped: false,
        }
    }

    pub(crate) fn shard(&self, key: ShardKey) -> Result<&Shard, ReadError> {
        self.shards.get(&key).ok_or(ReadError::UnknownShard(key))
    }

    pub(crate) fn tails(&self) -> Vec<(ShardKey, Tail)> {
        self.shards.iter().map(|(&key, shard)| (key, shard.tail())).collect()
    }

    pub(crate) fn fence(&mut self) {
        self.fenced = true;
    }

    pub(crate) fn stop(&mut self) {
        self.stopped = true;
    }

    /// Why nothing can be written any more, if so.
    pub(crate) fn refusal(&self) -> Option<AppendError> {
        if self.fenced {
            Some(AppendError::Fenced)
        } else if self.stopped {
            Some(stopped())
        } else {
            None
        }
    }

    /// Whether the operation is to be applied. Takes its reply away when its outcome shall stay unknown.
    pub(crate) fn decide_fate(&mut self, operation: &mut Operation) -> bool {
        if self.refusal().is_some() {
            return true; // Applying it will refuse it, with an answer.
        }
        let Some(dice) = &mut self.dice else { return true };
        let fate = dice.throw(operation.is_append());
        if fate != Fate::Answered {
            operation.forget_reply();
        }
        fate != Fate::LostUnanswered
    }

    /// Applies an operation that arrived at `now`, by both clocks, and answers it.
    pub(crate) fn apply(&mut self, operation: Operation, now: (Timestamp, Duration)) {
        if let Some(error) = self.refusal() {
            return operation.refuse(&error);
        }
        match operation {
            Operation::Append { runs, charge, reply } => {
                let mut outcomes = Vec::with_capacity(runs.len());
                for run in runs {
                    outcomes.push(match self.shards.get_mut(&run.shard) {
                        None => RunOutcome::UnknownShard,
                        Some(shard) if shard.tail().sealed => RunOutcome::ShardClosed,
                        Some(shard) => {
                            let (first, arrival) = shard.place(run, &charge, now);
                            RunOutcome::Placed { first, arrival }
                        }
                    });
                }
                if let Some(reply) = reply {
                    reply.send(Ok(outcomes));
                }
            }
            Operation::OpenShards { shards, reply } => answer(reply, self.open(shards)),
            Operation::Seal { shards, reply } => answer(reply, self.seal(&shards)),
            Operation::Trim { shards, reply } => {
                for (key, before) in shards {
                    if let Some(shard) = self.shards.get_mut(&key) {
                        shard.trim(before);
                    }
                }
                answer(reply, Ok(()));
            }
            Operation::ForgetShards { shards, reply } => {
                shards.into_iter().for_each(|key| self.forget(key));
                answer(reply, Ok(()));
            }
            Operation::DeleteStream { stream, reply } => {
                let keys: Vec<ShardKey> = self.shards.range(shards_of(stream)).map(|(&key, _)| key).collect();
                for key in keys {
                    self.shards.remove(&key).expect("it was there just now").delete();
                }
                self.forgotten_before.remove(&stream);
                self.retentions.remove(&stream);
                answer(reply, Ok(()));
            }
        }
    }

    fn open(&mut self, shards: Vec<(ShardKey, Timestamp)>) -> Result<(), AppendError> {
        let is_refused = |(key, _): &&(ShardKey, Timestamp)| {
            let forgotten_before = self.forgotten_before.get(&key.stream);
            forgotten_before.is_some_and(|before| key.shard.0 < *before) && !self.shards.contains_key(key)
        };
        if let Some(&(refused, _)) = shards.iter().find(is_refused) {
            return Err(AppendError::NotApplied(NotAppliedReason::UnknownShard(refused)));
        }
        for (key, not_before) in shards {
            self.shards.entry(key).or_insert_with(|| Shard::new(not_before));
        }
        Ok(())
    }

    /// Forgets a shard if nothing is left of it and nothing will follow.
    fn forget(&mut self, key: ShardKey) {
        let tail = self.shards.get(&key).map(Shard::tail);
        if tail.is_none_or(|tail| !tail.sealed || tail.trimmed < tail.next) {
            return;
        }
        self.shards.remove(&key).expect("it was there just now").delete();
        let before = self.forgotten_before.entry(key.stream).or_default();
        *before = (*before).max(key.shard.0.saturating_add(1));
    }

    fn seal(&mut self, keys: &[ShardKey]) -> Result<Vec<Offset>, AppendError> {
        if let Some(&unknown) = keys.iter().find(|key| !self.shards.contains_key(key)) {
            return Err(AppendError::NotApplied(NotAppliedReason::UnknownShard(unknown)));
        }
        Ok(keys.iter().map(|key| self.shards.get_mut(key).expect("all were found").seal()).collect())
    }

    /// Also drops at once what the new retention does not cover: a longer one told later must not bring it back.
    pub(crate) fn set_retention(
        &mut self,
        stream: StreamId,
        retention: Duration,
        wall: Timestamp,
        monotonic: Duration,
    ) {
        self.retentions.insert(stream, retention);
        let Some(now) = self.expiry.trusted(wall, monotonic) else { return };
        for (_, shard) in self.shards.range_mut(shards_of(stream)) {
            shard.expire(now.minus(retention), placed_limit(retention, monotonic));
        }
    }

    pub(crate) fn expiry_time(&mut self, wall: Timestamp, monotonic: Duration) -> Timestamp {
        self.expiry.hide_by(wall, monotonic)
    }

    pub(crate) fn doubts_clock(&mut self, wall: Timestamp, monotonic: Duration) -> bool {
        self.expiry.trusted(wall, monotonic).is_none()
    }

    /// Drops what is older than its stream's retention, if that was not done a short while ago.
    pub(crate) fn expire_if_due(&mut self, wall: Timestamp, monotonic: Duration) {
        if self.expired_at.is_some_and(|before| monotonic.saturating_sub(before) < EXPIRE_INTERVAL) {
            return;
        }
        self.expired_at = Some(monotonic);
        let Some(now) = self.expiry.trusted(wall, monotonic) else { return };
        for (key, shard) in &mut self.shards {
            if let Some(&retention) = self.retentions.get(&key.stream) {
                shard.expire(now.minus(retention), placed_limit(retention, monotonic));
            }
        }
    }
}

/// What was placed before this monotonic time is older than the retention by more than a clock may be wrong.
fn placed_limit(retention: Duration, monotonic: Duration) -> Duration {
    monotonic.saturating_sub(retention.saturating_add(WALL_AHEAD_MAX))
}

fn shards_of(stream: StreamId) -> RangeInclusive<ShardKey> {
    ShardKey { stream, shard: ShardIndex(0) }..=ShardKey { stream, shard: ShardIndex(u32::MAX) }
}
