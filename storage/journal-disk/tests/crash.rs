//! After a crash at any moment: what was answered is there, in order and unchanged; what was not answered is there
//! whole and once, or not at all; and this stays so over further crashes, also ones in the middle of a recovery.

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use support::Machine;
use support::history::{Attempt, History, is_throttled};
use thalweg_journal::{AppendError, Health, Journal};
use thalweg_journal_disk::{BLOCK_BYTES, DiskJournal, Settings};
use thalweg_system::Clock;
use thalweg_system::simulated::{Crash, SeededRandom, SimulatedDisk};
use thalweg_types::{ShardIndex, ShardKey, StreamId};

const STREAMS: u64 = 3;
const SHARDS: u32 = 3;

fn shard(stream: u64, index: u32) -> ShardKey {
    ShardKey { stream: StreamId(stream), shard: ShardIndex(index) }
}

/// How the machine goes down, and how much of the disk's cache survives.
fn some_crash(random: &SeededRandom) -> Crash {
    match random.below(4) {
        0 => Crash::Process,
        1 => Crash::PowerNothing,
        2 => Crash::PowerEverything,
        _ => Crash::Power(random.below(u64::MAX)),
    }
}

/// Counts an answer that says nothing as none.
fn known<T>(answer: Result<T, AppendError>) -> Option<Result<T, AppendError>> {
    match answer {
        Err(AppendError::OutcomeUnknown(_)) => None,
        answer => Some(answer),
    }
}

/// Appends, trims, seals, forgets and deletes for a while, several at a time, until done or until the disk stops.
async fn work(journal: &Arc<DiskJournal>, machine: &Machine, history: &Arc<Mutex<History>>, steps: u64) {
    let tasks = (0..4).map(|_| async {
        for _ in 0..steps {
            if machine.disk.is_stopped() {
                return;
            }
            step(journal, machine, history).await;
        }
    });
    join_all(tasks).await;
}

async fn step(journal: &Arc<DiskJournal>, machine: &Machine, history: &Arc<Mutex<History>>) {
    let random = &machine.random;
    let lock = || history.lock().expect("no holder panics");
    let key = some_shard(random, &lock());
    match random.below(100) {
        0..3 => {
            let Ok(tail) = journal.tail(key) else { return };
            let before = tail.trimmed + random.below(tail.next - tail.trimmed + 1);
            lock().asked_trim(key, before, false);
            if let Some(Ok(())) = known(journal.trim(&[(key, before)]).await) {
                lock().asked_trim(key, before, true);
            }
        }
        // Only one shard of a stream is ever sealed at a time, so that work goes on.
        3 if key.shard >= ShardIndex(2) && journal.tail(key).is_ok() => {
            lock().asked_seal(key, None);
            if let Some(Ok(ends)) = known(journal.seal(&[key]).await) {
                lock().asked_seal(key, Some(ends[0]));
            }
        }
        4 if key.stream == StreamId(3) && random.one_in(4) => {
            lock().asked_delete(key.stream, false);
            if let Some(Ok(())) = known(journal.delete_stream(key.stream).await) {
                lock().asked_delete(key.stream, true);
            }
        }
        11..15 if key.shard >= ShardIndex(2) && journal.tail(key).is_ok_and(|tail| tail.sealed) => {
            forget(journal, history, key).await;
        }
        // The newest one was forgotten before the end of a life, and none took its place.
        15 if key.shard < ShardIndex(2) => {
            let newest = lock().newest(key.stream);
            let is_deleted = lock().is_deleted(key.stream);
            if newest.is_some_and(|newest| newest.shard < ShardIndex(2)) && !is_deleted {
                open_next(journal, history, key.stream).await;
            }
        }
        5..10 => {
            // Time passes, so that chores are done.
            machine.clock.sleep(Duration::from_millis(random.below(300))).await;
        }
        10 if key.stream == StreamId(2) => {
            // From now on it keeps what is younger than a second or so; told again after some of the starts.
            lock().may_expire_all(key.stream);
            journal.set_retention(key.stream, Duration::from_millis(500 + random.below(1000)));
        }
        _ => {
            let mut runs = vec![(key, 1 + random.below(5) as u32)];
            if random.one_in(3) {
                let other = some_shard(random, &lock());
                if other != key {
                    runs.push((other, 1 + random.below(3) as u32));
                }
            }
            let bytes = if random.one_in(10) { random.below(2000) } else { random.below(200) };
            let append = lock().append_for(&runs, bytes as usize);
            let index = {
                let mut history = lock();
                history.attempts.push(Attempt { append: append.clone(), answer: None });
                history.attempts.len() - 1
            };
            let commit = journal.append(append);
            if random.one_in(20) {
                // Nobody waits: it may be applied all the same.
                return;
            }
            let answer = known(commit.await);
            if answer.as_ref().is_some_and(|answer| answer.as_ref().is_err_and(is_throttled)) {
                machine.clock.sleep(Duration::from_millis(5)).await;
            }
            lock().attempts[index].answer = answer;
        }
    }
}

