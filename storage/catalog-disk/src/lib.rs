//! The catalog on disk: a log with snapshots.
