//! C-9, C-16, C-17 and what else activities must, and must not, lead to.

use jiff::SignedDuration;
use owncast_herald::sim::fediverse::{Flavour, SignOptions, SigningKey};
use serde_json::{Value, json};

use crate::mallory::{Mallory, send};
use crate::support::wait::{LONG, eventually};
use crate::target::{Target, refusal};

const PATH: &str = "/federation/user/streamer/inbox";

/// A stamp of a quote would say that we agree. We never do, to whoever asks, in whatever shape.
#[tokio::test(flavor = "multi_thread")]
async fn c_09_a_quote_is_never_agreed_to() {
    let target = Target::start().await;
    let eve = target.stranger(Flavour::Mastodon).await;
    let bob = eve.server().person("bob");
    let quote = |author: &str, of: &str| json!({"id": format!("{}/notes/1", eve.id()), "type": "Note", "attributedTo": author, "quote": of, "content": "x"});
    let elsewhere = format!("{}/notes/2", target.fan.id());
    for (object, instrument) in [
        (&target.note, quote(&eve.id(), &target.note)),
        (&target.note, quote(&bob.id(), &target.note)),
        (&target.note, quote(&eve.id(), &elsewhere)),
        (&target.note, json!(format!("{}/notes/1", eve.id()))),
        (&elsewhere, quote(&eve.id(), &elsewhere)),
    ] {
        let mut request = target.activity(&eve.id(), "QuoteRequest", json!(object));
        request["instrument"] = instrument;
        assert_eq!(eve.custom(&target.stage.inbox(), &request).await.unwrap().status, 202, "{request}");
    }
    target.unchanged().await;
    // What leaves after all of these is the Accept of a Follow.
    target.stage.follow(&eve).await;
    let got: Vec<String> = eve.server().received().iter().map(|one| one.kind().to_owned()).collect();
    assert_eq!(got, ["Accept"]);
    let note = target.stage.document(&target.note).await;
    assert_eq!(note.get("interactionPolicy"), None);
}

