//! What there is of this agent already, where setup is not the first.

use std::process::{Command, Stdio};

use super::super::files::Places;
use crate::agent::board::Way;
use crate::control::protocol::{Answer, Ask, IdentityWord, Status};

/// The exit code where no agent answers.
const NOBODY: i32 = 69;

/// What tells this agent's own traces in Owncast from those of another.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Own {
    /// There is no agent yet.
    Nothing,
    /// It says, or its store, what Owncast's row id of its webhook is, and whether it knows who it is.
    Known { webhook: Option<i64>, is_somebody: bool },
    /// It cannot be asked.
    Untold,
}

impl Own {
    /// As the agent says, or its store where it does not run.
    pub(super) fn of(places: &Places) -> Own {
        if places.config.as_deref().is_some_and(|file| !file.exists()) {
            return Own::Nothing;
        }
        let mut status = this_program(places);
        status.args(["status", "--json"]).stdin(Stdio::null()).stderr(Stdio::null());
        let Ok(output) = status.output() else { return Own::Untold };
        // What a store says comes with an exit code, too.
        match serde_json::from_slice::<Status>(&output.stdout) {
            Ok(status) => {
                Own::Known { webhook: status.owncast.webhook, is_somebody: status.identity.actor.is_some() }
            }
            Err(_) if output.status.code() == Some(NOBODY) => Own::Nothing,
            Err(_) => Own::Untold,
        }
    }

    /// Whether this webhook of an agent is another agent's, as far as can be told.
    pub(super) fn is_of_another(&self, webhook: i64) -> bool {
        match self {
            Own::Nothing => true,
            Own::Known { webhook: own, .. } => *own != Some(webhook),
            Own::Untold => false,
        }
    }

    /// Whether there is surely no actor yet, who would go on whatever Owncast says.
    pub(super) fn is_nobody_yet(&self) -> bool {
        matches!(self, Own::Nothing | Own::Known { is_somebody: false, .. })
    }
}

/// Whether the agent has a key: it waits for nobody then who takes over Owncast's.
pub(super) fn has_key(places: &Places) -> bool {
    let settled = match places.try_ask(&Ask::Status) {
        Ok(Ok(Answer::Status(status))) => status.identity.state == IdentityWord::Settled,
        _ => false,
    };
    settled || places.stored().is_ok_and(|config| config.identity.key_file.exists())
}

/// Whether an agent runs whose password Owncast takes.
pub(super) fn is_admin(places: &Places) -> bool {
    match places.try_ask(&Ask::Status) {
        Ok(Ok(Answer::Status(status))) => matches!(status.sources.admin.way, Way::Works),
        _ => false,
    }
}

/// This program once more, about the same agent: where that does not run, it becomes the store's owner, and setup could not
/// go on.
pub(super) fn this_program(places: &Places) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.args(places.arguments());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_is_of_another_agent_unless_it_is_its_own_or_nobody_can_tell() {
        let known = |webhook| Own::Known { webhook, is_somebody: true };
        for (own, another) in [
            (Own::Nothing, true),
            (known(Some(7)), false),
            (known(Some(8)), true),
            (known(None), true),
            (Own::Untold, false),
        ] {
            assert_eq!(own.is_of_another(7), another, "{own:?}");
        }
    }

    #[test]
    fn an_actor_that_nobody_can_tell_of_may_be_there() {
        for (own, nobody) in [
            (Own::Nothing, true),
            (Own::Known { webhook: None, is_somebody: false }, true),
            (Own::Known { webhook: None, is_somebody: true }, false),
            (Own::Untold, false),
        ] {
            assert_eq!(own.is_nobody_yet(), nobody, "{own:?}");
        }
    }

    #[test]
    fn a_configuration_that_is_not_there_has_no_agent() {
        let places = Places { config: Some("/nowhere/agent.toml".into()), ..Places::default() };
        assert_eq!(Own::of(&places), Own::Nothing);
        assert!(!has_key(&places) && !is_admin(&places));
    }
}
