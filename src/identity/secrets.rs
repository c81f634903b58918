//! The secrets that a user gives with `--keys FILE`: session keys, passwords, NT hashes and keytabs, one a line.

use super::ntlm_keys::NtSecret;
use std::fmt;
use std::path::{Path, PathBuf};

/// Bytes of a key file that are read: a file that is longer is not one, but perhaps a capture given by mistake.
pub const KEY_FILE_BYTES_MAX: u64 = 16 << 20;

/// The keys of one SMB3 session, as a line of Wireshark's `smb2_seskey_list` gives them.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionSecret {
    /// SessionId as the little-endian number in the SMB2 header; the line has its bytes as on the wire.
    pub session: u64,
    /// The session key of the authentication (16 bytes, or up to 32 of Kerberos).
    pub session_key: Option<Vec<u8>>,
    /// Opens what the server sends: the third field. Goes before what is derived from the session key. tshark takes a line with both keys
    /// exchanged too, so that what is called unchanged may have them so.
    pub to_client: Option<Vec<u8>>,
    /// Opens what the client sends: the fourth field. Goes before what is derived from the session key.
    pub to_server: Option<Vec<u8>>,
}

impl fmt::Debug for SessionSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionSecret {{ session: {:#018x}, .. }}", self.session)
    }
}

/// A password or NT hash.
#[derive(Clone, PartialEq, Eq)]
enum Credential {
    Password(String),
    Hash([u8; 16]),
}

/// A password or NT hash of one account, or of all that match. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct AccountSecret {
    /// The domain; `None` for any.
    pub domain: Option<String>,
    /// The user; `None` for any.
    pub user: Option<String>,
    credential: Credential,
}

impl AccountSecret {
    /// What opens the account's NTLM authentications.
    pub fn secret(&self) -> NtSecret<'_> {
        match &self.credential {
            Credential::Password(password) => NtSecret::Password(password),
            Credential::Hash(hash) => NtSecret::Hash(*hash),
        }
    }

    fn fits(&self, domain: &str, user: &str) -> bool {
        let same = |wanted: &Option<String>, name: &str| wanted.as_ref().is_none_or(|w| w.to_lowercase() == name.to_lowercase());
        same(&self.domain, domain) && same(&self.user, user)
    }
}

impl fmt::Debug for AccountSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountSecret {{ domain: {:?}, user: {:?}, secret: {:?} }}", self.domain, self.user, self.secret())
    }
}

/// All secrets of a key file.
///
/// Lines, each with blanks before it ignored; blank lines and those that begin with `#` say nothing:
///
/// - `SESSIONID,SESSIONKEY,"",""` or `SESSIONID,"",S2CKEY,C2SKEY`: Wireshark's `smb2_seskey_list`, in hex, with or without quotes, and with or
///   without `uat:smb2_seskey_list:` before it;
/// - `password:DOMAIN\user:PASSWORD`: all after the second colon is the password, blanks and colons too. `user` alone is of any domain, `*` any
///   user. Names match whatever their case;
/// - `nthash:DOMAIN\user:HASH`: 32 hex digits;
/// - `keytab:PATH`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Secrets {
    /// Keys of sessions, in the file's order.
    pub sessions: Vec<SessionSecret>,
    /// Passwords and hashes, in the file's order.
    pub accounts: Vec<AccountSecret>,
    /// Keytab files to read.
    pub keytabs: Vec<PathBuf>,
}

