//! C-1, C-28: who may say what. The signer, the actor and the id belong together.

use owncast_herald::sim::fediverse::{Flavour, SignOptions, SigningKey};
use serde_json::{Value, json};

use crate::target::{Target, never_contacted, refusal};

#[tokio::test(flavor = "multi_thread")]
async fn c_01_actor_or_id_of_another_host() {
    let target = Target::start().await;
    let eve = target.stranger(Flavour::Mastodon).await;
    let victim = target.stranger(Flavour::Mastodon).await;
    let inbox = target.stage.inbox();
    let mut foreign_id = target.follow_by(&eve.id());
    foreign_id["id"] = json!(format!("{}#follows/1", victim.id()));
    let own = |activity: Value| (activity, SignOptions::default());
    let posing = SignOptions { key_id: Some(victim.key_id()), ..SignOptions::default() };
    for (activity, options) in [
        own(target.follow_by(&victim.id())),
        own(target.like_by(&victim.id())),
        own(foreign_id),
        (target.follow_by(&eve.id()), posing),
    ] {
        let reply = eve.custom_signed(&inbox, activity.to_string(), &options).await.unwrap();
        assert_eq!(refusal(&reply), (401, "origin".into()), "{activity}: {reply:?}");
    }
    never_contacted(eve.server());
    never_contacted(victim.server());
    target.unchanged().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c_01_a_reply_under_somebody_elses_address() {
    let target = Target::start().await;
    let eve = target.stranger(Flavour::Mastodon).await;
    let victim = target.stranger(Flavour::Mastodon).await;
    let reply_as = |id: Value| {
        let note = json!({"type": "Note", "id": id, "attributedTo": eve.id(), "inReplyTo": target.note, "content": "x"});
        target.activity(&eve.id(), "Create", note)
    };
    let sent = async |create: Value| eve.custom(&target.stage.inbox(), &create).await.unwrap();
    let reply = sent(reply_as(json!(format!("{}/notes/1", victim.id())))).await;
    assert_eq!(refusal(&reply), (401, "origin".into()), "{reply:?}");
    never_contacted(eve.server());
    never_contacted(victim.server());
    // Without a name it could be forgotten by nobody.
    let ignored = target.ignored().await;
    assert_eq!(sent(reply_as(json!(null))).await.status, 202);
    assert_eq!(target.ignored().await, ignored + 1);
    assert_eq!(sent(reply_as(json!(format!("{}/notes/1", eve.id())))).await.status, 202);
    assert_eq!(target.ignored().await, ignored + 1, "her own counts");
    target.unchanged().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c_01_somebody_else_of_the_same_host() {
    let target = Target::start().await;
    let neighbour = target.home.person("eve");
    let inbox = target.stage.inbox();
    let fan = target.fan.id();
    let follow = json!({"type": "Follow", "actor": fan, "object": target.stage.actor()});
    let like = json!({"type": "Like", "actor": fan, "object": target.note});
    for activity in [
        target.activity(&fan, "Undo", follow.clone()),
        target.activity(&fan, "Undo", like.clone()),
        target.activity(&fan, "Announce", json!(target.note)),
        target.activity(&fan, "Block", json!(target.stage.actor())),
    ] {
        let reply = neighbour.custom(&inbox, &activity).await.unwrap();
        assert_eq!(refusal(&reply), (401, "signature-invalid".into()), "{activity}");
    }
    // As oneself, but about what another has done.
    for inner in [follow, like] {
        let activity = target.activity(&neighbour.id(), "Undo", inner);
        let reply = neighbour.custom(&inbox, &activity).await.unwrap();
        assert_eq!(refusal(&reply), (401, "not-yours".into()), "{activity}");
    }
    // And by the id alone, which may be anybody's: taken, and without effect.
    let sent = target.home.received().len();
    let theirs = target.activity(&neighbour.id(), "Undo", json!(format!("{fan}#follows/1")));
    assert_eq!(neighbour.custom(&inbox, &theirs).await.unwrap().status, 202);
    assert_eq!(target.home.received().len(), sent);
    // The Delete of somebody else's account.
    let gone = target.activity(&fan, "Delete", json!(fan));
    assert_eq!(neighbour.custom(&inbox, &gone).await.unwrap().status, 202);
    let gone = target.activity(&neighbour.id(), "Delete", json!(fan));
    assert_eq!(neighbour.custom(&inbox, &gone).await.unwrap().status, 202);
    target.unchanged().await;
}

/// Anybody can have had an account where somebody else has one.
#[tokio::test(flavor = "multi_thread")]
async fn c_01_a_key_that_is_gone_deletes_nobody_else() {
    let target = Target::start().await;
    let gone = target.home.person("gone");
    gone.delete_self().await.unwrap();
    let options = SignOptions { key_id: Some(gone.key_id()), ..SignOptions::default() };
    let fan = target.fan.id();
    let delete = target.activity(&fan, "Delete", json!(fan)).to_string();
    let inbox = target.stage.inbox();
    let reply = target.home.person("eve").custom_signed(&inbox, delete, &options).await.unwrap();
    assert_eq!(reply.status, 202, "{reply:?}");
    target.unchanged().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c_01_a_foreign_key_under_the_actors_name() {
    let target = Target::start().await;
    let neighbour = target.home.person("eve");
    // The fan's key id with the neighbour's key, and the neighbour's key id with the fan's activity.
    for options in [
        SignOptions { key: SigningKey::Of(neighbour.clone()), ..SignOptions::default() },
        SignOptions {
            key: SigningKey::Of(neighbour.clone()),
            key_id: Some(neighbour.key_id()),
            ..SignOptions::default()
        },
    ] {
        let body = target.activity(&target.fan.id(), "Announce", json!(target.note)).to_string();
        let reply = target.fan.custom_signed(&target.stage.inbox(), body, &options).await.unwrap();
        assert_eq!(refusal(&reply), (401, "signature-invalid".into()), "{options:?}");
    }
    target.unchanged().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c_28_our_own_host_is_never_asked() {
    let target = Target::start().await;
    let eve = target.stranger(Flavour::Mastodon).await;
    let (us, inbox) = (target.stage.actor(), target.stage.inbox());
    let own_key = SignOptions { key_id: Some(format!("{us}#main-key")), ..SignOptions::default() };
    let other = target.stage.agent.public_url() + "/users/eve";
    let other_key = SignOptions { key_id: Some(format!("{other}#main-key")), ..SignOptions::default() };
    for (actor, options, code) in [
        (us.clone(), &own_key, "own-host"),
        (other, &other_key, "own-host"),
        (eve.id(), &own_key, "origin"),
        (us, &SignOptions::default(), "origin"),
    ] {
        let body = target.follow_by(&actor).to_string();
        let reply = eve.custom_signed(&inbox, body, options).await.unwrap();
        assert_eq!(refusal(&reply), (401, code.into()), "{actor}");
    }
    never_contacted(eve.server());
    target.unchanged().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c_01_an_embedded_activity_is_not_believed() {
    let target = Target::start().await;
    let group = target.stranger(Flavour::Lemmy).await;
    let inner = target.like_by(&target.fan.id());
    let announced = target.activity(&group.id(), "Announce", inner);
    assert_eq!(group.custom(&target.stage.inbox(), &announced).await.unwrap().status, 202);
    let created = target.activity(&group.id(), "Create", target.follow_by(&target.fan.id()));
    assert_eq!(group.custom(&target.stage.inbox(), &created).await.unwrap().status, 202);
    never_contacted(group.server());
    target.unchanged().await;
}
