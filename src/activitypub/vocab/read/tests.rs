use super::*;
use serde_json::json;

const US: &str = "https://live.example/federation/user/streamer";

/// One activity for each peer's way of writing, and what must be read from it.
fn dialects() -> Vec<Value> {
    let all = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/inbound-dialects.json"));
    serde_json::from_str(all).unwrap()
}

fn name(kind: &Kind) -> String {
    match kind {
        Kind::Other(name) => name.clone(),
        kind => format!("{kind:?}"),
    }
}

#[test]
fn every_peers_dialect_is_understood() {
    let all = dialects();
    assert!(all.len() > 30);
    for case in all {
        let peer = &case["peer"];
        let read = Incoming::parse(&case["activity"]).unwrap_or_else(|problem| panic!("{peer}: {problem}"));
        let got = json!({
            "id": read.id,
            "kind": name(&read.kind),
            "actor": read.actor,
            "object": read.object.id,
            "object_kind": read.object.kind.as_ref().map(name),
            "object_actor": read.object.actor,
            "object_object": read.object.object,
            "in_reply_to": read.object.in_reply_to,
            "target": read.target,
            "more": read.more,
            "text": read.text,
        });
        for (field, expected) in case["read"].as_object().unwrap() {
            assert_eq!(&got[field], expected, "{peer}: {field}");
        }
        for (field, value) in got.as_object().unwrap() {
            let empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
            assert!(empty || case["read"].get(field).is_some(), "{peer}: {field} was read as {value}");
        }
    }
}

#[test]
fn what_cannot_be_read_says_why() {
    let long = format!("https://peer.example/{}", "x".repeat(MAX_ID));
    for (document, problem) in [
        (json!([]), ReadProblem::NotAnObject),
        (json!("Follow"), ReadProblem::NotAnObject),
        (json!({"actor": "https://p.example/u"}), ReadProblem::NoType),
        (json!({"type": 5, "actor": "https://p.example/u"}), ReadProblem::NoType),
        (json!({"type": [], "actor": "https://p.example/u"}), ReadProblem::NoType),
        (json!({"type": "", "actor": "https://p.example/u"}), ReadProblem::NoType),
        (json!({"type": "Follow"}), ReadProblem::NoActor),
        (json!({"type": "Follow", "actor": null}), ReadProblem::NoActor),
        (json!({"type": "Follow", "actor": ""}), ReadProblem::NoActor),
        (json!({"type": "Follow", "actor": {}}), ReadProblem::NoActor),
        (json!({"type": "Follow", "actor": {"id": 7}}), ReadProblem::NoActor),
        (json!({"type": "Follow", "actor": []}), ReadProblem::NoActor),
        (json!({"type": "Follow", "actor": [[]]}), ReadProblem::NoActor),
        (
            json!({"type": "Follow", "actor": ["https://a.example/u", "https://b.example/u"]}),
            ReadProblem::ManyActors,
        ),
        (
            json!({"type": "Like", "actor": "https://a.example/u", "object": [US, US]}),
            ReadProblem::ManyObjects,
        ),
        (json!({"type": "Like", "actor": long}), ReadProblem::TooLong { field: "actor" }),
        (
            json!({"type": "Like", "actor": "https://a.example/u", "id": long}),
            ReadProblem::TooLong { field: "id" },
        ),
        (
            json!({"type": "Undo", "actor": "https://a.example/u", "object": {"object": {"id": long}}}),
            ReadProblem::TooLong { field: "object.object" },
        ),
    ] {
        assert_eq!(Incoming::parse(&document), Err(problem), "{document}");
    }
}

#[test]
fn nothing_is_made_up_from_odd_shapes() {
    let read = Incoming::parse(&json!({
        "type": ["Unknown", "Like", "Announce"],
        "actor": [{"id": "https://a.example/u"}],
        "id": {"id": "x"},
        "object": {"id": ["x"], "type": null, "actor": ["a", "b"], "object": 7},
        "target": ["a", "b"],
    }))
    .unwrap();
    assert_eq!(read.kind, Kind::Like);
    assert_eq!(read.id, None);
    assert_eq!(read.object, Object::default());
    assert_eq!(read.target, None);
}

#[test]
fn a_report_keeps_a_bounded_list() {
    let many: Vec<String> = (0..500).map(|n| format!("https://live.example/{n}")).collect();
    let read = Incoming::parse(&json!({"type": "Flag", "actor": "https://a.example/actor", "object": many}))
        .unwrap();
    assert_eq!(read.object.id.as_deref(), Some("https://live.example/0"));
    assert_eq!(read.more.len(), MAX_MORE);
}

#[test]
fn what_is_made_is_its_authors_and_nobody_elses() {
    let (me, they) = ("https://a.example/u", "https://b.example/u");
    for (kind, object, want) in [
        ("Create", json!({"attributedTo": me}), Some(me)),
        ("Create", json!({"attributedTo": [{"id": me}]}), Some(me)),
        ("Create", json!({"actor": me, "attributedTo": they}), Some(they)),
        ("Create", json!({"actor": me, "attributedTo": [me, they]}), None),
        ("Create", json!({"actor": me}), None),
        ("Undo", json!({"actor": me}), Some(me)),
        ("Undo", json!({"attributedTo": me}), Some(me)),
    ] {
        let activity = json!({"type": kind, "actor": me, "object": object});
        assert_eq!(Incoming::parse(&activity).unwrap().object.actor.as_deref(), want, "{activity}");
    }
}
