//! Partition keys in CBOR, found by walking: data is skipped by its length. Definite lengths only.

/// See the module.
#[derive(Default)]
pub(crate) struct CborKeys {
    /// Bytes of a string that are passed over.
    skip: u64,
    /// The head of an item or the text that is being gathered over a seam.
    gathered: Vec<u8>,
    /// A text of this length is next.
    text: Option<usize>,
    /// The last text was the name of a partition key.
    named: bool,
}

const NAME: &[u8] = b"PartitionKey";
/// The longest head of an item.
const HEAD_BYTES: usize = 9;

impl CborKeys {
    pub(crate) fn feed(&mut self, mut piece: &[u8], mut key: impl FnMut(&[u8])) {
        loop {
            let skipped = self.skip.min(piece.len() as u64);
            self.skip -= skipped;
            piece = &piece[skipped as usize..];
            if piece.is_empty() {
                return;
            }
            if let Some(length) = self.text {
                let Some(text) = take(&mut self.gathered, &mut piece, length) else { return };
                if self.named {
                    key(&text);
                }
                self.named = !self.named && *text == *NAME;
                self.text = None;
                continue;
            }
            let first = *self.gathered.first().unwrap_or(&piece[0]);
            let Some(head) = take(&mut self.gathered, &mut piece, head_bytes(first)) else { return };
            let argument = argument(&head);
            match first >> 5 {
                // Numbers and, further down, arrays and maps: their items follow by themselves.
                0 | 1 | 4 | 5 => {}
                2 => self.skip = argument,
                3 if argument == 0 => self.named = false,
                3 => self.text = Some(argument as usize),
                other => panic!("no item of type {other} is in these bodies"),
            }
        }
    }
}

/// The length of the head that begins with this byte.
fn head_bytes(first: u8) -> usize {
    match first & 31 {
        0..=23 => 1,
        24 => 2,
        25 => 3,
        26 => 5,
        27 => HEAD_BYTES,
        _ => panic!("lengths are definite"),
    }
}

fn argument(head: &[u8]) -> u64 {
    match head {
        [first] => u64::from(first & 31),
        [_, rest @ ..] => rest.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        [] => unreachable!("a head has a byte"),
    }
}

/// Takes this many bytes, from the piece alone when it has them; `None` when they have not all come.
fn take<'a>(
    gathered: &mut Vec<u8>,
    piece: &mut &'a [u8],
    length: usize,
) -> Option<std::borrow::Cow<'a, [u8]>> {
    let missing = length - gathered.len();
    if piece.len() < missing {
        gathered.extend_from_slice(piece);
        *piece = &[];
        return None;
    }
    let (taken, rest) = piece.split_at(missing);
    *piece = rest;
    if gathered.is_empty() {
        return Some(taken.into());
    }
    gathered.extend_from_slice(taken);
    Some(std::mem::take(gathered).into())
}
