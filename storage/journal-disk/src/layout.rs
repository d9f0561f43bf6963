//! Little-endian fields at fixed places: how every format of this crate is written and read.
//!
//! Not here: what the fields mean. Each format has a file of its own, and `docs/formats/journal.md` draws them.

use thalweg_journal::checksum;

/// What counts from 1 and grows by one (positions, epochs, generations, …) never comes this far: more is damage.
pub(crate) const COUNT_MAX: u64 = 1 << 62;

/// Sums what lies behind the checksum itself, which every format of ours keeps in its first four bytes.
pub(crate) fn sum_behind_first_field(bytes: &[u8]) -> u32 {
    checksum(&bytes[4..])
}

macro_rules! field {
    ($put:ident, $get:ident, $type:ty) => {
        /// Writes the field at byte `at`.
        ///
        /// # Panics
        /// When it does not lie within `bytes`: formats have fixed sizes.
        pub(crate) fn $put(bytes: &mut [u8], at: usize, value: $type) {
            bytes[at..at + size_of::<$type>()].copy_from_slice(&value.to_le_bytes());
        }

        /// Reads the field at byte `at`.
        ///
        /// # Panics
        /// As its writer.
        pub(crate) fn $get(bytes: &[u8], at: usize) -> $type {
            let field = &bytes[at..at + size_of::<$type>()];
            <$type>::from_le_bytes(field.try_into().expect("the slice has the type's size"))
        }
    };
}

field!(put_u16, get_u16, u16);
field!(put_u32, get_u32, u32);
field!(put_u64, get_u64, u64);
field!(put_i64, get_i64, i64);
