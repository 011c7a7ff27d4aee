//! Misbehaviour on request, and the misbehaviour every Owncast has.

use std::time::Duration;

use owncast_herald::sim::owncast::{
    ChatKind, Options, Refusal, SimOwncast, SocketRefusal, Timeline, Version,
};
use serde_json::{Value, json};

use crate::support::{LONG, Receiver, Viewer, admin, get, say, subscribe, token};

async fn sim() -> SimOwncast {
    SimOwncast::start(Options::default()).await.unwrap()
}

#[tokio::test]
async fn webhooks_are_lost_repeated_and_delayed() {
    let sim = sim().await;
    let mut receiver = Receiver::start().await;
    subscribe(&sim, &receiver.url, &["STREAM_TITLE_UPDATED"]).await;

    sim.faults().lose_webhooks = true;
    sim.set_title("lost");
    sim.faults().lose_webhooks = false;
    sim.faults().repeat_webhooks = 2;
    sim.faults().delay_webhooks = Duration::from_millis(30);
    let began = std::time::Instant::now();
    sim.set_title("three times");
    for _ in 0..3 {
        assert_eq!(receiver.next().await.body["eventData"]["streamTitle"], "three times");
    }
    assert!(began.elapsed() >= Duration::from_millis(30));
    assert!(sim.wait_until(LONG, |sim| sim.webhooks()[0].last_used.is_some()).await);
    assert_eq!(receiver.left(), 0);
}

#[tokio::test]
async fn a_receiver_that_never_answers_holds_nobody_else_up() {
    let sim = sim().await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut receiver = Receiver::start().await;
    let url = format!("http://{}/", silent.local_addr().unwrap());
    subscribe(&sim, &url, &["STREAM_STARTED"]).await;
    subscribe(&sim, &receiver.url, &["STREAM_STARTED"]).await;
    sim.go_live_with(Timeline::by_hand());
    assert_eq!(receiver.next().await.kind(), "STREAM_STARTED");
    assert!(sim.webhooks()[0].last_used.is_none());
    sim.stop().await;
}

#[tokio::test]
async fn a_silent_end_tells_nobody() {
    let sim = sim().await;
    let mut receiver = Receiver::start().await;
    subscribe(&sim, &receiver.url, &["STREAM_STOPPED", "STREAM_TITLE_UPDATED"]).await;
    sim.go_live_with(Timeline::by_hand());
    sim.end_stream_silently();
    assert!(sim.status()["lastConnectTime"].is_null());
    sim.set_title("after");
    assert_eq!(receiver.next().await.kind(), "STREAM_TITLE_UPDATED");
}

#[tokio::test]
async fn its_clock_can_be_off_and_its_answers_late() {
    let sim = SimOwncast::start(Options { version: Version::V0_3, ..Options::default() }).await.unwrap();
    let mut receiver = Receiver::start().await;
    subscribe(&sim, &receiver.url, &["STREAM_STARTED"]).await;
    sim.faults().clock_ahead = -3600;
    sim.faults().delay_answers = Duration::from_millis(30);
    sim.go_live_with(Timeline::by_hand());
    let began = std::time::Instant::now();
    let status: Value = get(&sim, "/api/status").await.json().await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(30));
    let age = |at: &str| jiff::Timestamp::now().duration_since(at.parse().unwrap()).as_secs();
    let at = |name: &str| age(status[name].as_str().unwrap());
    assert!((3600..3700).contains(&at("serverTime")), "{status}");
    assert!((3600..3700).contains(&at("lastConnectTime")), "{status}");
    let header = receiver.next().await.headers["owncast-signature"].to_str().unwrap().to_owned();
    let signed: i64 = header.trim_start_matches("t=").split_once('.').unwrap().0.parse().unwrap();
    assert!((3600..3700).contains(&(jiff::Timestamp::now().as_second() - signed)), "{header}");
}

#[tokio::test]
async fn everything_can_be_refused() {
    let sim = sim().await;
    sim.faults().refuse_all = Refusal::Unavailable;
    assert_eq!(get(&sim, "/api/status").await.status(), 503);
    sim.faults().refuse_all = Refusal::Close;
    assert!(reqwest::get(format!("{}/api/status", sim.url())).await.is_err());
    sim.faults().refuse_all = Refusal::None;
    assert_eq!(get(&sim, "/api/status").await.status(), 200);
    assert_eq!(sim.requests().len(), 3);
    assert_eq!((sim.requests()[0].method.as_str(), sim.requests()[0].path.as_str()), ("GET", "/api/status"));
}

