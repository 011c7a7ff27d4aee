//! The service that runs the agent, where systemd has one.

use std::path::Path;
use std::process::{Command, Stdio};

use super::super::Failure;
use super::super::files::Places;
use super::super::users::said;
use crate::config::here;

const SYSTEMCTL: &str = "systemctl";

/// The unit of this agent; `None` where systemd has none, or the configuration is in a place of its own.
pub(super) fn known_unit(places: &Places) -> Option<String> {
    unit_of(places).filter(|_| places.config.is_none())
}

/// The unit that reads this agent's configuration, however that is named; `None` where systemd has none.
pub(in crate::cli) fn unit_of(places: &Places) -> Option<String> {
    let unit = places.unit().map(|unit| format!("{unit}.service"));
    unit.filter(|unit| systemd_runs() && is_known(SYSTEMCTL, unit))
}

/// Whether it is to run whenever the machine starts, and does not run now.
pub(super) fn is_stopped(unit: &str) -> bool {
    is_stopped_as(|verb| is(SYSTEMCTL, verb, unit))
}

/// On which terms a service runs, as its unit and what was added to that say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct Terms {
    /// `Group=`
    pub(in crate::cli) group: Option<String>,
    /// `SupplementaryGroups=`
    pub(in crate::cli) more_groups: Vec<String>,
    /// `ProtectHome=` hides nothing.
    pub(in crate::cli) sees_homes: bool,
}

/// The terms of this unit.
pub(in crate::cli) fn terms_of(unit: &str) -> Terms {
    let asked = ["show", "-p", "Group", "-p", "SupplementaryGroups", "-p", "ProtectHome", unit];
    terms(&said(SYSTEMCTL, &asked).unwrap_or_default())
}

fn terms(shown: &str) -> Terms {
    let mut terms = Terms::default();
    for (key, value) in shown.lines().filter_map(|line| line.split_once('=')) {
        match key {
            "Group" => terms.group = Some(value.to_owned()).filter(|group| !group.is_empty()),
            "SupplementaryGroups" => {
                terms.more_groups = value.split_whitespace().map(str::to_owned).collect();
            }
            "ProtectHome" => terms.sees_homes = ["no", "read-only"].contains(&value),
            _ => {}
        }
    }
    terms
}

/// Starts it now and whenever the machine starts; `anew` where it may run with what was there before.
///
/// # Errors
/// systemd does not do it.
pub(super) fn start(unit: &str, anew: bool) -> Result<(), Failure> {
    let start = if anew { "restart" } else { "start" };
    for arguments in [["enable", unit].as_slice(), &[start, unit]] {
        let status = Command::new(SYSTEMCTL).args(arguments).status();
        match status {
            Ok(status) if status.success() => {}
            outcome => {
                let why = outcome.map_or_else(|error| error.to_string(), |status| status.to_string());
                return Err(Failure::new(format!(
                    "everything is written, but `systemctl {}` failed ({why}); `{}` says why",
                    arguments.join(" "),
                    here().journal()
                )));
            }
        }
    }
    Ok(())
}

/// Whether this machine was started by systemd (sd_booted(3)).
fn systemd_runs() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// Whether systemd has this unit, or the template of it.
fn is_known(systemctl: &str, unit: &str) -> bool {
    is(systemctl, "cat", unit)
}

fn is_stopped_as(says: impl Fn(&str) -> bool) -> bool {
    says("is-enabled") && !says("is-active")
}

/// Whether systemctl says yes.
fn is(systemctl: &str, verb: &str, unit: &str) -> bool {
    let mut command = Command::new(systemctl);
    command.args([verb, unit]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_none_where_systemd_has_none() {
        for (systemctl, known) in [("true", true), ("false", false), ("/nowhere/systemctl", false)] {
            assert_eq!(is_known(systemctl, "owncast-herald.service"), known, "{systemctl}");
        }
    }

    #[test]
    fn a_service_runs_on_the_terms_that_systemd_shows() {
        let of = |group: Option<&str>, more: &[&str], sees_homes| Terms {
            group: group.map(str::to_owned),
            more_groups: more.iter().map(|group| (*group).to_owned()).collect(),
            sees_homes,
        };
        for (shown, found) in [
            ("", Terms::default()),
            ("Group=herald\nSupplementaryGroups=\nProtectHome=yes\n", of(Some("herald"), &[], false)),
            ("Group=\nSupplementaryGroups=ssl-cert owncast\n", of(None, &["ssl-cert", "owncast"], false)),
            ("ProtectHome=no\n", of(None, &[], true)),
            ("ProtectHome=tmpfs\n", of(None, &[], false)),
        ] {
            assert_eq!(terms(shown), found, "{shown}");
        }
    }

    #[test]
    fn a_service_is_stopped_that_starts_with_the_machine_and_does_not_run() {
        for (so, stopped) in [
            (&["is-enabled"][..], true),
            (&["is-enabled", "is-active"], false),
            (&["is-active"], false),
            (&[], false),
        ] {
            assert_eq!(is_stopped_as(|verb| so.contains(&verb)), stopped, "{so:?}");
        }
    }
}
