//! The charts of growth: each figure's workload begins with the quantity, as a plain number.

use crate::figure::{Findings, Run};
use crate::report::lines::{self, Panel};

/// What is drawn: a panel's title, which workloads it is made of, and the value of a run.
type Panels = [(&'static str, &'static str, fn(&Run) -> f64)];

const PANELS: &Panels = &[
    ("PutRecords, us/record", ": put", Run::cost_micros_per_record),
    ("delivery, us/record", ": fan-out", Run::cost_micros_per_record),
    ("memory, MiB", ": memory", |run| run.resident_bytes as f64 / (1 << 20) as f64),
    ("start after kill -9, ms", ": restart", |run| run.seconds * 1000.0),
];

/// One chapter's chart; `None` without figures.
pub(crate) fn chart(findings: &Findings, group: &str, axis: &str) -> Option<String> {
    let mut panels = Vec::new();
    for (title, kind, value) in PANELS {
        let mut points: Vec<(f64, f64)> = findings
            .figures
            .iter()
            .filter(|figure| figure.group == group && figure.workload.ends_with(kind))
            .filter_map(|figure| {
                let quantity = figure.workload.split(' ').next()?.parse().ok()?;
                Some((quantity, figure.median(value)?))
            })
            .collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        if points.len() > 1 {
            panels.push(Panel { title: (*title).to_owned(), points });
        }
    }
    let title = format!("Cost, memory and restart against {axis}");
    (!panels.is_empty()).then(|| lines::draw(&title, axis, &panels))
}
