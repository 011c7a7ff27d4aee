//! What became of one job: sorted, counted, said in the log.

use std::time::Instant;

use jiff::Timestamp;
use tokio::sync::mpsc;

use super::classify::{self, About, Meaning, Reply};
use super::send::Sent;
use crate::decide::delivered::{Ending, Job};
use crate::decide::hosts::Contact;
use crate::model::delivery::OutgoingKind;
use crate::telemetry::metrics::{DeliveryOutcome, Metrics};

/// A job in memory, with the host of its inbox, and whose that is.
pub(super) struct Held {
    pub(super) job: Job,
    pub(super) host: String,
    pub(super) owner: String,
    /// It has a place at its inbox, and had one at its host.
    pub(super) started: bool,
    /// Its place at its host is free for others already.
    pub(super) left: bool,
    /// It may be made as far as the store is concerned: that knows of it, or need not.
    pub(super) begun: bool,
}

/// What a request told of our own connection.
#[derive(Clone, Copy)]
pub(super) enum Reach {
    /// Somebody answered; and by how many seconds their clock is ahead of ours, if they refused a signature that may be so
    /// for it.
    Answered { ahead: Option<i64> },
    /// It went out, or nothing was asked, or it did not come to its turn.
    Unknown,
    /// None was made, from then on.
    NoWay { began: Instant },
}

/// A job, how it ended, and what that told of its host.
pub(super) struct Outcome {
    pub(super) held: Held,
    pub(super) ending: Ending,
    pub(super) contact: Option<Contact>,
    pub(super) reach: Reach,
    pub(super) at: Timestamp,
}

impl Outcome {
    /// Of a job for which nobody was asked.
    pub(super) fn unasked(held: Held, ending: Ending, at: Timestamp) -> Self {
        Outcome { held, ending, contact: None, reach: Reach::Unknown, at }
    }
}

/// Sorts an answer, counts it and says it in the log.
pub(super) fn concluded(
    mut held: Held,
    kind: OutgoingKind,
    sent: &Sent,
    metrics: &Metrics,
    doubts: &mpsc::Sender<String>,
) -> Outcome {
    let (tries, unauthorised) = (held.job.tries, held.job.unauthorised);
    // Nothing was tried: what came of the last attempt stands.
    let tried = sent.reply != Reply::Stopped;
    if tried {
        held.job.why = Some(sent.why.as_str().into());
    }
    if matches!(sent.reply, Reply::Status(401, _)) {
        held.job.unauthorised += 1;
    }
    let (Held { job, host, .. }, at) = (&held, Timestamp::now());
    let jitter = crate::random::jitter();
    let made = i64::try_from(job.outgoing.timestamp_ms()).ok();
    let made = made.and_then(|made| Timestamp::from_millisecond(made).ok()).unwrap_or(at);
    let about = About { kind, made, tries, unauthorised };
    let Meaning { ending, contact, look_up, ours } = classify::meaning(&sent.reply, about, at, jitter);
    let (outcome, word) = match ending {
        Ending::Reached => (DeliveryOutcome::Reached, "delivered"),
        Ending::Retry { .. } | Ending::Later { .. } => {
            (DeliveryOutcome::Retried, "not delivered, will be tried again")
        }
        _ if look_up => (DeliveryOutcome::Gone, "not delivered, given up"),
        _ => (DeliveryOutcome::Refused, "not delivered, given up"),
    };
    if tried {
        metrics.delivery(outcome);
    }
    if ending == Ending::Reached {
        metrics.delivered(kind.into());
    }
    let (attempt, why) = (job.tries + 1, sent.why.as_str());
    if ours {
        tracing::warn!(target: "herald::deliver", host, activity = %job.outgoing, ?kind, why, "a server cannot take what we sent");
    }
    tracing::debug!(target: "herald::deliver", host, activity = %job.outgoing, attempt, why, "{word}");
    if look_up {
        // Those that find no room are told again by the next delivery there.
        let _ = doubts.try_send(job.inbox.clone());
    }
    let reach = match sent.reply {
        Reply::Status(..) => Reach::Answered { ahead: None },
        Reply::OtherTime(ahead) => Reach::Answered { ahead: Some(ahead) },
        // The first knock was, whatever became of the second.
        _ if sent.answered => Reach::Answered { ahead: None },
        Reply::NotConnected | Reply::NotSent => Reach::NoWay { began: sent.began },
        Reply::NoAnswer | Reply::Crowded | Reply::Refused | Reply::Stopped => Reach::Unknown,
    };
    // So its server is alive.
    let first_only = sent.answered && !matches!(sent.reply, Reply::Status(..) | Reply::OtherTime(_));
    let contact = if first_only { Some(Contact::Answered) } else { contact };
    Outcome { ending, contact, reach, at, held }
}

