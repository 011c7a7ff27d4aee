//! Whatever becomes of webhook, websocket, token and password, the stream is seen, and what broke is mended or named.

use std::fs;
use std::time::Duration;

use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use owncast_herald::sim::fediverse::{Flavour, Server};
use owncast_herald::sim::owncast::{Options, SocketRefusal, Timeline, Version};
use serde_json::json;

use crate::support::stage::{SOON, Stage, no_complaints, quick};
use crate::support::wait::{LONG, eventually};

/// What the operator does in Owncast's admin page.
async fn admin(stage: &Stage, path: &str, body: serde_json::Value) {
    let call = stage.http.post(format!("{}/api/admin/{path}", stage.owncast.url())).json(&body);
    let answer = call.basic_auth("admin", Some(&stage.owncast.config().admin_password)).send().await.unwrap();
    assert!(answer.status().is_success(), "{path}: {answer:?}");
}

async fn delete_webhook(stage: &Stage) {
    let id = stage.owncast.webhooks()[0].id;
    admin(stage, "webhooks/delete", json!({ "id": id })).await;
    assert!(stage.owncast.webhooks().iter().all(|webhook| webhook.id != id));
}

async fn delete_token(stage: &Stage) {
    let token = stage.owncast.tokens().remove(0).token;
    admin(stage, "accesstokens/delete", json!({ "token": token })).await;
    assert!(stage.owncast.tokens().iter().all(|one| one.token != token));
}

fn count(stage: &Stage, words: &str) -> usize {
    stage.agent.log().matches(words).count()
}

async fn wait_count(stage: &Stage, words: &str, times: usize) {
    let what = format!("{words:?} for the {times}. time");
    eventually(&what, LONG, async || (count(stage, words) >= times).then_some(())).await;
}

/// Owncast goes down, is missed, and comes back.
async fn outage(stage: &Stage) {
    let before = count(stage, "no answer from Owncast");
    stage.owncast.power_off().await;
    wait_count(stage, "no answer from Owncast", before + 1).await;
    stage.owncast.power_on().await.unwrap();
}

/// Waits until one webhook is there and has been called.
async fn wait_webhook(stage: &Stage, good: impl Fn(&owncast_herald::sim::owncast::Webhook) -> bool) {
    eventually("one good webhook", LONG, async || {
        let webhooks = stage.owncast.webhooks();
        assert!(webhooks.len() < 2, "{webhooks:?}");
        webhooks.first().is_some_and(|one| one.last_used.is_some() && good(one)).then_some(())
    })
    .await;
}

/// Goes live and ends, and sees both at a follower.
async fn whole_stream(stage: &Stage, server: &Server) {
    let note = stage.post(server).await.note;
    stage.owncast.end_stream();
    let over = |seen: &owncast_herald::sim::fediverse::PostSeen| {
        seen.note == note && seen.html.contains("The stream is over")
    };
    assert!(server.wait_post(LONG, over).await.is_some(), "the end of the stream");
}

/// Waits until `status` says these words somewhere.
async fn status_says(stage: &Stage, words: &str) {
    let what = format!("status says {words:?}");
    eventually(&what, LONG, async || {
        let output = stage.agent.cli(&["status", "--json"]).await;
        String::from_utf8_lossy(&output.stdout).contains(words).then_some(())
    })
    .await;
}

