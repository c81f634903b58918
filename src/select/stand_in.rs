//! What `wire` will provide: the digest of a Community ID, a later fragment's ports, and which link types are understood.

use crate::packet::LinkType;
use crate::wire::{Decoded, FlowKey, KeyKind};
use sha1::{Digest as _, Sha1};

pub(super) fn community_digest(key: &FlowKey) -> Option<[u8; 20]> {
    let length = match key.kind() {
        KeyKind::Ip4 => 4,
        KeyKind::Ip6 => 16,
        KeyKind::Arp | KeyKind::Tagged | KeyKind::Irregular => return None,
    };
    let mut hash = Sha1::new();
    hash.update([0, 0]);
    hash.update(&key.a[..length]);
    hash.update(&key.b[..length]);
    hash.update([key.proto, 0]);
    if let Some((a, b)) = key.ports() {
        hash.update(a.to_be_bytes());
        hash.update(b.to_be_bytes());
    }
    Some(hash.finalize().into())
}

pub(super) fn apply_hint(decoded: &mut Decoded, pair: (u16, u16)) {
    let Some(layer) = decoded.layers.last_mut().filter(|l| l.fragment.is_some_and(|f| !f.first)) else { return };
    if matches!(layer.proto, Some(1 | 58)) {
        layer.icmp = Some((pair.0 as u8, pair.1 as u8));
    } else {
        layer.ports = Some(pair);
    }
}

pub(super) fn plannable(link_type: LinkType) -> bool {
    matches!(link_type.0, 0 | 1 | 12 | 14 | 101 | 108 | 113 | 228 | 229 | 276)
}
