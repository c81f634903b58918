//! Leaving root behind once the sockets are open.

use nix::unistd::{User, geteuid, initgroups, setgid, setuid};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities, set_keep_capabilities, set_no_new_privs};
use std::ffi::CString;
use std::io;
use std::os::unix::fs::chown;
use std::path::Path;

/// Why the recorder cannot become another user.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    /// There is no such user.
    #[error("there is no user {0:?}: make one (`useradd --system {0}`), or name another one with --user")]
    Unknown(String),
    /// Only root may.
    #[error("only root can become user {0:?}: leave --user out, or start as root")]
    NotRoot(String),
    /// The kernel says no.
    #[error("{what}")]
    Failed {
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
}

fn failed(what: &'static str) -> impl Fn(io::Error) -> PrivilegeError {
    move |source| PrivilegeError::Failed { what, source }
}

fn user(name: &str) -> Result<User, PrivilegeError> {
    let found = User::from_name(name).map_err(|e| failed("users cannot be looked up")(e.into()))?;
    found.ok_or_else(|| PrivilegeError::Unknown(name.to_string()))
}

/// Lets a user write a folder that was made just now by root.
pub fn may_keep_data(folder: &Path, name: &str) -> Result<(), PrivilegeError> {
    let user = user(name)?;
    let paths =
        [folder.to_path_buf()].into_iter().chain(std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()));
    for path in paths {
        let given = chown(&path, Some(user.uid.as_raw()), Some(user.gid.as_raw()));
        given.map_err(failed("the data folder cannot be given to the user"))?;
    }
    Ok(())
}

/// Becomes a user, if one is named, and gives up all rights but, with `keep_capture`, that to capture. Before any thread is started.
pub fn leave_root(name: Option<&str>, keep_capture: bool) -> Result<(), PrivilegeError> {
    let kept = if keep_capture { CapabilitySet::NET_RAW } else { CapabilitySet::empty() };
    if let Some(name) = name {
        if !geteuid().is_root() {
            return Err(PrivilegeError::NotRoot(name.to_string()));
        }
        let user = user(name)?;
        let c_name = CString::new(name).map_err(|_| PrivilegeError::Unknown(name.to_string()))?;
        set_keep_capabilities(keep_capture).map_err(|e| failed("the right to capture cannot be kept")(e.into()))?;
        let became = initgroups(&c_name, user.gid).and_then(|()| setgid(user.gid)).and_then(|()| setuid(user.uid));
        became.map_err(|e| failed("the user cannot be changed")(e.into()))?;
    } else if geteuid().is_root() {
        return Ok(()); // whoever starts it as root and names nobody wants root
    }
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets).map_err(|e| failed("rights cannot be given up")(e.into()))?;
    set_no_new_privs(true).map_err(|e| failed("new rights cannot be ruled out")(e.into()))
}
