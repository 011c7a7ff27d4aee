//! The names of the records' kinds in a file.

use crate::model::record::kind;

const NAMES: [(u8, &str); 26] = [
    (kind::FOLLOWER, "follower"),
    (kind::NEWCOMERS, "newcomers"),
    (kind::OWNERS_INBOXES, "owners-inboxes"),
    (kind::INBOX, "inbox"),
    (kind::INBOX_NUMBER, "inbox-number"),
    (kind::BLOCK, "block"),
    (kind::POST, "post"),
    (kind::ENGAGEMENT, "engagement"),
    (kind::ENGAGERS, "engagers"),
    (kind::SEEN, "seen"),
    (kind::OUTGOING, "activity"),
    (kind::CHUNK, "deliveries"),
    (kind::FANOUT, "fan-out"),
    (kind::FURTHER, "further"),
    (kind::ATTEMPT, "attempt"),
    (kind::HOST, "host"),
    (kind::SCHEME, "scheme"),
    (kind::RESTING, "resting"),
    (kind::ALARM, "alarm"),
    (kind::NOTICE, "notice"),
    (kind::SAID, "said"),
    (kind::REPORT, "report"),
    (kind::IMPORTED, "imported"),
    (kind::TAKEN, "taken"),
    (kind::SET_ASIDE, "set-aside"),
    (kind::META, "state"),
];

/// The name of a kind; one that has none is called by its number, so that nothing is ever left out.
pub(super) fn name(kind: u8) -> String {
    let named = NAMES.iter().find(|(byte, _)| *byte == kind);
    named.map_or_else(|| format!("kind-{kind}"), |(_, name)| (*name).to_owned())
}

/// The kind of a name.
pub(super) fn of_name(name: &str) -> Option<u8> {
    let named = NAMES.iter().find(|(_, known)| *known == name).map(|(byte, _)| *byte);
    named.or_else(|| name.strip_prefix("kind-")?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_one_name_and_comes_back_from_it() {
        for kind in 0..=u8::MAX {
            assert_eq!(of_name(&name(kind)), Some(kind));
        }
        assert_eq!((of_name("kind-256"), of_name("follow")), (None, None));
        let mut names: Vec<&str> = NAMES.iter().map(|(_, name)| *name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), NAMES.len());
    }
}
