//! What a run used: processor time, memory, device bytes and pressure, read from the system before and after.

use std::fs;
use std::time::{Duration, Instant};

use crate::figure::{Latency, Run};
use crate::process::Server;

/// Latencies are recorded in nanoseconds with three significant digits.
pub(crate) type Histogram = hdrhistogram::Histogram<u64>;

/// An empty histogram.
pub(crate) fn histogram() -> Histogram {
    Histogram::new(3).expect("three digits are allowed")
}

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
    started: Instant,
    outside: Duration,
    server: Duration,
    written: u64,
    read: u64,
    pressure_micros: u64,
}

impl Meter {
    /// Reads the system at the start of a run. `generators`: processes besides this one that make load.
    pub(crate) fn start(server: &Server, generators: &[u32]) -> Meter {
        let processes = server.processes();
        let (written, read) = device_bytes(&processes);
        Meter {
            generators: generators.to_vec(),
            started: Instant::now(),
            outside: outside_time(generators),
            server: processor_time(&processes),
            written,
            read,
            pressure_micros: pressure_micros(),
        }
    }

    /// Reads it again, at the end.
    pub(crate) fn stop(&self, server: &Server, work: Work) -> Run {
        let elapsed = self.started.elapsed();
        let processes = server.processes();
        let (written, read) = device_bytes(&processes);
        let (resident_bytes, resident_peak_bytes) = resident_bytes(&processes);
        let pressure = pressure_micros() - self.pressure_micros;
        Run {
            seconds: elapsed.as_secs_f64(),
            requests: work.requests,
            throttled: work.throttled,
            records: work.records,
            payload_bytes: work.payload_bytes,
            server_seconds: processor_time(&processes).saturating_sub(self.server).as_secs_f64(),
            outside_seconds: outside_time(&self.generators).saturating_sub(self.outside).as_secs_f64(),
            latency: work.latency.as_ref().map(latency),
            resident_bytes,
            resident_peak_bytes,
            device_written_bytes: written.saturating_sub(self.written),
            device_read_bytes: read.saturating_sub(self.read),
            syscalls: None,
            pressure_percent: pressure as f64 / elapsed.as_micros() as f64 * 100.0,
            note: work.note,
        }
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

/// Clock ticks per second; fixed on Linux.
const TICKS: u64 = 100;

/// Processor time so far, with that of children that have ended.
fn processor_time(processes: &[u32]) -> Duration {
    let mut ticks = 0;
    for process in processes {
        let Ok(text) = fs::read_to_string(format!("/proc/{process}/stat")) else { continue };
        let Some(end) = text.rfind(')') else { continue };
        // utime, stime, cutime and cstime are fields 14 to 17; the third follows the name.
        let fields = text[end + 2..].split(' ').skip(11).take(4);
        ticks += fields.filter_map(|field| field.parse::<u64>().ok()).sum::<u64>();
    }
    Duration::from_millis(ticks * 1000 / TICKS)
}

/// Processor time of the whole machine that was neither idle nor the generator's.
fn outside_time(generators: &[u32]) -> Duration {
    let text = fs::read_to_string("/proc/stat").expect("Linux has it");
    let fields: Vec<u64> = text
        .lines()
        .next()
        .expect("the first line is all processors")
        .split_whitespace()
        .skip(1)
        .map(|field| field.parse().expect("fields are numbers"))
        .collect();
    // user, nice, system, idle, iowait, irq, softirq, steal: all but idle, iowait and steal.
    let busy = fields[0] + fields[1] + fields[2] + fields[5] + fields[6];
    let mut mine = vec![std::process::id()];
    mine.extend_from_slice(generators);
    Duration::from_millis(busy * 1000 / TICKS).saturating_sub(processor_time(&mine))
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
