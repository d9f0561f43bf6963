//! Bugs on purpose: each breaks one promise where the code keeps it, so that the tests of these promises can show that they
//! would notice. They are there with the feature `planted-bugs` only, which nothing but those tests asks for, and one
//! at a time; without it [`is_planted`] is `false` when the program is built.

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Bug {
    /// Puts are answered before they are written.
    AnsweredBeforeWrite = 1,
    /// What was read is believed, of the ring and of segments, whatever its checksums say.
    ChecksumIgnored,
    /// A start gives a shard's last number again.
    NumberReused,
    /// A start shows what it read, and does not make it durable first.
    TailNotSyncedAgain,
    /// A slot of the ring is free before what it holds is in segments.
    SlotFreedEarly,
    /// A new segment's name is not made durable.
    DirectoryNotSynced,
    /// A start goes on with the epoch of the one before it.
    EpochNotRaised,
    /// A split or merge opens the children before it closes the parents.
    ChildOpenedBeforeSeal,
    /// A round writes its last chunk twice.
    ChunkDrainedTwice,
    /// A checkpoint forgets how far a shard was trimmed.
    TrimMovedBack,
    /// What the ring held before is taken for the log's next batch.
    StaleBlockReplayed,
    /// What a real disk is to write durably it only writes.
    DurableFlagDropped,
}

impl Bug {
    /// All that a simulated disk can show.
    pub const SIMULATED: [Bug; 11] = [
        Bug::AnsweredBeforeWrite,
        Bug::ChecksumIgnored,
        Bug::NumberReused,
        Bug::TailNotSyncedAgain,
        Bug::SlotFreedEarly,
        Bug::DirectoryNotSynced,
        Bug::EpochNotRaised,
        Bug::ChildOpenedBeforeSeal,
        Bug::ChunkDrainedTwice,
        Bug::TrimMovedBack,
        Bug::StaleBlockReplayed,
    ];
}

/// Whether this bug is to be had.
#[cfg(not(feature = "planted-bugs"))]
#[inline(always)]
#[must_use]
pub const fn is_planted(_: Bug) -> bool {
    false
}

#[cfg(feature = "planted-bugs")]
mod planting {
    use std::env;
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::Bug;

    /// What the environment asks for, until [`plant`] says otherwise: a real server is told so.
    static PLANTED: LazyLock<AtomicU8> = LazyLock::new(|| {
        let wanted = env::var("THALWEG_PLANTED_BUG").is_ok_and(|name| name == "DurableFlagDropped");
        AtomicU8::new(if wanted { Bug::DurableFlagDropped as u8 } else { 0 })
    });

    /// Has this bug from now on, and no other, in the whole process.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.store(bug.map_or(0, |bug| bug as u8), Ordering::Relaxed);
    }

    /// Whether this bug is to be had.
    #[must_use]
    pub fn is_planted(bug: Bug) -> bool {
        PLANTED.load(Ordering::Relaxed) == bug as u8
    }
}

#[cfg(feature = "planted-bugs")]
pub use planting::{is_planted, plant};
