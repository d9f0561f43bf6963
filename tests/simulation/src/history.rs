//! What was asked of the server, what it answered and what was seen of it, and the rules that all of it must keep:
//!
//! 1. A record that was acknowledged is at its place: shard and sequence number, once, unchanged, until its retention ends:
//!    the shortest that the stream may have had. Once the longest has ended it is not shown.
//! 2. An attempt that was not acknowledged left its record once or not at all; one that was refused left nothing. Where a client
//!    sends the same bytes again its attempts cannot be told apart, and are held to that together.
//! 3. What was seen once is seen again, at the same place, until its retention ends; what is gone is the oldest, and stays
//!    gone, unless the clock is set back.
//! 4. In a shard sequence numbers grow and arrival times do not go back; the time of a record is one at which it may have
//!    arrived, and stays the same. A put that began after another one of its shard, or of its partition key, was
//!    acknowledged has the greater number.
//! 5. Nothing is there that nobody put.
//! 6. A read begins where it was told to, passes over nothing, and has caught up only when it has seen what was acknowledged
//!    before it began. Nothing comes behind the end of a shard that a reader was told of.
//! 7. When nothing is wrong any more, every stream takes puts (`verify` looks at that).
//!
//! A broken rule panics.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use thalweg_system::Clock;
use thalweg_types::Timestamp;

use crate::retention::RetentionHistory;

/// Data that no record of ours is shorter than: its number.
pub(crate) const DATA_BYTES_MIN: usize = 8;

/// The same record, tried again by a client that tells its attempts apart, is a record to the history, with a number that is
/// greater by this.
pub(crate) const ATTEMPT: u64 = 1_000_000_000_000;

/// Of a leap ahead of the wall clock so much is believed at once, and the rest after as long.
const JUMP_MAX: Duration = Duration::from_secs(3600);
/// So much later than it should a server may notice that something is too old.
const LATE_MAX: Duration = Duration::from_secs(3600);

#[derive(Clone)]
pub(crate) struct History {
    clock: Arc<dyn Clock>,
    /// What changes what a server must have, if that is wanted.
    recorder: Option<Recorder>,
    streams: BTreeMap<String, StreamHistory>,
    /// Of the newest record.
    serial: u64,
    /// Grows with every call that begins and every answer.
    moments: u64,
    /// When the wall clock was set ahead, in monotonic time, and by how much.
    leaps: Vec<(Duration, Duration)>,
    /// The same of when it was set back.
    leaps_back: Vec<(Duration, Duration)>,
    /// The server has no reason to doubt the wall clock.
    is_clock_sure: bool,
    /// The latest that the wall clock has shown.
    wall_max: Timestamp,
    /// It was told, not lived: the clock says nothing about it.
    is_repeated: bool,
}

/// A moment in the history.
pub(crate) type Moment = u64;

/// From where records are read on.
#[derive(Clone, Debug)]
pub(crate) enum From {
    /// The oldest that is there.
    Horizon,
    /// What comes next, asked for at the first moment and known at the second.
    Latest(Moment, Moment),
    /// What arrived at this time or later, in milliseconds.
    Time(i64),
    /// A number, and whether it is read, too.
    Number(String, bool),
}

/// Takes down events, with the time at which they were known.
type Recorder = Arc<dyn Fn(Event) + Send + Sync>;

/// What changes what a server must have.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    CreateAsked(String),
    Created(String),
    DeleteAsked(String),
    Deleted(String),
    /// An attempt to put these into a stream began.
    Asked(String, Vec<Put>),
    /// An attempt to put this record was refused.
    Refused(String, Put),
    /// A record is known to be in this shard, with this number: it was acknowledged, or seen.
    Placed {
        stream: String,
        shard: String,
        number: String,
        record: u64,
    },
}

/// A record as it was put.
#[derive(Clone, Debug)]
pub(crate) struct Put {
    pub(crate) record: u64,
    pub(crate) partition_key: String,
    pub(crate) explicit_hash_key: Option<u128>,
    pub(crate) data_bytes: usize,
}

/// A record as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) sequence_number: String,
    pub(crate) partition_key: String,
    pub(crate) data: Vec<u8>,
    pub(crate) arrival_millis: i64,
}

#[derive(Clone, Default)]
struct StreamHistory {
    /// CREATING has been acknowledged.
    is_created: bool,
    delete_asked: bool,
    is_deleted: bool,
    retention: RetentionHistory,
    records: BTreeMap<u64, Sent>,
    shards: BTreeMap<String, ShardHistory>,
    keys: BTreeMap<String, Order>,
}

