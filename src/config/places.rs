//! Where the agent in question is, as the command line says it, and so how a command about it is typed.
//!
//! Texts come from everywhere, also from rooms and errors that know nothing of the command line: they ask [`here`]. It is
//! the process's own, as its arguments are: nothing is decided by it.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::{DEFAULT_FILE, Instance, password_beside};

const PROGRAM: &str = env!("CARGO_PKG_NAME");
/// What goes without a configuration.
const WITHOUT: [&str; 3] = ["demo", "completions", "man"];
/// What goes without a running agent.
const WITHOUT_SOCKET: [&str; 3] = ["run", "check-config", "setup"];

/// What the command line says about places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// `--config`
    pub config: Option<PathBuf>,
    /// `--socket`
    pub socket: Option<PathBuf>,
    /// `--instance`
    pub instance: Option<Instance>,
}

static HERE: OnceLock<Places> = OnceLock::new();
/// The only agent of a host.
static ALONE: Places = Places { config: None, socket: None, instance: None };

/// The agent that this process is, or speaks to: every text that tells somebody to type something is about that one.
pub fn here() -> &'static Places {
    HERE.get().unwrap_or(&ALONE)
}

impl Places {
    /// As the command line says it. The configuration gets its whole path; the socket is opened as it is named, since the path
    /// of one may not be long.
    pub(crate) fn named(
        config: Option<PathBuf>,
        socket: Option<PathBuf>,
        instance: Option<Instance>,
    ) -> Places {
        Places { config: config.map(whole), socket, instance }
    }

    /// Makes these [`here`], once per process.
    pub(crate) fn settle(&self) {
        // What was said first stands.
        let _ = HERE.set(self.clone());
    }

    /// Where the configuration is, or is to be.
    pub fn config_path(&self) -> PathBuf {
        match (&self.config, &self.instance) {
            (Some(named), _) => named.clone(),
            (None, Some(instance)) => instance.file(&folder()),
            (None, None) => PathBuf::from(DEFAULT_FILE),
        }
    }

    /// The same places as arguments, for this program run as somebody else.
    pub fn arguments(&self) -> Vec<OsString> {
        let named = [("--config", &self.config), ("--socket", &self.socket)];
        let given = named.iter().filter_map(|(name, path)| path.as_ref().map(|path| (name, path)));
        let given = given.flat_map(|(name, path)| [OsString::from(name), path.clone().into()]);
        let instance = self
            .instance
            .iter()
            .flat_map(|instance| ["--instance".into(), OsString::from(instance.to_string())]);
        given.chain(instance).collect()
    }

    /// A command about this agent as it can be typed, in whatever folder; `rest` is everything behind the program's name.
    pub fn typed(&self, rest: &str) -> String {
        let verb = rest.split(' ').next().unwrap_or_default();
        let socket = self.socket.clone().filter(|_| !WITHOUT_SOCKET.contains(&verb)).map(whole);
        let options = match WITHOUT.contains(&verb) {
            true => Vec::new(),
            false => Places { socket, ..self.clone() }.arguments(),
        };
        let options: String = options.iter().map(|option| format!(" {}", quoted(option))).collect();
        format!("{PROGRAM}{options} {rest}")
    }

    /// The same with `sudo` where that is needed.
    pub fn command(&self, rest: &str) -> String {
        let packaged = self.config.is_none() && self.socket.is_none();
        let needed = packaged || std::env::var_os("SUDO_UID").is_some();
        format!("{}{}", if needed { "sudo " } else { "" }, self.typed(rest))
    }

    /// The name of this agent's service. One that is configured elsewhere has none, or one that nobody knows here.
    pub fn unit(&self) -> Option<String> {
        let of = |instance: &Instance| format!("{PROGRAM}@{instance}");
        match (&self.instance, self.config.as_deref()) {
            (Some(instance), _) => Some(of(instance)),
            (None, None) => Some(PROGRAM.to_owned()),
            (None, Some(file)) if file == Path::new(DEFAULT_FILE) => Some(PROGRAM.to_owned()),
            (None, Some(file)) => {
                let instance: Instance = file.file_stem()?.to_str()?.parse().ok()?;
                (instance.file(&folder()) == file).then(|| of(&instance))
            }
        }
    }

    /// What starts, stops or restarts this agent, for who knows whether that needs `sudo`.
    pub fn service(&self, verb: &str) -> String {
        self.unit()
            .map_or_else(|| by_hand(verb, &self.typed("run")), |unit| format!("systemctl {verb} {unit}"))
    }

    /// The same with `sudo`.
    pub fn systemctl(&self, verb: &str) -> String {
        self.unit().map_or_else(
            || by_hand(verb, &self.command("run")),
            |unit| format!("sudo systemctl {verb} {unit}"),
        )
    }

