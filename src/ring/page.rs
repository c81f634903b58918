//! The sealed index's bytes: pages that prove themselves, read one at a time through one small cache.
//!
//! A page is up to [`PAGE_PAYLOAD`] bytes and the CRC-32C of them and of the page's number. Tables run on over page edges;
//! positions are those of the payload alone. Only the last page is shorter.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of a whole page in the file.
pub const PAGE_LEN: usize = 4096;
/// Bytes of a page that tables use.
pub const PAGE_PAYLOAD: usize = PAGE_LEN - 4;
/// Pages that one [`PageCache`] holds: 8 MiB.
pub const PAGES_CACHED_MAX: usize = 2048;
/// Bytes that, asked for at once, are read past the cache, in runs of pages.
const RUN_FROM: usize = 4 * PAGE_PAYLOAD;
/// Bytes of such a run in the file.
const RUN_MAX: usize = 64 * PAGE_LEN;

fn page_crc(number: u64, payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&number.to_le_bytes()), payload)
}

/// Writes payload as pages.
pub struct PageWriter<W: Write> {
    out: W,
    page: Vec<u8>,
    number: u64,
}

impl<W: Write> PageWriter<W> {
    /// Starts with page 0.
    pub fn new(out: W) -> Self {
        PageWriter { out, page: Vec::with_capacity(PAGE_LEN), number: 0 }
    }

    /// How much payload was written.
    pub fn position(&self) -> u64 {
        self.number * PAGE_PAYLOAD as u64 + self.page.len() as u64
    }

    /// Appends payload.
    pub fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let n = bytes.len().min(PAGE_PAYLOAD - self.page.len());
            self.page.extend_from_slice(&bytes[..n]);
            bytes = &bytes[n..];
            if self.page.len() == PAGE_PAYLOAD {
                self.close_page()?;
            }
        }
        Ok(())
    }

    fn close_page(&mut self) -> io::Result<()> {
        let crc = page_crc(self.number, &self.page);
        self.page.extend_from_slice(&crc.to_le_bytes());
        self.out.write_all(&self.page)?;
        self.page.clear();
        self.number += 1;
        Ok(())
    }

    /// Closes the last page and gives the output back, with the file length of all pages.
    pub fn finish(mut self) -> io::Result<(W, u64)> {
        let mut len = self.number * PAGE_LEN as u64;
        if !self.page.is_empty() {
            len += self.page.len() as u64 + 4;
            self.close_page()?;
        }
        Ok((self.out, len))
    }
}

/// A page that could not be had.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// The disk says no.
    #[error("cannot be read")]
    Io(#[from] io::Error),
    /// The bytes do not agree with their checksum, or end too early.
    #[error("the index does not agree with its checksum at byte {position}")]
    Checksum {
        /// Where the page begins in the file.
        position: u64,
    },
}

/// A payload.
type Payload = Arc<Vec<u8>>;

#[derive(Default)]
struct CacheState {
    pages: HashMap<(u64, u64), (Payload, u64)>,
    clock: u64,
    next_file: u64,
    bytes_read: u64,
}

/// The pages of all index files of one reader, at most [`PAGES_CACHED_MAX`].
#[derive(Default)]
pub struct PageCache(Mutex<CacheState>);

impl PageCache {
    /// Bytes that were read from index files.
    pub fn bytes_read(&self) -> u64 {
        self.state().bytes_read
    }

    /// Counts index bytes that were read past the cache.
    pub fn count_read(&self, bytes: u64) {
        self.state().bytes_read += bytes;
    }

    fn state(&self) -> std::sync::MutexGuard<'_, CacheState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file_number(&self) -> u64 {
        let mut s = self.state();
        s.next_file += 1;
        s.next_file
    }

    fn find(&self, key: (u64, u64)) -> Option<Payload> {
        let mut s = self.state();
        s.clock += 1;
        let now = s.clock;
        s.pages.get_mut(&key).map(|(page, used)| {
            *used = now;
            page.clone()
        })
    }

    fn keep(&self, key: (u64, u64), page: Payload) {
        let mut s = self.state();
        s.clock += 1;
        let now = s.clock;
        s.bytes_read += page.len() as u64 + 4;
        if s.pages.len() >= PAGES_CACHED_MAX {
            // An eighth goes at once, the longest unused, so that the search for them is rare.
            let mut ages: Vec<u64> = s.pages.values().map(|p| p.1).collect();
            let nth = ages.len() / 8;
            let limit = *ages.select_nth_unstable(nth).1;
            s.pages.retain(|_, p| p.1 > limit);
        }
        s.pages.insert(key, (page, now));
    }
}

