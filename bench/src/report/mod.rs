//! The report: Markdown for people, JSON for programs, charts as SVG. Made of [`Findings`] alone.

mod bars;
mod growth;
mod lines;
mod machine;
mod markdown;
mod outstanding;
mod svg;
mod targets;

use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::figure::{F1, F2, F3, Figure, Findings, SHA256, THALWEG};
use crate::options::Options;
use crate::peers;
pub(crate) use crate::report::machine::Machine;

/// What `report.json` holds.
#[derive(Serialize)]
struct Report<'a> {
    machine: &'a Machine,
    runs: usize,
    seconds: f64,
    findings: &'a Findings,
}

/// The names of all chapters.
pub(crate) fn chapters() -> impl Iterator<Item = &'static str> {
    markdown::CHAPTERS.iter().map(|(name, _)| *name)
}

/// Writes the report into a folder.
pub(crate) fn write(
    options: &Options,
    folder: &Path,
    machine: &Machine,
    findings: &Findings,
) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let report = Report { machine, runs: options.runs.into(), seconds: options.seconds, findings };
    let json = serde_json::to_string_pretty(&report).map_err(std::io::Error::other)?;
    fs::write(folder.join("report.json"), json + "\n")?;
    let mut charts = Vec::new();
    for (name, title, svg) in charts_of(findings) {
        fs::write(folder.join(&name), svg)?;
        charts.push((name, title));
    }
    fs::write(folder.join("README.md"), markdown::report(options, machine, findings, &charts))
}

/// Prints the ratios to the floors.
pub(crate) fn print_ratios(findings: &Findings) {
    print!("{}", markdown::targets(findings));
}

/// Name, title and drawing of each chart that there are figures for.
fn charts_of(findings: &Findings) -> Vec<(String, String, String)> {
    let mut charts = Vec::new();
    let mut add = |name: &str, title: &str, svg: Option<String>| {
        if let Some(svg) = svg {
            charts.push((name.to_owned(), title.to_owned(), svg));
        }
    };
    let title = "Processor time per request, beside the floors";
    add("floors.svg", title, floors_chart(findings, title));
    let title = "Records per second, servers of the Kinesis API, each at its best";
    add("peers.svg", title, rates_chart(findings, "peers", title));
    let title = "Records per second, log engines, each at its best";
    add("log-engines.svg", title, rates_chart(findings, "log-engines", title));
    for (group, name) in
        [("growth-shards", "shards"), ("growth-stored", "GB stored"), ("growth-consumers", "consumers")]
    {
        let title = format!("Cost, memory and restart against {name}");
        add(&format!("{group}.svg"), &title, growth::chart(findings, group, name));
    }
    charts
}

/// The server and its floors, for the workloads that have one.
fn floors_chart(findings: &Findings, title: &str) -> Option<String> {
    let mut bars = Vec::new();
    for figure in findings.figures.iter().filter(|figure| figure.subject == THALWEG) {
        let floors: Vec<&Figure> = findings
            .figures
            .iter()
            .filter(|floor| floor.group == figure.group && floor.workload == figure.workload)
            .filter(|floor| [F1, F2, F3, SHA256].contains(&floor.subject.as_str()))
            .collect();
        if floors.is_empty() || figure.group == "fan-out" {
            continue;
        }
        bars.push(bars::Row::Heading(figure.workload.clone()));
        for subject in std::iter::once(figure).chain(floors) {
            if let Some(micros) = subject.median(crate::figure::Run::cost_micros_per_request) {
                bars.push(bars::Row::Bar {
                    label: subject.subject.clone(),
                    value: micros,
                    text: format!("{} us", markdown::number(micros)),
                    ours: subject.subject == THALWEG,
                });
            }
        }
    }
    (!bars.is_empty()).then(|| bars::draw(title, &bars))
}

/// Who writes how many records a second at best.
fn rates_chart(findings: &Findings, group: &str, title: &str) -> Option<String> {
    let mut best: Vec<(&str, f64)> = Vec::new();
    for figure in findings.figures.iter().filter(|figure| figure.group == group) {
        if figure.workload.contains("GetRecords")
            || group == peers::GROUP && !figure.workload.starts_with(peers::AT_ITS_BEST)
        {
            continue;
        }
        let Some(rate) = figure.median(crate::figure::Run::records_per_second) else { continue };
        match best.iter_mut().find(|(subject, _)| *subject == figure.subject) {
            Some((_, known)) => *known = known.max(rate),
            None => best.push((&figure.subject, rate)),
        }
    }
    best.sort_by(|a, b| b.1.total_cmp(&a.1));
    let bars: Vec<bars::Row> = best
        .into_iter()
        .map(|(subject, rate)| bars::Row::Bar {
            label: subject.to_owned(),
            value: rate,
            text: markdown::number(rate),
            ours: subject.starts_with(THALWEG),
        })
        .collect();
    (!bars.is_empty()).then(|| bars::draw(title, &bars))
}
