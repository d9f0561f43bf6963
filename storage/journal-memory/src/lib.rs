//! The journal in memory: for tests and for --ephemeral.
