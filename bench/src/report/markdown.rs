//! The report in words and tables.

use std::fmt::Write;

use crate::figure::{Figure, Findings, Run, THALWEG};
use crate::log_engines;
use crate::options::Options;
use crate::report::machine::Machine;
use crate::report::{outstanding, targets};

/// Chapters in the order of the report, with their headings.
pub(super) const CHAPTERS: &[(&str, &str)] = &[
    ("put", "PutRecords"),
    ("put-record", "PutRecord"),
    ("shards", "Few and many shards"),
    ("get", "GetRecords at the tail"),
    ("catch-up", "GetRecords from disk"),
    ("fan-out", "SubscribeToShard"),
    ("delay", "From put to consumer"),
    ("mixed", "Everything at once"),
    ("memory", "Memory"),
    ("growth-shards", "Growth: shards"),
    ("growth-stored", "Growth: stored bytes"),
    ("growth-consumers", "Growth: consumers"),
    ("peers", "Servers of the Kinesis API"),
    ("log-engines", "Log engines"),
];

/// The whole report.
pub(crate) fn report(
    options: &Options,
    machine: &Machine,
    findings: &Findings,
    charts: &[(String, String)],
) -> String {
    let mut out = String::new();
    let _ = write!(
        out,
        "# Benchmark of {}\n\n\
         Made by `cargo run --release -p thalweg-bench`; do not edit. Commit {}, {} cores of {}, {} GiB, {}; data \
         on {}.\n\n\
         Medians of {} runs of at least {} s; of one run in the chapters of growth and in the sweep over peers. Where runs of \
         both sides were made in turn, the figures to beat also have the least and the most of a pair. Latencies of \
         closed loops (PutRecords, PutRecord, GetRecords) are timed from when a call was sent, those of open loops (the delay, live \
         fan-out) from when it was due. Server and load generator have one core each. *Processor time* is \
         that of the server's processes and of the kernel's own threads, without what the generator and other programs \
         use; `server` is the server's processes alone. *Pressure* is the part of the time in which a task waited for a processor (the server's threads share \
         one core). Floors: F1 reads and discards the request; F2 also hashes the partition keys, makes one durable \
         write to recycled blocks and one buffered write of the same bytes for each batch, and sends a prepared \
         answer; it syncs its segments every 96 MiB and deletes old ones, for which its puts wait, and so is a measure and not a \
         bound: a server that hashes keys side by side and writes segments past the cache may cost less. F3 sends prepared answers or frames from memory. \
         *Bytes written* and *read* are those that the kernel accounts to the server's processes (`/proc/PID/io`), \
         without the file system's own journal.\n\n\
         *Steady state*: for PutRecords, also over few and many shards, in the growth against shards and for memory under load, the server and F2 are \
         warmed up by one capacity of the server's write-ahead ring (512 MiB) and measured for at least three more, \
         unless they take less than 60 MB/s. For PutRecord, the delay, live fan-out and everything at once, which would need minutes for that, PutRecords \
         fills the server's ring twice over, and then they are measured for the time above; the delay with fan-out for at \
         least ten seconds, and the durable write that it is compared with half before and half after it, while no server \
         runs, and at 30 % of its own rate, too. Reads from disk begin half a second before they are measured. Where puts \
         last for two seconds or more and the device was given less than 90 % of twice their data (ring and segments), \
         a note says that the backlog grew; the ring's padding may hide that for calls of one record.\n\n\
         ## The figures to beat\n\n",
        machine.date,
        machine.commit,
        machine.cores,
        machine.processor,
        machine.memory_gib,
        machine.kernel,
        machine.file_system,
        options.runs,
        options.seconds,
    );
    out += &targets(findings);
    for (name, title) in charts.iter().filter(|(name, _)| name == "floors.svg") {
        let _ = write!(out, "\n![{title}]({name})\n");
    }
    for (group, heading) in CHAPTERS {
        let figures: Vec<&Figure> = findings.figures.iter().filter(|figure| figure.group == *group).collect();
        if figures.is_empty() {
            continue;
        }
        let _ = write!(out, "\n## {heading}\n\n");
        for (name, title) in charts.iter().filter(|(name, _)| *name == format!("{group}.svg")) {
            let _ = write!(out, "![{title}]({name})\n\n");
        }
        let tables = layouts(group, &figures).into_iter().map(|(columns, figures)| table(columns, &figures));
        out += &tables.collect::<Vec<_>>().join("\n");
        if *group == log_engines::GROUP {
            out += &outstanding::table(findings);
        }
    }
    if !findings.provenance.is_empty() {
        out += "\n## Peers: versions, settings, promises\n\n| subject | installed by | command | its answer means |\n|---|---|---|---|\n";
        for peer in &findings.provenance {
            let _ = writeln!(
                out,
                "| {} | `{}` | `{}` | {} |",
                peer.subject, peer.install, peer.command, peer.durability
            );
        }
    }
    if !findings.absent.is_empty() {
        out += "\n## Not measured\n\n";
        for absent in &findings.absent {
            let reason = absent.reason.split_whitespace().collect::<Vec<_>>().join(" ");
            let _ = writeln!(out, "- {}: {reason}", absent.subject);
        }
    }
    out
}

