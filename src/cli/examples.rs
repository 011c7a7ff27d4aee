//! What `--help` shows below the options: commands as somebody would type them.

pub(super) const RUN: &str = "\
Examples:
  owncast-herald run
  owncast-herald run --config ./agent.toml
  owncast-herald run --owncast http://127.0.0.1:8080 --store ./herald
  owncast-herald run --observe

A first try needs no file: --owncast and --store, and the admin password in the variable OWNCAST_ADMIN_PASSWORD. \
What is to be done once, such as --new-identity, is done beside a service while that is stopped, and ended with Ctrl-C when the \
log says that it is done. Started by root, the agent becomes the owner of its store, or of the folder that is to hold it.";

pub(super) const STATUS: &str = "\
Examples:
  owncast-herald status
  owncast-herald status --watch
  owncast-herald status --settings
  owncast-herald -i radio status";

pub(super) const FOLLOWERS: &str = "\
Examples:
  owncast-herald followers list
  owncast-herald followers list --state pending
  owncast-herald followers approve ana@peer.example
  owncast-herald followers remove https://peer.example/users/ana";

pub(super) const BLOCK: &str = "\
Examples:
  owncast-herald block add rude.example
  owncast-herald block add troll@peer.example
  owncast-herald block list
  owncast-herald block remove rude.example";

pub(super) const GO_LIVE: &str = "\
Examples:
  owncast-herald go-live preview
  owncast-herald go-live now
  owncast-herald go-live skip
  owncast-herald go-live message \"Tonight: the harbour at dusk\"
  owncast-herald go-live message --clear";

pub(super) const DELIVERIES: &str = "\
Examples:
  owncast-herald deliveries
  owncast-herald deliveries --failed
  owncast-herald deliveries --host peer.example
  owncast-herald deliveries retry --host peer.example
  owncast-herald deliveries drop --host gone.example --yes";

pub(super) const PAUSE: &str = "\
Examples:
  owncast-herald pause --for 2h
  owncast-herald resume";

pub(super) const ADOPT: &str = "\
Examples:
  sudo owncast-herald adopt --data-dir /opt/owncast/data --dry-run
  sudo owncast-herald adopt --data-dir /opt/owncast/data
  sudo owncast-herald adopt --data-dir /opt/owncast/data --catch-up
  sudo owncast-herald adopt --data-dir /opt/owncast/data --finish
  sudo owncast-herald adopt --api --dry-run
  sudo owncast-herald adopt --undo --dry-run
  sudo owncast-herald adopt --data-dir /opt/owncast/data --give-back

In this order: see what would move in, move in, lead the proxy to the agent, catch up with who followed in between, and, with \
Owncast stopped for a moment, end its own federation. Nothing in Owncast's database changes before --finish; once it has the \
key, the agent takes over Owncast's go-live message, so that nobody gets two posts. README.md tells it step by step, OPERATING.md \
the way back: both are in /usr/share/doc/owncast-herald, or with the sources.";

pub(super) const DISCONNECT: &str = "\
Examples:
  sudo systemctl disable --now owncast-herald
  sudo owncast-herald disconnect

Before the agent leaves for good; the key, the followers and what was posted stay in its store.";

pub(super) const EXPORT: &str = "\
Examples:
  sudo owncast-herald export /root/herald.backup --with-key
  sudo owncast-herald export /root/herald.backup
  owncast-herald export - --with-key

With the key everything is in the file, and whoever has it can speak as this actor. How it is restored is told in BACKUP.md, which \
is in /usr/share/doc/owncast-herald, or with the sources.";

pub(super) const IMPORT: &str = "\
Examples:
  owncast-herald import --check /root/herald.backup
  sudo owncast-herald import /root/herald.backup
  sudo owncast-herald import --replace /root/herald.backup

Afterwards, when the old machine's agent is stopped and this one runs: owncast-herald resume --restored";

pub(super) const BACKUP: &str = "\
Examples:
  sudo owncast-herald backup /var/backups/owncast-herald
  sudo systemctl enable --now owncast-herald-backup.timer

The timer makes one every night. A copy on another machine outlives this one. How it is restored is told in BACKUP.md, which is in \
/usr/share/doc/owncast-herald, or with the sources.";

pub(super) const KEY: &str = "\
Examples:
  owncast-herald key show
  sudo owncast-herald key export /root/actor-key.pem
  sudo owncast-herald key import /root/actor-key.pem
  sudo owncast-herald key rotate

Without its key nobody can go on as this actor, and all followers are lost: keep a copy somewhere else.";

pub(super) const DOCTOR: &str = "\
Examples:
  sudo owncast-herald doctor
  sudo owncast-herald doctor --json
  sudo owncast-herald -i radio doctor";

pub(super) const COMPLETIONS: &str = "\
Examples:
  owncast-herald completions bash
  owncast-herald completions zsh
  owncast-herald completions fish

The packages have these in place already.";

#[cfg(test)]
mod tests {
    use crate::cli::{Cli, table};

    /// Words as a shell sees them.
    fn words(line: &str) -> Vec<String> {
        let outside_or_quoted = line.split('"').enumerate();
        outside_or_quoted
            .flat_map(|(place, part)| match place % 2 {
                0 => part.split_whitespace().map(str::to_owned).collect(),
                _ => vec![part.to_owned()],
            })
            .collect()
    }

    #[test]
    fn every_example_is_understood() {
        let mut examples = 0;
        for command in table().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let lines = help.lines().filter_map(|line| line.strip_prefix("  "));
            for line in lines.filter(|line| !line.contains("systemctl")) {
                let words = words(line.strip_prefix("sudo ").unwrap_or(line));
                let parsed = Cli::read(words);
                assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
                examples += 1;
            }
        }
        assert!(examples > 45, "{examples} examples");
    }

    #[test]
    fn whatever_is_to_be_read_is_named_with_the_place_where_it_is_installed() {
        let (mut table, mut named) = (table(), 0);
        table.build();
        for mut command in table.get_subcommands().cloned() {
            let help = command.render_long_help().to_string();
            if help.contains(".md") {
                assert!(help.contains("/usr/share/doc/owncast-herald"), "{help}");
                named += 1;
            }
        }
        assert!(named >= 4, "{named} commands name something to be read");
    }
}