#[tokio::test]
async fn a_restart_forgets_the_stream_and_keeps_the_database() {
    let sim = sim().await;
    subscribe(&sim, "http://127.0.0.1:9/hook", &["STREAM_STARTED"]).await;
    let token = token(&sim, &["CAN_SEND_MESSAGES"]).await;
    let mut viewer = Viewer::connect(&sim, &token).await;
    viewer.frame().await.unwrap();
    sim.go_live_with(Timeline::by_hand());
    sim.turn_online();
    sim.take_thumbnail();
    let url = sim.url();
    sim.power_off().await;
    assert!(reqwest::get(format!("{url}/api/status")).await.is_err());
    while viewer.frame().await.is_some() {}
    sim.power_on().await.unwrap();
    assert_eq!(sim.url(), url);
    let status: Value = get(&sim, "/api/status").await.json().await.unwrap();
    assert_eq!((&status["online"], &status["lastConnectTime"]), (&json!(false), &Value::Null));
    assert_eq!(get(&sim, "/thumbnail.jpg").await.bytes().await.unwrap()[..3], [0x89, 0x50, 0x4e]);
    assert_eq!((sim.webhooks().len(), sim.tokens()[0].token.clone()), (1, token.clone()));
    assert_eq!(say(&sim, &token, "send", "still here").await.status(), 200);
    sim.restart().await.unwrap();
    assert_eq!(sim.chat().last().unwrap().body_sent, "still here");
}

#[tokio::test]
async fn a_stream_cut_off_by_a_restart_leaves_the_end_of_the_stream_before() {
    let sim = sim().await;
    sim.go_live_with(Timeline::by_hand());
    sim.end_stream();
    let ended: Value = get(&sim, "/api/status").await.json().await.unwrap();
    assert!(ended["lastDisconnectTime"].is_string(), "{ended}");
    sim.go_live_with(Timeline::by_hand());
    let live: Value = get(&sim, "/api/status").await.json().await.unwrap();
    assert_eq!(live["lastDisconnectTime"], Value::Null, "{live}");
    sim.restart().await.unwrap();
    let after: Value = get(&sim, "/api/status").await.json().await.unwrap();
    assert_eq!(after["lastDisconnectTime"], ended["lastDisconnectTime"], "{after}");
    assert_eq!(after["lastConnectTime"], Value::Null, "{after}");
}

