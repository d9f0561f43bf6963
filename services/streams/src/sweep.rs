//! What time does to the catalog: closed shards whose records are all gone are forgotten, there and then in the journal,
//! and so are the names of streams deleted long ago. Listings hide expired shards by themselves ([`Stream::listed`]), so
//! nothing here is urgent. Records expire in the journal.
//!
//! A shard that has a record from a clock that was ahead, or comes after one that has, closes ahead of the clock, and would
//! be kept until real time gets there. It goes when the journal has nothing left of it, but is listed for its time: from
//! the sweep that finds it.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use thalweg_catalog::{CommitError, Write};
use thalweg_journal::AppendError;
use thalweg_types::{Offset, ShardIndex, ShardKey, Timestamp};

use crate::rows::{self, AccountRow, NameRow};
use crate::service::Streams;
use crate::shard_map::{Closed, Shard, ShardMap};
use crate::stream::Stream;
use crate::transition::{StepError, put_shard};

/// How often the loop sweeps.
const INTERVAL: Duration = Duration::from_secs(300);
/// For so long the wall clock and monotonic time must have agreed, to this, before anything is forgotten.
const AGREEMENT: Duration = Duration::from_secs(3600);
/// A deleted stream's name is kept for so long at least: a clock that was wrong by less is survived.
const NAME_KEPT: Duration = Duration::from_secs(24 * 3600);

/// Shards of a stream that one sweep notes to have closed ahead of the clock: a commit has a bound, and these rows are larger
/// than those of a new stream, of which it takes 100,000.
const NOTES_MAX: usize = 10_000;

/// Since when the wall clock has agreed with monotonic time.
pub(crate) struct Sweeper {
    wall: Timestamp,
    monotonic: Duration,
    agreed_since: Duration,
}

impl Sweeper {
    /// Both clocks at the start.
    pub(crate) fn new(wall: Timestamp, monotonic: Duration) -> Self {
        Sweeper { wall, monotonic, agreed_since: monotonic }
    }

    /// The time to measure ages by; `None` until the clocks have agreed for long enough. A wall clock that is set
    /// wrong has that long to be put right.
    fn trusted(&mut self, wall: Timestamp, monotonic: Duration) -> Option<Timestamp> {
        let expected = self.wall.plus(monotonic.saturating_sub(self.monotonic));
        if wall > expected.plus(AGREEMENT) || wall < expected.minus(AGREEMENT) {
            tracing::warn!(%wall, %expected, "the clock was set; nothing is forgotten for an hour");
            self.agreed_since = monotonic;
        }
        self.wall = wall;
        self.monotonic = monotonic;
        (monotonic.saturating_sub(self.agreed_since) >= AGREEMENT).then_some(wall)
    }
}

impl Stream {
    /// The shards that exist for clients: the open ones, and closed ones that may still have records.
    pub(crate) fn listed(&self, now: Timestamp) -> impl Iterator<Item = &Shard> {
        let horizon = self.horizon(now);
        self.shards.all().iter().filter(move |shard| !has_expired(shard, horizon))
    }

    /// What it takes to forget the shards that have expired at `horizon`.
    pub(crate) fn without_expired(&self, horizon: Timestamp) -> Remainder {
        self.without(|shard| has_expired(shard, horizon))
    }

    /// What it takes to forget closed shards.
    fn without(&self, is_gone: impl Fn(&Shard) -> bool) -> Remainder {
        let (gone, kept): (Vec<Shard>, Vec<Shard>) =
            self.shards.all().iter().partition(|shard| is_gone(shard));
        let end_of = |shard: &Shard| Some((self.key(shard.index), shard.closed?.end));
        let delete = |shard: &Shard| Write::Delete(rows::shard_key(self.id, shard.index));
        Remainder {
            trims: gone.iter().filter_map(end_of).collect(),
            writes: gone.iter().map(delete).collect(),
            shards: ShardMap::new(kept, self.shards.next_index()).into(),
        }
    }
}

/// What is left of a stream's shards when some are forgotten.
pub(crate) struct Remainder {
    /// The ends of the forgotten ones: to be trimmed before the commit.
    pub(crate) trims: Vec<(ShardKey, Offset)>,
    /// Their rows, for the commit.
    pub(crate) writes: Vec<Write>,
    /// The others.
    pub(crate) shards: Arc<ShardMap>,
}

