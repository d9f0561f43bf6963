//! Memory that direct I/O accepts: starts at a multiple of [`ALIGNMENT`], grows by appending.
//!
//! `unsafe` because neither `Vec` nor `Bytes` can promise an alignment, and zero-filling memory that is about to
//! be overwritten by a batch would cost a pass over every byte of the write path.

#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ops::{Deref, DerefMut};
use std::ptr::{NonNull, null_mut};
use std::sync::Arc;

use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

/// Every buffer starts at a multiple of this: the largest alignment that file systems ask for.
pub const ALIGNMENT: usize = 4096;

/// What the processor maps at once where it may: a buffer of [`AlignedBuffer::in_huge_pages`] is made of these.
/// The size on x86-64, and on ARM with pages of 4 KiB; elsewhere small pages take their place.
pub const HUGE_PAGE: usize = 2 * 1024 * 1024;

/// Bytes at an aligned address. Its capacity is fixed when it is made.
pub struct AlignedBuffer {
    start: NonNull<u8>,
    length: usize,
    /// How many bytes from the start on may be read: they were written, or came as zeros.
    initialized: usize,
    capacity: usize,
    /// Holds the memory from `start` on for as long as the buffer lives.
    _memory: Owner,
}

enum Owner {
    Alone(#[expect(dead_code, reason = "held for its drop")] Memory),
    WithOthers(#[expect(dead_code, reason = "held for its drop")] Arc<Memory>),
}

/// A piece of memory, given back when it is dropped.
struct Memory {
    start: NonNull<u8>,
    capacity: usize,
    /// Straight from the system, not from the allocator.
    is_mapped: bool,
}

// SAFETY: plain memory, which no thread owns more than another.
unsafe impl Send for Memory {}
// SAFETY: as above; who may touch which part is up to the buffers.
unsafe impl Sync for Memory {}

// SAFETY: the buffer alone owns its part of the memory; shared references only read it.
unsafe impl Send for AlignedBuffer {}
// SAFETY: as above.
unsafe impl Sync for AlignedBuffer {}

impl Memory {
    fn layout(capacity: usize) -> Layout {
        Layout::from_size_align(capacity, ALIGNMENT).expect("capacities are far below isize::MAX")
    }

    /// Not written yet.
    fn from_allocator(capacity: usize) -> Self {
        let layout = Self::layout(capacity);
        // SAFETY: the layout has a non-zero size: callers round up to blocks.
        let start = NonNull::new(unsafe { alloc(layout) }).unwrap_or_else(|| handle_alloc_error(layout));
        Memory { start, capacity, is_mapped: false }
    }

    /// Zeros that begin where a huge page can.
    fn in_huge_pages(capacity: usize) -> Self {
        match map_huge_pages(capacity) {
            Ok(start) => Memory { start, capacity, is_mapped: true },
            Err(_) => {
                let memory = Self::from_allocator(capacity);
                // SAFETY: all of it is ours.
                unsafe { memory.start.as_ptr().write_bytes(0, capacity) };
                memory
            }
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if self.is_mapped {
            // SAFETY: mapped with this very length by `map_huge_pages`. It cannot fail for what is mapped.
            let _ = unsafe { munmap(self.start.as_ptr().cast(), self.capacity) };
        } else {
            // SAFETY: allocated with this very layout in `from_allocator`.
            unsafe { dealloc(self.start.as_ptr(), Self::layout(self.capacity)) };
        }
    }
}

/// Memory of so many huge pages' size that begins where a huge page can.
fn map_huge_pages(capacity: usize) -> Result<NonNull<u8>, Errno> {
    let length = capacity + HUGE_PAGE;
    let (access, kind) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
    // SAFETY: new memory, at an address that the system chooses.
    let mapped = unsafe { mmap_anonymous(null_mut(), length, access, kind)? }.cast::<u8>();
    let before = mapped.align_offset(HUGE_PAGE);
    // SAFETY: both ends lie within the mapping, and nobody knows of it yet; the advice changes how the rest is mapped,
    // not what it holds. What they answer does not matter: the ends may stay, and where the kernel knows no huge
    // pages small ones do.
    unsafe {
        let start = mapped.add(before);
        if before > 0 {
            let _ = munmap(mapped.cast(), before);
        }
        let _ = munmap(start.add(capacity).cast(), HUGE_PAGE - before);
        let _ = madvise(start.cast(), capacity, Advice::LinuxHugepage);
        Ok(NonNull::new(start).expect("nothing is mapped at zero"))
    }
}

/// Memory in huge pages from which buffers are cut, one behind the other. It can be cut anew once all of them are
/// gone.
pub struct BufferRegion {
    memory: Arc<Memory>,
    /// Everything behind this is in no buffer.
    used: usize,
}

impl BufferRegion {
    /// Memory of at least so many bytes, rounded up to whole huge pages. It is taken from the system page by page, as
    /// it is first written.
    pub fn new(capacity: usize) -> Self {
        let capacity = capacity.max(1).next_multiple_of(HUGE_PAGE);
        BufferRegion { memory: Arc::new(Memory::in_huge_pages(capacity)), used: 0 }
    }

    /// How many bytes it has in all.
    pub fn capacity(&self) -> usize {
        self.memory.capacity
    }

    /// An empty buffer with room for at least `capacity` bytes, rounded up to whole blocks; `None` when the rest of the
    /// region is smaller.
    pub fn cut(&mut self, capacity: usize) -> Option<AlignedBuffer> {
        let capacity = capacity.max(1).next_multiple_of(ALIGNMENT);
        if capacity > self.memory.capacity - self.used {
            return None;
        }
        // SAFETY: it lies within the memory (just checked).
        let start = unsafe { self.memory.start.add(self.used) };
        self.used += capacity;
        // All of the memory came as zeros. No other buffer has this part: `used` only moves back in `recycle`.
        let memory = Owner::WithOthers(Arc::clone(&self.memory));
        Some(AlignedBuffer { start, length: 0, initialized: capacity, capacity, _memory: memory })
    }

    /// Begins anew, if no buffer that was cut from it is left.
    pub fn recycle(&mut self) -> bool {
        // Exclusive access: every buffer holds the memory, and what was written through them is visible here.
        let is_free = Arc::get_mut(&mut self.memory).is_some();
        if is_free {
            self.used = 0;
        }
        is_free
    }
}

impl AlignedBuffer {
    /// An empty buffer with room for at least `capacity` bytes, rounded up to whole blocks.
    pub fn with_capacity(capacity: usize) -> Self {
        let capacity = capacity.max(1).next_multiple_of(ALIGNMENT);
        let memory = Memory::from_allocator(capacity);
        AlignedBuffer {
            start: memory.start,
            length: 0,
            initialized: 0,
            capacity,
            _memory: Owner::Alone(memory),
        }
    }

    /// As [`AlignedBuffer::with_capacity`], in whole huge pages where the kernel has some. Direct I/O from such memory
    /// costs the processor half and less (docs/decisions/0031): the kernel looks up two pages and not a thousand, and
    /// the device is asked once. The memory of a page is taken when its first byte is written; all goes back to the
    /// system with the buffer.
    pub fn in_huge_pages(capacity: usize) -> Self {
        let capacity = capacity.max(1).next_multiple_of(HUGE_PAGE);
        let memory = Memory::in_huge_pages(capacity);
        let start = memory.start;
        AlignedBuffer { start, length: 0, initialized: capacity, capacity, _memory: Owner::Alone(memory) }
    }

    /// Makes it `length` bytes long; what they are does not matter, because all will be overwritten: zeros, or what
    /// was there before.
    ///
    /// # Panics
    /// When they do not fit.
    pub fn resize_with_any(&mut self, length: usize) {
        if length > self.initialized {
            self.length = self.initialized;
            self.extend_zeros(length - self.initialized);
        }
        self.length = length;
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
        self.initialized = self.initialized.max(self.length);
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
        self.initialized = self.initialized.max(self.length);
    }

    /// Appends zeros up to a multiple of `alignment`.
    ///
    /// # Panics
    /// When they do not fit.
    pub fn pad_to(&mut self, alignment: usize) {
        self.extend_zeros(self.length.next_multiple_of(alignment) - self.length);
    }
}

impl Deref for AlignedBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `length` is never beyond `initialized`, and so far the memory was written or came as zeros.
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
    fn a_buffer_is_resized_without_being_cleared() {
        let mut buffer = AlignedBuffer::with_capacity(4096);
        buffer.resize_with_any(3);
        assert_eq!(&*buffer, [0; 3], "memory that was never written is not shown");
        buffer.clear();
        buffer.extend_from_slice(b"abcdef");
        buffer.resize_with_any(2);
        assert_eq!(&*buffer, b"ab");
        buffer.resize_with_any(8);
        assert_eq!(&*buffer, b"abcdef\0\0");
        buffer.clear();
        buffer.resize_with_any(4);
        assert_eq!(buffer.len(), 4);
    }

    #[test]
    fn a_region_is_cut_anew_when_all_its_buffers_are_gone() {
        let mut region = BufferRegion::new(1);
        assert_eq!(region.capacity(), HUGE_PAGE);
        let mut first = region.cut(5000).expect("it is empty");
        let mut second = region.cut(1).expect("there is room");
        assert_eq!((first.capacity(), second.capacity()), (8192, 4096));
        assert!(region.cut(HUGE_PAGE).is_none(), "there is less than that");
        first.extend_from_slice(&[1; 8192]);
        second.extend_from_slice(&[2; 4096]);
        assert!(
            first.iter().all(|byte| *byte == 1) && second.iter().all(|byte| *byte == 2),
            "each has its own"
        );
        drop(first);
        assert!(!region.recycle(), "one is left");
        drop(second);
        assert!(region.recycle());
        let mut all = region.cut(HUGE_PAGE).expect("it is empty again");
        all.resize_with_any(3);
        assert_eq!(&*all, [1; 3], "what was written there before");
        drop(region);
        all.extend_zeros(HUGE_PAGE - 3);
    }

    #[test]
    fn a_buffer_in_huge_pages_starts_at_one() {
        let mut buffer = AlignedBuffer::in_huge_pages(HUGE_PAGE + 1);
        assert_eq!((buffer.as_ptr() as usize % HUGE_PAGE, buffer.capacity()), (0, 2 * HUGE_PAGE));
        buffer.extend_zeros(HUGE_PAGE + 1);
        assert_eq!(buffer.len(), HUGE_PAGE + 1);
    }

    #[test]
    #[should_panic(expected = "sized for its content")]
    fn a_buffer_does_not_grow_by_itself() {
        AlignedBuffer::with_capacity(1).extend_from_slice(&[0; 4097]);
    }
}
