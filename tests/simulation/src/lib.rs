//! The server, gateway to journal, in one process under a seeded scheduler, clock, disk and network, with clients that
//! retry and give up, faults, and a checker of what was asked and answered. A seed replays exactly.
//!
//! ```text
//!  run          one seed: the lives of a server, and what is checked when
//!    machine      a simulated machine: its server starts, crashes, recovers
//!    faults       what strikes it, and when
//!    actors       producers, readers, an administrator
//!      client       one caller of the API
//!        network      connections that come in pieces, and break
//!    verify       reads everything there is, and compares
//!  history      what was asked, answered and seen; the rules
//!  counters     what a campaign has met
//! ```
//!
//! What breaks a rule panics, with the seed in the message of whoever runs it.

mod actors;
mod client;
mod counters;
mod faults;
mod history;
mod machine;
mod network;
mod run;
mod verify;
mod world;

pub use counters::Counters;
pub use run::{Options, run};
