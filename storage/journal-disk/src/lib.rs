//! The embedded journal: write-ahead ring, segments, recovery.
