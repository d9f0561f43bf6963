//! Seeded random operations, each compared with the model.

use std::collections::BTreeMap;
use std::time::Duration;

use thalweg_types::{ShardIndex, ShardKey, StreamId, Timestamp};

use super::model::Attempt;
use super::world::{ALL, World, append_of};
use super::{NO_REOPEN, Stage, Stop, Verdict};
use crate::{Append, Read, Record, TailWatch};

/// Streams that exist at the same time, at most.
const STREAMS_MAX: u64 = 4;
/// Shards of a stream, at most.
const SHARDS_MAX: u32 = 5;

pub(super) async fn random_operations_match_the_model(stage: &Stage<'_>) -> Verdict {
    run(stage, false).await
}

pub(super) async fn random_operations_and_starts_match_the_model(stage: &Stage<'_>) -> Verdict {
    run(stage, true).await
}

async fn run(stage: &Stage<'_>, with_starts: bool) -> Verdict {
    for seed in stage.harness.seeds() {
        // Shown when the rule is broken, as the steps are.
        eprintln!("journal rule: seed {seed}");
        let instance = stage.harness.start().await;
        let world = World::with(stage, instance, 3, seed).await;
        let mut walk = Walk { world, watches: BTreeMap::new(), stream_last: 1 };
        if with_starts && !walk.world.reopen(Stop::Clean).await {
            return NO_REOPEN;
        }
        for step in 0..stage.harness.random_steps() {
            walk.world.step(format!("seed {seed}, step {step}:"));
            walk.step(with_starts).await;
        }
        walk.world.verify().await;
    }
    Verdict::Held
}

struct Walk<'s> {
    world: World<'s>,
    watches: BTreeMap<ShardKey, TailWatch>,
    /// The newest stream: ids are never used again.
    stream_last: u64,
}