/// The pages of one index file.
pub struct PageReader {
    cache: Arc<PageCache>,
    file: u64,
    pages_len: u64,
}

impl PageReader {
    /// Reads pages from the first `pages_len` bytes of a file, which each call is handed anew.
    pub fn new(cache: Arc<PageCache>, pages_len: u64) -> Self {
        let file = cache.file_number();
        PageReader { cache, file, pages_len }
    }

    /// The cache behind it.
    pub fn cache(&self) -> &Arc<PageCache> {
        &self.cache
    }

    fn page(&self, file: &File, number: u64) -> Result<Payload, PageError> {
        if let Some(page) = self.cache.find((self.file, number)) {
            return Ok(page);
        }
        let position = number * PAGE_LEN as u64;
        let len = self.pages_len.saturating_sub(position).min(PAGE_LEN as u64) as usize;
        let damaged = PageError::Checksum { position };
        if len <= 4 {
            return Err(damaged);
        }
        let mut bytes = vec![0; len];
        match file.read_exact_at(&mut bytes, position) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Err(damaged),
            Err(e) => return Err(e.into()),
        }
        let payload = prove(number, &bytes)?.len();
        bytes.truncate(payload);
        let page = Arc::new(bytes);
        self.cache.keep((self.file, number), page.clone());
        Ok(page)
    }

    /// Fills `out` from payload position `at`.
    pub fn read(&self, file: &File, at: u64, out: &mut [u8]) -> Result<(), PageError> {
        if out.len() > RUN_FROM {
            return self.read_run(file, at, out);
        }
        let mut done = 0;
        while done < out.len() {
            let position = at + done as u64;
            let (number, inside) = (position / PAGE_PAYLOAD as u64, (position % PAGE_PAYLOAD as u64) as usize);
            let page = self.page(file, number)?;
            let Some(found) = page.get(inside..).filter(|f| !f.is_empty()) else {
                return Err(PageError::Checksum { position: number * PAGE_LEN as u64 });
            };
            let n = found.len().min(out.len() - done);
            out[done..done + n].copy_from_slice(&found[..n]);
            done += n;
        }
        Ok(())
    }

    /// Fills `out` by reads of many pages, past the cache: what is read in such lengths is not asked for again.
    fn read_run(&self, file: &File, at: u64, out: &mut [u8]) -> Result<(), PageError> {
        let mut done = 0;
        let mut bytes = Vec::new();
        while done < out.len() {
            let position = at + done as u64;
            let number = position / PAGE_PAYLOAD as u64;
            let mut inside = (position % PAGE_PAYLOAD as u64) as usize;
            let start = number * PAGE_LEN as u64;
            let wanted = (inside + out.len() - done).div_ceil(PAGE_PAYLOAD) * PAGE_LEN;
            let len = self.pages_len.saturating_sub(start).min(wanted.min(RUN_MAX) as u64) as usize;
            if len <= 4 {
                return Err(PageError::Checksum { position: start });
            }
            bytes.resize(len, 0);
            match file.read_exact_at(&mut bytes, start) {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Err(PageError::Checksum { position: start }),
                Err(e) => return Err(e.into()),
            }
            self.cache.count_read(len as u64);
            for (i, page) in bytes.chunks(PAGE_LEN).enumerate() {
                let payload = prove(number + i as u64, page)?;
                let Some(found) = payload.get(inside..).filter(|f| !f.is_empty()) else {
                    return Err(PageError::Checksum { position: start });
                };
                let n = found.len().min(out.len() - done);
                out[done..done + n].copy_from_slice(&found[..n]);
                done += n;
                inside = 0;
            }
        }
        Ok(())
    }
}

/// A page's payload, if it agrees with its checksum.
fn prove(number: u64, page: &[u8]) -> Result<&[u8], PageError> {
    let fits = page.split_last_chunk::<4>().filter(|(payload, crc)| page_crc(number, payload).to_le_bytes() == **crc);
    fits.map(|(payload, _)| payload).ok_or(PageError::Checksum { position: number * PAGE_LEN as u64 })
}

