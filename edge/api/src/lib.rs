//! Generated service traits and the contract between gateway and services.
