//! The three transactions' common form ([MS-CIFS] 2.2.4.33, 2.2.4.46, 2.2.4.62): parameters and data in one message or several.

use super::fields::Fields;
use super::header::Block;
use super::limits::{TRANSACTION_BYTES_MAX, TRANSACTION_PIECES_MAX};

/// SMB_COM_TRANSACTION.
pub(super) const TRANSACTION: u8 = 0x25;
/// SMB_COM_TRANSACTION2.
pub(super) const TRANSACTION2: u8 = 0x32;
/// SMB_COM_NT_TRANSACT.
pub(super) const NT_TRANSACT: u8 = 0xA0;

/// Bytes that come in pieces.
#[derive(Clone, Debug, Default)]
pub(super) struct Gathered {
    bytes: Vec<u8>,
    /// What is there: half-open ranges, in order, apart from each other.
    there: Vec<(usize, usize)>,
    total: usize,
    refused: bool,
}

impl Gathered {
    /// Puts a piece in its place; `total` is the length that the message of this piece claims (later ones may lower it).
    fn put(&mut self, total: usize, at: usize, piece: &[u8]) {
        self.total = total;
        let end = at.saturating_add(piece.len());
        if end > TRANSACTION_BYTES_MAX || self.there.len() >= TRANSACTION_PIECES_MAX {
            self.refused = true;
            return;
        }
        if piece.is_empty() {
            return;
        }
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        if let Some(place) = self.bytes.get_mut(at..end) {
            place.copy_from_slice(piece);
        }
        let (mut from, mut to) = (at, end);
        self.there.retain(|r| {
            let touches = r.0 <= to && from <= r.1;
            if touches {
                (from, to) = (from.min(r.0), to.max(r.1));
            }
            !touches
        });
        let place = self.there.partition_point(|r| r.0 < from);
        self.there.insert(place, (from, to));
    }

    /// All of it has come.
    fn whole(&self) -> bool {
        !self.refused && self.first_part().len() >= self.total
    }

    /// What is there from the first byte on without a hole.
    pub(super) fn first_part(&self) -> &[u8] {
        let end = self.there.first().filter(|r| r.0 == 0).map_or(0, |r| r.1);
        self.bytes.get(..end).unwrap_or_default()
    }
}

/// A request or an answer of a transaction, as far as it has come.
#[derive(Clone, Debug, Default)]
pub(super) struct Gathering {
    /// The setup words, as bytes.
    pub(super) setup: Vec<u8>,
    /// NT_TRANSACT's function.
    pub(super) function: u16,
    /// The parameters.
    pub(super) parameters: Gathered,
    /// The data.
    pub(super) data: Gathered,
}

/// Where a message of a transaction says that its piece lies.
struct Piece {
    total: usize,
    count: usize,
    offset: usize,
    displacement: usize,
}

impl Gathering {
    /// All of it has come.
    pub(super) fn whole(&self) -> bool {
        self.parameters.whole() && self.data.whole()
    }

    /// A limit was reached: it will never be whole.
    pub(super) fn refused(&self) -> bool {
        self.parameters.refused || self.data.refused
    }

    /// Bytes it holds.
    pub(super) fn weight(&self) -> usize {
        self.parameters.bytes.len() + self.data.bytes.len() + self.setup.len()
    }

    fn put(&mut self, block: &Block<'_>, parameters: &Piece, data: &Piece) {
        self.parameters.put(parameters.total, parameters.displacement, block.part(parameters.offset, parameters.count));
        self.data.put(data.total, data.displacement, block.part(data.offset, data.count));
    }

