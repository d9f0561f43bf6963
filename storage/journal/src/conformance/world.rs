//! An engine beside the model of it: every call goes to both and is compared.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::join_all;
use thalweg_types::{Offset, ShardIndex, ShardKey, StreamId, Timestamp};

use super::model::{Attempt, Model, ModelRecord, check_shape, records_of};
use super::randomness::Randomness;
use super::{Instance, Pause, Stage, Stop};
use crate::{
    Append, AppendError, BoxFuture, Journal, NotAppliedReason, Read, ReadAnswer, Record, Run, RunOutcome,
};

/// The stream of most rules.
pub(super) const STREAM: StreamId = StreamId(1);
/// The shard of most rules.
pub(super) const SHARD: ShardKey = shard(0);
/// No limit, for reads.
pub(super) const ALL: u32 = u32::MAX;

/// So many times an append that is throttled is tried, before the engine counts as stuck.
const TRIES_MAX: u32 = 1_000_000;

pub(super) struct World<'s> {
    stage: &'s Stage<'s>,
    pub(super) instance: Box<dyn Instance>,
    pub(super) model: Model,
    pub(super) random: Randomness,
    /// Of the next record: makes each unique.
    serial: u64,
}

/// A shard of [`STREAM`].
pub(super) const fn shard(index: u32) -> ShardKey {
    ShardKey { stream: STREAM, shard: ShardIndex(index) }
}

/// A read of everything there is from an offset on.
pub(super) fn from(shard: ShardKey, from: Offset) -> Read {
    Read { shard, from, records_max: ALL, bytes_max: usize::MAX, not_before: Timestamp::ZERO }
}

impl<'s> World<'s> {
    /// A new engine with the first `shards` shards of [`STREAM`] open.
    pub(super) async fn start(stage: &'s Stage<'s>, shards: u32) -> Self {
        let instance = stage.harness.start().await;
        Self::with(stage, instance, shards, 1).await
    }

    pub(super) async fn with(
        stage: &'s Stage<'s>,
        instance: Box<dyn Instance>,
        shards: u32,
        seed: u64,
    ) -> Self {
        let random = Randomness::new(seed);
        let mut world = World { stage, instance, model: Model::default(), random, serial: 0 };
        world.open(STREAM, &(0..shards).collect::<Vec<_>>()).await;
        world
    }

    pub(super) fn journal(&self) -> Arc<dyn Journal> {
        self.instance.journal()
    }

    /// For tasks of their own.
    pub(super) fn appender(&self) -> Appender {
        Appender { journal: self.instance.journal(), pause: self.instance.pause() }
    }

    /// Appends without comparing; throttled appends are tried again.
    pub(super) async fn append_unchecked(&self, append: &Append) -> Result<Vec<RunOutcome>, AppendError> {
        self.step(format!("append {:?}", shape_of(append)));
        self.appender().append(append).await
    }

    pub(super) fn step(&self, step: impl Into<String>) {
        self.stage.step(step.into());
    }

    pub(super) async fn open(&mut self, stream: StreamId, shards: &[u32]) {
        self.step(format!("open {stream} {shards:?}"));
        let indexes: Vec<_> = shards.iter().copied().map(ShardIndex).collect();
        self.journal().open_shards(stream, &indexes).await.expect("the journal takes writes");
        for shard in indexes {
            self.model.shards.entry(ShardKey { stream, shard }).or_default();
        }
    }

    /// Opens a shard of [`STREAM`] in which nothing arrives before a time.
    pub(super) async fn open_after(&mut self, index: u32, not_before: Timestamp) {
        self.step(format!("open shard {index} after {not_before}"));
        let opened = self.journal().open_shards_after(STREAM, &[(ShardIndex(index), not_before)]).await;
        opened.expect("the journal takes writes");
        self.model.shards.entry(shard(index)).or_default().not_before = not_before;
    }

    /// Records of so many data bytes each (at least 8), as one run.
    pub(super) fn records(&mut self, data_bytes: &[usize]) -> Vec<u8> {
        let mut encoded = Vec::new();
        for &length in data_bytes {
            let key = format!("key-{}", self.serial);
            let data = self.data(length);
            Record { partition_key: Some(&key), explicit_hash_key: None, id: None, data: &data }
                .encode(&mut encoded);
        }
        encoded
    }

