//! Strict reading of JSON from strangers: one meaning per document, and a bounded cost.
//!
//! Documents are plain JSON with fixed keys here; JSON-LD is never expanded, no context is ever fetched. Keys that
//! only an expanding reader would follow (`@graph`, …) are refused, because they have been used to show two readers
//! two different documents (Mastodon GHSA-53m7-2wrh-q839, Fedify CVE-2026-42462).

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use thiserror::Error;

/// Largest document read, in bytes, many times what actors and activities have: dozens are read at once.
pub const MAX_BYTES: usize = 256 * 1024;
/// Deepest nesting of arrays and objects; real activities stay below ten.
pub const MAX_DEPTH: usize = 32;
/// Most members of one array or object.
pub const MAX_ITEMS: usize = 1024;
/// Most values in one document: what bounds its memory.
pub const MAX_VALUES: usize = 20_000;

/// Why a document is refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum JsonProblem {
    /// Over [`MAX_BYTES`].
    #[error("the document has {0} bytes, at most {MAX_BYTES} are read")]
    TooLarge(usize),
    /// Over [`MAX_DEPTH`].
    #[error("the document nests deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// Over [`MAX_ITEMS`] in one array or object, or over [`MAX_VALUES`] in all.
    #[error("the document has more than {MAX_ITEMS} members in one place, or {MAX_VALUES} in all")]
    TooMany,
    /// The same key twice in one object: two readers could see two documents (C-8).
    #[error("an object has the same key twice")]
    DuplicateKey,
    /// A top-level key that only has a meaning after JSON-LD expansion (C-7).
    #[error("the document uses {0}, which is refused: send it in compacted form")]
    Expanded(&'static str),
    /// Not JSON, or not UTF-8, or something after the document's end.
    #[error("not valid JSON: {0}")]
    Syntax(String),
}

/// Reads one whole document.
///
/// # Errors
/// See [`JsonProblem`]; every error is final for these bytes.
pub fn parse(bytes: &[u8]) -> Result<Value, JsonProblem> {
    if bytes.len() > MAX_BYTES {
        return Err(JsonProblem::TooLarge(bytes.len()));
    }
    let limits = Limits { left: Cell::new(MAX_VALUES), broken: Cell::new(None) };
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth: 0, limits: &limits }
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|error| limits.broken.take().unwrap_or_else(|| JsonProblem::Syntax(error.to_string())))?;
    for key in ["@graph", "@included", "@reverse"] {
        if value.get(key).is_some() {
            return Err(JsonProblem::Expanded(key));
        }
    }
    Ok(value)
}

/// What is left of the budget, and the rule that was broken: serde's errors only carry text.
struct Limits {
    left: Cell<usize>,
    broken: Cell<Option<JsonProblem>>,
}

impl Limits {
    fn refuse<E: serde::de::Error>(&self, problem: JsonProblem) -> E {
        let error = E::custom(&problem);
        self.broken.set(Some(problem));
        error
    }

    fn spend<E: serde::de::Error>(&self) -> Result<(), E> {
        match self.left.get().checked_sub(1) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => Err(self.refuse(JsonProblem::TooMany)),
        }
    }
}

#[derive(Clone, Copy)]
struct Strict<'a> {
    depth: usize,
    limits: &'a Limits,
}

impl<'a> Strict<'a> {
    fn deeper<E: serde::de::Error>(self) -> Result<Strict<'a>, E> {
        if self.depth >= MAX_DEPTH {
            return Err(self.limits.refuse(JsonProblem::TooDeep));
        }
        Ok(Strict { depth: self.depth + 1, limits: self.limits })
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.limits.spend()?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(inner)? {
            if items.len() >= MAX_ITEMS {
                return Err(self.limits.refuse(JsonProblem::TooMany));
            }
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut members = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if members.len() >= MAX_ITEMS {
                return Err(self.limits.refuse(JsonProblem::TooMany));
            }
            let value = map.next_value_seed(inner)?;
            if members.insert(key, value).is_some() {
                return Err(self.limits.refuse(JsonProblem::DuplicateKey));
            }
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(levels: usize) -> Vec<u8> {
        [vec![b'['; levels], vec![b']'; levels]].concat()
    }

    #[test]
    fn ordinary_documents_read_as_serde_json_reads_them() {
        for text in [
            r#"{"a":[1,-2,3.5,null,true,"ü\n"],"b":{"c":{}}}"#,
            "[]",
            r#""x""#,
            "18446744073709551615",
            "1e300",
        ] {
            assert_eq!(
                parse(text.as_bytes()).unwrap(),
                serde_json::from_str::<Value>(text).unwrap(),
                "{text}"
            );
        }
        assert!(parse(&nested(MAX_DEPTH)).is_ok());
    }

    #[test]
    fn hostile_documents_are_refused() {
        let many = format!("[{}0]", "0,".repeat(MAX_ITEMS));
        let row = format!("[{}0],", "0,".repeat(999));
        let wide = format!("[{}0]", row.repeat(MAX_VALUES / 1000));
        let members = (0..=MAX_ITEMS).map(|n| format!("\"{n}\":0")).collect::<Vec<_>>().join(",");
        let table: Vec<(Vec<u8>, JsonProblem)> = vec![
            (nested(MAX_DEPTH + 1), JsonProblem::TooDeep),
            (nested(100_000), JsonProblem::TooDeep),
            (many.into_bytes(), JsonProblem::TooMany),
            (wide.into_bytes(), JsonProblem::TooMany),
            (format!("{{{members}}}").into_bytes(), JsonProblem::TooMany),
            (br#"{"actor":"a","actor":"b"}"#.to_vec(), JsonProblem::DuplicateKey),
            (br#"{"actor":"a","\u0061ctor":"b"}"#.to_vec(), JsonProblem::DuplicateKey),
            (br#"{"x":{"id":1,"id":1}}"#.to_vec(), JsonProblem::DuplicateKey),
            (br#"{"@graph":[]}"#.to_vec(), JsonProblem::Expanded("@graph")),
            (br#"{"@included":null}"#.to_vec(), JsonProblem::Expanded("@included")),
            (br#"{"@reverse":{}}"#.to_vec(), JsonProblem::Expanded("@reverse")),
            (vec![b' '; MAX_BYTES + 1], JsonProblem::TooLarge(MAX_BYTES + 1)),
        ];
        for (bytes, want) in table {
            assert_eq!(
                parse(&bytes),
                Err(want),
                "{}",
                String::from_utf8_lossy(&bytes[..bytes.len().min(60)])
            );
        }
        for text in ["", "{", "{}{}", "{} x", "nul", r#"{"a":1,}"#, "NaN", r#""\ud800""#, "1e999"] {
            assert!(matches!(parse(text.as_bytes()), Err(JsonProblem::Syntax(_))), "{text}");
        }
        assert!(matches!(parse(b"\"\xff\""), Err(JsonProblem::Syntax(_))));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_end_in_a_verdict(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }
    }
}
