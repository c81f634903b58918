//! What an index can know of a filter: an [`Expr`] that holds on every packet that the filter matches.
//!
//! Sound for packets that are not irregular, and only on link types whose packets `wire` understands as libpcap does. Planning
//! may skip what the expression excludes; libpcap still judges each packet.
//!
//! A term that is not understood counts as `all`. There is no negation, so `and` and `or` of supersets are supersets.

use super::expr::{Expr, LayerExpr};
use super::filter_words::{Kind, Word, words};
use super::prefix::Prefix;
use crate::packet::LinkType;
use crate::wire;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How deep parentheses are followed; what lies deeper counts as `all`.
const DEPTH_MAX: usize = 16;

/// An expression that holds on every packet of `link_type` that `filter` matches and that is not irregular.
pub fn plannable(filter: &str, link_type: LinkType) -> Expr {
    if !wire::plannable(link_type) {
        return Expr::All;
    }
    let Ok(words) = words(filter) else { return Expr::All };
    // libpcap generates code from left to right, and these words shift where all that comes behind them is read, whether or
    // not the packet has what they ask for. Alone between top-level `and`s, `vlan` holds for every packet that is still
    // judged behind it, so that what is read is what is inside the tag, where `wire` reads too. Elsewhere (`not vlan`, `vlan or
    // x`), and for the others, what comes behind may be read out of the middle of another header: it counts as `all`.
    let mut end = words.len();
    for (i, word) in words.iter().enumerate() {
        if matches!(word.text, "vlan" | "mpls" | "pppoes" | "pppoed" | "geneve" | "vxlan")
            && !(word.text == "vlan" && is_conjunct(&words, i))
        {
            end = i;
            break;
        }
    }
    if end < words.len() {
        return conjuncts_before(&words, end);
    }
    expression(&words, 0)
}