    /// Takes the first message of a request. `None`: its words do not have that form.
    pub(super) fn request(block: &Block<'_>) -> Option<Gathering> {
        let w = block.words;
        let mut it = Gathering::default();
        if block.command == NT_TRANSACT {
            it.function = w.u16(36)?;
            it.setup = w.slice(38, usize::from(w.u8(35)?) * 2).unwrap_or_default().to_vec();
            let parameters = Piece { total: w.place32(3)?, count: w.place32(19)?, offset: w.place32(23)?, displacement: 0 };
            let data = Piece { total: w.place32(7)?, count: w.place32(27)?, offset: w.place32(31)?, displacement: 0 };
            it.put(block, &parameters, &data);
        } else {
            it.setup = w.slice(28, usize::from(w.u8(26)?) * 2).unwrap_or_default().to_vec();
            it.function = Fields(&it.setup).u16(0).unwrap_or(0);
            let parameters = Piece { total: w.place16(0)?, count: w.place16(18)?, offset: w.place16(20)?, displacement: 0 };
            let data = Piece { total: w.place16(2)?, count: w.place16(22)?, offset: w.place16(24)?, displacement: 0 };
            it.put(block, &parameters, &data);
        }
        Some(it)
    }

    /// Takes a secondary request. Returns whether its words have that form.
    pub(super) fn secondary(&mut self, block: &Block<'_>) -> bool {
        let w = block.words;
        let pieces = if block.command == 0xA1 { long_pieces(w) } else { short_secondary(w) };
        let Some((parameters, data)) = pieces else { return false };
        self.put(block, &parameters, &data);
        true
    }

    /// Takes a message of an answer. Returns whether its words have that form.
    pub(super) fn answer(&mut self, block: &Block<'_>) -> bool {
        let w = block.words;
        let pieces = if block.command == NT_TRANSACT { long_pieces(w) } else { short_answer(w) };
        let Some((parameters, data)) = pieces else { return false };
        self.put(block, &parameters, &data);
        true
    }
}

/// NT_TRANSACT_SECONDARY and the answers of NT_TRANSACT: 32-bit fields behind three reserved bytes.
fn long_pieces(w: Fields<'_>) -> Option<(Piece, Piece)> {
    Some((
        Piece { total: w.place32(3)?, count: w.place32(11)?, offset: w.place32(15)?, displacement: w.place32(19)? },
        Piece { total: w.place32(7)?, count: w.place32(23)?, offset: w.place32(27)?, displacement: w.place32(31)? },
    ))
}

/// TRANSACTION_SECONDARY and TRANSACTION2_SECONDARY.
fn short_secondary(w: Fields<'_>) -> Option<(Piece, Piece)> {
    Some((
        Piece { total: w.place16(0)?, count: w.place16(4)?, offset: w.place16(6)?, displacement: w.place16(8)? },
        Piece { total: w.place16(2)?, count: w.place16(10)?, offset: w.place16(12)?, displacement: w.place16(14)? },
    ))
}

/// The answers of TRANSACTION and TRANSACTION2.
fn short_answer(w: Fields<'_>) -> Option<(Piece, Piece)> {
    Some((
        Piece { total: w.place16(0)?, count: w.place16(6)?, offset: w.place16(8)?, displacement: w.place16(10)? },
        Piece { total: w.place16(2)?, count: w.place16(12)?, offset: w.place16(14)?, displacement: w.place16(16)? },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_in_any_order() {
        let mut g = Gathered::default();
        g.put(10, 6, b"ghij");
        assert_eq!((g.first_part(), g.whole()), (&b""[..], false));
        g.put(10, 0, b"abc");
        assert_eq!((g.first_part(), g.whole()), (&b"abc"[..], false));
        g.put(10, 3, b"def");
        assert_eq!((g.first_part(), g.whole()), (&b"abcdefghij"[..], true));
        assert_eq!(g.there, [(0, 10)]);
    }

    #[test]
    fn nothing_is_whole() {
        assert!(Gathered::default().whole());
        let mut g = Gathered::default();
        g.put(0, 0, b"");
        assert!(g.whole());
    }

    #[test]
    fn limits() {
        let mut g = Gathered::default();
        g.put(usize::MAX, TRANSACTION_BYTES_MAX, b"x");
        assert!(g.refused && g.bytes.is_empty());
        g.put(usize::MAX, usize::MAX, b"x");
        let mut g = Gathered::default();
        for i in 0..1000 {
            g.put(4000, i * 3 + 1, b"x");
        }
        assert!(g.refused && g.there.len() == TRANSACTION_PIECES_MAX);
    }
}