    /// Data that no other record has: a serial number first, at least 8 bytes.
    pub(super) fn data(&mut self, length: usize) -> Vec<u8> {
        self.serial += 1;
        let mut data = self.serial.to_be_bytes().to_vec();
        while data.len() < length {
            data.extend_from_slice(&self.random.next().to_le_bytes());
        }
        data.truncate(length.max(8));
        data
    }

    /// An append with a run of `count` small records for each of the shards.
    pub(super) fn append_for(&mut self, runs: &[(ShardKey, u32)]) -> Append {
        let encoded: Vec<_> = runs
            .iter()
            .map(|&(shard, count)| {
                let lengths: Vec<_> = (0..count).map(|_| 8 + self.random.below_usize(60)).collect();
                (shard, self.records(&lengths))
            })
            .collect();
        append_of(&encoded)
    }

    /// Appends and compares; throttled appends are tried again.
    pub(super) async fn append(&mut self, append: Append) -> Vec<RunOutcome> {
        let outcomes = self.append_unchecked(&append).await.expect("the journal takes writes");
        self.model.take(&append, &outcomes);
        outcomes
    }

    /// Appends small records to one shard, compares, and answers where and when the first one went.
    pub(super) async fn put(&mut self, shard: ShardKey, count: u32) -> (Offset, Timestamp) {
        let append = self.append_for(&[(shard, count)]);
        match self.append(append).await[..] {
            [RunOutcome::Placed { first, arrival }] => (first, arrival),
            ref outcomes => panic!("{shard} is open, but got {outcomes:?}"),
        }
    }

    pub(super) async fn seal(&mut self, shards: &[ShardKey]) {
        self.step(format!("seal {shards:?}"));
        let told = self.journal().seal(shards).await.expect("the journal takes writes");
        let expected: Vec<_> = shards.iter().map(|&key| self.model.shard(key).next()).collect();
        assert_eq!(told, expected, "a seal answers the ends of the shards, in the order asked");
        for &key in shards {
            self.model.shard_mut(key).sealed = true;
        }
    }

    pub(super) async fn trim(&mut self, trims: &[(ShardKey, Offset)]) {
        self.step(format!("trim {trims:?}"));
        self.journal().trim(trims).await.expect("the journal takes writes");
        for &(key, before) in trims {
            if let Some(shard) = self.model.shards.get_mut(&key) {
                shard.trimmed = shard.trimmed.max(before.min(shard.next()));
            }
        }
    }

    pub(super) async fn forget(&mut self, shards: &[ShardKey]) {
        self.step(format!("forget {shards:?}"));
        self.journal().forget_shards(shards).await.expect("the journal takes writes");
        shards.iter().for_each(|key| self.model.forget(*key));
    }

    pub(super) async fn delete(&mut self, stream: StreamId) {
        self.step(format!("delete {stream}"));
        self.journal().delete_stream(stream).await.expect("the journal takes writes");
        self.model.delete(stream);
    }

    /// Reads once and compares.
    pub(super) async fn read(&self, read: Read) -> ReadAnswer {
        self.step(format!("read {read:?}"));
        let answer = self.journal().read(read).await.expect("the shard exists");
        check_shape(&read, &answer);
        self.model.check_read(&read, &answer);
        answer
    }

    /// Reads and compares, call after call, to the shard's end. Answers how many records there were.
    pub(super) async fn read_to_end(&self, mut read: Read) -> u64 {
        let mut records = 0;
        loop {
            let answer = self.read(read).await;
            records += answer.runs.iter().map(|run| u64::from(run.count)).sum::<u64>();
            read.from = answer.next;
            if answer.next >= answer.tail.next {
                return records;
            }
        }
    }

    pub(super) async fn find_time(&self, key: ShardKey, at: Timestamp) {
        self.step(format!("find time {at} in {key}"));
        let told = self.journal().find_time(key, at).await.expect("the shard exists");
        assert_eq!(told, self.model.shard(key).find_time(at), "{at} in {key}");
    }

