//! SMB_COM_NT_TRANSACT: create, device control, rename ([MS-CIFS] 2.2.7, [MS-SMB] 2.2.7).

use super::asked::{Asking, OpenAsked, Target, Transacted, TransactionAsked};
use super::content::open_named;
use super::fields::Fields;
use super::limits::CHUNKS_MAX;
use super::names;
use super::open::{OpenAnswer, under_root};
use super::state::State;
use super::tell::Tell;
use super::text::Strings;

/// FSCTL_SET_ZERO_DATA ([MS-FSCC] 2.3.67).
const SET_ZERO_DATA: u32 = 0x0009_80C8;
/// FSCTL_SRV_REQUEST_RESUME_KEY ([MS-SMB] 2.2.7.2).
const REQUEST_RESUME_KEY: u32 = 0x0014_0078;
/// FSCTL_SRV_COPYCHUNK ([MS-SMB] 2.2.7.2.1).
const COPY_CHUNK: u32 = 0x0014_40F2;

/// Reads a request.
pub(super) fn request(state: &mut State, tell: &mut Tell<'_>, asking: &Asking, asked: &TransactionAsked) -> Transacted {
    let parameters = asked.request.parameters.first_part();
    let p = Fields(parameters);
    match asked.request.function {
        1 => {
            let mut strings = Strings::new(parameters, 53, parameters.len(), asking.header.unicode);
            let path = strings.take(p.place32(44).unwrap_or(0));
            Transacted::Open(OpenAsked {
                path: under_root(state, p.u32(4), path),
                access: p.u32(8),
                disposition: p.u32(28),
                options: p.u32(32),
                open: None,
            })
        }
        2 => control(state, tell, asking, asked),
        5 => {
            let target = Target::Open(open_named(state, tell, asking, p.u16(0)));
            let name = Strings::new(parameters, 4, parameters.len(), asking.header.unicode).next();
            Transacted::Rename { target, to: names::relative(&name).to_owned() }
        }
        _ => Transacted::Other,
    }
}

/// Reads a device control request.
fn control(state: &mut State, tell: &mut Tell<'_>, asking: &Asking, asked: &TransactionAsked) -> Transacted {
    let setup = Fields(&asked.request.setup);
    let d = Fields(asked.request.data.first_part());
    let Some(fsctl) = setup.u32(0).filter(|f| [SET_ZERO_DATA, REQUEST_RESUME_KEY, COPY_CHUNK].contains(f)) else {
        return Transacted::Other;
    };
    let Some(open) = open_named(state, tell, asking, setup.u16(4)) else { return Transacted::Other };
    match fsctl {
        SET_ZERO_DATA => match (d.u64(0), d.u64(8)) {
            (Some(from), Some(to)) if from < to => Transacted::ServerCopy { open, fsctl, ranges: vec![(None, from, to - from)] },
            _ => Transacted::Other,
        },
        REQUEST_RESUME_KEY => Transacted::ResumeKey(open),
        _ => {
            let source = d.slice(0, 24).and_then(|key| state.resume_key(key));
            let count = d.place32(24).unwrap_or(0).min(CHUNKS_MAX);
            let range = |i: usize| {
                let at = 32 + i * 24;
                Some((source, d.u64(at + 8)?, u64::from(d.u32(at + 16)?)))
            };
            Transacted::ServerCopy { open, fsctl, ranges: (0..count).map_while(range).collect() }
        }
    }
}

/// Reads the answer to a create ([MS-CIFS] 2.2.7.1.2).
pub(super) fn create_answer(parameters: &[u8]) -> Option<OpenAnswer> {
    let p = Fields(parameters);
    let time = |i: usize| p.u64(12 + i * 8).unwrap_or(0);
    Some(OpenAnswer {
        fid: p.u16(2)?,
        action: p.u32(4),
        size: Some(p.u64(56)?),
        attributes: p.u32(44),
        times: [time(0), time(1), time(2), time(3)],
        directory: p.u8(68) == Some(1),
        resource: p.u16(64).unwrap_or(0),
        name: None,
    })
}
