//! What a stranger calls itself: it is shown in chat and on Owncast's page, and must not pass for somebody else.

use owncast_herald::sim::fediverse::Flavour;
use serde_json::json;

use crate::mallory::{Mallory, send};
use crate::support::wait::LONG;
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

async fn document(target: &Target, mallory: &Mallory) -> serde_json::Value {
    target.stage.http.get(&mallory.id).send().await.unwrap().json().await.unwrap()
}
