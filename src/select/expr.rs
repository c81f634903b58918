//! The tree inside a selection: predicates over a packet, and over one of its layers.

use super::prefix::Prefix;

/// A predicate over a packet. Prints and parses; see [`crate::select`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Expr {
    /// Every packet.
    All,
    /// All of them hold; every packet where there are none.
    And(Vec<Expr>),
    /// Any of them holds; no packet where there are none.
    Or(Vec<Expr>),
    /// It does not hold.
    Not(Box<Expr>),
    /// One of the packet's VLAN tags has this identifier.
    Vlan(u16),
    /// One of the packet's layers satisfies it.
    Layer(LayerExpr),
    /// A filter in pcap-filter syntax; means what libpcap says it means.
    Filter(String),
}

/// A predicate over ONE layer of a packet, or over a flow key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LayerExpr {
    /// All of them hold on the layer; every layer where there are none.
    And(Vec<LayerExpr>),
    /// Any of them holds; no layer where there are none.
    Or(Vec<LayerExpr>),
    /// It does not hold on the layer.
    Not(Box<LayerExpr>),
    /// Either address lies inside.
    Ip(Prefix),
    /// One address lies in the one, the other in the other.
    Pair(Prefix, Prefix),
    /// Either port. ICMP's types and codes are not ports.
    Port(u16),
    /// The IP protocol, behind IPv6 extension headers. ARP has none.
    Proto(u8),
    /// The digest of the Community ID.
    CommunityId([u8; 20]),
}

impl Expr {
    /// Whether libpcap has a say anywhere in it.
    pub fn has_filter(&self) -> bool {
        match self {
            Expr::Filter(_) => true,
            Expr::And(parts) | Expr::Or(parts) => parts.iter().any(Expr::has_filter),
            Expr::Not(part) => part.has_filter(),
            Expr::All | Expr::Vlan(_) | Expr::Layer(_) => false,
        }
    }

    /// All of `parts`, in normal form: no `All`, no `And` inside, and a single part stands alone.
    pub fn all_of(parts: impl IntoIterator<Item = Expr>) -> Expr {
        let mut flat = Vec::new();
        for part in parts {
            match part {
                Expr::All => {}
                Expr::And(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        match flat.len() {
            0 => Expr::All,
            1 => flat.swap_remove(0),
            _ => Expr::And(flat),
        }
    }

    /// Any of `parts`, in normal form: every packet where one part is `All`, no `Or` inside, and a single part stands alone.
    pub fn any_of(parts: impl IntoIterator<Item = Expr>) -> Expr {
        let mut flat = Vec::new();
        for part in parts {
            match part {
                Expr::All => return Expr::All,
                Expr::Or(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        if flat.len() == 1 { flat.swap_remove(0) } else { Expr::Or(flat) }
    }
}

impl LayerExpr {
    /// All of `parts`; a single part stands alone.
    pub fn all_of(parts: impl IntoIterator<Item = LayerExpr>) -> LayerExpr {
        let mut flat = Vec::new();
        for part in parts {
            match part {
                LayerExpr::And(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        if flat.len() == 1 { flat.swap_remove(0) } else { LayerExpr::And(flat) }
    }

    /// Any of `parts`; a single part stands alone.
    pub fn any_of(parts: impl IntoIterator<Item = LayerExpr>) -> LayerExpr {
        let mut flat = Vec::new();
        for part in parts {
            match part {
                LayerExpr::Or(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        if flat.len() == 1 { flat.swap_remove(0) } else { LayerExpr::Or(flat) }
    }
}
