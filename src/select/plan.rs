//! Planning: which granules of a segment may hold packets of a selection. The index never changes the answer, only what is read for it.

use super::expr::{Expr, LayerExpr};
use super::filter_plan::plannable;
use super::prefix::Prefix;
use crate::packet::LinkType;
use crate::ring::error::SegmentError;
use crate::ring::hosts::Hosts;
use crate::ring::sealed::Access;
use crate::ring::segment::Segment;

/// The granules to read, in rising order; `None` means all. Where the index is damaged all are read.
pub fn candidates(expr: &Expr, link_type: LinkType, segment: &Segment) -> Result<Option<Vec<u32>>, SegmentError> {
    match granules(expr, link_type, segment) {
        Err(SegmentError::Damaged { .. }) => Ok(None),
        other => other,
    }
}

fn granules(expr: &Expr, link_type: LinkType, segment: &Segment) -> Result<Option<Vec<u32>>, SegmentError> {
    Ok(match expr {
        Expr::All | Expr::Not(_) | Expr::Vlan(_) => None,
        Expr::Filter(text) => match plannable(text, link_type) {
            Expr::Filter(_) | Expr::All => None,
            plan => granules(&plan, link_type, segment)?,
        },
        Expr::And(parts) => {
            let mut all = None::<Vec<u32>>;
            for part in parts {
                let Some(found) = granules(part, link_type, segment)? else { continue };
                all = Some(match all {
                    None => found,
                    Some(mut before) => {
                        before.retain(|g| found.binary_search(g).is_ok());
                        before
                    }
                });
            }
            all
        }
        Expr::Or(parts) => {
            let mut all = Vec::new();
            for part in parts {
                match granules(part, link_type, segment)? {
                    Some(found) => all.extend(found),
                    None => return Ok(None),
                }
            }
            all.sort_unstable();
            all.dedup();
            Some(all)
        }
        Expr::Layer(layer) if has_not(layer) => None,
        Expr::Layer(layer) => segment.granules_of(&access(layer), |key| layer.matches_key(key))?,
    })
}

/// Whether a segment of these hosts may hold packets of a selection.
pub fn may_hold(expr: &Expr, link_type: LinkType, hosts: &Hosts) -> bool {
    match expr {
        Expr::All | Expr::Not(_) | Expr::Vlan(_) => true,
        Expr::Filter(text) => match plannable(text, link_type) {
            Expr::Filter(_) => true,
            plan => may_hold(&plan, link_type, hosts),
        },
        Expr::And(parts) => parts.iter().all(|p| may_hold(p, link_type, hosts)),
        Expr::Or(parts) => parts.iter().any(|p| may_hold(p, link_type, hosts)),
        Expr::Layer(layer) => layer_may_hold(layer, hosts),
    }
}

fn layer_may_hold(layer: &LayerExpr, hosts: &Hosts) -> bool {
    let one = |prefix: &Prefix| {
        let (low, high, is_ip4) = prefix.range();
        low != high || hosts.may_hold(&low, !is_ip4)
    };
    match layer {
        LayerExpr::And(parts) => parts.iter().all(|p| layer_may_hold(p, hosts)),
        LayerExpr::Or(parts) => parts.iter().any(|p| layer_may_hold(p, hosts)),
        LayerExpr::Ip(prefix) => one(prefix),
        LayerExpr::Pair(a, b) => one(a) && one(b),
        LayerExpr::Port(_) | LayerExpr::CommunityId(_) | LayerExpr::Proto(_) | LayerExpr::Not(_) => true,
    }
}

fn has_not(layer: &LayerExpr) -> bool {
    match layer {
        LayerExpr::Not(_) => true,
        LayerExpr::And(parts) | LayerExpr::Or(parts) => parts.iter().any(has_not),
        _ => false,
    }
}

/// The narrowest way to the flows that a predicate over layers can match.
pub fn access(layer: &LayerExpr) -> Access {
    let rank = |a: &Access| match a {
        Access::Digests(_) => 0,
        Access::Addresses(_) => 1,
        Access::Ports(_) => 2,
        Access::All => 3,
    };
    match layer {
        LayerExpr::And(parts) => parts.iter().map(access).min_by_key(rank).unwrap_or(Access::All),
        LayerExpr::Or(parts) => parts.iter().map(access).reduce(joined).unwrap_or(Access::All),
        LayerExpr::Ip(prefix) => Access::Addresses(vec![range(prefix)]),
        LayerExpr::Pair(one, other) => {
            // Either prefix reaches all its flows: the longer one reaches fewer.
            let narrow = if one.length() >= other.length() { one } else { other };
            Access::Addresses(vec![range(narrow)])
        }
        LayerExpr::Port(port) => Access::Ports(vec![*port]),
        LayerExpr::CommunityId(digest) => Access::Digests(vec![*digest]),
        LayerExpr::Proto(_) | LayerExpr::Not(_) => Access::All,
    }
}

fn range(prefix: &Prefix) -> ([u8; 16], [u8; 16], bool) {
    let (low, high, is_ip4) = prefix.range();
    (low, high, !is_ip4)
}

fn joined(a: Access, b: Access) -> Access {
    match (a, b) {
        (Access::Addresses(mut x), Access::Addresses(y)) => {
            x.extend(y);
            x.sort_unstable();
            x.dedup();
            Access::Addresses(x)
        }
        (Access::Ports(mut x), Access::Ports(y)) => {
            x.extend(y);
            x.sort_unstable();
            x.dedup();
            Access::Ports(x)
        }
        (Access::Digests(mut x), Access::Digests(y)) => {
            x.extend(y);
            Access::Digests(x)
        }
        _ => Access::All,
    }
}