/// The figures to beat, as a table.
pub(crate) fn targets(findings: &Findings) -> String {
    let mut out = String::from("| figure | measured | reach | aim | holds |\n|---|---|---|---|---|\n");
    for target in targets::all(findings) {
        let (reach, aim) = (target.text(target.reach), target.text(target.aim));
        let (measured, verdict) = (target.measured(), target.verdict());
        let _ = writeln!(out, "| {} | {measured} | {reach} | {aim} | {verdict} |", target.name);
    }
    out
}

/// One column of a chapter's table.
struct Column {
    heading: &'static str,
    value: fn(&Run) -> f64,
    write: fn(f64) -> String,
}

const COLUMNS: &[Column] = &[
    Column { heading: "requests/s", value: Run::requests_per_second, write: number },
    Column { heading: "records/s", value: Run::records_per_second, write: number },
    Column { heading: "MB/s", value: Run::megabytes_per_second, write: number },
    Column { heading: "us/request", value: Run::cost_micros_per_request, write: number },
    Column { heading: "us/record", value: Run::cost_micros_per_record, write: number },
    Column {
        heading: "server us/record",
        value: |run| run.server_seconds * 1e6 / run.records as f64,
        write: number,
    },
    Column { heading: "server busy %", value: |run| run.server_seconds / run.seconds * 100.0, write: number },
    Column {
        heading: "p50 us",
        value: |run| run.latency.map_or(f64::NAN, |latency| latency.p50),
        write: number,
    },
    Column {
        heading: "p99 us",
        value: |run| run.latency.map_or(f64::NAN, |latency| latency.p99),
        write: number,
    },
    Column {
        heading: "MiB at the end",
        value: |run| run.resident_bytes as f64 / f64::from(1 << 20),
        write: number,
    },
    Column {
        heading: "MiB at most",
        value: |run| run.resident_peak_bytes as f64 / f64::from(1 << 20),
        write: number,
    },
    Column {
        heading: "bytes written per byte",
        value: |run| {
            if run.device_written_bytes == 0 {
                f64::NAN
            } else {
                run.device_written_bytes as f64 / run.payload_bytes as f64
            }
        },
        write: number,
    },
    Column {
        heading: "bytes read per byte",
        value: |run| {
            if run.device_read_bytes < 4096 {
                f64::NAN
            } else {
                run.device_read_bytes as f64 / run.payload_bytes as f64
            }
        },
        write: number,
    },
    Column {
        heading: "calls/request",
        value: |run| run.syscalls.map_or(f64::NAN, |calls| calls as f64 / run.requests as f64),
        write: number,
    },
    Column {
        heading: "throttled",
        value: |run| if run.throttled == 0 { f64::NAN } else { run.throttled as f64 },
        write: number,
    },
    Column { heading: "pressure %", value: |run| run.pressure_percent, write: number },
];

/// For how long a server does not listen after it was killed.
const RESTART_COLUMNS: &[Column] =
    &[Column { heading: "start after kill -9, ms", value: |run| run.seconds * 1000.0, write: number }];

const MEMORY_COLUMNS: &[Column] = &[
    Column { heading: "MiB", value: |run| run.resident_bytes as f64 / f64::from(1 << 20), write: number },
    Column {
        heading: "MiB at most",
        value: |run| run.resident_peak_bytes as f64 / f64::from(1 << 20),
        write: number,
    },
];

