//! Follow, Accept, Undo, like and share, with every kind of peer.

use jiff::Timestamp;
use owncast_herald::sim::fediverse::{Flavour, FollowState, Person, Server};
use owncast_herald::sim::owncast::Options;

use crate::support::stage::{Stage, no_complaints, quick};
use crate::support::wait::{LONG, eventually};

/// Waits for another second: dates in signatures have no fractions, and an exact repeat of a signature is no news.
async fn next_second() {
    let now = Timestamp::now().as_second();
    eventually("the next second", LONG, async || (Timestamp::now().as_second() > now).then_some(())).await;
}

async fn one_of_each(stage: &Stage) -> Vec<(Server, Person)> {
    let mut all = Vec::new();
    for flavour in Flavour::ALL {
        all.push(stage.follower(flavour).await);
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn every_flavour_follows_leaves_and_comes_back() {
    let stage = Stage::start(quick(), &[]).await;
    let everybody = one_of_each(&stage).await;
    assert_eq!(stage.followers().await, everybody.len() as u64);
    next_second().await;
    for (_, person) in &everybody {
        let left = person.unfollow().await.unwrap();
        assert_eq!(left.status, 202, "{person:?}: {left:?}");
    }
    stage.wait_followers(0).await;
    next_second().await;
    for (server, person) in &everybody {
        stage.follow(person).await;
        // A lost Accept: the peer asks again and is told again.
        next_second().await;
        server.forget_remotes();
        stage.follow(person).await;
    }
    assert_eq!(stage.followers().await, everybody.len() as u64);
    everybody.iter().for_each(|(server, _)| no_complaints(server));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_flavour_reads_likes_and_shares_a_post() {
    let stage = Stage::start(quick(), &[]).await;
    let everybody = one_of_each(&stage).await;
    let note = stage.post(&everybody[0].0).await.note;
    let counts = async || {
        let document = stage.document(&note).await;
        let of = |field: &str| document[field]["totalItems"].as_u64().unwrap();
        assert_eq!(of("likes"), stage.total(&format!("{note}/likes")).await);
        assert_eq!(of("shares"), stage.total(&format!("{note}/shares")).await);
        (of("likes"), of("shares"))
    };
    for (server, person) in &everybody {
        let post = person.wait_post(LONG, |post| post.note == note).await;
        assert!(post.is_some(), "{person:?} has no post: {:?}", server.violations());
        for reply in [person.like(&note).await.unwrap(), person.announce(&note).await.unwrap()] {
            assert_eq!(reply.status, 202, "{person:?}: {reply:?}");
        }
    }
    let all = everybody.len() as u64;
    assert_eq!(counts().await, (all, all));
    for (_, person) in &everybody {
        for reply in [person.undo_like(&note).await.unwrap(), person.undo_announce(&note).await.unwrap()] {
            assert_eq!(reply.status, 202, "{person:?}: {reply:?}");
        }
    }
    assert_eq!(counts().await, (0, 0));
    everybody.iter().for_each(|(server, _)| no_complaints(server));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_owncast_is_private_a_follow_waits() {
    let stage = Stage::start(Options { private: true, ..quick() }, &[]).await;
    let server = stage.server(Flavour::Mastodon).await;
    let person = server.person("bo");
    assert_eq!(person.follow(&stage.handle()).await.unwrap().reply.status, 202);
    assert_eq!(stage.document(&stage.actor()).await["manuallyApprovesFollowers"], true);
    // Somebody else's request after it has come through as well: there was time for an Accept.
    let other = stage.server(Flavour::Misskey).await.person("cy");
    assert_eq!(other.follow(&stage.handle()).await.unwrap().reply.status, 202);
    assert_eq!((stage.followers().await, server.received_count()), (0, 0));
    assert_eq!(person.follow_state(), Some(FollowState::Pending));
    no_complaints(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_lets_in_refuses_and_removes() {
    let stage = Stage::start(quick(), &[("followers.approval", "\"manual\"")]).await;
    let mut asking = Vec::new();
    for flavour in Flavour::ALL {
        let person = stage.server(flavour).await.person("bo");
        assert_eq!(person.follow(&stage.handle()).await.unwrap().reply.status, 202);
        asking.push(person);
    }
    let pending = stage.agent.cli_json(&["followers", "list", "--state", "pending"]).await.to_string();
    assert!(asking.iter().all(|person| pending.contains(&person.id())), "{pending}");
    let judge = async |verdict: &str, person: &Person| {
        stage.agent.cli_json(&["followers", verdict, &person.handle()]).await;
    };
    for (place, person) in asking.iter().enumerate() {
        judge(if place % 2 == 0 { "approve" } else { "reject" }, person).await;
        let wanted = if place % 2 == 0 { FollowState::Accepted } else { FollowState::Rejected };
        assert!(person.wait_follow(LONG, wanted).await, "{person:?}: {:?}", person.server().violations());
    }
    stage.wait_followers(5).await;
    // Who was refused is refused again; who is removed may ask again.
    next_second().await;
    assert_eq!(asking[1].follow(&stage.handle()).await.unwrap().reply.status, 202);
    assert!(asking[1].wait_follow(LONG, FollowState::Rejected).await);
    judge("remove", &asking[0]).await;
    assert!(asking[0].wait_follow(LONG, FollowState::Rejected).await);
    stage.wait_followers(4).await;
    asking.iter().for_each(|person| no_complaints(person.server()));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_deletes_the_account_is_forgotten() {
    let stage = Stage::start(quick(), &[]).await;
    let (server, person) = stage.follower(Flavour::Mastodon).await;
    let note = stage.post(&server).await.note;
    person.like(&note).await.unwrap();
    assert_eq!(stage.total(&format!("{note}/likes")).await, 1);
    let replies = person.delete_self().await.unwrap();
    assert!(replies.iter().all(|reply| reply.status == 202), "{replies:?}");
    stage.wait_followers(0).await;
    let likes = format!("{note}/likes");
    eventually("no like", LONG, async || (stage.total(&likes).await == 0).then_some(())).await;
    no_complaints(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_followers_is_shown_only_where_the_operator_wants_it() {
    let shown = Stage::start(quick(), &[("followers.show", "\"list\"")]).await;
    let (_, person) = shown.follower(Flavour::Mastodon).await;
    let page = shown.document(&format!("{}/followers?page=1", shown.actor())).await;
    assert_eq!(page["orderedItems"], serde_json::json!([person.id()]));
    let rows = shown.document("/api/followers").await;
    assert_eq!(
        (&rows["total"], &rows["results"][0]["link"]),
        (&1.into(), &format!("{}/@bo", person.server().url()).into())
    );
    assert_eq!(rows["results"][0]["username"], person.handle());

    shown.owncast.configure(|config| config.private = true);
    // Owncast's own event for a change is none; a stream's start makes the agent look at once.
    shown.owncast.go_live();
    eventually("the list is hidden", LONG, async || {
        let document = shown.document(&format!("{}/followers", shown.actor())).await;
        document.get("first").is_none().then_some(())
    })
    .await;
    assert_eq!(shown.get(&format!("{}/followers?page=1", shown.actor())).await.status(), 404);
    let rows = shown.document("/api/followers").await;
    assert_eq!((&rows["total"], &rows["results"]), (&1.into(), &serde_json::json!([])));
}
