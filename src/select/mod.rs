//! The selection: what a person asks for, parsed, printed, planned against an index, judged on one packet.
//!
//! ONE type, [`Selection`], for the command line, the API and the page. Inside it is a boolean tree, [`Expr`], that prints
//! itself: flags ([`Request`]) and the plannable part of a filter ([`plannable`]) compile to it.

mod prefix;

mod community;

mod expr;

mod facts;

mod lexer;

mod text;

mod selection;

mod time_text;

mod size_text;

mod protocol;

mod filter_words;

mod filter_names;

mod filter;

mod filter_plan;

mod judge;

pub mod plan;

mod request;

pub use community::CommunityId;
pub use expr::{Expr, LayerExpr};
pub use filter::{FILTER_OPTIMIZED_INSTRUCTIONS_MAX, Filter, FilterError, FilterRefused, check_filter};
pub use filter_names::{FILTER_COST_MAX, FILTER_LENGTH_MAX, FilterTextError};
pub use filter_plan::plannable;
pub use judge::Judge;
pub use prefix::{Prefix, PrefixError};
pub use protocol::{Protocol, ProtocolError};
pub use request::{AROUND_WINDOW_DEFAULT, Request, RequestError, SELECTION_TERMS_MAX};
pub use selection::Selection;
pub use size_text::{Size, SizeError, parse_size};
pub use text::{SELECTION_DEPTH_MAX, SELECTION_TEXT_MAX, TextError};
pub use time_text::{Duration, DurationError, Moment, TimeError, parse_duration, parse_time};

#[cfg(test)]
mod tests;
