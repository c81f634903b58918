//! How long a file is, as far as messages tell: of what is read, and of what is written.

use crate::smb::event::SizeFrom;
use serde::Serialize;

/// From where a known size is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SizeSource {
    /// The answer to the CREATE (or that the CREATE made it empty).
    Create,
    /// The answer to a query.
    Query,
    /// The attributes in a CLOSE answer.
    Close,
    /// The client set the end of file.
    SetEndOfFile,
    /// END_OF_FILE or a short read.
    EndOfFile,
    /// A directory listing.
    Listing,
    /// The end of the last WRITE.
    LastWrite,
}

impl From<SizeFrom> for SizeSource {
    fn from(from: SizeFrom) -> SizeSource {
        match from {
            SizeFrom::Create => SizeSource::Create,
            SizeFrom::Query => SizeSource::Query,
            SizeFrom::Close => SizeSource::Close,
            SizeFrom::SetEndOfFile => SizeSource::SetEndOfFile,
            SizeFrom::EndOfFile => SizeSource::EndOfFile,
            SizeFrom::Listing => SizeSource::Listing,
        }
    }
}

/// The size of a file that is read: what was told newest.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ReadSize {
    told: Option<(u64, SizeSource)>,
    listed: Option<u64>,
}

impl ReadSize {
    /// A message told the size.
    pub(super) fn told(&mut self, size: u64, from: SizeFrom) {
        match from {
            SizeFrom::Listing => self.listed = Some(size),
            // That of what is written: what was read before is as it was.
            SizeFrom::SetEndOfFile => {}
            _ => {
                self.told = Some((size, from.into()));
                self.listed = None;
            }
        }
    }

    /// A read showed that nothing is at `offset` or beyond. `reached`: the byte before it was seen or lost, so that it ends just there.
    pub(super) fn ends_by(&mut self, offset: u64, reached: bool) {
        match self.told {
            _ if offset == 0 || reached => self.told = Some((offset, SizeSource::EndOfFile)),
            // It shrank, to a length that is not known.
            Some((size, _)) if size > offset => self.told = None,
            _ => {}
        }
        if self.listed.is_some_and(|size| size > offset) {
            self.listed = None;
        }
    }

    /// Bytes up to `end` were read: an older and smaller size is not true any more.
    pub(super) fn read_up_to(&mut self, end: u64) {
        if self.told.is_some_and(|(size, _)| size < end) {
            self.told = None;
        }
        if self.listed.is_some_and(|size| size < end) {
            self.listed = None;
        }
    }

    /// The size, where it is known. A listing speaks of a file's name and of another moment: it counts only where nothing else does.
    pub(super) fn known(&self) -> Option<(u64, SizeSource)> {
        self.told.or(self.listed.map(|size| (size, SizeSource::Listing)))
    }
}

/// The size of a file that is written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WriteSize {
    /// At the open; `None` while it is not known.
    at_open: Option<u64>,
    /// How much of what was there at the open has not been cut off since; `None`: not known.
    old_end: Option<u64>,
    told: Option<(u64, SizeSource)>,
    /// The end of the farthest WRITE since the size was told.
    written: u64,
    /// A CLOSE answer told it: nothing changes it any more.
    closed: bool,
}

impl WriteSize {
    /// The size at the open.
    pub(super) fn opened(&mut self, size: u64) {
        if self.at_open.is_none() {
            self.at_open = Some(size);
            let cut = self.told.filter(|t| t.1 == SizeSource::SetEndOfFile).map_or(u64::MAX, |t| t.0);
            self.old_end = Some(self.old_end.map_or(size, |end| end.min(size)).min(cut));
        }
    }

    /// A message told the size after the open. Returns whether it is news that bytes beyond it are gone.
    pub(super) fn told(&mut self, size: u64, from: SizeFrom) -> bool {
        match from {
            SizeFrom::SetEndOfFile | SizeFrom::Query | SizeFrom::Close | SizeFrom::Create => {
                self.told = Some((size, from.into()));
                self.written = 0;
                self.old_end = self.old_end.map(|end| end.min(size));
                self.closed |= from == SizeFrom::Close;
                true
            }
            // What a read past the end tells may be older than the WRITEs under way.
            SizeFrom::EndOfFile | SizeFrom::Listing => false,
        }
    }