/// A chapter's tables: in those of growth, restarts and memory are no requests and have tables of their own.
fn layouts<'a>(group: &str, figures: &[&'a Figure]) -> Vec<(&'static [Column], Vec<&'a Figure>)> {
    if !group.starts_with("growth-") {
        return vec![(COLUMNS, figures.to_vec())];
    }
    let (mut costs, mut restarts, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    for figure in figures {
        match figure.workload.rsplit(": ").next() {
            Some("restart") => restarts.push(*figure),
            Some("memory") => memory.push(*figure),
            _ => costs.push(*figure),
        }
    }
    let mut layouts = vec![(COLUMNS, costs), (RESTART_COLUMNS, restarts), (MEMORY_COLUMNS, memory)];
    layouts.retain(|(_, figures)| !figures.is_empty());
    layouts
}

/// Figures below each other; columns that say nothing are left out.
fn table(columns: &[Column], figures: &[&Figure]) -> String {
    let columns: Vec<&Column> = columns
        .iter()
        .filter(|column| figures.iter().any(|figure| figure.median(column.value).is_some()))
        .collect();
    let mut out = String::from("| workload | subject |");
    for column in &columns {
        let _ = write!(out, " {} |", column.heading);
    }
    out += "\n|---|---|";
    out += &"---|".repeat(columns.len());
    out.push('\n');
    let mut notes = Vec::new();
    for figure in figures {
        let subject =
            if figure.subject == THALWEG { format!("**{THALWEG}**") } else { figure.subject.clone() };
        let _ = write!(out, "| {} | {subject} |", figure.workload);
        for column in &columns {
            let text = figure.median(column.value).map_or_else(String::new, column.write);
            let _ = write!(out, " {text} |");
        }
        out.push('\n');
        let mut own: Vec<&str> = figure.runs.iter().filter_map(|run| run.note.as_deref()).collect();
        own.dedup();
        if !own.is_empty() {
            notes.push(format!("{}, {}: {}", figure.subject, figure.workload, own.join(" | ")));
        }
    }
    if !notes.is_empty() {
        out.push('\n');
    }
    for note in notes {
        let _ = writeln!(out, "- {note}");
    }
    out
}

/// Three significant digits below a thousand, groups of three above.
pub(crate) fn number(value: f64) -> String {
    if value.abs() >= 1000.0 {
        let digits = format!("{value:.0}");
        let mut out = String::new();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                out.push(',');
            }
            out.push(digit);
        }
        return out;
    }
    let decimals = match value.abs() {
        hundreds if hundreds >= 100.0 => 0,
        tens if tens >= 10.0 => 1,
        ones if ones >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_groups() {
        for (value, text) in [
            (0.1234, "0.123"),
            (1.234, "1.23"),
            (12.34, "12.3"),
            (123.4, "123"),
            (1234.5, "1,234"),
            (1_234_567.0, "1,234,567"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn columns_that_say_nothing_are_left_out() {
        let run =
            Run { seconds: 1.0, requests: 10, records: 10, note: Some("slow".to_owned()), ..Run::default() };
        let figure =
            Figure { group: "put", workload: "W".to_owned(), subject: THALWEG.to_owned(), runs: vec![run] };
        let table = table(COLUMNS, &[&figure]);
        assert!(
            table.contains("requests/s") && !table.contains("p99") && !table.contains("calls/request"),
            "{table}"
        );
        assert!(table.contains("- thalweg, W: slow"), "{table}");
    }

    #[test]
    fn restarts_and_memory_are_no_requests() {
        let figure = |workload: &str, run| Figure {
            group: "growth-shards",
            workload: workload.to_owned(),
            subject: THALWEG.to_owned(),
            runs: vec![run],
        };
        let put = figure("10 shards: put", Run { seconds: 1.0, requests: 10, records: 10, ..Run::default() });
        let restart = figure("10 shards: restart", Run { seconds: 0.025, requests: 1, ..Run::default() });
        let memory = figure("10 shards: memory", Run { resident_bytes: 3 << 20, ..Run::default() });
        let figures = [&put, &restart, &memory];
        let tables: Vec<String> = layouts("growth-shards", &figures)
            .into_iter()
            .map(|(columns, figures)| table(columns, &figures))
            .collect();
        assert_eq!(tables.len(), 3);
        assert!(tables[0].contains("requests/s"), "{}", tables[0]);
        assert!(tables[1].contains("| start after kill -9, ms |") && tables[1].contains("| 25.0 |"));
        assert!(tables[2].contains("| MiB |") && tables[2].contains("| 3.00 |"), "{}", tables[2]);
    }
}
