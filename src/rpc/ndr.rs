//! Reads arguments: NDR (C706, chapter 14), here called NDR32, and NDR64 ([MS-RPCE] 2.2.5).
//!
//! Every reading gives `None` where the bytes end early or make no sense; nothing is allocated for a count before the bytes that it
//! counts were seen to be there. Offsets are relative to the stub's first byte, which both syntaxes align to.

use super::uuid::Uuid;

/// Bytes of a context handle (C706, 14.2.16.6: 4 bytes of attributes and a UUID).
pub type ContextHandle = [u8; 20];

/// Elements read of one array of pointers, numbers or structures. A list of accounts or tasks comes in parts of at most some thousands;
/// more is refused like a count beyond the bytes.
pub const ELEMENTS_MAX: usize = 16_384;

/// A reader of one stub.
#[derive(Clone, Debug)]
pub struct Ndr<'a> {
    bytes: &'a [u8],
    at: usize,
    little_endian: bool,
    ndr64: bool,
}

impl<'a> Ndr<'a> {
    /// Begins at the stub's first byte.
    pub fn new(stub: &'a [u8], little_endian: bool, ndr64: bool) -> Ndr<'a> {
        Ndr { bytes: stub, at: 0, little_endian, ndr64 }
    }

    /// The syntax is NDR64.
    pub fn is_ndr64(&self) -> bool {
        self.ndr64
    }

    /// Bytes not read yet.
    pub fn remaining(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    /// So many bytes as they are.
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// Skips the padding before something that is aligned to 1, 2, 4 or 8 bytes.
    pub fn align(&mut self, to: usize) -> Option<()> {
        let at = self.at.checked_next_multiple_of(to)?;
        self.bytes.get(at..)?;
        self.at = at;
        Some(())
    }

    /// Aligned as a structure is that holds a pointer or `__int3264`: to 4 bytes in NDR32, 8 in NDR64.
    pub fn align_pointer(&mut self) -> Option<()> {
        self.align(if self.ndr64 { 8 } else { 4 })
    }

    /// An unsigned small.
    pub fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|b| b[0])
    }

    /// An unsigned short.
    pub fn u16(&mut self) -> Option<u16> {
        self.align(2)?;
        self.array().map(|b| if self.little_endian { u16::from_le_bytes(b) } else { u16::from_be_bytes(b) })
    }

    /// An unsigned long.
    pub fn u32(&mut self) -> Option<u32> {
        self.align(4)?;
        self.array().map(|b| if self.little_endian { u32::from_le_bytes(b) } else { u32::from_be_bytes(b) })
    }

    /// An unsigned hyper.
    pub fn u64(&mut self) -> Option<u64> {
        self.align(8)?;
        self.array().map(|b| if self.little_endian { u64::from_le_bytes(b) } else { u64::from_be_bytes(b) })
    }

    /// What is 4 bytes in NDR32 and 8 in NDR64: `DWORD_PTR` (`__int3264`), conformance, variance, referents.
    pub fn u3264(&mut self) -> Option<u64> {
        if self.ndr64 { self.u64() } else { self.u32().map(u64::from) }
    }

    /// An enumeration without `v1_enum`, or a union's discriminant of such: 2 bytes in NDR32, 4 in NDR64.
    pub fn enum16(&mut self) -> Option<u32> {
        if self.ndr64 { self.u32() } else { self.u16().map(u32::from) }
    }

    /// A referent of a unique or full pointer: whether it points to anything. Of top-level pointers the pointee follows at once, of
    /// embedded ones after the outermost structure or array (C706, 14.3.12.3).
    pub fn pointer(&mut self) -> Option<bool> {
        self.u3264().map(|referent| referent != 0)
    }

    /// A UUID or GUID.
    pub fn uuid(&mut self) -> Option<Uuid> {
        self.align(4)?;
        self.array().map(|b| Uuid::from_wire(&b, self.little_endian))
    }

    /// A context handle.
    pub fn handle(&mut self) -> Option<ContextHandle> {
        self.align(4)?;
        self.array()
    }

    /// A maximum count, an offset and an actual count: whether so many elements can be there, each of at least `element` bytes.
    fn varying(&mut self, element: usize) -> Option<usize> {
        let _maximum = self.u3264()?;
        let offset = self.u3264()?;
        if offset != 0 {
            return None;
        }
        let count = self.u3264()?;
        self.counted(count, element)
    }

