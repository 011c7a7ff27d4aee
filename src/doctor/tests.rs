use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::ask::Seen;
use super::paths::{self, Place, Who, judge, who};
use super::*;
use crate::model::Addresses;
use crate::net::NetError;

const GUIDE: &str = include_str!("../../docs/DOCTOR.md");

fn seen(status: u16, headers: &[(&str, &str)], body: &str) -> Seen {
    let headers: BTreeMap<String, String> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Seen { status, headers, body: body.as_bytes().to_vec(), certificate: None, between: None }
}

fn ours() -> Addresses {
    Addresses::new("https://live.example", "ana")
}

fn place(name: &str) -> Place {
    paths::places(&ours(), None).into_iter().find(|place| place.name == name).unwrap()
}

const HTML: (&str, &str) = ("content-type", "text/html; charset=utf-8");
const JSON: (&str, &str) = ("content-type", "application/json");
const ETAG: (&str, &str) = ("etag", "\"0123456789abcdef01234567\"");

#[test]
fn who_answered_shows_in_the_answer() {
    let problem = ("content-type", "application/problem+json");
    for (answer, wanted) in [
        (seen(200, &[JSON, ETAG], "{}"), Who::Agent(None)),
        (seen(200, &[JSON, ("etag", "W/\"0123456789abcdef01234567\"")], "{}"), Who::Agent(None)),
        (seen(415, &[problem], r#"{"code":"content-type"}"#), Who::Agent(Some("content-type".into()))),
        (seen(405, &[], ""), Who::OwncastOff),
        (seen(307, &[HTML, ("location", "/")], "<a href=\"/\">Temporary Redirect</a>."), Who::Owncast),
        (seen(404, &[("content-type", "text/plain")], "404 page not found\n"), Who::Owncast),
        (seen(200, &[JSON, ("signature", "keyId=…")], "{}"), Who::Owncast),
        (seen(200, &[HTML], "<!DOCTYPE html><script src=\"/_next/owncast.js\">"), Who::Owncast),
        (seen(403, &[HTML, ("cf-mitigated", "challenge")], "<html>"), Who::Challenge),
        (seen(503, &[HTML], "<html><title>Just a moment...</title>"), Who::Challenge),
        (seen(200, &[HTML], "<html>Checking your browser before you go on"), Who::Challenge),
        (seen(502, &[HTML], "<html><title>502 Bad Gateway</title>"), Who::Unreached),
        (seen(521, &[], ""), Who::Unreached),
        (seen(401, &[HTML], "<html>"), Who::Forbidden),
        (seen(429, &[HTML], "<html>"), Who::Limited),
        (
            seen(301, &[("location", "https://www.live.example/x")], ""),
            Who::Redirect("https://www.live.example/x".into()),
        ),
        (seen(200, &[HTML], "<html><title>Welcome to nginx!</title>"), Who::Page),
        (seen(404, &[HTML], "<html><title>404 Not Found</title>"), Who::Page),
        (seen(200, &[JSON], "{}"), Who::Other),
    ] {
        assert_eq!(who(&answer), wanted, "{answer:?}");
    }
}

#[test]
fn only_what_the_agent_itself_answers_is_green() {
    let at = place("/nodeinfo/2.0");
    let agents = seen(200, &[JSON, ETAG], r#"{"version":"2.0"}"#);
    // A proxy may compress, rename and drop headers.
    let through = seen(200, &[("content-type", "application/json; charset=utf-8")], r#"{"version":"2.0"}"#);
    assert_eq!(judge(&at, "IPv4", &Ok(through), Some(&agents)).level, Level::Green);
    let other = seen(200, &[JSON, ETAG], r#"{"version":"2.1"}"#);
    for (through, direct, said) in [
        (Ok(other.clone()), Some(&agents), "otherwise than this one"),
        (Ok(other), None, "another agent"),
        (Ok(seen(405, &[], "")), Some(&agents), "Owncast answers (405"),
        (Ok(seen(503, &[HTML, ("cf-mitigated", "challenge")], "")), Some(&agents), "wants a human"),
        (Ok(seen(502, &[HTML], "<html>")), Some(&agents), "does not reach the agent"),
        (Ok(seen(200, &[HTML], "<title>Hello</title>")), Some(&agents), "\"Hello\""),
        (Err(NetError::Timeout(std::time::Duration::from_secs(1))), Some(&agents), "no complete answer"),
    ] {
        let found = judge(&at, "IPv4", &through, direct);
        assert!(found.level == Level::Red && found.text.contains(said), "{found:?}");
        assert!(found.text.contains("/nodeinfo/2.0 (IPv4)") && found.cure.is_some(), "{found:?}");
    }
    let unreached = judge(&at, "IPv4", &Ok(seen(502, &[HTML], "")), Some(&agents)).cure.unwrap();
    for part in ["[listen] public", "httpd_can_network_connect"] {
        assert!(unreached.contains(part), "{part} is not in {unreached}");
    }
    let stopped = judge(&at, "IPv6", &Ok(seen(502, &[HTML], "")), None);
    assert_eq!(stopped.level, Level::Yellow, "as it has to be while no agent runs: {stopped:?}");
    let problem = |code: &str| {
        seen(503, &[("content-type", "application/problem+json")], &format!("{{\"code\":\"{code}\"}}"))
    };
    let unsettled = judge(&at, "IPv4", &Ok(problem("identity-unknown")), Some(&problem("identity-unknown")));
    assert!(
        unsettled.level == Level::Red && unsettled.text.contains("does not know yet who it is"),
        "{unsettled:?}"
    );
    let held = judge(&at, "IPv4", &Ok(problem("held")), Some(&problem("held")));
    assert!(held.level == Level::Unchecked && held.text.contains("`held`"), "it is no fault: {held:?}");
}

#[test]
fn handle_actor_and_key_belong_together() {
    let pem = |key: &openssl::pkey::PKey<openssl::pkey::Private>| {
        String::from_utf8(key.public_key_to_pem().unwrap()).unwrap()
    };
    let generate = || openssl::pkey::PKey::from_rsa(openssl::rsa::Rsa::generate(2048).unwrap()).unwrap();
    let (key, other) = (pem(&generate()), pem(&generate()));
    let document = |change: &dyn Fn(&mut serde_json::Value)| {
        let id = ours().actor();
        let mut actor = serde_json::json!({
            "id": id, "preferredUsername": "ana", "inbox": format!("{id}/inbox"),
            "publicKey": {"id": format!("{id}#main-key"), "owner": id, "publicKeyPem": key},
        });
        change(&mut actor);
        seen(200, &[("content-type", "application/activity+json")], &actor.to_string())
    };
    let keys = |[file, next, agent]: [Option<&String>; 3]| {
        let [file, next, agent] = [file, next, agent].map(Option::<&String>::cloned);
        identity::Keys { file, next, agent }
    };
    let judged = |seen: &Seen, has: [Option<&String>; 3]| identity::actor(seen, &ours(), &keys(has));
    let good = document(&|_| {});
    let (ours_is, other_is) = (Some(&key), Some(&other));
    for (has, level, said) in [
        ([ours_is, None, ours_is], Level::Green, "the key in the key file"),
        ([ours_is, None, None], Level::Green, "the key in the key file"),
        ([other_is, ours_is, ours_is], Level::Green, "the next key"),
        ([None, None, ours_is], Level::Green, "was not seen"),
        ([None, None, None], Level::Unchecked, "cannot be compared"),
        ([other_is, None, ours_is], Level::Red, "another one is in the key file"),
        ([other_is, None, other_is], Level::Red, "another key than ours"),
        ([other_is, None, None], Level::Red, "another key than ours"),
        ([None, None, other_is], Level::Red, "another key than ours"),
    ] {
        let found = judged(&good, has);
        assert!(found.level == level && found.text.contains(said), "{found:?}");
    }
    for (pointer, what) in [("/id", "id"), ("/inbox", "inbox"), ("/publicKey/id", "key id")] {
        let changed =
            document(&|actor| *actor.pointer_mut(pointer).unwrap() = "https://evil.example/".into());
        let found = judged(&changed, [ours_is, None, ours_is]);
        assert!(found.level == Level::Red && found.text.contains(what), "{found:?}");
    }
    assert_eq!(judged(&seen(404, &[], ""), [ours_is, None, ours_is]).level, Level::Red);

    let finger = |subject: &str, href: &str| {
        let links = serde_json::json!({"subject": subject, "links": [{"rel": "self", "href": href}]});
        identity::webfinger(&seen(200, &[JSON], &links.to_string()), &ours()).level
    };
    assert_eq!(finger("acct:ana@live.example", &ours().actor()), Level::Green);
    assert_eq!(finger("acct:ana@other.example", &ours().actor()), Level::Red);
    assert_eq!(finger("acct:ana@live.example", "https://live.example/federation/user/bo"), Level::Red);
}

#[test]
fn names_addresses_and_clocks_are_judged() {
    let found =
        |texts: &[&str]| Ok(texts.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 443)).collect());
    let level = |texts: &[&str]| address::dns("live.example", &found(texts), &[]).level;
    assert_eq!(level(&["192.0.1.1", "2600::1"]), Level::Green);
    assert_eq!(level(&["192.0.1.1"]), Level::Green, "a server without IPv6 is well");
    assert_eq!(level(&["127.0.1.1"]), Level::Yellow, "a hosts file leads astray");
    assert_eq!(level(&[]), Level::Red);
    assert_eq!(address::dns("live.example", &Err("no such name".into()), &[]).level, Level::Red);
    assert_eq!(
        address::dns("live.example", &found(&["127.0.0.1"]), &["127.0.0.0/8".parse().unwrap()]).level,
        Level::Green
    );

    let six: SocketAddr = "[2600::1]:443".parse().unwrap();
    let reach = |outcome| address::reach(six, None, &outcome);
    assert_eq!(reach(Err(NetError::Ourselves("Network is unreachable".into()))).level, Level::Unchecked);
    let refused = reach(Err(NetError::Connect("Connection refused".into())));
    assert!(
        refused.level == Level::Red && refused.cure.unwrap().contains("no IPv6"),
        "the cure names the family"
    );
    assert_eq!(reach(Err(NetError::Tls("certificate has expired".into()))).level, Level::Red);

    let refused = |at: &str, from: &str| {
        let (at, from) = (at.parse().unwrap(), Some(from.parse().unwrap()));
        address::reach(at, from, &Err(NetError::Connect("Connection refused".into()))).cure.unwrap()
    };
    for (at, from, own_router) in [
        ("192.0.1.1:443", "192.168.1.7", true),
        ("192.0.1.1:443", "192.0.1.1", false),
        ("127.0.0.1:443", "127.0.0.1", false),
        ("[2600::1]:443", "2600::7", false),
    ] {
        assert_eq!(refused(at, from).contains("ask from elsewhere"), own_router, "{at} from {from}");
    }

    for (ahead, level) in
        [(0, Level::Green), (-9, Level::Green), (10, Level::Yellow), (-119, Level::Yellow), (120, Level::Red)]
    {
        assert_eq!(address::clock("a clock", ahead).level, level, "{ahead}");
    }
    let second = |number| Timestamp::from_second(number).unwrap();
    let between = (second(100), second(130));
    for (theirs, ahead) in [(100, 0), (115, 0), (130, 0), (90, -10), (150, 20)] {
        assert_eq!(
            address::ahead(second(theirs), between),
            ahead,
            "a slow answer is no wrong clock: {theirs}"
        );
    }
    let mut dated = seen(200, &[("date", "Thu, 01 Jan 1970 00:02:00 GMT")], "");
    dated.between = Some((second(0), second(1)));
    assert_eq!(address::date_ahead(&dated), Some(119));
}

#[test]
fn every_code_has_its_stable_name_and_its_paragraph() {
    for code in Code::ALL {
        assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        assert!(
            GUIDE.contains(&format!("### `{}`", code.as_str())),
            "docs/DOCTOR.md lacks {}",
            code.as_str()
        );
    }
    let headings = GUIDE.lines().filter(|line| line.starts_with("### `")).count();
    assert_eq!(headings, Code::ALL.len(), "a code is described that is not");
    let mut sorted = Code::ALL;
    sorted.sort();
    assert_eq!(sorted, Code::ALL, "the order of findings is that of the list");
}

#[test]
fn what_the_service_may_not_read_is_not_well_though_root_can() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("my agent.toml");
    std::fs::write(
        &file,
        format!("owncast.url = \"http://127.0.0.1:8080\"\nstore.path = {:?}\n", folder.path()),
    )
    .unwrap();
    let found = |closed: Vec<Closed>| {
        let config = Config::load(Some(&file), crate::config::Overrides::default(), &|_| None);
        let patient = Patient { config: Some(config), agent: Agent::Silent(String::new()), closed };
        local::findings(&patient).into_iter().find(|finding| finding.code == Code::Config).unwrap()
    };
    assert_eq!(found(Vec::new()).level, Level::Green);
    let cure = format!("chgrp herald '{0}' && chmod 640 '{0}'", file.display());
    for homes_hidden in [true, false] {
        let closed = found(vec![Closed { file: file.clone(), group: "herald".to_owned(), homes_hidden }]);
        let told = closed.cure.unwrap();
        assert!(closed.level == Level::Red && told.starts_with(&cure), "{told}");
        assert_eq!(told.contains("/home"), homes_hidden, "{told}");
    }
}
