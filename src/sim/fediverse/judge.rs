//! Judges activities and notes by what the strictest peers demand. Pure.

use serde_json::{Map, Value};

use super::fetch::same_origin;
use super::violation::{Fault, Rule};

/// The collection of everybody.
pub(crate) const PUBLIC: &str = "https://www.w3.org/ns/activitystreams#Public";

/// Misskey's limit for an inbox body, bytes.
const BODY_LIMIT: usize = 64 << 10;

fn text<'a>(object: &'a Value, field: &str) -> Option<&'a str> {
    object.get(field).and_then(Value::as_str)
}

/// Whether `@context` names ActivityStreams, alone or in its list.
pub(crate) fn has_activitystreams(document: &Value) -> bool {
    const AS: &str = "https://www.w3.org/ns/activitystreams";
    match document.get("@context") {
        Some(Value::String(one)) => one == AS,
        Some(Value::Array(many)) => many.iter().any(|context| context == AS),
        _ => false,
    }
}

/// The recipients of an activity or object in `field`, whatever shape it has.
pub(crate) fn recipients(object: &Value, field: &str) -> Vec<String> {
    match object.get(field) {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(many)) => many.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    }
}

/// What every activity must have.
pub(crate) fn activity(body: &Value, size: usize, followers_only: bool) -> Vec<Fault> {
    let mut faults = Vec::new();
    let actor = text(body, "actor").unwrap_or_default();
    match text(body, "id") {
        Some(id) if same_origin(id, actor) => {}
        Some(id) => faults.push(Fault::new(Rule::Id, format!("{id} is not on the host of {actor}"))),
        None => faults.push(Fault::new(Rule::Id, "there is no id")),
    }
    if !has_activitystreams(body) {
        faults.push(Fault::new(Rule::Context, "@context lacks ActivityStreams"));
    }
    if size > BODY_LIMIT {
        faults.push(Fault::new(Rule::Body, format!("{size} bytes")));
    }
    if followers_only && mentions_public(body) {
        faults.push(Fault::new(Rule::PublicLeak, "Public appears in it"));
    }
    for object in [Some(body), body.get("object")].into_iter().flatten() {
        for field in ["to", "cc"] {
            if recipients(object, field).iter().any(|r| matches!(r.as_str(), "as:Public" | "Public")) {
                faults.push(Fault::new(Rule::Audience, format!("{field} does not spell Public in full")));
            }
        }
    }
    faults
}

fn mentions_public(value: &Value) -> bool {
    match value {
        Value::String(text) => matches!(text.as_str(), PUBLIC | "as:Public" | "Public"),
        Value::Array(list) => list.iter().any(mentions_public),
        Value::Object(map) => map.values().any(mentions_public),
        _ => false,
    }
}

/// The embedded Follow of an Accept or Reject: its id, its follower and its target.
pub(crate) fn embedded_follow(body: &Value) -> Result<(&str, &str, &str), Fault> {
    let object = body.get("object").unwrap_or(&Value::Null);
    let wrong = |what: &str| Fault::new(Rule::AcceptShape, format!("object.{what} is not as sent: {object}"));
    if text(object, "type") != Some("Follow") {
        return Err(wrong("type"));
    }
    let id = text(object, "id").ok_or_else(|| wrong("id"))?;
    let follower = text(object, "actor").ok_or_else(|| wrong("actor"))?;
    let target = text(object, "object").ok_or_else(|| wrong("object"))?;
    Ok((id, follower, target))
}

/// What the Note of a Create or Update must have.
pub(crate) fn note(body: &Value, note: &Value) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut fault = |rule, detail: String| faults.push(Fault::new(rule, detail));
    let actor = text(body, "actor").unwrap_or_default();
    let id = text(note, "id").unwrap_or_default();
    if !same_origin(id, actor) {
        fault(Rule::NoteShape, format!("id {id:?} is not on the host of {actor}"));
    }
    if text(note, "attributedTo") != Some(actor) {
        fault(Rule::NoteShape, "attributedTo is not the actor as a string".into());
    }
    for field in ["to", "cc"] {
        if !note.get(field).is_some_and(Value::is_array) || !body.get(field).is_some_and(Value::is_array) {
            fault(Rule::NoteShape, format!("{field} is not an array on activity and note"));
        }
        if recipients(note, field) != recipients(body, field) {
            fault(Rule::Audience, format!("{field} differs between activity and note"));
        }
    }
    for field in ["tag", "attachment"] {
        if note.get(field).is_some_and(|value| !value.is_array()) {
            fault(Rule::NoteShape, format!("{field} is not an array"));
        }
    }
    let date = |field: &str| text(note, field).map(|value| value.parse::<jiff::Timestamp>().is_ok());
    if date("published") != Some(true) || date("updated") == Some(false) {
        fault(Rule::NoteShape, "published or updated is not an RFC 3339 date".into());
    }
    if !text(note, "url").is_some_and(|url| same_origin(url, actor)) {
        fault(Rule::NoteShape, "url is not a string on the actor's host".into());
    }
    if text(note, "summary") == Some("") {
        fault(Rule::NoteShape, "summary is an empty content warning".into());
    }
    let content = text(note, "content").unwrap_or_default();
    if content.is_empty() {
        fault(Rule::NoteShape, "content is missing or empty".into());
    }
    if let Some(map) = note.get("contentMap") {
        let languages: Vec<&Value> = map.as_object().map(|m| m.values().collect()).unwrap_or_default();
        if languages.len() != 1 || languages.iter().any(|text| text.as_str() != Some(content)) {
            fault(Rule::NoteShape, "contentMap is not the content in one language".into());
        }
    }
    for tag in note.get("tag").and_then(Value::as_array).into_iter().flatten() {
        let name = text(tag, "name").unwrap_or_default();
        let sane = match text(tag, "type") {
            Some("Hashtag") => name.starts_with('#') && name.len() > 1,
            Some("Mention") => name.starts_with('@'),
            Some("Emoji") => name.starts_with(':'),
            _ => false,
        };
        if !sane || (text(tag, "type") != Some("Emoji") && text(tag, "href").is_none()) {
            fault(Rule::NoteShape, format!("tag {tag} is not understood"));
        }
    }
    if let Some(why) = html(content) {
        fault(Rule::Html, why);
    }
    faults
}