    /// A count of elements, as far as so many can be there; of elements of four bytes and more at most [`ELEMENTS_MAX`].
    fn counted(&self, count: u64, element: usize) -> Option<usize> {
        let count = usize::try_from(count).ok()?;
        let few = element < 4 || count <= ELEMENTS_MAX;
        (few && count.checked_mul(element)? <= self.remaining()).then_some(count)
    }

    /// A conformant array's maximum count, as far as so many elements of at least `element` bytes can be there.
    pub fn conformance(&mut self, element: usize) -> Option<usize> {
        let count = self.u3264()?;
        self.counted(count, element)
    }

    /// A conformant and varying array's actual count; likewise.
    pub fn variance(&mut self, element: usize) -> Option<usize> {
        self.varying(element)
    }

    /// A conformant and varying string of UTF-16 (`[string] wchar_t*`, or a counted one), without its terminator and what follows it.
    pub fn wide_string(&mut self) -> Option<String> {
        let count = self.varying(2)?;
        let bytes = self.take(count.checked_mul(2)?)?;
        Some(self.utf16(bytes))
    }

    /// A conformant and varying string of bytes (`[string] char*`), likewise. Bytes above 0x7f are taken as ISO 8859-1, for the code page
    /// is not told.
    pub fn narrow_string(&mut self) -> Option<String> {
        let count = self.varying(1)?;
        let bytes = self.take(count)?;
        Some(bytes.iter().take_while(|b| **b != 0).map(|b| char::from(*b)).collect())
    }

    /// Text of UTF-16 in the sender's byte order, up to a NUL; unpaired surrogates become U+FFFD.
    pub fn utf16(&self, bytes: &[u8]) -> String {
        let unit = |pair: &[u8; 2]| if self.little_endian { u16::from_le_bytes(*pair) } else { u16::from_be_bytes(*pair) };
        let units = bytes.chunks_exact(2).filter_map(|pair| pair.first_chunk().map(unit)).take_while(|u| *u != 0);
        char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    }

    /// A top-level unique pointer to a string: `Some(None)` where it is null.
    pub fn unique_wide_string(&mut self) -> Option<Option<String>> {
        if self.pointer()? { self.wide_string().map(Some) } else { Some(None) }
    }

    /// A conformant array of bytes.
    pub fn byte_array(&mut self) -> Option<&'a [u8]> {
        let count = self.conformance(1)?;
        self.take(count)
    }

    /// A top-level unique pointer to a conformant array of bytes.
    pub fn unique_byte_array(&mut self) -> Option<Option<&'a [u8]>> {
        if self.pointer()? { self.byte_array().map(Some) } else { Some(None) }
    }

    /// A top-level unique pointer to an unsigned long.
    pub fn unique_u32(&mut self) -> Option<Option<u32>> {
        if self.pointer()? { self.u32().map(Some) } else { Some(None) }
    }

    /// The fixed part of an `RPC_UNICODE_STRING` ([MS-DTYP] 2.3.10): whether its buffer follows among the deferred.
    pub fn counted_string_head(&mut self) -> Option<bool> {
        self.align_pointer()?;
        let (_length, _maximum) = (self.u16()?, self.u16()?);
        self.pointer()
    }

    /// A top-level `RPC_UNICODE_STRING`: fixed part and buffer.
    pub fn counted_string(&mut self) -> Option<String> {
        if self.counted_string_head()? { self.wide_string() } else { Some(String::new()) }
    }

    /// An `RPC_SID` ([MS-DTYP] 2.4.2.3) as text, `S-1-5-21-...`.
    pub fn sid(&mut self) -> Option<String> {
        let _count = self.conformance(4)?;
        self.align(4)?;
        let (revision, count) = (self.u8()?, self.u8()?);
        let authority: [u8; 6] = self.array()?;
        let authority = authority.iter().fold(0_u64, |sum, b| sum << 8 | u64::from(*b));
        let mut text = format!("S-{revision}-{authority}");
        for _ in 0..count {
            text.push_str(&format!("-{}", self.u32()?));
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests;
