//! One record's bytes, the same in memory, in the ring, in a segment and (later) in a cell.
//!
//! ```text
//! byte 0        1         2           4            8
//!      +--------+---------+-----------+------------+----------------+--------------------+-----+------+
//!      | flags  | zero    | key bytes | data bytes | explicit hash  | id bytes u16, id   | key | data |
//!      | u8     | u8      | u16       | u32        | key, 16, if 01 | if 02              |     |      |
//!      +--------+---------+-----------+------------+----------------+--------------------+-----+------+
//! ```
//! Integers are little-endian. Flags: 01 has an explicit hash key, 02 has a record id, 04 has no partition key
//! (the key length is then 0). Other flags are refused: they belong to versions to come.

/// Has an explicit hash key.
const FLAG_EXPLICIT_HASH_KEY: u8 = 0x01;
/// Has a record id.
const FLAG_ID: u8 = 0x02;
/// Has no partition key.
const FLAG_NO_PARTITION_KEY: u8 = 0x04;
/// Bytes before the optional parts.
const FIXED_BYTES: usize = 8;

/// One record, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The producer's key; absent only where the stream distributes records by itself.
    pub partition_key: Option<&'a str>,
    /// The producer's explicit place in the hash space.
    pub explicit_hash_key: Option<u128>,
    /// The producer's name for the record (de-duplication, later).
    pub id: Option<&'a [u8]>,
    /// What it carries.
    pub data: &'a [u8],
}

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// They end too early.
    #[error("a record is cut short")]
    Short,
    /// A flag that this version does not know.
    #[error("a record has flags of a later version")]
    Flags,
    /// The partition key is not UTF-8.
    #[error("a partition key is not UTF-8")]
    PartitionKey,
}

/// Length of the encoding of a record with these parts, in bytes.
pub const fn encoded_length(
    key_bytes: usize,
    explicit: bool,
    id_bytes: Option<usize>,
    data_bytes: usize,
) -> usize {
    FIXED_BYTES
        + if explicit { 16 } else { 0 }
        + match id_bytes {
            Some(bytes) => 2 + bytes,
            None => 0,
        }
        + key_bytes
        + data_bytes
}

/// Writes everything of a record but its data, whose length is `data_bytes`: the caller appends the data itself
/// (decoded straight into place).
///
/// # Panics
/// When a key or id is longer than 65,535 bytes or the data longer than 4 GiB: the API's limits are far below.
pub fn encode_before_data(
    out: &mut Vec<u8>,
    partition_key: Option<&str>,
    explicit_hash_key: Option<u128>,
    id: Option<&[u8]>,
    data_bytes: usize,
) {
    let key = partition_key.unwrap_or_default();
    let flags = if explicit_hash_key.is_some() { FLAG_EXPLICIT_HASH_KEY } else { 0 }
        | if id.is_some() { FLAG_ID } else { 0 }
        | if partition_key.is_none() { FLAG_NO_PARTITION_KEY } else { 0 };
    let key_bytes = u16::try_from(key.len()).expect("keys have at most 256 characters");
    let data_bytes = u32::try_from(data_bytes).expect("records have at most 10 MiB");
    let mut fixed = [0; FIXED_BYTES];
    fixed[0] = flags;
    fixed[2..4].copy_from_slice(&key_bytes.to_le_bytes());
    fixed[4..8].copy_from_slice(&data_bytes.to_le_bytes());
    out.extend_from_slice(&fixed);
    if let Some(hash_key) = explicit_hash_key {
        out.extend_from_slice(&hash_key.to_le_bytes());
    }
    if let Some(id) = id {
        let id_bytes = u16::try_from(id.len()).expect("ids are short");
        out.extend_from_slice(&id_bytes.to_le_bytes());
        out.extend_from_slice(id);
    }
    out.extend_from_slice(key.as_bytes());
}

impl<'a> Record<'a> {
    /// Appends the encoding to `out`.
    ///
    /// # Panics
    /// As [`encode_before_data`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        encode_before_data(out, self.partition_key, self.explicit_hash_key, self.id, self.data.len());
        out.extend_from_slice(self.data);
    }

    /// What limits count: data and partition key, in bytes.
    pub fn payload_bytes(&self) -> usize {
        self.data.len() + self.partition_key.map_or(0, str::len)
    }
}