    /// What shows this agent's log.
    pub fn journal(&self) -> String {
        // Whatever unit runs the program, its lines carry its name.
        self.unit().map_or_else(|| format!("journalctl -t {PROGRAM}"), |unit| format!("journalctl -u {unit}"))
    }

    /// Where the service takes Owncast's admin password from.
    pub fn password_file(&self) -> PathBuf {
        password_beside(&self.config_path())
    }
}

fn whole(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

/// The same for an agent whose unit nobody knows here, if it has one.
fn by_hand(verb: &str, run: &str) -> String {
    match verb {
        "start" => run.to_owned(),
        "restart" => {
            format!("Ctrl-C where it runs and {run}, or systemctl restart with the name of its unit")
        }
        _ => format!("Ctrl-C where it runs, or systemctl {verb} with the name of its unit"),
    }
}

/// Where the configurations of all instances are.
fn folder() -> PathBuf {
    let of_unit = std::env::var("CONFIGURATION_DIRECTORY").ok().filter(|folder| !folder.is_empty());
    let default = || Path::new(DEFAULT_FILE).parent().unwrap_or(Path::new("/")).to_owned();
    of_unit.map(PathBuf::from).unwrap_or_else(default)
}

/// An argument as a shell takes it: in quotes if it needs them.
pub fn quoted(argument: &OsStr) -> String {
    let text = argument.display().to_string();
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=,@+%".contains(letter);
    match !text.is_empty() && text.chars().all(plain) {
        true => text,
        false => format!("'{}'", text.replace(char::is_control, "\u{fffd}").replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn radio() -> Places {
        Places { instance: "radio".parse().ok(), ..Places::default() }
    }

    fn elsewhere() -> Places {
        Places { config: Some("/srv/my stream/agent.toml".into()), ..Places::default() }
    }

    #[test]
    fn a_command_names_the_agent_it_is_about() {
        let places = Places::default();
        assert_eq!(places.command("status"), "sudo owncast-herald status");
        assert_eq!(places.typed("status"), "owncast-herald status");
        assert_eq!(radio().typed("resume --restored"), "owncast-herald --instance radio resume --restored");
        assert_eq!(radio().command("adopt --undo"), "sudo owncast-herald --instance radio adopt --undo");
        assert_eq!(elsewhere().typed("status"), "owncast-herald --config '/srv/my stream/agent.toml' status");
        assert_eq!(radio().typed("demo"), "owncast-herald demo");
        let socket = Places { socket: Some("/s".into()), ..radio() };
        assert_eq!(socket.typed("status"), "owncast-herald --socket /s --instance radio status");
        assert_eq!(socket.typed("setup --force"), "owncast-herald --instance radio setup --force");
    }

    #[test]
    fn a_path_is_said_so_that_it_is_one_in_every_folder() {
        let places = Places::named(Some("mine/agent.toml".into()), Some("s".into()), None);
        let here = std::env::current_dir().unwrap();
        assert_eq!(places.config, Some(here.join("mine/agent.toml")));
        assert_eq!(places.socket, Some("s".into()), "whole it may be too long to be opened");
        let said = places.typed("status");
        assert!(said.contains(&format!(" --socket {} ", quoted(here.join("s").as_os_str()))), "{said}");
    }

    #[test]
    fn a_service_is_named_where_it_is_known() {
        assert_eq!(Places::default().systemctl("start"), "sudo systemctl start owncast-herald");
        assert_eq!(radio().service("restart"), "systemctl restart owncast-herald@radio");
        assert_eq!(radio().journal(), "journalctl -u owncast-herald@radio");
        let at = |file: &str| Places { config: Some(file.into()), ..Places::default() };
        assert_eq!(at("/etc/owncast-herald/agent.toml").service("stop"), "systemctl stop owncast-herald");
        assert_eq!(
            at("/etc/owncast-herald/radio.toml").service("stop"),
            "systemctl stop owncast-herald@radio"
        );
        assert_eq!(at("/etc/owncast-herald/Old.toml").unit(), None);
        // Elsewhere there is none, and what is said instead can be typed as well.
        let run = "owncast-herald --config '/srv/my stream/agent.toml' run";
        assert_eq!(elsewhere().service("start"), run);
        assert!(elsewhere().systemctl("restart").contains(run), "{}", elsewhere().systemctl("restart"));
        assert!(elsewhere().systemctl("disable --now").starts_with("Ctrl-C"));
        assert_eq!(elsewhere().journal(), "journalctl -t owncast-herald");
    }

    #[test]
    fn an_argument_is_quoted_where_a_shell_would_take_it_apart() {
        for (argument, want) in [
            ("/var/lib/owncast", "/var/lib/owncast"),
            ("/srv/my stream", "'/srv/my stream'"),
            ("it's;$(x)", r"'it'\''s;$(x)'"),
            ("a\u{1b}[2J\nb", "'a\u{fffd}[2J\u{fffd}b'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(OsStr::new(argument)), want);
        }
    }
}
