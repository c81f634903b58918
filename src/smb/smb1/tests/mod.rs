//! Tests of the whole reader: messages built by hand, random ones, and real captures.

mod build;
mod capture;
mod chains;
mod contents;
mod corpus;
mod hostile;
mod lost;
mod opens;
mod sessions;
mod transactions;
