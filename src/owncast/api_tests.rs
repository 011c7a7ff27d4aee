use std::time::Duration;

use super::*;
use crate::owncast::testing::{Reply, Request, Server, recorded};

async fn api_for(server: &Server) -> Api {
    let timeouts = Timeouts { connect: Duration::from_secs(3), total: Duration::from_secs(10) };
    Api::with_timeouts(server.url.clone(), "admin".to_owned(), "hunter2", timeouts).unwrap()
}

/// Always the same answer.
async fn always(reply: impl Fn() -> Reply + Send + Sync + 'static) -> (Server, Api) {
    let server = Server::start(move |_: &Request| reply()).await;
    let api = api_for(&server).await;
    (server, api)
}

#[tokio::test]
async fn the_recorded_status_is_read() {
    for (name, connected, online) in
        [("status-offline", false, false), ("status-connecting", true, false), ("status-live", true, true)]
    {
        let (server, api) = always(move || recorded(name)).await;
        let status = api.status().await.unwrap();
        assert_eq!((status.last_connect_time.is_some(), status.online), (connected, online), "{name}");
        assert_eq!(status.version_number, "0.1.3");
        assert!(server.asked().iter().all(|request| request.header("authorization").is_none()));
        assert!(server.asked().iter().all(|request| request.header("origin").is_none()));
    }
}

#[tokio::test]
async fn the_recorded_server_configuration_is_reduced_to_what_is_needed() {
    let (server, api) = always(|| recorded("serverconfig-configured")).await;
    let config = api.server_config().await.unwrap();
    assert_eq!(config.server_url, "https://live.example");
    assert_eq!(config.federation.username, "streamer");
    assert_eq!(config.federation.blocked_domains, ["bad.example", "worse.example"]);
    assert_eq!(config.federation.go_live_message, "I've gone live!");
    assert!(config.federation.enabled && config.federation.show_engagement && !config.federation.is_private);
    assert_eq!(config.instance.name, "Ada's <workshop> & friends");
    assert_eq!(config.instance.tags, ["owncast", "electronics", "Übung", "3d printing"]);
    assert_eq!(config.instance.social_handles[0].platform, "mastodon");
    assert_eq!(config.forbidden_usernames, ["owncast", "operator", "admin", "system"]);
    assert!(!format!("{config:?}").contains("abc123"), "neither the admin password nor a stream key is kept");
    let authorization = server.asked()[0].header("authorization").unwrap().to_owned();
    assert_eq!(authorization, "Basic YWRtaW46aHVudGVyMg==");

    api.set_admin("ada".to_owned(), "abc123");
    api.server_config().await.unwrap();
    assert_eq!(server.asked()[1].header("authorization").unwrap(), "Basic YWRhOmFiYzEyMw==");
}

