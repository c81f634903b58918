//! Opening, closing, deleting and renaming ([MS-CIFS] 2.2.4.1 to .10, .15 to .18, .41, .64; [MS-SMB] 2.2.4.1, .9).

use super::asked::{Asked, Asking, OpenAsked, Target};
use super::fields::Fields;
use super::header::{Block, Header};
use super::names;
use super::state::{Open, State};
use super::status::failed;
use super::tell::Tell;
use crate::smb::event::{OpenId, Opened, SizeFrom, TreeKind, What};

/// OPEN.
pub(super) const OPEN: u8 = 0x02;
/// CREATE.
pub(super) const CREATE: u8 = 0x03;
/// CREATE_TEMPORARY.
pub(super) const CREATE_TEMPORARY: u8 = 0x0E;
/// OPEN_ANDX.
pub(super) const OPEN_AND_X: u8 = 0x2D;
/// NT_CREATE_ANDX.
pub(super) const NT_CREATE: u8 = 0xA2;

/// CreateOptions: FILE_DELETE_ON_CLOSE.
const DELETE_ON_CLOSE: u32 = 0x1000;
/// File attributes: a directory, in either form of them.
const DIRECTORY: u32 = 0x10;
/// From 1601 to 1970, in units of 100 ns.
const EPOCH_100NS: u64 = 116_444_736_000_000_000;

/// What the answer to an open says.
#[derive(Clone, Debug, Default)]
pub(super) struct OpenAnswer {
    /// File id.
    pub(super) fid: u16,
    /// CreateAction.
    pub(super) action: Option<u32>,
    /// End of file.
    pub(super) size: Option<u64>,
    /// Attributes.
    pub(super) attributes: Option<u32>,
    /// Creation, last access, last write, change.
    pub(super) times: [u64; 4],
    /// It is a directory.
    pub(super) directory: bool,
    /// ResourceType ([MS-CIFS] 2.2.4.64.2): 1 and 2 are pipes.
    pub(super) resource: u16,
    /// The name, where the server chose it.
    pub(super) name: Option<String>,
}

/// A DOS access mode as the access mask it stands for ([MS-CIFS] 2.2.4.3.1): generic read, write, both, execute.
pub(super) fn access_of(mode: u16) -> u32 {
    match mode & 7 {
        0 => 0x0012_0089,
        1 => 0x0012_0116,
        2 => 0x0012_019F,
        _ => 0x0012_00A9,
    }
}

/// An open mode as CreateDisposition ([MS-CIFS] 2.2.4.41.1).
pub(super) fn disposition_of(mode: u16) -> u32 {
    match (mode & 3, mode & 0x10 != 0) {
        (0, _) => 2,
        (1, false) => 1,
        (1, true) => 3,
        (_, false) => 4,
        (_, true) => 5,
    }
}

/// Seconds since 1970 as FILETIME; 0 and -1 mean that no time is told ([MS-CIFS] 2.2.1.4.3).
pub(super) fn filetime(seconds: u32) -> u64 {
    if seconds == 0 || seconds == u32::MAX { 0 } else { u64::from(seconds) * 10_000_000 + EPOCH_100NS }
}

/// OpenResults and ActionTaken as CreateAction: 1 opened, 2 created, 3 truncated have the same numbers.
fn action_of(results: Option<u16>) -> Option<u32> {
    results.map(|r| u32::from(r & 3)).filter(|r| *r != 0)
}

/// The name of an open relative to another one ([MS-CIFS] 2.2.4.64.1, RootDirectoryFID).
pub(super) fn under_root(state: &State, root: Option<u32>, path: String) -> String {
    let fid = root.and_then(|r| u16::try_from(r).ok()).filter(|f| *f != 0);
    let folder = fid.and_then(|f| state.opens.get(state.fids.get(&f)?)?.file.name.as_deref());
    match folder {
        Some(folder) if !folder.is_empty() => format!("{folder}\\{}", names::relative(&path)),
        _ => path,
    }
}

/// Reads an open request.
pub(super) fn open_request(state: &mut State, tell: &mut Tell<'_>, asking: &mut Asking, block: &Block<'_>) -> Asked {
    let w = block.words;
    let mut strings = block.strings();
    let asked = match block.command {
        NT_CREATE => {
            let path = strings.take(w.place16(5).unwrap_or(0));
            let path = under_root(state, w.u32(11), path);
            OpenAsked { path, access: w.u32(15), disposition: w.u32(35), options: w.u32(39), open: None }
        }
        OPEN_AND_X => {
            let (access, disposition) = (w.u16(6).map(access_of), w.u16(16).map(disposition_of));
            OpenAsked { path: strings.next(), access, disposition, ..OpenAsked::default() }
        }
        OPEN => {
            strings.skip_format(4);
            let access = w.u16(0).map(access_of);
            OpenAsked { path: strings.next(), access, disposition: Some(1), ..OpenAsked::default() }
        }
        _ => {
            strings.skip_format(4);
            let disposition = Some(if block.command == CREATE { 5 } else { 2 });
            OpenAsked { path: strings.next(), access: Some(access_of(2)), disposition, ..OpenAsked::default() }
        }
    };
    let mut asked = asked;
    if block.has_next() {
        asked.open = Some(begin(state, tell, asking, &asked));
        asking.chained = asked.open;
    }
    Asked::Open(asked)
}

