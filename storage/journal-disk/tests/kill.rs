//! A program that is killed while it appends to a real disk: what it was answered is there when the next one looks.

#![allow(clippy::disallowed_methods, reason = "the test kills a process and looks at what it left")]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use support::history::read_all;
use thalweg_journal::record::Records;
use thalweg_journal::{Append, Journal, Record, Run, RunOutcome};
use thalweg_journal_disk::DiskJournal;
use thalweg_system::os::{OsClock, OsDisk, OsRandom, OsSpawn};
use thalweg_types::{ShardIndex, ShardKey, StreamId};

const CHILD: &str = "THALWEG_TEST_KILLED_WRITER";
const SHARDS: u32 = 3;
const KILLS: u32 = 6;

fn shard(index: u32) -> ShardKey {
    ShardKey { stream: StreamId(1), shard: ShardIndex(index) }
}

async fn open(directory: &Path) -> Arc<DiskJournal> {
    let journal = DiskJournal::open(
        Arc::new(OsDisk::open(directory).expect("the last process is gone")),
        Arc::new(OsClock::new()),
        Arc::new(OsSpawn),
        Arc::new(OsRandom),
        support::small_settings(),
    );
    Arc::new(journal.await.expect("it opens"))
}

/// Appends for ever, and prints "shard offset text" for each record that was answered.
async fn write_until_killed(directory: &Path, life: &str) {
    let journal = open(directory).await;
    let shards: Vec<_> = (0..SHARDS).map(ShardIndex).collect();
    journal.open_shards(StreamId(1), &shards).await.expect("it takes writes");
    let tasks = (0..SHARDS * 2).map(|task| {
        let journal = Arc::clone(&journal);
        async move {
            for serial in 0.. {
                let key = shard(task % SHARDS);
                let text = format!("{life}-{task}-{serial}-{}", "x".repeat(serial % 500));
                let mut bytes = Vec::new();
                Record { partition_key: None, explicit_hash_key: None, id: None, data: text.as_bytes() }
                    .encode(&mut bytes);
                let append = Append { runs: vec![Run::new(key, 1, &bytes)], bytes: Bytes::from(bytes) };
                let Ok(outcomes) = journal.append(append).await else {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    continue;
                };
                let RunOutcome::Placed { first, .. } = outcomes[0] else { panic!("the shard is open") };
                // One write: a line is printed whole or not at all.
                let line = format!("{} {first} {text}\n", key.shard.0);
                std::io::stdout().write_all(line.as_bytes()).expect("the parent reads");
            }
        }
    });
    join_all(tasks).await;
}

#[test]
fn what_a_killed_process_was_answered_is_there() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("no needs");
    if let Some(directory) = std::env::var_os(CHILD) {
        let life = std::env::var("THALWEG_TEST_LIFE").expect("the parent sets both");
        runtime.block_on(write_until_killed(Path::new(&directory), &life));
        return;
    }
    let directory = tempfile::tempdir().expect("tests may write");
    let data = directory.path().join("data");
    let mut answered: Vec<(u32, usize, String)> = Vec::new();
    for life in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().expect("a test is a program"))
            .args(["--exact", "what_a_killed_process_was_answered_is_there", "--nocapture"])
            .env(CHILD, &data)
            .env("THALWEG_TEST_LIFE", life.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the test program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut line = String::new();
        // Some are killed early, some after the ring has come round.
        let wanted = [5, 40, 300, 900, 1500, 2500][life as usize];
        let mut seen = 0;
        let mut killed = false;
        loop {
            line.clear();
            if lines.read_line(&mut line).expect("the pipe works") == 0 {
                break;
            }
            // The harness prints lines of its own.
            let mut parts = line.trim_end().splitn(3, ' ');
            let (Some(Ok(index)), Some(Ok(offset)), Some(text)) =
                (parts.next().map(str::parse), parts.next().map(str::parse), parts.next())
            else {
                continue;
            };
            answered.push((index, offset, text.to_owned()));
            seen += 1;
            if seen == wanted {
                child.kill().expect("it runs");
                killed = true;
            }
        }
        child.wait().expect("it was started");
        assert!(killed, "the writer of life {life} ended by itself after {seen} records");
        runtime.block_on(async {
            let journal = open(&data).await;
            for index in 0..SHARDS {
                let found = read_all(&*journal, shard(index)).await.expect("it can be read");
                let texts: Vec<String> = found
                    .iter()
                    .map(|(_, record)| {
                        let record = Records::new(record).next().expect("one").expect("it was checked");
                        String::from_utf8(record.data.to_vec()).expect("texts were written")
                    })
                    .collect();
                for (_, offset, text) in answered.iter().filter(|(of, ..)| *of == index) {
                    assert_eq!(texts.get(*offset), Some(text), "shard {index}, offset {offset}");
                }
                let mut unique = texts.clone();
                unique.sort_unstable();
                unique.dedup();
                assert_eq!(unique.len(), texts.len(), "no record of shard {index} is there twice");
            }
            journal.shutdown().await;
        });
    }
}
