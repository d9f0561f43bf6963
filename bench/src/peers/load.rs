//! The closed loop against a peer: the time it may take and the memory it may use are bounded, and what goes wrong is
//! an error, not the end of the benchmark.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::api::{Call, RECORD_BYTES, start};
use super::http::Connection;
use crate::figure::Run;
use crate::meter::{self, Meter, Work};
use crate::process::Server;

/// A run ends early when its server has this much resident memory: peers that keep everything would take it all.
const RESIDENT_BYTES_MAX: u64 = 6 << 30;
/// How often that is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// At the end of a run, calls under way may take this much longer: slow peers need seconds for 64 calls of 500 records.
const GRACE: Duration = Duration::from_secs(10);
/// A call that is told to slow down is sent again after this.
const THROTTLE_PAUSE: Duration = Duration::from_millis(10);

/// Drives a server with the calls in turn, on each of some new connections.
///
/// # Errors
/// A call failed, or was not answered for [`GRACE`] after the end.
pub(crate) async fn run(
    server: &Server,
    connections: usize,
    calls: &[Call],
    seconds: f64,
) -> Result<Run, String> {
    let work = RefCell::new(Work { latency: Some(meter::histogram()), ..Work::default() });
    let full = Cell::new(false);
    let meter = Meter::start(server, &[]);
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let lanes = async {
        let mut lanes: FuturesUnordered<_> =
            (0..connections).map(|lane| drive(server, lane, calls, end, &full, &work)).collect();
        while let Some(result) = lanes.next().await {
            result?;
        }
        Ok::<(), String>(())
    };
    let watch = async {
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            if meter::resident_bytes(&server.processes()).0 > RESIDENT_BYTES_MAX {
                full.set(true);
            }
        }
    };
    let deadline = tokio::time::Instant::from_std(end + GRACE);
    let late = |_| Err(format!("calls were not answered within {} s of the run's end", GRACE.as_secs()));
    tokio::select! {
        result = tokio::time::timeout_at(deadline, lanes) => result.unwrap_or_else(late)?,
        () = watch => unreachable!("it has no end"),
    };
    let mut run = meter.stop(server, work.into_inner());
    if full.get() {
        run.add_note(&format!("ended early: the server had over {} GiB of memory", RESIDENT_BYTES_MAX >> 30));
    }
    Ok(run)
}

/// One connection's part.
async fn drive(
    server: &Server,
    lane: usize,
    calls: &[Call],
    end: Instant,
    full: &Cell<bool>,
    work: &RefCell<Work>,
) -> Result<(), String> {
    let mut connection = Connection::new(&server.address);
    for turn in lane.. {
        let call = &calls[turn % calls.len()];
        let sent = Instant::now();
        while !attempt(&mut connection, call).await? {
            work.borrow_mut().throttled += 1;
            tokio::time::sleep(THROTTLE_PAUSE).await;
            if Instant::now() >= end {
                return Ok(());
            }
        }
        let now = Instant::now();
        let mut work = work.borrow_mut();
        work.requests += 1;
        work.records += call.records;
        work.payload_bytes += call.records * RECORD_BYTES as u64;
        if let Some(histogram) = &mut work.latency {
            histogram.record((now - sent).as_nanos() as u64).expect("it grows by itself");
        }
        if now >= end || full.get() {
            return Ok(());
        }
    }
    unreachable!("turns do not run out")
}

/// Makes a call; answers false when it was told to slow down.
async fn attempt(connection: &mut Connection, call: &Call) -> Result<bool, String> {
    let answer = connection.call(&call.request).await?;
    if answer.status == 200 {
        call.good.check(answer.body)?;
        return Ok(true);
    }
    if memchr::memmem::find(answer.body, b"ProvisionedThroughputExceeded").is_some() {
        return Ok(false);
    }
    Err(format!("status {}: {}", answer.status, start(answer.body)))
}
