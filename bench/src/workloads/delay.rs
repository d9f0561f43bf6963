//! How long a record takes from its producer to its consumer, at 30 % of what the server can take; beside it, how long
//! one durable write of a block takes.

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

/// Part of the closed loop's rate.
const LOAD: f64 = 0.3;
/// Connections of the producer.
const LANES: usize = 64;
/// How long the closed loop is measured for its rate.
const RATE_SECONDS: f64 = 1.0;
/// A key of as many digits as a stamp has.
const NO_STAMP: &str = "0000000000000000000";
/// What is written to the disk alone.
const ONE_WRITE: &str = "one durable write";
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
        for _ in 0..bench.runs() {
            let (run, delays, rate) = one(bench, way).await;
            let arrival = Run { latency: Some(meter::latency(&delays)), ..run.clone() };
            add(&mut delay, arrival);
            add(&mut answer, run);
            add(&mut write, durable_writes(bench, rate));
        }
        figures.extend([delay, answer, write]);
    }
    figures
}

/// The run of the puts, the delays of the records, and the rate.
async fn one(bench: &Bench<'_>, way: Way) -> (Run, Histogram, f64) {
    let subject = bench.thalweg();
    subject.create_stream("delay", 1).await;
    put::go_around_the_ring(&subject, "delay").await;
    let arns = listen::register(&subject, "delay", 1).await;
    let requests = requests();
    let mut pool = Pool::connect(subject.address(), Version::Http1, LANES).await;
    let rate = rate(&mut pool, &requests).await * LOAD;
    let schedule = Schedule::new(rate, bench.seconds());

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
            let request = listen::subscription(&arns[0], "LATEST");
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
    (put::drained(run), delays, rate)
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

/// Durable writes of a block on the server's core, one at a time, at this rate as far as the disk keeps up.
fn durable_writes(bench: &Bench<'_>, rate: f64) -> Run {
    let folder = bench.folder();
    let mut file = Recycled::create(&folder.path().join("recycled"), FILE_BYTES, BLOCK_BYTES);
    let schedule = Schedule::new(rate, bench.seconds());
    std::thread::scope(|scope| {
        let work = scope.spawn(|| {
            process::pin_this(process::SERVER_CORE);
            write(&mut file, schedule)
        });
        work.join().expect("writing does not panic")
    })
}

fn write(file: &mut Recycled, schedule: Schedule) -> Run {
    let mut latencies = meter::histogram();
    let started = Instant::now();
    let mut number = 0;
    while let Some(after) = schedule.due(number) {
        if let Some(left) = after.checked_sub(started.elapsed()) {
            std::thread::sleep(left);
        }
        let begun = Instant::now();
        file.write(BLOCK_BYTES);
        latencies.record(begun.elapsed().as_nanos() as u64).expect("it grows by itself");
        number += 1;
    }
    Run {
        seconds: started.elapsed().as_secs_f64(),
        requests: number,
        records: number,
        payload_bytes: number * BLOCK_BYTES as u64,
        latency: Some(meter::latency(&latencies)),
        ..Run::default()
    }
}
