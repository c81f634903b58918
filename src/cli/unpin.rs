//! `taploop unpin`.

use super::output::{Failure, counted, print_line, size};
use crate::ring::data::DataDir;
use crate::ring::pinning::unpin;
use std::path::PathBuf;

/// The command's arguments.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The data folder
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Pins, by the ids that `taploop pins` lists
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
}

/// Runs the command.
pub(super) fn run(args: &Args) -> Result<u8, Failure> {
    let data = DataDir::open(&args.data)?;
    for id in &args.ids {
        let freed = unpin(&data, id).map_err(|e| Failure::of(&e, e.is_request()))?;
        let freed = format!("{} ({})", counted(freed.segments, "kept segment"), size(freed.bytes));
        print_line(&format!("pin {id} is removed, and {freed} with it"));
    }
    Ok(0)
}
