//! What a journal in memory can be told: its bound, and the bad days it shall show.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use thalweg_system::Spawn;

/// How a journal in memory behaves. The default is what `--ephemeral` wants: 1 GiB, instant, reliable.
#[derive(Clone, Debug)]
pub struct Knobs {
    /// Bytes of records that are held at most, overheads included; above it appends are
    /// [`thalweg_journal::NotAppliedReason::Throttled`]. What readers still hold is not counted.
    pub bytes_max: usize,
    /// Commits take time; `None`: they are instant.
    pub slow_commits: Option<SlowCommits>,
    /// Some operations are answered with "outcome unknown"; `None`: none is.
    pub unknown_outcomes: Option<UnknownOutcomes>,
}

impl Knobs {
    /// 1 GiB: a quarter of the memory of a small machine.
    pub const BYTES_MAX_DEFAULT: usize = 1 << 30;
}

impl Default for Knobs {
    fn default() -> Self {
        Knobs { bytes_max: Self::BYTES_MAX_DEFAULT, slow_commits: None, unknown_outcomes: None }
    }
}

/// Commits as a slow or distant disk makes them: everything that writes waits for one, several operations share
/// one, order is kept, nothing is visible before it has ended.
#[derive(Clone)]
pub struct SlowCommits {
    /// How long one takes, by the journal's clock.
    pub delay: Duration,
    /// Runs the loop that makes them. Its tasks must be able to sleep by the journal's clock.
    pub spawn: Arc<dyn Spawn>,
}

impl fmt::Debug for SlowCommits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlowCommits").field("delay", &self.delay).finish_non_exhaustive()
    }
}

/// Answers that get lost: half of such operations are applied, half are not. With slow commits the error comes
/// before the operation is applied.
#[derive(Clone, Copy, Debug)]
pub struct UnknownOutcomes {
    /// Decides which; equal seeds and equal calls give equal fates.
    pub seed: u64,
    /// Of a thousand appends, so many.
    pub appends_per_thousand: u32,
    /// Of a thousand other writing operations (open, seal, trim, forget, delete), so many.
    pub changes_per_thousand: u32,
}

/// What becomes of an operation and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Answered,
    AppliedUnanswered,
    LostUnanswered,
}

/// Decides fates, from a seed.
pub(crate) struct Dice {
    unknown: UnknownOutcomes,
    state: u64,
}

impl Dice {
    pub(crate) fn new(unknown: UnknownOutcomes) -> Self {
        Dice { unknown, state: unknown.seed }
    }

    pub(crate) fn throw(&mut self, is_append: bool) -> Fate {
        let per_thousand =
            if is_append { self.unknown.appends_per_thousand } else { self.unknown.changes_per_thousand };
        let number = self.next();
        if number % 1000 >= u64::from(per_thousand) {
            Fate::Answered
        } else if number >> 63 == 0 {
            Fate::AppliedUnanswered
        } else {
            Fate::LostUnanswered
        }
    }

    /// SplitMix64: every seed is as good as any other, which small test seeds need.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fate_occurs_about_as_often_as_asked() {
        let mut dice =
            Dice::new(UnknownOutcomes { seed: 1, appends_per_thousand: 200, changes_per_thousand: 0 });
        let fates: Vec<_> = (0..10_000).map(|_| dice.throw(true)).collect();
        let count = |fate| fates.iter().filter(|&&f| f == fate).count();
        for (fate, expected) in
            [(Fate::Answered, 8_000), (Fate::AppliedUnanswered, 1_000), (Fate::LostUnanswered, 1_000)]
        {
            assert!(count(fate).abs_diff(expected) < 200, "{fate:?}: {}", count(fate));
        }
        assert!((0..1_000).all(|_| dice.throw(false) == Fate::Answered), "changes were not asked for");
    }
}