/// Whether everything in a shard arrived at `horizon` or before, and nothing will follow.
fn has_expired(shard: &Shard, horizon: Timestamp) -> bool {
    shard.closed.is_some_and(|closed| closed.at <= horizon)
}

/// Whether a shard closed at a time that the clock has far ahead of it.
fn closed_ahead(shard: &Shard, now: Timestamp) -> bool {
    shard.closed.is_some_and(|closed| closed.at > now.plus(AGREEMENT))
}

/// Whether it is to be noted that a shard closed ahead of the clock: it did, and has no note to measure its age by.
fn lacks_note(shard: &Shard, now: Timestamp) -> bool {
    let noted = shard.closed.and_then(|closed| closed.noted);
    closed_ahead(shard, now) && noted.is_none_or(|noted| noted > now.plus(AGREEMENT))
}

impl Streams {
    /// Forgets what time has made worthless. Called by a loop; there is no need to call it. What fails is logged,
    /// and done the next time.
    pub async fn sweep(&self) {
        let (wall, monotonic) = (self.now(), self.clock.monotonic());
        if self.sweeper.lock().await.trusted(wall, monotonic).is_none() {
            return;
        }
        // In this order: a clock that jumps in between is later than `now`.
        let now = self.expiry_now();
        if self.journal.doubts_clock() {
            return;
        }
        let stopped = self.stopped.read().await;
        if *stopped {
            return;
        }
        for stream in self.registry.all() {
            if let Err(error) = self.sweep_shards(&stream, now).await {
                tracing::warn!(stream = %stream.name, %error, "expired shards are not forgotten yet");
            }
        }
        if let Err(error) = self.sweep_journal().await {
            tracing::warn!(%error, "the journal keeps what is left of expired shards for now");
        }
        if let Err(error) = self.sweep_names(now).await {
            tracing::warn!(%error, "names of deleted streams are not forgotten yet");
        }
    }

    pub(crate) fn sweep_for_ever(&self) {
        let me = Weak::clone(&self.me);
        let clock = Arc::clone(&self.clock);
        self.tasks.run(Box::pin(async move {
            loop {
                clock.sleep(INTERVAL).await;
                let Some(streams) = me.upgrade() else { return };
                streams.sweep().await;
            }
        }));
    }

    async fn sweep_shards(&self, stream: &Stream, now: Timestamp) -> Result<(), StepError> {
        let horizon = stream.horizon(now);
        if !stream.shards.all().iter().any(|shard| has_expired(shard, horizon) || closed_ahead(shard, now)) {
            return Ok(());
        }
        let Some(mut changing) = self.lock(stream.id).await else { return Ok(()) };
        let stream = Arc::clone(&changing.stream);
        if stream.change.is_some() {
            return Ok(());
        }
        let gone = self.gone_shards(&stream, now);
        let Remainder { trims, mut writes, shards } = stream.without(|shard| gone.contains(&shard.index));
        let mut kept = shards.all().to_vec();
        for shard in kept.iter_mut().filter(|shard| lacks_note(shard, now)).take(NOTES_MAX) {
            shard.closed = shard.closed.map(|closed| Closed { noted: Some(now), ..closed });
            writes.push(put_shard(stream.id, shard));
        }
        if writes.is_empty() {
            return Ok(());
        }
        if !trims.is_empty() {
            self.journal.trim(&trims).await?;
        }
        let shards = ShardMap::new(kept, shards.next_index()).into();
        self.commit(&mut changing, Stream { shards, ..(*stream).clone() }, writes).await?;
        Ok(())
    }