/// Whether these bytes are so many records and nothing else.
pub fn are_records(bytes: &[u8], count: u32) -> bool {
    let mut records = Records::new(bytes);
    (0..count).all(|_| matches!(records.next(), Some(Ok(_)))) && records.next().is_none()
}

/// The records in a run's bytes, one after the other; ends after the first error.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Records<'a> {
    /// From the start of a run.
    pub fn new(bytes: &'a [u8]) -> Self {
        Records { bytes, position: 0 }
    }

    /// Where the next record starts, in bytes.
    pub fn position(&self) -> usize {
        self.position
    }

    #[inline]
    fn take(&mut self, count: usize) -> Result<&'a [u8], RecordError> {
        let end = self.position.checked_add(count).ok_or(RecordError::Short)?;
        let taken = self.bytes.get(self.position..end).ok_or(RecordError::Short)?;
        self.position = end;
        Ok(taken)
    }

    #[inline]
    fn decode(&mut self) -> Result<Record<'a>, RecordError> {
        let fixed = self.take(FIXED_BYTES)?;
        let flags = fixed[0];
        if flags & !(FLAG_EXPLICIT_HASH_KEY | FLAG_ID | FLAG_NO_PARTITION_KEY) != 0 || fixed[1] != 0 {
            return Err(RecordError::Flags);
        }
        let key_bytes = usize::from(u16::from_le_bytes([fixed[2], fixed[3]]));
        let data_bytes = u32::from_le_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]) as usize;
        let explicit_hash_key = if flags & FLAG_EXPLICIT_HASH_KEY == 0 {
            None
        } else {
            Some(u128::from_le_bytes(self.take(16)?.try_into().expect("16 bytes")))
        };
        let id = if flags & FLAG_ID == 0 {
            None
        } else {
            let length = u16::from_le_bytes(self.take(2)?.try_into().expect("2 bytes"));
            Some(self.take(usize::from(length))?)
        };
        let key = std::str::from_utf8(self.take(key_bytes)?).map_err(|_| RecordError::PartitionKey)?;
        let data = self.take(data_bytes)?;
        let partition_key = (flags & FLAG_NO_PARTITION_KEY == 0).then_some(key);
        Ok(Record { partition_key, explicit_hash_key, id, data })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, RecordError>;

    // Into the loop of whoever encodes records: what it returns would be read back from memory in other pieces than it was
    // written in, and wait for that.
    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.position >= self.bytes.len() {
            return None;
        }
        let record = self.decode();
        if record.is_err() {
            self.position = self.bytes.len();
        }
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_format_of_version_1_is_pinned() {
        let mut bytes = Vec::new();
        Record { partition_key: Some("k1"), explicit_hash_key: None, id: None, data: b"hello" }
            .encode(&mut bytes);
        Record { partition_key: None, explicit_hash_key: Some(7), id: Some(b"id"), data: b"" }
            .encode(&mut bytes);
        let mut expected = b"\x00\x00\x02\x00\x05\x00\x00\x00k1hello".to_vec();
        expected.extend_from_slice(b"\x07\x00\x00\x00\x00\x00\x00\x00");
        expected.extend_from_slice(b"\x07\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\x00id");
        assert_eq!(bytes, expected);
    }

    #[test]
    fn flags_of_later_versions_are_refused() {
        let bytes = [0x08, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(Records::new(&bytes).next(), Some(Err(RecordError::Flags)));
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(
            records in prop::collection::vec(
                (any::<Option<String>>(), any::<Option<u128>>(), any::<Option<Vec<u8>>>(), any::<Vec<u8>>()), 1..20),
        ) {
            let mut bytes = Vec::new();
            let mut expected = Vec::new();
            for (key, explicit_hash_key, id, data) in &records {
                let record = Record {
                    partition_key: key.as_deref(),
                    explicit_hash_key: *explicit_hash_key,
                    id: id.as_deref(),
                    data,
                };
                let before = bytes.len();
                record.encode(&mut bytes);
                let (key, id) = (record.partition_key.unwrap_or_default().len(), record.id.map(<[u8]>::len));
                prop_assert_eq!(
                    bytes.len() - before, encoded_length(key, explicit_hash_key.is_some(), id, data.len()));
                expected.push(Ok(record));
            }
            prop_assert_eq!(Records::new(&bytes).collect::<Vec<_>>(), expected);
        }

        #[test]
        fn any_bytes_are_safe_to_read(bytes in any::<Vec<u8>>()) {
            let _ = Records::new(&bytes).count();
        }
    }
}
