//! Memory that direct I/O accepts: starts at a multiple of [`ALIGNMENT`], grows by appending.
//!
//! `unsafe` because neither `Vec` nor `Bytes` can promise an alignment, and zero-filling memory that is about to
//! be overwritten by a batch would cost a pass over every byte of the write path.

#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// Every buffer starts at a multiple of this: the largest alignment that file systems ask for.
pub const ALIGNMENT: usize = 4096;

/// Bytes at an aligned address. Its capacity is fixed when it is made.
pub struct AlignedBuffer {
    start: NonNull<u8>,
    length: usize,
    capacity: usize,
}

// SAFETY: the buffer owns its memory alone; shared references only read it.
unsafe impl Send for AlignedBuffer {}
// SAFETY: as above.
unsafe impl Sync for AlignedBuffer {}

impl AlignedBuffer {
    fn layout(capacity: usize) -> Layout {
        Layout::from_size_align(capacity, ALIGNMENT).expect("capacities are far below isize::MAX")
    }

    /// An empty buffer with room for at least `capacity` bytes, rounded up to whole blocks.
    pub fn with_capacity(capacity: usize) -> Self {
        let capacity = capacity.max(1).next_multiple_of(ALIGNMENT);
        let layout = Self::layout(capacity);
        // SAFETY: the layout has a non-zero size.
        let start = NonNull::new(unsafe { alloc(layout) }).unwrap_or_else(|| handle_alloc_error(layout));
        AlignedBuffer { start, length: 0, capacity }
    }

    /// A buffer of `length` zeros.
    pub fn zeroed(length: usize) -> Self {
        let mut buffer = Self::with_capacity(length);
        buffer.extend_zeros(length);
        buffer
    }

    /// How many bytes fit.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Empties it and keeps the memory.
    pub fn clear(&mut self) {
        self.length = 0;
    }

    /// Appends `bytes`.
    ///
    /// # Panics
    /// When they do not fit: callers size the buffer first.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        assert!(bytes.len() <= self.capacity - self.length, "the buffer was sized for its content");
        // SAFETY: the range behind `length` is ours and large enough (asserted), and `bytes` cannot overlap it
        // because we hold `&mut self`.
        unsafe { self.start.as_ptr().add(self.length).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        self.length += bytes.len();
    }

    /// Appends `count` zeros.
    ///
    /// # Panics
    /// When they do not fit.
    pub fn extend_zeros(&mut self, count: usize) {
        assert!(count <= self.capacity - self.length, "the buffer was sized for its content");
        // SAFETY: as in `extend_from_slice`.
        unsafe { self.start.as_ptr().add(self.length).write_bytes(0, count) };
        self.length += count;
    }

    /// Appends zeros up to a multiple of `alignment`.
    ///
    /// # Panics
    /// When they do not fit.
    pub fn pad_to(&mut self, alignment: usize) {
        self.extend_zeros(self.length.next_multiple_of(alignment) - self.length);
    }
}

impl Drop for AlignedBuffer {
    fn drop(&mut self) {
        // SAFETY: allocated with this very layout in `with_capacity`.
        unsafe { dealloc(self.start.as_ptr(), Self::layout(self.capacity)) };
    }
}

impl Deref for AlignedBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the first `length` bytes were written by `extend_*`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`, and we hold `&mut self`.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}

impl AsRef<[u8]> for AlignedBuffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_aligned_and_holds_what_was_appended() {
        let mut buffer = AlignedBuffer::with_capacity(5000);
        assert_eq!((buffer.as_ptr() as usize % ALIGNMENT, buffer.capacity()), (0, 8192));
        buffer.extend_from_slice(b"abc");
        buffer.pad_to(8);
        assert_eq!(&*buffer, b"abc\0\0\0\0\0");
        buffer.clear();
        buffer.extend_from_slice(b"de");
        assert_eq!(&*buffer, b"de");
        assert_eq!(&*AlignedBuffer::zeroed(4), [0; 4]);
    }

    #[test]
    #[should_panic(expected = "sized for its content")]
    fn a_buffer_does_not_grow_by_itself() {
        AlignedBuffer::with_capacity(1).extend_from_slice(&[0; 4097]);
    }
}
