//! The data operations over engines in memory: put, iterate, get, subscribe; called as the gateway calls them.

mod bad_days;
mod calls;
mod clock;
#[allow(dead_code, reason = "the tests of the control operations need the rest of it")]
#[path = "../control/faults.rs"]
mod faults;
mod hot;
mod iterators;
mod limits;
mod puts;
mod reads;
mod resharding;
mod retention;
mod subscriptions;
mod watched;
#[allow(dead_code, reason = "the tests of the control operations need the rest of it")]
#[path = "../control/world.rs"]
mod world;
