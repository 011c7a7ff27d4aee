//! The lines of a file, one JSON object each.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::kinds;
use crate::model::Secret;

/// Version of the file's form; counted up when an older release could not read a newer file.
pub const FORMAT: u32 = 1;
/// What the first line says of itself.
const WHAT: &str = "export";

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Header {
    #[serde(rename = "owncast-herald")]
    what: String,
    /// [`FORMAT`] of the release that wrote it.
    pub format: u32,
    /// That release.
    pub version: String,
    /// Version of the records' layout.
    pub schema: u32,
    /// When it was made.
    pub made: Timestamp,
    /// Id of the actor, if it was settled.
    pub actor: Option<String>,
    /// Its handle, `user@host`.
    pub handle: Option<String>,
    /// Fingerprint of the key that the actor signed with, if it could be read: no other goes with these followers.
    pub key_fingerprint: Option<String>,
    /// That of the key that was to follow it, while a change of keys was under way.
    pub next_key_fingerprint: Option<String>,
}

impl Header {
    /// The header of a file made at this moment by this release, of nobody yet.
    pub fn new(schema: u32, made: Timestamp) -> Header {
        Header {
            what: WHAT.to_owned(),
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            schema,
            made,
            actor: None,
            handle: None,
            key_fingerprint: None,
            next_key_fingerprint: None,
        }
    }
}

/// How many lines of each sort a file has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Counts {
    /// Records by the name of their kind.
    pub records: BTreeMap<String, u64>,
    /// Records that changed while the file was made; they stand in it again, in the order in which they changed.
    pub changes: u64,
    /// Pictures.
    pub media: u64,
    /// The private key is in it.
    pub with_key: bool,
}

impl Counts {
    /// Records of this kind.
    pub fn of(&self, name: &str) -> u64 {
        self.records.get(name).copied().unwrap_or(0)
    }
}

/// A line, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// The first one.
    Header(Header),
    /// A record with its full key; later ones replace earlier ones.
    Put {
        /// It stood there already when this line was written.
        again: bool,
        /// Full key.
        key: Vec<u8>,
        /// Its bytes in the store.
        value: Vec<u8>,
    },
    /// A record that was removed while the file was made.
    Gone {
        /// Full key.
        key: Vec<u8>,
    },
    /// A part of a picture.
    Media {
        /// File name.
        name: String,
        /// Where in the picture these bytes stand.
        offset: u64,
        /// Bytes of the whole picture.
        size: u64,
        /// The bytes.
        data: Vec<u8>,
    },
    /// The private key, PEM.
    Key(Secret),
    /// The last one.
    End {
        /// Lines of each sort.
        counts: Counts,
        /// Lines before this one.
        lines: u64,
        /// SHA-256 of the bytes of all lines before this one, in hexadecimal.
        sha256: String,
    },
}

/// Why a line cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineProblem {
    /// Not a JSON object of these fields.
    #[error("it is no line of an export")]
    NotALine,
    /// A record of a kind that is not known.
    #[error("it holds a record of a kind that this release does not know")]
    UnknownKind,
}

/// A line as it is written: which of the fields are there says what it is.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Written {
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    again: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gone: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    media: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    private_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<Counts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lines: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

impl Line {
    /// The line with its newline.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = match self {
            Line::Header(header) => serde_json::to_vec(header),
            other => serde_json::to_vec(&other.written()),
        }
        // Structs with string keys, for which serde_json cannot fail.
        .unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    fn written(&self) -> Written {
        match self {
            Line::Header(_) => Written::default(),
            Line::Put { again, key, value } => {
                let (kind, written) = keyed(key);
                let json = as_json(value);
                let value_base64 = json.is_none().then(|| STANDARD.encode(value));
                let kind = Some(kind);
                let (record, again) = if *again { (None, kind) } else { (kind, None) };
                Written { record, again, value: json, value_base64, ..written }
            }
            Line::Gone { key } => {
                let (kind, written) = keyed(key);
                Written { gone: Some(kind), ..written }
            }
            Line::Media { name, offset, size, data } => Written {
                media: Some(name.clone()),
                offset: Some(*offset),
                size: Some(*size),
                data: Some(STANDARD.encode(data)),
                ..Written::default()
            },
            Line::Key(pem) => Written { private_key: Some(pem.expose().to_owned()), ..Written::default() },
            Line::End { counts, lines, sha256 } => Written {
                end: Some(counts.clone()),
                lines: Some(*lines),
                sha256: Some(sha256.clone()),
                ..Written::default()
            },
        }
    }

    /// Reads the first line.
    ///
    /// # Errors
    /// It is not that of an export.
    pub fn header(bytes: &[u8]) -> Result<Header, LineProblem> {
        let header: Option<Header> = serde_json::from_slice(bytes).ok();
        header.filter(|header| header.what == WHAT).ok_or(LineProblem::NotALine)
    }

    /// The release that wrote this first line, if it is one of a later form than ours, in which nothing else need be as here.
    pub fn of_later_form(bytes: &[u8]) -> Option<String> {
        let line: Value = serde_json::from_slice(bytes).ok()?;
        let later = line["owncast-herald"] == WHAT && line["format"].as_u64()? > u64::from(FORMAT);
        later.then(|| line["version"].as_str().unwrap_or("of another release").to_owned())
    }

    /// Reads a line that is not the first.
    ///
    /// # Errors
    /// [`LineProblem`].
    pub fn read(bytes: &[u8]) -> Result<Line, LineProblem> {
        let written: Written = serde_json::from_slice(bytes).map_err(|_| LineProblem::NotALine)?;
        let decoded = |text: String| STANDARD.decode(text).map_err(|_| LineProblem::NotALine);
        Ok(match written {
            Written { record: Some(kind), again: None, key, key_base64, value, value_base64, .. } => {
                Line::Put {
                    again: false,
                    key: full(&kind, key, key_base64)?,
                    value: bytes_of(value, value_base64)?,
                }
            }
            Written { again: Some(kind), key, key_base64, value, value_base64, .. } => Line::Put {
                again: true,
                key: full(&kind, key, key_base64)?,
                value: bytes_of(value, value_base64)?,
            },
            Written { gone: Some(kind), key, key_base64, .. } => {
                Line::Gone { key: full(&kind, key, key_base64)? }
            }
            Written {
                media: Some(name), offset: Some(offset), size: Some(size), data: Some(data), ..
            } => Line::Media { name, offset, size, data: decoded(data)? },
            Written { private_key: Some(pem), .. } => Line::Key(Secret::new(pem)),
            Written { end: Some(counts), lines: Some(lines), sha256: Some(sha256), .. } => {
                Line::End { counts, lines, sha256 }
            }
            _ => return Err(LineProblem::NotALine),
        })
    }
}