/// A Follow dated by a clock that is fast does not outlive the Undo behind it, dated by one that is right.
#[tokio::test(flavor = "multi_thread")]
async fn c_17_a_fast_clock_beats_nobody() {
    let target = Target::start().await;
    let server = target.stage.server(Flavour::Mastodon).await;
    let mallory = Mallory::on(&server, "mallory");
    let follow = target.follow_by(&mallory.id);
    let undo = target.activity(&mallory.id, "Undo", follow.clone());
    let block = target.activity(&mallory.id, "Block", json!(target.stage.actor()));
    let taken = async |activity: &Value, ago: i64| {
        let request = mallory.request(&target.stage, PATH, activity, ago);
        assert_eq!(send(&target.stage, &request).await.status, 202);
    };
    for (number, after) in [&undo, &block].into_iter().enumerate() {
        // 55 minutes ahead, and each a request of its own.
        taken(&follow, -55 * 60 - number as i64).await;
        assert_eq!(target.stage.followers().await, 2);
        taken(after, 0).await;
        target.unchanged().await;
    }
    // Nor does an Undo that is fast keep the honest Follow behind it away.
    taken(&undo, -55 * 60 + 1).await;
    taken(&follow, 0).await;
    assert_eq!(target.stage.followers().await, 2);
    // One that is slow is older than what is known.
    taken(&undo, 30 * 60).await;
    assert_eq!(target.stage.followers().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn c_16_a_reaction_counts_and_can_be_taken_back_first() {
    let target = Target::start().await;
    let eve = target.stranger(Flavour::Akkoma).await;
    let inbox = target.stage.inbox();
    let react = target.activity(&eve.id(), "EmojiReact", json!(target.note));
    let undo = target.activity(&eve.id(), "Undo", react.clone());
    for (activity, age) in [(&undo, 0), (&react, 30)] {
        let options = SignOptions { age: SignedDuration::from_secs(age), ..SignOptions::default() };
        assert_eq!(eve.custom_signed(&inbox, activity.to_string(), &options).await.unwrap().status, 202);
        target.unchanged().await;
    }
    // The next one counts, however often and whatever it says; taken back by its id, none is left.
    for emoji in ["🔥", ":blobcat:", "<b>x</b>"] {
        eve.react(&target.note, emoji).await.unwrap();
        target.count(2, 0).await;
    }
    eve.undo_react(&target.note).await.unwrap();
    target.unchanged().await;
}

/// Only an actor itself says what it is; and only its own document what it looks like.
#[tokio::test(flavor = "multi_thread")]
async fn c_01_nobody_else_changes_moves_or_deletes_a_follower() {
    let target = Target::start().await;
    let neighbour = target.home.person("eve");
    let (inbox, fan) = (target.stage.inbox(), target.fan.id());
    let row = async || {
        let list = target.stage.agent.cli_json(&["followers", "list"]).await;
        list["followers"].as_array().unwrap().iter().find(|row| row["actor"] == fan.as_str()).cloned()
    };
    let before = row().await.expect("the fan");
    target.fan.set_display_name("Changed without a word");
    for kind in ["Update", "Move", "Delete"] {
        for actor in [&fan, &neighbour.id()] {
            let mut activity =
                target.activity(actor, kind, json!({"id": fan, "type": "Person", "name": "Eve"}));
            activity["target"] = json!(neighbour.id());
            for options in [
                SignOptions::default(),
                SignOptions { key: SigningKey::Of(target.fan.clone()), ..SignOptions::default() },
                SignOptions { key_id: Some(target.fan.key_id()), ..SignOptions::default() },
            ] {
                let body = activity.to_string();
                let reply = neighbour.custom_signed(&inbox, body, &options).await.unwrap();
                assert_eq!(reply.status, 202, "{activity}: it tells nobody who follows");
            }
        }
    }
    assert_eq!(row().await.as_ref(), Some(&before));
    // The same, said by the fan: the document counts, not what the Update embeds.
    let update = target.activity(&fan, "Update", json!({"id": fan, "type": "Person", "name": "Embedded"}));
    assert_eq!(target.fan.custom(&inbox, &update).await.unwrap().status, 202);
    let renamed = async || row().await.filter(|row| row["name"] == "Changed without a word");
    eventually("the new name", LONG, renamed).await;
    let mut moved = target.activity(&fan, "Move", json!(fan));
    moved["target"] = json!("https://new.example/users/bo");
    assert_eq!(target.fan.custom(&inbox, &moved).await.unwrap().status, 202);
    let moved = async || row().await.filter(|row| row["moved_to"] == "https://new.example/users/bo");
    eventually("the mark", LONG, moved).await;
    target.unchanged().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c_16_who_deletes_itself_leaves_nothing() {
    let target = Target::start().await;
    let eve = target.stranger(Flavour::Mastodon).await;
    let inbox = target.stage.inbox();
    target.stage.follow(&eve).await;
    eve.like(&target.note).await.unwrap();
    eve.announce(&target.note).await.unwrap();
    eve.custom(&inbox, &target.activity(&eve.id(), "Flag", json!(target.note))).await.unwrap();
    target.count(2, 1).await;
    eve.delete_self().await.unwrap();
    target.stage.wait_followers(1).await;
    target.unchanged().await;
    let reports = target.stage.agent.cli_json(&["reports", "list"]).await;
    assert_eq!(reports["reports"], json!([]));
    // The collections name nobody any more, either.
    for part in ["likes", "shares"] {
        eventually(&format!("{part} without {}", eve.id()), LONG, async || {
            let text = target.stage.document(&format!("{}/{part}", target.note)).await.to_string();
            (!text.contains(&eve.id())).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c_25_reports_are_kept_and_bounded() {
    let target = Target::start().await;
    let eve = target.stranger(Flavour::Mastodon).await;
    let honest = target.stranger(Flavour::Misskey).await;
    let inbox = target.stage.inbox();
    let flag = async |person: &owncast_herald::sim::fediverse::Person, text: String| {
        let mut flag = target.activity(&person.id(), "Flag", json!([target.stage.actor(), target.note]));
        flag["content"] = json!(text);
        assert_eq!(person.custom(&inbox, &flag).await.unwrap().status, 202);
    };
    flag(&honest, "they shout".to_owned()).await;
    for number in 0..40 {
        flag(&eve, format!("number {number} {}", "x".repeat(10_000))).await;
    }
    let list = target.stage.agent.cli_json(&["reports", "list"]).await;
    let rows = list["reports"].as_array().unwrap();
    assert_eq!(rows.len(), 21);
    assert!(rows[0]["text"].as_str().unwrap().starts_with("number 39 x"));
    assert!(rows.iter().all(|row| row["text"].as_str().unwrap().len() <= 2000));
    assert!(
        rows.iter()
            .any(|row| row["text"] == "they shout"
                && row["about"] == json!([target.stage.actor(), target.note]))
    );
    let status = target.stage.agent.status().await;
    assert!(status["attention"].to_string().contains("21 reports from other servers"), "{status}");
    let said = target.stage.agent.cli(&["reports", "list"]).await;
    assert!(String::from_utf8(said.stdout).unwrap().contains("they shout"));
    assert_eq!(target.stage.agent.cli_json(&["reports", "clear"]).await["forgotten"], 21);
    assert_eq!(target.stage.agent.status().await["reports"], 0);
    // Nobody who did not sign is heard.
    let wrong = SignOptions { flip_signature: true, ..SignOptions::default() };
    let forged = target.activity(&eve.id(), "Flag", json!(target.note)).to_string();
    let reply = eve.custom_signed(&inbox, forged, &wrong).await.unwrap();
    assert_eq!(refusal(&reply), (401, "signature-invalid".into()));
    assert_eq!(target.stage.agent.status().await["reports"], 0);
}

/// One address of ours can be spelt in any number of ways, each of them long.
#[tokio::test(flavor = "multi_thread")]
async fn c_25_a_report_is_as_small_as_what_it_is_about() {
    let target = Target::start().await;
    let eve = target.stranger(Flavour::Mastodon).await;
    let (actor, inbox) = (target.stage.actor(), target.stage.inbox());
    let (base, name) = actor.rsplit_once('/').unwrap();
    let ways: Vec<String> = (0..60).map(|n| format!("{base}/{}{name}", "x/../".repeat(300 + n))).collect();
    let flag = target.activity(&eve.id(), "Flag", json!(ways));
    assert_eq!(eve.custom(&inbox, &flag).await.unwrap().status, 202);
    let list = target.stage.agent.cli_json(&["reports", "list"]).await;
    assert_eq!(list["reports"][0]["about"], json!([actor]), "{list}");
}

/// What a blocked actor says of itself is neither believed nor looked up.
#[tokio::test(flavor = "multi_thread")]
async fn c_14_a_blocked_follower_says_nothing_of_itself() {
    let target = Target::start().await;
    let eve = target.stranger(Flavour::Mastodon).await;
    target.stage.follow(&eve).await;
    target.stage.agent.cli_json(&["block", "add", &eve.id()]).await;
    target.stage.wait_followers(1).await;
    let (asked, ignored) = (eve.server().requests_count(), target.ignored().await);
    for kind in ["Update", "Move", "Delete"] {
        let mut activity = target.activity(&eve.id(), kind, json!(eve.id()));
        activity["target"] = json!("https://new.example/users/eve");
        assert_eq!(eve.custom(&target.stage.inbox(), &activity).await.unwrap().status, 202, "{kind}");
    }
    // All of them while the block stood.
    target.wait_ignored(ignored + 3).await;
    target.stage.agent.cli_json(&["block", "remove", &eve.id()]).await;
    target.stage.wait_followers(2).await;
    eve.announce(&target.note).await.unwrap();
    target.count(1, 1).await;
    assert_eq!(eve.server().requests_count(), asked);
    let list = target.stage.agent.cli_json(&["followers", "list"]).await;
    assert!(list["followers"].as_array().unwrap().iter().all(|row| row["moved_to"].is_null()), "{list}");
}
