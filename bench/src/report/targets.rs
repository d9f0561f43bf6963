//! The figures to beat: which ratios of the findings the project promises itself, and how far each must and should go.

use crate::figure::{F2, F3, Figure, Findings, Run, THALWEG};
use crate::peers;
use crate::report::outstanding;
use crate::workloads::{ONE_WRITE, WRITE_AFTER_WRITE};

/// Which way is better.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Better {
    Lower,
    Higher,
}

/// How a value is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Times,
    Percent,
    Mebibytes,
}

/// One figure to beat.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) better: Better,
    pub(crate) unit: Unit,
    pub(crate) reach: f64,
    pub(crate) aim: f64,
    /// `None` when its figures were not measured.
    pub(crate) value: Option<Measured>,
}

/// A value of medians, and between what it lay in the runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Measured {
    pub(crate) value: f64,
    /// The least and the most, where runs of what is compared were made in turn.
    pub(crate) spread: Option<(f64, f64)>,
}

impl From<f64> for Measured {
    fn from(value: f64) -> Measured {
        Measured { value, spread: None }
    }
}

/// A figure, and what is taken from each of its runs.
struct Side<'a> {
    figure: &'a Figure,
    value: fn(&Run) -> f64,
}

impl Side<'_> {
    /// The figure of a subject whose workload begins like this.
    fn find<'a>(
        findings: &'a Findings,
        group: &str,
        workload: &str,
        subject: &str,
        value: fn(&Run) -> f64,
    ) -> Option<Side<'a>> {
        let figure = findings.figures.iter().find(|figure| {
            figure.group == group && figure.subject == subject && figure.workload.starts_with(workload)
        })?;
        Some(Side { figure, value })
    }

    fn median(&self) -> Option<f64> {
        self.figure.median(self.value)
    }

    /// This by that: the medians, and run by run.
    fn by(&self, that: &Side<'_>) -> Option<Measured> {
        let value = self.median()? / that.median()?;
        let (ours, theirs) = (&self.figure.runs, &that.figure.runs);
        let ratios = ours.iter().zip(theirs).map(|(ours, theirs)| (self.value)(ours) / (that.value)(theirs));
        let in_turn = ours.len() == theirs.len() && ours.len() > 1;
        let spread = in_turn
            .then(|| ratios.fold((f64::INFINITY, 0.0_f64), |(low, high), one| (low.min(one), high.max(one))));
        Some(Measured { value, spread })
    }
}

/// This project's server over a floor.
fn over(
    findings: &Findings,
    group: &str,
    workload: &str,
    floor: &str,
    value: fn(&Run) -> f64,
) -> Option<Measured> {
    let side = |subject| Side::find(findings, group, workload, subject, value);
    side(THALWEG)?.by(&side(floor)?)
}

/// What delivering live costs over a floor: a run with consumers, less what its producer costs without any.
fn delivered(findings: &Findings, version: &str) -> Option<Measured> {
    let producer = "PutRecords 500 x 1 KiB at 40 a second, JSON";
    let workload = format!("{producer}, delivered to 20 consumers, {version}");
    let side = |workload: &str, subject, value| Side::find(findings, "fan-out", workload, subject, value);
    let request = Run::cost_micros_per_request;
    let alone = side(&format!("{producer}, no consumers"), THALWEG, request)?.median()?;
    let with = side(&workload, THALWEG, request)?.median()?;
    Some(((with - alone) / side(&workload, F3, request)?.median()?).into())
}

fn p99(run: &Run) -> f64 {
    run.latency.map_or(f64::NAN, |latency| latency.p99)
}

/// The best rate at which a server of the Kinesis API that `counts` admits takes records, of whatever batch size. Only
/// what was measured in full counts: the sweep before it is of short runs, of which the luckiest would win.
fn best_peer(findings: &Findings, counts: impl Fn(&Figure) -> bool) -> Option<f64> {
    let rates = findings.figures.iter().filter(|figure| {
        let put =
            figure.workload.strip_prefix(peers::AT_ITS_BEST).is_some_and(|put| put.starts_with("PutRecord"));
        figure.group == peers::GROUP && put && counts(figure)
    });
    rates.filter_map(|figure| figure.median(Run::records_per_second)).max_by(f64::total_cmp)
}