/// What is wrong with a line. It never holds a secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Fault {
    /// The line is of no known kind.
    #[error("expected a session key line, password:, nthash: or keytab:")]
    Unknown,
    /// A byte sequence that is not UTF-8.
    #[error("not UTF-8 text")]
    Encoding,
    /// A field that is not of pairs of hex digits.
    #[error("{0}: not hexadecimal")]
    Hex(&'static str),
    /// A field of the wrong length.
    #[error("{field}: {bytes} bytes instead of {wanted}")]
    Length {
        /// The field.
        field: &'static str,
        /// What was given.
        bytes: usize,
        /// What it may have.
        wanted: &'static str,
    },
    /// A session without any key.
    #[error("no key: expected sessionid,sessionkey or sessionid,\"\",s2ckey,c2skey")]
    NoKey,
    /// More than four fields.
    #[error("more than four fields")]
    Fields,
    /// No colon after the account.
    #[error("expected ACCOUNT:SECRET")]
    NoSecret,
    /// No account, or a half of it is empty.
    #[error("empty account name (write * for any)")]
    NoAccount,
    /// No path.
    #[error("empty path")]
    NoPath,
}

/// Why a key file was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// A line is wrong.
    #[error("line {line}: {fault}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What is wrong.
        fault: Fault,
    },
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is longer than [`KEY_FILE_BYTES_MAX`].
    #[error("{} is longer than {KEY_FILE_BYTES_MAX} bytes", path.display())]
    Long {
        /// The file.
        path: PathBuf,
    },
}

impl Secrets {
    /// Reads a key file.
    pub fn read(path: &Path) -> Result<Secrets, SecretsError> {
        use std::io::Read;
        let failed = |source| SecretsError::Read { path: path.to_owned(), source };
        let mut text = Vec::new();
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(KEY_FILE_BYTES_MAX + 1).read_to_end(&mut text).map_err(failed)?;
        if text.len() as u64 > KEY_FILE_BYTES_MAX {
            return Err(SecretsError::Long { path: path.to_owned() });
        }
        Secrets::parse(&text)
    }

    /// Reads the text of a key file.
    pub fn parse(text: &[u8]) -> Result<Secrets, SecretsError> {
        let mut secrets = Secrets::default();
        let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
        for (index, line) in text.split(|&b| b == b'\n').enumerate() {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let taken = std::str::from_utf8(line).map_err(|_| Fault::Encoding).and_then(|line| secrets.line(line.trim_start()));
            taken.map_err(|fault| SecretsError::Line { line: index + 1, fault })?;
        }
        Ok(secrets)
    }

    /// The keys given for a session; the last line goes.
    pub fn session(&self, session: u64) -> Option<&SessionSecret> {
        self.sessions.iter().rev().find(|s| s.session == session)
    }

    /// The secrets that may be of an account, exact ones first.
    pub fn account<'a>(&'a self, domain: &'a str, user: &'a str) -> impl Iterator<Item = &'a AccountSecret> {
        let exact = |s: &&AccountSecret| s.domain.is_some() && s.user.is_some();
        let fits = move |s: &&AccountSecret| s.fits(domain, user);
        self.accounts.iter().filter(fits).filter(exact).chain(self.accounts.iter().filter(fits).filter(move |s| !exact(s)))
    }

    fn line(&mut self, line: &str) -> Result<(), Fault> {
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        if let Some(rest) = line.strip_prefix("password:") {
            let (domain, user, password) = account(rest)?;
            self.accounts.push(AccountSecret { domain, user, credential: Credential::Password(password.to_owned()) });
        } else if let Some(rest) = line.strip_prefix("nthash:") {
            let (domain, user, hash) = account(rest)?;
            let bytes = hex(hash.trim_end(), "NT hash")?;
            let hash = <[u8; 16]>::try_from(bytes.as_slice()).map_err(|_| Fault::Length {
                field: "NT hash",
                bytes: bytes.len(),
                wanted: "16",
            })?;
            self.accounts.push(AccountSecret { domain, user, credential: Credential::Hash(hash) });
        } else if let Some(path) = line.strip_prefix("keytab:") {
            let path = path.trim();
            if path.is_empty() {
                return Err(Fault::NoPath);
            }
            self.keytabs.push(PathBuf::from(path));
        } else {
            self.sessions.push(session(line.strip_prefix("uat:smb2_seskey_list:").unwrap_or(line).trim_end())?);
        }
        Ok(())
    }
}

