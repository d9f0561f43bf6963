//! Protocols: one folder each, from bytes to values and back.
