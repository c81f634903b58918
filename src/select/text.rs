//! The text form of [`Expr`] and [`LayerExpr`]: printed canonically, and parsed back to the same tree.
//!
//! ```text
//! expr  = and *( "or" and )          and = unary *( "and" unary )       unary = *"not" ( "(" expr ")" / leaf )
//! leaf  = "all" / "vlan" N / "layer" "(" layer ")" / "filter" STRING
//! layer = the same, with leaves "any" / "ip" PREFIX / "pair" PREFIX PREFIX / "port" N / "proto" N / "community-id" ID
//! ```

use super::community::CommunityId;
use super::expr::{Expr, LayerExpr};
use super::lexer::{Kind, Token, quote, tokens};
use super::protocol::Protocol;
use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

/// The longest text that is parsed, in bytes.
pub const SELECTION_TEXT_MAX: usize = 1 << 20;
/// How deep parentheses and `not` may nest in a text that is parsed.
pub const SELECTION_DEPTH_MAX: usize = 64;

/// Why a text is no selection.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TextError {
    /// More than [`SELECTION_TEXT_MAX`] bytes.
    #[error("a selection's text is at most {SELECTION_TEXT_MAX} bytes long: write fewer terms")]
    TooLong,
    /// More than [`SELECTION_DEPTH_MAX`] levels.
    #[error("parentheses and \"not\" nest at most {SELECTION_DEPTH_MAX} deep: write the selection flatter")]
    TooDeep,
    /// A quoted string that does not end or has an unknown escape.
    #[error(
        "the quoted text at byte {0} does not end, or has a backslash before something else than \\\" \\\\ \\n \\r \\t \\u{{HEX}}"
    )]
    Quote(usize),
    /// Something else was expected.
    #[error("expected {expected} at byte {at}, found {found}")]
    Expected {
        /// What could stand there.
        expected: &'static str,
        /// Byte position in the text.
        at: usize,
        /// What stands there.
        found: String,
    },
    /// A value that does not parse.
    #[error("at byte {at}: {reason}")]
    Value {
        /// Byte position in the text.
        at: usize,
        /// Why.
        reason: String,
    },
}

