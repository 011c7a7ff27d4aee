use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::*;
use crate::owncast::testing::{Reply, Request, Server};

const OURS: &str = "http://127.0.0.1:8586/herald/hook/aaaa";
const OLD: &str = "http://127.0.0.1:8586/herald/hook/old";
const OTHER_AGENT: &str = "http://10.0.0.9:8586/herald/hook/bbbb";
const FOREIGN: &str = "https://bot.example/owncast";

fn wanted(replace: bool) -> Wanted {
    Wanted {
        webhook_url: Url::parse(OURS).unwrap(),
        secret: Secret::from("s3cret"),
        webhook: Wish::Have,
        token: Wish::Have,
        refused_token: None,
        replace,
    }
}

fn version(text: &str) -> Version {
    Version::parse(text).unwrap()
}

fn webhook(id: i64, url: &str) -> Webhook {
    let events = EVENTS.iter().rev().map(|event| (*event).to_owned()).collect();
    Webhook { id, url: url.to_owned(), events, secret: None }
}

fn token(text: &str, name: &str, scopes: &[&str]) -> Token {
    Token {
        id: String::new(),
        access_token: Secret::from(text),
        display_name: name.to_owned(),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
    }
}

fn remembered(id: i64, url: &str, secret: Option<&str>) -> Provisioned {
    Provisioned {
        webhook: Some(OurWebhook {
            id,
            url_fingerprint: fingerprint(url),
            secret_fingerprint: secret.map(fingerprint),
        }),
        token_fingerprint: Some(fingerprint("tok")),
        namesakes: None,
    }
}

fn delete(id: i64, why: Why) -> Action {
    Action::DeleteWebhook { id, why }
}

#[test]
fn webhooks_are_planned() {
    let ours = [token("tok", TOKEN_NAME, &SCOPES)];
    let few = |id| Webhook { events: vec!["STREAM_STARTED".to_owned()], ..webhook(id, OURS) };
    let signed = |id, secret: &str| Webhook { secret: Some(Secret::from(secret)), ..webhook(id, OURS) };
    let create = Action::CreateWebhook;
    let (old, new) = ("0.1.3", "0.3.0");
    type Row = (&'static str, &'static str, Vec<Webhook>, Provisioned, Vec<Action>, Option<i64>);
    let table: Vec<Row> = vec![
        ("nothing there", old, vec![], remembered(4, OURS, None), vec![create.clone()], None),
        ("found again", old, vec![webhook(4, OURS)], remembered(4, OURS, None), vec![], Some(4)),
        ("store lost, address kept", old, vec![webhook(9, OURS)], remembered(4, OURS, None), vec![], Some(9)),
        (
            "others stay",
            old,
            vec![webhook(1, FOREIGN), webhook(4, OURS)],
            remembered(4, OURS, None),
            vec![],
            Some(4),
        ),
        (
            "moved",
            old,
            vec![webhook(4, OLD)],
            remembered(4, OLD, None),
            vec![delete(4, Why::OldAddress), create.clone()],
            None,
        ),
        (
            "our id, now somebody else's webhook",
            old,
            vec![webhook(4, FOREIGN)],
            remembered(4, OLD, None),
            vec![create.clone()],
            None,
        ),
        (
            "twice",
            old,
            vec![webhook(4, OURS), webhook(5, OURS)],
            remembered(4, OURS, None),
            vec![delete(5, Why::Duplicate)],
            Some(4),
        ),
        (
            "too few events",
            old,
            vec![few(4)],
            remembered(4, OURS, None),
            vec![delete(4, Why::Incomplete), create.clone()],
            None,
        ),
        (
            "made before signatures",
            new,
            vec![webhook(4, OURS)],
            remembered(4, OURS, None),
            vec![delete(4, Why::Unsigned), create.clone()],
            None,
        ),
        (
            "migrated secret",
            new,
            vec![signed(4, "abc123")],
            remembered(4, OURS, Some("s3cret")),
            vec![delete(4, Why::Unsigned), create.clone()],
            None,
        ),
        (
            "another secret",
            new,
            vec![webhook(4, OURS)],
            remembered(4, OURS, Some("older")),
            vec![delete(4, Why::Unsigned), create.clone()],
            None,
        ),
        ("signed", new, vec![webhook(4, OURS)], remembered(4, OURS, Some("s3cret")), vec![], Some(4)),
        (
            "hidden behind asterisks",
            new,
            vec![signed(4, "***")],
            remembered(4, OURS, Some("s3cret")),
            vec![],
            Some(4),
        ),
        (
            "asterisks, and not remembered",
            new,
            vec![signed(4, "***")],
            remembered(4, OURS, None),
            vec![delete(4, Why::Unsigned), create.clone()],
            None,
        ),
        (
            "an empty secret",
            new,
            vec![signed(4, "")],
            remembered(4, OURS, Some("s3cret")),
            vec![delete(4, Why::Unsigned), create.clone()],
            None,
        ),
        ("signed and revealed", new, vec![signed(4, "s3cret")], remembered(4, OURS, None), vec![], Some(4)),
    ];
    for (name, at, webhooks, stored, actions, kept) in table {
        let plan = plan(&webhooks, &ours, &stored, &wanted(false), version(at)).unwrap();
        assert_eq!(plan.actions, actions, "{name}");
        assert_eq!(plan.webhook.map(|our| our.id), kept, "{name}");
    }
}

