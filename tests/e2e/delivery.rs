//! Peers that are slow, full, broken or silent delay nobody else.

use std::time::Duration;

use jiff::Timestamp;
use owncast_herald::sim::fediverse::{Answer, Flavour, Server};

use crate::support::stage::{Stage, no_complaints, quick};
use crate::support::wait::{LONG, eventually};

/// As many slots as there are troublemakers: a slot that one of them holds is missed at once.
const FEW_SLOTS: [(&str, &str); 1] = [("delivery.concurrency", "4")];

async fn creates(server: &Server, count: usize) -> Timestamp {
    let seen = eventually("the post", LONG, async || {
        let received = server.received();
        received.iter().filter(|one| one.kind() == "Create").map(|one| one.at).nth(count - 1)
    });
    seen.await
}

#[tokio::test(flavor = "multi_thread")]
async fn troublemakers_delay_nobody_and_get_it_in_the_end() {
    let stage = Stage::start(quick(), &FEW_SLOTS).await;
    let mut troubled = Vec::new();
    for answer in [
        Answer::Hang,
        Answer::Refuse,
        Answer::Slow(Duration::from_secs(20)),
        Answer::Status(500),
        Answer::RetryAfter { status: 429, after: "2".into() },
        Answer::Drop,
    ] {
        let (server, _) = stage.follower(Flavour::Mastodon).await;
        server.set_answer(answer.clone()).await;
        troubled.push((server, answer));
    }
    let mut well = Vec::new();
    for _ in 0..4 {
        well.push(stage.follower(Flavour::Misskey).await.0);
    }
    let first = stage.post(&well[0]).await;
    for server in &well {
        let at = creates(server, 1).await;
        let late = at.duration_since(first.at).unsigned_abs();
        // Whoever had to wait for a peer that hangs would wait for its whole 15 s.
        assert!(late < Duration::from_secs(12), "a peer that is well waited {late:?}");
    }
    for (server, answer) in &troubled {
        let heard = !matches!(answer, Answer::Refuse);
        if heard {
            creates(server, 1).await;
        }
        server.set_answer(Answer::Ok).await;
    }
    for (server, answer) in &troubled {
        let come = server.wait_post(LONG, |post| post.note == first.note).await;
        assert!(come.is_some(), "after {answer:?}");
        let verdicts = server.received();
        assert!(verdicts.iter().all(|one| one.verdict.is_ok()), "after {answer:?}: {verdicts:?}");
        no_complaints(server);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_is_waited_for() {
    let stage = Stage::start(quick(), &[]).await;
    let (server, _) = stage.follower(Flavour::Mastodon).await;
    let asked = Duration::from_secs(9);
    server.answer_next([Answer::RetryAfter { status: 429, after: asked.as_secs().to_string() }]);
    stage.owncast.go_live_with(crate::support::stage::SOON);
    let refused = creates(&server, 1).await;
    let taken = creates(&server, 2).await;
    let waited = taken.duration_since(refused).unsigned_abs();
    assert!(waited >= asked, "it came after {waited:?}");
    no_complaints(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_inbox_gets_it_once_and_without_one_each_gets_it() {
    let stage = Stage::start(quick(), &[]).await;
    let (shared, _) = stage.follower(Flavour::Mastodon).await;
    for person in shared.crowd(5) {
        stage.follow(&person).await;
    }
    let single = stage.server(Flavour::Pleroma).await;
    single.set_shared_inbox(false);
    for person in single.crowd(5) {
        stage.follow(&person).await;
    }
    stage.post(&shared).await;
    creates(&single, 5).await;
    let inboxes = |server: &Server| {
        let creates = server.received().into_iter().filter(|one| one.kind() == "Create");
        let mut inboxes: Vec<String> = creates.map(|one| one.inbox).collect();
        inboxes.sort();
        inboxes
    };
    assert_eq!(inboxes(&shared), ["/inbox"]);
    assert_eq!(inboxes(&single).len(), 5);
    assert!(!inboxes(&single).contains(&"/inbox".to_owned()));
    let accepts = shared.received().into_iter().filter(|one| one.kind() == "Accept");
    assert!(accepts.into_iter().all(|one| one.inbox != "/inbox"), "an Accept goes to the person");
    no_complaints(&shared);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_gone_or_refuses_is_not_asked_again() {
    let stage = Stage::start(quick(), &[("go-live.on-end", "\"keep\"")]).await;
    let (well, _) = stage.follower(Flavour::Mastodon).await;
    let mut refusing = Vec::new();
    for answer in [Answer::Gone, Answer::Status(403), Answer::Redirect(format!("{}/inbox", well.url()))] {
        let (server, _) = stage.follower(Flavour::Mastodon).await;
        server.set_answer(answer).await;
        refusing.push(server);
    }
    stage.post(&well).await;
    for server in &refusing {
        creates(server, 1).await;
    }
    eventually("all are given up", LONG, async || {
        (stage.agent.log().matches("not delivered, given up").count() >= refusing.len()).then_some(())
    })
    .await;
    let many = well.received().iter().filter(|one| one.kind() == "Create").count();
    assert_eq!(many, 1, "a redirect of a POST is not followed");
}