#[derive(Clone)]
pub(crate) struct Sent {
    put: Put,
    /// When it was first asked for, in monotonic time, how often the wall clock had leapt by then, and what it showed.
    pub(crate) since: Duration,
    pub(crate) leaps: usize,
    wall: Timestamp,
    /// How many attempts may have left it, and how many have, as far as is known.
    attempts: u32,
    places: u32,
}

#[derive(Clone, Default)]
struct ShardHistory {
    /// The records by sequence number: all numbers have as many digits.
    known: BTreeMap<String, Known>,
    order: Order,
    gone: Vec<Gone>,
    /// The greatest number, once a reader was told that nothing follows, and when that was.
    end: Option<(String, Duration)>,
}

/// A record at its place.
#[derive(Clone)]
struct Known {
    record: u64,
    /// When that was first known, in monotonic time.
    at: Duration,
    /// When it arrived, in milliseconds, once it was seen.
    arrival: Option<i64>,
    /// When the call that put it began, where that was acknowledged.
    began: Option<Moment>,
}

/// A read found everything up to this number gone.
#[derive(Clone)]
struct Gone {
    moment: Moment,
    wall: Timestamp,
    number: String,
}

/// The greatest number acknowledged by each moment at which it grew.
#[derive(Clone, Default)]
struct Order(Vec<(Moment, String)>);

impl Order {
    /// The greatest number acknowledged before a moment.
    fn before(&self, moment: Moment) -> Option<&str> {
        let before = self.0.partition_point(|(at, _)| *at < moment);
        Some(&self.0[before.checked_sub(1)?].1)
    }

    /// A put that began at `began` was acknowledged at `now` with this number.
    fn acknowledge(&mut self, what: &str, began: Moment, now: Moment, number: &str) {
        if let Some(greatest) = self.before(began) {
            assert!(greatest < number, "{what}: {number} was given after {greatest}, and is not greater");
        }
        if self.0.last().is_none_or(|(_, greatest)| greatest.as_str() < number) {
            self.0.push((now, number.to_owned()));
        }
    }
}

impl ShardHistory {
    /// The number from which on a read must show everything, and whether that belongs to it. `first`: what it has shown
    /// first. `None`: nothing is known that it must show.
    fn beginning(&self, from: &From, first: Option<&str>) -> Option<(String, bool)> {
        let least = |must: &dyn Fn(&Known) -> bool| {
            let known = self.known.iter().find(|(_, known)| must(known)).map(|(number, _)| number.as_str());
            let number = [known, first].into_iter().flatten().min()?;
            Some((number.to_owned(), true))
        };
        match from {
            From::Horizon => Some((String::new(), true)),
            From::Latest(_, answered) => least(&|known| known.began.is_some_and(|began| began > *answered)),
            From::Time(time) => least(&|known| known.arrival.is_some_and(|arrival| arrival >= *time)),
            From::Number(number, with) => Some((number.clone(), *with)),
        }
    }
}

/// The data of a record: its number, then bytes that follow from it.
pub(crate) fn data_of(record: u64, bytes: usize) -> Vec<u8> {
    let mut data = record.to_be_bytes().to_vec();
    data.extend(
        (DATA_BYTES_MIN..bytes).map(|index| (record as usize).wrapping_mul(31).wrapping_add(index) as u8),
    );
    data
}

/// The records in an answer to GetRecords.
pub(crate) fn records_in(answer: &Value) -> Vec<Seen> {
    let records = answer["Records"].as_array().expect("answers have records");
    let text = |value: &Value| value.as_str().expect("it is a text").to_owned();
    records
        .iter()
        .map(|record| Seen {
            sequence_number: text(&record["SequenceNumber"]),
            partition_key: text(&record["PartitionKey"]),
            data: base64_simd::STANDARD
                .decode_to_vec(text(&record["Data"]))
                .expect("answers have good base64"),
            arrival_millis: arrival_millis(record),
        })
        .collect()
}

/// When a record of an answer arrived.
pub(crate) fn arrival_millis(record: &Value) -> i64 {
    (record["ApproximateArrivalTimestamp"].as_f64().expect("a time") * 1000.0).round() as i64
}

