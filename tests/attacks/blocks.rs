//! C-13, C-14: who is blocked is told what everybody is told whose signature is wrong.

use owncast_herald::sim::fediverse::{Flavour, SignOptions};

use crate::mallory::{forged, send};
use crate::support::wait::{LONG, eventually};
use crate::target::{Target, never_contacted, refusal};

#[tokio::test(flavor = "multi_thread")]
async fn c_14_a_block_looks_like_a_wrong_signature() {
    let target = Target::start().await;
    let eve = target.stranger(Flavour::Mastodon).await;
    let wrong = SignOptions { flip_signature: true, ..SignOptions::default() };
    let before = target.try_follow(&eve, &wrong).await;
    let asked = eve.server().requests_count();
    let host = eve.server().address().ip().to_string();
    target.stage.agent.cli_json(&["block", "add", &host]).await;
    for options in [wrong, SignOptions::default()] {
        let reply = target.try_follow(&eve, &options).await;
        assert_eq!(reply, before, "byte for byte");
    }
    assert_eq!(eve.server().requests_count(), asked, "nothing is asked of a blocked host");
    let unknown = eve.server().person("unknown");
    assert_eq!(
        refusal(&target.try_follow(&unknown, &SignOptions::default()).await),
        (401, "signature-invalid".into())
    );
    target.unchanged().await;
    target.stage.agent.cli_json(&["block", "remove", &host]).await;
    assert_eq!(target.try_follow(&eve, &SignOptions::default()).await.status, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn c_14_a_blocked_follower_gets_nothing_and_does_nothing() {
    let target = Target::with(&[("go-live.repost-after", "\"0s\"")]).await;
    let eve = target.stranger(Flavour::Mastodon).await;
    target.stage.follow(&eve).await;
    target.stage.agent.cli_json(&["block", "add", &eve.id()]).await;
    target.stage.wait_followers(1).await;
    let got = eve.server().received_count();
    for activity in
        [target.like_by(&eve.id()), target.activity(&eve.id(), "Announce", target.note.clone().into())]
    {
        let reply = eve.custom(&target.stage.inbox(), &activity).await.unwrap();
        assert_eq!(refusal(&reply), (401, "signature-invalid".into()), "{activity}");
    }
    // Somebody else of the same server is nobody's fault.
    let bob = eve.server().person("bob");
    target.stage.follow(&bob).await;
    target.stage.agent.cli_json(&["followers", "remove", &bob.id()]).await;
    eventually("the removal", LONG, async || (eve.server().received_count() > got + 1).then_some(())).await;
    target.stage.owncast.end_stream();
    target.stage.wait_log("the stream is over").await;
    let second = target.stage.post(&target.home).await.note;
    let got = eve.server().received();
    assert!(!got.iter().any(|one| one.kind() == "Create"), "{got:?}");
    // The block lifted, the follower is back, for the next post.
    target.stage.agent.cli_json(&["block", "remove", &eve.id()]).await;
    target.stage.wait_followers(2).await;
    target.stage.owncast.end_stream();
    eventually("the second end", LONG, async || {
        (target.stage.agent.log().matches("the stream is over").count() == 2).then_some(())
    })
    .await;
    target.stage.post(&target.home).await;
    let post = eve.server().wait_post(LONG, |post| post.note != second).await;
    assert!(post.is_some());
}

/// What the log says of keys that were looked for in vain.
fn searched(target: &Target) -> String {
    let log = target.stage.agent.log();
    log.lines().filter(|line| line.contains("the key of an activity cannot be had")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn c_13_blocks_are_by_whole_labels() {
    let target = Target::start().await;
    target.stage.agent.cli_json(&["block", "add", "a.example"]).await;
    let asked = async |host: &str| {
        let actor = format!("http://{host}/users/eve");
        let request = forged(&target.stage, &format!("{actor}#main-key"), &target.follow_by(&actor));
        refusal(&send(&target.stage, &request).await)
    };
    for host in ["a.example", "x.a.example", "X.A.EXAMPLE", "y.x.a.example", "a.example:8080"] {
        assert_eq!(asked(host).await, (401, "signature-invalid".into()), "{host}");
    }
    // Only the operator can tell that these are not blocked: their keys are looked for, and no such names exist.
    for host in ["banana.example", "aa.example", "a.example.org.example"] {
        assert_eq!(asked(host).await, (401, "signature-invalid".into()), "{host}");
        let looked = format!("http://{host}/users/eve#main-key");
        eventually("a search in vain", LONG, async || searched(&target).contains(&looked).then_some(()))
            .await;
    }
    assert_eq!(searched(&target).matches("/users/eve").count(), 3, "{}", searched(&target));
    target.unchanged().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c_13_owncasts_own_list_counts() {
    let target = Target::start().await;
    let eve = target.stranger(Flavour::Mastodon).await;
    target.stage.follow(&eve).await;
    let host = eve.server().address().ip().to_string();
    target.stage.owncast.configure(|config| config.blocked_domains = vec![host]);
    target.stage.owncast.end_stream();
    target.stage.owncast.go_live();
    target.stage.wait_followers(1).await;
    let fresh = target.stage.server(Flavour::Misskey).await;
    target.stage.owncast.configure(|config| config.blocked_domains.push(fresh.address().ip().to_string()));
    target.stage.owncast.end_stream();
    target.stage.owncast.go_live();
    let person = fresh.person("eve");
    eventually("the second block", LONG, async || {
        let listed = target.stage.agent.cli_json(&["block", "list"]).await.to_string();
        listed.contains(&fresh.address().ip().to_string()).then_some(())
    })
    .await;
    assert_eq!(
        refusal(&target.try_follow(&person, &SignOptions::default()).await),
        (401, "signature-invalid".into())
    );
    never_contacted(&fresh);
}
