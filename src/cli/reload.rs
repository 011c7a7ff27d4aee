//! `reload`: the running agent reads its configuration again.

use super::Outcome;
use super::files::{Places, unexpected};
use super::text::{json, line};
use crate::config::here;
use crate::control::protocol::{Answer, Ask, ChangedSetting, Reloaded};

pub(super) fn reload(places: &Places, as_json: bool) -> Outcome {
    let Answer::Reloaded(reloaded) = places.ask(&Ask::Reload)? else { return Err(unexpected()) };
    if as_json { json(&reloaded) } else { Ok(told(&reloaded)) }
}

fn told(reloaded: &Reloaded) -> String {
    let mut text = String::new();
    if reloaded.changes.is_empty() {
        text.push_str("Read again; nothing has changed.\n");
    }
    for change in &reloaded.changes {
        text.push_str(&row(change));
    }
    let earlier = |waiting: &&ChangedSetting| reloaded.changes.iter().all(|new| new.field != waiting.field);
    for change in reloaded.waiting.iter().filter(earlier) {
        text.push_str(&row(change));
    }
    if !reloaded.waiting.is_empty() {
        text.push_str(&format!("To restart: {}\n", here().service("restart")));
    }
    text
}

fn row(change: &ChangedSetting) -> String {
    let later = if change.needs_restart { " (after a restart)" } else { "" };
    format!("{}: {} → {}{later}\n", change.field, line(&change.from), line(&change.to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told() {
        let nothing = Reloaded { changes: Vec::new(), waiting: Vec::new() };
        assert_eq!(told(&nothing), "Read again; nothing has changed.\n");
        let change = |field: &str, needs_restart| ChangedSetting {
            field: field.to_owned(),
            from: "a".to_owned(),
            to: "b".to_owned(),
            needs_restart,
        };
        let waiting = vec![change("listen.public", true)];
        let changes = vec![change("go-live.delay", false), change("listen.public", true)];
        let want = "go-live.delay: a → b\nlisten.public: a → b (after a restart)\n\
                    To restart: systemctl restart owncast-herald\n";
        assert_eq!(told(&Reloaded { changes, waiting: waiting.clone() }), want);
        let want = "Read again; nothing has changed.\nlisten.public: a → b (after a restart)\n\
                    To restart: systemctl restart owncast-herald\n";
        assert_eq!(told(&Reloaded { changes: Vec::new(), waiting }), want);
    }
}
