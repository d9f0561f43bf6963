//! How long a record takes from its producer to its consumer, at 30 % of what the server can take; before and after it,
//! how long one durable write of a block takes.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::bodies::{self, Encoding};
use crate::figure::{Figure, Run, THALWEG};
use crate::floor::keys::json::JsonKeys;
use crate::floor::recycled::{BLOCK_BYTES, Recycled};
use crate::load::{Expect, Pool, Request, Schedule, Until, Version};
use crate::meter::{self, Histogram};
use crate::process;
use crate::workloads::listen::{self, Enough, Listeners};
use crate::workloads::poll;
use crate::workloads::put;
use crate::workloads::put_record::RECORD_BYTES;
use crate::workloads::subject::{Bench, add};

/// Part of the closed loop's rate, for records and for durable writes alone.
const LOAD: f64 = 0.3;
/// Before a write is due, its thread no longer sleeps: waking up would count.
const AWAKE: Duration = Duration::from_micros(200);
/// Connections of the producer.
const LANES: usize = 64;
/// How long the closed loop is measured for its rate.
const RATE_SECONDS: f64 = 1.0;
/// A key of as many digits as a stamp has.
const NO_STAMP: &str = "0000000000000000000";
/// The shortest time of a run with fan-out. What else the host does comes in bursts of a few milliseconds, and over two
/// seconds the slowest hundredth is made of one or two of them.
const FAN_OUT_SECONDS_MIN: f64 = 10.0;
/// What is written to the disk alone: when it is due, and as soon as the last one is done. What makes the machine stand
/// still keeps many of the former waiting, and of the latter one.
pub(crate) const ONE_WRITE: &str = "one durable write";
pub(crate) const WRITE_AFTER_WRITE: &str = "one durable write after the other";
/// The file that it goes to, again and again.
const FILE_BYTES: u64 = 256 << 20;

/// How records reach the consumer.
#[derive(Clone, Copy)]
enum Way {
    FanOut(Version),
    Polling(Duration),
}

impl Way {
    fn name(self) -> String {
        match self {
            Way::FanOut(version) => format!("to fan-out, {}", version.name()),
            Way::Polling(every) => format!("to GetRecords polling every {} ms", every.as_millis()),
        }
    }

    fn seconds(self, bench: &Bench<'_>) -> f64 {
        match self {
            Way::FanOut(_) if !bench.options.quick => bench.seconds().max(FAN_OUT_SECONDS_MIN),
            Way::FanOut(_) | Way::Polling(_) => bench.seconds(),
        }
    }
}

/// The chapter.
pub(crate) async fn run(bench: &Bench<'_>) -> Vec<Figure> {
    let ways = [
        Way::FanOut(Version::Http1),
        Way::FanOut(Version::Http2(1)),
        Way::Polling(Duration::from_millis(200)),
        Way::Polling(Duration::from_millis(5)),
    ];
    let mut figures = Vec::new();
    for way in ways {
        let put = "PutRecord 1 KiB at 30 % load, JSON";
        let mut delay = Figure::new("delay", &format!("{put}, put {}", way.name()), THALWEG);
        let mut answer =
            Figure::new("delay", &format!("{put}, put to its answer, beside {}", way.name()), THALWEG);
        let mut write = Figure::new("delay", &format!("{put}, put {}", way.name()), ONE_WRITE);
        let mut after = Figure::new("delay", &format!("{put}, put {}", way.name()), WRITE_AFTER_WRITE);
        for _ in 0..bench.runs() {
            // Half before and half after: what the host does to the disk changes within a minute.
            let half = way.seconds(bench) / 2.0;
            let mut writes = Writes::none();
            writes.make(bench, half);
            let (run, delays) = one(bench, way).await;
            writes.make(bench, half);
            let arrival = Run { latency: Some(meter::latency(&delays)), ..run.clone() };
            add(&mut delay, arrival);
            add(&mut answer, run);
            add(&mut write, writes.due.run());
            add(&mut after, writes.after.run());
        }
        figures.extend([delay, answer, write, after]);
    }
    figures
}