#[tokio::test]
async fn a_client_that_only_looks_sends_nothing_that_changes_something() {
    let server = Server::start(|_: &Request| recorded("status-offline")).await;
    let api = Api::read_only(server.url.clone(), "admin".to_owned(), "hunter2").unwrap();
    api.status().await.unwrap();
    let secret = Secret::from("zzz");
    let refused = [
        api.set_go_live_message("").await,
        api.probe("x").await,
        api.say_action(&secret, "hello").await,
        api.delete_token(&secret).await,
        api.delete_webhook(1).await.map(drop),
    ];
    for answer in refused {
        assert!(matches!(answer, Err(OwncastError::ReadOnly { .. })), "{answer:?}");
    }
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn go_writes_empty_lists_as_null() {
    let body = serde_json::json!({
        "federation": { "username": "s", "blockedDomains": [""], "enabled": false },
        "instanceDetails": { "name": "n", "tags": null, "socialHandles": null },
    });
    let (_server, api) = always(move || Reply::json(200, &body)).await;
    let config = api.server_config().await.unwrap();
    assert!(config.federation.blocked_domains.is_empty() && config.instance.tags.is_empty());

    let (_server, api) = always(|| Reply::json(200, &Value::Null)).await;
    assert!(api.webhooks().await.unwrap().is_empty());
    assert!(api.tokens().await.unwrap().is_empty());
    assert_eq!(api.pending().await.unwrap().total, 0);
}

#[tokio::test]
async fn recorded_lists_are_read() {
    let (_server, api) = always(|| recorded("webhook-list")).await;
    let webhooks = api.webhooks().await.unwrap();
    assert_eq!(webhooks.iter().map(|webhook| webhook.id).collect::<Vec<_>>(), [1, 2]);
    assert!(!format!("{webhooks:?}").contains("9099"), "a webhook's address may hold a secret path");

    let (_server, api) = always(|| recorded("token-list")).await;
    let tokens = api.tokens().await.unwrap();
    assert_eq!(tokens[0].display_name, "Fediverse");
    assert!(!format!("{tokens:?}").contains("access-token"));

    let (server, api) = always(|| recorded("admin-followers")).await;
    let list = api.followers(0, 50).await.unwrap();
    assert_eq!((list.total, list.entries[0].username.as_str()), (1, "a0@localhost"));
    assert_eq!(server.asked()[0].target, "/api/admin/followers?offset=0&limit=50");

    let (_server, api) = always(|| recorded("federation-actions")).await;
    assert_eq!(api.federation_actions_total().await.unwrap(), 1);
}

#[tokio::test]
async fn the_actor_document_is_absent_while_federation_is_off() {
    let (server, api) = always(|| recorded("actor")).await;
    let actor = api.actor_document("streamer").await.unwrap().unwrap();
    assert_eq!(actor["type"], "Service");
    assert_eq!(server.asked()[0].header("accept").unwrap(), "application/activity+json");
    for status in [404, 405] {
        let (_server, api) = always(move || Reply::Answer(status, "", Vec::new())).await;
        assert_eq!(api.actor_document("streamer").await.unwrap(), None);
    }
}

#[tokio::test]
async fn calls_carry_what_owncast_expects() {
    let (server, api) = always(|| recorded("chat-system")).await;
    let token = Secret::from("t0ken");
    api.say_system(&token, "<b>hi</b>").await.unwrap();
    api.say_action(&token, "hi").await.unwrap();
    api.say_bot(&token, "hi").await.unwrap();
    api.probe("herald-probe-1").await.unwrap();
    api.set_go_live_message("").await.unwrap();
    api.delete_token(&token).await.unwrap();
    let asked = server.asked();
    let targets: Vec<_> = asked.iter().map(|request| request.target.as_str()).collect();
    assert_eq!(
        targets,
        [
            "/api/integrations/chat/system",
            "/api/integrations/chat/action",
            "/api/integrations/chat/send",
            "/api/admin/chat/messagevisibility",
            "/api/admin/config/federation/livemessage",
            "/api/admin/accesstokens/delete",
        ]
    );
    assert!(asked.iter().all(|request| request.method == "POST"));
    assert_eq!(asked[0].header("authorization").unwrap(), "Bearer t0ken");
    assert_eq!(asked[0].json(), json!({ "body": "<b>hi</b>" }));
    assert_eq!(asked[3].json(), json!({ "idArray": ["herald-probe-1"], "visible": true }));
    assert_eq!(asked[4].json(), json!({ "value": "" }));
    assert!(asked[4].header("authorization").unwrap().starts_with("Basic "));
}

#[tokio::test]
async fn deleting_a_webhook_twice_is_no_error() {
    let (_server, api) = always(|| recorded("webhook-delete-again")).await;
    assert!(!api.delete_webhook(2).await.unwrap());
    let (_server, api) = always(|| recorded("set-livemessage")).await;
    assert!(api.delete_webhook(2).await.unwrap());
}

#[tokio::test]
async fn failures_are_told_apart() {
    let (_server, api) = always(|| Reply::Answer(401, "text/plain", b"Unauthorized\n".to_vec())).await;
    let wrong = api.server_config().await.unwrap_err();
    assert!(matches!(wrong, OwncastError::WrongPassword { .. }) && !wrong.to_string().contains("hunter2"));
    let wrong = api.say_bot(&Secret::from("t0ken"), "x").await.unwrap_err();
    assert!(matches!(wrong, OwncastError::WrongToken { .. }) && !wrong.to_string().contains("t0ken"));

    let (_server, api) = always(|| recorded("chat-system-garbage")).await;
    let refused = api.say_bot(&Secret::from("t"), "x").await.unwrap_err();
    assert!(
        matches!(&refused, OwncastError::Refused { message, .. } if message.contains("invalid character"))
    );

    let (_server, api) =
        always(|| Reply::Answer(200, "text/html", b"<!doctype html><p>nginx".to_vec())).await;
    for error in [
        api.status().await.unwrap_err(),
        api.server_config().await.unwrap_err(),
        api.picture(Picture::Thumbnail).await.unwrap_err(),
    ] {
        assert!(matches!(error, OwncastError::NotOwncast { .. }), "{error}");
    }

    let (_server, api) = always(|| Reply::json(200, &json!({ "uri": "social.example" }))).await;
    let foreign = api.status().await.unwrap_err();
    assert!(foreign.to_string().contains("JSON without `versionNumber`"), "{foreign}");

    let (_server, api) =
        always(|| Reply::json(200, &json!({ "versionNumber": "0.1.3", "serverTime": 5 }))).await;
    assert!(matches!(api.status().await.unwrap_err(), OwncastError::Malformed { .. }));

    let (_server, api) = always(|| Reply::Answer(503, "text/plain", Vec::new())).await;
    assert!(api.status().await.unwrap_err().is_transient());

    let (_server, api) = always(|| Reply::BreakOff).await;
    assert!(matches!(api.status().await.unwrap_err(), OwncastError::Unreachable { arrived: true, .. }));

    let (_server, api) = always(|| Reply::Answer(200, "application/json", vec![b' '; 2 * 1024 * 1024])).await;
    assert!(matches!(api.status().await.unwrap_err(), OwncastError::Malformed { .. }));
}

#[tokio::test]
async fn nobody_there_and_nobody_answering_are_transient() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = crate::owncast::testing::base(free.local_addr().unwrap());
    drop(free);
    let api = Api::new(base.clone(), "admin".to_owned(), "hunter2").unwrap();
    let refused = api.status().await.unwrap_err();
    assert!(
        refused.is_transient() && refused.is_undone() && refused.to_string().contains(base.as_str()),
        "{refused}"
    );

    let server = Server::start(|_| Reply::Hang).await;
    let timeouts = Timeouts { connect: Duration::from_secs(1), total: Duration::from_millis(100) };
    let api = Api::with_timeouts(server.url.clone(), "admin".to_owned(), "x", timeouts).unwrap();
    let slow = api.status().await.unwrap_err();
    assert!(slow.is_transient() && !slow.is_undone() && slow.to_string().contains("took too long"), "{slow}");
}