/// How far those of these leaps of the wall clock that were made by `now` may be believed then.
pub(crate) fn believed(leaps: &[(Duration, Duration)], now: Duration) -> Duration {
    let part = |&(at, by): &(Duration, Duration)| if now < at + JUMP_MAX { by.min(JUMP_MAX) } else { by };
    leaps.iter().filter(|(at, _)| *at <= now).map(part).sum()
}

impl History {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> History {
        History {
            wall_max: clock.wall(),
            clock,
            recorder: None,
            streams: BTreeMap::new(),
            serial: 0,
            moments: 0,
            leaps: Vec::new(),
            leaps_back: Vec::new(),
            is_clock_sure: false,
            is_repeated: false,
        }
    }

    /// Takes down every event from now on.
    pub(crate) fn record(&mut self, recorder: impl Fn(Event) + Send + Sync + 'static) {
        self.recorder = Some(Arc::new(recorder));
    }

    fn happened(&self, event: impl FnOnce() -> Event) {
        if let Some(recorder) = &self.recorder {
            recorder(event());
        }
    }

    /// Lets what was recorded happen again.
    pub(crate) fn repeat(&mut self, event: &Event) {
        self.is_repeated = true;
        match event {
            Event::CreateAsked(name) => drop(self.streams.insert(name.clone(), StreamHistory::default())),
            Event::Created(name) => self.created(name),
            Event::DeleteAsked(name) => self.ask_delete(name),
            Event::Deleted(name) => self.deleted(name),
            Event::Asked(stream, puts) => {
                self.ask(stream, puts);
                let newest = puts.iter().map(|put| put.record % ATTEMPT).max();
                self.serial = self.serial.max(newest.unwrap_or(0));
            }
            Event::Refused(stream, put) => self.refused(stream, put),
            Event::Placed { stream, shard, number, record } => {
                self.place(stream, shard, number, *record);
            }
        }
    }

    /// The wall clock was set ahead by so much.
    pub(crate) fn leapt(&mut self, by: Duration) {
        self.wall_max = self.wall_max.max(self.clock.wall());
        self.leaps.push((self.clock.monotonic(), by));
    }

    /// The wall clock was set back by so much: what was gone may be seen again until it is as late again.
    pub(crate) fn was_set_back(&mut self, by: Duration) {
        self.wall_max = self.wall_max.max(self.clock.wall().plus(by));
        self.leaps_back.push((self.clock.monotonic(), by));
    }

    /// The server has seen the clock go on evenly for long enough: from now on nothing may be seen that is too old.
    pub(crate) fn clock_is_sure(&mut self) {
        self.is_clock_sure = true;
    }

    /// The server is gone: what it was asked for it has done or will never do, unless it has noted it down.
    pub(crate) fn server_is_gone(&mut self) {
        let now = self.clock.monotonic();
        self.streams.values_mut().for_each(|stream| stream.retention.server_is_gone(now));
    }

    fn next_moment(&mut self) -> Moment {
        self.wall_max = self.wall_max.max(self.clock.wall());
        self.moments += 1;
        self.moments
    }

    /// Another period is asked for, in hours.
    pub(crate) fn ask_retention(&mut self, stream: &str, hours: u64) {
        let now = self.clock.monotonic();
        self.stream(stream).retention.ask(hours, now);
    }

    /// It was acknowledged, or refused.
    pub(crate) fn retention_answered(&mut self, stream: &str, hours: u64, is_set: bool) {
        let now = self.clock.monotonic();
        self.stream(stream).retention.answered(hours, is_set, now);
    }

    fn stream(&mut self, name: &str) -> &mut StreamHistory {
        self.streams.get_mut(name).expect("it was asked for")
    }

    /// A stream that has not been asked for before.
    pub(crate) fn ask_create(&mut self) -> String {
        let name = format!("stream-{}", self.streams.len() + 1);
        self.streams.insert(name.clone(), StreamHistory::default());
        self.happened(|| Event::CreateAsked(name.clone()));
        name
    }

    pub(crate) fn created(&mut self, name: &str) {
        self.stream(name).is_created = true;
        self.happened(|| Event::Created(name.to_owned()));
    }

    pub(crate) fn ask_delete(&mut self, name: &str) {
        self.stream(name).delete_asked = true;
        self.happened(|| Event::DeleteAsked(name.to_owned()));
    }

    pub(crate) fn deleted(&mut self, name: &str) {
        self.stream(name).is_deleted = true;
        self.happened(|| Event::Deleted(name.to_owned()));
    }

