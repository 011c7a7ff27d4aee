//! `reload`: the running agent reads its configuration again.

use super::Outcome;
use super::files::{Places, unexpected};
use super::text::{json, line};
use crate::control::protocol::{Answer, Ask, Reloaded};

pub(super) fn reload(places: &Places, as_json: bool) -> Outcome {
    let Answer::Reloaded(reloaded) = places.ask(&Ask::Reload)? else { return Err(unexpected()) };
    if as_json { json(&reloaded) } else { Ok(told(&reloaded)) }
}

fn told(reloaded: &Reloaded) -> String {
    if reloaded.changes.is_empty() {
        return "Read again; nothing has changed.\n".to_owned();
    }
    let mut text = String::new();
    for change in &reloaded.changes {
        let later = if change.needs_restart { " (after a restart)" } else { "" };
        text.push_str(&format!("{}: {} → {}{later}\n", change.field, line(&change.from), line(&change.to)));
    }
    if reloaded.changes.iter().any(|change| change.needs_restart) {
        text.push_str("To restart: systemctl restart owncast-herald\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::protocol::ChangedSetting;

    #[test]
    fn changes_are_told() {
        assert_eq!(told(&Reloaded { changes: Vec::new() }), "Read again; nothing has changed.\n");
        let change = |field: &str, needs_restart| ChangedSetting {
            field: field.to_owned(),
            from: "a".to_owned(),
            to: "b".to_owned(),
            needs_restart,
        };
        let changes = vec![change("go-live.delay", false), change("listen.public", true)];
        let want = "go-live.delay: a → b\nlisten.public: a → b (after a restart)\n\
                    To restart: systemctl restart owncast-herald\n";
        assert_eq!(told(&Reloaded { changes }), want);
    }
}
