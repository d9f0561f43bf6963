//! How a change comes to be: one lock, one durable intent, the journal's part, one commit that finishes it. Every
//! control operation goes through here; what it wants is decided in its own file.
//!
//! ```text
//!   lock the stream        the intent            the journal's part              the end
//!  ----------------> check -----> commit, publish -----> open, seal, delete -----> commit, publish
//!                            |    CREATING, UPDATING, DELETING                |    ACTIVE, or gone
//!                            |                                                |
//!               refused: nothing happened             a failure here is made good by trying again: at once, after
//!                                                     a pause, or at the next start. All of it is idempotent.
//! ```
//!
//! Once its intent is durable an operation has succeeded; that the rest takes longer shows in the status only.

use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::Duration;

use thalweg_catalog::{CatalogError, CommitError, Condition, Version, Write};
use thalweg_journal::{AppendError, NotAppliedReason, ReadError};
use thalweg_model::kinesis::StreamStatus;
use thalweg_shape::Failure;
use thalweg_system::planted::{Bug, is_planted};
use thalweg_types::{HashKeyRange, ShardIndex, ShardKey, StreamId, Timestamp};
use tokio::sync::{OwnedMutexGuard, oneshot};

use crate::change::{Change, ChangeKind};
use crate::consumer::{ConsumerChangeKind, Consumers};
use crate::errors;
use crate::registry::Entry;
use crate::reshard::{self, Plan};
use crate::rows::{self, ConsumerRow, NameRow, ShardRow, StreamRow, V1};
use crate::service::Streams;
use crate::shard_map::{Closed, Shard, ShardMap};
use crate::stream::Stream;

/// Times are told apart by so much.
const MOMENT: Duration = Duration::from_millis(1);
/// The first pause after a failed attempt to finish a change, and the longest.
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(100);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(10);

/// A stream that nobody else changes.
pub(crate) struct Changing {
    /// The stream as it is now.
    pub(crate) stream: Arc<Stream>,
    entry: Arc<Entry>,
    version: OwnedMutexGuard<Version>,
}

/// Why a change could not be finished for now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StepError {
    #[error("the journal did not do its part: {0}")]
    Journal(#[from] AppendError),
    #[error("the journal could not be asked: {0}")]
    Read(#[from] ReadError),
    #[error("the catalog did not take the end of it: {0}")]
    Commit(#[from] CommitError),
    #[error("the catalog could not be asked: {0}")]
    Catalog(#[from] CatalogError),
}

impl StepError {
    /// Whether another attempt may succeed before a restart.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            StepError::Journal(AppendError::NotApplied(reason)) => {
                !matches!(reason, NotAppliedReason::Stopped(_))
            }
            // Opening, sealing and deleting are idempotent, so what may have happened may happen again.
            StepError::Journal(AppendError::OutcomeUnknown(_)) => true,
            StepError::Journal(AppendError::Fenced) => false,
            StepError::Commit(CommitError::NotApplied(_)) => true,
            StepError::Commit(CommitError::Conflict(_) | CommitError::OutcomeUnknown(_)) => false,
            StepError::Read(_) | StepError::Catalog(_) => true,
        }
    }
}

