//! Captures and tools that tests are held against. A test that lacks them says that it did not run, and fails where `TAPLOOP_CI` is 1.

use std::io::Write as _;
use std::path::PathBuf;

/// The folder of captures that `TAPLOOP_CORPUS` names, or a skip.
pub(crate) fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("TAPLOOP_CORPUS").filter(|v| !v.is_empty()).map(PathBuf::from);
    if folder.is_none() {
        skip("TAPLOOP_CORPUS is not set");
    }
    folder
}

/// Whether a tool is installed, or a skip.
pub(crate) fn has_tool(name: &str) -> bool {
    let found = std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(name).is_file()));
    if !found {
        skip(&format!("{name} is not installed"));
    }
    found
}

/// Past the harness's capture, so that it is seen.
fn skip(why: &str) {
    let text = format!("skipped: {why} ({})\n", std::thread::current().name().unwrap_or("?"));
    assert!(std::env::var_os("TAPLOOP_CI").is_none_or(|v| v != "1"), "{text}");
    let _ = std::io::stderr().write_all(text.as_bytes());
}
