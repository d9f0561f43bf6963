//! SubscribeToShard: a backlog that many consumers read at once, and records that are delivered as they are put. Consumers
//! have a connection each, over either version of HTTP.

mod backlog;
pub(in crate::workloads) mod live;

use crate::bodies::Encoding;
use crate::figure::Figure;
use crate::load::Version;
use crate::workloads::subject::Bench;

/// The versions of HTTP, for so many consumers.
fn versions(consumers: usize) -> [Version; 2] {
    [Version::Http1, Version::Http2(consumers)]
}

/// The chapter.
pub(crate) async fn run(bench: &Bench<'_>) -> Vec<Figure> {
    const CONSUMERS: usize = 20;
    let mut figures = Vec::new();
    for version in versions(CONSUMERS) {
        figures.extend(backlog::run(bench, Encoding::Json, version, CONSUMERS).await);
    }
    if bench.options.quick {
        return figures;
    }
    for version in versions(CONSUMERS) {
        figures.extend(backlog::run(bench, Encoding::Cbor, version, CONSUMERS).await);
    }
    figures.extend(live::producer_alone(bench).await);
    for consumers in [1, CONSUMERS, 50] {
        for version in versions(consumers) {
            figures.extend(live::run(bench, version, consumers).await);
        }
    }
    figures
}

/// How consumers connect, for the report.
fn shape(version: Version) -> String {
    format!("{}, a connection each", version.name())
}