/// Numbers and tells an open before its answer: the message goes on with commands that use it.
pub(super) fn begin(state: &mut State, tell: &mut Tell<'_>, asking: &Asking, asked: &OpenAsked) -> OpenId {
    let id = tell.ids.open();
    let (name, stream) = names::split(&asked.path);
    let file = Opened {
        name: Some(name),
        stream,
        access: asked.access,
        disposition: asked.disposition,
        options: asked.options,
        ..Opened::default()
    };
    tell.say(&What::Opened { open: id, file: file.clone() });
    let (tid, pid) = (asking.header.tid, asking.header.pid);
    let pipe = state.tree_kind(tid) == TreeKind::Pipe;
    let session = tell.context.session;
    state.keep_open(tell, id, Open { fid: None, tid, pid, session, pipe, closing: false, file });
    id
}

/// Reads the answer to a command of the open family; `None` where it tells no file id.
fn read_answer(block: &Block<'_>) -> Option<OpenAnswer> {
    let w = block.words;
    let none = OpenAnswer::default();
    Some(match block.command {
        NT_CREATE => {
            let time = |i: usize| w.u64(11 + i * 8).unwrap_or(0);
            OpenAnswer {
                fid: w.u16(5)?,
                action: w.u32(7),
                size: Some(w.u64(55)?),
                attributes: w.u32(43),
                times: [time(0), time(1), time(2), time(3)],
                directory: w.u8(67) == Some(1),
                resource: w.u16(63).unwrap_or(0),
                name: None,
            }
        }
        OPEN_AND_X => OpenAnswer {
            fid: w.u16(4)?,
            action: action_of(w.u16(22)),
            size: w.u32(12).map(u64::from),
            attributes: w.u16(6).map(u32::from),
            times: [0, 0, w.u32(8).map_or(0, filetime), 0],
            resource: w.u16(18).unwrap_or(0),
            ..none
        },
        OPEN => OpenAnswer {
            fid: w.u16(0)?,
            action: Some(1),
            size: w.u32(8).map(u64::from),
            attributes: w.u16(2).map(u32::from),
            times: [0, 0, w.u32(4).map_or(0, filetime), 0],
            ..none
        },
        CREATE_TEMPORARY => {
            let mut strings = block.strings();
            strings.skip_format(4);
            let name = strings.next_oem();
            OpenAnswer { fid: w.u16(0)?, action: Some(2), size: Some(0), name: Some(name).filter(|n| !n.is_empty()), ..none }
        }
        // CREATE makes a file or empties one, without saying which.
        CREATE => OpenAnswer { fid: w.u16(0)?, action: Some(3), size: Some(0), ..none },
        _ => OpenAnswer { fid: w.u16(0)?, action: Some(2), size: Some(0), ..none },
    })
}

/// Tells what the answer to an open says. `asked`: `None` if the request was not seen.
pub(super) fn open_answer(
    state: &mut State,
    tell: &mut Tell<'_>,
    header: &Header,
    block: &Block<'_>,
    status: u32,
    asked: Option<&OpenAsked>,
) {
    let answer = if failed(status) { None } else { read_answer(block) };
    answered(state, tell, header, status, asked, answer);
}

/// Tells an answered open.
pub(super) fn answered(
    state: &mut State,
    tell: &mut Tell<'_>,
    header: &Header,
    status: u32,
    asked: Option<&OpenAsked>,
    answer: Option<OpenAnswer>,
) {
    let Some(answer) = answer else {
        if let Some(asked) = asked.filter(|_| failed(status)) {
            tell.say(&What::OpenFailed { name: names::relative(&asked.path).to_owned(), status });
        }
        if let Some(open) = asked.and_then(|a| a.open).filter(|o| state.drop_open(*o).is_some()) {
            tell.say(&What::Closed { open, status: Some(status), by_close: false });
        }
        return;
    };
    let path = match (asked, &answer.name) {
        (Some(a), Some(name)) if !names::relative(&a.path).is_empty() => {
            Some(format!("{}\\{}", a.path.trim_end_matches('\\'), name))
        }
        (_, Some(name)) => Some(name.clone()),
        (asked, None) => asked.map(|a| a.path.clone()),
    };
    let (name, stream) = path.map_or((None, None), |p| {
        let (name, stream) = names::split(&p);
        (Some(name), stream)
    });
    let id = asked.and_then(|a| a.open).unwrap_or_else(|| tell.ids.open());
    let file = Opened {
        name,
        stream,
        file_id: answer.fid.to_le_bytes().to_vec(),
        create_action: answer.action,
        access: asked.and_then(|a| a.access),
        disposition: asked.and_then(|a| a.disposition),
        options: asked.and_then(|a| a.options),
        size: answer.size,
        attributes: answer.attributes,
        times: answer.times,
        directory: answer.directory || answer.attributes.is_some_and(|a| a & DIRECTORY != 0),
        answered: true,
    };
    let pipe = state.tree_kind(header.tid) == TreeKind::Pipe || matches!(answer.resource, 1 | 2);
    let (tid, pid, session) = (header.tid, header.pid, tell.context.session);
    let closing = state.opens.get(&id).is_some_and(|o| o.closing);
    let open = Open { fid: Some(answer.fid), tid, pid, session, pipe, closing, file: file.clone() };
    if let Some(old) = state.fids.get(&answer.fid).copied().filter(|old| *old != id) {
        state.give_up(tell, old);
    }
    tell.say(&What::Opened { open: id, file });
    // When it was asked for.
    tell.command(names::command(header.command), status);
    state.keep_open(tell, id, open);
}

