//! Why a server does not start: one line each, naming the thing and what to do about it.

use std::error::Error;
use std::io;
use std::net::SocketAddr;

use thalweg_system::DiskError;
use thalweg_system::disk::DiskErrorKind;

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("cannot listen on {address}: {}", listen_reason(.source, .address))]
    Listen { address: SocketAddr, source: io::Error },
    #[error("{}", in_one_line(.0))]
    Gateway(#[from] thalweg_gateway::GatewayError),
    #[error("data {data}: {}", in_one_line(.source))]
    Streams { data: String, source: thalweg_streams::OpenError },
    #[error("cannot create stream {stream}: {reason}")]
    CreateStream { stream: String, reason: String },
    #[error(
        "this process may have {allowed} files and connections open and needs {needed} at least; raise its limit \
         (ulimit -n)"
    )]
    Descriptors { allowed: usize, needed: usize },
    #[error("there is no data directory {0}")]
    NoDirectory(String),
    #[error("{}", in_one_line(.0))]
    Disk(#[from] DiskError),
    #[error("data directory {directory}: {}", in_one_line(.source))]
    Catalog { directory: String, source: thalweg_catalog_disk::OpenError },
    #[error("data directory {directory}: {}", in_one_line(.source))]
    Journal { directory: String, source: thalweg_journal_disk::OpenError },
}

fn listen_reason(error: &io::Error, address: &SocketAddr) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "another program listens on port {}; end it, or choose another port with --listen (port 0 picks a free one)",
            address.port()
        ),
        io::ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "not allowed; ports below 1024 need privileges, others do not".to_owned()
        }
        _ => error.to_string(),
    }
}

/// An error and its causes, and what to do about them.
pub(crate) fn in_one_line(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut advice = advice(error);
    let mut cause = error.source();
    while let Some(inner) = cause {
        let words = inner.to_string();
        // Some errors carry their cause's words already.
        if !text.contains(&words) {
            text += &format!(": {words}");
        }
        advice = advice.or_else(|| self::advice(inner));
        cause = inner.source();
    }
    match advice {
        Some(advice) => format!("{text}; {advice}"),
        None => text,
    }
}

/// What to do about an error, where there is something to do.
fn advice(error: &(dyn Error + 'static)) -> Option<&'static str> {
    if let Some(error) = error.downcast_ref::<DiskError>() {
        return match error.kind {
            DiskErrorKind::Locked => Some("end that process, or choose another directory with --data-dir"),
            DiskErrorKind::AlreadyExists => Some("choose another directory with --data-dir"),
            DiskErrorKind::NoSpace => Some("make room on the volume, or choose another with --data-dir"),
            DiskErrorKind::TooManyOpen => Some("raise the limit of open files (ulimit -n)"),
            DiskErrorKind::NotFound | DiskErrorKind::EndOfFile | DiskErrorKind::Io => None,
        };
    }
    let is_newer = matches!(
        error.downcast_ref::<thalweg_catalog_disk::OpenError>(),
        Some(thalweg_catalog_disk::OpenError::Version { .. })
    ) || matches!(
        error.downcast_ref::<thalweg_journal_disk::OpenError>(),
        Some(thalweg_journal_disk::OpenError::Version { .. })
    );
    if let Some(error) = error.downcast_ref::<thalweg_streams::OpenError>() {
        use thalweg_streams::OpenError;
        return matches!(
            error,
            OpenError::ForeignJournal(_)
                | OpenError::OtherJournal
                | OpenError::ShardMissing { .. }
                | OpenError::CatalogBehind { .. }
        )
        .then_some(
            "the catalog is the folder meta, the journal everything beside it: restore both as of one moment",
        );
    }
    is_newer.then_some("a newer version of this program wrote it: start that one")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_with_its_cause_once_and_with_what_to_do() {
        let full = DiskError {
            kind: DiskErrorKind::NoSpace,
            call: "write",
            path: "catalog/log-a".to_owned(),
            reason: "no space left on device".to_owned(),
        };
        let error = StartError::Catalog { directory: "/data".to_owned(), source: full.into() };
        assert_eq!(
            error.to_string(),
            "data directory /data: the catalog cannot be opened: cannot write catalog/log-a: no space left on \
             device; make room on the volume, or choose another with --data-dir"
        );
        let newer = thalweg_journal_disk::OpenError::Version { file: "wal/0".to_owned(), found: 9, known: 1 };
        let error = StartError::Journal { directory: "/data".to_owned(), source: newer };
        assert_eq!(
            error.to_string(),
            "data directory /data: wal/0 has format version 9; this program knows versions up to 1; a newer version \
             of this program wrote it: start that one"
        );
    }
}