/// Elements Mastodon keeps.
const ELEMENTS: &[&str] = &[
    "p",
    "br",
    "span",
    "a",
    "del",
    "s",
    "pre",
    "blockquote",
    "code",
    "b",
    "strong",
    "u",
    "i",
    "em",
    "ul",
    "ol",
    "li",
    "ruby",
    "rt",
    "rp",
];

/// Why some peer would not show this HTML as it was written, if so.
fn html(content: &str) -> Option<String> {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = content;
    while let Some((before, after)) = rest.split_once('<') {
        if before.contains('>') {
            return Some("a bare > in the text".into());
        }
        let Some((tag, more)) = after.split_once('>') else { return Some("an unfinished element".into()) };
        rest = more;
        if let Some(name) = tag.strip_prefix('/') {
            match open.pop() {
                Some(opened) if opened == name => continue,
                _ => return Some(format!("</{name}> closes nothing")),
            }
        }
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag.trim_end_matches('/'), ""));
        if !ELEMENTS.contains(&name) {
            return Some(format!("<{name}> is not kept"));
        }
        if let Some(bad) = attribute_fault(attributes) {
            return Some(format!("<{name}>: {bad}"));
        }
        if name != "br" {
            open.push(name);
        }
    }
    open.pop().map(|name| format!("<{name}> is never closed"))
}

fn attribute_fault(attributes: &str) -> Option<String> {
    let mut rest = attributes.trim().trim_end_matches('/').trim();
    while !rest.is_empty() {
        let Some((name, value)) = rest.split_once("=\"") else { return Some("an odd attribute".into()) };
        let Some((value, more)) = value.split_once('"') else { return Some("an open quote".into()) };
        match name {
            "href" if value.starts_with("http://") || value.starts_with("https://") => {}
            "rel" | "class" | "target" | "translate" => {}
            _ => return Some(format!("{name}=\"{value}\" is not kept")),
        }
        rest = more.trim_start();
    }
    None
}

/// Audience fields of an activity, for comparing a Delete or Update with its Create.
pub(crate) fn audience(object: &Value) -> (Vec<String>, Vec<String>) {
    (recipients(object, "to"), recipients(object, "cc"))
}

/// The id of `object`, given as a string or embedded.
pub(crate) fn object_id(body: &Value) -> Option<&str> {
    match body.get("object") {
        Some(Value::String(id)) => Some(id),
        Some(Value::Object(map)) => id_of(map),
        _ => None,
    }
}

fn id_of(map: &Map<String, Value>) -> Option<&str> {
    map.get("id").and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_that_peers_keep_is_told_from_other() {
        for good in [
            "<p>Live &lt;now&gt;</p>",
            "<p>a<br>b<br /></p><p><a href=\"https://x.example/\" rel=\"tag\">#<span>a</span></a></p>",
        ] {
            assert_eq!(html(good), None, "{good}");
        }
        for bad in [
            "<img src=\"https://x\">",
            "<p>open",
            "</p>",
            "<a href=\"javascript:x\">y</a>",
            "<p onclick=\"x\">y</p>",
            "1 <",
            "a > b<br>",
            "<b><i>x</b></i>",
        ] {
            assert!(html(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn public_is_found_anywhere() {
        let leak = serde_json::json!({"object": {"interactionPolicy": {"canQuote": [PUBLIC]}}});
        assert!(mentions_public(&leak));
        assert!(!mentions_public(&serde_json::json!({"to": ["https://a.example/followers"]})));
    }
}
