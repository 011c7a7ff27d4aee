//! apsig and bovine, which sign activities in Python, and check what we sign.

use serde_json::{Value, json};

use crate::peer::Peer;
use crate::support::stage::{Stage, quick};
use crate::support::wait::{LONG, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn real_peer_signers_are_believed_and_believe_us() {
    let (signers, stage) = (Peer::signers().await, Stage::start(quick(), &[]).await);
    let key = format!("{}#main-key", stage.actor());

    let handle = json!({"handle": stage.handle(), "server": stage.agent.public_url()});
    let found = signers.has("look", handle).await;
    assert_eq!((&found["found"], &found["actor"]["id"]), (&json!(stage.actor()), &json!(stage.actor())));

    let all = ["apsig-cavage", "apsig-cavage-proof", "apsig-rfc9421", "bovine"];
    for (before, signer) in (0..).zip(all) {
        let follow = json!({"type": "Follow", "object": stage.actor()});
        assert_eq!(posts(&signers, &stage, signer, follow, json!({})).await, taken(), "{signer}");
        assert_eq!(stage.followers().await, before + 1, "{signer}");
        let like = json!({"type": "Like", "object": stage.actor()});
        assert_eq!(posts(&signers, &stage, signer, like, json!({})).await, taken(), "{signer}");
        let accepted = eventually("the Accept", LONG, async || {
            let seen = signers.seen().await;
            let inbox = format!("/users/{signer}/inbox");
            seen.as_array().unwrap().iter().find(|request| request["path"] == inbox).cloned()
        });
        assert_eq!(accepted.await["type"], "Accept", "{signer}");
    }
    // Our signed GETs of the actors, and our signed POSTs.
    for request in signers.seen().await.as_array().unwrap() {
        assert_eq!(
            (&request["apsig"], &request["bovine"]),
            (&json!(key), &json!(stage.actor())),
            "whose signature apsig and bovine find: {request}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn real_peer_signers_are_refused_with_the_reason() {
    let (signers, stage) = (Peer::signers().await, Stage::start(quick(), &[]).await);
    let follow = || json!({"type": "Follow", "object": stage.actor(), "summary": "honest"});
    for signer in ["apsig-cavage", "apsig-rfc9421", "bovine"] {
        for (spoil, code) in [
            (json!({"replace": ["honest", "wicked"]}), "digest-mismatch"),
            (json!({"offset": -2 * 60 * 60}), "clock-offset"),
            (json!({"offset": 2 * 60 * 60}), "clock-offset"),
        ] {
            let refused = posts(&signers, &stage, signer, follow(), spoil.clone()).await;
            assert_eq!(refused, json!({"status": 401, "code": code}), "{signer} {spoil}");
        }
    }
    // By itself, apsig signs nothing of the body.
    let refused = posts(&signers, &stage, "apsig-rfc9421-as-it-comes", follow(), json!({})).await;
    assert_eq!(refused, json!({"status": 401, "code": "not-covered"}));
    assert_eq!(stage.followers().await, 0);
    assert_eq!(signers.seen().await, json!([]), "nothing of this is worth a request");
}

/// Has somebody, named as the signer, sign an activity and post it to us, and answers what we said.
async fn posts(signers: &Peer, stage: &Stage, signer: &str, activity: Value, spoil: Value) -> Value {
    let mut wish = json!({"name": signer, "signer": signer, "inbox": stage.inbox(), "activity": activity});
    wish.as_object_mut().unwrap().extend(spoil.as_object().unwrap().clone());
    signers.has("post", wish).await
}

fn taken() -> Value {
    json!({"status": 202, "code": null})
}
