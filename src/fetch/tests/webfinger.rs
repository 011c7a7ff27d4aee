//! Who an account is, by its server's word.

use super::*;

#[tokio::test]
async fn webfinger_follows_to_another_host_and_tells_which() {
    let elsewhere = TestServer::start(|_, hit| {
        assert!(hit.target.ends_with("?resource=acct%3Aana%40ana.example"), "{}", hit.target);
        answer(200, &[("content-type", "application/jrd+json; charset=utf-8")], "{\"links\":[]}")
    })
    .await;
    let there = elsewhere.url("/x?resource=acct%3Aana%40ana.example").to_string();
    let rig = Rig::new(move |base, hit| {
        let to = |location: &str| answer(302, &[("location", location)], "");
        let user = hit.target.split("acct%3A").nth(1).unwrap_or(&hit.target).split("%40").next().unwrap();
        match user {
            "split" => to(&there),
            "home" => to("https://stream.example/.well-known/webfinger"),
            "private" => to("http://169.254.169.254/latest/meta-data"),
            "ftp" => to("ftp://127.0.0.1/"),
            "loop" => to(&format!("{base}{}", hit.target)),
            "page" => answer(200, &[("content-type", "text/html")], "{}"),
            "broken" => answer(200, &[("content-type", "application/json")], "{\"a\":1,\"a\":2}"),
            "large" => answer(200, &[("content-type", "application/json")], vec![b' '; 64 * 1024 + 1]),
            "gone" => answer(410, &[], ""),
            _ => answer(404, &[], ""),
        }
    })
    .await;
    let own = rig.server.url("/");
    let host = format!("127.0.0.1:{}", own.port().unwrap());
    let ask = async |user: &str| rig.fetcher.webfinger(user, &host, None).await;
    let described = ask("split").await.unwrap();
    let origins = [&own, &elsewhere.url("/")].map(|url| Origin::of(url).unwrap());
    assert_eq!((described.document, described.origins), (json!({"links": []}), origins));
    assert_eq!(ask("home").await.unwrap_err(), FetchError::OwnHost);
    assert!(matches!(ask("private").await, Err(FetchError::Net(NetError::RefusedAddress(_)))));
    assert!(matches!(ask("ftp").await, Err(FetchError::Address(_))));
    rejected(ask("loop").await, "more than 3");
    rejected(ask("page").await, "not JSON");
    rejected(ask("broken").await, "same key twice");
    assert!(matches!(ask("large").await, Err(FetchError::Net(NetError::TooLarge(_)))));
    assert_eq!(ask("gone").await.unwrap_err(), FetchError::Gone);
    assert_eq!(ask("nobody").await.unwrap_err(), FetchError::NotFound);
    assert_eq!(rig.fetcher.webfinger("a", "stream.example", None).await.unwrap_err(), FetchError::OwnHost);
    for hit in rig.server.hits() {
        assert!(!hit.headers.contains_key("signature"), "a stranger's word does not make us sign");
    }
    // Counted like every other fetch: of one client, so many from one host.
    let source = Some(Source::of([203, 0, 113, 1].into()));
    let mut asked = 0;
    let asked_for = async |number: u32| {
        let user = format!("nobody{number}");
        rig.fetcher.webfinger(&user, &host, source).await.unwrap_err()
    };
    while asked_for(asked).await != FetchError::Busy {
        asked += 1;
    }
    // And who is not there is not asked for again at once.
    let hits = rig.hits();
    for _ in 0..10 {
        assert_eq!(asked_for(0).await, FetchError::NotFound);
    }
    assert_eq!(rig.hits(), hits);
    assert!(asked <= Budgets::default().source_at_owner.per_minute, "{asked}");
}