/// All of them.
pub(crate) fn all(findings: &Findings) -> Vec<Target> {
    let at_most = |name, reach, aim, value| Target {
        name,
        better: Better::Lower,
        unit: Unit::Times,
        reach,
        aim,
        value,
    };
    let at_least =
        |name, unit, reach, aim, value| Target { name, better: Better::Higher, unit, reach, aim, value };
    let request = Run::cost_micros_per_request;
    let record = Run::cost_micros_per_record;
    let put = |encoding: &str, version: &str| {
        let workload = format!("PutRecords 500 x 1 KiB, {encoding}, {version}, 4 connections");
        over(findings, "put", &workload, F2, request)
    };
    let get = "GetRecords 500 x 1 KiB at the tail, JSON, HTTP/1.1";
    let stored = "GetRecords 500 x 1 KiB from disk, JSON";
    let one = "PutRecord 1 KiB, JSON, HTTP/1.1, 64 connections";
    let backlog = |version: &str| format!("SubscribeToShard, 20 consumers of a backlog, JSON, {version}");
    let many = "PutRecords 500 x 1 KiB over 10000 shards";
    let few = "PutRecords 500 x 1 KiB over 1 shard,";
    let delay = |version: &str| format!("PutRecord 1 KiB at 30 % load, JSON, put to fan-out, {version}");
    let durable = |figure: &Figure| {
        let words = findings.provenance.iter().find(|words| words.subject == figure.subject);
        words.is_some_and(|words| words.durability.starts_with("durable"))
    };
    let peer = |figure: &Figure| !figure.subject.starts_with(THALWEG);
    let rate = Run::records_per_second;
    let our_rate = best_peer(findings, |figure| figure.subject.starts_with(THALWEG));
    let over_peers = |theirs: Option<f64>| Some((our_rate? / theirs?).into());
    let over_logs = |value: fn(&Run) -> f64| {
        let levels = outstanding::levels(findings, value);
        outstanding::at_their_best(&levels).map(|level| level.ratio().into())
    };
    let delayed = |version: &str, write: &str| over(findings, "delay", &delay(version), write, p99);
    let memory = |workload: &str, value: fn(&Run) -> f64| {
        let bytes = Side::find(findings, "memory", workload, THALWEG, value)?.median()?;
        Some((bytes / f64::from(1 << 20)).into())
    };
    let weight =
        |name, reach, aim, value| Target { unit: Unit::Mebibytes, ..at_most(name, reach, aim, value) };
    vec![
        at_most(
            "PutRecords 500 x 1 KiB, durable, JSON, HTTP/1.1, over F2",
            2.0,
            1.4,
            put("JSON", "HTTP/1.1"),
        ),
        at_most(
            "PutRecords 500 x 1 KiB, durable, CBOR, HTTP/1.1, over F2",
            2.0,
            1.4,
            put("CBOR", "HTTP/1.1"),
        ),
        at_most("the same, JSON, HTTP/2, over F2", 2.0, 1.4, put("JSON", "HTTP/2")),
        at_most("the same, CBOR, HTTP/2, over F2", 2.0, 1.4, put("CBOR", "HTTP/2")),
        at_most("GetRecords at the tail, JSON, over F3", 2.5, 1.5, over(findings, "get", get, F3, request)),
        at_most(
            "catch-up GetRecords from disk, over the same at the tail",
            2.0,
            1.3,
            Side::find(findings, "catch-up", stored, THALWEG, record)
                .zip(Side::find(findings, "get", get, THALWEG, record))
                .and_then(|(stored, tail)| stored.by(&tail)),
        ),
        at_most(
            "fan-out to 20 consumers, per delivered record, of a backlog, HTTP/1.1, over F3",
            1.5,
            1.2,
            over(findings, "fan-out", &backlog("HTTP/1.1"), F3, record),
        ),
        at_most(
            "fan-out to 20 consumers, per delivered record, of a backlog, HTTP/2, over F3",
            1.5,
            1.2,
            over(findings, "fan-out", &backlog("HTTP/2"), F3, record),
        ),
        at_most(
            "the same, live, less its producer, HTTP/1.1, over F3",
            1.5,
            1.2,
            delivered(findings, "HTTP/1.1"),
        ),
        at_most(
            "the same, live, less its producer, HTTP/2, over F3",
            1.5,
            1.2,
            delivered(findings, "HTTP/2"),
        ),
        at_least(
            "PutRecord 1 KiB, 64 connections: requests per processor-second, of F2's",
            Unit::Percent,
            0.6,
            0.8,
            Side::find(findings, "put-record", one, F2, request)
                .zip(Side::find(findings, "put-record", one, THALWEG, request))
                .and_then(|(floor, ours)| floor.by(&ours)),
        ),
        at_most(
            "put-to-fan-out delay at 30 % load, p99, HTTP/1.1, over one durable write, p99",
            4.0,
            2.0,
            delayed("HTTP/1.1", ONE_WRITE),
        ),
        at_most(
            "put-to-fan-out delay at 30 % load, p99, HTTP/2, over one durable write, p99",
            4.0,
            2.0,
            delayed("HTTP/2", ONE_WRITE),
        ),
        at_most(
            "the same, HTTP/1.1, over durable writes made one after the other, timed from their own beginning (decision 0056)",
            4.0,
            2.0,
            delayed("HTTP/1.1", WRITE_AFTER_WRITE),
        ),
        at_most(
            "the same, HTTP/2, over durable writes made one after the other",
            4.0,
            2.0,
            delayed("HTTP/2", WRITE_AFTER_WRITE),
        ),
        at_least(
            "throughput with 10,000 shards, of that with 1 shard",
            Unit::Percent,
            0.7,
            0.9,
            Side::find(findings, "shards", many, THALWEG, rate)
                .zip(Side::find(findings, "shards", few, THALWEG, rate))
                .and_then(|(many, few)| many.by(&few)),
        ),
        at_least(
            "PutRecords records/s over the best Kinesis-compatible peer that stores durably",
            Unit::Times,
            10.0,
            30.0,
            over_peers(best_peer(findings, |figure| peer(figure) && durable(figure))),
        ),
        at_least(
            "PutRecords records/s over the best Kinesis-compatible peer of any kind",
            Unit::Times,
            5.0,
            10.0,
            over_peers(best_peer(findings, peer)),
        ),
        at_least(
            "durable records/s over the best log engine, at equal durability and the number outstanding at which it is fastest",
            Unit::Times,
            1.0,
            2.0,
            over_logs(rate),
        ),
        at_least(
            "durable MB/s over the best log engine, at equal durability and the number outstanding at which it is fastest",
            Unit::Times,
            1.0,
            2.0,
            over_logs(Run::megabytes_per_second),
        ),
        weight("memory at rest", 60.0, 30.0, memory("at rest", |run| run.resident_bytes as f64)),
        weight(
            "memory under full load with 1,000 shards",
            1024.0,
            500.0,
            memory("PutRecords", |run| run.resident_peak_bytes as f64),
        ),
    ]
}

