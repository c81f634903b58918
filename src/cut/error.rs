//! Why a cut cannot be made.

use crate::ring::data::DataError;
use crate::ring::snapshot::RingError;
use crate::select::FilterError;
use std::io;

/// Why a cut cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum CutError {
    /// No such interface.
    #[error("there is no interface {:?} here; {}", name.escape_debug().to_string(), known_text(known))]
    UnknownInterface {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The filter cannot be used.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// Classic pcap has one link type.
    #[error("the packets have several link types ({0}), which a pcap file cannot hold: use --format pcapng")]
    MixedLinkTypes(String),
    /// Classic pcap ends in 2106.
    #[error("some of the packets may be later than 2106-02-07T06:28:15Z, which a pcap file cannot say: use --format pcapng")]
    TooLate,
    /// The data folder.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A ring.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// The output.
    #[error("the cut cannot be written")]
    Write(#[source] io::Error),
}

fn known_text(known: &[String]) -> String {
    if known.is_empty() {
        return "nothing was imported or recorded yet".into();
    }
    let names: Vec<String> = known.iter().map(|n| n.escape_debug().to_string()).collect();
    format!("there are {}", names.join(", "))
}

impl CutError {
    /// Whether the request is at fault.
    pub fn is_request(&self) -> bool {
        matches!(
            self,
            CutError::UnknownInterface { .. }
                | CutError::Filter(_)
                | CutError::MixedLinkTypes(_)
                | CutError::TooLate
                | CutError::Data(DataError::Missing(_) | DataError::NotData(_))
        )
    }
}