/// Whether the `vlan` at `at` is, with its number, a whole term between `and`s of an expression without a top-level `or`.
fn is_conjunct(words: &[Word<'_>], at: usize) -> bool {
    let next = at + 1 + usize::from(words.get(at + 1).is_some_and(|w| w.kind == Kind::Number));
    depth(&words[..at]) == 0
        && (at == 0 || words[at - 1].is_and())
        && words.get(next).is_none_or(Word::is_and)
        && top_level(words).all(|(_, w)| !w.is_or())
}

/// The terms that are complete before the word `end`, where the expression is a conjunction.
fn conjuncts_before(words: &[Word<'_>], end: usize) -> Expr {
    if top_level(words).any(|(_, w)| w.is_or()) {
        return Expr::All;
    }
    match top_level(&words[..end]).filter(|(_, w)| w.is_and()).last() {
        Some((and, _)) => expression(&words[..and], 0),
        None => Expr::All,
    }
}

fn depth(words: &[Word<'_>]) -> isize {
    words.iter().map(|w| if w.text == "(" { 1 } else { -isize::from(w.text == ")") }).sum()
}

/// The words outside of parentheses, with their places.
fn top_level<'a>(words: &'a [Word<'a>]) -> impl Iterator<Item = (usize, &'a Word<'a>)> {
    let mut depth = 0isize;
    words.iter().enumerate().filter(move |(_, w)| {
        match w.text {
            "(" => depth += 1,
            ")" => depth -= 1,
            _ => {}
        }
        depth == 0 && w.text != ")"
    })
}

/// Terms joined by `and` and `or`, which bind alike, from the left.
fn expression(words: &[Word<'_>], depth: usize) -> Expr {
    let joints: Vec<usize> =
        top_level(words).filter(|&(i, w)| (w.is_and() || w.is_or()) && !is_direction_joint(words, i)).map(|(i, _)| i).collect();
    let mut from = 0;
    let mut sum: Option<Expr> = None;
    let mut is_and = true;
    let mut in_port = false;
    for end in joints.into_iter().chain([words.len()]) {
        let term = &words[from..end];
        let next = match term {
            // A number alone has the qualifiers of the term before it.
            [n] if in_port && n.kind == Kind::Number => port(n).map_or(Expr::All, Expr::Layer),
            _ => {
                in_port = term.len() > 1 && term[term.len() - 2].text == "port" && term[term.len() - 1].kind == Kind::Number;
                self::term(term, depth)
            }
        };
        sum = Some(match sum {
            None => next,
            Some(before) if is_and => Expr::all_of([before, next]),
            Some(before) => Expr::any_of([before, next]),
        });
        is_and = words.get(end).is_some_and(Word::is_and);
        from = end + 1;
    }
    sum.unwrap_or(Expr::All)
}

/// Whether the `and` or `or` at `at` joins `src` and `dst` into one qualifier.
fn is_direction_joint(words: &[Word<'_>], at: usize) -> bool {
    let is_direction = |i: Option<usize>| i.and_then(|i| words.get(i)).is_some_and(|w| matches!(w.text, "src" | "dst"));
    is_direction(at.checked_sub(1)) && is_direction(Some(at + 1))
}

fn term(words: &[Word<'_>], level: usize) -> Expr {
    if let [open, inner @ .., close] = words
        && open.text == "("
        && close.text == ")"
        && level < DEPTH_MAX
        && encloses(inner)
    {
        return expression(inner, level + 1);
    }
    if let [vlan, id] = words
        && vlan.text == "vlan"
    {
        return number(id).filter(|&n| n <= 4095).map_or(Expr::All, Expr::Vlan);
    }
    layer(words).map_or(Expr::All, Expr::Layer)
}

/// Whether the parentheses around these words belong together.
fn encloses(inner: &[Word<'_>]) -> bool {
    let mut depth = 0isize;
    inner.iter().all(|w| {
        match w.text {
            "(" => depth += 1,
            ")" => depth -= 1,
            _ => {}
        }
        depth >= 0
    }) && depth == 0
}

/// What a term says of one layer.
fn layer(words: &[Word<'_>]) -> Option<LayerExpr> {
    // Either end stands for `src`, `dst` and both: the address or port is at one of them.
    let (qualifier, rest) = match words {
        [only] => return proto(only.text).map(LayerExpr::Proto).or_else(|| address(only).map(LayerExpr::Ip)),
        [first, rest @ ..] if matches!(first.text, "ip" | "ip6" | "arp" | "rarp" | "tcp" | "udp" | "sctp") => (first.text, rest),
        _ => ("", words),
    };
    let (directed, rest) = match rest {
        [a, joint, b, rest @ ..] if is_direction(a) && (joint.is_and() || joint.is_or()) && is_direction(b) => (true, rest),
        [a, rest @ ..] if is_direction(a) => (true, rest),
        _ => (false, rest),
    };
    match (qualifier, rest) {
        ("" | "ip" | "ip6" | "arp" | "rarp", [host, a]) if matches!(host.text, "host" | "net") => address(a).map(LayerExpr::Ip),
        ("" | "ip" | "ip6" | "arp" | "rarp", [a]) if directed => address(a).map(LayerExpr::Ip),
        ("" | "ip" | "ip6" | "arp" | "rarp", [net, a, slash, length]) if net.text == "net" && slash.text == "/" => {
            prefix(a, length)
        }
        ("" | "ip" | "ip6" | "arp" | "rarp", [a, slash, length]) if directed && slash.text == "/" => prefix(a, length),
        ("", [kind, n]) if kind.text == "port" => port(n),
        ("tcp" | "udp" | "sctp", [kind, n]) if kind.text == "port" => {
            Some(LayerExpr::all_of([LayerExpr::Proto(proto(qualifier)?), port(n)?]))
        }
        _ => None,
    }
}

fn is_direction(word: &Word<'_>) -> bool {
    matches!(word.text, "src" | "dst")
}

/// The protocol that the word alone asks for. libpcap's `icmp` is IPv4's and `icmp6` IPv6's, so the number alone is more.
fn proto(word: &str) -> Option<u8> {
    Some(match word {
        "icmp" => 1,
        "tcp" => 6,
        "udp" => 17,
        "icmp6" => 58,
        "sctp" => 132,
        _ => return None,
    })
}

fn port(word: &Word<'_>) -> Option<LayerExpr> {
    number(word).map(LayerExpr::Port)
}

/// A decimal number. Others (octal, hexadecimal) are left to libpcap.
fn number(word: &Word<'_>) -> Option<u16> {
    let plain = word.kind == Kind::Number
        && word.text.bytes().all(|b| b.is_ascii_digit())
        && (word.text == "0" || !word.text.starts_with('0'));
    if plain { word.text.parse().ok() } else { None }
}

/// A whole address; libpcap fills up shorter ones, which are left to it.
fn address(word: &Word<'_>) -> Option<Prefix> {
    let address = match word.kind {
        Kind::Dotted => IpAddr::V4(word.text.parse::<Ipv4Addr>().ok()?),
        Kind::Ip6 => IpAddr::V6(word.text.parse::<Ipv6Addr>().ok()?),
        _ => return None,
    };
    Some(Prefix::single(address))
}

fn prefix(at: &Word<'_>, length: &Word<'_>) -> Option<LayerExpr> {
    let length = u8::try_from(number(length)?).ok()?;
    Prefix::new(address(at)?.address(), length).map(LayerExpr::Ip)
}