/// A tree of and, or, not; what printing and parsing share for both kinds.
trait Tree: Sized {
    const WHAT: &'static str;
    fn node(&self) -> Node<'_, Self>;
    fn leaf(&self, f: &mut Formatter<'_>) -> fmt::Result;
    /// What no parts joined by `and` print as.
    const EVERY: &'static str;
    fn and(parts: Vec<Self>) -> Self;
    fn or(parts: Vec<Self>) -> Self;
    fn not(part: Self) -> Self;
    fn parse_leaf(p: &mut Parser<'_>) -> Result<Self, TextError>;
}

enum Node<'a, T> {
    And(&'a [T]),
    Or(&'a [T]),
    Not(&'a T),
    Leaf,
}

/// The tree without nodes of a single part, which mean what the part means.
fn core<T: Tree>(mut tree: &T) -> &T {
    while let Node::And([part]) | Node::Or([part]) = tree.node() {
        tree = part;
    }
    tree
}

fn print<T: Tree>(tree: &T, f: &mut Formatter<'_>) -> fmt::Result {
    let tree = core(tree);
    let (parts, word) = match tree.node() {
        Node::Leaf => return tree.leaf(f),
        Node::Not(part) => {
            f.write_str("not ")?;
            return print_inside(part, matches!(core(part).node(), Node::And([_, ..]) | Node::Or([_, ..])), f);
        }
        Node::And([]) => return f.write_str(T::EVERY),
        Node::Or([]) => return write!(f, "not {}", T::EVERY),
        Node::And(parts) => (parts, " and "),
        Node::Or(parts) => (parts, " or "),
    };
    let is_and = matches!(tree.node(), Node::And(_));
    for (i, part) in parts.iter().enumerate() {
        if i > 0 {
            f.write_str(word)?;
        }
        let joined = match core(part).node() {
            Node::And(inner) => is_and && !inner.is_empty(),
            Node::Or(inner) => !inner.is_empty(),
            _ => false,
        };
        print_inside(part, joined, f)?;
    }
    Ok(())
}

fn print_inside<T: Tree>(tree: &T, parentheses: bool, f: &mut Formatter<'_>) -> fmt::Result {
    if !parentheses {
        return print(tree, f);
    }
    f.write_str("(")?;
    print(tree, f)?;
    f.write_str(")")
}

/// Reads words one after the other.
pub(super) struct Parser<'a> {
    tokens: &'a [Token],
    end: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn new(tokens: &'a [Token], end: usize) -> Self {
        Parser { tokens, end, depth: 0 }
    }

    pub(super) fn at(&self) -> usize {
        self.tokens.first().map_or(self.end, |t| t.at)
    }

    pub(super) fn expected(&self, expected: &'static str) -> TextError {
        let found = match self.tokens.first().map(|t| &t.kind) {
            None => "the end".to_owned(),
            Some(Kind::Word(w)) => format!("{w:?}"),
            Some(Kind::Quoted(_)) => "a quoted text".to_owned(),
            Some(Kind::Open) => "\"(\"".to_owned(),
            Some(Kind::Close) => "\")\"".to_owned(),
        };
        TextError::Expected { expected, at: self.at(), found }
    }

    fn next_if(&mut self, kind: &Kind) -> bool {
        let hit = self.tokens.first().is_some_and(|t| t.kind == *kind);
        if hit {
            self.tokens = &self.tokens[1..];
        }
        hit
    }

    /// The next word, if it is one, without taking it.
    pub(super) fn peek(&self) -> Option<&'a str> {
        match self.tokens.first() {
            Some(Token { kind: Kind::Word(w), .. }) => Some(w),
            _ => None,
        }
    }

    /// Takes the word `word`.
    pub(super) fn word(&mut self, word: &str) -> bool {
        let hit = self.peek() == Some(word);
        if hit {
            self.tokens = &self.tokens[1..];
        }
        hit
    }

    pub(super) fn value<T: FromStr<Err: Display>>(&mut self, expected: &'static str) -> Result<T, TextError> {
        let at = self.at();
        let word = self.peek().ok_or_else(|| self.expected(expected))?;
        let value =
            word.parse().map_err(|e: T::Err| TextError::Value { at, reason: format!("{word:?} is not {expected}: {e}") })?;
        self.tokens = &self.tokens[1..];
        Ok(value)
    }

    pub(super) fn quoted(&mut self, expected: &'static str) -> Result<String, TextError> {
        match self.tokens.first() {
            Some(Token { kind: Kind::Quoted(value), .. }) => {
                self.tokens = &self.tokens[1..];
                Ok(value.clone())
            }
            _ => Err(self.expected(expected)),
        }
    }

    pub(super) fn finish(&self, expected: &'static str) -> Result<(), TextError> {
        if self.tokens.is_empty() { Ok(()) } else { Err(self.expected(expected)) }
    }

    pub(super) fn expr(&mut self) -> Result<Expr, TextError> {
        self.tree()
    }

    fn tree<T: Tree>(&mut self) -> Result<T, TextError> {
        self.joined("or", T::or, |p| p.joined("and", T::and, Self::unary))
    }

    fn joined<T>(
        &mut self,
        word: &str,
        join: fn(Vec<T>) -> T,
        part: impl Fn(&mut Self) -> Result<T, TextError>,
    ) -> Result<T, TextError> {
        let first = part(self)?;
        if self.peek() != Some(word) {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.word(word) {
            parts.push(part(self)?);
        }
        Ok(join(parts))
    }

    fn unary<T: Tree>(&mut self) -> Result<T, TextError> {
        if self.word("not") {
            return Ok(T::not(self.deeper(Self::unary)?));
        }
        if self.next_if(&Kind::Open) {
            let inner = self.deeper(Self::tree)?;
            return if self.next_if(&Kind::Close) { Ok(inner) } else { Err(self.expected("\"and\", \"or\" or \")\"")) };
        }
        T::parse_leaf(self)
    }

    fn deeper<T>(&mut self, f: fn(&mut Self) -> Result<T, TextError>) -> Result<T, TextError> {
        if self.depth == SELECTION_DEPTH_MAX {
            return Err(TextError::TooDeep);
        }
        self.depth += 1;
        let result = f(self);
        self.depth -= 1;
        result
    }
}

impl Tree for Expr {
    const WHAT: &'static str = "\"all\", \"vlan\", \"layer\", \"filter\", \"not\" or \"(\"";
    const EVERY: &'static str = "all";

    fn node(&self) -> Node<'_, Self> {
        match self {
            Expr::And(parts) => Node::And(parts),
            Expr::Or(parts) => Node::Or(parts),
            Expr::Not(part) => Node::Not(part),
            _ => Node::Leaf,
        }
    }

    fn leaf(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Expr::Vlan(id) => write!(f, "vlan {id}"),
            Expr::Layer(layer) => write!(f, "layer({layer})"),
            Expr::Filter(text) => {
                f.write_str("filter ")?;
                quote(text, f)
            }
            _ => f.write_str(Self::EVERY),
        }
    }

    fn and(parts: Vec<Self>) -> Self {
        Expr::And(parts)
    }

    fn or(parts: Vec<Self>) -> Self {
        Expr::Or(parts)
    }

    fn not(part: Self) -> Self {
        Expr::Not(Box::new(part))
    }

    fn parse_leaf(p: &mut Parser<'_>) -> Result<Self, TextError> {
        if p.word("all") {
            Ok(Expr::All)
        } else if p.word("vlan") {
            Ok(Expr::Vlan(p.value("a VLAN identifier")?))
        } else if p.word("filter") {
            Ok(Expr::Filter(p.quoted("a filter in quotes")?))
        } else if p.word("layer") {
            if !p.next_if(&Kind::Open) {
                return Err(p.expected("\"(\""));
            }
            let layer = p.deeper(Parser::tree)?;
            if p.next_if(&Kind::Close) { Ok(Expr::Layer(layer)) } else { Err(p.expected("\"and\", \"or\" or \")\"")) }
        } else {
            Err(p.expected(Self::WHAT))
        }
    }
}

impl Tree for LayerExpr {
    const WHAT: &'static str = "\"any\", \"ip\", \"pair\", \"port\", \"proto\", \"community-id\", \"not\" or \"(\"";
    const EVERY: &'static str = "any";

