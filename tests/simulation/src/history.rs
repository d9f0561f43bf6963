//! What was asked of the server, what it answered and what was seen of it, and the rules that all of it must keep:
//!
//! 1. A record that was acknowledged is at its place: shard and sequence number, once, unchanged, until its retention ends.
//! 2. An attempt that was not acknowledged left its record once or not at all; one that was refused left nothing.
//! 3. What was seen once is seen again, at the same place, until its retention ends; what is gone is the oldest, and stays
//!    gone, unless the clock is set back.
//! 4. In a shard sequence numbers grow and arrival times do not go back. A put that began after another one of its shard,
//!    or of its partition key, was acknowledged has the greater number.
//! 5. Nothing is there that nobody put.
//! 6. When nothing is wrong any more, every stream takes puts (`verify` looks at that).
//!
//! A broken rule panics.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use thalweg_system::Clock;
use thalweg_types::Timestamp;

/// Data that no record of ours is shorter than: its number.
pub(crate) const DATA_BYTES_MIN: usize = 8;

/// How long a record is kept at least, unless a stream is told to keep it longer.
const RETENTION_MIN: Duration = Duration::from_secs(24 * 3600);
/// Of a leap ahead of the wall clock so much is believed at once, and the rest after as long.
const JUMP_MAX: Duration = Duration::from_secs(3600);

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
}

/// A moment in the history.
pub(crate) type Moment = u64;

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
    records: BTreeMap<u64, Sent>,
    shards: BTreeMap<String, ShardHistory>,
    keys: BTreeMap<String, Order>,
}

#[derive(Clone)]
struct Sent {
    put: Put,
    /// When it was first asked for, in monotonic time, and how often the wall clock had leapt by then.
    since: Duration,
    leaps: usize,
    /// How many attempts may have left it, and how many have, as far as is known.
    attempts: u32,
    places: u32,
}

#[derive(Clone, Default)]
struct ShardHistory {
    /// The records by sequence number: all numbers have as many digits.
    known: BTreeMap<String, u64>,
    order: Order,
    gone: Vec<Gone>,
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
    /// A put that began at `began` was acknowledged at `now` with this number.
    fn acknowledge(&mut self, what: &str, began: Moment, now: Moment, number: &str) {
        let before = self.0.partition_point(|(moment, _)| *moment < began);
        if let Some((_, greatest)) = before.checked_sub(1).map(|index| &self.0[index]) {
            assert!(
                greatest.as_str() < number,
                "{what}: {number} was given after {greatest}, and is not greater"
            );
        }
        if self.0.last().is_none_or(|(_, greatest)| greatest.as_str() < number) {
            self.0.push((now, number.to_owned()));
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
            arrival_millis: (record["ApproximateArrivalTimestamp"].as_f64().expect("a time") * 1000.0).round()
                as i64,
        })
        .collect()
}

/// How far these leaps of the wall clock may be believed by now.
fn believed(leaps: &[(Duration, Duration)], now: Duration) -> Duration {
    let part = |&(at, by): &(Duration, Duration)| if now < at + JUMP_MAX { by.min(JUMP_MAX) } else { by };
    leaps.iter().map(part).sum()
}

impl History {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> History {
        History { clock, recorder: None, streams: BTreeMap::new(), serial: 0, moments: 0, leaps: Vec::new() }
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
        match event {
            Event::CreateAsked(name) => drop(self.streams.insert(name.clone(), StreamHistory::default())),
            Event::Created(name) => self.created(name),
            Event::DeleteAsked(name) => self.ask_delete(name),
            Event::Deleted(name) => self.deleted(name),
            Event::Asked(stream, puts) => {
                self.ask(stream, puts);
                let newest = puts.iter().map(|put| put.record).max();
                self.serial = self.serial.max(newest.unwrap_or(0));
            }
            Event::Refused(stream, put) => self.refused(stream, put),
            Event::Placed { stream, shard, number, record } => self.place(stream, shard, number, *record),
        }
    }

    /// The wall clock was set ahead by so much.
    pub(crate) fn leapt(&mut self, by: Duration) {
        self.leaps.push((self.clock.monotonic(), by));
    }