#[test]
fn another_agent_stops_us_unless_replaced() {
    let webhooks = [webhook(1, FOREIGN), webhook(2, OTHER_AGENT)];
    let tokens = [token("theirs", TOKEN_NAME, &SCOPES), token("bot", "Bot", &SCOPES)];
    let stored = Provisioned::default();
    let stopped = plan(&webhooks, &tokens, &stored, &wanted(false), version("0.1.3")).unwrap_err();
    let text = stopped.to_string();
    assert!(text.contains("webhook 2 to http://10.0.0.9:8586)") && text.contains("--replace"), "{text}");
    assert!(!text.contains("bbbb"), "the secret path stays secret");

    let plan = plan(&webhooks, &tokens, &stored, &wanted(true), version("0.1.3")).unwrap();
    let theirs = Action::DeleteToken { fingerprint: fingerprint("theirs"), why: Why::Replaced };
    assert_eq!(plan.actions, [delete(2, Why::Replaced), Action::CreateWebhook, theirs, Action::CreateToken]);
}

#[test]
fn tokens_are_planned() {
    let webhooks = [webhook(4, OURS)];
    let stored = remembered(4, OURS, None);
    let incomplete = Action::DeleteToken { fingerprint: fingerprint("tok"), why: Why::Incomplete };
    let table = [
        ("found again", vec![token("tok", TOKEN_NAME, &[SCOPES[1], SCOPES[0]])], vec![], true),
        ("deleted by somebody", vec![], vec![Action::CreateToken], false),
        ("namesake", vec![token("x", TOKEN_NAME, &SCOPES)], vec![Action::CreateToken], false),
        (
            "lacks a scope",
            vec![token("tok", TOKEN_NAME, &SCOPES[..1])],
            vec![incomplete, Action::CreateToken],
            false,
        ),
    ];
    for (name, tokens, actions, kept) in table {
        let plan = plan(&webhooks, &tokens, &stored, &wanted(false), version("0.1.3")).unwrap();
        assert_eq!(plan.actions, actions, "{name}");
        assert_eq!(plan.token.is_some(), kept, "{name}");
    }
}

/// A little Owncast that keeps webhooks and tokens.
#[derive(Default)]
struct Rows {
    webhooks: Vec<Value>,
    tokens: Vec<Value>,
    next: i64,
    token_calls_fail: bool,
}

