//! What viewers see in Owncast's chat.

use owncast_herald::sim::fediverse::Flavour;
use owncast_herald::sim::owncast::{ChatKind, ChatLine, Options, SimOwncast};
use scraper::{Html, Selector};

use crate::support::stage::{Stage, quick};
use crate::support::wait::LONG;

const HOSTILE: &str = "<img src=\"x\" onerror=\"alert(1)\"> **x** :heart: [a](https://evil.example) \
                       https://evil.example www.evil.example\n# x";
/// Every notice by itself.
const ONE_BY_ONE: [(&str, &str); 2] =
    [("notices.max-per-minute", "60"), ("notices.burst-window", "\"100ms\"")];

/// Lines that come from us: Owncast's own are about the stream.
fn ours(owncast: &SimOwncast) -> Vec<ChatLine> {
    let own = ["is **starting**", "is ending", "title changed"];
    let lines = owncast.chat().into_iter();
    lines.filter(|line| !own.iter().any(|words| line.body_sent.contains(words))).collect()
}

async fn line(stage: &Stage, words: &str) -> ChatLine {
    let found = stage.owncast.wait_chat(LONG, |line| line.html.contains(words)).await;
    found.unwrap_or_else(|| panic!("no line with {words:?} in {:?}", stage.owncast.chat()))
}

