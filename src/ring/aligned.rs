//! A growing run of bytes that begins on a page's edge in memory, as writing past the page cache wants it.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::fmt;
use std::ops::Deref;
use std::ptr::NonNull;

/// The edge that memory, file positions and lengths keep to where the page cache is passed over. No disk asks for more.
pub const PAGE: usize = 4096;

/// A page of the larger kind that processors have. A block lies in one: what reads and writes it needs one entry of the processor's table of
/// pages and not hundreds, and so does the kernel when it hands the block to the disk.
const LARGE_PAGE: usize = 2 << 20;
/// Up to so many bytes small pages do.
const SMALL_MAX: usize = 64 << 10;

/// Memory of whole pages, all of it initialized.
struct Pages {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: the memory belongs to this value alone.
unsafe impl Send for Pages {}
// SAFETY: a shared reference only reads.
unsafe impl Sync for Pages {}

impl Pages {
    /// At least `len` bytes, which is not zero.
    fn new(len: usize) -> Pages {
        let edge = if len > SMALL_MAX { LARGE_PAGE } else { PAGE };
        // Sizes near the end of the address space are refused as any that memory does not suffice for.
        let Ok(layout) = Layout::from_size_align(len.next_multiple_of(edge), edge) else {
            handle_alloc_error(Layout::new::<u8>())
        };
        // SAFETY: the size is not zero.
        let Some(start) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        if edge == LARGE_PAGE {
            // SAFETY: advice about memory that was allocated just now, which changes nothing that can be seen in it. It may be refused.
            let _ = unsafe { rustix::mm::madvise(start.as_ptr().cast(), layout.size(), rustix::mm::Advice::LinuxHugepage) };
        }
        // SAFETY: it is that long.
        unsafe { start.as_ptr().write_bytes(0, layout.size()) };
        Pages { start, layout }
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: the memory is that long, initialized, and borrowed with `self`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.layout.size()) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: the memory is that long, initialized, and borrowed with `self`.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.layout.size()) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: it was allocated so, and nothing borrows from it any more.
        unsafe { dealloc(self.start.as_ptr(), self.layout) };
    }
}

/// See the module.
#[derive(Default)]
pub struct AlignedBuffer {
    pages: Option<Pages>,
    len: usize,
}

impl AlignedBuffer {
    /// Empties it, keeping its memory.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    fn room(&self) -> usize {
        self.pages.as_ref().map_or(0, |p| p.layout.size())
    }

    /// Grows by so many bytes, whose values are any, and gives them.
    #[inline]
    pub fn grow(&mut self, by: usize) -> &mut [u8] {
        let (start, end) = (self.len, self.len + by);
        if end > self.room() {
            self.enlarge(end);
        }
        self.len = end;
        self.pages.as_mut().map_or(&mut [], |p| &mut p.bytes_mut()[start..end])
    }

    /// Makes room for so many bytes, and some more.
    #[cold]
    fn enlarge(&mut self, to: usize) {
        let mut pages = Pages::new(to.max((2 * self.room()).min(SMALL_MAX)).max(PAGE));
        pages.bytes_mut()[..self.len].copy_from_slice(self);
        self.pages = Some(pages);
    }

    /// Appends bytes.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        self.grow(bytes.len()).copy_from_slice(bytes);
    }
}

impl Clone for AlignedBuffer {
    fn clone(&self) -> Self {
        let mut made = AlignedBuffer::default();
        made.extend_from_slice(self);
        made
    }
}

impl Deref for AlignedBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.pages.as_ref().map_or(&[], |p| &p.bytes()[..self.len])
    }
}

/// How many bytes.
impl fmt::Debug for AlignedBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_stay_while_it_grows_and_begin_on_an_edge() {
        let mut buffer = AlignedBuffer::default();
        assert!(buffer.is_empty());
        let mut want = Vec::new();
        for i in 0..600_000_u32 {
            buffer.extend_from_slice(&i.to_le_bytes());
            want.extend_from_slice(&i.to_le_bytes());
            assert_eq!(buffer.as_ptr() as usize % PAGE, 0);
        }
        assert_eq!(&*buffer, want);
        assert_eq!(buffer.room(), 2 * LARGE_PAGE);
        buffer.clear();
        buffer.grow(3).copy_from_slice(b"abc");
        assert_eq!(&*buffer, b"abc");
        assert_eq!((buffer.clone().len(), &*buffer.clone()), (3, &b"abc"[..]));
    }
}