#[tokio::test]
async fn redirects_stay_with_owncast_and_never_carry_a_post() {
    let server = Server::start(|request| match request.target.as_str() {
        "/api/status" => Reply::Redirect("/other".to_owned()),
        "/other" => recorded("status-offline"),
        "/api/admin/serverconfig" => Reply::Redirect("http://evil.example/x".to_owned()),
        "/logo" => Reply::Redirect("/logo".to_owned()),
        _ => Reply::Redirect("/other".to_owned()),
    })
    .await;
    let api = api_for(&server).await;
    assert!(api.status().await.is_ok());
    let away = api.server_config().await.unwrap_err();
    assert!(away.to_string().contains("a redirect to http://evil.example"), "{away}");
    assert!(api.picture(Picture::Logo).await.unwrap_err().to_string().contains("a loop"));
    assert!(matches!(api.set_go_live_message("").await.unwrap_err(), OwncastError::NotOwncast { .. }));
}

#[tokio::test]
async fn pictures_come_with_owncasts_label() {
    let (server, api) = always(|| Reply::Answer(200, "image/jpeg", b"\x89PNG".to_vec())).await;
    for picture in [Picture::Thumbnail, Picture::Preview, Picture::Logo, Picture::LogoExternal] {
        let fetched = api.picture(picture).await.unwrap();
        assert_eq!((fetched.content_type.as_str(), &fetched.bytes[..]), ("image/jpeg", &b"\x89PNG"[..]));
    }
    let targets: Vec<_> = server.asked().into_iter().map(|request| request.target).collect();
    assert_eq!(targets, ["/thumbnail.jpg", "/preview.gif", "/logo", "/logo/external"]);
}

#[tokio::test]
async fn https_where_nobody_speaks_it_is_told_in_words() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // As Go answers what is not HTTP.
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            use tokio::io::AsyncWriteExt as _;
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").await;
            held.push(stream);
        }
    });
    let url = Url::parse(&format!("https://{address}")).unwrap();
    let api = Api::new(url, "admin".to_owned(), "x".to_owned()).unwrap();
    let said = api.status().await.unwrap_err().to_string();
    assert!(said.contains("write http://"), "{said}");
}
