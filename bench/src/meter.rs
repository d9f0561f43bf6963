//! What a run used: processor time, memory, device bytes and pressure, read from the system before and after.

use std::fs;
use std::time::Instant;

use crate::figure::{Latency, Run};
use crate::process::Server;
use crate::processor::Times;

/// Latencies are recorded in nanoseconds with three significant digits.
pub(crate) type Histogram = hdrhistogram::Histogram<u64>;

/// An empty histogram.
pub(crate) fn histogram() -> Histogram {
    Histogram::new(3).expect("three digits are allowed")
}

/// More of a processor than this for other programs is noted: they were in the way.
const OTHERS_PART_MAX: f64 = 0.05;

/// What was done in a run.
#[derive(Default)]
pub(crate) struct Work {
    pub(crate) requests: u64,
    pub(crate) throttled: u64,
    pub(crate) records: u64,
    pub(crate) payload_bytes: u64,
    pub(crate) latency: Option<Histogram>,
    /// What fell short.
    pub(crate) note: Option<String>,
}

impl Work {
    /// Adds what another connection did.
    pub(crate) fn add(&mut self, other: Work) {
        self.requests += other.requests;
        self.throttled += other.throttled;
        self.records += other.records;
        self.payload_bytes += other.payload_bytes;
        match (&mut self.latency, other.latency) {
            (Some(mine), Some(theirs)) => mine.add(theirs).expect("both have the same digits"),
            (mine, theirs) => *mine = mine.take().or(theirs),
        }
        self.note = self.note.take().or(other.note);
    }
}

/// A reading of the system.
pub(crate) struct Meter {
    /// Processes besides this one that make load.
    generators: Vec<u32>,
    written: u64,
    read: u64,
    pressure_micros: u64,
    times: Times,
    started: Instant,
}

impl Meter {
    /// Reads the system at the start of a run. `generators`: processes besides this one that make load.
    pub(crate) fn start(server: &Server, generators: &[u32]) -> Meter {
        let processes = server.processes();
        let (written, read) = device_bytes(&processes);
        Meter {
            generators: generators.to_vec(),
            written,
            read,
            pressure_micros: pressure_micros(),
            times: Times::read(&processes, generators),
            started: Instant::now(),
        }
    }

    /// Reads it again, at the end.
    pub(crate) fn stop(&self, server: &Server, work: Work) -> Run {
        let elapsed = self.started.elapsed();
        let processes = server.processes();
        let used = Times::read(&processes, &self.generators).since(&self.times);
        let (written, read) = device_bytes(&processes);
        let (resident_bytes, resident_peak_bytes) = resident_bytes(&processes);
        let pressure = pressure_micros() - self.pressure_micros;
        let mut run = Run {
            seconds: elapsed.as_secs_f64(),
            requests: work.requests,
            throttled: work.throttled,
            records: work.records,
            payload_bytes: work.payload_bytes,
            server_seconds: used.server.as_secs_f64(),
            cost_seconds: (used.server + used.kernel).as_secs_f64(),
            latency: work.latency.as_ref().map(latency),
            resident_bytes,
            resident_peak_bytes,
            device_written_bytes: written.saturating_sub(self.written),
            device_read_bytes: read.saturating_sub(self.read),
            syscalls: None,
            pressure_percent: pressure as f64 / elapsed.as_micros() as f64 * 100.0,
            note: work.note,
        };
        let others = used.others.as_secs_f64() / elapsed.as_secs_f64();
        if others > OTHERS_PART_MAX {
            run.add_note(&format!("other programs used {:.0} % of a processor", others * 100.0));
        }
        run
    }
}

/// Measures while `work` runs.
pub(crate) async fn measure(server: &Server, work: impl Future<Output = Work>) -> Run {
    let meter = Meter::start(server, &[]);
    let work = work.await;
    meter.stop(server, work)
}

/// What a histogram of nanoseconds says.
pub(crate) fn latency(histogram: &Histogram) -> Latency {
    let micros = |nanos: u64| nanos as f64 / 1000.0;
    let at = |quantile| micros(histogram.value_at_quantile(quantile));
    Latency {
        count: histogram.len(),
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p999: at(0.999),
        max: micros(histogram.max()),
    }
}

/// Bytes written to the device and read from it, so far.
fn device_bytes(processes: &[u32]) -> (u64, u64) {
    let (mut written, mut read) = (0, 0);
    for process in processes {
        let text = fs::read_to_string(format!("/proc/{process}/io")).unwrap_or_default();
        let field = |name: &str| -> u64 {
            text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or(0)
        };
        written += field("write_bytes:").saturating_sub(field("cancelled_write_bytes:"));
        read += field("read_bytes:");
    }
    (written, read)
}

/// Resident memory now, and the most there ever was.
pub(crate) fn resident_bytes(processes: &[u32]) -> (u64, u64) {
    let (mut now, mut peak) = (0, 0);
    for process in processes {
        let text = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let field = |name: &str| -> u64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0) * 1024
        };
        now += field("VmRSS:");
        peak += field("VmHWM:");
    }
    (now, peak)
}

/// For how long some task has waited for a processor so far.
fn pressure_micros() -> u64 {
    let text = fs::read_to_string("/proc/pressure/cpu").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("some"));
    line.and_then(|line| line.rsplit_once("total=")?.1.parse().ok()).unwrap_or(0)
}