    /// A WRITE up to `end` was done. Returns how much of it stands: all, or up to the size that the CLOSE told.
    pub(super) fn wrote(&mut self, end: u64) -> u64 {
        match self.told {
            Some((size, _)) if self.closed => end.min(size),
            _ => {
                self.written = self.written.max(end);
                end
            }
        }
    }

    /// The size as it is now, where it is known.
    pub(super) fn known(&self) -> Option<(u64, SizeSource)> {
        match self.told {
            Some((size, from)) if size >= self.written => Some((size, from)),
            Some(_) => Some((self.written, SizeSource::LastWrite)),
            None => self.at_open.map(|size| {
                if size >= self.written && self.written == 0 || size > self.written {
                    (size, SizeSource::Create)
                } else {
                    (self.written, SizeSource::LastWrite)
                }
            }),
        }
    }

    /// Whether only a successful CLOSE shows that no more was to come: the end of the last WRITE is all that tells the size of a file that
    /// was empty, or it is still as empty as the CREATE made it.
    pub(super) fn needs_close(&self) -> bool {
        let base = self.told.map(|t| t.0).or(self.at_open).unwrap_or(0);
        match self.known() {
            Some((_, SizeSource::LastWrite)) => base == 0 || self.at_open.unwrap_or(0) == 0,
            Some((0, SizeSource::Create)) => true,
            _ => false,
        }
    }

    /// Whether the answer to a CLOSE told it.
    pub(super) fn is_final(&self) -> bool {
        self.closed
    }

    /// Up to where unseen bytes are those of the file as it was before; `None` where its size at the open is not known.
    pub(super) fn old_end(&self) -> Option<u64> {
        self.old_end
    }

    /// Whether the client set the end of file.
    pub(super) fn was_set(&self) -> bool {
        self.told.is_some_and(|(_, from)| from == SizeSource::SetEndOfFile)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_size_of_a_read_counts() {
        let mut size = ReadSize::default();
        assert_eq!(size.known(), None);
        size.told(70, SizeFrom::Listing);
        assert_eq!(size.known(), Some((70, SizeSource::Listing)));
        size.told(100, SizeFrom::Create);
        size.told(120, SizeFrom::Query);
        assert_eq!(size.known(), Some((120, SizeSource::Query)));
        size.ends_by(150, false);
        assert_eq!(size.known(), Some((120, SizeSource::Query)), "nothing at 150 says no more");
        size.ends_by(110, true);
        assert_eq!(size.known(), Some((110, SizeSource::EndOfFile)));
        size.ends_by(90, false);
        assert_eq!(size.known(), None, "it shrank to an unknown length");
        size.ends_by(0, false);
        assert_eq!(size.known(), Some((0, SizeSource::EndOfFile)));
        size.read_up_to(10);
        assert_eq!(size.known(), None, "it grew again");
    }

    #[test]
    fn the_size_of_a_write() {
        let mut size = WriteSize::default();
        assert_eq!(size.wrote(10), 10);
        assert_eq!(size.known(), None, "the file may have been longer");
        size.opened(0);
        assert_eq!((size.known(), size.needs_close()), (Some((10, SizeSource::LastWrite)), true));
        size.told(50, SizeFrom::SetEndOfFile);
        assert_eq!((size.known(), size.needs_close()), (Some((50, SizeSource::SetEndOfFile)), false));
        size.wrote(60);
        assert_eq!((size.known(), size.needs_close()), (Some((60, SizeSource::LastWrite)), true));
        size.told(60, SizeFrom::Close);
        assert!(!size.needs_close());
        assert_eq!(size.wrote(70), 60, "after the CLOSE nothing grows");
        assert_eq!(size.known(), Some((60, SizeSource::Close)));

        let mut old = WriteSize::default();
        old.opened(100);
        old.wrote(40);
        assert_eq!((old.known(), old.needs_close()), (Some((100, SizeSource::Create)), false));
        old.told(30, SizeFrom::SetEndOfFile);
        old.told(80, SizeFrom::SetEndOfFile);
        assert_eq!(old.old_end(), Some(30), "what was cut off does not come back");
        old.told(90, SizeFrom::Query);
        old.wrote(95);
        assert_eq!(old.known(), Some((95, SizeSource::LastWrite)));
    }
}
