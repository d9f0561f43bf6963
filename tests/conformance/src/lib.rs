//! Tests with the official Rust SDK over real sockets.
