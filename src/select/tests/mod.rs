//! The selection: its texts, its judge, its plan; filters held against libpcap and the corpus.

mod corpus;
mod filters;
mod judge;
mod plan;
mod request;
mod text;
