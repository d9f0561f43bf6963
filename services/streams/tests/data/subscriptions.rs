//! SubscribeToShard: what is refused, what is pushed, and how it ends. Time is moved by hand.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use thalweg_api::kinesis::Kinesis;
use thalweg_api::{Call, EventRoom, EventStream, Room};
use thalweg_model::kinesis::{PutRecordInput, StartingPosition, SubscribeToShardInput};
use thalweg_shape::{Failure, Value};
use thalweg_system::Clock;
use thalweg_types::{ShardIndex, Timestamp};
use thalweg_wire::{Protocol, event_stream};

use crate::calls::{From, LAST, entry, parse};
use crate::clock::{decrease, increase};
use crate::watched::watched_world;
use crate::world::{ACCOUNT, START, World, arn, assert_failure, call, hours, yield_often};

const INVALID: &str = "InvalidArgumentException";
const NOT_FOUND: &str = "ResourceNotFoundException";
const IN_USE: &str = "ResourceInUseException";
const MIDDLE: &str = "170141183460469231731687303715884105728";

/// A frame, understood.
#[derive(Debug, PartialEq)]
enum Event {
    Begun,
    Records { data: Vec<String>, continuation: Option<String>, behind: i64, children: Vec<String> },
    Failed { code: String, message: String },
}

struct Session {
    stream: EventStream,
    protocol: Protocol,
}

impl Session {
    fn poll_bytes(&mut self) -> Poll<Option<Bytes>> {
        self.stream.as_mut().poll_next(&mut Context::from_waker(Waker::noop()))
    }

    /// What comes without waiting; None: nothing does.
    fn now(&mut self) -> Option<Event> {
        match self.poll_bytes() {
            Poll::Pending => None,
            Poll::Ready(frame) => Some(read(&frame.expect("it lasts"), self.protocol)),
        }
    }

    #[track_caller]
    fn expect_data(&mut self, expected: &[&str]) -> String {
        match self.now() {
            Some(Event::Records { data, continuation: Some(continuation), children, .. }) => {
                assert_eq!(data, expected);
                assert!(children.is_empty());
                continuation
            }
            other => panic!("{other:?} instead of {expected:?}"),
        }
    }

    #[track_caller]
    fn expect_nothing(&mut self) {
        assert_eq!(self.now(), None);
    }

    #[track_caller]
    fn expect_end(&mut self) {
        assert_eq!(self.poll_bytes(), Poll::Ready(None));
    }

    #[track_caller]
    fn expect_failure(&mut self, code: &str, message: &str) {
        let expected = Event::Failed { code: code.to_owned(), message: message.to_owned() };
        assert_eq!(self.now(), Some(expected));
        self.expect_end();
    }

    async fn next(&mut self) -> Option<Bytes> {
        std::future::poll_fn(|context| self.stream.as_mut().poll_next(context)).await
    }
}