async fn little_owncast() -> (Server, Arc<Mutex<Rows>>) {
    let rows: Arc<Mutex<Rows>> = Arc::default();
    let inner = rows.clone();
    let server = Server::start(move |request: &Request| {
        let mut rows = inner.lock().unwrap();
        rows.next += 1;
        let done = json!({ "success": true, "message": "done" });
        match request.target.as_str() {
            "/api/status" => {
                Reply::json(200, &json!({ "serverTime": "2026-11-21T02:02:38Z", "versionNumber": "0.1.3" }))
            }
            "/api/admin/webhooks" => Reply::json(200, &json!(rows.webhooks)),
            "/api/admin/webhooks/create" => {
                let asked = request.json();
                let row = json!({ "id": rows.next, "url": asked["url"], "events": asked["events"] });
                rows.webhooks.push(row.clone());
                Reply::json(200, &row)
            }
            "/api/admin/webhooks/delete" => {
                let id = request.json()["id"].clone();
                rows.webhooks.retain(|row| row["id"] != id);
                Reply::json(200, &done)
            }
            "/api/admin/accesstokens" => Reply::json(200, &json!(rows.tokens)),
            "/api/admin/accesstokens/create" if rows.token_calls_fail => {
                Reply::json(200, &json!({ "error": "database is locked" }))
            }
            "/api/admin/accesstokens/create" => {
                let asked = request.json();
                let row = json!({
                    "id": "", "accessToken": format!("token-{}", rows.next),
                    "displayName": asked["name"], "scopes": asked["scopes"],
                });
                rows.tokens.push(row.clone());
                Reply::json(200, &row)
            }
            "/api/admin/accesstokens/delete" => {
                let token = request.json()["token"].clone();
                rows.tokens.retain(|row| row["accessToken"] != token);
                Reply::json(200, &done)
            }
            other => panic!("unexpected call {other}"),
        }
    })
    .await;
    (server, rows)
}

/// A ledger in memory that can be full.
#[derive(Default)]
struct Notebook {
    now: Mutex<Provisioned>,
    full: std::sync::atomic::AtomicBool,
}

impl Notebook {
    fn read(&self) -> Provisioned {
        self.now.lock().unwrap().clone()
    }
}

impl Ledger for Notebook {
    async fn write(&self, now: &Provisioned) -> bool {
        if self.full.load(std::sync::atomic::Ordering::Relaxed) {
            return false;
        }
        *self.now.lock().unwrap() = now.clone();
        true
    }
}

async fn once(api: &Api, book: &Notebook, wanted: &Wanted) -> Result<Settled, ProvisionError> {
    settle(api, &look(api).await?, &book.read(), wanted, version("0.1.3"), book).await
}

fn api(server: &Server) -> Api {
    Api::new(server.url.clone(), "admin".to_owned(), "abc").unwrap()
}

#[tokio::test]
async fn settling_is_repeatable_and_leaves_nothing_behind() {
    let (server, rows) = little_owncast().await;
    rows.lock().unwrap().webhooks.push(json!({ "id": 900, "url": FOREIGN, "events": [] }));
    let (api, book) = (api(&server), Notebook::default());

    let first = once(&api, &book, &wanted(false)).await.unwrap();
    assert_eq!(first.taken, [Action::CreateWebhook, Action::CreateToken]);
    assert_eq!(book.read(), first.provisioned);

    let again = once(&api, &book, &wanted(false)).await.unwrap();
    assert!(again.taken.is_empty());
    assert_eq!(again.token, first.token);

    let moved = Wanted { webhook_url: Url::parse(OLD).unwrap(), ..wanted(false) };
    let moved = once(&api, &book, &moved).await.unwrap();
    assert!(matches!(
        moved.taken[..],
        [Action::DeleteWebhook { why: Why::OldAddress, .. }, Action::CreateWebhook]
    ));
    assert_eq!(rows.lock().unwrap().webhooks.len(), 2);

    let mut taken = Vec::new();
    for _ in 0..2 {
        remove(&api, &book.read(), &mut taken).await.unwrap();
        assert_eq!(taken.len(), 2);
    }
    let rows = rows.lock().unwrap();
    assert_eq!((rows.webhooks.len(), rows.tokens.len()), (1, 0));
    assert_eq!(rows.webhooks[0]["id"], 900);
}

#[tokio::test]
async fn a_half_way_failure_does_not_pile_up() {
    let (server, rows) = little_owncast().await;
    rows.lock().unwrap().token_calls_fail = true;
    let (api, book) = (api(&server), Notebook::default());
    for _ in 0..3 {
        let failed = once(&api, &book, &wanted(false)).await;
        assert!(matches!(failed, Err(ProvisionError::Owncast(OwncastError::Refused { .. }))));
    }
    assert_eq!(rows.lock().unwrap().webhooks.len(), 1);
    assert!(book.read().webhook.is_some() && book.read().token_fingerprint.is_none());
    rows.lock().unwrap().token_calls_fail = false;
    let settled = once(&api, &book, &wanted(false)).await.unwrap();
    assert_eq!(settled.taken, [Action::CreateToken]);
}

