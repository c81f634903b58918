//! Judges packets: one selection's predicate, compiled for one link type.

use super::expr::{Expr, LayerExpr};
use super::filter::{Filter, FilterError, FilterRefused};
use super::plan::access;
use crate::packet::{LinkType, Packet};
use crate::ring::sealed::Access;
use crate::wire::{Decoded, apply_hint, decode, plain_tcp4};

/// A predicate, ready for the packets of one link type.
pub struct Judge {
    node: Node,
    needs_decode: bool,
    refused: Vec<FilterRefused>,
    /// Whatever is selected has an IPv4 address in one of these ranges, or is no plain packet.
    ends: Option<Vec<([u8; 4], [u8; 4])>>,
    packets: Scratch,
}

enum Node {
    Always,
    Never,
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    Vlan(u16),
    Layer(LayerExpr),
    Filter(Filter),
}

/// The headers of the packet at hand, read when first asked for.
struct Scratch {
    link_type: LinkType,
    decoded: Decoded,
    is_decoded: bool,
}

impl Judge {
    /// Compiles `expr` for packets of `link_type`.
    ///
    /// A filter that libpcap refuses for this link type is no error: no packet is selected because of it, not even under a
    /// `not`, and it is named in [`Judge::refused_filters`].
    pub fn new(expr: &Expr, link_type: LinkType) -> Result<Self, FilterError> {
        let mut refused = Vec::new();
        let node = compile(expr, link_type, false, &mut refused)?;
        let needs_decode = asks_headers(&node);
        let ends = ends(expr);
        Ok(Judge {
            node,
            needs_decode,
            refused,
            ends,
            packets: Scratch { link_type, decoded: Decoded::default(), is_decoded: false },
        })
    }

    /// Whether the packet is selected. `hint` is what was stored with a later fragment: the ports of its first.
    ///
    /// Window and interface are not looked at.
    pub fn matches(&mut self, packet: &Packet<'_>, hint: Option<(u16, u16)>) -> bool {
        if let Some(ranges) = &self.ends
            && let Some(plain) = plain_tcp4(self.packets.link_type, packet.data)
            && !plain.iter().any(|end| ranges.iter().any(|(low, high)| (low..=high).contains(&end)))
        {
            return false;
        }
        self.packets.is_decoded = false;
        holds(&self.node, packet, hint, &mut self.packets)
    }

    /// Whether a packet's headers may have to be read.
    pub fn needs_decode(&self) -> bool {
        self.needs_decode
    }

    /// Whether no packet of this link type is selected, whatever it holds.
    pub fn is_never(&self) -> bool {
        matches!(self.node, Node::Never)
    }

    /// The filters that libpcap refuses for this link type.
    pub fn refused_filters(&self) -> &[FilterRefused] {
        &self.refused
    }
}

/// `negated` says whether an odd number of `not` stands above: what a refused filter counts as then still selects nothing.
fn compile(expr: &Expr, link_type: LinkType, negated: bool, refused: &mut Vec<FilterRefused>) -> Result<Node, FilterError> {
    let mut all = |parts: &[Expr]| parts.iter().map(|p| compile(p, link_type, negated, refused)).collect::<Result<Vec<_>, _>>();
    Ok(match expr {
        Expr::All => Node::Always,
        Expr::And(parts) => {
            let mut nodes = all(parts)?;
            nodes.retain(|n| !matches!(n, Node::Always));
            if nodes.iter().any(|n| matches!(n, Node::Never)) {
                Node::Never
            } else if nodes.is_empty() {
                Node::Always
            } else {
                Node::And(nodes)
            }
        }
        Expr::Or(parts) => {
            let mut nodes = all(parts)?;
            nodes.retain(|n| !matches!(n, Node::Never));
            if nodes.iter().any(|n| matches!(n, Node::Always)) {
                Node::Always
            } else if nodes.is_empty() {
                Node::Never
            } else {
                Node::Or(nodes)
            }
        }
        Expr::Not(part) => match compile(part, link_type, !negated, refused)? {
            Node::Always => Node::Never,
            Node::Never => Node::Always,
            node => Node::Not(Box::new(node)),
        },
        Expr::Vlan(id) => Node::Vlan(*id),
        Expr::Layer(layer) => Node::Layer(layer.clone()),
        Expr::Filter(text) => match Filter::compile(text, link_type) {
            Ok(filter) => Node::Filter(filter),
            Err(FilterError::Refused(why)) => {
                if !refused.contains(&why) {
                    refused.push(why);
                }
                if negated { Node::Always } else { Node::Never }
            }
            Err(other) => return Err(other),
        },
    })
}

/// Ranges of IPv4 addresses one of which every packet has that is selected for an IPv4 layer; `None` where there need be none.
fn ends(expr: &Expr) -> Option<Vec<([u8; 4], [u8; 4])>> {
    match expr {
        Expr::Layer(layer) => {
            let Access::Addresses(ranges) = access(layer) else { return None };
            let four = |a: &[u8; 16]| [a[0], a[1], a[2], a[3]];
            Some(ranges.iter().filter(|r| !r.2).map(|(low, high, _)| (four(low), four(high))).collect())
        }
        Expr::And(parts) => parts.iter().find_map(ends),
        Expr::Or(parts) => parts.iter().map(ends).collect::<Option<Vec<_>>>().map(|all| all.concat()),
        Expr::All | Expr::Not(_) | Expr::Vlan(_) | Expr::Filter(_) => None,
    }
}

fn asks_headers(node: &Node) -> bool {
    match node {
        Node::And(parts) | Node::Or(parts) => parts.iter().any(asks_headers),
        Node::Not(part) => asks_headers(part),
        Node::Vlan(_) | Node::Layer(_) => true,
        Node::Always | Node::Never | Node::Filter(_) => false,
    }
}

fn holds(node: &Node, packet: &Packet<'_>, hint: Option<(u16, u16)>, headers: &mut Scratch) -> bool {
    match node {
        Node::Always => true,
        Node::Never => false,
        Node::And(parts) => parts.iter().all(|p| holds(p, packet, hint, headers)),
        Node::Or(parts) => parts.iter().any(|p| holds(p, packet, hint, headers)),
        Node::Not(part) => !holds(part, packet, hint, headers),
        Node::Vlan(id) => headers.of(packet, hint).tags.contains(id),
        Node::Layer(layer) => headers.of(packet, hint).layers.iter().any(|l| layer.matches_layer(l)),
        Node::Filter(filter) => filter.matches(packet.data, packet.original_length),
    }
}

impl Scratch {
    fn of(&mut self, packet: &Packet<'_>, hint: Option<(u16, u16)>) -> &Decoded {
        if !self.is_decoded {
            decode(self.link_type, packet.data, &mut self.decoded);
            if let Some(pair) = hint {
                apply_hint(&mut self.decoded, pair);
            }
            self.is_decoded = true;
        }
        &self.decoded
    }
}