impl Walk<'_> {
    async fn step(&mut self, with_starts: bool) {
        match self.world.random.below(100) {
            0..45 => {
                let append = self.some_append();
                self.world.append(append).await;
            }
            45..62 => self.read().await,
            62..68 => self.find_time().await,
            68..74 => self.watch(),
            74..77 => self.seal().await,
            77..82 => self.trim().await,
            82..86 => self.open().await,
            86 => self.delete().await,
            87 => self.forget().await,
            88..92 => {
                let millis = self.world.random.one_of(&[1, 50, 5_000]);
                self.world.instance.advance(Duration::from_millis(millis));
            }
            92..94 => {
                let millis = self.world.random.one_of(&[-5_000, -1, 1, 5_000]);
                self.world.instance.step_wall(millis);
            }
            94..96 => self.world.verify().await,
            _ if with_starts => self.start_again().await,
            _ => {}
        }
    }

    /// Mostly one that exists.
    fn some_shard(&mut self) -> ShardKey {
        let keys: Vec<_> = self.world.model.shards.keys().copied().collect();
        if keys.is_empty() || self.world.random.below(20) == 0 {
            let stream = StreamId(1 + self.world.random.below(self.stream_last + 1));
            return ShardKey { stream, shard: ShardIndex(self.world.random.below_u32(SHARDS_MAX)) };
        }
        self.world.random.one_of(&keys)
    }

    fn existing_shard(&mut self) -> Option<ShardKey> {
        let keys: Vec<_> = self.world.model.shards.keys().copied().collect();
        (!keys.is_empty()).then(|| self.world.random.one_of(&keys))
    }

    fn some_append(&mut self) -> Append {
        let mut runs: BTreeMap<ShardKey, Vec<u8>> = BTreeMap::new();
        for _ in 0..1 + self.world.random.below(4) {
            let key = self.some_shard();
            let mut encoded = Vec::new();
            for _ in 0..1 + self.world.random.below(8) {
                self.some_record(&mut encoded);
            }
            runs.insert(key, encoded);
        }
        append_of(&runs.into_iter().collect::<Vec<_>>())
    }

    fn some_record(&mut self, encoded: &mut Vec<u8>) {
        let random = &mut self.world.random;
        let length = random.one_of(&[8, 8, 30, 100, 300, 1500]) + random.below_usize(8);
        let partition_key = random.one_of(&[None, Some("k"), Some("a longer partition key")]);
        let explicit_hash_key = random.one_of(&[None, None, Some(u128::MAX / 3)]);
        let id = random.one_of(&[None, None, Some(&b"id"[..])]);
        let data = self.world.data(length);
        Record { partition_key, explicit_hash_key, id, data: &data }.encode(encoded);
    }

    async fn read(&mut self) {
        let Some(shard) = self.existing_shard() else { return };
        let next = self.world.model.shard(shard).next();
        let from = self.world.random.below(next + 3);
        let not_before =
            if self.world.random.below(3) == 0 { self.some_time(shard) } else { Timestamp::ZERO };
        let records_max = self.world.random.one_of(&[1, 2, 5, 40, ALL]);
        let bytes_max = self.world.random.one_of(&[0, 100, 1_000, 10_000, usize::MAX]);
        self.world.read(Read { shard, from, records_max, bytes_max, not_before }).await;
    }

    /// At or beside the arrival of a record.
    fn some_time(&mut self, shard: ShardKey) -> Timestamp {
        let records = &self.world.model.shard(shard).records;
        if records.is_empty() {
            return Timestamp::ZERO;
        }
        let arrival = records[self.world.random.below_usize(records.len())].arrival;
        Timestamp::from_millis(arrival.as_millis() + self.world.random.one_of(&[-1, 0, 1]))
    }

    async fn find_time(&mut self) {
        let Some(shard) = self.existing_shard() else { return };
        let at = self.some_time(shard);
        self.world.find_time(shard, at).await;
    }

    fn watch(&mut self) {
        let Some(shard) = self.existing_shard() else { return };
        let journal = self.world.journal();
        let watch = self.watches.entry(shard).or_insert_with(|| journal.watch(shard).expect("it exists"));
        assert_eq!(watch.current(), self.world.model.shard(shard).tail(), "the watched tail of {shard}");
    }

    async fn seal(&mut self) {
        let mut shards = Vec::new();
        for _ in 0..1 + self.world.random.below(2) {
            shards.extend(self.existing_shard());
        }
        self.world.seal(&shards).await;
    }

    async fn trim(&mut self) {
        let mut trims = Vec::new();
        for _ in 0..1 + self.world.random.below(3) {
            let key = self.some_shard();
            let next = self.world.model.shards.get(&key).map_or(0, super::model::ModelShard::next);
            trims.push((key, self.world.random.below(next + 2)));
        }
        self.world.trim(&trims).await;
    }

    async fn open(&mut self) {
        let streams: std::collections::BTreeSet<_> =
            self.world.model.shards.keys().map(|key| key.stream).collect();
        let streams: Vec<_> = streams.into_iter().collect();
        let new =
            streams.is_empty() || ((streams.len() as u64) < STREAMS_MAX && self.world.random.below(2) == 0);
        let stream = if new {
            self.stream_last += 1;
            StreamId(self.stream_last)
        } else {
            self.world.random.one_of(&streams)
        };
        let shards: Vec<_> =
            (0..1 + self.world.random.below(3)).map(|_| self.world.random.below_u32(SHARDS_MAX)).collect();
        let may_open =
            |shard: &u32| self.world.model.may_open(ShardKey { stream, shard: ShardIndex(*shard) });
        let shards: Vec<_> = shards.into_iter().filter(may_open).collect();
        self.world.open(stream, &shards).await;
    }

    /// One that is there, mostly one of which nothing is left.
    async fn forget(&mut self) {
        let Some(key) = self.existing_shard() else { return };
        if self.world.random.below(3) > 0 {
            self.world.seal(&[key]).await;
            let end = self.world.model.shard(key).next();
            self.world.trim(&[(key, end)]).await;
        }
        let unknown = self.some_shard();
        self.world.forget(&[key, unknown]).await;
        for (key, watch) in &mut self.watches {
            let is_gone = !self.world.model.shards.contains_key(key);
            assert_eq!(watch.current().deleted, is_gone, "the watcher of {key} knows");
        }
        self.watches.retain(|key, _| self.world.model.shards.contains_key(key));
    }

    async fn delete(&mut self) {
        let Some(ShardKey { stream, .. }) = self.existing_shard() else { return };
        self.world.delete(stream).await;
        for (key, watch) in &mut self.watches {
            assert!(key.stream != stream || watch.current().deleted, "the watcher of {key} knows");
        }
        self.watches.retain(|key, _| key.stream != stream);
    }

    async fn start_again(&mut self) {
        self.watches.clear();
        if self.world.random.below(2) == 0 {
            assert!(self.world.reopen(Stop::Clean).await, "it could be opened before");
            return;
        }
        let mut attempts = Vec::new();
        for _ in 0..self.world.random.below(4) {
            let append = self.some_append();
            drop(self.world.journal().append(append.clone()));
            attempts.push(Attempt { append, outcomes: None });
        }
        self.world.step(format!("crash, with {} appends under way", attempts.len()));
        assert!(self.world.instance.reopen(Stop::Crash).await, "it could be opened before");
        self.world.reconcile(&attempts).await;
    }
}
