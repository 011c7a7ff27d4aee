//! Peers that are slow, full, broken or silent delay nobody else.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use owncast_herald::sim::fediverse::{Answer, Document, Flavour, Person, Server};
use serde_json::json;

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

/// Mastodon drops a post of somebody whom nobody there follows yet.
#[tokio::test(flavor = "multi_thread")]
async fn a_post_comes_behind_the_accept_that_had_to_be_tried_again() {
    let stage = Stage::start(quick(), &[]).await;
    let (well, _) = stage.follower(Flavour::Mastodon).await;
    let late = stage.server(Flavour::Mastodon).await;
    // Refused as if its key were on its way: the server is well, and only this is tried again.
    late.answer_next([Answer::Status(401), Answer::Status(401)]);
    let followed = late.person("ana").follow(&stage.handle()).await.unwrap();
    assert_eq!(followed.reply.status, 202);
    let order = |server: &Server| -> Vec<String> {
        server.received().iter().filter(|one| one.effective).map(|one| one.kind().to_owned()).collect()
    };
    eventually("the Accept is refused", LONG, async || (late.received_count() >= 2).then_some(())).await;
    stage.post(&well).await;
    eventually("the post", LONG, async || late.posts().first().cloned()).await;
    let came = order(&late);
    assert_eq!(&came[came.len() - 2..], ["Accept", "Create"], "{came:?}");
    no_complaints(&late);
}

