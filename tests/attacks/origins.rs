//! C-1, C-3, C-10: ways around the rule that everything in an activity is of one origin.

use owncast_herald::sim::fediverse::{Flavour, SignOptions};
use serde_json::{Value, json};

use crate::mallory::{Mallory, send};
use crate::target::{Target, asked_once, never_contacted, refusal};

/// Spellings of an actor that some reader takes for another one. None is that other one here.
#[tokio::test(flavor = "multi_thread")]
async fn c_10_spellings_of_somebody_elses_actor() {
    let target = Target::start().await;
    let eve = target.home.person("eve");
    let fan = target.fan.id();
    let (base, inbox) = (target.home.url(), target.stage.inbox());
    let share = |actor: &str| {
        let mut share = target.activity(&eve.id(), "Announce", json!(target.note));
        share["actor"] = json!(actor);
        share.to_string()
    };
    for actor in [
        // The fan under other names.
        format!("{fan}#"),
        format!("{fan}#me"),
        format!("{fan}?"),
        format!("{fan}?x=1"),
        format!("{fan}/"),
        format!("{base}/users/%62o"),
        format!("{base}/users/BO"),
        format!("{base}/users//bo"),
        format!("{base}/users;/bo"),
        format!("{base}/users/../users/bo"),
        format!("{base}/users/./bo"),
        format!("{base}/x/%2e%2e/users/bo"),
        // Who signs, beside the fan.
        format!("{}/../bo", eve.id()),
        format!("{fan}#{}", eve.id()),
        format!("{}#{fan}", eve.id()),
        format!("{}?{fan}", eve.id()),
        format!("{}%00", eve.id()),
    ] {
        for key_id in [eve.key_id(), target.fan.key_id(), format!("{actor}#main-key")] {
            let options = SignOptions { key_id: Some(key_id.clone()), ..SignOptions::default() };
            let reply = eve.custom_signed(&inbox, share(&actor), &options).await.unwrap();
            let (status, code) = refusal(&reply);
            let wrong = ["signature-invalid", "bad-address", "signature-malformed"].contains(&code.as_str());
            assert!(status == 401 && wrong, "{actor} by {key_id}: {reply:?}");
        }
    }
    target.unchanged().await;
    // Spellings of one's own that mean the same are oneself: parsed, they are equal.
    let mut followers = 1;
    for actor in [eve.id().replacen("http://", "HTTP://", 1), eve.id().replacen("/users/", "/x/../users/", 1)]
    {
        let reply =
            eve.custom_signed(&inbox, target.follow_by(&actor).to_string(), &SignOptions::default()).await;
        assert_eq!(reply.unwrap().status, 202, "{actor}");
        followers = 2;
        assert_eq!(target.stage.followers().await, followers, "{actor}: one person, however spelled");
    }
    assert_eq!(followers, 2);
}

/// What is embedded is taken for its id alone, whoever it says it is by.
#[tokio::test(flavor = "multi_thread")]
async fn c_01_embedded_objects_speak_for_nobody() {
    let target = Target::start().await;
    let eve = target.stranger(Flavour::Mastodon).await;
    let (me, fan, us) = (eve.id(), target.fan.id(), target.stage.actor());
    let inbox = target.stage.inbox();
    let follow = |actor: &str| json!({"id": format!("{fan}#follows/1"), "type": "Follow", "actor": actor, "object": us});
    let like = |actor: &str| json!({"id": format!("{fan}#likes/1"), "type": "Like", "actor": actor, "object": target.note});
    let theirs = |value: Value| (value, 202);
    let refused = |value: Value| (value, 401);
    for (object, kind, want) in [
        ("Create", theirs(follow(&fan))),
        ("Update", theirs(follow(&fan))),
        ("Announce", theirs(like(&fan))),
        ("Add", theirs(follow(&fan))),
        ("Accept", theirs(follow(&fan))),
        ("Undo", refused(follow(&fan))),
        ("Undo", refused(like(&fan))),
        ("Undo", refused(json!({"type": "Like", "attributedTo": fan, "object": target.note}))),
        ("Undo", refused(json!({"type": "Like", "actor": {"id": fan}, "object": target.note}))),
        ("Undo", refused(json!({"type": "Like", "actor": [fan], "object": target.note}))),
        // Oneself in front of the other: still not the fan's.
        ("Undo", theirs(json!({"type": "Like", "actor": [me, fan], "object": target.note}))),
        ("Undo", theirs(like(&me))),
        ("Undo", theirs(follow(&me))),
        ("Undo", theirs(json!(format!("{fan}#likes/1")))),
        ("Undo", theirs(json!({"id": format!("{fan}#likes/1"), "type": "Like"}))),
        ("Delete", theirs(json!({"id": fan, "type": "Person"}))),
        ("Delete", theirs(json!({"id": target.note, "type": "Tombstone"}))),
        ("Update", theirs(json!({"id": target.note, "type": "Note", "content": "gone", "attributedTo": me}))),
        ("Move", theirs(json!(fan))),
    ]
    .map(|(kind, (object, want))| (object, kind, want))
    {
        let activity = target.activity(&me, kind, object);
        let reply = eve.custom(&inbox, &activity).await.unwrap();
        assert_eq!(reply.status, want, "{activity}: {reply:?}");
        if want == 401 {
            assert_eq!(refusal(&reply).1, "not-yours", "{activity}");
        }
        target.unchanged().await;
    }
    let note = target.stage.document(&target.note).await;
    assert_ne!(note["content"], "gone");
    assert_eq!(note["type"], "Note");
}

/// A document is what stands at its own id, wherever it was found.
#[tokio::test(flavor = "multi_thread")]
async fn c_03_a_document_at_another_address_leads_to_the_one_at_its_id() {
    let target = Target::start().await;
    let server = target.stage.server(Flavour::Mastodon).await;
    let victim = target.stranger(Flavour::Mastodon).await;
    let mallory = Mallory::on(&server, "mallory");
    // Its key id leads to a copy elsewhere on its server.
    let mut copied = Mallory::on(&server, "copy");
    let document = json!({"id": mallory.id, "publicKey": {"id": copied.key_id, "owner": mallory.id}});
    copied.show(document);
    let request = copied.request(&target.stage, PATH, &target.follow_by(&mallory.id), 0);
    assert_eq!(refusal(&send(&target.stage, &request).await), (401, "signature-invalid".into()));
    // An actor there whose id is on the victim's: nobody asks the victim.
    copied.show(json!({"id": victim.id()}));
    copied.key_id = format!("{}#again", copied.id);
    let request = copied.request(&target.stage, PATH, &target.follow_by(&copied.id), 0);
    assert_eq!(refusal(&send(&target.stage, &request).await), (401, "signature-invalid".into()));
    never_contacted(victim.server());
    target.unchanged().await;
    target.stage.follow(&victim).await;
    asked_once(&victim);
}

const PATH: &str = "/federation/user/streamer/inbox";
