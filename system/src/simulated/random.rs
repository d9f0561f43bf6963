//! Randomness that a seed repeats.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::Random;

/// SplitMix64: every seed gives another, repeatable, well-mixed sequence. Not for secrets.
#[derive(Debug)]
pub struct SeededRandom {
    state: AtomicU64,
}

impl SeededRandom {
    /// The sequence of `seed`.
    pub fn new(seed: u64) -> Self {
        SeededRandom { state: AtomicU64::new(seed) }
    }

    /// A number below `bound`.
    ///
    /// # Panics
    /// When `bound` is 0.
    pub fn below(&self, bound: u64) -> u64 {
        // The bias of the remainder is far below what a test could see.
        self.next_u64() % bound
    }

    /// True once in `chances`, on average.
    pub fn one_in(&self, chances: u64) -> bool {
        self.below(chances) == 0
    }
}

impl Random for SeededRandom {
    fn fill(&self, bytes: &mut [u8]) {
        for part in bytes.chunks_mut(8) {
            part.copy_from_slice(&self.next_u64().to_le_bytes()[..part.len()]);
        }
    }

    fn next_u64(&self) -> u64 {
        // Sebastiano Vigna's SplitMix64 (public domain): a Weyl sequence and a finalizer.
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.state.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_sequence() {
        // The first outputs for seed 0, as published with the algorithm.
        let random = SeededRandom::new(0);
        assert_eq!((random.next_u64(), random.next_u64()), (0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4));
        let (mut first, mut second) = ([0; 21], [0; 21]);
        SeededRandom::new(7).fill(&mut first);
        SeededRandom::new(7).fill(&mut second);
        assert_eq!(first, second);
        SeededRandom::new(8).fill(&mut second);
        assert_ne!(first, second);
    }
}
