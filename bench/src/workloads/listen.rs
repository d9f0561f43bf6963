//! Subscriptions as clients hold them: streams that are read as fast as they come, over either version of HTTP.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::bodies::{self, Encoding};
use crate::load::{Counter, Pool, Request, Version};
use crate::workloads::subject::Subject;

/// Whoever has not got what it waits for by then, never will.
const PATIENCE: Duration = Duration::from_secs(60);
/// Names of consumers begin so.
const NAME: &str = "consumer";
/// A member that every record in an answer has once, by the same name in JSON and CBOR.
pub(crate) const RECORD_MARK: &[u8] = b"ApproximateArrivalTimestamp";

/// When a listener has had enough.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Enough {
    /// So many records.
    Records(u64),
    /// So many bytes: a floor's pieces have no records in them. They are searched all the same.
    Bytes(u64),
}

/// Called with each piece that arrives.
pub(crate) type Look = dyn Fn(&[u8]);

/// Open streams.
pub(crate) struct Listeners {
    tasks: Vec<JoinHandle<()>>,
    seen: Rc<Seen>,
}

#[derive(Default)]
struct Seen {
    begun: Cell<usize>,
    changed: Notify,
    records: Cell<u64>,
    bytes: Cell<u64>,
}

impl Listeners {
    /// Opens a stream by each request and returns when all have begun.
    pub(crate) async fn open(
        address: &str,
        version: Version,
        requests: Vec<Request>,
        enough: Enough,
        look: Option<Rc<Look>>,
    ) -> Listeners {
        let seen = Rc::new(Seen::default());
        let mut tasks = Vec::new();
        let lanes = Pool::connect(address, version, requests.len()).await.into_lanes();
        for (mut lane, request) in lanes.into_iter().zip(requests) {
            let (mine, look) = (Rc::clone(&seen), look.clone());
            let counter = RefCell::new(Counter::new(RECORD_MARK));
            let begun = Cell::new(false);
            let received = Cell::new(0);
            tasks.push(tokio::task::spawn_local(async move {
                let piece = |piece: &[u8]| {
                    if !begun.replace(true) {
                        mine.begun.set(mine.begun.get() + 1);
                        mine.changed.notify_one();
                    }
                    if let Some(look) = &look {
                        look(piece);
                    }
                    let mut counter = counter.borrow_mut();
                    let before = counter.count;
                    let count = counter.feed(piece);
                    mine.records.set(mine.records.get() + count - before);
                    mine.bytes.set(mine.bytes.get() + piece.len() as u64);
                    received.set(received.get() + piece.len() as u64);
                    match enough {
                        Enough::Records(wanted) => count >= wanted,
                        Enough::Bytes(wanted) => received.get() >= wanted,
                    }
                };
                lane.stream(&request, piece).await;
                let (count, received) = (counter.borrow().count, received.get());
                let full = match enough {
                    Enough::Records(wanted) => count == wanted,
                    Enough::Bytes(wanted) => received >= wanted,
                };
                assert!(full, "{enough:?} wanted, but {count} records and {received} bytes came");
            }));
        }
        let listeners = Listeners { tasks, seen };
        let all = async {
            while listeners.seen.begun.get() < listeners.tasks.len() {
                listeners.seen.changed.notified().await;
            }
        };
        tokio::time::timeout(PATIENCE, all).await.expect("all streams begin");
        listeners
    }

    /// Waits until each had enough; answers how many records and bytes came in all.
    pub(crate) async fn finish(self) -> (u64, u64) {
        for task in self.tasks {
            let task = tokio::time::timeout(PATIENCE, task).await.expect("all records are delivered");
            task.expect("listeners do not panic");
        }
        (self.seen.records.get(), self.seen.bytes.get())
    }
}

/// Registers consumers of a stream; their ARNs.
pub(crate) async fn register(subject: &Subject, stream: &str, count: usize) -> Vec<String> {
    let summary = subject.control("DescribeStreamSummary", &[("StreamName", stream.into())]).await;
    let arn = &summary["StreamDescriptionSummary"]["StreamARN"];
    let mut consumers = Vec::new();
    for number in 0..count {
        let members = [("StreamARN", arn.clone()), ("ConsumerName", format!("{NAME}-{number}").into())];
        let consumer = subject.control("RegisterStreamConsumer", &members).await;
        consumers.push(consumer["Consumer"]["ConsumerARN"].as_str().expect("an ARN").to_owned());
    }
    consumers
}

/// SubscribeToShard of the first shard, from `LATEST` or `TRIM_HORIZON` on.
pub(crate) fn subscription(encoding: Encoding, consumer: &str, from: &str) -> Request {
    let members = [
        ("ConsumerARN", consumer.into()),
        ("ShardId", "shardId-000000000000".into()),
        ("StartingPosition", serde_json::json!({"Type": from})),
    ];
    Request::kinesis("SubscribeToShard", encoding, &bodies::flat(encoding, &members))
}
