//! Root opens nothing of the agent's as root: its files would be closed to the agent.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::geteuid;
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use rustix::{fs::Gid, fs::Uid};

/// Whether [`become_owner_of`] would make this process somebody else.
pub fn would_change(folder: &Path) -> bool {
    geteuid().is_root() && fs::metadata(folder).is_ok_and(|folder| folder.uid() != 0)
}

/// Makes root the owner of a folder, for good; nobody else is changed. To be called while this is the only thread: threads
/// that are started later are the same user.
///
/// # Errors
/// The folder cannot be looked at, or the system does not let us.
pub fn become_owner_of(folder: &Path) -> io::Result<()> {
    let owner = fs::metadata(folder)?;
    if !would_change(folder) {
        return Ok(());
    }
    let (user, group) = (Uid::from_raw(owner.uid()), Gid::from_raw(owner.gid()));
    set_thread_groups(&[group])?;
    set_thread_res_gid(group, group, group)?;
    set_thread_res_uid(user, user, user)?;
    Ok(())
}
