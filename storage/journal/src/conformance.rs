//! The conformance suite: what every engine must pass.