#[cfg(test)]
mod tests {
    use ulid::Ulid;

    use super::*;
    use crate::model::delivery::Attempt;

    /// What is made of a reply, and how it is counted, where something came of an attempt before.
    fn of(reply: Reply, answered: bool, before: Option<&str>) -> (Outcome, String) {
        let metrics = Metrics::new();
        let (doubts, _told) = mpsc::channel(1);
        let attempt =
            Attempt::personal(Timestamp::UNIX_EPOCH, Ulid(1), "https://peer.example/inbox".to_owned());
        let job = Job { why: before.map(Into::into), ..Job::of(attempt) };
        let host = "peer.example".to_owned();
        let held = Held { job, owner: host.clone(), host, started: true, left: false, begun: true };
        let sent = Sent { began: Instant::now(), answered, reply, why: "now".to_owned() };
        (concluded(held, OutgoingKind::Create, &sent, &metrics, &doubts), metrics.encode())
    }

    #[test]
    fn a_stop_says_nothing_of_what_was_tried() {
        for (reply, before, why, counted) in [
            (Reply::Status(503, None), None, Some("now"), 1),
            (Reply::NotSent, Some("before"), Some("now"), 1),
            (Reply::Stopped, Some("before"), Some("before"), 0),
            (Reply::Stopped, None, None, 0),
        ] {
            let (outcome, encoded) = of(reply.clone(), false, before);
            assert_eq!(outcome.held.job.why.as_deref(), why, "{reply:?}");
            let line = format!("delivery_attempts_total{{outcome=\"retried\"}} {counted}");
            assert!(encoded.contains(&line), "{reply:?}: {encoded}");
        }
    }

    #[test]
    fn what_a_reply_tells_of_the_server_and_of_our_own_connection() {
        let (well, ill) = (Some(Contact::Answered), Some(Contact::Failed(None)));
        for (reply, answered, contact, reach) in [
            (Reply::Status(403, None), true, well, "answered"),
            (Reply::Status(503, None), true, ill, "answered"),
            (Reply::OtherTime(99), true, well, "answered"),
            (Reply::NotConnected, false, ill, "no way"),
            (Reply::NotSent, false, None, "no way"),
            (Reply::NoAnswer, false, ill, "unknown"),
            (Reply::Crowded, false, None, "unknown"),
            (Reply::Refused, false, None, "unknown"),
            (Reply::Stopped, false, None, "unknown"),
            // To the second knock.
            (Reply::NotConnected, true, well, "answered"),
            (Reply::NoAnswer, true, well, "answered"),
            (Reply::NotSent, true, well, "answered"),
            (Reply::Crowded, true, well, "answered"),
        ] {
            let (outcome, _) = of(reply.clone(), answered, None);
            let told = match outcome.reach {
                Reach::Answered { .. } => "answered",
                Reach::Unknown => "unknown",
                Reach::NoWay { .. } => "no way",
            };
            assert_eq!((outcome.contact, told), (contact, reach), "{reply:?}, answered: {answered}");
        }
    }
}
