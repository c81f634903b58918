//! Keytab files in the version 0x0502 of MIT Kerberos (`doc/formats/keytab_file_format.rst`): names and long-term keys of services.

use super::kerberos_keys::Key;
use std::fmt;

/// Bytes of a keytab that are read: a thousand keys of a service take less than 100 KiB.
pub const KEYTAB_BYTES_MAX: usize = 4 << 20;
/// Entries that are kept of one keytab: each may be tried on a ticket.
pub const KEYTAB_ENTRIES_MAX: usize = 4096;

/// One key of a keytab.
#[derive(Clone, PartialEq, Eq)]
pub struct KeytabEntry {
    /// The realm.
    pub realm: String,
    /// The principal's name without the realm: `cifs/server.corp.lan`.
    pub principal: String,
    /// Key version number.
    pub kvno: u32,
    /// The key.
    pub key: Key,
}

impl fmt::Debug for KeytabEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{} kvno {} {:?}", self.principal, self.realm, self.kvno, self.key)
    }
}

/// Why not all of a keytab was read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum KeytabFault {
    /// It does not begin with 0x0502.
    NotKeytab,
    /// It ends within an entry.
    Short,
    /// An entry's fields do not fit in its length.
    Entry,
    /// It has more than [`KEYTAB_BYTES_MAX`] bytes or [`KEYTAB_ENTRIES_MAX`] entries.
    Limit,
}

impl fmt::Display for KeytabFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            KeytabFault::NotKeytab => "not a keytab of version 0x0502",
            KeytabFault::Short => "keytab cut short",
            KeytabFault::Entry => "broken keytab entry",
            KeytabFault::Limit => "keytab too large",
        })
    }
}

/// The keys of a keytab file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Keytab {
    /// Its keys of known encryption types, in the file's order.
    pub entries: Vec<KeytabEntry>,
    /// Entries passed over because their encryption type is not known.
    pub unknown: usize,
    /// Why it was not read to its end; what came before is there.
    pub fault: Option<KeytabFault>,
}

impl Keytab {
    /// Reads a keytab file's bytes.
    pub fn parse(bytes: &[u8]) -> Keytab {
        let mut keytab = Keytab::default();
        keytab.fault = keytab.read(bytes).err();
        keytab
    }

    /// Keys that may open a ticket, the likely ones first: of its encryption type, with its key version before others.
    pub fn candidates(&self, enctype: i32, kvno: Option<u32>) -> impl Iterator<Item = &KeytabEntry> {
        let same = move |e: &&KeytabEntry| kvno.is_none_or(|k| k == e.kvno);
        let fits = move |e: &&KeytabEntry| e.key.enctype().number() == enctype;
        self.entries.iter().filter(fits).filter(same).chain(self.entries.iter().filter(fits).filter(move |e| !same(e)))
    }

    fn read(&mut self, bytes: &[u8]) -> Result<(), KeytabFault> {
        if bytes.len() > KEYTAB_BYTES_MAX {
            return Err(KeytabFault::Limit);
        }
        let mut file = Fields(bytes.strip_prefix(&[5, 2]).ok_or(KeytabFault::NotKeytab)?);
        while !file.0.is_empty() {
            let size = file.u32().ok_or(KeytabFault::Short)? as i32;
            // A negative size is that of a hole; nought ends the file.
            if size == 0 {
                break;
            }
            let entry = file.take(size.unsigned_abs() as usize).ok_or(KeytabFault::Short)?;
            if size < 0 {
                continue;
            }
            if self.entries.len() >= KEYTAB_ENTRIES_MAX {
                return Err(KeytabFault::Limit);
            }
            match read_entry(entry).ok_or(KeytabFault::Entry)? {
                Some(entry) => self.entries.push(entry),
                None => self.unknown += 1,
            }
        }
        Ok(())
    }
}