impl Streams {
    /// Runs an operation that changes something to its end, even when its caller goes away. None begins once
    /// [`Streams::shutdown`] has; that one waits for those that have begun.
    pub(crate) async fn detached<T, F>(
        &self,
        operation: impl FnOnce(Arc<Streams>) -> F + Send + 'static,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>> + Send,
        T: Send + 'static,
    {
        let streams = self.arc();
        let (reply, answer) = oneshot::channel();
        self.tasks.run(Box::pin(async move {
            let stopped = streams.stopped.read().await;
            let result = match *stopped {
                true => Err(errors::internal_failure()),
                false => operation(Arc::clone(&streams)).await,
            };
            // Whoever asked may have gone.
            let _ = reply.send(result);
        }));
        answer.await.unwrap_or_else(|_| {
            tracing::error!("an operation did not end");
            Err(errors::internal_failure())
        })
    }

    /// The change lock of a stream; `None` when the stream is gone.
    pub(crate) async fn lock(&self, id: StreamId) -> Option<Changing> {
        let entry = self.registry.entry(id)?;
        let version = Arc::clone(&entry.change).lock_owned().await;
        // It may have been deleted while we waited.
        self.registry.entry(id)?;
        Some(Changing { stream: entry.stream(), entry, version })
    }

    /// The change lock of a stream that is ACTIVE.
    ///
    /// # Errors
    /// ResourceInUse when it is not; ResourceNotFound when it is gone.
    pub(crate) async fn lock_active(&self, stream: &Stream) -> Result<Changing, Failure> {
        let account = &self.settings.account;
        let changing = self
            .lock(stream.id)
            .await
            .ok_or_else(|| errors::stream_not_found(stream.name.as_str(), account))?;
        self.check_active(&changing.stream)?;
        Ok(changing)
    }

    /// Whether a stream is ACTIVE.
    ///
    /// # Errors
    /// ResourceInUse.
    pub(crate) fn check_active(&self, stream: &Stream) -> Result<(), Failure> {
        if stream.change.is_some() {
            let status = stream.status().as_str();
            return Err(errors::not_active(stream.name.as_str(), &self.settings.account, status));
        }
        Ok(())
    }

    /// Whether what belongs to a stream can be listed: not before it is ACTIVE for the first time, nor while it goes.
    ///
    /// # Errors
    /// ResourceInUse.
    pub(crate) fn check_listable(&self, stream: &Stream) -> Result<(), Failure> {
        match stream.status() {
            StreamStatus::Active | StreamStatus::Updating => Ok(()),
            status @ (StreamStatus::Creating | StreamStatus::Deleting) => {
                let account = &self.settings.account;
                Err(errors::not_active(stream.name.as_str(), account, status.as_str()))
            }
        }
    }

    /// A change that begins now and is visible for as long as settings say.
    pub(crate) fn begin(&self, kind: ChangeKind) -> Change {
        Change { kind, not_before: self.now().plus(self.settings.transition_delay) }
    }

    /// For a change that is done with its first commit: UPDATING if that is to be seen.
    pub(crate) fn begin_settling(&self) -> Option<Change> {
        (!self.settings.transition_delay.is_zero()).then(|| self.begin(ChangeKind::Settle))
    }

    /// Makes a stream's next state durable, with other rows, and publishes it. After an error nothing has changed
    /// here; [`CommitError::OutcomeUnknown`] is settled by the next start.
    pub(crate) async fn commit(
        &self,
        changing: &mut Changing,
        next: Stream,
        mut writes: Vec<Write>,
    ) -> Result<(), CommitError> {
        let key = rows::stream_key(next.id);
        writes.push(Write::Put(key.clone(), rows::encode(&StreamRow::of(&next))));
        let condition = Condition::AtVersion(key, *changing.version);
        *changing.version = self.catalog.commit(vec![condition], writes).await?;
        changing.publish(Stream { is_held_up: false, ..next });
        Ok(())
    }

    /// As [`Streams::commit`], for operations: logs the error.
    ///
    /// # Errors
    /// InternalFailure.
    pub(crate) async fn accept(
        &self,
        changing: &mut Changing,
        next: Stream,
        writes: Vec<Write>,
    ) -> Result<(), Failure> {
        let name = next.name.clone();
        self.commit(changing, next, writes).await.map_err(|error| {
            tracing::error!(stream = %name, %error, "a change was not accepted");
            errors::internal_failure()
        })
    }

    /// Does what was accepted: before it returns, if it need not be seen; otherwise, or when something fails, in a
    /// task of its own.
    pub(crate) async fn carry_on(&self, mut changing: Changing) {
        if !changing.is_under_way() {
            return;
        }
        let id = changing.stream.id;
        if self.settings.transition_delay.is_zero() {
            match self.finish(&mut changing, Duration::ZERO).await {
                Ok(None) => return,
                Ok(Some(_)) => {}
                Err(error) => changing.hold_up(&error),
            }
        }
        drop(changing);
        self.drive(id);
    }

    /// Finishes what is under way with a stream, now or when its time has come, in a task of its own.
    pub(crate) fn drive(&self, id: StreamId) {
        let me = Weak::clone(&self.me);
        let clock = Arc::clone(&self.clock);
        let started = clock.monotonic();
        self.tasks.run(Box::pin(async move {
            let mut pause = RETRY_PAUSE_MIN;
            loop {
                let Some(streams) = me.upgrade() else { return };
                let waited = clock.monotonic().saturating_sub(started);
                let wait = match streams.attempt(id, waited).await {
                    Ok(None) => return,
                    Ok(Some(wait)) => wait,
                    Err(error) if error.may_pass() => {
                        pause = (pause * 2).min(RETRY_PAUSE_MAX);
                        pause
                    }
                    Err(_) => return,
                };
                // Not kept alive by waiting.
                drop(streams);
                clock.sleep(wait).await;
            }
        }));
    }

    /// One attempt of [`Streams::drive`]: how long to wait until there is more to do, if there is.
    async fn attempt(&self, id: StreamId, waited: Duration) -> Result<Option<Duration>, StepError> {
        let stopped = self.stopped.read().await;
        if *stopped {
            return Ok(None);
        }
        let Some(mut changing) = self.lock(id).await else { return Ok(None) };
        let finished = self.finish(&mut changing, waited).await;
        if let Err(error) = &finished {
            changing.hold_up(error);
        }
        finished
    }

    /// Does everything under way with a stream whose time has come: how long to wait until there is more to do,
    /// if there is. Whoever has `waited` as long as a change is to be seen waits no longer: the wall clock may
    /// have been set back.
    pub(crate) async fn finish(
        &self,
        changing: &mut Changing,
        waited: Duration,
    ) -> Result<Option<Duration>, StepError> {
        loop {
            let stream = Arc::clone(&changing.stream);
            let now = self.now();
            let wait = |not_before: Timestamp| {
                let visible = self.settings.transition_delay.saturating_sub(waited);
                not_before.since(now).min(visible)
            };
            if let Some(change) = &stream.change
                && wait(change.not_before).is_zero()
            {
                match change.kind {
                    ChangeKind::Create { shards } => self.create_shards(changing, shards).await?,
                    ChangeKind::Settle => {
                        self.commit(changing, Stream { change: None, ..(*stream).clone() }, Vec::new())
                            .await?;
                    }
                    ChangeKind::Delete => {
                        self.delete(changing).await?;
                        return Ok(None);
                    }
                    kind => self.reshard(changing, kind).await?,
                }
                continue;
            }
            let is_due = |not_before: Timestamp| wait(not_before).is_zero();
            if self.finish_consumers(changing, is_due).await? {
                continue;
            }
            let changes = stream.change.iter().map(|change| change.not_before);
            let consumers = stream
                .consumers
                .values()
                .filter_map(|consumer| consumer.change)
                .map(|change| change.not_before);
            return Ok(changes.chain(consumers).map(wait).min());
        }
    }

    /// The first shards of a stream.
    async fn create_shards(&self, changing: &mut Changing, count: u32) -> Result<(), StepError> {
        let stream = Arc::clone(&changing.stream);
        let indexes: Vec<ShardIndex> = (0..count).map(ShardIndex).collect();
        self.journal.open_shards(stream.id, &indexes).await?;
        self.journal.set_retention(stream.id, stream.retention());
        let opened = stream.created.min(self.now());
        let shards: Vec<Shard> = HashKeyRange::evenly(count)
            .zip(indexes)
            .map(|(range, index)| Shard {
                index,
                range,
                created: stream.created,
                opened,
                parent: None,
                adjacent_parent: None,
                closed: None,
            })
            .collect();
        let writes = shards.iter().map(|shard| put_shard(stream.id, shard)).collect();
        let next = Stream { shards: ShardMap::new(shards, count).into(), change: None, ..(*stream).clone() };
        self.commit(changing, next, writes).await?;
        Ok(())
    }

    /// One step of a split, a merge or a new shard count. Between the seals and the end puts to the parents are
    /// answered "closed" by the journal, and wait for the next snapshot.
    async fn reshard(&self, changing: &mut Changing, kind: ChangeKind) -> Result<(), StepError> {
        let stream = Arc::clone(&changing.stream);
        let plan = reshard::plan(&stream.shards, kind);
        let closing: Vec<ShardKey> = plan.closing.iter().map(|index| stream.key(*index)).collect();
        let ends = if is_planted(Bug::ChildOpenedBeforeSeal) {
            closing
                .iter()
                .map(|shard| Ok(self.journal.tail(*shard)?.next))
                .collect::<Result<_, StepError>>()?
        } else {
            self.journal.seal(&closing).await?
        };
        // What arrives in a shard arrives no earlier than what its parents have, even if the clock was set back.
        let mut opening = Vec::with_capacity(plan.opening.len());
        for birth in &plan.opening {
            let mut not_before = Timestamp::ZERO;
            for parent in birth.parents() {
                not_before = not_before.max(self.journal.tail(stream.key(parent))?.last_arrival);
            }
            opening.push((birth.index, not_before));
        }
        // They exist before they are open: nobody knows them before the commit below.
        self.journal.open_shards_after(stream.id, &opening).await?;
        // After all that happened in them, even if the clock was set back.
        let mut at = self.now();
        for &shard in &closing {
            let opened = stream.shards.get(shard.shard).expect("a plan closes listed shards").opened;
            at = at.max(opened).max(self.journal.tail(shard)?.last_arrival.plus(MOMENT));
        }
        let closed =
            plan.closing.iter().zip(ends).map(|(index, end)| (*index, Closed { at, end, noted: None }));
        let (shards, changed) = after(&stream.shards, &plan, closed.collect(), at, self.now());
        let writes = changed.iter().map(|shard| put_shard(stream.id, shard)).collect();
        let change = plan.then.map(|kind| Change { kind, not_before: self.now() });
        self.commit(changing, Stream { shards: shards.into(), change, ..(*stream).clone() }, writes).await?;
        if is_planted(Bug::ChildOpenedBeforeSeal) {
            self.journal.seal(&closing).await?;
        }
        Ok(())
    }

    /// The end of a stream and all that belongs to it, but for its name: a stream of that name is created later
    /// than anything of this one, even if the clock says otherwise.
    async fn delete(&self, changing: &mut Changing) -> Result<(), StepError> {
        let stream = Arc::clone(&changing.stream);
        self.journal.delete_stream(stream.id).await?;
        let policies = self.scan(&rows::policy_key(stream.id, None)).await?;
        let mut writes = vec![
            Write::Delete(rows::stream_key(stream.id)),
            Write::Put(
                rows::name_key(&stream.name),
                rows::encode(&NameRow { v: V1, created: last_created(&stream).as_seconds() }),
            ),
        ];
        let shards = stream.shards.all().iter().map(|shard| rows::shard_key(stream.id, shard.index));
        let consumers = stream.consumers.keys().map(|name| rows::consumer_key(stream.id, name));
        let policies = policies.into_iter().map(|row| row.key);
        writes.extend(shards.chain(consumers).chain(policies).map(Write::Delete));
        let condition = Condition::AtVersion(rows::stream_key(stream.id), *changing.version);
        self.catalog.commit(vec![condition], writes).await?;
        self.registry.remove(&stream);
        Ok(())
    }

    /// Ends the changes of consumers whose time has come: whether there was one.
    async fn finish_consumers(
        &self,
        changing: &mut Changing,
        is_due: impl Fn(Timestamp) -> bool,
    ) -> Result<bool, StepError> {
        let stream = Arc::clone(&changing.stream);
        let mut consumers = Consumers::clone(&stream.consumers);
        let mut gone = stream.consumers_gone;
        let mut writes = Vec::new();
        for consumer in stream.consumers.values() {
            let Some(change) = consumer.change.filter(|change| is_due(change.not_before)) else { continue };
            match change.kind {
                ConsumerChangeKind::Create => {
                    let active = consumers.get_mut(&consumer.name).expect("a copy");
                    active.change = None;
                    writes.push(Write::Put(
                        rows::consumer_key(stream.id, &consumer.name),
                        rows::encode(&ConsumerRow::of(active)),
                    ));
                }
                ConsumerChangeKind::Delete => {
                    consumers.remove(&consumer.name);
                    gone = gone.max(consumer.created);
                    writes.push(Write::Delete(rows::consumer_key(stream.id, &consumer.name)));
                    writes.push(Write::Delete(rows::policy_key(stream.id, Some(&consumer.name))));
                }
            }
        }
        if writes.is_empty() {
            return Ok(false);
        }
        let next = Stream { consumers: consumers.into(), consumers_gone: gone, ..(*stream).clone() };
        self.commit(changing, next, writes).await?;
        Ok(true)
    }
}

/// Nothing of a stream was created later, be it gone already: neither a shard nor a consumer.
fn last_created(stream: &Stream) -> Timestamp {
    let shards = stream.shards.open().map(|shard| shard.created);
    let consumers = stream.consumers.values().map(|consumer| consumer.created);
    shards.chain(consumers).fold(stream.created.max(stream.consumers_gone), Timestamp::max)
}

impl Changing {
    fn publish(&mut self, next: Stream) {
        self.entry.publish(next);
        self.stream = self.entry.stream();
    }

