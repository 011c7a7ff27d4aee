//! Activities. What is read means the same to every reader of JSON, is bounded, and written again is read as the same.

use owncast_herald::activitypub::json::{self, MAX_DEPTH, MAX_VALUES};
use owncast_herald::activitypub::vocab::read::{Incoming, Kind, MAX_ID, MAX_MORE, MAX_TEXT, Object};
use serde_json::{Value, json};

use crate::run::{JSON, Target, fuzz};

const DIALECTS: &str = include_str!("../fixtures/inbound-dialects.json");

/// Levels, and values in all.
fn measure(value: &Value) -> (usize, usize) {
    let inner: Vec<(usize, usize)> = match value {
        Value::Array(items) => items.iter().map(measure).collect(),
        Value::Object(members) => members.values().map(measure).collect(),
        _ => return (0, 1),
    };
    let depth = inner.iter().map(|(depth, _)| *depth).max().unwrap_or_default();
    (1 + depth, 1 + inner.iter().map(|(_, count)| count).sum::<usize>())
}

/// The last digit of a fraction may change; nothing that is read is one.
fn without_fractions(value: Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => Value::Null,
        Value::Array(items) => items.into_iter().map(without_fractions).collect(),
        Value::Object(members) => {
            Value::Object(members.into_iter().map(|(key, value)| (key, without_fractions(value))).collect())
        }
        other => other,
    }
}

fn name(kind: &Kind) -> String {
    match kind {
        Kind::Other(name) => name.clone(),
        known => format!("{known:?}"),
    }
}

fn written(activity: &Incoming) -> Value {
    let put = |map: &mut serde_json::Map<String, Value>, key: &str, text: &Option<String>| {
        if let Some(text) = text {
            map.insert(key.to_owned(), json!(text));
        }
    };
    let Object { id, kind, actor, object, in_reply_to } = &activity.object;
    let mut inner = serde_json::Map::new();
    put(&mut inner, "id", id);
    put(&mut inner, "type", &kind.as_ref().map(name));
    // Of what was made, nothing else says whose it is.
    let whose = if activity.kind == Kind::Create { "attributedTo" } else { "actor" };
    put(&mut inner, whose, actor);
    put(&mut inner, "object", object);
    put(&mut inner, "inReplyTo", in_reply_to);
    let mut all = serde_json::Map::new();
    put(&mut all, "id", &activity.id);
    put(&mut all, "type", &Some(name(&activity.kind)));
    put(&mut all, "actor", &Some(activity.actor.clone()));
    put(&mut all, "target", &activity.target);
    put(&mut all, "content", &activity.text);
    let mut objects = vec![Value::Object(inner)];
    objects.extend(activity.more.iter().map(|id| json!(id)));
    let one = objects.len() == 1;
    all.insert("object".to_owned(), if one { objects.remove(0) } else { Value::Array(objects) });
    Value::Object(all)
}

fn check(bytes: &[u8]) {
    let document = match json::parse(bytes) {
        Ok(document) => document,
        Err(problem) => return assert!(!problem.to_string().is_empty()),
    };
    let (depth, values) = measure(&document);
    assert!(depth <= MAX_DEPTH && values <= MAX_VALUES, "{depth} levels, {values} values");
    let lax: Value = serde_json::from_slice(bytes).expect("what is read strictly is JSON");
    assert_eq!(lax, document, "two readers, two documents");
    let again = json::parse(document.to_string().as_bytes()).expect("what was read can be written");
    assert_eq!(without_fractions(again), without_fractions(document.clone()), "written and read again");
    let Ok(activity) = Incoming::parse(&document) else { return };
    assert!(activity.more.len() <= MAX_MORE);
    assert!(activity.text.as_ref().is_none_or(|text| text.chars().count() <= MAX_TEXT));
    let Object { id, actor, object, in_reply_to, .. } = &activity.object;
    let texts = [&activity.id, &activity.target, id, actor, object, in_reply_to];
    let ids = texts.into_iter().flatten().chain(&activity.more).chain([&activity.actor]);
    for id in ids {
        assert!((1..=MAX_ID).contains(&id.len()), "{id}");
        // What is not in the document, in one of its strings, was made up.
        assert!(document.to_string().contains(&json!(id).to_string()), "{id} was made up");
    }
    assert_eq!(Incoming::parse(&written(&activity)).as_ref(), Ok(&activity), "written and read again");
}

#[test]
fn an_activity_means_one_thing() {
    let dialects: Vec<Value> = serde_json::from_str(DIALECTS).unwrap();
    let also = dialects.iter().map(|case| case["activity"].to_string().into_bytes()).collect();
    fuzz(&Target { name: "activities", also, words: &[JSON, WORDS], cases: 40_000 }, check);
}

pub const WORDS: &[&str] = &[
    "true",
    "false",
    "0",
    "-1",
    "1e999",
    "1.5e-7",
    "-0",
    "0.1",
    "NaN",
    "\"id\":",
    "\"type\":",
    "\"actor\":",
    "\"object\":",
    "\"target\":",
    "\"@context\":",
    "\"@graph\":[],",
    "\"@reverse\":{},",
    "\"@included\":1,",
    "\"content\":",
    "\"summary\":",
    "\"attributedTo\":",
    "\"inReplyTo\":",
    "\"Follow\"",
    "\"Undo\"",
    "\"Like\"",
    "\"Flag\"",
    "\"Announce\"",
    "\"as:Follow\"",
    "\"as:as:Follow\"",
    "\"\"",
    "\"https://www.w3.org/ns/activitystreams#Like\"",
    "\\u0000",
    "\\u0061",
    "\\ud800",
    "\\\"",
    "\\\\",
    "\\u2028",
    "\u{feff}",
    "\u{202e}",
    "\u{1f525}",
    "/**/",
    " ",
    "\n",
    "[[[[[[[[[[[[[[[[",
    "]]]]]]]]]]]]]]]]",
    "{\"a\":{\"a\":{\"a\":{\"a\":",
    "}}}}",
    "[{}],",
    "\"actor\":\"https://a.example/u\",",
    "\"\\u0061ctor\":\"https://b.example/u\",",
    "https://",
    "https://live.example/federation/user/streamer",
];