/// The kind's name and the rest of the key: as text where it is one.
fn keyed(key: &[u8]) -> (String, Written) {
    let (kind, rest) = key.split_first().map_or((0, &[][..]), |(kind, rest)| (*kind, rest));
    let text = std::str::from_utf8(rest).ok().filter(|text| !text.chars().any(char::is_control));
    let written = match text {
        Some(text) => Written { key: Some(text.to_owned()), ..Written::default() },
        None => Written { key_base64: Some(STANDARD.encode(rest)), ..Written::default() },
    };
    (kinds::name(kind), written)
}

fn full(kind: &str, key: Option<String>, key_base64: Option<String>) -> Result<Vec<u8>, LineProblem> {
    let kind = kinds::of_name(kind).ok_or(LineProblem::UnknownKind)?;
    let rest = match (key, key_base64) {
        (Some(text), None) => text.into_bytes(),
        (None, Some(text)) => STANDARD.decode(text).map_err(|_| LineProblem::NotALine)?,
        _ => return Err(LineProblem::NotALine),
    };
    Ok([&[kind][..], &rest].concat())
}

/// The value as JSON, if exactly these bytes come back from it.
fn as_json(value: &[u8]) -> Option<Value> {
    let json: Value = serde_json::from_slice(value).ok().filter(Value::is_object)?;
    (serde_json::to_vec(&json).ok()? == value).then_some(json)
}

fn bytes_of(value: Option<Value>, value_base64: Option<String>) -> Result<Vec<u8>, LineProblem> {
    match (value, value_base64) {
        (Some(json), None) => serde_json::to_vec(&json).map_err(|_| LineProblem::NotALine),
        (None, Some(text)) => STANDARD.decode(text).map_err(|_| LineProblem::NotALine),
        _ => Err(LineProblem::NotALine),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &[u8], value: &[u8]) -> Line {
        Line::Put { again: false, key: key.to_vec(), value: value.to_vec() }
    }

    #[test]
    fn every_line_comes_back_byte_for_byte() {
        let lines = [
            put(
                b"Fhttps://a.example/users/\xc3\xbc",
                b"{\"v\":1,\"b\":2,\"a\":[18446744073709551615,1.5e300]}",
            ),
            put(b"P\x00\x01\xff", b"{\"v\":1}"),
            put(b"C\x00\n", &[0, 1, 2, 255]),
            put(b"W", b""),
            put(b"M", b"{\"v\":1, \"spaced\":true}"),
            Line::Put { again: true, key: b"Q1".to_vec(), value: b"[1]".to_vec() },
            Line::Gone { key: b"Q\"quoted\"".to_vec() },
            Line::Media { name: "a.jpg".to_owned(), offset: 3, size: 9, data: vec![7; 6] },
            Line::Key(Secret::new("-----BEGIN")),
            Line::End { counts: Counts::default(), lines: 3, sha256: "00".to_owned() },
        ];
        for line in lines {
            let bytes = line.to_bytes();
            assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 1, "{line:?}");
            assert_eq!(Line::read(&bytes).unwrap(), line);
        }
        let text = String::from_utf8(put(b"Fa", b"{\"v\":1}").to_bytes()).unwrap();
        assert_eq!(text, "{\"record\":\"follower\",\"key\":\"a\",\"value\":{\"v\":1}}\n");
    }

    #[test]
    fn what_is_no_line_is_refused() {
        for (text, problem) in [
            ("", LineProblem::NotALine),
            ("{}", LineProblem::NotALine),
            ("[1]", LineProblem::NotALine),
            ("{\"record\":\"follower\",\"key\":\"a\"}", LineProblem::NotALine),
            ("{\"record\":\"follower\",\"value\":{}}", LineProblem::NotALine),
            ("{\"record\":\"witch\",\"key\":\"a\",\"value\":{}}", LineProblem::UnknownKind),
            ("{\"record\":\"follower\",\"key\":\"a\",\"value-base64\":\"%\"}", LineProblem::NotALine),
            ("{\"record\":\"follower\",\"key\":\"a\",\"value\":{},\"more\":1}", LineProblem::NotALine),
            ("{\"media\":\"a.jpg\",\"offset\":0,\"data\":\"\"}", LineProblem::NotALine),
        ] {
            assert_eq!(Line::read(text.as_bytes()), Err(problem), "{text}");
        }
        assert!(Line::header(b"{\"name\":\"mastodon\"}").is_err());
    }
}
