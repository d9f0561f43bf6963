//! Every bit of a data directory, flipped in turn, and a server started on each: what it answers is right, or it says which
//! file is damaged.
//!
//! ```text
//!   make     a directory with a ring, segments and a catalog; closed in good order, or left by a crash
//!   watch    which bytes a start and a reader look at: a flip elsewhere changes nothing, and is not tried
//!   flip     each bit of those: start, read everything, compare
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use thalweg_system::simulated::{CallKind, ManualClock, SimulatedDisk, SimulatedSpawn};
use thalweg_types::Timestamp;

use crate::directory::{Directory, End, look, make};
use crate::log::Log;
use crate::machine::CATALOG_DIRECTORY;

/// What came of the flips.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Bits of the directory.
    pub bits: u64,
    /// In bytes that nobody looks at.
    pub unread: u64,
    /// Nothing was to be seen of the flip.
    pub right: u64,
    /// The server did not start, and said why.
    pub refused: u64,
    /// Some records could not be read, and the server said why.
    pub unreadable: u64,
    /// The last batch, which nothing confirms, was dropped, and the server said so.
    pub dropped: u64,
    /// Something else: what, where.
    pub wrong: Vec<String>,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tried = self.right + self.refused + self.unreadable + self.dropped + self.wrong.len() as u64;
        writeln!(f, "{:>12}  bits", self.bits)?;
        writeln!(f, "{:>12}  in bytes that nobody looks at", self.unread)?;
        writeln!(f, "{tried:>12}  flipped, of which")?;
        writeln!(f, "{:>12}    changed nothing", self.right)?;
        writeln!(f, "{:>12}    were named at the start, which was refused", self.refused)?;
        writeln!(f, "{:>12}    made records unreadable, and were named", self.unreadable)?;
        writeln!(f, "{:>12}    cost the last batch, which nothing confirms, and were named", self.dropped)?;
        writeln!(f, "{:>12}    led to something else", self.wrong.len())
    }
}

/// Flips the bits for which `is_chosen`, which is asked with their numbers.
///
/// # Panics
/// When the directory itself is not as it should be.
pub fn flips(end: End, is_chosen: impl Fn(u64) -> bool) -> Tally {
    let directory = make(end);
    let read = what_is_read(&directory);
    let mut tally = Tally::default();
    for path in directory.disk.files() {
        let bytes = directory.disk.content(&path).expect("it was listed").len() as u64;
        for byte in 0..bytes {
            let is_read =
                read.get(&path).is_some_and(|ranges| ranges.iter().any(|range| range.contains(&byte)));
            for bit in 0..8 {
                tally.bits += 1;
                if !is_read {
                    tally.unread += 1;
                } else if is_chosen(tally.bits) {
                    flip(&directory, &path, byte, bit, &mut tally);
                }
            }
        }
    }
    tally
}

fn flip(directory: &Directory, path: &str, byte: u64, bit: u8, tally: &mut Tally) {
    let disk = directory.disk.copy();
    disk.flip_bit(path, byte, bit);
    let log = Log::default();
    let looked = catch_unwind(AssertUnwindSafe(|| log.during(|| look(disk))));
    let mut wrong = |what: String| tally.wrong.push(format!("{path}, byte {byte}, bit {bit}: {what}"));
    let told = match looked {
        Err(_) => return wrong("a panic".to_owned()),
        Ok(Err(error)) if error.contains(path) => {
            if !finds_damage(&directory.disk, path, byte, bit) {
                return wrong("a start was refused, and a check finds nothing".to_owned());
            }
            return tally.refused += 1;
        }
        Ok(Err(error)) => return wrong(format!("a start was refused without naming the file: {error}")),
        Ok(Ok(told)) => told,
    };
    if let Some((name, fact)) =
        told.facts.iter().find(|(name, fact)| directory.facts.get(*name) != Some(*fact))
    {
        return wrong(format!("{name} is {fact}, not {:?}", directory.facts.get(name)));
    }
    let is_unreadable = |name: &str| told.unreadable.iter().any(|unreadable| name.starts_with(unreadable));
    let missing: Vec<&String> = directory
        .facts
        .keys()
        .filter(|name| !told.facts.contains_key(*name) && !is_unreadable(name))
        .collect();
    let is_named = log.text().contains(path);
    if let Some(name) = missing.iter().find(|name| !directory.last.contains(**name)) {
        wrong(format!("{name} is gone"));
    } else if (!missing.is_empty() || !told.unreadable.is_empty()) && !is_named {
        wrong(format!("something is gone, and the file is not named: {}", log.text()));
    } else if !told.unreadable.is_empty() {
        if finds_damage(&directory.disk, path, byte, bit) {
            tally.unreadable += 1;
        } else {
            wrong("records cannot be read, and a check finds nothing".to_owned());
        }
    } else if !missing.is_empty() {
        tally.dropped += 1;
    } else {
        tally.right += 1;
    }
}

/// Whether a check of the directory with this bit flipped finds damage.
fn finds_damage(disk: &SimulatedDisk, path: &str, byte: u64, bit: u8) -> bool {
    let disk = disk.copy();
    disk.flip_bit(path, byte, bit);
    let spawn = SimulatedSpawn::new(1, ManualClock::new(Timestamp::ZERO));
    spawn.block_on(async {
        let journal = thalweg_journal_disk::check(&disk).await;
        !journal.damage.is_empty() || thalweg_catalog_disk::check(&disk, CATALOG_DIRECTORY).await.is_err()
    })
}

/// Which bytes of which files a start and a reader ask the disk for.
fn what_is_read(directory: &Directory) -> BTreeMap<String, Vec<Range<u64>>> {
    let disk = directory.disk.copy();
    disk.take_log();
    look(disk.clone()).expect("nothing is damaged");
    let mut read: BTreeMap<String, Vec<Range<u64>>> = BTreeMap::new();
    for call in disk.take_log() {
        if call.kind == CallKind::Read {
            read.entry(call.path).or_default().push(call.offset..call.offset + call.length);
        }
    }
    read
}
