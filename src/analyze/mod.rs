//! The one place that joins packets, streams, SMB, RPC, accounts, objects and events.
//!
//! Packets come from capture files or a ring's selection (`sources`); what is found goes to one callback as [`Told`], in the order in which
//! it was found. The same packets give the same calls. What the network did is told; only what our machine did wrong is an `Err`.

mod carried;
mod conflicts;
mod ends;
mod found;
mod inside;
mod joiner;
mod keys;
mod oddities;
pub mod packets_out;
mod pipes;
pub mod ring;
mod rpc_events;
mod seal;
mod sessions;
mod smb_events;
mod sources;
mod stretches;
mod terms;
mod tokens;

pub use joiner::Analysis;
pub use ring::analyze_ring;
pub use sources::analyze_files;
pub use terms::{AnalyzeError, Found, Options, Origins, Progress, Told, Totals};
