//! Partition keys in JSON, found by their name. Neither escapes nor white space are expected.

use std::sync::LazyLock;

use memchr::memmem::Finder;

const NAME: &[u8] = b"\"PartitionKey\":\"";
/// A key with its name and quote is not longer than this.
const REACH: usize = 512;

/// Searching is prepared once: it takes as long as a search over a record.
static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(NAME));

/// See the module.
#[derive(Default)]
pub(crate) struct JsonKeys {
    /// The end of the last piece: what may be the beginning of a name, or a name whose key has not ended.
    carried: Vec<u8>,
}

impl JsonKeys {
    pub(crate) fn feed(&mut self, piece: &[u8], mut key: impl FnMut(&[u8])) {
        let mut from = 0;
        if !self.carried.is_empty() {
            let carried = self.carried.len();
            self.carried.extend_from_slice(&piece[..piece.len().min(REACH)]);
            match find(&self.carried) {
                Found::Key(at, end) if at < carried => {
                    key(&self.carried[at + NAME.len()..end]);
                    from = end + 1 - carried;
                }
                Found::Begun(_) | Found::Nothing if piece.len() < REACH => {
                    self.keep_end();
                    return;
                }
                // The piece alone has it.
                _ => {}
            }
            self.carried.clear();
        }
        loop {
            let rest = &piece[from..];
            match find(rest) {
                Found::Key(at, end) => {
                    key(&rest[at + NAME.len()..end]);
                    from += end + 1;
                }
                _ => {
                    self.carried.extend_from_slice(&rest[rest.len().saturating_sub(REACH)..]);
                    self.keep_end();
                    return;
                }
            }
        }
    }

    /// Keeps of the carried bytes only what a key may begin in.
    fn keep_end(&mut self) {
        let done = match find(&self.carried) {
            Found::Begun(at) => at,
            _ => self.carried.len().saturating_sub(NAME.len() - 1),
        };
        self.carried.drain(..done);
    }
}

enum Found {
    /// A name begins here, and its key ends there.
    Key(usize, usize),
    /// A name begins here.
    Begun(usize),
    Nothing,
}

fn find(bytes: &[u8]) -> Found {
    let Some(at) = FINDER.find(bytes) else { return Found::Nothing };
    let start = at + NAME.len();
    match memchr::memchr(b'"', &bytes[start..]) {
        Some(length) => Found::Key(at, start + length),
        None => Found::Begun(at),
    }
}