/// Domain, user and what follows them.
fn account(rest: &str) -> Result<(Option<String>, Option<String>, &str), Fault> {
    let (account, secret) = rest.split_once(':').ok_or(Fault::NoSecret)?;
    let (domain, user) = account.split_once('\\').unwrap_or(("*", account));
    let name = |name: &str| match name.trim() {
        "" => Err(Fault::NoAccount),
        "*" => Ok(None),
        name => Ok(Some(name.to_owned())),
    };
    // A local account's domain may be empty on the wire: `\user`.
    let domain = if domain.is_empty() { Some(String::new()) } else { name(domain)? };
    Ok((domain, name(user)?, secret))
}

/// A line of Wireshark's `smb2_seskey_list`.
fn session(line: &str) -> Result<SessionSecret, Fault> {
    if !line.contains(',') {
        return Err(Fault::Unknown);
    }
    let mut fields = line.split(',').map(|field| {
        let field = field.trim();
        field.strip_prefix('"').and_then(|f| f.strip_suffix('"')).unwrap_or(field)
    });
    let mut next = |name: &'static str| hex(fields.next().unwrap_or(""), name);
    let id = next("session id")?;
    let session_key = next("session key")?;
    let to_client = next("server-to-client key")?;
    let to_server = next("client-to-server key")?;
    if fields.next().is_some() {
        return Err(Fault::Fields);
    }
    // Wireshark fills shorter ids with zeros.
    if id.is_empty() || id.len() > 8 {
        return Err(Fault::Length { field: "session id", bytes: id.len(), wanted: "1 to 8" });
    }
    let session = id.iter().rev().fold(0u64, |sum, &byte| sum << 8 | u64::from(byte));
    if session_key.len() > 32 {
        return Err(Fault::Length { field: "session key", bytes: session_key.len(), wanted: "1 to 32" });
    }
    for (field, key) in [("server-to-client key", &to_client), ("client-to-server key", &to_server)] {
        if !matches!(key.len(), 0 | 16 | 32) {
            return Err(Fault::Length { field, bytes: key.len(), wanted: "16 or 32" });
        }
    }
    let some = |key: Vec<u8>| (!key.is_empty()).then_some(key);
    let secret =
        SessionSecret { session, session_key: some(session_key), to_client: some(to_client), to_server: some(to_server) };
    if secret.session_key.is_none() && secret.to_client.is_none() && secret.to_server.is_none() {
        return Err(Fault::NoKey);
    }
    Ok(secret)
}

