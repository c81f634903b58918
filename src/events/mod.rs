//! Things told, as Zeek names them: one struct an event, its JSON, and what pairs requests and answers into rows.
//!
//! Promises: a row's Zeek columns have Zeek's names, types and meaning (Zeek 6 and 7: scripts/base/protocols and frameworks/files); what is unset is
//! left out; columns of our own are only added, and said to be so. `ts` is a number of seconds since 1970, right to the microsecond, beside
//! `ts_ns`, right to the nanosecond. Parsers of DNS and DHCP are total; what waits for an answer is bounded, and what a bound drops is told
//! as an unanswered row, never lost silently.

pub mod text;

pub mod head;

pub mod conn;

pub mod dce_rpc;

pub mod dhcp;

pub mod dhcp_message;

pub mod dhcp_pairing;

pub mod dir_list;

pub mod dns;

pub mod dns_message;

pub mod dns_pairing;

pub mod dns_stream;

pub mod dns_words;

pub mod files;

pub mod kerberos;

pub mod kerberos_pairing;

pub mod kerberos_words;

pub mod names;

pub mod ntlm;

pub mod pipe_stream;

pub mod scheduled_task;

pub mod server_copy;

pub mod service;

pub mod smb_files;

pub mod smb_mapping;

pub mod smb_sealed;

pub mod weird;

pub mod event;

pub mod event_types;

pub use event::Event;
pub use event_types::EventTypes;
pub use head::Head;
pub use names::HostNames;

#[cfg(test)]
mod corpus;

#[cfg(test)]
mod corpus_tests;