    /// The wall clock was set back: what was gone may be seen again.
    pub(crate) fn was_set_back(&mut self) {
        for stream in self.streams.values_mut() {
            stream.shards.values_mut().for_each(|shard| shard.gone.clear());
        }
    }

    fn next_moment(&mut self) -> Moment {
        self.moments += 1;
        self.moments
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

    /// The number of a record that nobody has put yet.
    pub(crate) fn next_record(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// A read begins.
    pub(crate) fn ask_read(&mut self) -> Moment {
        self.next_moment()
    }

    /// An attempt to put these begins.
    pub(crate) fn ask(&mut self, stream: &str, puts: &[Put]) -> Moment {
        let (since, leaps) = (self.clock.monotonic(), self.leaps.len());
        for put in puts {
            let records = &mut self.stream(stream).records;
            let new = || Sent { put: put.clone(), since, leaps, attempts: 0, places: 0 };
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
        self.place(stream, shard, number, put.record);
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
    fn place(&mut self, stream: &str, shard: &str, number: &str, record: u64) {
        assert_eq!(number.len(), 56, "{number} of {shard} of {stream} has another length");
        let streams = self.stream(stream);
        let known = &mut streams.shards.entry(shard.to_owned()).or_default().known;
        if let Some(known) = known.get(number) {
            assert_eq!(*known, record, "{number} of {shard} of {stream} has another record than before");
            return;
        }
        known.insert(number.to_owned(), record);
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
        let (stream, shard, number) = (stream.to_owned(), shard.to_owned(), number.to_owned());
        self.happened(|| Event::Placed { stream, shard, number, record });
    }

    /// Records that came one after the other from a shard, in a read that began at `began`. Those behind `after` come
    /// first, or, without that, any.
    pub(crate) fn seen(
        &mut self,
        stream: &str,
        shard: &str,
        began: Moment,
        after: Option<&str>,
        seen: &[Seen],
    ) {
        for pair in seen.windows(2) {
            let (one, next) = (&pair[0], &pair[1]);
            assert!(one.sequence_number < next.sequence_number, "numbers of {shard} of {stream} grow");
            assert!(one.arrival_millis <= next.arrival_millis, "times of {shard} of {stream} do not go back");
        }
        for one in seen {
            let number = one.data.first_chunk().map(|bytes| u64::from_be_bytes(*bytes));
            let record =
                number.unwrap_or_else(|| panic!("{one:?} of {shard} of {stream} is no record of ours"));
            self.place(stream, shard, &one.sequence_number, record);
            let put = &self.stream(stream).records[&record].put;
            assert_eq!(one.partition_key, put.partition_key, "record {record} of {stream} has its key");
            assert!(one.data == data_of(record, put.data_bytes), "record {record} of {stream} has its data");
        }
        let (Some(first), Some(last)) = (seen.first(), seen.last()) else { return };
        self.check_gone(stream, shard, began, first);
        let from = after.map_or_else(|| first.sequence_number.clone(), str::to_owned);
        self.check_whole(stream, shard, &from, after.is_none(), Some(&last.sequence_number), seen);
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

    /// Everything that a shard has, in a read that began at `began`.
    pub(crate) fn all(&mut self, stream: &str, shard: &str, began: Moment, seen: &[Seen]) {
        self.seen(stream, shard, began, None, seen);
        self.check_whole(stream, shard, "", true, None, seen);
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
        let mut gone = None;
        let mut seen = seen.iter().map(|one| one.sequence_number.as_str()).peekable();
        let mut any_seen = false;
        for (number, record) in history.known.range(from.to_owned()..) {
            if number == from && !with_from {
                continue;
            }
            if to.is_some_and(|to| number.as_str() > to) {
                break;
            }
            if seen.next_if(|one| *one == number).is_some() {
                any_seen = true;
                continue;
            }
            let sent = &streams.records[record];
            let age = now - sent.since + believed(&self.leaps[sent.leaps..], now);
            assert!(
                !any_seen && age >= RETENTION_MIN,
                "record {record} at {number} of {shard} of {stream}, {} s old, is gone",
                age.as_secs()
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
            arrival_millis: 5,
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
        history.seen("stream-1", SHARD, began, Some(&number(after)), seen);
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
}