    /// The closed shards to forget: those that have expired, and those that closed ahead of the clock and are empty; of
    /// these none before its parents, nor without those that its children have besides: what is listed covers the hash space.
    fn gone_shards(&self, stream: &Stream, now: Timestamp) -> BTreeSet<ShardIndex> {
        let horizon = stream.horizon(now);
        // What closed before the note, by a clock that was ahead by less than is noted, has expired by then.
        let noted_before = horizon.minus(AGREEMENT);
        let is_empty = |shard: &Shard| {
            let tail = self.journal.tail(stream.key(shard.index));
            tail.is_ok_and(|tail| tail.sealed && tail.trimmed >= tail.next)
        };
        let is_left_over = |shard: &Shard| {
            let noted = shard.closed.and_then(|closed| closed.noted);
            closed_ahead(shard, now) && noted.is_some_and(|noted| noted <= noted_before) && is_empty(shard)
        };
        let may_go =
            stream.shards.all().iter().filter(|shard| has_expired(shard, horizon) || is_left_over(shard));
        let mut gone: BTreeSet<ShardIndex> = may_go.map(|shard| shard.index).collect();
        loop {
            let is_kept = |index: ShardIndex| stream.shards.get(index).is_some() && !gone.contains(&index);
            let stays = |index: &ShardIndex| {
                let shard = stream.shards.get(*index).expect("it is listed");
                let beside = stream.shards.children(*index).flat_map(Shard::parents);
                !has_expired(shard, horizon) && shard.parents().chain(beside).any(is_kept)
            };
            let staying: Vec<ShardIndex> = gone.iter().copied().filter(stays).collect();
            if staying.is_empty() {
                return gone;
            }
            for index in &staying {
                gone.remove(index);
            }
        }
    }

    /// Lets the journal forget the shards that the catalog has forgotten: in this sweep, or in one that did not come so
    /// far. It forgets only what is closed and has no records left.
    async fn sweep_journal(&self) -> Result<(), AppendError> {
        let was_forgotten = |key: &ShardKey| {
            self.registry.by_id(key.stream).is_some_and(|stream| {
                // From there on they are opened by a change that is under way.
                key.shard.0 < stream.shards.next_index() && stream.shards.get(key.shard).is_none()
            })
        };
        let forgotten: Vec<ShardKey> =
            self.journal.shards().into_iter().map(|(key, _)| key).filter(was_forgotten).collect();
        if forgotten.is_empty() {
            return Ok(());
        }
        self.journal.forget_shards(&forgotten).await
    }

    /// Folds the names of streams that were created long ago into one number.
    async fn sweep_names(&self, now: Timestamp) -> Result<(), StepError> {
        let before = now.minus(NAME_KEPT).as_seconds();
        // The account's lock keeps a stream of such a name from being created meanwhile.
        let mut account = self.account.lock().await;
        let mut names_before = account.row.names_before;
        let mut writes = Vec::new();
        for row in self.scan(rows::NAMES).await? {
            let Ok(NameRow { created, .. }) = rows::decode(&row) else {
                tracing::error!(key = %String::from_utf8_lossy(&row.key), "a row cannot be understood");
                continue;
            };
            if created < before {
                names_before = names_before.max(created + 1);
                writes.push(Write::Delete(row.key));
            }
        }
        if writes.is_empty() {
            return Ok(());
        }
        let row = AccountRow { names_before, ..account.row.clone() };
        account
            .replace(&self.catalog, row, writes)
            .await
            .map_err(|error: CommitError| StepError::Commit(error))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each step: wall minutes, monotonic minutes, whether the wall clock is believed.
    #[track_caller]
    fn check(steps: &[(i64, u64, bool)]) {
        let at = |minutes: i64| Timestamp::from_seconds(1_700_000_000 + minutes * 60);
        let mut sweeper = Sweeper::new(at(0), Duration::ZERO);
        for &(wall, monotonic, believed) in steps {
            let found = sweeper.trusted(at(wall), Duration::from_secs(monotonic * 60));
            assert_eq!(found, believed.then_some(at(wall)), "wall {wall}, monotonic {monotonic}");
        }
    }

    #[test]
    fn clocks_that_agree_are_believed_after_an_hour() {
        check(&[(5, 5, false), (59, 59, false), (60, 60, true), (100_000, 100_000, true)]);
    }

    #[test]
    fn a_leap_starts_the_hour_again() {
        check(&[(60, 60, true), (130, 65, false), (180, 115, false), (190, 125, true)]);
        check(&[(60, 60, true), (-10, 65, false), (50, 125, true)]);
    }

    #[test]
    fn small_steps_are_no_leap() {
        check(&[(60, 60, true), (120, 65, true), (70, 70, true)]);
    }
}
