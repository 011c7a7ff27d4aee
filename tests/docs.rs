//! What the documents claim is what the code does.

// In a test a panic is the report.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use jiff::Timestamp;
use owncast_herald::activitypub::vocab;
use owncast_herald::model::Addresses;
use owncast_herald::model::post::{Audience, Picture, Post, PostState, Shows};
use serde_json::Value;
use ulid::Ulid;

const FEDERATION: &str = include_str!("../FEDERATION.md");
const ARCHITECTURE: &str = include_str!("../docs/ARCHITECTURE.md");

/// The example of a name in FEDERATION.md.
fn example(name: &str) -> Value {
    let block = FEDERATION.split(&format!("```json {name}\n")).nth(1).expect("the example is there");
    serde_json::from_str(block.split("```").next().unwrap()).expect("the example is JSON")
}

/// Same keys in the same places, same types; values may differ.
fn same_shape(ours: &Value, theirs: &Value, at: &str) {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            let keys = |map: &serde_json::Map<String, Value>| map.keys().cloned().collect::<BTreeSet<_>>();
            assert_eq!(keys(ours), keys(theirs), "{at}");
            for (key, value) in ours {
                same_shape(value, &theirs[key], &format!("{at}/{key}"));
            }
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            assert_eq!(ours.len(), theirs.len(), "{at}");
            ours.iter().zip(theirs).for_each(|(ours, theirs)| same_shape(ours, theirs, at));
        }
        (ours, theirs) => {
            assert_eq!(std::mem::discriminant(ours), std::mem::discriminant(theirs), "{at}");
        }
    }
}

#[test]
fn the_examples_have_the_shape_of_what_is_sent() {
    let addresses = Addresses::new("https://live.example", "streamer");
    let post = Post {
        id: Ulid(77),
        session: Ulid(1),
        published: Timestamp::UNIX_EPOCH,
        updated: None,
        content: "<p>I am live!</p>".into(),
        live_content: "<p>I am live!</p>".into(),
        template: String::new(),
        language: Some("en".into()),
        tags: vec!["owncast".into()],
        title: String::new(),
        sensitive: false,
        audience: Audience::Public,
        picture: Some(Picture {
            name: "91b7.jpg".into(),
            media_type: "image/jpeg".into(),
            width: 1280,
            height: 720,
            blurhash: Some("LEHV6nWB2yk8pyo0adR*.7kCMdnj".into()),
            shows: Shows::Still,
        }),
        alt: "A still of the live stream".into(),
        state: PostState::Live,
        over: None,
        create: Ulid(78),
        last: None,
        edits: 0,
        likes: 0,
        shares: 0,
    };
    same_shape(&vocab::note::create(&addresses, &post), &example("create"), "create");
    same_shape(&vocab::note::delete(&addresses, &post, Ulid(1)), &example("delete"), "delete");
    let follow = Some("https://peer.example/follows/1");
    let accept = vocab::follow::accept(&addresses, Ulid(1), follow, "https://peer.example/users/ana");
    assert_eq!(accept, example("accept"));
}

#[test]
fn every_code_of_a_refusal_is_documented() {
    let mut codes = BTreeSet::new();
    for (folder, starts) in [
        ("src/inbox", ["Problem::new(", "Problem::busy("]),
        ("src/serve", ["Problem::new(", "Problem::busy("]),
    ] {
        for file in fs::read_dir(folder).unwrap() {
            let text = fs::read_to_string(file.unwrap().path()).unwrap();
            let text = text.split("#[cfg(test)]").next().unwrap();
            for start in starts {
                codes.extend(
                    text.split(start)
                        .skip(1)
                        .filter(|rest| !rest.trim_start().starts_with("HELD"))
                        .filter_map(|rest| rest.split('"').nth(1))
                        .map(str::to_owned),
                );
            }
            let named = text.split("/// Code of a refusal").skip(1);
            codes.extend(named.filter_map(|rest| rest.split('"').nth(1)).map(str::to_owned));
        }
    }
    let problems = fs::read_to_string("src/activitypub/signature/problem.rs").unwrap();
    codes.extend(
        problems.lines().filter_map(|line| line.split("=> \"").nth(1)?.split('"').next()).map(str::to_owned),
    );
    assert!(codes.len() > 30, "{codes:?}");
    // Owncast's own door, which no other server ever sees.
    let internal = ["webhook-signature", "bad-webhook"];
    for code in codes.iter().filter(|code| !internal.contains(&code.as_str())) {
        assert!(FEDERATION.contains(&format!("`{code}`")), "{code} is not in FEDERATION.md");
    }
    let section = FEDERATION.split("### Limits and answers").nth(1).unwrap().split("###").next().unwrap();
    let table = section.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    for code in table.flat_map(|line| line.split('`').skip(1).step_by(2)).filter(|code| code.contains('-')) {
        let known = codes.contains(code) || code == "Retry-After" || code == "Content-Encoding";
        assert!(known, "no refusal has the code {code}");
    }
}

#[test]
fn every_path_of_the_architecture_exists_and_every_room_is_in_it() {
    for path in ARCHITECTURE.split('`').filter(|word| word.starts_with("src/")) {
        assert!(Path::new(path).exists(), "{path}");
    }
    for room in fs::read_dir("src").unwrap() {
        let room = room.unwrap();
        if room.file_type().unwrap().is_dir() {
            let name = format!("`src/{}`", room.file_name().to_string_lossy());
            assert!(ARCHITECTURE.contains(&name), "{name} is not in the table of rooms");
        }
    }
}
