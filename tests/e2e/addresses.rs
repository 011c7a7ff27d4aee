//! Every address answers as peers, Owncast and caches expect.

use std::collections::BTreeSet;

use owncast_herald::sim::fediverse::Flavour;
use reqwest::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderName, IF_NONE_MATCH, LOCATION, VARY,
};
use reqwest::{Method, Response};
use serde_json::Value;

use crate::support::stage::{ACTIVITY, Stage, no_complaints, quick};

const RECORDED: &str = include_str!("../fixtures/owncast/documents.json");

/// All members of a document, as paths, without those of lists.
fn members(document: &Value, path: &str, found: &mut BTreeSet<String>) {
    if let Value::Object(fields) = document {
        for (name, value) in fields {
            let path = format!("{path}/{name}");
            members(value, &path, found);
            found.insert(path);
        }
    }
}

/// Everything that Owncast's recorded document has is there as well, and its addresses are the very same.
fn covers(recorded: &Value, ours: &Value, base: &str, except: &[&str]) {
    let (mut theirs, mut here) = (BTreeSet::new(), BTreeSet::new());
    members(recorded, "", &mut theirs);
    members(ours, "", &mut here);
    let missing: Vec<_> =
        theirs.difference(&here).filter(|path| !except.iter().any(|free| path.starts_with(free))).collect();
    assert!(missing.is_empty(), "{missing:?} are missing in {ours}");
    for path in
        ["/id", "/inbox", "/outbox", "/followers", "/publicKey/id", "/publicKey/owner", "/preferredUsername"]
    {
        let (Some(theirs), Some(ours)) = (recorded.pointer(path), ours.pointer(path)) else { continue };
        let theirs = theirs.as_str().unwrap().replace("https://live.example", base);
        assert_eq!(ours.as_str(), Some(theirs.as_str()), "{path}");
    }
}