#[tokio::test]
async fn the_last_handle_stops_the_server() {
    let sim = sim().await;
    let (url, second) = (sim.url(), sim.clone());
    drop(sim);
    assert_eq!(get(&second, "/api/status").await.status(), 200);
    drop(second);
    while tokio::net::TcpStream::connect(url.trim_start_matches("http://")).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn frames_can_be_lost_and_pings_still_come() {
    let sim = SimOwncast::start(Options { ping_every: Duration::from_millis(5), ..Options::default() })
        .await
        .unwrap();
    let token = token(&sim, &["CAN_SEND_SYSTEM_MESSAGES"]).await;
    let mut viewer = Viewer::connect(&sim, &token).await;
    assert!(viewer.frame().await.unwrap().contains("CONNECTED_USER_INFO"));
    sim.faults().lose_frames = true;
    say(&sim, &token, "system", "lost").await;
    viewer.ping().await;
    sim.faults().lose_frames = false;
    say(&sim, &token, "system", "shown").await;
    assert!(viewer.frame().await.unwrap().contains("shown"));
    assert_eq!(sim.chat().len(), 2);
}

#[tokio::test]
async fn sockets_are_refused_in_owncasts_ways() {
    let sim = sim().await;
    let token = token(&sim, &["CAN_SEND_MESSAGES"]).await;
    let upgrade = async || {
        let call = reqwest::Client::new().get(format!("{}/ws?accessToken={token}", sim.url()));
        let call = call.header("Connection", "Upgrade").header("Upgrade", "websocket");
        let call = call
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
        let answer = call.send().await.unwrap();
        let status = answer.status().as_u16();
        if status == 101 { (status, String::new()) } else { (status, answer.text().await.unwrap()) }
    };
    sim.configure(|config| config.chat_disabled = true);
    assert_eq!(upgrade().await, (200, "CHAT_DISABLED".into()));
    sim.configure(|config| config.chat_disabled = false);
    sim.faults().refuse_sockets = SocketRefusal::TooMany;
    assert_eq!(upgrade().await, (200, "ERROR_MAX_CONNECTIONS_EXCEEDED".into()));
    sim.faults().refuse_sockets = SocketRefusal::Banned;
    assert_eq!(upgrade().await.0, 403);
    sim.faults().refuse_sockets = SocketRefusal::None;
    assert_eq!(upgrade().await.0, 101);

    assert_eq!(Viewer::connect(&sim, "").await.frame().await, None);
    let refused = Viewer::connect(&sim, "unknown").await.frame().await.unwrap();
    assert_eq!(refused, "{\"type\":\"ERROR_NEEDS_REGISTRATION\"}");
    assert!(sim.disable_user("Fediverse"));
    let refused = Viewer::connect(&sim, &token).await.frame().await.unwrap();
    assert_eq!(refused, "{\"type\":\"ERROR_USER_DISABLED\"}");
}

#[tokio::test]
async fn viewers_who_come_and_go_while_live_are_told() {
    let options = Options { part_after: Duration::ZERO, ..Options::default() };
    let sim = SimOwncast::start(options).await.unwrap();
    let mut receiver = Receiver::start().await;
    subscribe(&sim, &receiver.url, &["USER_JOINED", "USER_PARTED"]).await;
    let token = token(&sim, &["CAN_SEND_MESSAGES"]).await;
    sim.go_live_with(Timeline::by_hand());
    sim.turn_online();
    let viewer = Viewer::connect(&sim, &token).await;
    assert_eq!(receiver.next().await.kind(), "USER_JOINED");
    drop(viewer);
    assert_eq!(receiver.next().await.kind(), "USER_PARTED");
    assert!(sim.wait_until(LONG, |sim| sim.sockets() == 0).await);
}

#[tokio::test]
async fn an_empty_or_mistyped_admin_call_panics_the_handler() {
    let sim = sim().await;
    for (path, body) in [
        ("/api/admin/chat/messagevisibility", json!({"idArray": [], "visible": true})),
        ("/api/admin/config/federation/enable", json!({"value": "yes"})),
    ] {
        let call = reqwest::Client::new().post(format!("{}{path}", sim.url()));
        assert!(call.basic_auth("admin", Some("abc123")).json(&body).send().await.is_err(), "{path}");
    }
    assert_eq!(admin(&sim, "/api/admin/config/nsfw", json!({})).await.status(), 400);
}

#[tokio::test]
async fn the_page_shows_actions_raw_and_everything_else_filtered() {
    let sim = sim().await;
    let token = token(&sim, &["CAN_SEND_SYSTEM_MESSAGES", "CAN_SEND_MESSAGES"]).await;
    let body = "<img src=\"x\" onerror=\"alert(1)\"> :heart: :nosuch: <script>alert(2)</script>";
    for how in ["system", "action", "send"] {
        assert_eq!(say(&sim, &token, how, body).await.status(), 200);
    }
    let pages: Vec<(ChatKind, String)> =
        sim.chat().iter().map(|line| (line.kind, sim.page_html(line))).collect();
    let emoji = "<img src=\"/img/emoji/heart.png\" class=\"emoji\" alt=\":heart:\" title=\":heart:\">";
    for (kind, page) in &pages {
        assert!(page.contains(emoji) && page.contains(":nosuch:"), "{page}");
        let dangerous = page.contains("onerror") && page.contains("<script>");
        assert_eq!(dangerous, *kind == ChatKind::Action, "{page}");
    }
    assert!(pages[0].1.contains("<img src=\"x\">"));
    assert!(!pages[2].1.contains("src=\"x\""));
    assert_eq!(
        pages.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(),
        [ChatKind::System, ChatKind::Action, ChatKind::Bot]
    );
}
