//! One of several agents on a host, each beside an Owncast of its own.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The name of an agent of which several run on a host, each with its own configuration, store and socket: what stands
/// behind the `@` of the template unit `owncast-herald@NAME.service`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance(String);

/// The longest name; paths of sockets are short on every system.
const LONGEST: usize = 32;

/// Why a name is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAnInstance {
    /// Something that systemd or the file system would take for something else.
    #[error("a name has 1 to {LONGEST} small letters, digits and hyphens, and begins with a letter or digit")]
    Shape,
    /// `agent.toml` is the file of the agent without a name.
    #[error(
        "\"agent\" is no name, since agent.toml belongs to the agent without one; leave the option out for that"
    )]
    Agent,
}

impl FromStr for Instance {
    type Err = NotAnInstance;

    fn from_str(name: &str) -> Result<Self, NotAnInstance> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let good = name.bytes().all(|byte| plain(byte) || byte == b'-')
            && name.bytes().next().is_some_and(plain)
            && name.len() <= LONGEST;
        match name {
            "agent" => Err(NotAnInstance::Agent),
            _ if good => Ok(Instance(name.to_owned())),
            _ => Err(NotAnInstance::Shape),
        }
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Instance {
    /// Its configuration, in the folder of all of them.
    pub fn file(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{self}.toml"))
    }

    /// Its store, unless its configuration says otherwise.
    pub fn store(&self) -> PathBuf {
        PathBuf::from(format!("/var/lib/owncast-herald-{self}"))
    }

    /// Where its unit puts the administration socket.
    pub fn socket(&self) -> PathBuf {
        PathBuf::from(format!("/run/owncast-herald-{self}/admin.sock"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: &str = include_str!("../../systemd/owncast-herald@.service");
    /// Those of the agent without a name, and of any other.
    const BACKUP: [[&str; 2]; 2] = [
        [
            include_str!("../../systemd/owncast-herald-backup.service"),
            include_str!("../../systemd/owncast-herald-backup@.service"),
        ],
        [
            include_str!("../../systemd/owncast-herald-backup.timer"),
            include_str!("../../systemd/owncast-herald-backup@.timer"),
        ],
    ];

    #[test]
    fn a_name_is_plain() {
        for good in ["one", "2nd", "radio-live", "a"] {
            assert_eq!(good.parse::<Instance>().unwrap().to_string(), good);
        }
        let long = "x".repeat(LONGEST + 1);
        for bad in ["", "-one", "One", "a b", "../etc", "a/b", "a.b", "é", "a_b", &long] {
            assert_eq!(bad.parse::<Instance>(), Err(NotAnInstance::Shape), "{bad}");
        }
        assert_eq!("agent".parse::<Instance>(), Err(NotAnInstance::Agent));
    }

    #[test]
    fn its_places_are_those_of_the_unit() {
        let instance: Instance = "one".parse().unwrap();
        let unit = UNIT.replace("%i", "one");
        let says = |line: String| assert!(unit.lines().any(|of_unit| of_unit == line), "{line}");
        let below = |path: &Path, folder: &str| path.strip_prefix(folder).unwrap().display().to_string();
        says(format!("ConditionPathExists={}", instance.file(Path::new("/etc/owncast-herald")).display()));
        says(format!("StateDirectory={}", below(&instance.store(), "/var/lib")));
        says(format!("RuntimeDirectory={}", below(instance.socket().parent().unwrap(), "/run")));
    }

    #[test]
    fn its_backup_is_that_of_any_agent_in_its_own_places() {
        for [plain, template] in BACKUP {
            let made = [
                ("/etc/owncast-herald/agent.toml", "/etc/owncast-herald/%i.toml"),
                ("After=owncast-herald.service", "After=owncast-herald@%i.service"),
                (
                    "herald backup /var/lib/owncast-herald/",
                    "herald --instance %i backup /var/lib/owncast-herald-%i/",
                ),
                ("StateDirectory=owncast-herald\n", "StateDirectory=owncast-herald-%i\n"),
                ("Backup of owncast-herald", "Backup of owncast-herald %i"),
                ("systemctl edit owncast-herald-backup", "systemctl edit owncast-herald-backup@NAME"),
                ("owncast-herald-backup.timer", "owncast-herald-backup@NAME.timer"),
            ]
            .into_iter()
            .fold(plain.to_owned(), |unit, (of_one, of_any)| unit.replace(of_one, of_any));
            assert_eq!(made, template);
        }
    }
}
