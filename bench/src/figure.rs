//! What is measured, as values: the report is made of these and of nothing else.

use serde::Serialize;

/// One subject under one workload, some runs of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    /// The chapter of the report: `put`, `put-record`, `get`, `catch-up`, `fan-out`, `delay`, `shards`, `mixed`,
    /// `memory`, `growth-…`, `peers`, `log-engines`.
    pub(crate) group: &'static str,
    /// What was asked of the subject, the same words for every subject that was asked the same:
    /// `PutRecords 500 x 1 KiB, JSON, HTTP/1.1, 4 connections`.
    pub(crate) workload: String,
    /// Who: [`THALWEG`], [`F1`], [`F2`], [`F3`], [`SHA256`], or a peer's name and version.
    pub(crate) subject: String,
    /// In the order in which they were made.
    pub(crate) runs: Vec<Run>,
}

/// This project's server.
pub(crate) const THALWEG: &str = "thalweg";
/// The floor that reads and discards.
pub(crate) const F1: &str = "F1";
/// The floor that also hashes keys and writes.
pub(crate) const F2: &str = "F2";
/// The floor that sends prepared answers or frames.
pub(crate) const F3: &str = "F3";
/// SHA-256 of the body alone.
pub(crate) const SHA256: &str = "SHA-256";

/// One run.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Run {
    /// Wall time.
    pub(crate) seconds: f64,
    /// Calls that were answered with success.
    pub(crate) requests: u64,
    /// Calls that were told to slow down (and were sent again).
    pub(crate) throttled: u64,
    /// Records written or delivered.
    pub(crate) records: u64,
    /// Bytes of data in these records.
    pub(crate) payload_bytes: u64,
    /// Processor time of the server's processes, kernel included.
    pub(crate) server_seconds: f64,
    /// Processor time of the server's processes and of the kernel's own threads, write-back among them. What the
    /// generator and other programs used is not in it.
    pub(crate) cost_seconds: f64,
    /// From when a call was due (open loop) or sent (closed loop) until its answer was complete.
    pub(crate) latency: Option<Latency>,
    /// Resident memory of the server's processes at the end.
    pub(crate) resident_bytes: u64,
    /// The most that they ever had.
    pub(crate) resident_peak_bytes: u64,
    /// Bytes that the server's processes caused to be written to the device, and read from it.
    pub(crate) device_written_bytes: u64,
    pub(crate) device_read_bytes: u64,
    /// System calls of the server's processes, where the machine counts them.
    pub(crate) syscalls: Option<u64>,
    /// Part of the time in which some task waited for a processor, in percent.
    pub(crate) pressure_percent: f64,
    /// What makes this run less than it should be, for the report.
    pub(crate) note: Option<String>,
}

/// A latency distribution, in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Latency {
    pub(crate) count: u64,
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

/// A subject that was not measured, and why.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Absent {
    pub(crate) subject: String,
    pub(crate) reason: String,
}

/// How a subject was had and started, for the report.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Provenance {
    /// Name and version, as in [`Figure::subject`].
    pub(crate) subject: String,
    /// How it was installed.
    pub(crate) install: String,
    /// The command line and settings that matter.
    pub(crate) command: String,
    /// What its answer promises: durable before the answer, or not.
    pub(crate) durability: String,
}

/// Everything that a part of the benchmark found out.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Findings {
    pub(crate) figures: Vec<Figure>,
    pub(crate) absent: Vec<Absent>,
    pub(crate) provenance: Vec<Provenance>,
}

impl Findings {
    /// Adds another part's.
    pub(crate) fn append(&mut self, mut other: Findings) {
        self.figures.append(&mut other.figures);
        self.absent.append(&mut other.absent);
        self.provenance.append(&mut other.provenance);
    }
}

impl Figure {
    /// Without runs yet.
    pub(crate) fn new(group: &'static str, workload: &str, subject: &str) -> Figure {
        Figure { group, workload: workload.to_owned(), subject: subject.to_owned(), runs: Vec::new() }
    }

    /// The median over the runs of what `value` takes from each; `None` without runs.
    pub(crate) fn median(&self, value: impl Fn(&Run) -> f64) -> Option<f64> {
        let mut values: Vec<f64> = self.runs.iter().map(value).filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        match values.len() {
            0 => None,
            odd if odd % 2 == 1 => Some(values[middle]),
            _ => Some(f64::midpoint(values[middle - 1], values[middle])),
        }
    }
}

impl Run {
    /// Adds to what makes this run less than it should be.
    pub(crate) fn add_note(&mut self, words: &str) {
        match &mut self.note {
            None => self.note = Some(words.to_owned()),
            Some(note) => *note += &format!("; {words}"),
        }
    }

    /// Processor microseconds of the server and of kernel threads per request.
    pub(crate) fn cost_micros_per_request(&self) -> f64 {
        self.cost_seconds * 1e6 / self.requests as f64
    }

    /// Processor microseconds of the server and of kernel threads per record.
    pub(crate) fn cost_micros_per_record(&self) -> f64 {
        self.cost_seconds * 1e6 / self.records as f64
    }

    /// Requests per second of wall time.
    pub(crate) fn requests_per_second(&self) -> f64 {
        self.requests as f64 / self.seconds
    }

    /// Records per second of wall time.
    pub(crate) fn records_per_second(&self) -> f64 {
        self.records as f64 / self.seconds
    }

    /// Megabytes of record data per second of wall time.
    pub(crate) fn megabytes_per_second(&self) -> f64 {
        self.payload_bytes as f64 / 1e6 / self.seconds
    }
}