    pub(crate) fn is_deleted(&mut self, name: &str) -> bool {
        self.stream(name).is_deleted
    }

    pub(crate) fn is_delete_asked(&mut self, name: &str) -> bool {
        self.stream(name).delete_asked
    }

    pub(crate) fn is_created(&mut self, name: &str) -> bool {
        self.stream(name).is_created
    }

    /// All streams that were ever asked for.
    pub(crate) fn streams(&self) -> Vec<String> {
        self.streams.keys().cloned().collect()
    }

    /// Streams that are there, as far as is known.
    pub(crate) fn live_streams(&self) -> Vec<String> {
        let live = self.streams.iter().filter(|(_, stream)| stream.is_created && !stream.delete_asked);
        live.map(|(name, _)| name.clone()).collect()
    }

    /// Any number known of a shard, by `chance`.
    pub(crate) fn known_number(&self, stream: &str, shard: &str, chance: u64) -> Option<String> {
        let known = &self.streams.get(stream)?.shards.get(shard)?.known;
        let index = chance.checked_rem(known.len() as u64)?;
        known.keys().nth(index as usize).cloned()
    }

    /// When any record of a shard arrived, by `chance`, in milliseconds.
    pub(crate) fn known_arrival(&self, stream: &str, shard: &str, chance: u64) -> Option<i64> {
        let known = &self.streams.get(stream)?.shards.get(shard)?.known;
        let mut seen = known.values().filter_map(|known| known.arrival);
        let index = chance.checked_rem(seen.clone().count() as u64)?;
        seen.nth(index as usize)
    }

    /// The least and the greatest number known of a shard.
    pub(crate) fn first_and_last(&self, stream: &str, shard: &str) -> Option<(String, String)> {
        let known = &self.streams.get(stream)?.shards.get(shard)?.known;
        Some((known.keys().next()?.clone(), known.keys().next_back()?.clone()))
    }

