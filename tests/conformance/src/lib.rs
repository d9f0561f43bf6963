//! Tests against the running server: a client that speaks both encodings, a server with a clock that tests move and
//! storage that fails when told, and what the tests prove of each operation.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests wait for real sockets, by the real clock, and write the compatibility table"
)]

pub mod case;
pub mod client;
pub mod faults;
pub mod proofs;
pub mod server;

pub use case::{Case, Message};
pub use client::{Answer, Client, Encoding};
pub use proofs::Proofs;
pub use server::{Server, ServerOptions};
