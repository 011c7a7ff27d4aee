//! Users and groups as the system's databases know them, whichever these are: getent(1) and id(1) are asked.

use std::process::{Command, Stdio};

/// The groups of a user, the user's own first; `None` where nobody knows this user.
pub(super) fn groups_of(uid: u32) -> Option<Vec<u32>> {
    let entry = said("getent", &["passwd", &uid.to_string()])?;
    let name = entry.split(':').next()?;
    let own = number(&entry, 3)?;
    let all = said("id", &["-G", name])?;
    Some([own].into_iter().chain(all.split_whitespace().filter_map(|group| group.parse().ok())).collect())
}

/// The number of a group, by its name or its number.
pub(super) fn group(named: &str) -> Option<u32> {
    number(&said("getent", &["group", named])?, 2)
}

/// The name of a group, or its number where it has none.
pub(super) fn name_of_group(gid: u32) -> String {
    let gid = gid.to_string();
    let entry = said("getent", &["group", &gid]);
    entry.and_then(|entry| entry.split(':').next().map(str::to_owned)).unwrap_or(gid)
}

/// A field of an entry (passwd(5), group(5)).
fn number(entry: &str, field: usize) -> Option<u32> {
    entry.split(':').nth(field)?.trim().parse().ok()
}

/// What a program prints, if it succeeds.
pub(super) fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stderr(Stdio::null());
    let output = command.output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_in_the_groups_that_the_system_says() {
        assert_eq!(groups_of(0).unwrap()[0], 0);
        assert_eq!((group("root"), group("0"), name_of_group(0)), (Some(0), Some(0), "root".to_owned()));
        assert_eq!((groups_of(4_000_000_001), group("nobody of that name")), (None, None));
        assert_eq!(name_of_group(4_000_000_001), "4000000001");
    }
}