impl Target {
    /// Whether a value is as good as this.
    fn meets(&self, value: f64, goal: f64) -> bool {
        match self.better {
            Better::Lower => value <= goal,
            Better::Higher => value >= goal,
        }
    }

    /// In a word: how good it is.
    pub(crate) fn verdict(&self) -> &'static str {
        match self.value {
            None => "not measured",
            Some(measured) if self.meets(measured.value, self.aim) => "aim",
            Some(measured) if self.meets(measured.value, self.reach) => "reach",
            Some(_) => "**missed**",
        }
    }

    /// What was measured, as it is written.
    pub(crate) fn measured(&self) -> String {
        let Some(Measured { value, spread }) = self.value else { return "-".to_owned() };
        let spread = spread.map(|(low, high)| format!(" ({} to {})", self.text(low), self.text(high)));
        self.text(value) + &spread.unwrap_or_default()
    }

    /// A value as it is written.
    pub(crate) fn text(&self, value: f64) -> String {
        match self.unit {
            Unit::Times => format!("{}x", round(value)),
            Unit::Percent => format!("{:.0} %", value * 100.0),
            Unit::Mebibytes => format!("{value:.0} MiB"),
        }
    }
}

/// Two digits behind the point below ten, one below a hundred.
fn round(value: f64) -> String {
    match value {
        small if small < 10.0 => format!("{small:.2}").trim_end_matches('0').trim_end_matches('.').to_owned(),
        some if some < 100.0 => format!("{some:.1}").trim_end_matches(".0").to_owned(),
        many => format!("{many:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::Provenance;

    #[track_caller]
    fn check(better: Better, value: f64, verdict: &str, text: &str) {
        let (reach, aim) = if better == Better::Lower { (2.0, 1.4) } else { (0.6, 0.8) };
        let unit = if better == Better::Lower { Unit::Times } else { Unit::Percent };
        let target = Target { name: "", better, unit, reach, aim, value: Some(value.into()) };
        assert_eq!(target.verdict(), verdict);
        assert_eq!(target.text(value), text);
    }

    #[test]
    fn a_target_is_met_at_its_value_and_beyond() {
        check(Better::Lower, 1.4, "aim", "1.4x");
        check(Better::Lower, 1.41, "reach", "1.41x");
        check(Better::Lower, 2.01, "**missed**", "2.01x");
        check(Better::Higher, 0.8, "aim", "80 %");
        check(Better::Higher, 0.79, "reach", "79 %");
        check(Better::Higher, 0.5, "**missed**", "50 %");
    }

    #[test]
    fn what_was_not_measured_has_no_value() {
        assert!(all(&Findings::default()).iter().all(|target| target.verdict() == "not measured"));
    }

    #[test]
    fn peers_are_held_against_each_other_at_their_best() {
        let figure = |workload: &str, subject: &str, records| Figure {
            group: peers::GROUP,
            workload: workload.to_owned(),
            subject: subject.to_owned(),
            runs: vec![Run { seconds: 1.0, records, ..Run::default() }],
        };
        let figures = vec![
            figure("PutRecords 500 x 1 KiB", THALWEG, 9000),
            figure("at its best: PutRecords 500 x 1 KiB", THALWEG, 600),
            figure("at its best: GetRecords 500 x 1 KiB", THALWEG, 8000),
            figure("PutRecord 1 KiB", "peer", 100),
            figure("at its best: PutRecord 1 KiB", "peer", 60),
            figure("at its best: GetRecords 500 x 1 KiB", "peer", 7000),
            figure("at its best: PutRecords 10 x 1 KiB", "durable peer", 20),
        ];
        let provenance = vec![Provenance {
            subject: "durable peer".to_owned(),
            install: String::new(),
            command: String::new(),
            durability: "durable: synced".to_owned(),
        }];
        let targets = all(&Findings { figures, provenance, ..Findings::default() });
        let value = |words: &str| {
            let target = targets.iter().find(|target| target.name.ends_with(words)).expect("it is there");
            target.value.map(|measured| measured.value)
        };
        assert_eq!(value("peer that stores durably"), Some(30.0));
        assert_eq!(value("peer of any kind"), Some(10.0));
    }

    #[test]
    fn a_ratio_is_of_medians() {
        let figure = |subject, seconds: &[f64]| {
            let runs =
                seconds.iter().map(|&cost_seconds| Run { cost_seconds, requests: 1, ..Run::default() });
            Figure {
                group: "put",
                workload: "PutRecords 500 x 1 KiB, JSON, HTTP/1.1, 4 connections".to_owned(),
                subject: String::from(subject),
                runs: runs.collect(),
            }
        };
        let figures = vec![figure(THALWEG, &[9.0, 3.0, 4.0]), figure(F2, &[2.0, 1.0, 100.0])];
        let findings = Findings { figures, ..Findings::default() };
        let targets = all(&findings);
        assert_eq!(targets[0].value, Some(Measured { value: 2.0, spread: Some((0.04, 4.5)) }));
        assert_eq!(targets[0].measured(), "2x (0.04x to 4.5x)");
    }
}
