//! Bugs on purpose. A campaign must find each for what it is: by what the simulation says where this bug breaks a promise, in a
//! seed in which nothing is wrong without it.

use std::ops::Range;

use thalweg_system::planted::{Bug, plant};

use crate::broken::Broken;
use crate::counters::Counters;

/// What looks at the server from outside. A panic of any other file is the server's own, and proves no more than that.
const OUTSIDE: &str = "tests/simulation/src/";

/// What the simulation says where this bug breaks a promise: any of these.
fn signs(bug: Bug) -> &'static [&'static str] {
    match bug {
        // What was acknowledged is lost, and its number given again.
        Bug::AnsweredBeforeWrite => {
            &[" s old, is gone", " has another record than before", ", and is not greater"]
        }
        // What a crash tore, or has a wrong bit, is shown; or the next start notices, which looks at the records themselves.
        Bug::ChecksumIgnored => &[
            "nobody put it",
            " has its data",
            " has its key",
            "is no record of ours",
            ": a run is not the records that it says",
        ],
        // Four of five seeds end at an assertion of the journal (`offsets are dense`) before anybody could see it. Where the
        // shard was sealed first it is the next start that notices.
        Bug::NumberReused => &[": a seal elsewhere than at the shard's end"],
        // What a start has shown is lost by the next one; where more was written behind it, that one notices.
        Bug::TailNotSyncedAgain => {
            &[" s old, is gone", " has another record than before", "no batch checks out here; yet batch "]
        }
        // The ring was written over before the segments had what it held.
        Bug::SlotFreedEarly => &["no batch checks out here; yet batch "],
        Bug::DirectoryNotSynced => &[" is missing: the checkpoint names it", ": the segment is cut short"],
        // The batches of two lives cannot be told apart, and what one left of a torn write is taken for the other.
        Bug::EpochNotRaised => &["no batch checks out here; yet batch "],
        // Parents stay open, or end where they did not.
        Bug::ChildOpenedBeforeSeal => &[" has no end", "a child's numbers exceed its parent's"],
        // The start looks at that before a reader could see records twice.
        Bug::ChunkDrainedTwice => &[" does not follow the one before it"],
        Bug::TrimMovedBack => &[" is back: all up to "],
        Bug::StaleBlockReplayed => {
            &[": records that do not follow the shard's last ones", ": a shard is opened twice"]
        }
        Bug::DurableFlagDropped => unreachable!("no simulated disk shows it: `power-cuts` does"),
    }
}

fn shows(bug: Bug, broken: &Broken) -> bool {
    broken.file.starts_with(OUTSIDE) && signs(bug).iter().any(|sign| broken.message.contains(sign))
}

/// Plants one bug after the other, and says which seed finds it, and by what. `run` runs a seed.
///
/// Answers whether all are found, and nothing is in these seeds without them.
pub fn find_planted(seeds: Range<u64>, run: impl Fn(u64) -> Result<Counters, Broken>) -> bool {
    let mut is_well = true;
    for bug in Bug::SIMULATED {
        plant(Some(bug));
        let (mut others, mut other) = (0_u64, None);
        let found = seeds.clone().find_map(|seed| {
            let broken = run(seed).err()?;
            if shows(bug, &broken) {
                return Some((seed, broken));
            }
            others += 1;
            other.get_or_insert(format!("seed {seed}: {broken}"));
            None
        });
        plant(None);
        match found {
            Some((seed, broken)) => {
                println!("{bug:?} is found by seed {seed}: {broken}");
                if let Err(broken) = run(seed) {
                    println!("  seed {seed} finds something WITHOUT IT, too: {broken}");
                    is_well = false;
                }
            }
            None => {
                println!("{bug:?} is NOT FOUND by seeds {seeds:?}");
                is_well = false;
            }
        }
        if let Some(other) = other {
            println!("  {others} seeds ended otherwise before, such as {other}");
        }
    }
    is_well
}
