//! Commands that a text tells somebody to type, so that they are about the agent in question.
//!
//! Most texts come from rooms that know of one agent, or from the running one. Whoever has said which of several is meant
//! would type them for another.

use clap::CommandFactory;

use super::Cli;
use super::files::Places;
use super::text::quoted;

const PROGRAM: &str = env!("CARGO_PKG_NAME");
/// What goes without a configuration.
const WITHOUT: [&str; 3] = ["demo", "completions", "man"];
/// What goes without a running agent.
const WITHOUT_SOCKET: [&str; 3] = ["run", "check-config", "setup"];

impl Places {
    /// The text, with the options that name this agent in every command that names none, and its own unit in place of the
    /// usual one.
    pub(super) fn hinted(&self, text: &str) -> String {
        if self.arguments().is_empty() || !text.contains(PROGRAM) {
            return text.to_owned();
        }
        let table = Cli::command();
        let options = |verb: &str| {
            let known = table.find_subcommand(verb).is_some() && !WITHOUT.contains(&verb);
            let socket = self.socket.clone().filter(|_| !WITHOUT_SOCKET.contains(&verb));
            let places = Places { socket, ..self.clone() };
            let options = if known { places.arguments() } else { Vec::new() };
            options.iter().map(|option| format!(" {}", quoted(option))).collect::<String>()
        };
        let mut parts = text.split(PROGRAM);
        let mut hinted = parts.next().unwrap_or_default().to_owned();
        for behind in parts {
            let verb =
                behind.strip_prefix(' ').map(|words| word_of(words, |c| c.is_ascii_lowercase() || c == '-'));
            if names_a_unit(&hinted)
                && word_of(behind, |c| c.is_alphanumeric() || "@-".contains(c)).is_empty()
            {
                hinted.push_str(&self.unit());
            } else {
                hinted.push_str(PROGRAM);
                if begins_a_word(&hinted) {
                    hinted.push_str(&verb.map(&options).unwrap_or_default());
                }
            }
            hinted.push_str(behind);
        }
        hinted
    }
}

fn word_of(text: &str, of_it: impl Fn(char) -> bool) -> &str {
    text.find(|c| !of_it(c)).map_or(text, |end| &text[..end])
}

/// `text` ends with the program's name; it is no part of a path or a longer name.
fn begins_a_word(text: &str) -> bool {
    let before = text.strip_suffix(PROGRAM).and_then(|text| text.chars().next_back());
    before.is_none_or(|c| c.is_whitespace() || "\"'`(=".contains(c))
}

/// Whether what comes next is a unit: `systemctl restart `, `journalctl -u `.
fn names_a_unit(text: &str) -> bool {
    let mut words = text.strip_suffix(' ').unwrap_or_default().rsplit([' ', '`', '(', '\'']);
    let (last, before) = (words.next(), words.next());
    last == Some("-u") || before == Some("systemctl")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn radio() -> Places {
        Places { instance: "radio".parse().ok(), ..Places::default() }
    }

    #[test]
    fn commands_are_about_the_agent_that_was_named() {
        for (text, hinted) in [
            (
                "To end the pause: owncast-herald resume\n",
                "To end the pause: owncast-herald --instance radio resume\n",
            ),
            (
                "(owncast-herald go-live skip --undo).",
                "(owncast-herald --instance radio go-live skip --undo).",
            ),
            (
                "'owncast-herald import FILE', `owncast-herald key`",
                "'owncast-herald --instance radio import FILE', `owncast-herald --instance radio key`",
            ),
            (
                "OWNCAST_ADMIN_PASSWORD=… owncast-herald run",
                "OWNCAST_ADMIN_PASSWORD=… owncast-herald --instance radio run",
            ),
            (
                "Start it (systemctl start owncast-herald), or",
                "Start it (systemctl start owncast-herald@radio), or",
            ),
            ("`sudo systemctl restart owncast-herald`", "`sudo systemctl restart owncast-herald@radio`"),
            ("its log (journalctl -u owncast-herald)", "its log (journalctl -u owncast-herald@radio)"),
            ("systemctl enable owncast-herald.service", "systemctl enable owncast-herald@radio.service"),
        ] {
            assert_eq!(radio().hinted(text), hinted);
            assert_eq!(radio().hinted(hinted), hinted, "once is enough");
            assert_eq!(Places::default().hinted(text), text);
        }
        let socket = Places { socket: Some("/s".into()), ..Places::default() };
        assert_eq!(
            socket.hinted("owncast-herald status, owncast-herald setup"),
            "owncast-herald --socket /s status, owncast-herald setup"
        );
        let elsewhere = Places { config: Some("/srv/my stream/agent.toml".into()), ..Places::default() };
        let hinted = elsewhere.hinted("owncast-herald resume; systemctl restart owncast-herald");
        assert_eq!(
            hinted,
            "owncast-herald --config '/srv/my stream/agent.toml' resume; systemctl restart UNIT"
        );
    }

    #[test]
    fn what_is_no_command_stays() {
        for text in [
            "another owncast-herald is registered",
            "use its own owncast-herald program",
            "/var/lib/owncast-herald status",
            "owncast-herald demo",
            "owncast-herald: no agent",
            "systemctl stop owncast-herald@tv",
            "owncast-herald --instance tv status",
        ] {
            assert_eq!(radio().hinted(text), text);
        }
    }
}
