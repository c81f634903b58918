//! A growing run of bytes that begins on a page's edge in memory, as writing past the page cache wants it.

use std::fmt;
use std::ops::Deref;

/// The edge that memory, file positions and lengths keep to where the page cache is passed over. No disk asks for more.
pub const PAGE: usize = 4096;

/// Beyond so many pages it takes [`BLOCK_PAGES`] at once: growing means copying, and pages that are touched for the first time are dear.
const SMALL_PAGES: usize = 16;
/// Pages of a block of the largest size and what it may have beyond it.
const BLOCK_PAGES: usize = (1 << 20) / PAGE + 24;

#[derive(Clone, Copy)]
#[repr(C, align(4096))]
struct Page([u8; PAGE]);

/// See the module.
#[derive(Clone, Default)]
pub struct AlignedBuffer {
    pages: Vec<Page>,
    len: usize,
}

impl AlignedBuffer {
    /// Empties it, keeping its memory.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Grows by so many bytes, whose values are any, and gives them.
    pub fn grow(&mut self, by: usize) -> &mut [u8] {
        let (start, end) = (self.len, self.len + by);
        if end > self.pages.len() * PAGE {
            let wanted = end.div_ceil(PAGE);
            let pages =
                if wanted > SMALL_PAGES { (wanted + SMALL_PAGES).max(BLOCK_PAGES) } else { (2 * wanted).min(SMALL_PAGES) };
            self.pages.resize(pages, Page([0; PAGE]));
        }
        self.len = end;
        // SAFETY: the pages are `pages.len() * PAGE` initialized bytes without gaps, of which `end` is no more, and they are borrowed mutably.
        let all = unsafe { std::slice::from_raw_parts_mut(self.pages.as_mut_ptr().cast::<u8>(), end) };
        &mut all[start..]
    }

    /// Appends bytes.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        self.grow(bytes.len()).copy_from_slice(bytes);
    }
}

impl Deref for AlignedBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the pages are `pages.len() * PAGE` initialized bytes without gaps, of which `len` is no more, and they are borrowed.
        unsafe { std::slice::from_raw_parts(self.pages.as_ptr().cast::<u8>(), self.len) }
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
        for i in 0..5000_u32 {
            buffer.extend_from_slice(&i.to_le_bytes());
            want.extend_from_slice(&i.to_le_bytes());
            assert_eq!(buffer.as_ptr() as usize % PAGE, 0);
        }
        assert_eq!(&*buffer, want);
        buffer.clear();
        buffer.grow(3).copy_from_slice(b"abc");
        assert_eq!(&*buffer, b"abc");
        assert_eq!(buffer.clone().len(), 3);
    }
}