/// One of the first two shards of a stream, or its newest.
fn some_shard(random: &SeededRandom, history: &History) -> ShardKey {
    let key = shard(1 + random.below(STREAMS), random.below(u64::from(SHARDS)) as u32);
    match key.shard {
        ShardIndex(0 | 1) => key,
        _ => history.newest(key.stream).unwrap_or(key),
    }
}

/// Trims and forgets a sealed shard, and opens another one in its place.
async fn forget(journal: &Arc<DiskJournal>, history: &Arc<Mutex<History>>, key: ShardKey) {
    let lock = || history.lock().expect("no holder panics");
    let Ok(tail) = journal.tail(key) else { return };
    lock().asked_trim(key, tail.next, false);
    let Some(Ok(())) = known(journal.trim(&[(key, tail.next)]).await) else { return };
    lock().asked_trim(key, tail.next, true);
    lock().asked_forget(key, false);
    let Some(Ok(())) = known(journal.forget_shards(&[key]).await) else { return };
    lock().asked_forget(key, true);
    if lock().is_deleted(key.stream) {
        return;
    }
    let refused = journal.open_shards(key.stream, &[key.shard]).await;
    assert!(refused.is_err() || lock().is_deleted(key.stream), "{key} is never made again");
    open_next(journal, history, key.stream).await;
}

async fn open_next(journal: &Arc<DiskJournal>, history: &Arc<Mutex<History>>, stream: StreamId) {
    let lock = || history.lock().expect("no holder panics");
    let next = lock().asked_open(stream);
    if stream == StreamId(2) {
        lock().may_expire(next);
    }
    if let Some(Ok(())) = known(journal.open_shards(stream, &[next.shard]).await) {
        lock().opened(next);
    }
}

async fn open_all(journal: &Arc<DiskJournal>, history: &Arc<Mutex<History>>) -> Result<(), AppendError> {
    for stream in 1..=STREAMS {
        let indexes: Vec<_> = (0..SHARDS).map(ShardIndex).collect();
        journal.open_shards(StreamId(stream), &indexes).await?;
        for index in 0..SHARDS {
            history.lock().expect("no holder panics").opened(shard(stream, index));
        }
    }
    Ok(())
}

/// Several lives of one journal, each ended at a random call to the disk.
///
/// Answers how many shards were forgotten.
fn check_lives(seed: u64, lives: u32) -> usize {
    println!("seed {seed}");
    let mut machine =
        Machine::new(seed, Settings { chores_interval: Duration::from_millis(50), ..Settings::tiny() });
    if seed.is_multiple_of(2) {
        // The blocks that real disks have.
        machine.disk = SimulatedDisk::with_alignment(BLOCK_BYTES);
    }
    let history = Arc::new(Mutex::new(History::default()));
    let spawn = machine.spawn.clone();
    spawn.block_on(async {
        let journal = machine.open().await;
        open_all(&journal, &history).await.expect("nothing fails yet");
        crash(&mut machine);
        drop(journal);
        for _ in 0..lives {
            // Some of the starts are cut short, some of them several times.
            while machine.random.one_in(3) {
                machine.disk.stop_at_call(1 + machine.random.below(40));
                if let Ok(journal) = machine.try_open().await {
                    work(&journal, &machine, &history, 2).await;
                }
                crash(&mut machine);
            }
            let journal = machine.open().await;
            verify(&history, &journal).await;
            machine.disk.stop_at_call(1 + machine.random.below(600));
            work(&journal, &machine, &history, 60).await;
            if !machine.disk.is_stopped() && machine.random.one_in(3) {
                journal.shutdown().await;
            }
            crash(&mut machine);
        }
        let journal = machine.open().await;
        verify(&history, &journal).await;
        assert_eq!(journal.health(), Health::Ready);
    });
    let history = history.lock().expect("no holder panics");
    history.forgotten
}

fn crash(machine: &mut Machine) {
    let how = some_crash(&machine.random);
    machine.crash(how);
}

async fn verify(history: &Arc<Mutex<History>>, journal: &Arc<DiskJournal>) {
    let mut taken = std::mem::take(&mut *history.lock().expect("no holder panics"));
    taken.verify(&**journal).await;
    *history.lock().expect("no holder panics") = taken;
}

#[test]
fn nothing_answered_is_lost_and_nothing_else_appears() {
    let mut forgotten = 0;
    for seed in support::seeds(100) {
        forgotten += check_lives(seed, 6);
    }
    println!("{forgotten} shards were forgotten");
    assert!(forgotten > 0, "a crash may come behind that, too");
}
