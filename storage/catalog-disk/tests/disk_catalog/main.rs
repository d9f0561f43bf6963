//! The catalog on disk, tested from outside: conformance, crashes, damage, faults, format.

mod conformance;
mod crash;
mod damage;
mod faults;
mod format;
mod support;