    /// Compares everything.
    pub(super) async fn verify(&mut self) {
        self.step("verify");
        let mut told = self.journal().shards();
        told.sort_unstable_by_key(|&(key, _)| key);
        assert_eq!(told, self.model.tails(), "the shards and their tails");
        for key in self.model.shards.keys().copied().collect::<Vec<_>>() {
            let shard = self.model.shard(key);
            assert_eq!(self.journal().tail(key).expect("it exists"), shard.tail(), "the tail of {key}");
            let watched = self.journal().watch(key).expect("it exists").current();
            assert_eq!(watched, shard.tail(), "the watched tail of {key}");
            let expected = shard.next() - shard.trimmed;
            let records_max = self.random.one_of(&[7, 100, ALL]);
            let bytes_max = self.random.one_of(&[200, 5_000, usize::MAX]);
            let records = self.read_to_end(Read { records_max, bytes_max, ..from(key, 0) }).await;
            assert_eq!(records, expected, "all records of {key}");
        }
    }

    /// Ends the engine, opens it again and compares everything. `false` when it keeps nothing.
    pub(super) async fn reopen(&mut self, after: Stop) -> bool {
        self.step(format!("reopen after {after:?}"));
        let reopened = self.instance.reopen(after).await;
        if reopened {
            self.verify().await;
        }
        reopened
    }

    /// Takes in what attempts left behind that were made side by side or stayed unanswered, then compares
    /// everything.
    pub(super) async fn reconcile(&mut self, attempts: &[Attempt]) {
        self.step(format!("reconcile {} attempts", attempts.len()));
        let journal = self.journal();
        let mut found = BTreeMap::new();
        for (&key, shard) in &self.model.shards {
            let mut records = Vec::new();
            let mut read = Read { records_max: 1000, ..from(key, shard.next()) };
            loop {
                let answer = journal.read(read).await.expect("the shard exists");
                check_shape(&read, &answer);
                for run in &answer.runs {
                    let arrival = run.arrival;
                    records.extend(
                        records_of(&run.bytes).into_iter().map(|encoded| ModelRecord { arrival, encoded }),
                    );
                }
                read.from = answer.next;
                if answer.next >= answer.tail.next {
                    break;
                }
            }
            found.insert(key, records);
        }
        self.model.reconcile(attempts, &found);
        self.verify().await;
    }
}

/// An append of these runs.
pub(super) fn append_of(runs: &[(ShardKey, Vec<u8>)]) -> Append {
    let mut bytes = Vec::new();
    let mut described = Vec::new();
    for (shard, encoded) in runs {
        let count = u32::try_from(records_of(&Bytes::copy_from_slice(encoded)).len()).expect("few records");
        described.push(Run::new(*shard, count, encoded));
        bytes.extend_from_slice(encoded);
    }
    Append { runs: described, bytes: Bytes::from(bytes) }
}

/// An append in few words.
fn shape_of(append: &Append) -> Vec<(String, u32, u32)> {
    append.runs.iter().map(|run| (run.shard.to_string(), run.count, run.length)).collect()
}

/// An engine, for appending again and again while it throttles.
#[derive(Clone)]
pub(super) struct Appender {
    pub(super) journal: Arc<dyn Journal>,
    pause: Pause,
}

impl Appender {
    pub(super) async fn append(&self, append: &Append) -> Result<Vec<RunOutcome>, AppendError> {
        for _ in 0..TRIES_MAX {
            match self.journal.append(append.clone()).await {
                Err(AppendError::NotApplied(NotAppliedReason::Throttled(_))) => (self.pause)().await,
                answer => return answer,
            }
        }
        panic!("an append is throttled for ever");
    }
}

/// Runs all of them at the same time: on the threads of the runtime where there is one, by turns otherwise.
pub(super) async fn side_by_side<T: Send + 'static>(tasks: Vec<BoxFuture<'static, T>>) -> Vec<T> {
    if tokio::runtime::Handle::try_current().is_err() {
        return join_all(tasks).await;
    }
    let running: Vec<_> = tasks.into_iter().map(tokio::spawn).collect();
    join_all(running).await.into_iter().map(|task| task.expect("a task of the rule failed")).collect()
}

/// Lets others run first.
pub(super) async fn yield_once() {
    YieldOnce(false).await;
}

struct YieldOnce(bool);

impl Future for YieldOnce {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