fn hex(text: &str, field: &'static str) -> Result<Vec<u8>, Fault> {
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
    text.as_bytes()
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect::<Option<Vec<u8>>>()
        .ok_or(Fault::Hex(field))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(line: &str) -> (usize, String) {
        let error = Secrets::parse(line.as_bytes()).unwrap_err();
        match error {
            SecretsError::Line { line, fault } => (line, fault.to_string()),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn takes_wireshark_lines_unchanged() {
        let text = "# a list\n\n1900009c003c0000,9a9ea16a0cdbeb6064772318073f172f,\"\",\"\"\r\n\
            uat:smb2_seskey_list:0200000000000000,\"\",\"000102030405060708090a0b0c0d0e0f\",101112131415161718191A1B1C1D1E1F\n  3d00,AA\n";
        let secrets = Secrets::parse(text.as_bytes()).unwrap();
        let first = secrets.session(0x0000_3c00_9c00_0019).unwrap();
        assert_eq!(first.session_key.as_ref().unwrap()[..2], [0x9a, 0x9e]);
        assert_eq!((&first.to_client, &first.to_server), (&None, &None));
        let second = secrets.session(2).unwrap();
        assert_eq!(second.session_key, None);
        assert_eq!(second.to_client.as_ref().unwrap()[15], 0x0f);
        assert_eq!(second.to_server.as_ref().unwrap()[15], 0x1f);
        assert!(secrets.session(0x3d).is_some() && secrets.session(3).is_none());
    }

    #[test]
    fn the_rest_of_a_password_line_is_the_password() {
        let text = b"password:CORP\\alice: a:b:c# \r\npassword:bob:\npassword:*:any\nnthash:CORP\\carol:a4f49c406510bdcab6824ee7c30fd852\n\
            password:\\local:x\nkeytab:/etc/krb5.keytab";
        let secrets = Secrets::parse(text).unwrap();
        let opened: Vec<_> = secrets.account("corp", "ALICE").map(|s| format!("{:02x?}", s.secret().nt_hash())).collect();
        let hash = |p| format!("{:02x?}", NtSecret::Password(p).nt_hash());
        assert_eq!(opened, [hash(" a:b:c# "), hash("any")]);
        assert_eq!(secrets.account("OTHER", "alice").count(), 1);
        assert_eq!(secrets.account("OTHER", "bob").count(), 2);
        assert_eq!(secrets.account("CORP", "local").count(), 1, "an empty domain is not any domain");
        let carol = secrets.account("CORP", "carol").next().unwrap();
        assert_eq!(carol.secret().nt_hash(), NtSecret::Password("Password").nt_hash());
        assert_eq!(secrets.keytabs, [PathBuf::from("/etc/krb5.keytab")]);
    }

    #[test]
    fn errors_name_line_and_reason_but_no_secret() {
        assert_eq!(fault("#\nsecretword"), (2, Fault::Unknown.to_string()));
        assert_eq!(fault("1900,xyzzy"), (1, "session key: not hexadecimal".into()));
        assert_eq!(fault("1900,abc"), (1, "session key: not hexadecimal".into()));
        assert_eq!(fault("1900"), (1, Fault::Unknown.to_string()));
        assert_eq!(fault("1900,\"\",\"\",\"\""), (1, Fault::NoKey.to_string()));
        assert_eq!(fault("1900,aa,,,"), (1, Fault::Fields.to_string()));
        assert_eq!(fault("190000000000000000,aa"), (1, "session id: 9 bytes instead of 1 to 8".into()));
        assert_eq!(fault("19,,abcd"), (1, "server-to-client key: 2 bytes instead of 16 or 32".into()));
        assert_eq!(fault("password:secretword"), (1, Fault::NoSecret.to_string()));
        assert_eq!(fault("\npassword::secretword"), (2, Fault::NoAccount.to_string()));
        assert_eq!(fault("nthash:a:secretword"), (1, "NT hash: not hexadecimal".into()));
        assert_eq!(fault("nthash:a:abcd"), (1, "NT hash: 2 bytes instead of 16".into()));
        assert_eq!(fault("keytab: "), (1, Fault::NoPath.to_string()));
    }

    #[test]
    fn debug_shows_no_secret() {
        let text =
            b"password:CORP\\alice:secretword\nnthash:b:a4f49c406510bdcab6824ee7c30fd852\n19,9a9ea16a0cdbeb6064772318073f172f";
        let shown = format!("{:?}", Secrets::parse(text).unwrap());
        for secret in ["secretword", "a4f4", "164, 244", "9a9e", "154, 158"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(shown.contains("alice"));
    }

    #[test]
    fn a_file_that_is_no_key_file_is_refused() {
        assert!(matches!(
            Secrets::parse(&[0xD4, 0xC3, 0xB2, 0xA1, 2, 0]),
            Err(SecretsError::Line { line: 1, fault: Fault::Encoding })
        ));
        let missing = Secrets::read(Path::new("/nonexistent/keys")).unwrap_err().to_string();
        assert_eq!(missing, "cannot read /nonexistent/keys");
    }

    proptest::proptest! {
        #[test]
        fn takes_any_bytes(text in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = Secrets::parse(&text);
        }

        #[test]
        fn takes_any_lines(text in "(password:|nthash:|keytab:|uat:smb2_seskey_list:|[0-9a-f]{4},)?[ -~\n\"]{0,60}") {
            let _ = Secrets::parse(text.as_bytes());
        }
    }
}
