//! The shapes in which one fact arrives: a string, an object with an id, or an array of either.

use serde_json::Value;
use url::Url;

use crate::model::origin::{RemotePolicy, parse_remote};

/// Most entries of a list that are looked at.
const MAX_LISTED: usize = 16;

/// A single value or a list of them, as a list.
pub(super) fn many(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    let items = match value {
        Some(Value::Array(items)) => items.as_slice(),
        Some(Value::Null) | None => &[],
        Some(single) => std::slice::from_ref(single),
    };
    items.iter().take(MAX_LISTED)
}

/// A string, or the string under one of `keys` in an object; of an array its first such entry.
pub(super) fn text<'a>(value: Option<&'a Value>, keys: &[&str]) -> Option<&'a str> {
    many(value).find_map(|item| match item {
        Value::String(text) => Some(text.as_str()),
        Value::Object(members) => keys.iter().find_map(|key| members.get(*key)?.as_str()),
        _ => None,
    })
}

/// The address of something that is referred to or embedded.
pub(super) fn id(value: Option<&Value>, policy: &RemotePolicy) -> Option<Url> {
    parse_remote(text(value, &["id"])?, policy).ok()
}

/// A link for people: a string, a Link's `href`, an Image's `url`; in arrays the first that is an address.
pub(super) fn link(value: Option<&Value>, policy: &RemotePolicy) -> Option<Url> {
    many(value).find_map(|item| match item {
        Value::String(text) => parse_remote(text, policy).ok(),
        Value::Object(members) => ["href", "url"].iter().find_map(|key| link(members.get(*key), policy)),
        _ => None,
    })
}

/// The first of a value's types that is among `known`.
pub(super) fn kind<'a>(value: &'a Value, known: &[&str]) -> Option<&'a str> {
    many(value.get("type")).filter_map(Value::as_str).find(|kind| known.contains(kind))
}

/// At most `chars` characters of a text that is not empty.
pub(super) fn cut(text: Option<&str>, chars: usize) -> Option<String> {
    let text: String = text?.trim().chars().take(chars).collect();
    (!text.is_empty()).then_some(text)
}