/// The payload of all pages, if all of them agree with their checksums.
pub fn payload(pages: &[u8]) -> Option<Vec<u8>> {
    let mut all = Vec::with_capacity(pages.len());
    for (number, page) in pages.chunks(PAGE_LEN).enumerate() {
        all.extend_from_slice(prove(number as u64, page).ok()?);
    }
    Some(all)
}

/// Whether all pages of a file's bytes prove themselves; else where the first begins that does not.
pub fn verify_all(pages: &[u8]) -> Result<(), u64> {
    for (number, page) in pages.chunks(PAGE_LEN).enumerate() {
        prove(number as u64, page).map_err(|_| (number * PAGE_LEN) as u64)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_prove_themselves() {
        let payload: Vec<u8> = (0..3 * PAGE_PAYLOAD + 100).map(|i| (i * 7) as u8).collect();
        let mut w = PageWriter::new(Vec::new());
        for part in payload.chunks(1000) {
            w.write(part).unwrap();
        }
        assert_eq!(w.position(), payload.len() as u64);
        let (bytes, len) = w.finish().unwrap();
        assert_eq!(bytes.len() as u64, len);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::write(&path, &bytes).unwrap();
        let file = File::open(&path).unwrap();
        let r = PageReader::new(Arc::default(), len);
        let mut out = vec![0; payload.len()];
        r.read(&file, 0, &mut out).unwrap();
        assert_eq!(out, payload);
        let mut out = vec![0; 10];
        r.read(&file, PAGE_PAYLOAD as u64 - 5, &mut out).unwrap();
        assert_eq!(out, payload[PAGE_PAYLOAD - 5..][..10]);
        assert!(r.read(&file, payload.len() as u64 - 5, &mut out).is_err(), "past the end");
        let long: Vec<u8> = (0..70 * PAGE_PAYLOAD + 9).map(|i| ((i * 13) >> 3) as u8).collect();
        let mut w = PageWriter::new(Vec::new());
        w.write(&long).unwrap();
        let (mut long_bytes, long_len) = w.finish().unwrap();
        let long_path = dir.path().join("long");
        std::fs::write(&long_path, &long_bytes).unwrap();
        let long_reader = PageReader::new(Arc::default(), long_len);
        let long_file = File::open(&long_path).unwrap();
        for (from, to) in [(0, long.len()), (17, long.len()), (5000, 5001 + RUN_FROM), (PAGE_PAYLOAD, 66 * PAGE_PAYLOAD)] {
            let mut run = vec![0; to - from];
            long_reader.read(&long_file, from as u64, &mut run).unwrap();
            assert_eq!(run, long[from..to], "a run of pages from {from} to {to}");
        }
        assert!(long_reader.read(&long_file, 1, &mut vec![0; long.len()]).is_err(), "a run past the end");
        long_bytes[65 * PAGE_LEN + 3] ^= 1;
        std::fs::write(&long_path, &long_bytes).unwrap();
        let damaged = long_reader.read(&File::open(&long_path).unwrap(), 0, &mut vec![0; long.len()]);
        assert!(matches!(damaged, Err(PageError::Checksum { position }) if position == 65 * PAGE_LEN as u64));
        for at in [0, PAGE_LEN + 9, bytes.len() - 1] {
            let mut broken = bytes.clone();
            broken[at] ^= 1;
            std::fs::write(&path, &broken).unwrap();
            let r = PageReader::new(Arc::default(), len);
            let file = File::open(&path).unwrap();
            let start = (at / PAGE_LEN * PAGE_PAYLOAD) as u64;
            assert!(matches!(r.read(&file, start, &mut [0; 4]), Err(PageError::Checksum { .. })));
        }
    }

    #[test]
    fn the_cache_stays_small() {
        let cache = Arc::new(PageCache::default());
        for i in 0..3 * PAGES_CACHED_MAX as u64 {
            cache.keep((1, i), Arc::new(vec![0; 8]));
        }
        assert!(cache.state().pages.len() <= PAGES_CACHED_MAX);
        assert!(cache.find((1, 3 * PAGES_CACHED_MAX as u64 - 1)).is_some());
    }
}
