//! SubscribeToShard: a backlog that many consumers read at once, and records that are delivered as they are put.

mod backlog;
pub(in crate::workloads) mod live;

use crate::figure::Figure;
use crate::load::Version;
use crate::workloads::subject::Bench;

/// Connections over which the streams of HTTP/2 go.
const HTTP2_CONNECTIONS: usize = 4;

/// The chapter.
pub(crate) async fn run(bench: &Bench<'_>) -> Vec<Figure> {
    let versions = [Version::Http1, Version::Http2(HTTP2_CONNECTIONS)];
    let mut figures = Vec::new();
    for version in versions {
        figures.extend(backlog::run(bench, version, 20).await);
        if bench.options.quick {
            return figures;
        }
    }
    figures.extend(live::producer_alone(bench).await);
    for version in versions {
        for consumers in [1, 20, 50] {
            figures.extend(live::run(bench, version, consumers).await);
        }
    }
    figures
}

/// How consumers connect, for the report.
fn shape(version: Version) -> String {
    match version {
        Version::Http1 => format!("{}, a connection each", version.name()),
        Version::Http2(connections) => format!("{}, {connections} connections", version.name()),
    }
}
