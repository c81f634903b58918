//! Telling the processor what will be read soon.

/// Has the memory of a value fetched, as far as its first cache line goes. Changes nothing but time.
#[inline(always)]
pub fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: it is a hint about an address, for which any address will do, and this is that of a value that is there. Every x86-64
    // processor has the instruction.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}
