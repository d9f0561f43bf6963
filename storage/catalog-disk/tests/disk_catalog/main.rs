//! The catalog on disk, tested from outside.

mod conformance;