    /// The number of a record that nobody has put yet.
    pub(crate) fn next_record(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// A read begins, or it was answered.
    pub(crate) fn ask_read(&mut self) -> Moment {
        self.next_moment()
    }

    /// An attempt to put these begins.
    pub(crate) fn ask(&mut self, stream: &str, puts: &[Put]) -> Moment {
        let (since, leaps, wall) = (self.clock.monotonic(), self.leaps.len(), self.clock.wall());
        for put in puts {
            let records = &mut self.stream(stream).records;
            let new = || Sent { put: put.clone(), since, leaps, wall, attempts: 0, places: 0 };
            records.entry(put.record).or_insert_with(new).attempts += 1;
        }
        self.happened(|| Event::Asked(stream.to_owned(), puts.to_vec()));
        self.next_moment()
    }

    /// An attempt to put this one was refused.
    pub(crate) fn refused(&mut self, stream: &str, put: &Put) {
        let sent = self.stream(stream).records.get_mut(&put.record).expect("it was asked for");
        sent.attempts -= 1;
        assert!(sent.places <= sent.attempts, "record {} of {stream} is there, and was refused", put.record);
        self.happened(|| Event::Refused(stream.to_owned(), put.clone()));
    }

    /// An attempt that began at `began` was acknowledged.
    pub(crate) fn acknowledged(&mut self, stream: &str, put: &Put, began: Moment, shard: &str, number: &str) {
        let now = self.next_moment();
        self.place(stream, shard, number, put.record).began = Some(began);
        let streams = self.stream(stream);
        streams
            .shards
            .get_mut(shard)
            .expect("it was just placed")
            .order
            .acknowledge(shard, began, now, number);
        // An explicit hash key puts it where its partition key does not.
        if put.explicit_hash_key.is_none() {
            let key = streams.keys.entry(put.partition_key.clone()).or_default();
            key.acknowledge(&put.partition_key, began, now, number);
        }
    }

    /// A record has its place.
    fn place(&mut self, stream: &str, shard: &str, number: &str, record: u64) -> &mut Known {
        assert_eq!(number.len(), 56, "{number} of {shard} of {stream} has another length");
        let now = self.clock.monotonic();
        let History { streams, leaps, recorder, .. } = self;
        let streams = streams.get_mut(stream).expect("it was asked for");
        let history = streams.shards.entry(shard.to_owned()).or_default();
        if history.known.contains_key(number) {
            let known = history.known.get_mut(number).expect("it is there");
            assert_eq!(
                known.record, record,
                "{number} of {shard} of {stream} has another record than before"
            );
            return known;
        }
        let sent = streams.records.get_mut(&record);
        let sent = sent
            .unwrap_or_else(|| panic!("record {record} at {number} of {shard} of {stream}: nobody put it"));
        sent.places += 1;
        assert!(
            sent.places <= sent.attempts,
            "record {record} of {stream} is there {} times after {} attempts, last at {number} of {shard}",
            sent.places,
            sent.attempts
        );
        if let Some((end, at)) = &history.end {
            assert!(
                number <= end.as_str() || streams.retention.may_have_ended(sent, leaps, *at),
                "record {record} is at {number} of {shard} of {stream}, which had its end at {end}"
            );
        }
        if let Some(recorder) = recorder {
            let (stream, shard, number) = (stream.to_owned(), shard.to_owned(), number.to_owned());
            recorder(Event::Placed { stream, shard, number, record });
        }
        let known = Known { record, at: now, arrival: None, began: None };
        history.known.entry(number.to_owned()).or_insert(known)
    }

    /// Records that came one after the other from a shard, in a read that began at `began`. `from`: where it was told to
    /// begin, or what it has seen before. `caught_up`: it says that nothing follows.
    pub(crate) fn seen(
        &mut self,
        stream: &str,
        shard: &str,
        began: Moment,
        from: &From,
        seen: &[Seen],
        caught_up: bool,
    ) {
        self.next_moment();
        for pair in seen.windows(2) {
            let (one, next) = (&pair[0], &pair[1]);
            assert!(one.sequence_number < next.sequence_number, "numbers of {shard} of {stream} grow");
            assert!(one.arrival_millis <= next.arrival_millis, "times of {shard} of {stream} do not go back");
        }
        for one in seen {
            let number = one.data.first_chunk().map(|bytes| u64::from_be_bytes(*bytes));
            let record =
                number.unwrap_or_else(|| panic!("{one:?} of {shard} of {stream} is no record of ours"));
            let known = self.place(stream, shard, &one.sequence_number, record);
            let arrival = *known.arrival.get_or_insert(one.arrival_millis);
            assert_eq!(arrival, one.arrival_millis, "the time of record {record} of {stream} stays");
            let sent = &self.stream(stream).records[&record];
            let put = sent.put.clone();
            let (since, wall) = (sent.since, sent.wall);
            assert_eq!(one.partition_key, put.partition_key, "record {record} of {stream} has its key");
            assert!(one.data == data_of(record, put.data_bytes), "record {record} of {stream} has its data");
            if !self.is_repeated {
                let back: Duration =
                    self.leaps_back.iter().filter(|(at, _)| *at >= since).map(|(_, by)| *by).sum();
                let span = wall.minus(back).as_millis()..=self.wall_max.as_millis();
                assert!(
                    span.contains(&arrival),
                    "record {record} of {stream} arrived at {arrival}, not in {span:?}"
                );
            }
        }
        if let Some(first) = seen.first() {
            self.check_gone(stream, shard, began, first);
            self.check_begin(stream, shard, from, first);
        }
        let last = seen.last().map(|last| last.sequence_number.clone());
        let Some(history) = self.streams[stream].shards.get(shard) else { return };
        let acknowledged = history.order.before(began).filter(|_| caught_up).map(str::to_owned);
        let Some(to) = last.max(acknowledged) else { return };
        let first = seen.first().map(|first| first.sequence_number.as_str());
        let Some((from, with_from)) = history.beginning(from, first) else { return };
        self.check_whole(stream, shard, &from, with_from, Some(&to), seen);
    }

    /// Nothing comes first that was not asked for.
    fn check_begin(&self, stream: &str, shard: &str, from: &From, first: &Seen) {
        let number = first.sequence_number.as_str();
        let is_asked_for = match from {
            From::Horizon => true,
            From::Latest(asked, _) => {
                let order = &self.streams[stream].shards[shard].order;
                order.before(*asked).is_none_or(|acknowledged| acknowledged < number)
            }
            // After the clock was set back what comes next may have an earlier time.
            From::Time(time) => *time <= first.arrival_millis || !self.leaps_back.is_empty(),
            From::Number(from, true) => from.as_str() <= number,
            From::Number(from, false) => from.as_str() < number,
        };
        let arrival = first.arrival_millis;
        assert!(is_asked_for, "{number} of {shard} of {stream}, of {arrival}, was read from {from:?} on");
    }

    /// What was gone when a read began is not what it sees.
    fn check_gone(&mut self, stream: &str, shard: &str, began: Moment, first: &Seen) {
        let wall = self.clock.wall();
        let gone = &self.stream(stream).shards[shard].gone;
        let back = gone
            .iter()
            .find(|gone| gone.moment < began && gone.wall <= wall && first.sequence_number <= gone.number);
        if let Some(gone) = back {
            panic!(
                "{} of {shard} of {stream} is back: all up to {} was gone",
                first.sequence_number, gone.number
            );
        }
    }

    /// Everything that a shard has, in a read that began at `began`, while nothing is under way.
    pub(crate) fn all(&mut self, stream: &str, shard: &str, began: Moment, seen: &[Seen]) {
        self.seen(stream, shard, began, &From::Horizon, seen, true);
        self.check_whole(stream, shard, "", true, None, seen);
        if self.is_clock_sure {
            self.check_age(stream, shard, seen);
        }
    }

    /// Nothing is shown that is too old by any period that the stream may have.
    fn check_age(&self, stream: &str, shard: &str, seen: &[Seen]) {
        let (Some(first), now) = (seen.first(), self.clock.monotonic()) else { return };
        let history = &self.streams[stream];
        let at = history.shards[shard].known[&first.sequence_number].at;
        // Before the clock was set back it had given later times.
        let back: Duration = self.leaps_back.iter().map(|(_, by)| *by).sum();
        let age = (now - at).saturating_sub(back);
        let most = history.retention.most() + LATE_MAX;
        let number = &first.sequence_number;
        assert!(age <= most, "{number} of {shard} of {stream} is there after {} s", age.as_secs());
    }

    /// A reader that had seen everything from `from` on was told that nothing follows.
    pub(crate) fn ended(&mut self, stream: &str, shard: &str, from: &From) {
        let From::Number(number, with) = from else { return };
        self.check_whole(stream, shard, number, *with, None, &[]);
        let now = self.clock.monotonic();
        let Some(history) = self.stream(stream).shards.get_mut(shard) else { return };
        let known = history.known.keys().next_back().max(Some(number)).cloned();
        history.end.get_or_insert((known.expect("there is one"), now));
    }

    /// Whether all that is known of a part of a shard was seen, but for what may have expired.
    fn check_whole(
        &mut self,
        stream: &str,
        shard: &str,
        from: &str,
        with_from: bool,
        to: Option<&str>,
        seen: &[Seen],
    ) {
        let (now, wall) = (self.clock.monotonic(), self.clock.wall());
        let moment = self.next_moment();
        let streams = self.streams.get_mut(stream).expect("it was asked for");
        let Some(history) = streams.shards.get_mut(shard) else { return };
        let from = if with_from { Bound::Included(from) } else { Bound::Excluded(from) };
        let mut gone = None;
        let mut seen = seen.iter().map(|one| one.sequence_number.as_str()).peekable();
        let mut any_seen = false;
        for (number, known) in history.known.range::<str, _>((from, Bound::Unbounded)) {
            if to.is_some_and(|to| number.as_str() > to) {
                break;
            }
            while seen.next_if(|one| *one < number.as_str()).is_some() {}
            if seen.next_if(|one| *one == number).is_some() {
                any_seen = true;
                continue;
            }
            let record = known.record;
            let sent = &streams.records[&record];
            assert!(
                !any_seen && streams.retention.may_have_ended(sent, &self.leaps, now),
                "record {record} at {number} of {shard} of {stream}, {} s old, is gone",
                (now - sent.since).as_secs()
            );
            gone = Some(number.clone());
        }
        if let Some(number) = gone
            && history.gone.last().is_none_or(|last| last.number < number)
        {
            history.gone.push(Gone { moment, wall, number });
        }
    }

    /// The shards that something is known of.
    pub(crate) fn shards(&self, stream: &str) -> Vec<String> {
        self.streams[stream].shards.keys().cloned().collect()
    }

    /// Where a record was told to lie.
    pub(crate) fn explicit_hash_key(&self, stream: &str, record: u64) -> Option<u128> {
        self.streams[stream].records[&record].put.explicit_hash_key
    }
}

#[cfg(test)]
mod tests {
    use thalweg_system::simulated::ManualClock;