fn read(frame: &[u8], protocol: Protocol) -> Event {
    let (frame, length) = event_stream::decode(frame).expect("a good frame").expect("a whole frame");
    assert!(length > 0);
    assert_eq!(frame.header(":content-type"), Some(protocol.content_type()));
    let payload = protocol.decode(frame.payload).expect("of its protocol");
    let text = |value: Option<&Value>| match value {
        Some(Value::Text(text)) => Some(text.clone()),
        None => None,
        other => panic!("{other:?} is no text"),
    };
    let list = |value: Option<&Value>| match value {
        Some(Value::List(list)) => list.clone(),
        None => vec![],
        other => panic!("{other:?} is no list"),
    };
    if frame.header(":message-type") == Some("exception") {
        let code = frame.header(":exception-type").expect("always there").to_owned();
        return Event::Failed { code, message: text(payload.member("message")).expect("always there") };
    }
    assert_eq!(frame.header(":message-type"), Some("event"));
    if frame.header(":event-type") == Some("initial-response") {
        return Event::Begun;
    }
    assert_eq!(frame.header(":event-type"), Some("SubscribeToShardEvent"));
    let data = list(payload.member("Records")).into_iter().map(|record| match record.member("Data") {
        Some(Value::Bytes(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
        Some(Value::Text(text)) => {
            let bytes = base64_simd::STANDARD.decode_to_vec(text).expect("base64");
            String::from_utf8_lossy(&bytes).into_owned()
        }
        other => panic!("{other:?} is no data"),
    });
    let data = data.collect();
    let children = list(payload.member("ChildShards"));
    assert!(payload.member("ChildShards").is_none() || !children.is_empty(), "never an empty list");
    let children =
        children.iter().map(|child| text(child.member("ShardId")).expect("always there")).collect();
    let Some(Value::Integer(behind)) = payload.member("MillisBehindLatest") else {
        panic!("MillisBehindLatest is always there")
    };
    let continuation = text(payload.member("ContinuationSequenceNumber"));
    Event::Records { data, continuation, behind: *behind, children }
}

impl World {
    async fn try_subscribe_in(
        &self,
        protocol: Protocol,
        consumer: &str,
        shard: &str,
        from: From,
        dry_run: Option<bool>,
    ) -> Result<Session, Failure> {
        self.try_subscribe_by(Call::unlimited("test", protocol), consumer, shard, from, dry_run).await
    }

    async fn try_subscribe_by(
        &self,
        call: Call,
        consumer: &str,
        shard: &str,
        from: From,
        dry_run: Option<bool>,
    ) -> Result<Session, Failure> {
        let input = SubscribeToShardInput {
            consumer_arn: consumer.to_owned(),
            dry_run,
            shard_id: shard.to_owned(),
            starting_position: StartingPosition {
                sequence_number: from.number,
                timestamp: from.time,
                type_: from.kind,
            },
            stream_id: None,
        };
        let stream = self.streams.subscribe_to_shard(&call, input).await?;
        Ok(Session { stream, protocol: call.protocol })
    }

    async fn try_subscribe(&self, consumer: &str, shard: &str, from: From) -> Result<Session, Failure> {
        self.try_subscribe_in(Protocol::AwsJson11, consumer, shard, from, None).await
    }

    /// A subscription that has begun.
    async fn subscribe(&self, consumer: &str, shard: &str, from: From) -> Session {
        let mut session = self.try_subscribe(consumer, shard, from).await.expect("it can be read");
        assert_eq!(session.now(), Some(Event::Begun));
        session
    }

    /// A stream of one shard (or more) and a consumer's ARN.
    async fn with_consumer(shards: i32) -> (World, String) {
        let world = World::new().await;
        world.create("orders", shards).await;
        world.until_active("orders").await;
        let consumer = world.register("orders", "billing").await.expect("registered");
        yield_often().await;
        (world, consumer.consumer_arn)
    }
}

fn exists(shard: u32) -> String {
    let shard = ShardIndex(shard);
    format!("Another active subscription exists for this consumer: {ACCOUNT}:orders:{shard}:billing")
}

#[tokio::test]
async fn records_are_pushed_as_they_are_committed() {
    let (world, consumer) = World::with_consumer(1).await;
    world.put("orders", "k", b"before").await.expect("taken");
    let mut session = world.subscribe(&consumer, "shardId-0", From::LATEST).await;
    session.expect_nothing();
    let waiting = tokio::spawn(async move {
        let frame = session.next().await.expect("it lasts");
        (read(&frame, session.protocol), session)
    });
    yield_often().await;
    let number = world.number_of("orders", "k", b"one").await;
    // No time passes: what wakes the subscription is the commit.
    let (event, mut session) = waiting.await.expect("it ends");
    let expected = Event::Records {
        data: vec!["one".to_owned()],
        continuation: Some(number),
        behind: 0,
        children: vec![],
    };
    assert_eq!(event, expected);
    session.expect_nothing();
    world.put_many("orders", vec![entry("a", b"two"), entry("b", b"three")]).await.expect("taken");
    session.expect_data(&["two", "three"]);
    session.expect_nothing();
}

#[tokio::test]
async fn each_type_of_position_starts_where_it_says() {
    let (world, consumer) = World::with_consumer(1).await;
    let first = world.number_of("orders", "k", b"a").await;
    world.clock.advance(Duration::from_secs(10));
    world.put("orders", "k", b"b").await.expect("taken");
    let time = Timestamp::from_seconds(START + 1);
    for (from, expected) in [
        (From::HORIZON, &["a", "b"] as &[&str]),
        (From::at(&first), &["a", "b"]),
        (From::after(&first), &["b"]),
        (From::time(time), &["b"]),
        (From::at("0"), &["a", "b"]),
    ] {
        world.clock.advance(Duration::from_secs(5));
        world.subscribe(&consumer, "shardId-0", from).await.expect_data(expected);
    }
}

#[tokio::test]
async fn a_reader_that_catches_up_gets_bounded_events() {
    let (world, consumer) = World::with_consumer(1).await;
    let data = "x".repeat(400 << 10);
    for _ in 0..4 {
        world.put("orders", "k", data.as_bytes()).await.expect("taken");
    }
    world.clock.advance(Duration::from_secs(7));
    let mut session = world.subscribe(&consumer, "shardId-0", From::HORIZON).await;
    for expected in [7_000, 0] {
        match session.now() {
            Some(Event::Records { data, behind, .. }) => {
                assert_eq!((data.len(), behind), (2, expected), "two records of 400 KiB are below 1 MiB");
            }
            other => panic!("{other:?}"),
        }
    }
    session.expect_nothing();
}

/// Room for one event.
#[derive(Default)]
struct OneEvent(Arc<()>);

impl Room for OneEvent {
    fn answer_bytes_max(&self) -> usize {
        usize::MAX
    }

    fn hold_event(&self, _bytes: usize) -> Option<EventRoom> {
        (Arc::strong_count(&self.0) == 1).then(|| Box::new(Arc::clone(&self.0)) as EventRoom)
    }
}

#[tokio::test]
async fn an_event_waits_until_there_is_room_for_it() {
    let (world, consumer) = World::with_consumer(2).await;
    for hash_key in ["0", LAST] {
        let record = PutRecordInput {
            stream_name: Some("orders".to_owned()),
            partition_key: Some("k".to_owned()),
            explicit_hash_key: Some(hash_key.to_owned()),
            data: b"a".to_vec().into(),
            ..PutRecordInput::default()
        };
        world.streams.put_record(&call(), record).await.expect("taken");
    }
    let room: Arc<dyn Room> = Arc::new(OneEvent::default());
    let mut sessions = Vec::new();
    for shard in ["shardId-0", "shardId-1"] {
        let call = Call { room: Arc::clone(&room), ..call() };
        let session = world.try_subscribe_by(call, &consumer, shard, From::HORIZON, None).await;
        let mut session = session.expect("it can be read");
        assert_eq!(session.now(), Some(Event::Begun));
        sessions.push(session);
    }
    let Poll::Ready(Some(unread)) = sessions[0].poll_bytes() else { panic!("there is room") };
    sessions[1].expect_nothing();
    world.clock.advance(Duration::from_secs(5));
    let Some(Event::Records { data, behind, .. }) = sessions[1].now() else { panic!("it is alive") };
    assert_eq!((data.len(), behind), (0, 5_000), "nothing comes, and there is something");
    sessions[1].expect_nothing();
    drop(unread);
    world.clock.advance(Duration::from_millis(100));
    sessions[1].expect_data(&["a"]);
}

#[tokio::test]
async fn an_empty_event_comes_every_five_seconds_and_its_number_goes_on() {
    let (world, consumer) = World::with_consumer(1).await;
    let number = world.number_of("orders", "k", b"a").await;
    let mut session = world.subscribe(&consumer, "shardId-0", From::HORIZON).await;
    world.clock.advance(Duration::from_secs(3));
    session.expect_data(&["a"]);
    let mut last = parse(&number);
    for _ in 0..3 {
        world.clock.advance(Duration::from_millis(4_999));
        session.expect_nothing();
        world.clock.advance(Duration::from_millis(1));
        let continuation = parse(&session.expect_data(&[]));
        assert!(continuation > last);
        last = continuation;
        session.expect_nothing();
    }
    // Whoever continues from there gets what comes next, once.
    world.put("orders", "k", b"b").await.expect("taken");
    session.expect_data(&["b"]);
    for from in [From::at(&last.to_string()), From::after(&last.to_string())] {
        world.clock.advance(Duration::from_secs(5));
        world.subscribe(&consumer, "shardId-0", from).await.expect_data(&["b"]);
    }
}

#[tokio::test]
async fn a_subscription_to_an_empty_shard_has_numbers_too() {
    let (world, consumer) = World::with_consumer(1).await;
    let mut session = world.subscribe(&consumer, "shardId-0", From::LATEST).await;
    world.clock.advance(Duration::from_secs(5));
    let number = session.expect_data(&[]);
    world.put("orders", "k", b"a").await.expect("taken");
    world.subscribe(&consumer, "shardId-0", From::after(&number)).await.expect_data(&["a"]);
}

/// The story: where the clock had been set back, whoever continued from an empty event got the last record again.
#[tokio::test]
async fn an_empty_events_number_is_behind_the_last_record_though_the_clock_was_set_back() {
    let (world, consumer) = World::with_consumer(1).await;
    let number = world.number_of("orders", "k", b"a").await;
    world.clock.set_wall(world.clock.wall().minus(Duration::from_secs(10)));
    let mut session = world.subscribe(&consumer, "shardId-0", From::LATEST).await;
    world.clock.advance(Duration::from_secs(5));
    let continuation = session.expect_data(&[]);
    assert!(parse(&continuation) > parse(&number));
    for from in [From::at(&continuation), From::after(&continuation)] {
        world.clock.advance(Duration::from_secs(5));
        world.subscribe(&consumer, "shardId-0", from).await.expect_nothing();
    }
}

#[tokio::test]
async fn a_subscription_ends_after_five_minutes() {
    let (world, consumer) = World::with_consumer(1).await;
    let mut session = world.subscribe(&consumer, "shardId-0", From::LATEST).await;
    for _ in 0..59 {
        world.clock.advance(Duration::from_secs(5));
        session.expect_data(&[]);
    }
    world.clock.advance(Duration::from_millis(4_999));
    session.expect_nothing();
    world.clock.advance(Duration::from_millis(1));
    session.expect_end();
}

#[tokio::test]
async fn a_second_subscription_is_too_early_or_takes_over() {
    let (world, consumer) = World::with_consumer(2).await;
    let mut first = world.subscribe(&consumer, "shardId-0", From::LATEST).await;
    world.subscribe(&consumer, "shardId-1", From::LATEST).await;
    world.clock.advance(Duration::from_millis(4_999));
    let early = world.try_subscribe(&consumer, "shardId-0", From::LATEST).await;
    assert_failure(early.map(|_| ()), IN_USE, &exists(0));
    first.expect_nothing();
    world.clock.advance(Duration::from_millis(1));
    let mut second = world.subscribe(&consumer, "shardId-0", From::LATEST).await;
    first.expect_failure(IN_USE, &exists(0));
    world.put("orders", "a", b"a").await.expect("taken");
    second.expect_data(&["a"]);
    drop(second);
    let early = world.try_subscribe(&consumer, "shardId-0", From::LATEST).await;
    assert_failure(early.map(|_| ()), IN_USE, &exists(0));
}

#[tokio::test]
async fn whoever_waits_learns_of_a_take_over_at_once() {
    let (world, consumer) = World::with_consumer(1).await;
    let mut first = world.subscribe(&consumer, "shardId-0", From::LATEST).await;
    let waiting = tokio::spawn(async move { first.next().await });
    yield_often().await;
    world.clock.advance(Duration::from_secs(5));
    yield_often().await;
    let frame = waiting.await.expect("it ends").expect("an empty event");
    assert!(matches!(read(&frame, Protocol::AwsJson11), Event::Records { .. }));

    world.clock.advance(Duration::from_secs(5));
    let mut second = world.subscribe(&consumer, "shardId-0", From::LATEST).await;
    let waiting = tokio::spawn(async move { second.next().await });
    yield_often().await;
    world.clock.advance(Duration::from_millis(4_999));
    yield_often().await;
    assert!(!waiting.is_finished());
    world.clock.advance(Duration::from_millis(1));
    let _third = world.subscribe(&consumer, "shardId-0", From::LATEST).await;
    let frame = waiting.await.expect("it ends").expect("a last frame");
    let expected = Event::Failed { code: IN_USE.to_owned(), message: exists(0) };
    assert_eq!(read(&frame, Protocol::AwsJson11), expected);
}

#[tokio::test]
async fn a_shards_end_comes_with_its_children_and_ends_the_subscription() {
    let (world, consumer) = World::with_consumer(1).await;
    let mut session = world.subscribe(&consumer, "shardId-0", From::LATEST).await;
    world.put("orders", "k", b"last").await.expect("taken");
    session.expect_data(&["last"]);
    let waiting = tokio::spawn(async move {
        let frame = session.next().await.expect("a last frame");
        (read(&frame, session.protocol), session)
    });
    yield_often().await;
    world.split("orders", "shardId-0", MIDDLE).await.expect("it is split");
    let (event, mut session) = waiting.await.expect("it ends");
    let children = vec!["shardId-000000000001".to_owned(), "shardId-000000000002".to_owned()];
    assert_eq!(
        event,
        Event::Records { data: vec![], continuation: None, behind: 0, children: children.clone() }
    );
    session.expect_end();

    world.until_active("orders").await;
    world.clock.advance(Duration::from_secs(5));
    let mut again = world.subscribe(&consumer, "shardId-0", From::HORIZON).await;
    again.expect_data(&["last"]);
    assert_eq!(again.now(), Some(Event::Records { data: vec![], continuation: None, behind: 0, children }));
    again.expect_end();
}

#[tokio::test]
async fn a_shard_that_expired_is_not_found_by_those_who_still_have_it() {
    let (world, consumer) = World::with_consumer(1).await;
    world.put("orders", "k", b"old").await.expect("taken");
    world.split("orders", "shardId-0", MIDDLE).await.expect("it is split");
    world.until_active("orders").await;
    world.clock.advance(hours(25));
    let iterator = world.iterator("orders", "shardId-0", From::HORIZON).await;
    let mut session = world.subscribe(&consumer, "shardId-0", From::HORIZON).await;
    world.streams.sweep().await;
    let text = format!("Shard shardId-000000000000 in stream orders under account {ACCOUNT} does not exist");
    session.expect_failure(NOT_FOUND, &text);
    assert_failure(world.try_get(&iterator, None).await, NOT_FOUND, &text);
    assert_failure(world.try_iterator("orders", "shardId-0", From::HORIZON).await, NOT_FOUND, &text);
    let again = world.try_subscribe(&consumer, "shardId-0", From::HORIZON).await;
    assert_failure(again.map(|_| ()), NOT_FOUND, &text);
    assert_eq!(world.journal.shards().len(), 2, "the journal has forgotten it, too");
}

#[tokio::test]
async fn a_subscription_ends_with_its_consumer_and_with_its_stream() {
    let (world, consumer) = World::with_consumer(1).await;
    let other = world.register("orders", "search").await.expect("registered").consumer_arn;
    yield_often().await;
    let mut first = world.subscribe(&consumer, "shardId-0", From::LATEST).await;
    let mut second = world.subscribe(&other, "shardId-0", From::LATEST).await;
    world.deregister(&consumer).await.expect("deregistered");
    yield_often().await;
    first.expect_failure(
        NOT_FOUND,
        &format!("Consumer billing in stream orders under account {ACCOUNT} not found."),
    );
    second.expect_nothing();
    // One of the same name is another one.
    world.clock.advance(Duration::from_secs(2));
    let again = world.register("orders", "billing").await.expect("registered").consumer_arn;
    yield_often().await;
    assert_ne!(again, consumer);
    let old = world.try_subscribe(&consumer, "shardId-0", From::LATEST).await;
    assert_eq!(old.map(|_| ()).expect_err("it is gone").code, NOT_FOUND);
    world.subscribe(&again, "shardId-0", From::LATEST).await;

    let waiting = tokio::spawn(async move { second.next().await });
    yield_often().await;
    let input = thalweg_model::kinesis::DeleteStreamInput {
        stream_name: Some("orders".to_owned()),
        enforce_consumer_deletion: Some(true),
        ..Default::default()
    };
    world.streams.delete_stream(&crate::world::call(), input).await.expect("deleted");
    let frame = waiting.await.expect("it ends").expect("a last frame");
    match read(&frame, Protocol::AwsJson11) {
        // Which of the two is noticed first does not matter.
        Event::Failed { code, .. } => assert_eq!(code, NOT_FOUND),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn shutdown_ends_subscriptions_cleanly() {
    let (world, consumer) = World::with_consumer(2).await;
    let mut polled = world.subscribe(&consumer, "shardId-0", From::LATEST).await;
    let mut waiting = world.subscribe(&consumer, "shardId-1", From::LATEST).await;
    let waiting = tokio::spawn(async move { waiting.next().await });
    yield_often().await;
    world.streams.shutdown().await;
    polled.expect_end();
    assert_eq!(waiting.await.expect("it ends"), None);
}

#[tokio::test]
async fn events_are_encoded_once_for_all_who_stand_at_the_same_place() {
    let (world, first) = World::with_consumer(1).await;
    let second = world.register("orders", "search").await.expect("registered").consumer_arn;
    let third = world.register("orders", "audit").await.expect("registered").consumer_arn;
    yield_often().await;
    let mut first = world.subscribe(&first, "shardId-0", From::HORIZON).await;
    let mut second = world.subscribe(&second, "shardId-0", From::LATEST).await;
    let mut third = world
        .try_subscribe_in(Protocol::AwsCbor11, &third, "shardId-0", From::LATEST, None)
        .await
        .expect("it can be read");
    assert_eq!(third.now(), Some(Event::Begun));
    for round in 0..3 {
        let data = format!("round {round}");
        world.put("orders", "k", data.as_bytes()).await.expect("taken");
        let frame = |session: &mut Session| match session.poll_bytes() {
            Poll::Ready(Some(frame)) => frame,
            other => panic!("{other:?}"),
        };
        let (one, two, cbor) = (frame(&mut first), frame(&mut second), frame(&mut third));
        assert_eq!(one.as_ptr(), two.as_ptr(), "the same bytes, not equal ones");
        assert_ne!(one, cbor);
        let json = read(&one, Protocol::AwsJson11);
        assert_eq!(json, read(&cbor, Protocol::AwsCbor11), "the same event in either protocol");
        let Event::Records { data: found, .. } = json else { panic!("{json:?}") };
        assert_eq!(found, [data]);
        world.clock.advance(Duration::from_millis(100));
    }
}

/// Somebody has an event when the retention is made shorter; whether or not it is longer again then, what was taken does
/// not come to the next one.
async fn check_shorter_retention(then_longer: bool) {
    let (world, first) = World::with_consumer(1).await;
    let second = world.register("orders", "search").await.expect("registered").consumer_arn;
    increase(&world, 168).await.expect("longer");
    let number = world.number_of("orders", "k", b"a").await;
    world.clock.advance(hours(30));
    let mut first = world.subscribe(&first, "shardId-0", From::HORIZON).await;
    first.expect_data(&["a"]);
    decrease(&world, 24).await.expect("shorter");
    if then_longer {
        world.until_active("orders").await;
        increase(&world, 168).await.expect("longer");
    }
    assert_eq!(world.data_from("orders", "shardId-0", From::at(&number)).await.concat(), "");
    // It stands where the first one stood.
    world.subscribe(&second, "shardId-0", From::at(&number)).await.expect_data(&[]);
}

#[tokio::test]
async fn a_shared_event_does_not_bring_back_what_a_shorter_retention_took() {
    check_shorter_retention(false).await;
    check_shorter_retention(true).await;
}

#[tokio::test]
async fn a_shared_event_does_not_bring_back_what_grew_too_old() {
    let (world, first) = World::with_consumer(1).await;
    let second = world.register("orders", "search").await.expect("registered").consumer_arn;
    let third = world.register("orders", "audit").await.expect("registered").consumer_arn;
    let fourth = world.register("orders", "alerts").await.expect("registered").consumer_arn;
    // Two events: the first one says that it is a day behind, and is shared for ten seconds.
    let (old, new) = ("o".repeat(600 << 10), "n".repeat(600 << 10));
    let number = world.number_of("orders", "k", old.as_bytes()).await;
    world.clock.advance(hours(23));
    world.put("orders", "k", new.as_bytes()).await.expect("taken");
    world.clock.advance(hours(1) - Duration::from_secs(5));
    let mut first = world.subscribe(&first, "shardId-0", From::HORIZON).await;
    first.expect_data(&[&old]);
    world.clock.advance(Duration::from_secs(5));
    world.subscribe(&second, "shardId-0", From::at(&number)).await.expect_data(&[&old]);
    world.clock.advance(Duration::from_millis(1));
    for (consumer, from) in [(third, From::HORIZON), (fourth, From::at(&number))] {
        world.subscribe(&consumer, "shardId-0", from).await.expect_data(&[&new]);
    }
}

#[tokio::test]
async fn what_is_wrong_is_said_before_the_stream_begins() {
    let (world, consumer) = World::with_consumer(1).await;
    let number = "49039857307708443467467104868809893875799651909875269634";
    let cases = [
        (
            consumer.replace("orders", "missing"),
            "shardId-0",
            From::LATEST,
            NOT_FOUND,
            format!("Stream missing under account {ACCOUNT} not found."),
        ),
        (
            consumer.clone(),
            "x",
            From::LATEST,
            NOT_FOUND,
            format!("Could not find shard x in stream orders under account {ACCOUNT}."),
        ),
        (
            consumer.clone(),
            "shardId-7",
            From::LATEST,
            NOT_FOUND,
            format!("Shard shardId-000000000007 in stream orders under account {ACCOUNT} does not exist"),
        ),
        (
            consumer.clone(),
            "shardId-0",
            From::at(number),
            INVALID,
            format!(
                "StartingSequenceNumber {number} used in SubscribeToShard on shard shardId-000000000000 in stream \
                 orders under account {ACCOUNT} is invalid because it did not come from this stream."
            ),
        ),
        (
            consumer.clone(),
            "shardId-0",
            From { time: None, ..From::time(Timestamp::ZERO) },
            INVALID,
            "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has no \
             timestamp parameter."
                .to_owned(),
        ),
    ];
    for (consumer, shard, from, code, message) in cases {
        let refused = world.try_subscribe(&consumer, shard, from).await.map(|_| ());
        assert_failure(refused, code, &message);
    }
    for gone in [format!("{}/consumer/other:1700000000", arn("orders")), format!("{consumer}1")] {
        let refused = world.try_subscribe(&gone, "shardId-0", From::LATEST).await.map(|_| ());
        assert_eq!(refused.expect_err("no such consumer").code, NOT_FOUND);
    }
    // A refused call takes nothing over and begins nothing.
    let dry = world
        .try_subscribe_in(Protocol::AwsJson11, &consumer, "shardId-0", From::LATEST, Some(true))
        .await
        .map(|_| ());
    assert_eq!(dry.expect_err("a dry run").code, "DryRunOperationException");
    world.subscribe(&consumer, "shardId-0", From::LATEST).await;
}

#[tokio::test]
async fn a_consumer_that_is_not_active_cannot_subscribe() {
    let mut settings = crate::world::settings();
    settings.transition_delay = Duration::from_secs(60);
    let world = World::with(settings).await;
    world.create("orders", 1).await;
    world.pass(Duration::from_secs(60)).await;
    world.until_active("orders").await;
    let consumer = world.register("orders", "billing").await.expect("registered");
    let created = consumer.consumer_creation_timestamp.as_seconds();
    let refused = world.try_subscribe(&consumer.consumer_arn, "shardId-0", From::LATEST).await.map(|_| ());
    assert_failure(
        refused,
        IN_USE,
        &format!(
            "Consumer billing with creation timestamp {created} under stream: orders and account {ACCOUNT} is not \
             in ACTIVE status."
        ),
    );
}

#[tokio::test]
async fn a_slow_reader_costs_no_memory_and_loses_nothing() {
    /// Far more than a reader may cost.
    const RECORDS: usize = 1_000;
    const DATA_BYTES: usize = 60_000;
    /// Data in one event (`fan_out/event.rs`), and what is read to find that no more goes in.
    const EVENT_BYTES_MAX: usize = (1 << 20) + 2 * DATA_BYTES;
    let (world, journal) = watched_world().await;
    world.create("orders", 1).await;
    world.until_active("orders").await;
    let consumer = world.register("orders", "billing").await.expect("registered").consumer_arn;
    yield_often().await;
    let mut session = world.subscribe(&consumer, "shardId-0", From::LATEST).await;
    let data_of = |number: usize| format!("{number:0DATA_BYTES$}");
    for number in 0..RECORDS {
        world.put("orders", "k", data_of(number).as_bytes()).await.expect("taken");
        // Whoever would read ahead has its turn.
        yield_often().await;
    }
    assert_eq!(journal.take_bytes_read(), 0, "nobody polled: nothing is read, and nothing held");
    let mut next = 0;
    while next < RECORDS {
        let Some(Event::Records { data, .. }) = session.now() else { panic!("{next} of them, and no more") };
        for one in data {
            assert!(one == data_of(next), "{} is not number {next}", &one[DATA_BYTES - 10..]);
            next += 1;
        }
        yield_often().await;
        let read = journal.take_bytes_read();
        assert!(read <= EVENT_BYTES_MAX, "{read} bytes were read for one event");
    }
    session.expect_nothing();
}
