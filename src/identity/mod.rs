//! Who logged on: NTLMSSP, Kerberos and SPNEGO read from tokens and messages, and the account that comes out.
//!
//! Promises: every parser is total (foreign bytes give a value and, where they were odd, the name of what was odd; never an error or a panic),
//! nothing grows without a limit that has a name, and nothing is guessed: what a message does not tell is `None`.
//! Nothing is decrypted here; what is needed for it (cipher bytes, kvno, responses, MIC) is given out as it stood on the wire.

pub mod account;

pub mod der;

pub mod kerberos;

pub mod kerberos_keys;

pub mod kerberos_session;

pub mod kerberos_stream;

pub mod keytab;

pub mod logon;

pub mod ntlm;

pub mod ntlm_keys;

pub mod ntlm_pairs;

pub mod secrets;

pub mod spnego;

pub mod ticket_hash;

pub mod tickets;

pub use account::{Account, How};
pub use kerberos::{KerberosMessage, MessageType, Principal, Ticket};
pub use kerberos_stream::KerberosStream;
pub use logon::Logon;
pub use ntlm::NtlmMessage;
pub use spnego::SecurityToken;
pub use ticket_hash::TicketHash;
pub use tickets::Tickets;
