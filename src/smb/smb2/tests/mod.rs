//! Tests of the whole reader: messages built by hand, [MS-SMB2] beside them.

mod build;
mod changes;
mod contents;
mod hostile;
mod lost;
mod opens;
mod sessions;
