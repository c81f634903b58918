//! What all commands say the same way: errors in one line, and their exit statuses.

use std::error::Error;
use std::process::ExitCode;

/// One line on standard error, and the status.
pub(super) fn fail(status: u8, message: &str) -> ExitCode {
    eprintln!("taploop: {message}");
    ExitCode::from(status)
}

/// An error and what it rests on, in one line.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(e) = next {
        let cause = e.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        next = e.source();
    }
    text.replace('\n', " ")
}
