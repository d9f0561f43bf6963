//! Records that look like the one before them: the same bytes but for the data and the partition key, which are as
//! long. What such a record holds is known without walking it.
//!
//! ```text
//! {"Data":"bW9ybmluZw==","PartitionKey":"turbine-07"}    walked
//! {"Data":"aGlnaG5vb24=","PartitionKey":"turbine-12"}    alike
//! =========............====================..........==  compared  ... taken over
//! ```
//!
//! In CBOR this is as good as a walk: lengths are among what is compared. In JSON it is a guess as long as nobody has
//! looked into the data: text with a quote in it would have ended earlier. But such text is no base64: when all data
//! decodes, every guess was right.

use std::ops::Range;

use super::scan::Scan;
use super::{Data, PutEntry};

/// After so many records in a row that are not alike nothing is compared any more.
const PATIENCE: u32 = 8;

/// A record to compare others with.
struct Model<'a> {
    bytes: &'a [u8],
    data: Range<usize>,
    key: Range<usize>,
}

/// What is known of the records so far.
pub(super) struct Likeness<'a> {
    model: Option<Model<'a>>,
    patience: u32,
}

impl<'a> Likeness<'a> {
    /// Nothing; with `guess` false it stays so.
    pub(super) fn new(guess: bool) -> Self {
        Likeness { model: None, patience: if guess { PATIENCE } else { 0 } }
    }

    /// Takes the next record, if it looks like the last one that was walked.
    #[inline]
    pub(super) fn take<S: Scan<'a>>(&mut self, scan: &mut S) -> Option<PutEntry<'a>> {
        let Model { bytes: model, data, key } = self.model.as_ref()?;
        let bytes = scan.rest().get(..model.len())?;
        let alike = |part: Range<usize>| bytes[part.clone()] == model[part];
        let (first, second) = if data.start < key.start { (data, key) } else { (key, data) };
        if !alike(0..first.start) || !alike(first.end..second.start) || !alike(second.end..model.len()) {
            return None;
        }
        let partition_key = Some(S::text_of(&bytes[key.clone()])?);
        let data = S::data_of(&bytes[data.clone()])?;
        scan.skip(model.len());
        self.patience = PATIENCE;
        Some(PutEntry { partition_key, explicit_hash_key: None, data })
    }

    /// Remembers a record that was walked, and its bytes.
    #[inline]
    pub(super) fn walked(&mut self, bytes: &'a [u8], entry: &PutEntry<'a>) {
        self.model = None;
        if self.patience == 0 {
            return;
        }
        self.patience -= 1;
        if let PutEntry { partition_key: Some(key), explicit_hash_key: None, data } = entry {
            let data = match data {
                Data::Base64 { text, .. } => text,
                Data::Raw(bytes) => bytes,
            };
            let (data, key) = (range_in(bytes, data), range_in(bytes, key.as_bytes()));
            self.model = Some(Model { bytes, data, key });
        }
    }
}

/// Where a part of `bytes` is in them.
///
/// # Panics
/// When it is not.
#[inline]
fn range_in(bytes: &[u8], part: &[u8]) -> Range<usize> {
    let start = part.as_ptr().addr() - bytes.as_ptr().addr();
    assert!(start + part.len() <= bytes.len(), "a part of them");
    start..start + part.len()
}
