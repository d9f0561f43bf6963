//! How often a name came, in bytes that arrive in pieces.

use memchr::memmem::Finder;

/// See the module.
pub(crate) struct Counter {
    finder: Finder<'static>,
    /// The end of what was fed, shorter than the name, so that nothing is counted twice.
    carried: Vec<u8>,
    pub(crate) count: u64,
}

impl Counter {
    pub(crate) fn new(name: &'static [u8]) -> Self {
        Counter { finder: Finder::new(name), carried: Vec::new(), count: 0 }
    }

    /// Answers how often it came so far. Copies no more than the seams.
    pub(crate) fn feed(&mut self, piece: &[u8]) -> u64 {
        let reach = self.finder.needle().len() - 1;
        // What begins in the carried bytes ends within `reach` bytes of this piece.
        self.carried.extend_from_slice(&piece[..piece.len().min(reach)]);
        self.count += self.finder.find_iter(&self.carried).count() as u64;
        if piece.len() > reach {
            self.count += self.finder.find_iter(piece).count() as u64;
            self.carried.clear();
            self.carried.extend_from_slice(&piece[piece.len() - reach..]);
        } else {
            let done = self.carried.len().saturating_sub(reach);
            self.carried.drain(..done);
        }
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_counted_once_wherever_the_pieces_end() {
        let text = b"..Name..NameName.Nam.NameNamName";
        for size in 1..=text.len() {
            let mut counter = Counter::new(b"Name");
            for piece in text.chunks(size) {
                counter.feed(piece);
            }
            assert_eq!(counter.count, 5, "in pieces of {size}");
        }
    }
}
