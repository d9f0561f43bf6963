//! Those who use the server: each does a number of things one after the other, waits a little in between, and goes on
//! when the server is gone for a while.

mod administrator;
mod producer;
mod reader;
mod subscriber;

pub(crate) use administrator::{administer, range_of};
pub(crate) use producer::{Retry, entry, place_in, produce};
pub(crate) use reader::read;
pub(crate) use subscriber::subscribe;

use std::time::Duration;

use crate::world::World;

/// How long they wait for an answer, at least and at most: some give up before a slow disk answers.
const PATIENCE_MILLIS_MIN: u64 = 20;
const PATIENCE_MILLIS_MAX: u64 = 5_000;

fn patience(world: &World) -> Duration {
    let span = PATIENCE_MILLIS_MAX - PATIENCE_MILLIS_MIN;
    Duration::from_millis(PATIENCE_MILLIS_MIN + world.random.below(span))
}

/// Any of these.
fn pick<'a, T>(world: &World, all: &'a [T]) -> Option<&'a T> {
    if all.is_empty() {
        return None;
    }
    Some(&all[world.random.below(all.len() as u64) as usize])
}