/// The page as a viewer's browser has it: the text, and the names of all elements.
fn page(owncast: &SimOwncast, line: &ChatLine) -> (String, Vec<String>) {
    let page = Html::parse_fragment(&owncast.page_html(line));
    let all = Selector::parse("*").unwrap();
    let elements = page.select(&all).map(|element| element.value().name().to_owned());
    (page.root_element().text().collect(), elements.filter(|name| name != "html").collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn follow_like_and_share_each_look_as_they_should() {
    let stage = Stage::start(quick(), &ONE_BY_ONE).await;
    let (server, fan) = stage.follower(Flavour::Mastodon).await;
    withheld(&stage, 1).await;
    let note = stage.post(&server).await.note;
    let ana = server.person("ana");
    ana.set_display_name("Ana");
    stage.follow(&ana).await;
    let card = line(&stage, "followed this stream.").await;
    assert_eq!(card.kind, ChatKind::System);
    assert_eq!(page(&stage.owncast, &card).0.trim(), format!("Ana ({}) followed this stream.", ana.handle()));
    ana.like(&note).await.unwrap();
    let liked = line(&stage, "liked").await;
    assert_eq!(liked.kind, ChatKind::Action);
    let text = page(&stage.owncast, &liked).0;
    assert_eq!(text.trim(), format!("Ana ({}) liked that this stream went live.", ana.handle()));
    ana.announce(&note).await.unwrap();
    let shared = line(&stage, "shared").await;
    assert_eq!(shared.kind, ChatKind::System);
    assert!(page(&stage.owncast, &shared).0.contains("shared this stream with their followers."));
    // Who followed while nobody streamed is in one line.
    assert!(line(&stage, "Since last time").await.html.contains("1 new follower."));

    // Each once, however often it is taken back and done again.
    for _ in 0..3 {
        ana.undo_like(&note).await.unwrap();
        ana.like(&note).await.unwrap();
        ana.undo_announce(&note).await.unwrap();
        ana.announce(&note).await.unwrap();
    }
    fan.like(&note).await.unwrap();
    line(&stage, "<strong>bo</strong>").await;
    let kinds = |words: &str| ours(&stage.owncast).iter().filter(|line| line.html.contains(words)).count();
    assert_eq!((kinds("followed"), kinds("liked"), kinds("shared")), (1, 2, 1), "{:?}", ours(&stage.owncast));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_name_is_text_in_every_style() {
    for style in ["\"card\"", "\"line\"", "\"bot\""] {
        let mut settings = ONE_BY_ONE.to_vec();
        settings.extend(["notices.follow", "notices.like", "notices.announce"].map(|key| (key, style)));
        let stage = Stage::start(quick(), &settings).await;
        let (server, _) = stage.follower(Flavour::Mastodon).await;
        withheld(&stage, 1).await;
        let note = stage.post(&server).await.note;
        let evil = server.person("evil");
        evil.set_display_name(HOSTILE);
        stage.follow(&evil).await;
        let follow = line(&stage, "followed this stream.").await;
        evil.like(&note).await.unwrap();
        let like = line(&stage, "liked").await;
        evil.announce(&note).await.unwrap();
        let share = line(&stage, "shared").await;
        for notice in [follow, like, share] {
            let (text, elements) = page(&stage.owncast, &notice);
            // Every character of it, as it was typed; only the new line is a blank.
            assert!(text.trim().starts_with(&HOSTILE.replace('\n', " ")), "{style}: {text:?}");
            assert!(!text.trim().contains('\n'), "{style}: {text:?}");
            let foreign: Vec<_> =
                elements.iter().filter(|name| !["p", "strong", "em", "a"].contains(&name.as_str())).collect();
            assert!(foreign.is_empty(), "{style}: {foreign:?} in {:?}", stage.owncast.page_html(&notice));
            let links = Html::parse_fragment(&stage.owncast.page_html(&notice));
            for link in links.select(&Selector::parse("a").unwrap()) {
                let to = link.attr("href").unwrap_or_default();
                assert!(to.starts_with(&server.url()), "{style}: a link to {to}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_part_of_a_hostile_name_is_text() {
    for part in [
        "[a](https://evil.example)",
        "https://evil.example",
        "www.evil.example",
        ":heart:",
        "a\n# x",
        "<b>x</b>",
    ]
    .chunks(3)
    {
        let stage = Stage::start(quick(), &ONE_BY_ONE).await;
        let (server, _) = stage.follower(Flavour::Mastodon).await;
        stage.post(&server).await;
        for (number, name) in part.iter().enumerate() {
            let evil = server.person(&format!("evil{number}"));
            evil.set_display_name(name);
            stage.follow(&evil).await;
            let notice = line(&stage, &format!("evil{number}")).await;
            let (text, elements) = page(&stage.owncast, &notice);
            assert!(text.trim().starts_with(&name.replace('\n', " ")), "{name:?}: {text:?}");
            assert!(
                elements.iter().all(|name| ["p", "strong", "em"].contains(&name.as_str())),
                "{elements:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_becomes_a_few_lines() {
    let stage = Stage::start(quick(), &[("notices.burst-window", "\"1s\"")]).await;
    let (server, _) = stage.follower(Flavour::Mastodon).await;
    let note = stage.post(&server).await.note;
    let crowd = server.crowd(40);
    // All at once: on a slow machine each by itself would come in a time of its own.
    let likes = futures_util::future::join_all(crowd.iter().map(|fan| fan.like(&note))).await;
    assert!(likes.into_iter().all(|like| like.unwrap().status == 202));
    assert_eq!(stage.total(&format!("{note}/likes")).await, 40);
    line(&stage, "others liked").await;
    let likes: Vec<ChatLine> =
        ours(&stage.owncast).into_iter().filter(|line| line.html.contains("liked")).collect();
    assert!(likes.len() <= 4, "four lines in a minute at most: {likes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_said_where_nobody_wants_to_hear_it() {
    for options in [Options { show_engagement: false, ..quick() }, quick()] {
        let quiet = !options.show_engagement;
        let stage = Stage::start(options, &ONE_BY_ONE).await;
        if !quiet {
            stage.wait_log("the webhook works").await;
            stage.owncast.configure(|config| config.chat_disabled = true);
            stage.hint();
            stage.wait_log("Owncast's configuration changed").await;
        }
        let (server, fan) = stage.follower(Flavour::Mastodon).await;
        let note = stage.post(&server).await.note;
        fan.like(&note).await.unwrap();
        fan.announce(&note).await.unwrap();
        // The follow of before the stream is one of them.
        withheld(&stage, 3).await;
        assert_eq!(ours(&stage.owncast), []);
    }
}

/// Waits until so many notices were not said because nobody wants to hear them.
async fn withheld(stage: &Stage, count: u64) {
    let held = async || {
        let held = stage.metric("herald_chat_notices_total{outcome=\"withheld\"}").await;
        (held >= count).then_some(())
    };
    crate::support::wait::eventually("notices are withheld", LONG, held).await;
}

async fn delete_tokens(stage: &Stage) {
    for token in stage.owncast.tokens() {
        let client = reqwest::Client::new();
        let url = format!("{}/api/admin/accesstokens/delete", stage.owncast.url());
        let body = serde_json::json!({ "token": token.token });
        let password = stage.owncast.config().admin_password;
        let deleted = client.post(url).basic_auth("admin", Some(password)).json(&body).send().await.unwrap();
        assert_eq!(deleted.status(), 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_deleted_in_owncast_is_made_anew_and_what_was_not_said_is_said() {
    let stage = Stage::start(quick(), &ONE_BY_ONE).await;
    let (server, fan) = stage.follower(Flavour::Mastodon).await;
    let note = stage.post(&server).await.note;
    delete_tokens(&stage).await;
    fan.like(&note).await.unwrap();
    line(&stage, "liked").await;
    assert_eq!(stage.owncast.tokens().len(), 1, "one token again");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_followed_before_the_stream_is_told_of_though_the_token_is_gone() {
    let stage = Stage::start(quick(), &[]).await;
    stage.wait_log("connected to Owncast's chat").await;
    let (server, _) = stage.follower(Flavour::Mastodon).await;
    withheld(&stage, 1).await;
    delete_tokens(&stage).await;
    stage.post(&server).await;
    line(&stage, "Since last time: 1 new follower.").await;
}
