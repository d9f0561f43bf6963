//! As much of the protobuf wire format as aggregation takes. It knows fields, not messages.

/// The longest varint: ten groups of seven bits hold 64.
const VARINT_BYTES_MAX: usize = 10;
/// The largest field number, 2^29 - 1.
const FIELD_MAX: u64 = (1 << 29) - 1;

/// Wire types.
const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const LENGTH_DELIMITED: u64 = 2;
const FIXED_32: u64 = 5;

/// A field's value, by wire type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    /// Of a fixed length: no field of ours, only to be passed over.
    Fixed,
}

/// Not a message. (Nobody asks why: such data are an ordinary record.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The fields of a message in the order of their bytes; ends after the first error. Groups, which proto2 knows
/// but nobody has written for many years, count as errors.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn new(message: &'a [u8]) -> Self {
        Fields { rest: message }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Bits above the 64th are dropped, as every protobuf library does.
    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for index in 0..VARINT_BYTES_MAX {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    fn field(&mut self) -> Result<(u32, Value<'a>), Malformed> {
        let tag = self.varint()?;
        let number = tag >> 3;
        if number == 0 || number > FIELD_MAX {
            return Err(Malformed);
        }
        let value = match tag & 7 {
            VARINT => Value::Varint(self.varint()?),
            LENGTH_DELIMITED => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                Value::Bytes(self.take(length)?)
            }
            FIXED_64 => self.take(8).map(|_| Value::Fixed)?,
            FIXED_32 => self.take(4).map(|_| Value::Fixed)?,
            _ => return Err(Malformed),
        };
        Ok((u32::try_from(number).expect("it has at most 29 bits"), value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// Length of a varint in bytes.
pub(crate) const fn varint_length(value: u64) -> usize {
    let bits = 64 - value.leading_zeros() as usize;
    if bits == 0 { 1 } else { bits.div_ceil(7) }
}

/// Length of a varint field with a number below 16.
pub(crate) const fn varint_field_length(value: u64) -> usize {
    1 + varint_length(value)
}

/// Length of a field of `length` bytes with a number below 16.
pub(crate) const fn bytes_field_length(length: usize) -> usize {
    1 + varint_length(length as u64) + length
}

fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Writes a varint field with a number below 16.
pub(crate) fn write_varint_field(out: &mut Vec<u8>, number: u32, value: u64) {
    write_varint(out, u64::from(number) << 3 | VARINT);
    write_varint(out, value);
}

/// Writes what comes before the `length` bytes of a field with a number below 16.
pub(crate) fn write_bytes_field_start(out: &mut Vec<u8>, number: u32, length: usize) {
    write_varint(out, u64::from(number) << 3 | LENGTH_DELIMITED);
    write_varint(out, length as u64);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(message: &[u8], expected: &[Result<(u32, Value<'_>), Malformed>]) {
        assert_eq!(Fields::new(message).collect::<Vec<_>>(), expected, "{message:02x?}");
    }

    #[test]
    fn fields_are_read_by_wire_type() {
        check(b"", &[]);
        check(b"\x08\x96\x01", &[Ok((1, Value::Varint(150)))]);
        check(b"\x12\x02hi\x08\x00", &[Ok((2, Value::Bytes(b"hi"))), Ok((1, Value::Varint(0)))]);
        check(b"\x09........\x15....", &[Ok((1, Value::Fixed)), Ok((2, Value::Fixed))]);
        check(b"\xf8\xff\xff\xff\x0f\x01", &[Ok(((1 << 29) - 1, Value::Varint(1)))]);
        check(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", &[Ok((1, Value::Varint(u64::MAX)))]);
    }

    #[test]
    fn what_is_cut_short_or_unknown_is_malformed() {
        for message in [
            &b"\x08"[..],
            b"\x08\x80",
            b"\x12\x03hi",
            b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x09.......",
            b"\x15...",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", // eleven bytes
            b"\x00\x01",                                         // field 0
            b"\x80\x80\x80\x80\x10\x01",                         // field 2^29
            b"\x0b\x0c",                                         // a group
            b"\x0e",
        ] {
            check(message, &[Err(Malformed)]);
        }
    }

    proptest! {
        #[test]
        fn lengths_are_those_written(value in any::<u64>(), shift in 0u32..64, length in 0usize..100_000) {
            let value = value >> shift;
            let mut out = Vec::new();
            write_varint_field(&mut out, 3, value);
            prop_assert_eq!(out.len(), varint_field_length(value));
            prop_assert_eq!(Fields::new(&out).next(), Some(Ok((3, Value::Varint(value)))));
            out.clear();
            write_bytes_field_start(&mut out, 15, length);
            prop_assert_eq!(out.len() + length, bytes_field_length(length));
        }
    }
}