    /// From here on nothing more grows too old, until [`Changing::thaw_horizon`] or the commit of a state without it.
    pub(crate) fn freeze_horizon(&mut self, now: Timestamp) {
        let frozen_horizon = Some(self.stream.horizon(now));
        self.publish(Stream { frozen_horizon, ..(*self.stream).clone() });
    }

    pub(crate) fn thaw_horizon(&mut self) {
        self.publish(Stream { frozen_horizon: None, ..(*self.stream).clone() });
    }

    /// Tells whoever waits for the end of what is under way that it could not be finished for now.
    fn hold_up(&mut self, error: &StepError) {
        log_step_error(&self.stream, error);
        if !self.stream.is_held_up {
            self.publish(Stream { is_held_up: true, ..(*self.stream).clone() });
        }
    }

    /// Whether something waits to be finished.
    fn is_under_way(&self) -> bool {
        self.stream.change.is_some()
            || self.stream.consumers.values().any(|consumer| consumer.change.is_some())
    }
}

/// The write of a shard's row.
pub(crate) fn put_shard(stream: StreamId, shard: &Shard) -> Write {
    Write::Put(rows::shard_key(stream, shard.index), rows::encode(&ShardRow::of(shard)))
}

/// The shard map after a step, and the shards in it that are new or changed. `closed` says how the closing shards
/// ended, in the plan's order; all ended at the moment `at`, when the new ones open.
fn after(
    shards: &ShardMap,
    plan: &Plan,
    mut closed: Vec<(ShardIndex, Closed)>,
    at: Timestamp,
    now: Timestamp,
) -> (ShardMap, Vec<Shard>) {
    closed.sort_unstable_by_key(|(index, _)| *index);
    let mut all = shards.all().to_vec();
    let mut changed = Vec::with_capacity(plan.closing.len() + plan.opening.len());
    for shard in &mut all {
        if let Ok(place) = closed.binary_search_by_key(&shard.index, |(index, _)| *index) {
            shard.closed = Some(closed[place].1);
            changed.push(*shard);
        }
    }
    let this_second = Timestamp::from_seconds(i64::try_from(now.as_seconds()).unwrap_or(i64::MAX));
    for birth in &plan.opening {
        let parents_created = birth
            .parents()
            .map(|parent| shards.get(parent).expect("a plan closes listed shards").created)
            .max()
            .expect("every shard that is opened has a parent");
        let shard = Shard {
            index: birth.index,
            range: birth.range,
            created: this_second.max(parents_created.plus(Duration::from_secs(1))),
            opened: at,
            parent: Some(birth.parent),
            adjacent_parent: birth.adjacent_parent,
            closed: None,
        };
        all.push(shard);
        changed.push(shard);
    }
    let born = u32::try_from(plan.opening.len()).expect("shard indexes are 32 bits wide");
    (ShardMap::new(all, shards.next_index() + born), changed)
}

fn log_step_error(stream: &Stream, error: &StepError) {
    let status = stream.status().as_str();
    if error.may_pass() {
        tracing::warn!(stream = %stream.name, status, %error, "a change is not finished yet; trying again");
    } else {
        tracing::error!(stream = %stream.name, status, %error, "a change is not finished; the next start will");
    }
}