/// Reads a CLOSE or CLOSE_AND_TREE_DISC.
pub(super) fn close_request(state: &mut State, tell: &mut Tell<'_>, asking: &Asking, block: &Block<'_>, tree: bool) -> Asked {
    let fid = block.words.u16(0);
    let open = super::content::open_named(state, tell, asking, fid);
    if let Some(open) = open.and_then(|id| state.opens.get_mut(&id)) {
        open.closing = true;
    }
    Asked::Close { open, tree }
}

/// Tells an answered close; a file that was opened to be deleted on close is gone then.
pub(super) fn close_answer(state: &mut State, tell: &mut Tell<'_>, status: u32, open: Option<OpenId>) {
    let Some(id) = open else { return };
    let Some(open) = state.drop_open(id) else { return };
    if !failed(status) && open.file.options.is_some_and(|o| o & DELETE_ON_CLOSE != 0) {
        tell.say(&What::Deleted { open: Some(id), name: open.file.name });
    }
    tell.say(&What::Closed { open: id, status: Some(status), by_close: true });
}

/// Reads a DELETE or DELETE_DIRECTORY.
pub(super) fn delete_request(block: &Block<'_>) -> Asked {
    let mut strings = block.strings();
    strings.skip_format(4);
    Asked::Delete { name: names::relative(&strings.next()).to_owned() }
}

/// Reads a RENAME or NT_RENAME. NT_RENAME that makes a link renames nothing ([MS-CIFS] 2.2.4.66.1).
pub(super) fn rename_request(block: &Block<'_>) -> Asked {
    if block.command == 0xA5 && block.words.u16(2) != Some(0x0104) {
        return Asked::Other { name: names::command(block.command) };
    }
    let mut strings = block.strings();
    strings.skip_format(4);
    let from = strings.next();
    strings.skip_format(4);
    let to = names::relative(&strings.next()).to_owned();
    Asked::Rename { from, to }
}

/// Tells that what a target stands for has a new name. Returns whether there was an open to tell it of.
pub(super) fn renamed(state: &mut State, tell: &mut Tell<'_>, target: &Target, tid: u16, to: &str) -> bool {
    let opens = state.opens_of(target, tid);
    for open in &opens {
        tell.say(&What::Renamed { open: *open, to: to.to_owned() });
        if let Some(known) = state.opens.get_mut(open) {
            known.file.name = Some(to.to_owned());
        }
    }
    !opens.is_empty()
}

/// Reads QUERY_INFORMATION2 (by file id) and QUERY_INFORMATION (by name).
pub(super) fn query_request(state: &mut State, tell: &mut Tell<'_>, asking: &Asking, block: &Block<'_>) -> Asked {
    if block.command == 0x23 {
        let open = super::content::open_named(state, tell, asking, block.words.u16(0));
        return Asked::Query(Target::Open(open));
    }
    let mut strings = block.strings();
    strings.skip_format(4);
    Asked::Query(Target::Name(strings.next()))
}

/// Tells the size in an answer to either.
pub(super) fn query_answer(state: &State, tell: &mut Tell<'_>, tid: u16, block: &Block<'_>, status: u32, target: &Target) {
    let w: Fields<'_> = block.words;
    let at = if block.command == 0x23 { 12 } else { 6 };
    match w.u32(at).filter(|_| !failed(status)) {
        Some(size) => sizes(state, tell, target, tid, u64::from(size), SizeFrom::Query),
        None => tell.command(names::command(block.command), status),
    }
}

/// Tells a size of all opens that a target stands for.
pub(super) fn sizes(state: &State, tell: &mut Tell<'_>, target: &Target, tid: u16, size: u64, from: SizeFrom) {
    for open in state.opens_of(target, tid) {
        if !state.is_pipe(open) {
            tell.say(&What::Size { open, size, from });
        }
    }
}