    fn node(&self) -> Node<'_, Self> {
        match self {
            LayerExpr::And(parts) => Node::And(parts),
            LayerExpr::Or(parts) => Node::Or(parts),
            LayerExpr::Not(part) => Node::Not(part),
            _ => Node::Leaf,
        }
    }

    fn leaf(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            LayerExpr::Ip(prefix) => write!(f, "ip {prefix}"),
            LayerExpr::Pair(p, q) => write!(f, "pair {p} {q}"),
            LayerExpr::Port(port) => write!(f, "port {port}"),
            LayerExpr::Proto(proto) => write!(f, "proto {proto}"),
            LayerExpr::CommunityId(digest) => write!(f, "community-id {}", CommunityId(*digest)),
            _ => f.write_str(Self::EVERY),
        }
    }

    fn and(parts: Vec<Self>) -> Self {
        LayerExpr::And(parts)
    }

    fn or(parts: Vec<Self>) -> Self {
        LayerExpr::Or(parts)
    }

    fn not(part: Self) -> Self {
        LayerExpr::Not(Box::new(part))
    }

    fn parse_leaf(p: &mut Parser<'_>) -> Result<Self, TextError> {
        if p.word("any") {
            Ok(LayerExpr::And(Vec::new()))
        } else if p.word("ip") {
            Ok(LayerExpr::Ip(p.value("an address or prefix")?))
        } else if p.word("pair") {
            Ok(LayerExpr::Pair(p.value("an address or prefix")?, p.value("an address or prefix")?))
        } else if p.word("port") {
            Ok(LayerExpr::Port(p.value("a port")?))
        } else if p.word("proto") {
            Ok(LayerExpr::Proto(p.value::<Protocol>("an IP protocol")?.0))
        } else if p.word("community-id") {
            Ok(LayerExpr::CommunityId(p.value::<CommunityId>("a Community ID")?.0))
        } else {
            Err(p.expected(Self::WHAT))
        }
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        print(self, f)
    }
}

impl Display for LayerExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        print(self, f)
    }
}

/// The words of a text of bounded length.
pub(super) fn words(text: &str) -> Result<Vec<Token>, TextError> {
    if text.len() > SELECTION_TEXT_MAX {
        return Err(TextError::TooLong);
    }
    tokens(text).map_err(TextError::Quote)
}

impl FromStr for Expr {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        let tokens = words(text)?;
        let mut p = Parser::new(&tokens, text.len());
        let expr = p.tree()?;
        p.finish("\"and\", \"or\" or the end")?;
        Ok(expr)
    }
}

impl FromStr for LayerExpr {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        let tokens = words(text)?;
        let mut p = Parser::new(&tokens, text.len());
        let expr = p.tree()?;
        p.finish("\"and\", \"or\" or the end")?;
        Ok(expr)
    }
}