/// How the POSTs were signed, by whether the server took them.
fn knocks(server: &Server) -> Vec<(bool, bool)> {
    let rfc9421 = |headers: &http::HeaderMap| headers.contains_key("signature-input");
    server.received().iter().map(|one| (rfc9421(&one.headers), one.verdict.is_ok())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_demands_rfc_9421_gets_it_and_is_not_asked_otherwise_again() {
    let mut stage = Stage::start(quick(), &[("go-live.repost-after", "\"0s\"")]).await;
    let (strict, _) = stage.follower(Flavour::Fedify).await;
    assert_eq!(knocks(&strict), [(false, true)], "cavage goes first");
    strict.set_rfc9421_only(true);
    let first = stage.post(&strict).await;
    stage.owncast.end_stream();
    assert!(strict.wait_post(LONG, |post| post.html.contains("The stream is over")).await.is_some());
    assert_eq!(
        knocks(&strict)[1..],
        [(false, false), (true, true), (true, true)],
        "Create twice, Update once"
    );
    stage.agent.restart().await;
    stage.settled().await;
    // One who refuses both is asked in both, and no more than that at a time.
    let (sour, _) = stage.follower(Flavour::Mastodon).await;
    sour.set_answer(Answer::Status(401)).await;
    stage.owncast.go_live_with(crate::support::stage::SOON);
    assert!(strict.wait_post(LONG, |post| post.note != first.note).await.is_some());
    creates(&sour, 2).await;
    let schemes: Vec<bool> = knocks(&sour).iter().rev().take(2).map(|knock| knock.0).collect();
    assert_eq!(schemes, [true, false]);
    assert!(knocks(&strict)[2..].iter().all(|knock| *knock == (true, true)), "nor by the next process");
    sour.set_answer(Answer::Ok).await;
    no_complaints(&sour);
}

/// Some answer 403 to what they do not verify.
#[tokio::test(flavor = "multi_thread")]
async fn who_forbids_the_one_scheme_gets_the_other_and_who_forbids_both_is_asked_once() {
    let stage = Stage::start(quick(), &[("go-live.repost-after", "\"0s\"")]).await;
    let (strict, _) = stage.follower(Flavour::PeerTube).await;
    let (closed, _) = stage.follower(Flavour::Mastodon).await;
    strict.set_rfc9421_only(true);
    closed.set_answer(Answer::Status(403)).await;
    let first = stage.post(&strict).await;
    let schemes = |server: &Server| knocks(server).iter().map(|knock| knock.0).collect::<Vec<_>>();
    assert_eq!(knocks(&strict)[1..], [(false, false), (true, true)]);
    creates(&closed, 2).await;
    stage.owncast.end_stream();
    assert!(strict.wait_post(LONG, |post| post.html.contains("The stream is over")).await.is_some());
    stage.owncast.go_live_with(crate::support::stage::SOON);
    assert!(strict.wait_post(LONG, |post| post.note != first.note).await.is_some());
    creates(&closed, 3).await;
    assert_eq!(schemes(&strict), [false, false, true, true, true]);
    eventually("the third is given up", LONG, async || {
        (stage.agent.log().matches("not delivered, given up").count() == 2).then_some(())
    })
    .await;
    assert_eq!(schemes(&closed), [false, false, true, false], "an Accept, a post twice, another once");
    // Who forbids later what was demanded gets what is taken now.
    strict.set_rfc9421_only(false);
    stage.owncast.end_stream();
    eventually("the edit", LONG, async || (knocks(&strict).len() == 7).then_some(())).await;
    assert_eq!(knocks(&strict)[5..], [(true, false), (false, true)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_replied_learns_how_the_post_ends_and_who_did_not_learns_nothing() {
    let stage = Stage::start(quick(), &[]).await;
    let (follower, _) = stage.follower(Flavour::Mastodon).await;
    let post = stage.post(&follower).await;
    let (replies, silent) = (stage.server(Flavour::Mastodon).await, stage.server(Flavour::Mastodon).await);
    let (ana, bo) = (replies.person("ana"), silent.person("bo"));
    let inbox = stage.inbox();
    // Bo embeds what somebody else wrote.
    let cy = silent.person("cy");
    for (who, author) in [(&bo, &ana), (&ana, &ana), (&cy, &cy)] {
        let id = format!("{}/notes/1", who.id());
        let reply = json!({
            "@context": "https://www.w3.org/ns/activitystreams", "id": format!("{id}/activity"), "type": "Create",
            "actor": who.id(),
            "object": {"id": id, "type": "Note", "attributedTo": author.id(), "inReplyTo": post.note, "content": "hi"},
        });
        assert_eq!(who.custom(&inbox, &reply).await.unwrap().status, 202);
    }
    // Cy takes it back; nobody else can do that for Ana.
    let delete = |by: &Person, of: &Person| {
        let id = format!("{}/notes/1", of.id());
        json!({"@context": "https://www.w3.org/ns/activitystreams", "id": format!("{id}#delete"), "type": "Delete",
            "actor": by.id(), "object": {"id": id, "type": "Tombstone"}})
    };
    let eve = replies.person("eve");
    for (by, of) in [(&eve, &ana), (&cy, &cy)] {
        assert_eq!(by.custom(&inbox, &delete(by, of)).await.unwrap().status, 202);
    }
    stage.wait_log("took an activity kind=Delete").await;
    stage.owncast.end_stream();
    let edits = |server: &Server| server.received().iter().filter(|one| one.kind() == "Update").count();
    assert!(follower.wait_post(LONG, |post| post.html.contains("The stream is over")).await.is_some());
    eventually("the edit", LONG, async || (edits(&replies) == 1).then_some(())).await;
    wait_metric(&stage, "herald_delivery_queue 0").await;
    assert_eq!(edits(&silent), 0);
}

/// Somewhere where each of so many followers has an inbox of their own.
async fn hermits(stage: &Stage, count: usize) -> (Server, Vec<Person>) {
    let server = stage.server(Flavour::Pleroma).await;
    server.set_shared_inbox(false);
    let people = server.crowd(count);
    for person in &people {
        stage.follow(person).await;
    }
    (server, people)
}

async fn wait_metric(stage: &Stage, line: &str) {
    let address = format!("{}/metrics", stage.agent.metrics_url());
    eventually(line, LONG, async || {
        let text = stage.http.get(&address).send().await.ok()?.text().await.ok()?;
        text.lines().any(|found| found == line).then_some(())
    })
    .await;
}

/// When the posts came, oldest first.
fn came(server: &Server) -> Vec<Timestamp> {
    server.received().iter().filter(|one| one.kind() == "Create").map(|one| one.at).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_fails_is_left_alone_through_a_restart_until_it_speaks() {
    let mut stage = Stage::start(quick(), &[]).await;
    let (ill, people) = hermits(&stage, 12).await;
    let (well, _) = stage.follower(Flavour::Mastodon).await;
    ill.set_answer(Answer::Status(500)).await;
    let note = stage.post(&well).await.note;
    wait_metric(&stage, "herald_delivery_hosts_shut 1").await;
    stage.agent.stop().await;
    stage.agent.launch();
    stage.settled().await;
    wait_metric(&stage, "herald_delivery_hosts_shut 1").await;
    // Others are served meanwhile, and what they get is newer than all that rests.
    let other = stage.server(Flavour::Misskey).await.person("cy");
    stage.follow(&other).await;
    let came_to_ill = came(&ill);
    // The shortest pause before a server is tried again, less a fifth.
    let pause = Duration::from_secs(48);
    let before_the_probe =
        came_to_ill.iter().filter(|at| at.duration_since(came_to_ill[0]).unsigned_abs() < pause).count();
    assert!((5..=6).contains(&before_the_probe), "it was tried {before_the_probe} times");
    ill.set_answer(Answer::Ok).await;
    assert_eq!(people[0].like(&note).await.unwrap().status, 202);
    for person in &people {
        let come = person.wait_post(LONG, |post| post.note == note).await;
        assert!(come.is_some(), "{person:?} waits in vain");
    }
    wait_metric(&stage, "herald_delivery_hosts_shut 0").await;
    no_complaints(&ill);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_nobody_is_in_reach_no_server_is_blamed_and_all_get_it_as_soon_as_one_answers() {
    let stage = Stage::start(quick(), &[]).await;
    let mut servers = Vec::new();
    for _ in 0..6 {
        // On a network of its own: those of one owner would be one.
        stage.fediverse.next_network();
        let (server, _) = stage.follower(Flavour::Mastodon).await;
        server.set_answer(Answer::Refuse).await;
        servers.push(server);
    }
    stage.owncast.go_live_with(crate::support::stage::SOON);
    stage.wait_log("no server can be reached").await;
    for server in &servers {
        eventually("nobody is blamed", LONG, async || {
            let known = stage.agent.cli_json(&["deliveries", "--host", &server.host()]).await;
            (known["failures"] == 0).then_some(())
        })
        .await;
    }
    for server in &servers {
        server.set_answer(Answer::Ok).await;
    }
    for server in &servers {
        creates(server, 1).await;
        no_complaints(server);
    }
    stage.wait_log("servers can be reached again").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dead_who_are_heard_of_before_the_slow_are_not_taken_for_an_outage() {
    let stage = Stage::start(quick(), &[]).await;
    let (mut slow, mut dead) = (Vec::new(), Vec::new());
    for number in 0..32 {
        stage.fediverse.next_network();
        let sink = stage.fediverse.sink(1).await.unwrap();
        assert_eq!(sink.follow_all(&stage.actor(), &stage.inbox(), 1).await.unwrap(), 1);
        // Three of four are to be no more.
        if number % 4 == 0 { &mut slow } else { &mut dead }.push(sink);
    }
    for sink in slow.iter().chain(&dead) {
        assert!(sink.wait_received(LONG, 1).await, "no Accept came");
    }
    // Until our own end has the answers, too.
    wait_metric(&stage, "herald_delivery_queue 0").await;
    for sink in &slow {
        sink.set_latency(Duration::from_secs(1));
    }
    for sink in &dead {
        assert_eq!(sink.set_dead(1.0).await, 1);
    }
    stage.owncast.go_live_with(crate::support::stage::SOON);
    for sink in &slow {
        assert!(sink.wait_received(LONG, 2).await, "the post did not come");
    }
    for sink in &dead {
        let url = url::Url::parse(&sink.urls()[0]).unwrap();
        let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
        eventually("it is known to be out of reach", LONG, async || {
            let known = stage.agent.cli_json(&["deliveries", "--host", host]).await;
            known["failures"].as_u64().is_some_and(|failures| failures > 0).then_some(())
        })
        .await;
    }
    assert!(!stage.agent.log().contains("no server can be reached"), "{}", stage.agent.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_for_a_clock_arrives_once_that_is_right() {
    let stage = Stage::start(quick(), &[]).await;
    let (server, _) = stage.follower(Flavour::Mastodon).await;
    server.set_clock_skew(SignedDuration::from_hours(5));
    stage.owncast.go_live_with(crate::support::stage::SOON);
    stage.wait_log("its clock is not ours").await;
    server.set_clock_skew(SignedDuration::ZERO);
    eventually("the post", LONG, async || (!server.posts().is_empty()).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_inbox_asks_for_holds_for_its_whole_server() {
    let stage = Stage::start(quick(), &[("delivery.per-host", "1")]).await;
    let (busy, people) = hermits(&stage, 4).await;
    let asked = Duration::from_secs(7);
    busy.answer_next([Answer::RetryAfter { status: 429, after: asked.as_secs().to_string() }]);
    stage.owncast.go_live_with(crate::support::stage::SOON);
    creates(&busy, 1 + people.len()).await;
    let came = came(&busy);
    let waited = came[1].duration_since(came[0]).unsigned_abs();
    assert!(waited >= asked, "the next came after {waited:?}");
    no_complaints(&busy);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_gone_is_removed_only_if_their_own_document_says_so() {
    let stage = Stage::start(quick(), &[]).await;
    let (well, _) = stage.follower(Flavour::Mastodon).await;
    let (ending, _) = stage.follower(Flavour::GoToSocial).await;
    let gone = ending.person("di");
    stage.follow(&gone).await;
    ending.set_answer(Answer::Gone).await;
    let path = gone.id().replace(&ending.url(), "");
    let tombstone = json!({"id": gone.id(), "type": "Tombstone"});
    ending.place(&path, Document { status: 410, ..Document::activity(&tombstone) });
    assert_eq!(stage.followers().await, 3);
    stage.post(&well).await;
    stage.wait_followers(2).await;
    stage.wait_log("a follower exists no more").await;
    let left = stage.agent.cli_json(&["followers", "list"]).await.to_string();
    assert!(left.contains(&ending.person("bo").id()) && !left.contains(&gone.id()), "{left}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inbox_that_moved_is_found_again() {
    let stage = Stage::start(quick(), &[("go-live.repost-after", "\"0s\"")]).await;
    let (well, _) = stage.follower(Flavour::Mastodon).await;
    let server = stage.server(Flavour::Pleroma).await;
    server.set_shared_inbox(false);
    let mover = server.person("bo");
    stage.follow(&mover).await;
    let elsewhere = server.person("bo-at-home").inbox();
    let old = mover.inbox().replace(&server.url(), "");
    server.set_inbox_answer(&old, Answer::Redirect(elsewhere.clone()));
    let moved = json!({"inbox": elsewhere});
    mover.override_actor(moved.as_object().unwrap().clone());
    stage.post(&well).await;
    stage.wait_log("a follower's inbox has moved").await;
    assert!(server.received().iter().all(|one| one.inbox == old), "a redirect of a POST is not followed");
    stage.owncast.end_stream();
    assert!(well.wait_post(LONG, |post| post.html.contains("The stream is over")).await.is_some());
    stage.owncast.go_live_with(crate::support::stage::SOON);
    let new = elsewhere.replace(&server.url(), "");
    let come = server.wait_for(LONG, |one| one.inbox == new && one.kind() == "Create").await;
    assert!(come.is_some(), "the next post comes to the new inbox");
}
