//! `--hash`, of `objects` and `events`.

use crate::objects::hashing::Hashes;

/// The option.
#[derive(clap::Args)]
pub(super) struct HashArgs {
    /// Further hashes of the contents, separated by commas
    #[arg(long, value_name = "md5,sha1", value_delimiter = ',', help_heading = "Output")]
    hash: Vec<HashName>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum HashName {
    Md5,
    Sha1,
}

impl HashArgs {
    /// Whether any was asked for.
    pub(super) fn is_any(&self) -> bool {
        !self.hash.is_empty()
    }

    /// What is computed besides SHA-256.
    pub(super) fn hashes(&self) -> Hashes {
        Hashes { md5: self.hash.contains(&HashName::Md5), sha1: self.hash.contains(&HashName::Sha1) }
    }
}
