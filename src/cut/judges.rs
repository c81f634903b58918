//! One selection's judges, one a link type, as one thread uses them.

use crate::packet::LinkType;
use crate::select::{Expr, Judge};
use ahash::AHashMap;
use std::sync::Arc;

/// Judges of one selection, made when first needed.
pub struct Judges {
    expr: Arc<Expr>,
    of: AHashMap<LinkType, Option<Judge>>,
}

impl Judges {
    /// None yet.
    pub fn new(expr: Arc<Expr>) -> Judges {
        Judges { expr, of: AHashMap::new() }
    }

    /// Adds one that is made already.
    pub fn add(&mut self, link_type: LinkType, judge: Judge) {
        self.of.insert(link_type, Some(judge));
    }

    /// Of a link type; `None` where it cannot be made.
    pub fn of(&mut self, link_type: LinkType) -> Option<&mut Judge> {
        self.of.entry(link_type).or_insert_with(|| Judge::new(&self.expr, link_type).ok()).as_mut()
    }
}
