//! What the running agent says of itself; pure.

use super::{Agent, Code, Finding, Level, Patient};
use crate::agent::board::{Source, Way};
use crate::config::here;
use crate::control::protocol::{Deliveries, IdentityWord, Status};

/// While it may still be the old machine's.
pub(super) const MADE_LATER: &str = "left as it is in Owncast until resume --restored";

/// Everything that only a running agent knows.
pub(super) fn findings(patient: &Patient) -> Vec<Finding> {
    match &patient.agent {
        Agent::Runs(status) => of_status(status),
        Agent::Stopped => {
            let (start, journal) = (here().service("start"), here().journal());
            let cure = format!("start it ({start}) and look into its log ({journal})");
            let mut findings = vec![Finding::red(Code::Agent, "no agent runs", cure)];
            findings.extend(
                [Code::Identity, Code::Held, Code::Webhook, Code::Websocket, Code::Followers]
                    .map(|code| Finding::unchecked(code, "only a running agent knows")),
            );
            findings
        }
        Agent::Silent(why) => {
            vec![Finding::red(
                Code::Agent,
                format!("the agent cannot be asked: {why}"),
                "run this with sudo, or see its log",
            )]
        }
    }
}

fn of_status(status: &Status) -> Vec<Finding> {
    let held = status.wishes.restored.is_some();
    let followers = followers(&status.deliveries, status.followers.approved);
    let mut findings = vec![release(status), identity(status), self::held(held), followers];
    findings.push(match &status.sources.webhook.way {
        Way::Untried if held => Finding::unchecked(Code::Webhook, MADE_LATER),
        _ => way(Code::Webhook, "Owncast's webhook", &status.sources.webhook, Level::Red),
    });
    // The agent asks more often without it: nothing is lost but seconds.
    findings.push(way(Code::Websocket, "Owncast's chat websocket", &status.sources.websocket, Level::Yellow));
    findings.extend(
        status.attention.iter().map(|text| Finding::told(Code::Attention, Level::Yellow, text.as_str())),
    );
    findings
}

fn release(status: &Status) -> Finding {
    const OURS: &str = env!("CARGO_PKG_VERSION");
    if status.version == OURS {
        return Finding::green(Code::Agent, format!("agent {OURS} runs"));
    }
    Finding::yellow(
        Code::Agent,
        format!("agent {} runs, and {OURS} is installed", status.version),
        format!("restart it ({})", here().service("restart")),
    )
}

/// Whether anything is sent at all.
pub(super) fn held(held: bool) -> Finding {
    if held {
        return Finding::yellow(
            Code::Held,
            "everything here was restored from a backup",
            format!(
                "nothing is sent or announced before: {}. Is the old machine stopped?",
                here().typed("resume --restored")
            ),
        );
    }
    Finding::green(Code::Held, "no backup was restored that waits to be let loose")
}

fn identity(status: &Status) -> Finding {
    let identity = &status.identity;
    match (identity.state, &identity.handle, &identity.why) {
        (IdentityWord::Settled, Some(handle), _) => {
            Finding::green(Code::Identity, format!("it is @{handle}"))
        }
        // The reason names the ways on.
        (_, _, why) => Finding::told(
            Code::Identity,
            Level::Red,
            why.as_deref().unwrap_or("the agent does not know yet who it is"),
        ),
    }
}

fn way(code: Code, what: &str, source: &Source, broken: Level) -> Finding {
    match &source.way {
        Way::Works => {
            let lag = source.lag_ms.map_or_else(String::new, |lag| format!(" ({lag} ms)"));
            Finding::green(code, format!("{what} is proved to work{lag}"))
        }
        Way::Untried => Finding::yellow(code, format!("{what} is not proved yet"), "ask again in a minute"),
        Way::Off(why) if code == Code::Websocket => {
            Finding::green(code, format!("{what} is not used: {why}"))
        }
        Way::Off(why) => Finding::told(code, Level::Yellow, format!("{what} is not used: {why}")),
        Way::Broken(why) => Finding::told(code, broken, format!("{what} does not work: {why}")),
    }
}

/// Some server is always away, and what is dead for good stays so: only where it is many does somebody have to look.
fn followers(Deliveries { hosts, unreached, .. }: &Deliveries, total: u64) -> Finding {
    if hosts.shut == 0 {
        return Finding::green(
            Code::Followers,
            format!("{total} followers, and every server of theirs takes what is sent"),
        );
    }
    let text = format!(
        "{} servers do not take what is sent (dead for a week: {}); of {total} followers {} are there",
        hosts.shut, hosts.parked, unreached.followers
    );
    let failing = unreached.followers.saturating_sub(unreached.parked);
    let many = failing * 10 > total.saturating_sub(unreached.parked) || unreached.parked * 2 > total;
    if !many {
        return Finding::green(Code::Followers, text);
    }
    Finding::yellow(
        Code::Followers,
        text,
        format!(
            "{} names them and why; what is dead for good is left alone by itself",
            here().typed("deliveries --failed")
        ),
    )
}

/// What the agent wants looked at is often what was found as well.
pub(super) fn drop_what_is_said(findings: &mut Vec<Finding>) {
    let said: Vec<String> =
        findings.iter().filter(|f| f.code != Code::Attention).map(|f| f.text.clone()).collect();
    let covered = |text: &str| {
        said.iter().any(|said| said.contains(text) || text.contains(said.as_str()))
            || text.contains("'s clock is ")
            || text.contains("two posts for each stream")
            || text.contains("announces each stream as well")
    };
    findings.retain(|finding| finding.code != Code::Attention || !covered(&finding.text));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::host::{HostCounts, Unreached};

    #[test]
    fn a_few_followers_out_of_reach_are_as_it_should_be() {
        for (total, [shut, parked], [there, dead], level) in [
            (300, [0, 0], [0, 0], Level::Green),
            (300, [1, 1], [1, 1], Level::Green),
            (300, [12, 4], [30, 5], Level::Green),
            (300, [12, 4], [40, 5], Level::Yellow),
            // The one large server.
            (300, [1, 0], [150, 0], Level::Yellow),
            // Dead for good, in a small circle.
            (5, [1, 1], [2, 2], Level::Green),
            (5, [2, 1], [3, 2], Level::Yellow),
            (5, [3, 3], [3, 3], Level::Yellow),
            // Somebody who liked once, and does not follow.
            (0, [1, 0], [0, 0], Level::Green),
        ] {
            let found = followers(
                &Deliveries {
                    waiting: 0,
                    hosts: HostCounts { shut, parked },
                    unreached: Unreached { followers: there, parked: dead },
                    fan_outs: Vec::new(),
                },
                total,
            );
            assert_eq!((found.level, found.cure.is_some()), (level, level == Level::Yellow), "{found:?}");
            assert!(shut == 0 || found.text.contains(&format!("{shut} servers")), "{found:?}");
        }
    }
}
