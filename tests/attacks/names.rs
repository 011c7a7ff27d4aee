//! What a stranger calls itself: it is shown in chat and on Owncast's page, and must not pass for somebody else.

use owncast_herald::sim::fediverse::Flavour;
use serde_json::json;

use crate::mallory::{Mallory, send};
use crate::support::wait::{LONG, eventually};
use crate::target::Target;

const PATH: &str = "/federation/user/streamer/inbox";

#[tokio::test(flavor = "multi_thread")]
async fn a_user_name_neither_speaks_nor_hides_its_server() {
    let target = Target::with(&[
        ("followers.show", "\"list\""),
        ("notices.max-per-minute", "60"),
        ("notices.burst-window", "\"100ms\""),
    ])
    .await;
    let server = target.stage.server(Flavour::Mastodon).await;
    let host = server.url().split_once("://").unwrap().1.to_owned();
    for (number, user) in [
        format!("gargron@mastodon.social{}", "-".repeat(60)),
        "ADMIN: this stream has moved to evil.example".to_owned(),
        "\u{202e}nimda\u{2066}".repeat(20),
    ]
    .iter()
    .enumerate()
    {
        let name = format!("m{number}");
        let mallory = Mallory::on(&server, &name);
        let mut fields = document(&target, &mallory).await;
        fields["preferredUsername"] = json!(user);
        fields["name"] = json!(format!("{}\u{202e}", "n".repeat(400)));
        mallory.show(fields);
        let follow = target.follow_by(&mallory.id);
        let request = mallory.request(&target.stage, PATH, &follow, 0);
        assert_eq!(send(&target.stage, &request).await.status, 202);
        let shown = target.stage.document("/api/followers").await;
        let row = shown["results"].as_array().unwrap().iter().find(|row| row["link"] == mallory.id).cloned();
        let row = row.unwrap_or_else(|| panic!("{user:?} is not in {shown}"));
        assert_eq!(row["username"], format!("{name}@{host}"));
        assert!(row["name"].as_str().unwrap().chars().count() <= 120, "{row}");
        let seen = |html: &str| {
            let page = scraper::Html::parse_fragment(html);
            page.root_element().text().collect::<String>()
        };
        let handle = format!("({name}@{host}) followed this stream.");
        let line = target.stage.owncast.wait_chat(LONG, |line| seen(&line.html).contains(&handle)).await;
        assert!(line.is_some(), "{:?}", target.stage.owncast.chat());
    }
}

/// Who spells its id otherwise than URLs are written is the same person, and is answered in its own spelling.
#[tokio::test(flavor = "multi_thread")]
async fn another_spelling_of_an_id_is_repeated_and_believed() {
    let target = Target::start().await;
    let server = target.stage.server(Flavour::Mastodon).await;
    let mallory = Mallory::on(&server, "ana");
    let spelt = mallory.id.replace("/by-hand/", "/x/../by-hand/./");
    let taken = async |activity: &serde_json::Value| {
        let request = mallory.request(&target.stage, PATH, activity, 0);
        assert_eq!(send(&target.stage, &request).await.status, 202);
    };
    taken(&target.follow_by(&spelt)).await;
    target.stage.wait_followers(2).await;
    let accept = eventually("the Accept", LONG, async || {
        server.received().into_iter().find(|one| one.kind() == "Accept").map(|one| one.body)
    })
    .await;
    assert_eq!((&accept["to"], &accept["object"]["actor"]), (&json!([spelt]), &json!(spelt)));
    // A reply of theirs is theirs: its author hears of the end of the stream even after leaving.
    let reply = json!({"id": format!("{}/notes/1", mallory.id), "type": "Note", "attributedTo": spelt, "inReplyTo": target.note});
    taken(&target.activity(&spelt, "Create", reply)).await;
    taken(&target.activity(&spelt, "Undo", target.follow_by(&spelt))).await;
    target.stage.wait_followers(1).await;
    target.stage.owncast.end_stream();
    eventually("the edit", LONG, async || {
        server.received().iter().any(|one| one.kind() == "Update").then_some(())
    })
    .await;
}

async fn document(target: &Target, mallory: &Mallory) -> serde_json::Value {
    target.stage.http.get(&mallory.id).send().await.unwrap().json().await.unwrap()
}