/// Changes `agent.toml` as an editor would.
fn edit(stage: &Stage, change: impl FnOnce(String) -> String) {
    let path = stage.agent.path("agent.toml");
    let changed = change(fs::read_to_string(&path).unwrap());
    let new = stage.agent.path("agent.toml.new");
    fs::write(&new, changed).unwrap();
    fs::rename(&new, &path).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_late_and_reordered_webhooks_change_nothing() {
    let stage = Stage::start(quick(), &[("go-live.repost-after", "\"0s\"")]).await;
    stage.wait_log("the webhook works").await;
    let (server, _) = stage.follower(Flavour::Mastodon).await;
    stage.owncast.faults().repeat_webhooks = 2;
    stage.owncast.faults().delay_webhooks = Duration::from_secs(5);
    let note = stage.post(&server).await.note;
    stage.owncast.faults().delay_webhooks = Duration::ZERO;
    stage.owncast.end_stream();
    let over = server.wait_post(LONG, |seen| seen.html.contains("The stream is over")).await;
    assert_eq!(over.expect("the end").note, note);
    // The start is told three times after the end.
    wait_count(&stage, "kind=StreamStarted", 3).await;
    whole_stream(&stage, &server).await;
    let creates = server.received().iter().filter(|received| received.kind() == "Create").count();
    assert_eq!((creates, server.posts().len()), (2, 2), "one post for each stream");
    no_complaints(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_does_not_reach_us_is_removed_and_named() {
    // It takes the connection and never answers, so Owncast would wait for ever.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("\"http://{}\"", silent.local_addr().unwrap());
    let stage = Stage::start(quick(), &[("listen.webhook-url", &url)]).await;
    stage.wait_log("Owncast's webhook does not reach").await;
    assert!(stage.owncast.webhooks().is_empty());
    status_says(&stage, "[listen] webhook-url").await;
    let (server, _) = stage.follower(Flavour::Mastodon).await;
    whole_stream(&stage, &server).await;
    assert_eq!(count(&stage, "Owncast hints"), 0);

    edit(&stage, |file| {
        file.lines().filter(|line| !line.contains("webhook-url")).collect::<Vec<_>>().join("\n")
    });
    stage.wait_log("the webhook works").await;
    wait_webhook(&stage, |_| true).await;
    no_complaints(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_owncast_is_rid_of_a_dead_webhook_too() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("\"http://{}\"", silent.local_addr().unwrap());
    let mut stage = Stage::prepare(quick(), &[("listen.webhook-url", &url)]).await;
    stage.owncast.faults().delay_answers = Duration::from_millis(400);
    stage.agent.launch();
    stage.settled().await;
    stage.wait_log("Owncast's webhook does not reach").await;
    assert!(stage.owncast.webhooks().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_webhook_is_missed_at_the_next_start() {
    let stage = Stage::start(quick(), &[]).await;
    stage.wait_log("the webhook works").await;
    stage.wait_log("connected to Owncast's chat").await;
    let (server, _) = stage.follower(Flavour::Mastodon).await;
    delete_webhook(&stage).await;
    let note = stage.post(&server).await.note;
    stage.wait_log("Owncast's webhook did not tell").await;
    wait_webhook(&stage, |_| true).await;
    stage.owncast.end_stream();
    stage.wait_log("kind=StreamStopped").await;
    assert!(server.wait_post(LONG, |seen| seen.note == note && !seen.edits.is_empty()).await.is_some());
    no_complaints(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_token_is_made_anew_when_chat_refuses_it() {
    let stage = Stage::start(quick(), &[("notices.when", "\"always\"")]).await;
    stage.wait_log("connected to Owncast's chat").await;
    delete_token(&stage).await;
    stage.follower(Flavour::Mastodon).await;
    let said = stage.owncast.wait_chat(LONG, |line| line.html.contains("followed this stream.")).await;
    assert!(said.is_some(), "the notice was not lost: {:?}", stage.owncast.chat());
    assert_eq!(stage.owncast.tokens().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_the_websocket_refuses_is_made_anew() {
    let stage = Stage::start(quick(), &[]).await;
    stage.wait_log("connected to Owncast's chat").await;
    for (times, how) in [(2, "deleted"), (3, "disabled")] {
        let before = stage.owncast.tokens().remove(0).token;
        if how == "deleted" {
            delete_token(&stage).await;
        } else {
            assert!(stage.owncast.disable_user("Fediverse"));
        }
        stage.owncast.drop_sockets();
        wait_count(&stage, "connected to Owncast's chat", times).await;
        let tokens = stage.owncast.tokens();
        assert!(tokens.iter().any(|token| token.token != before), "{how}: another token");
    }
    // The disabled one stays in Owncast as it is.
    assert_eq!(stage.owncast.sockets(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ban_from_chat_is_named_and_not_tried_in_a_loop() {
    let mut stage = Stage::prepare(quick(), &[]).await;
    stage.owncast.faults().refuse_sockets = SocketRefusal::Banned;
    stage.agent.launch();
    stage.settled().await;
    status_says(&stage, "bans this machine's address").await;
    let (server, _) = stage.follower(Flavour::Mastodon).await;
    whole_stream(&stage, &server).await;
    let tries = stage.owncast.requests().iter().filter(|request| request.path == "/ws").count();
    assert_eq!(tries, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_that_does_not_come_back_is_counted_and_not_said_again() {
    let stage = Stage::start(quick(), &[("notices.when", "\"always\"")]).await;
    stage.wait_log("connected to Owncast's chat").await;
    stage.owncast.faults().lose_frames = true;
    stage.follower(Flavour::Mastodon).await;
    stage.wait_log("sent, and not seen in chat").await;
    let said = stage.owncast.chat().iter().filter(|line| line.html.contains("followed")).count();
    assert_eq!(said, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_again_and_again_is_left_alone() {
    let stage = Stage::start(quick(), &[("owncast.websocket", "false")]).await;
    for _ in 1..=3 {
        wait_webhook(&stage, |_| true).await;
        delete_webhook(&stage).await;
        // After a restart of Owncast everything is looked for at once.
        outage(&stage).await;
    }
    stage.wait_log("deleted again and again").await;
    let (server, _) = stage.follower(Flavour::Mastodon).await;
    whole_stream(&stage, &server).await;
    assert!(stage.owncast.webhooks().is_empty());
    assert_eq!(count(&stage, "deleted again and again"), 1, "said once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_password_is_named_and_holds_up_no_stream() {
    let mut stage = Stage::start(quick(), &[("go-live.repost-after", "\"0s\"")]).await;
    stage.wait_log("the webhook works").await;
    let (server, _) = stage.follower(Flavour::Mastodon).await;
    stage.owncast.configure(|config| config.admin_password = "another".into());
    let asked = stage.owncast.requests().len();
    whole_stream(&stage, &server).await;
    stage.wait_log("refuses the admin password").await;
    status_says(&stage, "refuses the admin password").await;
    let requests = stage.owncast.requests();
    let refused =
        requests.iter().skip(asked).filter(|request| request.path.starts_with("/api/admin/")).count();
    assert!(refused <= 3, "asked {refused} times: {requests:?}");
    // Nor does it after a restart.
    stage.agent.stop().await;
    stage.agent.launch();
    stage.settled().await;
    whole_stream(&stage, &server).await;

    fs::write(stage.agent.path("password"), "another\n").unwrap();
    let line = format!("[owncast]\nadmin-password-file = {:?}", stage.agent.path("password"));
    edit(&stage, |file| file.replacen("[owncast]", &line, 1));
    stage.wait_log("Owncast's administration answers as it should again").await;
    assert_eq!(count(&stage, "WARN Owncast at"), 2, "named once in each run");
    no_complaints(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_set_right_in_owncast_is_tried_at_once_when_the_operator_reloads() {
    let mut stage = Stage::prepare(quick(), &[]).await;
    stage.owncast.configure(|config| config.admin_password = "another".into());
    stage.agent.launch();
    stage.wait_log("refuses the admin password").await;
    let what = "a second refusal, after which it is left alone for minutes";
    eventually(what, LONG, async || {
        let errors = &stage.agent.status().await["sources"]["admin"]["errors"];
        (errors.as_u64() >= Some(2)).then_some(())
    })
    .await;
    stage.owncast.configure(|config| config.admin_password = "abc123".into());
    let reloaded = stage.agent.cli(&["reload"]).await;
    assert!(String::from_utf8_lossy(&reloaded.stdout).contains("nothing has changed"), "{reloaded:?}");
    stage.wait_log("Owncast's administration answers as it should again").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_to_signed_webhooks_makes_a_new_one() {
    for running in [true, false] {
        let mut stage = Stage::start(Options { version: Version::V0_2, ..quick() }, &[]).await;
        stage.wait_log("the webhook works").await;
        let before = stage.owncast.webhooks().remove(0);
        if !running {
            stage.agent.stop().await;
        }
        stage.owncast.upgrade(Version::V0_3).await.unwrap();
        if !running {
            stage.agent.launch();
            stage.settled().await;
        }
        // One that signs with our secret, and not with the one that the upgrade gave to all.
        wait_webhook(&stage, |webhook| webhook.id != before.id && webhook.secret == before.secret).await;
        let (server, _) = stage.follower(Flavour::Mastodon).await;
        whole_stream(&stage, &server).await;
        wait_count(&stage, "kind=StreamStopped", 1).await;

        // And back: the same webhook goes on, unsigned.
        let signed = stage.owncast.webhooks().remove(0);
        stage.owncast.upgrade(Version::V0_2).await.unwrap();
        wait_count(&stage, "Owncast's version changed", if running { 2 } else { 1 }).await;
        stage.owncast.go_live_with(Timeline::by_hand());
        wait_count(&stage, "kind=StreamStarted", 2).await;
        assert_eq!(stage.owncast.webhooks()[0].id, signed.id);
        no_complaints(&server);
    }
}

fn sign(secret: &str, at: i64, body: &str) -> String {
    let key = PKey::hmac(secret.as_bytes()).unwrap();
    let mut signer = Signer::new(MessageDigest::sha256(), &key).unwrap();
    signer.update(format!("{at}.{body}").as_bytes()).unwrap();
    let mac: String = signer.sign_to_vec().unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={at}.s={mac}")
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_stale_and_replayed_calls_are_refused() {
    let stage = Stage::start(Options { version: Version::V0_3, ..quick() }, &[]).await;
    stage.wait_log("the webhook works").await;
    let webhook = stage.owncast.webhooks().remove(0);
    let call = async |body: &str, signature: Option<String>| {
        let mut call = stage.http.post(&webhook.url).body(body.to_owned());
        if let Some(signature) = signature {
            call = call.header("owncast-signature", signature);
        }
        call.send().await.unwrap().status().as_u16()
    };
    let now = jiff::Timestamp::now().as_second();
    let start = r#"{"type":"STREAM_STARTED","eventData":{"id":"x"}}"#;
    let good = Some(sign(&webhook.secret, now, start));
    assert_eq!(call(start, None).await, 403);
    assert_eq!(call(start, Some(sign("abc123", now, start))).await, 403);
    assert_eq!(call(start, Some(sign(&webhook.secret, now - 1000, start))).await, 403);
    assert_eq!(call("{}", good.clone()).await, 403);
    assert_eq!(call(start, good.clone()).await, 200);
    assert_eq!(call(start, good).await, 403, "a replay");
    let title = r#"{"type":"STREAM_TITLE_UPDATED","eventData":{"id":"y"}}"#;
    assert_eq!(call(title, Some(sign(&webhook.secret, now, title))).await, 200);
    stage.wait_log("kind=TitleChanged").await;
    assert_eq!(count(&stage, "kind=StreamStarted"), 1, "only what is Owncast's is a hint");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_off_is_named_and_mended() {
    let mut stage = Stage::prepare(Options { version: Version::V0_3, ..quick() }, &[]).await;
    stage.owncast.faults().clock_ahead = 1000;
    stage.agent.launch();
    stage.settled().await;
    stage.wait_log("s ahead of this machine's").await;
    stage.wait_log("Set both clocks by NTP").await;
    assert!(stage.owncast.webhooks().is_empty());
    assert_eq!(count(&stage, "s ahead of this machine's"), 1, "named once");
    stage.owncast.faults().clock_ahead = 0;
    stage.wait_log("agree again").await;
    stage.wait_log("the webhook works").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_websocket_follows_its_switch_and_never_joins_in_mid_stream() {
    let stage = Stage::start(quick(), &[("owncast.websocket", "false")]).await;
    stage.wait_log("the webhook works").await;
    stage.owncast.go_live_with(SOON);
    stage.wait_log("the stream is announced").await;
    edit(&stage, |file| file.replace("websocket = false", "websocket = true"));
    status_says(&stage, "waits for the end of the stream").await;
    assert_eq!(stage.owncast.sockets(), 0);
    stage.owncast.end_stream();
    stage.wait_log("connected to Owncast's chat").await;
    edit(&stage, |file| file.replace("websocket = true", "websocket = false"));
    assert!(stage.owncast.wait_until(LONG, |owncast| owncast.sockets() == 0).await, "it is closed at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_websocket_comes_back_after_a_restart_of_owncast_and_while_chat_is_off_it_does_not() {
    let stage = Stage::start(quick(), &[]).await;
    stage.wait_log("connected to Owncast's chat").await;
    outage(&stage).await;
    wait_count(&stage, "connected to Owncast's chat", 2).await;
    stage.owncast.configure(|config| config.chat_disabled = true);
    outage(&stage).await;
    status_says(&stage, "chat is switched off in Owncast").await;
    let (server, _) = stage.follower(Flavour::Mastodon).await;
    whole_stream(&stage, &server).await;
    assert_eq!(stage.owncast.sockets(), 0);
}