#[tokio::test]
async fn a_crash_between_making_and_writing_down_leaves_no_second_one() {
    let (server, rows) = little_owncast().await;
    // Somebody's own token of the same name.
    rows.lock()
        .unwrap()
        .tokens
        .push(json!({ "id": "", "accessToken": "theirs", "displayName": TOKEN_NAME, "scopes": SCOPES }));
    let (api, book) = (api(&server), Notebook::default());
    once(&api, &book, &wanted(false)).await.unwrap();
    // As it stood on disk when both had been made and neither was written down.
    let before = Provisioned { namesakes: Some(vec![fingerprint("theirs")]), ..Provisioned::default() };
    *book.now.lock().unwrap() = before;
    let found = once(&api, &book, &wanted(false)).await.unwrap();
    assert!(found.taken.is_empty(), "{:?}", found.taken);
    assert_ne!(found.token.unwrap().expose(), "theirs");
    let rows = rows.lock().unwrap();
    assert_eq!((rows.webhooks.len(), rows.tokens.len()), (1, 2));
    assert!(book.read().webhook.is_some() && book.read().namesakes.is_none());
}

#[tokio::test]
async fn what_cannot_be_written_down_is_not_made() {
    let (server, rows) = little_owncast().await;
    let (api, book) = (api(&server), Notebook::default());
    once(&api, &book, &wanted(false)).await.unwrap();
    rows.lock().unwrap().tokens.clear();
    book.full.store(true, std::sync::atomic::Ordering::Relaxed);
    let failed = once(&api, &book, &wanted(false)).await;
    assert!(matches!(failed, Err(ProvisionError::Forgetful)));
    assert!(rows.lock().unwrap().tokens.is_empty());
}

#[tokio::test]
async fn what_is_not_wanted_goes_and_what_is_only_kept_is_not_made() {
    let (server, rows) = little_owncast().await;
    let (api, book) = (api(&server), Notebook::default());
    let kept = Wanted { webhook: Wish::Keep, token: Wish::Keep, ..wanted(false) };
    let settled = once(&api, &book, &kept).await.unwrap();
    assert!(settled.taken.is_empty() && settled.token.is_none());
    let made = once(&api, &book, &wanted(false)).await.unwrap();
    assert!(once(&api, &book, &kept).await.unwrap().taken.is_empty());
    let refused = Wanted { refused_token: made.token.map(|token| token.fingerprint()), ..wanted(false) };
    let anew = once(&api, &book, &refused).await.unwrap();
    assert!(matches!(anew.taken[..], [Action::DeleteToken { why: Why::Refused, .. }, Action::CreateToken]));
    let away = Wanted { webhook: Wish::Away, token: Wish::Away, ..wanted(false) };
    assert_eq!(once(&api, &book, &away).await.unwrap().taken.len(), 2);
    let rows = rows.lock().unwrap();
    assert_eq!((rows.webhooks.len(), rows.tokens.len()), (0, 0));
    assert_eq!(book.read(), Provisioned::default());
}

#[tokio::test]
async fn what_somebody_deleted_is_noticed() {
    let (server, rows) = little_owncast().await;
    let (api, book) = (api(&server), Notebook::default());
    once(&api, &book, &wanted(false)).await.unwrap();
    let lacks = async || {
        let listed = look(&api).await.unwrap();
        (listed.lacks_webhook(&book.read()), listed.lacks_token(&book.read()))
    };
    assert_eq!(lacks().await, (false, false));
    rows.lock().unwrap().webhooks.clear();
    assert_eq!(lacks().await, (true, false));
    rows.lock().unwrap().tokens.clear();
    assert_eq!(lacks().await, (true, true));
    // Left alone, they are missed once and not again.
    let kept = Wanted { webhook: Wish::Keep, token: Wish::Keep, ..wanted(false) };
    once(&api, &book, &kept).await.unwrap();
    assert_eq!(lacks().await, (false, false));
}
