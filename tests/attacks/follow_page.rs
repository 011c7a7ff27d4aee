//! The follow page asks other servers on the word of whoever fills it in: nobody else may, and it takes nothing of the
//! inbox's.

use owncast_herald::sim::fediverse::Flavour;
use reqwest::Method;
use serde_json::Value;

use crate::target::{Target, never_contacted};

#[tokio::test(flavor = "multi_thread")]
async fn c_25_another_sites_page_cannot_fill_in_the_follow_page() {
    let target = Target::start().await;
    let eve = target.cold(Flavour::Mastodon).await;
    let account = format!("eve@{}", eve.server().host());
    let ours = target.stage.agent.public_url();
    for foreign in [
        [("origin", "https://evil.example"), ("x-a", "")],
        [("origin", "null"), ("x-a", "")],
        [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")],
        [("sec-fetch-site", "cross-site"), ("origin", &ours)],
        [("sec-fetch-site", "same-site"), ("origin", "https://other.stream.example")],
    ] {
        let answer = target.stage.fill_in_follow_page(&account, &foreign).await;
        assert_eq!(answer.status(), 403, "{foreign:?}");
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["code"], "foreign-form");
        assert!(problem["detail"].as_str().unwrap().contains(&format!("open {ours}/federation/follow")));
    }
    // What a page may send anywhere without asking.
    for kind in ["text/plain", "multipart/form-data; boundary=x", ""] {
        let form = target.stage.ask(Method::POST, "/federation/follow").header("content-type", kind);
        let answer = form.body(format!("account={account}")).send().await.unwrap();
        assert_eq!(answer.status(), 415, "{kind}");
    }
    never_contacted(eve.server());
    // Nobody is there to follow with, but it was asked.
    for own in [
        [("sec-fetch-site", "same-origin"), ("origin", ours.as_str())],
        [("x-a", ""), ("origin", ours.as_str())],
        [("x-a", ""), ("x-b", "")],
    ] {
        assert_eq!(target.stage.fill_in_follow_page(&account, &own).await.status(), 422, "{own:?}");
    }
    assert_ne!(eve.server().requests().len(), 0);
    let page = target.stage.ask(Method::GET, "/federation/follow").send().await.unwrap();
    assert_eq!(page.status(), 200);
    // Else a browser would say `Origin: null` behind a proxy whose pages are to tell nobody where one came from.
    let page = scraper::Html::parse_document(&page.text().await.unwrap());
    let select = |what: &str| page.select(&scraper::Selector::parse(what).unwrap()).count();
    assert_eq!((select("head > meta[name=referrer][content=same-origin]"), select("form")), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn c_25_the_follow_page_uses_up_nothing_of_the_inbox() {
    let target = Target::start().await;
    let eve = target.stranger(Flavour::Mastodon).await;
    // 120 in a minute of one host, whoever asks: a machine that has much to do may see some minutes begin.
    let mut told = false;
    for number in 0..1_000 {
        let client = format!("203.0.113.{}", number % 250);
        let account = format!("nobody{number}@{}", eve.server().host());
        let answer = target.stage.fill_in_follow_page(&account, &[("x-forwarded-for", &client)]).await;
        assert_eq!(answer.status(), 422);
        told = answer.text().await.unwrap().contains("Many people are following");
        if told {
            break;
        }
    }
    assert!(told, "it was asked without end");
    target.stage.follow(&eve).await;
}
