//! The control plane over the memory engines: every operation through the generated trait, as the gateway calls it.

mod consumers;
mod errors;
mod faults;
mod limits;
mod listings;
mod reshards;
mod restarts;
mod settings;
mod streams;
mod transitions;
mod world;