    use super::*;

    const SHARD: &str = "shardId-000000000000";

    fn number(digit: u64) -> String {
        format!("{digit:056}")
    }

    fn put(record: u64) -> Put {
        Put { record, partition_key: "k".to_owned(), explicit_hash_key: None, data_bytes: 10 }
    }

    fn seen(record: u64, digit: u64) -> Seen {
        Seen {
            sequence_number: number(digit),
            partition_key: "k".to_owned(),
            data: data_of(record, 10),
            arrival_millis: 0,
        }
    }

    /// Runs on a history with stream `s` in which records 1 and 2 were acknowledged with the numbers 10 and 20, and 3 was
    /// not answered; says whether the rules hold.
    #[track_caller]
    fn check(holds: bool, act: impl FnOnce(&mut History, &ManualClock)) {
        let clock = ManualClock::new(Timestamp::ZERO);
        let mut history = History::new(Arc::new(clock.clone()));
        let stream = history.ask_create();
        assert_eq!(stream, "stream-1");
        for record in 1..=2 {
            let began = history.ask(&stream, &[put(record)]);
            history.acknowledged(&stream, &put(record), began, SHARD, &number(record * 10));
        }
        history.ask(&stream, &[put(3)]);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| act(&mut history, &clock)));
        assert_eq!(outcome.is_ok(), holds);
    }

    fn all(history: &mut History, seen: &[Seen]) {
        let began = history.ask_read();
        history.all("stream-1", SHARD, began, seen);
    }

    /// Sees these behind a number.
    fn see(history: &mut History, after: u64, seen: &[Seen]) {
        let began = history.ask_read();
        history.seen("stream-1", SHARD, began, &From::Number(number(after), false), seen, false);
    }

    #[test]
    fn a_checker_that_finds_nothing_is_none() {
        let day = Duration::from_secs(24 * 3600);
        check(true, |history, _| all(history, &[seen(1, 10), seen(2, 20)]));
        check(true, |history, _| all(history, &[seen(1, 10), seen(3, 15), seen(2, 20)]));
        // Lost, doubled, never put, another one, in another order.
        check(false, |history, _| all(history, &[seen(1, 10)]));
        check(false, |history, _| all(history, &[seen(1, 10), seen(2, 20), seen(2, 30)]));
        check(false, |history, _| all(history, &[seen(1, 10), seen(2, 20), seen(4, 30)]));
        check(false, |history, _| all(history, &[seen(2, 10), seen(2, 20)]));
        check(false, |history, _| all(history, &[seen(2, 20), seen(1, 10)]));
        // Changed.
        check(false, |history, _| {
            let changed = Seen { data: data_of(1, 11), ..seen(1, 10) };
            all(history, &[changed, seen(2, 20)]);
        });
        // Seen and then gone.
        check(false, |history, _| {
            see(history, 20, &[seen(3, 30)]);
            all(history, &[seen(1, 10), seen(2, 20)]);
        });
        // Old: the oldest may go, and nothing but the oldest.
        check(true, |history, clock| {
            clock.advance(day);
            all(history, &[seen(2, 20)]);
        });
        check(false, |history, clock| {
            clock.advance(day);
            all(history, &[seen(1, 10), seen(3, 30)]);
        });
        // Gone and back; unless the read was under way before, or the clock was set back.
        check(false, |history, clock| {
            clock.advance(day);
            all(history, &[seen(2, 20)]);
            all(history, &[seen(1, 10), seen(2, 20)]);
        });
        check(true, |history, clock| {
            clock.advance(day);
            let before = history.ask_read();
            all(history, &[seen(2, 20)]);
            history.all("stream-1", SHARD, before, &[seen(1, 10), seen(2, 20)]);
            clock.set_wall(Timestamp::ZERO);
            history.was_set_back(day);
            all(history, &[seen(1, 10), seen(2, 20)]);
        });
        // Passed over.
        check(false, |history, _| see(history, 10, &[seen(3, 30)]));
        // Refused, and there.
        check(false, |history, _| {
            see(history, 20, &[seen(3, 30)]);
            history.refused("stream-1", &put(3));
        });
        // A later put with a smaller number.
        check(false, |history, _| {
            let began = history.ask("stream-1", &[put(4)]);
            history.acknowledged("stream-1", &put(4), began, SHARD, &number(15));
        });
        check(true, |history, _| {
            let began = history.ask("stream-1", &[put(4)]);
            history.acknowledged("stream-1", &put(4), began, SHARD, &number(25));
        });
    }

    fn see_from(history: &mut History, from: &From, seen: &[Seen], caught_up: bool) {
        let began = history.ask_read();
        history.seen("stream-1", SHARD, began, from, seen, caught_up);
    }

    #[test]
    fn a_read_begins_where_it_was_told_to_and_passes_over_nothing() {
        let at = |digit, with| From::Number(number(digit), with);
        check(true, |history, _| see_from(history, &at(10, true), &[seen(1, 10)], false));
        check(true, |history, _| see_from(history, &at(10, false), &[seen(2, 20)], true));
        check(false, |history, _| see_from(history, &at(10, true), &[seen(2, 20)], false));
        check(false, |history, _| see_from(history, &at(10, false), &[seen(1, 10)], false));
        check(false, |history, _| see_from(history, &From::Horizon, &[seen(2, 20)], false));
        check(false, |history, _| see_from(history, &From::Time(1), &[seen(1, 10)], false));
        // It says that nothing follows.
        check(false, |history, _| see_from(history, &From::Horizon, &[seen(1, 10)], true));
        check(false, |history, _| see_from(history, &at(10, false), &[], true));
        check(true, |history, _| see_from(history, &at(20, false), &[], true));
        // What comes next.
        check(false, |history, _| {
            let asked = history.ask_read();
            let from = From::Latest(asked, history.ask_read());
            see_from(history, &from, &[seen(2, 20)], false);
        });
        check(false, |history, _| {
            let asked = history.ask_read();
            let from = From::Latest(asked, history.ask_read());
            for record in 4..=5 {
                let began = history.ask("stream-1", &[put(record)]);
                history.acknowledged("stream-1", &put(record), began, SHARD, &number(record * 10));
            }
            see_from(history, &from, &[seen(5, 50)], false);
        });
        // Another time than before, and one that was not yet.
        check(false, |history, _| {
            see(history, 20, &[seen(3, 30)]);
            see(history, 20, &[Seen { arrival_millis: -1, ..seen(3, 30) }]);
        });
        check(false, |history, _| see(history, 20, &[Seen { arrival_millis: 1, ..seen(3, 30) }]));
    }

    /// A client that numbers its attempts shows what one that sends the same bytes again hides.
    #[test]
    fn a_doubled_attempt_does_not_hide_behind_another_one() {
        let doubled = |history: &mut History, record: u64| {
            let began = history.ask("stream-1", &[put(record)]);
            history.acknowledged("stream-1", &put(record), began, SHARD, &number(30));
            see(history, 20, &[seen(record, 30), seen(record, 40)]);
        };
        check(true, |history, _| doubled(history, 3));
        check(false, |history, _| doubled(history, 3 + ATTEMPT));
        // The attempt without an answer, too.
        check(false, |history, _| see(history, 20, &[seen(3, 30), seen(3, 40)]));
    }

    #[test]
    fn nothing_comes_behind_the_end_of_a_shard() {
        check(true, |history, _| history.ended("stream-1", SHARD, &From::Number(number(20), false)));
        check(false, |history, _| history.ended("stream-1", SHARD, &From::Number(number(10), false)));
        check(false, |history, _| {
            history.ended("stream-1", SHARD, &From::Number(number(20), false));
            see(history, 20, &[seen(3, 30)]);
        });
    }

    #[test]
    fn a_record_is_kept_as_long_as_its_stream_says_and_not_longer() {
        let hour = Duration::from_secs(3600);
        let longer = |history: &mut History, is_answered: bool| {
            history.ask_retention("stream-1", 48);
            if is_answered {
                history.retention_answered("stream-1", 48, true);
            }
        };
        check(false, |history, clock| {
            longer(history, true);
            clock.advance(30 * hour);
            all(history, &[]);
        });
        check(true, |history, clock| {
            longer(history, false);
            clock.advance(30 * hour);
            all(history, &[]);
        });
        check(true, |history, clock| {
            clock.advance(24 * hour);
            longer(history, true);
            all(history, &[]);
        });
        check(false, |history, clock| {
            clock.advance(26 * hour);
            history.clock_is_sure();
            all(history, &[seen(1, 10), seen(2, 20)]);
        });
        check(true, |history, clock| {
            longer(history, false);
            clock.advance(26 * hour);
            history.clock_is_sure();
            all(history, &[seen(1, 10), seen(2, 20)]);
        });
    }
}
