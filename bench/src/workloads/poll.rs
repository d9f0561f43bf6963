//! A poller as clients have them: GetRecords in fixed intervals, each from where the last one ended.

use std::time::{Duration, Instant};

use crate::bodies::{self, Encoding};
use crate::client::Client;
use crate::load::{Counter, Request, Timer};
use crate::workloads::listen::RECORD_MARK;
use crate::workloads::subject::Subject;

/// What one call may ask for.
const LIMIT: usize = 10_000;
/// Whoever has not got all by then, never will: polls without a record, one after the other.
const EMPTY_MAX: Duration = Duration::from_secs(30);

/// A place behind the newest record of the stream's first shard.
pub(crate) async fn latest(subject: &Subject, stream: &str) -> String {
    let members = [
        ("StreamName", stream.into()),
        ("ShardId", "shardId-000000000000".into()),
        ("ShardIteratorType", "LATEST".into()),
    ];
    let answer = subject.control("GetShardIterator", &members).await;
    answer["ShardIterator"].as_str().expect("an iterator").to_owned()
}

/// Polls until so many records came; shows each answer.
///
/// # Panics
/// When no more come, or one too many.
pub(crate) async fn poll(
    subject: &Subject,
    mut iterator: String,
    every: Duration,
    wanted: u64,
    mut look: impl FnMut(&[u8]),
) {
    let mut client = Client::connect(subject.address()).await;
    let (mut timer, mut due, mut came) = (Timer::new(), Instant::now(), 0);
    let mut last = Instant::now();
    while came < wanted {
        timer.until(due).await;
        let members = [("ShardIterator", iterator.as_str().into()), ("Limit", LIMIT.into())];
        let body = bodies::flat(Encoding::Json, &members);
        let request = Request::kinesis("GetRecords", Encoding::Json, &body);
        let answer = client.call(request.whole()).await;
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(answer.body));
        look(answer.body);
        let records = Counter::new(RECORD_MARK).feed(answer.body);
        came += records;
        if records > 0 {
            last = Instant::now();
        }
        assert!(last.elapsed() < EMPTY_MAX, "{came} of {wanted} records came");
        iterator = bodies::text_of(answer.body, "NextShardIterator").expect("the shard is open");
        // Polls that are overdue are not made up for.
        due = (due + every).max(Instant::now());
    }
    assert_eq!(came, wanted, "no record comes twice");
}
