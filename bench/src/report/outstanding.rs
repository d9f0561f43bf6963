//! Log engines at the same number of records outstanding: the best of ours beside the best other, both durable before
//! they answer. More outstanding is more throughput for everyone, so only figures at one number can be held against
//! each other.

use std::fmt::Write;

use crate::figure::{Figure, Findings, Run, THALWEG};
use crate::log_engines;
use crate::report::markdown::number;

/// How log engines name the number, before and after it.
const BEFORE: &str = "1 KiB records, ";
const AFTER: &str = " outstanding, durable before the answer";

/// What was measured at one number outstanding.
#[derive(Debug, PartialEq)]
pub(super) struct Level {
    /// As the workload has it: `8,000`.
    outstanding: String,
    ours: f64,
    theirs: f64,
    /// Whose that is.
    other: String,
}

impl Level {
    pub(super) fn ratio(&self) -> f64 {
        self.ours / self.theirs
    }
}

/// Every number outstanding at which we and at least one other were measured, in the order of the findings.
pub(super) fn levels(findings: &Findings, value: fn(&Run) -> f64) -> Vec<Level> {
    let figures = || findings.figures.iter().filter(|figure| figure.group == log_engines::GROUP);
    let mut numbers: Vec<&str> = Vec::new();
    for number in figures().filter_map(outstanding) {
        if !numbers.contains(&number) {
            numbers.push(number);
        }
    }
    let mut levels = Vec::new();
    for number in numbers {
        let best = |of_us: bool| {
            let of_them = |figure: &&Figure| figure.subject.starts_with(THALWEG) == of_us;
            let rates = figures().filter(|figure| outstanding(figure) == Some(number)).filter(of_them);
            let rates = rates.filter_map(|figure| Some((figure.median(value)?, figure.subject.as_str())));
            rates.max_by(|(one, _), (other, _)| one.total_cmp(other))
        };
        if let (Some((ours, _)), Some((theirs, other))) = (best(true), best(false)) {
            levels.push(Level { outstanding: number.to_owned(), ours, theirs, other: other.to_owned() });
        }
    }
    levels
}

/// Where the best other engine is fastest: what we are held against.
pub(super) fn at_their_best(levels: &[Level]) -> Option<&Level> {
    levels.iter().max_by(|one, other| one.theirs.total_cmp(&other.theirs))
}

/// The numbers side by side; empty when there is nothing to compare.
pub(super) fn table(findings: &Findings) -> String {
    let levels = levels(findings, Run::records_per_second);
    if levels.is_empty() {
        return String::new();
    }
    let mut out = String::from(
        "\nDurable before the answer, records/s at equal numbers outstanding:\n\n\
         | outstanding | ours | best other | which | ratio |\n|---|---|---|---|---|\n",
    );
    for level in &levels {
        let Level { outstanding, ours, theirs, other } = level;
        let (ours, theirs) = (number(*ours), number(*theirs));
        let _ = writeln!(out, "| {outstanding} | {ours} | {theirs} | {other} | {:.2}x |", level.ratio());
    }
    out
}

/// The number in a workload that is durable and at one number outstanding.
fn outstanding(figure: &Figure) -> Option<&str> {
    figure.workload.strip_prefix(BEFORE)?.strip_suffix(AFTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Subjects with what is outstanding and the rate.
    fn findings(rows: &[(&str, &str, u64)]) -> Findings {
        let figure = |(subject, outstanding, rate): &(&str, &str, u64)| Figure {
            group: log_engines::GROUP,
            workload: format!("1 KiB records, {outstanding}"),
            subject: (*subject).to_owned(),
            runs: vec![Run { seconds: 1.0, records: *rate, ..Run::default() }],
        };
        Findings { figures: rows.iter().map(figure).collect(), ..Findings::default() }
    }

    const AT_64: &str = "64 outstanding, durable before the answer";
    const AT_500: &str = "500 outstanding, durable before the answer";
    const AT_8000: &str = "8,000 outstanding, durable before the answer";
    const RELAXED: &str = "8,000 outstanding, not durable before the answer";
    const FASTEST: &str = "as many outstanding as are fastest, durable before the answer";

    #[test]
    fn the_ratio_is_taken_where_the_best_other_is_fastest() {
        #[track_caller]
        fn check(rows: &[(&str, &str, u64)], expected: Option<(&str, &str, f64)>) {
            let levels = levels(&findings(rows), Run::records_per_second);
            let found = at_their_best(&levels);
            let found = found.map(|level| (level.outstanding.as_str(), level.other.as_str(), level.ratio()));
            assert_eq!(found, expected);
        }
        // Where we are fastest does not count, nor what nobody else did, nor what is not durable.
        check(
            &[
                ("thalweg, PutRecords, JSON", AT_64, 50),
                ("thalweg, PutRecords, JSON", AT_500, 90),
                ("thalweg, PutRecords, CBOR", AT_500, 120),
                ("thalweg, PutRecords, CBOR", AT_8000, 900),
                ("thalweg, PutRecords, CBOR", FASTEST, 900),
                ("a", AT_64, 30),
                ("a", AT_500, 40),
                ("b", AT_500, 60),
                ("a", RELAXED, 2000),
                ("b", FASTEST, 60),
            ],
            Some(("500", "b", 2.0)),
        );
        // At their best, not at our best ratio.
        check(
            &[("thalweg", AT_64, 90), ("thalweg", AT_8000, 100), ("a", AT_64, 10), ("a", AT_8000, 200)],
            Some(("8,000", "a", 0.5)),
        );
        check(&[("thalweg", AT_64, 90), ("a", AT_500, 10)], None);
        check(&[("thalweg", AT_64, 90)], None);
        check(&[("a", AT_64, 90)], None);
    }

    #[test]
    fn the_table_has_a_row_for_each_number() {
        let rows = [("thalweg", AT_64, 90), ("a", AT_64, 60), ("thalweg", AT_500, 5000), ("b", AT_500, 1000)];
        let table = table(&findings(&rows));
        assert!(table.contains("| 64 | 90.0 | 60.0 | a | 1.50x |"), "{table}");
        assert!(table.contains("| 500 | 5,000 | 1,000 | b | 5.00x |"), "{table}");
        assert_eq!(super::table(&Findings::default()), "");
    }
}