/// An entry; `Some(None)` where its encryption type is unknown.
fn read_entry(bytes: &[u8]) -> Option<Option<KeytabEntry>> {
    let mut fields = Fields(bytes);
    let components = fields.u16()?;
    let realm = fields.counted()?;
    let mut principal = String::new();
    for index in 0..components {
        if index > 0 {
            principal.push('/');
        }
        principal.push_str(&fields.counted()?);
    }
    let _name_type = fields.u32()?;
    let _timestamp = fields.u32()?;
    let mut kvno = u32::from(fields.u8()?);
    let enctype = fields.u16()?;
    let length = fields.u16()?;
    let key = fields.take(usize::from(length))?;
    // Versions above 255 stand in four more bytes; nought there means that the byte counts.
    if let Some(long) = fields.u32().filter(|&k| k != 0) {
        kvno = long;
    }
    Some(Key::new(i32::from(enctype as i16), key).map(|key| KeytabEntry { realm, principal, kvno, key }))
}

/// Big-endian fields, in order.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn counted(&mut self) -> Option<String> {
        let length = self.u16()?;
        Some(String::from_utf8_lossy(self.take(usize::from(length))?).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kvno: u8, enctype: u16, key: &[u8], long: Option<u32>) -> Vec<u8> {
        let counted = |b: &mut Vec<u8>, text: &[u8]| {
            b.extend((text.len() as u16).to_be_bytes());
            b.extend(text);
        };
        let mut body = vec![0, 2];
        for text in [&b"CORP.LAN"[..], b"cifs", b"server.corp.lan"] {
            counted(&mut body, text);
        }
        body.extend([0, 0, 0, 1, 0x65, 0, 0, 0, kvno]);
        body.extend(enctype.to_be_bytes());
        counted(&mut body, key);
        if let Some(long) = long {
            body.extend(long.to_be_bytes());
        }
        let mut whole = (body.len() as u32).to_be_bytes().to_vec();
        whole.extend(body);
        whole
    }

    fn file() -> Vec<u8> {
        let mut bytes = vec![5, 2];
        bytes.extend(entry(3, 18, &[1; 32], Some(3)));
        bytes.extend((-6i32).to_be_bytes());
        bytes.extend([0xEE; 6]);
        bytes.extend(entry(0, 23, &[2; 16], Some(256)));
        bytes.extend(entry(4, 18, &[3; 32], None));
        bytes.extend(entry(4, 3, &[4; 8], None));
        bytes
    }

    #[test]
    fn reads_names_versions_and_keys() {
        let keytab = Keytab::parse(&file());
        assert_eq!((keytab.entries.len(), keytab.unknown, keytab.fault), (3, 1, None));
        assert_eq!(keytab.entries[0].principal, "cifs/server.corp.lan");
        assert_eq!(keytab.entries[0].realm, "CORP.LAN");
        assert_eq!(keytab.entries.iter().map(|e| e.kvno).collect::<Vec<_>>(), [3, 256, 4]);
        let order: Vec<_> = keytab.candidates(18, Some(4)).map(|e| e.kvno).collect();
        assert_eq!(order, [4, 3]);
        assert_eq!(keytab.candidates(17, None).count(), 0);
        assert!(!format!("{keytab:?}").contains("1, 1, 1"));
    }

    #[test]
    fn what_came_before_a_damage_is_kept() {
        let whole = file();
        for end in 0..whole.len() {
            let keytab = Keytab::parse(&whole[..end]);
            assert!(keytab.entries.len() <= 3);
            assert_eq!(keytab.entries, Keytab::parse(&whole).entries[..keytab.entries.len()]);
        }
        assert_eq!(Keytab::parse(b"\x05\x01").fault, Some(KeytabFault::NotKeytab));
        let mut wrong = file();
        wrong[7] = 200; // components
        assert_eq!(Keytab::parse(&wrong).fault, Some(KeytabFault::Entry));
        let mut many = vec![5, 2];
        for _ in 0..=KEYTAB_ENTRIES_MAX {
            many.extend(entry(1, 17, &[0; 16], None));
        }
        let many = Keytab::parse(&many);
        assert_eq!((many.entries.len(), many.fault), (KEYTAB_ENTRIES_MAX, Some(KeytabFault::Limit)));
    }

    proptest::proptest! {
        #[test]
        fn takes_any_bytes(mut bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300), at in 0usize..200, byte: u8) {
            bytes.splice(0..0, [5, 2]);
            let _ = Keytab::parse(&bytes);
            let mut damaged = file();
            let at = at % damaged.len();
            damaged[at] = byte;
            let _ = Keytab::parse(&damaged);
        }
    }
}
