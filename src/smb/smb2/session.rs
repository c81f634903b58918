//! SESSION_SETUP and LOGOFF, [MS-SMB2] 2.2.5 to 2.2.8: tokens, bound channels, and the keys of a session.

use super::header::{HEADER_LEN, STATUS_MORE_PROCESSING};
use super::pending::Asked;
use super::state::{Dialect, Part, State, Tools};
use crate::flow::{PacketRef, Way};
use crate::smb::bytes::{part as bytes_at, u8_at, u16_at};
use crate::smb::crypt::{Binding, Cipher, DirectionKeys, Opener, Preauth, direction_keys};
use crate::smb::event::{Context, SessionKeys, What};
use crate::smb::shared::Keys;

/// The request binds a channel to a session.
const FLAG_BINDING: u8 = 1;
/// The answer's flags: a guest, a null session.
const FLAG_GUEST: u16 = 1;
/// Set-ups of a connection whose hashes are kept.
const SETUPS_MAX: usize = 1024;

/// A request.
pub(super) fn request(smb: &mut State, part: &Part<'_>, tools: &mut Tools<'_>) -> Asked {
    let body = &part.bytes[HEADER_LEN..];
    let binding = u8_at(body, 2).is_some_and(|flags| flags & FLAG_BINDING != 0);
    let before = smb.preauth_of.get(&part.session.1).copied().filter(|_| part.session.1 != 0).or(smb.preauth);
    let preauth = before.map(|mut hash| {
        hash.add(part.bytes);
        hash
    });
    let (at, len) = (u16_at(body, 12).unwrap_or(0), u16_at(body, 14).unwrap_or(0));
    let token = bytes_at(part.bytes, at.into(), len.into()).unwrap_or_default();
    if part.session.1 == 0 {
        // Which session it is of the answer tells.
        return Asked::SessionSetup { preauth, binding, token: token.to_vec() };
    }
    if !token.is_empty() {
        tools.tell(part.session, None, &What::Token { way: Way::ToServer, token, status: None });
    }
    Asked::SessionSetup { preauth, binding, token: Vec::new() }
}

/// An answer.
pub(super) fn response(smb: &mut State, part: &Part<'_>, asked: Option<Asked>, asked_at: PacketRef, tools: &mut Tools<'_>) {
    let header = &part.header;
    let (hash, binding, first) = match asked {
        Some(Asked::SessionSetup { preauth, binding, token }) => (preauth, binding, token),
        _ => (None, false, Vec::new()),
    };
    let body = &part.bytes[HEADER_LEN..];
    // A channel at another address, whose NEGOTIATE tells no server: a binding that succeeds is to a session that is there.
    if binding
        && header.is_success()
        && tools.shared.known((smb.server, header.session_id)).is_none_or(|s| !s.set_up)
        && let Some(server) = tools.shared.server_of(header.session_id)
    {
        smb.server = server;
    }
    let session = (smb.server, header.session_id);
    smb.note_session(session.1, tools);
    let goes_on = header.status == STATUS_MORE_PROCESSING;
    // A new set-up may be of an id that another session had.
    let is_new = !goes_on && header.is_success() && !binding;
    if is_new && tools.shared.known(session).is_some_and(|s| s.set_up && !smb.preauth_of.contains_key(&session.1)) {
        for gone in tools.shared.renew(session) {
            tools.tell_gone(session, &gone);
        }
    }
    let (at, len) = (u16_at(body, 4).unwrap_or(0), u16_at(body, 6).unwrap_or(0));
    let token = bytes_at(part.bytes, at.into(), len.into()).unwrap_or_default();
    if !first.is_empty() {
        tools.tell_at(asked_at, session, None, &What::Token { way: Way::ToServer, token: &first, status: None });
    }
    tools.tell(session, None, &What::Token { way: Way::ToClient, token, status: Some(header.status) });
    if goes_on {
        if let Some(mut hash) = hash
            && smb.preauth_of.len() < SETUPS_MAX
        {
            hash.add(part.bytes);
            smb.preauth_of.insert(session.1, hash);
        }
        return;
    }
    let had_part = smb.preauth_of.remove(&session.1).is_some();
    if !header.is_success() || session.1 == 0 {
        return;
    }
    tools.shared.note_set_up(session);
    let guest = u16_at(body, 2).is_some_and(|flags| flags & FLAG_GUEST != 0);
    tools.tell(session, None, &What::SessionOpened { guest });
    // Keys of a bound channel are those of the first.
    let reauthenticated = !had_part && tools.shared.session(session).keys.is_some();
    if !binding && !reauthenticated {
        let keys = keys(smb.dialect, session.1, hash, tools, session);
        tools.shared.session(session).keys = Some(keys);
    }
}

/// Asks for a session's key, and derives those that open its messages (3.1.4.2 and 3.2.5.3.1).
pub(super) fn keys(
    dialect: Option<Dialect>,
    wire: u64,
    hash: Option<Preauth>,
    tools: &mut Tools<'_>,
    session: crate::smb::shared::SessionKey,
) -> Keys {
    let id = tools.shared.session(session).id;
    let context = Context {
        connection: tools.connection,
        at: tools.at,
        session: Some(id),
        tree: None,
        encrypted: tools.encrypted,
        compressed: tools.compressed,
    };
    let Some(given) = tools.out.session_key(&context, wire) else { return Keys::None };
    let cipher = dialect.and_then(|d| d.cipher);
    let key = match &given {
        SessionKeys::Directions { to_server, to_client } => {
            let keys = DirectionKeys { to_server: to_server.clone(), to_client: to_client.clone() };
            return Keys::Known(Opener::new(keys, cipher));
        }
        SessionKeys::Session(key) => key,
    };
    let keys = match (dialect, &hash) {
        (Some(Dialect { revision: 0x0300 | 0x0302, .. }), _) => direction_keys(key, Cipher::Aes128Ccm, Binding::Fixed),
        (Some(Dialect { revision: 0x0311, cipher: Some(cipher) }), Some(hash)) => {
            direction_keys(key, cipher, Binding::Preauth(hash.hash()))
        }
        (None, _) => return Keys::Guess(Opener::without_negotiation(key)),
        _ => return Keys::Underivable,
    };
    Keys::Known(Opener::new(keys, cipher))
}

/// LOGOFF was answered.
pub(super) fn logged_off(part: &Part<'_>, tools: &mut Tools<'_>) {
    if !part.header.is_success() || part.session.1 == 0 || tools.shared.known(part.session).is_none() {
        return;
    }
    let mut open: Vec<_> = tools.shared.session(part.session).opens.values().map(|o| (o.id, o.tree)).collect();
    open.sort_unstable_by_key(|o| o.0);
    for (open, tree) in open {
        tools.tell(part.session, tree, &What::Closed { open, status: None, by_close: false });
    }
    tools.tell(part.session, None, &What::SessionClosed);
    tools.shared.forget(part.session);
}
