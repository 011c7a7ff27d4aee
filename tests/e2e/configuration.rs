//! What is changed in Owncast, of which no event tells.

use std::io::Cursor;

use bytes::Bytes;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use owncast_herald::sim::fediverse::{Flavour, Received};
use owncast_herald::sim::owncast::{Options, Timeline};
use serde_json::Value;

use crate::support::stage::{Stage, no_complaints, quick};
use crate::support::wait::{LONG, eventually};

/// Waits until the agent has seen these settings change so many times.
/// Waits until the agent has seen such a change of Owncast's configuration, so many times.
pub async fn seen(stage: &Stage, what: &str, times: usize) {
    let line = |line: &&str| line.contains("configuration changed") && line.contains(what);
    eventually(what, LONG, async || (stage.agent.log().lines().filter(line).count() >= times).then_some(()))
        .await;
}

fn profile(received: &Received) -> Option<&Value> {
    let object = received.body.get("object")?;
    (received.kind() == "Update" && object["type"] == "Service").then_some(object)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_profile_is_told_once_and_whole_though_the_agent_died() {
    let mut stage = Stage::start(quick(), &[]).await;
    let (server, _) = stage.follower(Flavour::Mastodon).await;
    stage.wait_log("the webhook works").await;
    stage.owncast.configure(|config| config.name = "First".into());
    stage.hint();
    seen(&stage, "name", 1).await;
    stage.agent.kill9();
    // And more is changed while nobody looks.
    stage.owncast.configure(|config| {
        config.name = "Second".into();
        config.tags = vec!["etching".into()];
        config.social_handles.clear();
    });
    stage.agent.launch();
    let told = server.wait_for(2 * LONG, |received| profile(received).is_some()).await.expect("the Update");
    let object = profile(&told).unwrap();
    assert_eq!((&object["name"], &object["tag"][0]["name"]), (&"Second".into(), &"#etching".into()));
    assert_eq!(told.body["to"][0], "https://www.w3.org/ns/activitystreams#Public");
    let document = stage.document(&stage.actor()).await;
    for field in ["id", "name", "summary", "attachment", "publicKey", "inbox", "icon"] {
        assert_eq!(object[field], document[field], "{field}");
    }
    // What comes next comes alone.
    stage.post(&server).await;
    let updates = server.received().iter().filter(|received| profile(received).is_some()).count();
    assert_eq!(updates, 1);
    no_complaints(&server);
}

fn picture(shade: u8) -> (Bytes, String) {
    let picture = RgbImage::from_fn(64, 64, |x, _| Rgb([(x * 4 % 256) as u8, shade, 7]));
    let mut out = Cursor::new(Vec::new());
    DynamicImage::ImageRgb8(picture).write_to(&mut out, ImageFormat::Png).unwrap();
    (out.into_inner().into(), "image/png".into())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_logo_has_a_new_address_and_one_that_cannot_be_shown_changes_nothing() {
    let stage = Stage::start(quick(), &[("go-live.enabled", "false")]).await;
    let icon = async || stage.document(&stage.actor()).await["icon"]["url"].as_str().unwrap().to_owned();
    // Only its call says that the logo may be another.
    stage.wait_log("the webhook works").await;
    let first = icon().await;
    stage.owncast.configure(|config| config.logo = Some(picture(1)));
    stage.owncast.go_live_with(Timeline::by_hand());
    let second =
        eventually("another icon", LONG, async || Some(icon().await).filter(|one| *one != first)).await;
    for address in [&first, &second] {
        assert_eq!(stage.get(address).await.status(), 200, "{address}");
    }
    let svg = Bytes::from_static(b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>");
    stage.owncast.configure(|config| config.logo = Some((svg, "image/svg+xml".into())));
    stage.owncast.end_stream();
    stage.owncast.go_live_with(Timeline::by_hand());
    stage.wait_log("the logo cannot be shown").await;
    assert_eq!(icon().await, second);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_approval_goes_on_waiting_when_owncast_is_public_again() {
    let options = Options { private: true, ..quick() };
    let stage = Stage::start(options, &[("followers.show", "\"list\"")]).await;
    stage.wait_log("the webhook works").await;
    let server = stage.server(Flavour::Mastodon).await;
    let (ana, bo) = (server.person("ana"), server.person("bo"));
    assert_eq!(ana.follow(&stage.handle()).await.unwrap().reply.status, 202);
    let waiting = async || {
        let listed = stage.agent.cli_json(&["followers", "list", "--state", "pending"]).await.to_string();
        (listed.contains(&ana.id()), listed.contains(&bo.id()))
    };
    eventually("ana waits", LONG, async || (waiting().await == (true, false)).then_some(())).await;
    let page = format!("{}/followers?page=1", stage.actor());
    assert_eq!(stage.get(&page).await.status(), 404, "who follows is nobody's business");
    let consents = async || {
        let actor = stage.document(&stage.actor()).await;
        ["manuallyApprovesFollowers", "discoverable", "indexable"].map(|name| actor[name].as_bool().unwrap())
    };
    assert_eq!(consents().await, [true, false, false]);

    stage.owncast.configure(|config| config.private = false);
    stage.hint();
    seen(&stage, "private", 1).await;
    stage.follow(&bo).await;
    assert_eq!(waiting().await, (true, false));
    assert!(!ana.is_accepted());
    let listed = stage.document(&page).await["orderedItems"].to_string();
    assert!(listed.contains(&bo.id()) && !listed.contains(&ana.id()), "{listed}");
    assert_eq!(consents().await, [false, true, true]);

    stage.owncast.configure(|config| config.private = true);
    stage.hint();
    seen(&stage, "private", 2).await;
    assert_eq!(stage.get(&page).await.status(), 404);
    assert_eq!(stage.followers().await, 1, "who was let in stays");
    no_complaints(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn owncasts_blocks_come_and_go_and_the_operators_stay() {
    let stage = Stage::start(quick(), &[]).await;
    stage.wait_log("the webhook works").await;
    let (listed, _) = stage.follower(Flavour::Mastodon).await;
    let (own, _) = stage.follower(Flavour::GoToSocial).await;
    let host = |server: &owncast_herald::sim::fediverse::Server| server.address().ip().to_string();
    let blocked = async |who: &str| stage.agent.cli_json(&["block", "list"]).await.to_string().contains(who);
    assert!(stage.agent.cli(&["block", "add", &host(&own)]).await.status.success());
    stage.wait_followers(1).await;
    // Both stand in Owncast's list, and one entry is of no use.
    let list = vec![host(&listed), host(&own), "localhost".to_owned()];
    stage.owncast.configure(|config| config.blocked_domains = list);
    stage.hint();
    stage.wait_followers(0).await;
    stage.wait_log("an entry of Owncast's blocked domains is not used").await;
    assert!(blocked(&host(&listed)).await);
    let refused = listed.person("cy").follow(&stage.handle()).await.unwrap();
    assert_eq!(refused.reply.status, 401);

    stage.owncast.configure(|config| config.blocked_domains.clear());
    stage.hint();
    stage.wait_followers(1).await;
    assert_eq!((blocked(&host(&listed)).await, blocked(&host(&own)).await), (false, true));
}

/// What Owncast's switches keep from the chat is not said later either.
#[tokio::test(flavor = "multi_thread")]
async fn with_notices_or_chat_off_nothing_is_said_then_or_later() {
    let one_by_one = [("notices.max-per-minute", "60"), ("notices.burst-window", "\"100ms\"")];
    let stage = Stage::start(quick(), &one_by_one).await;
    stage.wait_log("the webhook works").await;
    let (server, _) = stage.follower(Flavour::Mastodon).await;
    let withheld = async |count: usize| {
        let address = format!("{}/metrics", stage.agent.metrics_url());
        let line = format!("herald_chat_notices_total{{outcome=\"withheld\"}} {count}");
        eventually(&line, LONG, async || {
            let metrics = stage.get(&address).await.text().await.unwrap();
            metrics.lines().any(|found| found == line).then_some(())
        })
        .await;
    };
    // The follow of before the stream is counted as well.
    let follows = 1;
    withheld(follows).await;
    let note = stage.post(&server).await.note;
    stage.owncast.configure(|config| config.show_engagement = false);
    stage.hint();
    seen(&stage, "show engagement", 1).await;
    server.person("kept1").like(&note).await.unwrap();
    withheld(follows + 1).await;
    stage.owncast.configure(|config| (config.show_engagement, config.chat_disabled) = (true, true));
    stage.hint();
    seen(&stage, "chat", 1).await;
    server.person("kept2").like(&note).await.unwrap();
    withheld(follows + 2).await;
    stage.owncast.configure(|config| config.chat_disabled = false);
    stage.hint();
    seen(&stage, "chat", 2).await;
    server.person("loud").like(&note).await.unwrap();
    assert!(stage.owncast.wait_chat(LONG, |line| line.html.contains("loud")).await.is_some());
    assert!(
        stage.owncast.chat().iter().all(|line| !line.html.contains("kept")),
        "{:?}",
        stage.owncast.chat()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_username_is_another_actor_and_the_old_one_stays() {
    let mut stage = Stage::start(quick(), &[]).await;
    stage.wait_log("the webhook works").await;
    let (server, _) = stage.follower(Flavour::Mastodon).await;
    let actor = stage.actor();
    let warnings =
        |stage: &Stage| stage.agent.log().matches("would be another actor, whom nobody follows").count();
    let username = stage.owncast.config().username;
    stage.owncast.configure(|config| config.username = "other".into());
    stage.hint();
    stage.wait_log("would be another actor").await;
    stage.owncast.configure(|config| config.summary = "Something else".into());
    stage.hint();
    seen(&stage, "summary", 1).await;
    let still = async |stage: &Stage| {
        assert_eq!(stage.agent.actor().await, actor);
        assert_eq!(stage.total(&format!("{actor}/followers")).await, 1);
        let other = stage.agent.public_url() + "/federation/user/other";
        assert_eq!(stage.get(&other).await.status(), 404);
    };
    still(&stage).await;
    assert_eq!(warnings(&stage), 1, "said once for each change");
    stage.agent.restart().await;
    eventually("it is said again", LONG, async || (warnings(&stage) == 2).then_some(())).await;
    still(&stage).await;
    stage.owncast.configure(|config| config.username = username);
    stage.hint();
    stage.wait_log("are the actor's own again").await;
    still(&stage).await;
    no_complaints(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_names_another_actor_is_refused_unless_followers_are_given_up() {
    let mut stage = Stage::start(quick(), &[]).await;
    stage.follower(Flavour::Mastodon).await;
    let actor = stage.actor();
    stage.agent.stop().await;
    let file = stage.agent.path("agent.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}\n[identity]\nusername = \"another\"\n")).unwrap();
    let refused = stage.agent.run_to_the_end().await;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(78), "{said}");
    for words in ["federation/user/another", actor.as_str(), "run --abandon-followers"] {
        assert!(said.contains(words), "{words:?} is not in {said}");
    }
    stage.agent.launch_with(&["--abandon-followers"]);
    stage.agent.wait_ready().await;
    let another = stage.agent.actor().await;
    assert!(another.ends_with("/federation/user/another"), "{another}");
    assert_eq!(stage.total(&format!("{another}/followers")).await, 0);
    assert_eq!(stage.get(&actor).await.status(), 404);
    // Once is enough.
    stage.agent.restart().await;
    assert_eq!(stage.agent.actor().await, another);
}