/// Status, and the value of a header; empty without it.
fn told(answer: &Response, name: HeaderName) -> (u16, &str) {
    let value = answer.headers().get(name).and_then(|value| value.to_str().ok());
    (answer.status().as_u16(), value.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_have_owncasts_ids_and_shapes() {
    let stage = Stage::start(quick(), &[]).await;
    let recorded: Value = serde_json::from_str(RECORDED).unwrap();
    let (base, actor) = (stage.agent.public_url(), stage.actor());
    assert_eq!(actor, format!("{base}/federation/user/streamer"));
    for (name, address) in [
        ("actor", actor.clone()),
        ("webfinger", format!("/.well-known/webfinger?resource=acct:{}", stage.handle())),
        ("nodeinfo-index", "/.well-known/nodeinfo".into()),
        ("nodeinfo-2.0", "/nodeinfo/2.0".into()),
        ("x-nodeinfo2", "/.well-known/x-nodeinfo2".into()),
        ("instance-v1", "/api/v1/instance".into()),
        ("outbox", format!("{actor}/outbox")),
        ("outbox-page", format!("{actor}/outbox?page=1")),
        ("public-followers", "/api/followers".into()),
    ] {
        let ours = stage.document(&address).await;
        // Owncast's outbox page holds an empty collection where a list belongs.
        let except: &[&str] = if name == "outbox-page" { &["/orderedItems/"] } else { &[] };
        covers(&recorded[name], &ours, &base, except);
    }
    let ours = stage.document(&actor).await;
    assert_eq!((&ours["type"], &ours["url"]), (&"Service".into(), &format!("{base}/").into()));
    assert_eq!(ours["endpoints"]["sharedInbox"], ours["inbox"]);
    assert!(ours["publicKey"]["publicKeyPem"].as_str().unwrap().starts_with("-----BEGIN PUBLIC KEY-----"));
    let icon = stage.get(ours["icon"]["url"].as_str().unwrap()).await;
    assert_eq!(told(&icon, CONTENT_TYPE), (200, ours["icon"]["mediaType"].as_str().unwrap()));
    for version in ["2.0", "2.1"] {
        let nodeinfo = stage.document(&format!("/nodeinfo/{version}")).await;
        assert_eq!(
            (&nodeinfo["version"], &nodeinfo["software"]["name"]),
            (&version.into(), &"owncast".into())
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn webfinger_answers_every_way_of_asking() {
    let stage = Stage::start(quick(), &[]).await;
    let (base, host) = (stage.agent.public_url(), stage.agent.host());
    let ask = async |resource: &str| {
        let query =
            url::form_urlencoded::Serializer::new(String::new()).append_pair("resource", resource).finish();
        stage.get(&format!("/.well-known/webfinger?{query}")).await
    };
    for resource in [
        format!("acct:streamer@{host}"),
        format!("acct:STREAMER@{host}"),
        stage.actor(),
        base.clone(),
        format!("{base}/"),
    ] {
        let answer = ask(&resource).await;
        assert_eq!(told(&answer, CONTENT_TYPE), (200, "application/jrd+json"), "{resource}");
        let document: Value = answer.json().await.unwrap();
        assert_eq!(document["subject"], format!("acct:streamer@{host}"), "{resource}");
        assert!(document["links"].as_array().unwrap().iter().any(|link| link["rel"] == "alternate"));
    }
    for (resource, status, code) in [
        (format!("acct:somebody@{host}"), 404, "unknown-resource"),
        ("acct:streamer@other.example".into(), 404, "unknown-resource"),
        ("streamer".into(), 400, "bad-resource"),
        (String::new(), 400, "bad-resource"),
    ] {
        let answer = ask(&resource).await;
        assert_eq!(answer.status(), status, "{resource}");
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["code"], code, "{resource}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_address_has_its_type_and_knows_head_and_etags() {
    let stage = Stage::start(quick(), &[]).await;
    let (server, _) = stage.follower(Flavour::Mastodon).await;
    let post = stage.post(&server).await;
    let (actor, note, picture) = (stage.actor(), &post.note, post.media[0].url.clone());
    const NODEINFO: &str = "application/json; profile=\"http://nodeinfo.diaspora.software/ns/schema/";
    let table = [
        (actor.clone(), ACTIVITY.to_owned(), true),
        (format!("{actor}/outbox"), ACTIVITY.into(), true),
        (format!("{actor}/outbox?page=1"), ACTIVITY.into(), true),
        (format!("{actor}/followers"), ACTIVITY.into(), true),
        (format!("{actor}/following"), ACTIVITY.into(), false),
        (format!("{actor}/collections/featured"), ACTIVITY.into(), true),
        (note.clone(), ACTIVITY.into(), true),
        (format!("{note}/activity"), ACTIVITY.into(), true),
        (format!("{note}/replies"), ACTIVITY.into(), true),
        (format!("{note}/likes"), ACTIVITY.into(), true),
        (format!("{note}/shares"), ACTIVITY.into(), true),
        (picture.clone(), "image/jpeg".into(), false),
        (format!("/.well-known/webfinger?resource={actor}"), "application/jrd+json".into(), false),
        ("/.well-known/host-meta".into(), "application/xrd+xml; charset=utf-8".into(), false),
        ("/.well-known/nodeinfo".into(), "application/json".into(), false),
        ("/nodeinfo/2.0".into(), format!("{NODEINFO}2.0#\""), false),
        ("/nodeinfo/2.1".into(), format!("{NODEINFO}2.1#\""), false),
        ("/.well-known/x-nodeinfo2".into(), "application/json".into(), false),
        ("/api/v1/instance".into(), "application/json".into(), false),
        ("/api/followers".into(), "application/json".into(), false),
        ("/federation/follow".into(), "text/html; charset=utf-8".into(), false),
    ];
    for (address, content_type, negotiated) in table {
        let ask = |method: Method| stage.ask(method, &address).header("accept", ACTIVITY);
        let answer = ask(Method::GET).send().await.unwrap();
        assert_eq!(told(&answer, CONTENT_TYPE), (200, content_type.as_str()), "{address}");
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff", "{address}");
        let private = told(&answer, CACHE_CONTROL).1.starts_with("private");
        assert_eq!((private, told(&answer, VARY).1 == "Accept"), (negotiated, negotiated), "{address}");
        let etag = told(&answer, ETAG).1.to_owned();
        let length = answer.bytes().await.unwrap().len().to_string();

        let head = ask(Method::HEAD).send().await.unwrap();
        assert_eq!(told(&head, ETAG), (200, etag.as_str()), "{address}");
        assert_eq!(told(&head, CONTENT_LENGTH).1, length, "{address}");
        let known = ask(Method::GET).header(IF_NONE_MATCH, &etag).send().await.unwrap();
        assert_eq!(told(&known, ETAG), (304, etag.as_str()), "{address}");
        assert!(known.bytes().await.unwrap().is_empty(), "{address}");

        for method in [Method::PUT, Method::DELETE, Method::PATCH] {
            let refused = ask(method.clone()).send().await.unwrap();
            let (status, allow) = told(&refused, ALLOW);
            assert!(
                status == 405 && allow.starts_with("GET, HEAD"),
                "{method} {address}: {status} {allow:?}"
            );
        }
    }
    let immutable = stage.get(&picture).await;
    assert_eq!(immutable.headers()[CACHE_CONTROL], "public, max-age=31536000, immutable");
    let inbox = stage.get(&stage.inbox()).await;
    assert_eq!(told(&inbox, ALLOW), (405, "POST"));
    for nothing in [
        "/",
        "/federation",
        "/federation/",
        "/federation/user/other",
        "/federation/user/other/inbox",
        "/federation/01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "/federation/media/none.jpg",
        "/federation/media/..%2factor-key.pem",
        "/api/admin/serverconfig",
        "/metrics",
        "/livez",
        "/.well-known/",
        "/nodeinfo/3.0",
    ] {
        let answer = stage.get(nothing).await;
        assert_eq!(answer.status(), 404, "{nothing}");
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["code"], "not-found", "{nothing}");
    }
    no_complaints(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn people_with_a_browser_get_pages() {
    let stage = Stage::start(quick(), &[]).await;
    let (server, _) = stage.follower(Flavour::Mastodon).await;
    let note = stage.post(&server).await.note;
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let open =
        async |address: &str| stage.ask(Method::GET, address).header("accept", browser).send().await.unwrap();
    let page = open(&note).await;
    assert_eq!(told(&page, CONTENT_TYPE), (200, "text/html; charset=utf-8"));
    assert!(told(&page, VARY).1 == "Accept" && told(&page, CACHE_CONTROL).1.starts_with("private"));
    let page = page.text().await.unwrap();
    assert!(page.contains(&format!("href=\"{}/\"", stage.agent.public_url())), "{page}");
    // What makes a preview of a link names no type.
    let ask =
        async |address: &str| stage.ask(Method::GET, address).header("accept", "*/*").send().await.unwrap();
    let preview = ask(&note).await;
    assert_eq!(told(&preview, CONTENT_TYPE), (200, "text/html; charset=utf-8"));
    let preview = preview.text().await.unwrap();
    assert!(preview.contains("og:title") && preview.contains("og:image"), "{preview}");
    for document in [stage.actor(), format!("{note}/activity"), format!("{note}/likes")] {
        assert_eq!(told(&ask(&document).await, CONTENT_TYPE), (200, ACTIVITY), "{document}");
    }
    let actor = open(&stage.actor()).await;
    assert_eq!(told(&actor, LOCATION), (303, format!("{}/", stage.agent.public_url()).as_str()));
    // The follow page asks the person's own server and sends them there.
    let follow = async |account: &str| stage.fill_in_follow_page(account, &[]).await;
    let links = serde_json::json!({"links": [{"rel": "http://ostatus.org/schema/1.0/subscribe",
        "template": format!("{}/authorize?uri={{uri}}", server.url())}]});
    let found = owncast_herald::sim::fediverse::Document {
        content_type: "application/jrd+json".into(),
        ..owncast_herald::sim::fediverse::Document::activity(&links)
    };
    server.place("/.well-known/webfinger", found);
    let sent = follow(&format!("@bo@{}", server.host())).await;
    let handle: String = url::form_urlencoded::byte_serialize(stage.handle().as_bytes()).collect();
    let there = format!("{}/authorize?uri={handle}", server.url());
    assert_eq!(told(&sent, LOCATION), (303, there.as_str()));
    for bad in ["", "bo", "bo@", "<script>@x", "bo@127.0.0.1:1"] {
        let answer = follow(bad).await;
        assert_eq!(answer.status(), 422, "{bad}");
        assert!(!answer.text().await.unwrap().contains("<script>"), "{bad}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn outbox_pages_lead_from_one_to_the_next() {
    let stage = Stage::start(
        quick(),
        &[("go-live.repost-after", "\"0s\""), ("go-live.delay", "\"0s\""), ("go-live.image", "\"none\"")],
    )
    .await;
    let (server, _) = stage.follower(Flavour::Mastodon).await;
    for round in 1..=21 {
        stage.owncast.go_live();
        crate::support::wait::eventually("a post", crate::support::wait::LONG, async || {
            (server.posts().len() == round).then_some(())
        })
        .await;
        stage.owncast.end_stream();
        crate::support::wait::eventually("its end", crate::support::wait::LONG, async || {
            (stage.agent.log().matches("the stream is over").count() == round).then_some(())
        })
        .await;
    }
    let outbox = stage.document(&format!("{}/outbox", stage.actor())).await;
    assert_eq!(outbox["totalItems"], 21);
    let mut ids = Vec::new();
    let mut next = outbox["first"].as_str().map(str::to_owned);
    while let Some(page) = next {
        let page = stage.document(&page).await;
        let items = page["orderedItems"].as_array().unwrap();
        assert!(items.iter().all(|item| item["type"] == "Create" && item["object"]["type"] == "Note"));
        ids.extend(items.iter().map(|item| item["object"]["id"].as_str().unwrap().to_owned()));
        next = page["next"].as_str().map(str::to_owned);
    }
    let mut arrived: Vec<String> = server.posts().into_iter().map(|post| post.note).collect();
    arrived.reverse();
    assert_eq!(ids, arrived, "newest first, each once");
    no_complaints(&server);
}
