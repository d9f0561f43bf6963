//! The server, gateway to journal, in one process under a seeded scheduler, clock, disk and network, with clients that
//! retry and give up, faults, and a checker of what was asked and answered. A seed replays exactly.
//!
//! ```text
//!  run          one seed: the lives of a server, and what is checked when
//!    broken       what was wrong with it
//!    machine      a simulated machine: its server starts, crashes, recovers
//!    faults       what strikes it, and when
//!    actors       producers, readers, a subscriber, an administrator
//!      client       one caller of the API
//!        subscription what is pushed to it
//!        network      connections that come in pieces, and break
//!    verify       reads everything there is, and compares
//!  history      what was asked, answered and seen; the rules
//!  counters     what a campaign has met
//!  directory    a small data directory, and all that a server says of one
//!  upgrades     directories that earlier versions wrote
//!  flips        every bit of a directory, flipped
//!    log          what a server says of it
//!  kills        the real program on a real disk, killed while the actors use it
//!  power_cuts   its calls to the disk traced, and the power cut at each of them
//!  full_disks   the real program on a volume that is filled and freed
//!  abuse        the real program, and clients that misuse it
//!  soak         the real program for hours: nothing grows
//!    process      the real program, and the way to it
//!    vitals       memory and descriptors of it
//! ```
//!
//! What breaks a rule panics, with the seed in the message of whoever runs it.

mod abuse;
mod actors;
mod broken;
mod client;
mod counters;
mod directory;
mod faults;
mod flips;
mod full_disks;
mod history;
mod kills;
mod log;
mod machine;
mod network;
#[cfg(feature = "planted-bugs")]
mod planted;
mod power_cuts;
mod process;
mod retention;
mod run;
mod soak;
mod subscription;
mod upgrades;
mod verify;
mod vitals;
mod world;

pub use abuse::{Abused, abuse};
pub use broken::Broken;
pub use counters::Counters;
pub use directory::End;
pub use flips::{Tally, flips};
pub use full_disks::{Tenant, full_disks};
pub use kills::{Victim, kills};
#[cfg(feature = "planted-bugs")]
pub use planted::find_planted;
pub use power_cuts::{Traced, power_cuts};
pub use run::{Options, run, try_run};
pub use soak::soak;
pub use upgrades::{Files, described, made};
