//! What a [`LayerExpr`] asks of a layer, answered by a packet's layer and by a flow key alike.

use super::expr::LayerExpr;
use crate::wire::{FlowKey, KeyKind, Layer, community_digest};
use std::net::IpAddr;

/// The properties that the leaves of a [`LayerExpr`] look at.
trait Facts {
    /// Both addresses, as far as they are known.
    fn ends(&self) -> (Option<IpAddr>, Option<IpAddr>);
    /// Both ports.
    fn ports(&self) -> Option<(u16, u16)>;
    /// The IP protocol.
    fn proto(&self) -> Option<u8>;
    /// The key that Community ID is computed from.
    fn key(&self) -> Option<FlowKey>;
}

impl Facts for Layer {
    fn ends(&self) -> (Option<IpAddr>, Option<IpAddr>) {
        (self.src, self.dst)
    }

    fn ports(&self) -> Option<(u16, u16)> {
        self.ports
    }

    fn proto(&self) -> Option<u8> {
        self.proto
    }

    fn key(&self) -> Option<FlowKey> {
        FlowKey::of(self).map(|(key, _)| key)
    }
}

impl Facts for FlowKey {
    fn ends(&self) -> (Option<IpAddr>, Option<IpAddr>) {
        self.addresses().map_or((None, None), |(a, b)| (Some(a), Some(b)))
    }

    fn ports(&self) -> Option<(u16, u16)> {
        // ICMP's stand-ins are in the places of ports but are none.
        if matches!(self.proto()?, 1 | 58) { None } else { FlowKey::ports(self) }
    }

    fn proto(&self) -> Option<u8> {
        matches!(self.kind(), KeyKind::Ip4 | KeyKind::Ip6).then_some(self.proto)
    }

    fn key(&self) -> Option<FlowKey> {
        Some(*self)
    }
}

impl LayerExpr {
    /// Whether it holds on this layer of a packet.
    pub fn matches_layer(&self, layer: &Layer) -> bool {
        self.holds(layer)
    }

    /// Whether it holds on every layer that has this key. Exact for keys of flows and of ARP; keys without addresses
    /// stand for no layer, so nothing holds on them.
    pub fn matches_key(&self, key: &FlowKey) -> bool {
        !matches!(key.kind(), KeyKind::Tagged | KeyKind::Irregular) && self.holds(key)
    }

    fn holds<F: Facts>(&self, of: &F) -> bool {
        match self {
            LayerExpr::And(parts) => parts.iter().all(|p| p.holds(of)),
            // Of many Community IDs it is computed once.
            LayerExpr::Or(parts) if matches!(parts[..], [LayerExpr::CommunityId(_), LayerExpr::CommunityId(_), ..]) => {
                let own = of.key().and_then(|k| community_digest(&k));
                parts.iter().any(|p| match p {
                    LayerExpr::CommunityId(digest) => own.as_ref() == Some(digest),
                    other => other.holds(of),
                })
            }
            LayerExpr::Or(parts) => parts.iter().any(|p| p.holds(of)),
            LayerExpr::Not(part) => !part.holds(of),
            LayerExpr::Ip(prefix) => {
                let (a, b) = of.ends();
                a.is_some_and(|x| prefix.contains(x)) || b.is_some_and(|x| prefix.contains(x))
            }
            LayerExpr::Pair(p, q) => match of.ends() {
                (Some(a), Some(b)) => p.contains(a) && q.contains(b) || p.contains(b) && q.contains(a),
                _ => false,
            },
            LayerExpr::Port(port) => of.ports().is_some_and(|(a, b)| a == *port || b == *port),
            LayerExpr::Proto(proto) => of.proto() == Some(*proto),
            LayerExpr::CommunityId(digest) => of.key().and_then(|k| community_digest(&k)).as_ref() == Some(digest),
        }
    }
}