/// The run of the puts, and the delays of the records.
async fn one(bench: &Bench<'_>, way: Way) -> (Run, Histogram) {
    let subject = bench.thalweg();
    subject.create_stream("delay", 1).await;
    put::go_around_the_ring(&subject, "delay").await;
    let arns = listen::register(&subject, "delay", 1).await;
    let requests = requests();
    let mut pool = Pool::connect(subject.address(), Version::Http1, LANES).await;
    let rate = rate(&mut pool, &requests).await * LOAD;
    let schedule = Schedule::new(rate, way.seconds(bench));

    let epoch = Instant::now();
    let delays = Rc::new(RefCell::new(meter::histogram()));
    let look = {
        let (delays, keys) = (Rc::clone(&delays), RefCell::new(JsonKeys::default()));
        move |bytes: &[u8]| {
            let now = epoch.elapsed().as_nanos() as u64;
            keys.borrow_mut().feed(bytes, |key| {
                let text = std::str::from_utf8(key).expect("keys are digits");
                let due: u64 = text.parse().expect("keys are stamps");
                delays.borrow_mut().record(now.saturating_sub(due)).expect("it grows by itself");
            });
        }
    };
    let at = memchr::memmem::find(&requests[0].body(), NO_STAMP.as_bytes()).expect("the key is there");
    let next = move |number: u64, due: Instant| {
        let stamp = format!("{:019}", (due - epoch).as_nanos());
        requests[number as usize % requests.len()].stamped(at, stamp.as_bytes())
    };
    let run = match way {
        Way::FanOut(version) => {
            let request = listen::subscription(Encoding::Json, &arns[0], "LATEST");
            let enough = Enough::Records(schedule.count());
            let look = Some(Rc::new(look) as Rc<listen::Look>);
            let listeners = Listeners::open(subject.address(), version, vec![request], enough, look).await;
            meter::measure(&subject.server, async {
                let work = pool.open_with(schedule, Rc::new(next)).await;
                listeners.finish().await;
                work
            })
            .await
        }
        Way::Polling(every) => {
            let iterator = poll::latest(&subject, "delay").await;
            meter::measure(&subject.server, async {
                let polling = poll::poll(&subject, iterator, every, schedule.count(), look);
                tokio::join!(pool.open_with(schedule, Rc::new(next)), polling).0
            })
            .await
        }
    };
    let delays = delays.replace(meter::histogram());
    assert_eq!(delays.len(), schedule.count(), "every record's delay is known");
    (put::drained(run), delays)
}

/// Requests whose keys will be stamps.
fn requests() -> Rc<[Request]> {
    (0..256)
        .map(|number| {
            let data = bodies::noise(number + 1, RECORD_BYTES);
            let body = bodies::put_record(Encoding::Json, "delay", NO_STAMP, &data);
            Request::kinesis("PutRecord", Encoding::Json, &body).moving(1, RECORD_BYTES as u64, Expect::Any)
        })
        .collect()
}

/// Requests a second of the closed loop.
async fn rate(pool: &mut Pool, requests: &Rc<[Request]>) -> f64 {
    pool.closed(requests, Until::seconds(RATE_SECONDS / 2.0)).await;
    let started = Instant::now();
    let work = pool.closed(requests, Until::seconds(RATE_SECONDS)).await;
    work.requests as f64 / started.elapsed().as_secs_f64()
}

/// Durable writes of a block, on the server's core and while no server runs: one after the other, which gives a rate, and
/// as records are, at a part of that rate and timed from when each is due.
struct Writes {
    after: Timed,
    due: Timed,
}

/// How long writes took.
struct Timed {
    seconds: f64,
    latencies: Histogram,
}

impl Writes {
    fn none() -> Writes {
        let none = || Timed { seconds: 0.0, latencies: meter::histogram() };
        Writes { after: none(), due: none() }
    }

    fn make(&mut self, bench: &Bench<'_>, seconds: f64) {
        let folder = bench.folder();
        let mut file = Recycled::create(&folder.path().join("recycled"), FILE_BYTES, BLOCK_BYTES);
        let write = || {
            process::pin_this(process::SERVER_CORE);
            let (started, before) = (Instant::now(), self.after.latencies.len());
            while started.elapsed().as_secs_f64() < RATE_SECONDS {
                self.after.write(&mut file, Instant::now());
            }
            let rate = (self.after.latencies.len() - before) as f64 / RATE_SECONDS;
            self.after.seconds += started.elapsed().as_secs_f64();
            let (schedule, started) = (Schedule::new(rate * LOAD, seconds), Instant::now());
            for after in (0..).map_while(|number| schedule.due(number)) {
                let due = started + after;
                std::thread::sleep(due.saturating_duration_since(Instant::now() + AWAKE));
                while Instant::now() < due {
                    std::hint::spin_loop();
                }
                self.due.write(&mut file, due);
            }
            self.due.seconds += started.elapsed().as_secs_f64();
        };
        std::thread::scope(|scope| scope.spawn(write).join().expect("writing does not panic"));
    }
}

impl Timed {
    /// Writes a block, and notes how long after `since` that was done.
    fn write(&mut self, file: &mut Recycled, since: Instant) {
        file.write(BLOCK_BYTES);
        self.latencies.record(since.elapsed().as_nanos() as u64).expect("it grows by itself");
    }

    fn run(&self) -> Run {
        let number = self.latencies.len();
        Run {
            seconds: self.seconds,
            requests: number,
            records: number,
            payload_bytes: number * BLOCK_BYTES as u64,
            latency: Some(meter::latency(&self.latencies)),
            ..Run::default()
        }
    }
}
