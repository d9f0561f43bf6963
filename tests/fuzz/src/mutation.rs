//! Random changes of inputs, from a seed: what tests try where nothing tells them what an input reaches.

/// Numbers that formats trip over.
const INTERESTING: [u64; 14] =
    [0, 1, 2, 7, 16, 127, 128, 255, 256, 4096, 0x7fff_ffff, 0x8000_0000, i64::MAX as u64, u64::MAX];
/// Bytes that mean something to the texts and encodings that are read here.
const TOKENS: &[u8] = b"{}[],:\"\\= \r\n\t/.-+0A$\x00\xff\xf6\xbf\x9f\x5f\x7f\xc1";
/// Changes of one input, at most.
const CHANGES_MAX: u64 = 4;

/// Makes inputs from others.
pub struct Mutator {
    state: u64,
}

impl Mutator {
    /// The same seed makes the same inputs.
    pub fn new(seed: u64) -> Self {
        Mutator { state: seed }
    }

    /// An input of at most `bytes_max` bytes like one of `corpus`.
    ///
    /// # Panics
    /// When the corpus is empty.
    pub fn next(&mut self, corpus: &[Vec<u8>], bytes_max: usize) -> Vec<u8> {
        let mut input = corpus[self.below(corpus.len())].clone();
        for _ in 0..=self.below(CHANGES_MAX as usize) {
            let other = &corpus[self.below(corpus.len())];
            self.change(&mut input, other);
        }
        input.truncate(bytes_max);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, other: &[u8]) {
        let place = self.below(input.len() + 1);
        let length = 1 + self.below(8);
        let end = (place + length).min(input.len());
        match self.below(8) {
            0 if place < input.len() => input[place] ^= 1 << self.below(8),
            1 if place < input.len() => input[place] = self.random() as u8,
            2 => input.insert(place, TOKENS[self.below(TOKENS.len())]),
            3 => drop(input.drain(place..end)),
            4 => {
                let copy = input[place..end].to_vec();
                let target = self.below(input.len() + 1);
                input.splice(target..target, copy);
            }
            5 => self.number(&mut input[place..end]),
            6 => {
                let from = self.below(other.len() + 1);
                input.truncate(place);
                input.extend_from_slice(&other[from..]);
            }
            _ => input.truncate(place),
        }
    }

    /// An interesting number, in either order of bytes.
    fn number(&mut self, place: &mut [u8]) {
        let number = INTERESTING[self.below(INTERESTING.len())];
        let count = place.len();
        if self.below(2) == 0 {
            place.copy_from_slice(&number.to_le_bytes()[..count]);
        } else {
            place.copy_from_slice(&number.to_be_bytes()[8 - count..]);
        }
    }

    fn below(&mut self, end: usize) -> usize {
        (self.random() % end as u64) as usize
    }

    /// SplitMix64.
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
