//! The `Signature` header and the signing string of draft-cavage-http-signatures-12.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, Method};

use super::{Algorithm, SignatureProblem};

/// Longest `Signature` header read, in bytes.
const MAX_HEADER: usize = 8 * 1024;
/// Most names in the signed list; Mastodon, which signs nearly everything, stays below ten.
const MAX_COVERED: usize = 32;
/// Longest key id, in bytes: that of any address.
const MAX_KEY_ID: usize = 2048;

/// A parsed `Signature` header.
#[derive(Debug)]
pub(super) struct Parameters {
    /// `keyId`, verbatim.
    pub(super) key_id: String,
    /// `algorithm`, or [`Algorithm::Unstated`].
    pub(super) algorithm: Algorithm,
    /// `created`, Unix seconds.
    pub(super) created: Option<i64>,
    /// `expires`, whole Unix seconds (the draft allows a fraction; it is cut off).
    pub(super) expires: Option<i64>,
    /// `headers` in order, lower case, each once.
    pub(super) covered: Vec<String>,
    /// `signature`, decoded.
    pub(super) signature: Vec<u8>,
}

/// Parses the value of a `Signature` header.
pub(super) fn parse(value: &str) -> Result<Parameters, SignatureProblem> {
    if value.len() > MAX_HEADER {
        return Err(SignatureProblem::Malformed("longer than 8 KiB"));
    }
    let mut fields = Fields::default();
    let mut rest = value.strip_prefix("Signature ").unwrap_or(value).trim();
    loop {
        let (name, after) = rest.split_once('=').ok_or(SignatureProblem::Malformed("expected name=value"))?;
        let (content, after) = take_value(after)?;
        fields.set(name.trim(), content)?;
        rest = after.trim_start();
        if rest.is_empty() {
            return fields.finish();
        }
        rest = rest
            .strip_prefix(',')
            .ok_or(SignatureProblem::Malformed("expected a comma between parameters"))?;
    }
}

/// One value, quoted or bare, and what follows it.
fn take_value(text: &str) -> Result<(&str, &str), SignatureProblem> {
    let text = text.trim_start();
    if let Some(quoted) = text.strip_prefix('"') {
        let (content, after) =
            quoted.split_once('"').ok_or(SignatureProblem::Malformed("a quoted value does not end"))?;
        if content.contains('\\') {
            return Err(SignatureProblem::Malformed("a quoted value holds a backslash"));
        }
        return Ok((content, after));
    }
    let end = text.find(',').unwrap_or(text.len());
    let (content, after) = text.split_at(end);
    let content = content.trim();
    if content.is_empty() || !content.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-')) {
        return Err(SignatureProblem::Malformed("a value is neither quoted nor a number"));
    }
    Ok((content, after))
}

#[derive(Default)]
struct Fields<'a> {
    seen: Vec<&'a str>,
    key_id: Option<&'a str>,
    algorithm: Option<&'a str>,
    created: Option<&'a str>,
    expires: Option<&'a str>,
    headers: Option<&'a str>,
    signature: Option<&'a str>,
}

impl<'a> Fields<'a> {
    fn set(&mut self, name: &'a str, value: &'a str) -> Result<(), SignatureProblem> {
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')) {
            return Err(SignatureProblem::Malformed("a parameter's name is not a token"));
        }
        if self.seen.len() > 16 {
            return Err(SignatureProblem::Malformed("too many parameters"));
        }
        // Case does not matter here: `keyid` beside `keyId` is as ambiguous as twice the same.
        if self.seen.iter().any(|seen| seen.eq_ignore_ascii_case(name)) {
            return Err(SignatureProblem::DuplicateParameter(name.to_owned()));
        }
        self.seen.push(name);
        match name {
            "keyId" => self.key_id = Some(value),
            "algorithm" => self.algorithm = Some(value),
            "created" => self.created = Some(value),
            "expires" => self.expires = Some(value),
            "headers" => self.headers = Some(value),
            "signature" => self.signature = Some(value),
            _ => {}
        }
        Ok(())
    }

    fn finish(self) -> Result<Parameters, SignatureProblem> {
        let key_id = self.key_id.ok_or(SignatureProblem::Malformed("keyId is missing"))?;
        if key_id.is_empty() || key_id.len() > MAX_KEY_ID {
            return Err(SignatureProblem::Malformed("keyId is empty or longer than 2048 bytes"));
        }
        let signature = self.signature.ok_or(SignatureProblem::Malformed("signature is missing"))?;
        let signature = STANDARD
            .decode(signature)
            .map_err(|_| SignatureProblem::Malformed("signature is not padded standard base64"))?;
        let algorithm = match self.algorithm {
            None => Algorithm::Unstated,
            Some(name) => Algorithm::cavage(name).ok_or_else(|| SignatureProblem::Algorithm {
                name: name.chars().take(40).collect(),
                accepted: "rsa-sha256 or hs2019",
            })?,
        };
        Ok(Parameters {
            key_id: key_id.to_owned(),
            algorithm,
            created: self.created.map(|text| seconds(text, false)).transpose()?,
            expires: self.expires.map(|text| seconds(text, true)).transpose()?,
            covered: covered(self.headers)?,
            signature,
        })
    }
}

/// Unix seconds. The draft allows a fraction for `expires` only.
fn seconds(text: &str, fraction: bool) -> Result<i64, SignatureProblem> {
    let malformed = SignatureProblem::Malformed("created and expires must be Unix seconds");
    let whole = match text.split_once('.') {
        Some((whole, part)) if fraction && part.bytes().all(|b| b.is_ascii_digit()) => whole,
        Some(_) => return Err(malformed),
        None => text,
    };
    if whole.is_empty() || !whole.bytes().all(|b| b.is_ascii_digit()) {
        return Err(malformed);
    }
    whole.parse().map_err(|_| malformed)
}

/// The refusal of a list that lacks `what`.
pub(super) fn not_covered(what: &'static str) -> SignatureProblem {
    SignatureProblem::NotCovered { what, wanted: "(request-target) host date digest" }
}

fn covered(list: Option<&str>) -> Result<Vec<String>, SignatureProblem> {
    // Older drafts mean `date` where the list is absent, the last one `(created)`: neither covers enough.
    let list = list.ok_or(not_covered("(request-target)"))?;
    let mut names: Vec<String> = Vec::new();
    for name in list.split_ascii_whitespace() {
        let name = name.to_ascii_lowercase();
        if names.len() >= MAX_COVERED {
            return Err(SignatureProblem::Malformed("more than 32 signed headers"));
        }
        if names.contains(&name) {
            return Err(SignatureProblem::CoveredTwice(name));
        }
        names.push(name);
    }
    if names.is_empty() {
        return Err(SignatureProblem::Malformed("the headers list is empty"));
    }
    Ok(names)
}

/// The bytes that are signed (section 2.3 of the draft).
pub(super) fn signing_string(
    parameters: &Parameters,
    method: &Method,
    path_and_query: &str,
    headers: &HeaderMap,
) -> Result<Vec<u8>, SignatureProblem> {
    let mut out = Vec::with_capacity(512);
    for name in &parameters.covered {
        if !out.is_empty() {
            out.push(b'\n');
        }
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        if let Some(pseudo) = name.strip_prefix('(') {
            out.extend_from_slice(pseudo_value(pseudo, parameters, method, path_and_query)?.as_bytes());
            continue;
        }
        let mut values = headers.get_all(name).iter();
        let first = values.next().ok_or_else(|| SignatureProblem::CoveredAbsent(name.clone()))?;
        out.extend_from_slice(first.as_bytes().trim_ascii());
        for value in values {
            out.extend_from_slice(b", ");
            out.extend_from_slice(value.as_bytes().trim_ascii());
        }
    }
    Ok(out)
}

fn pseudo_value(
    name: &str,
    parameters: &Parameters,
    method: &Method,
    path_and_query: &str,
) -> Result<String, SignatureProblem> {
    let refuse = || SignatureProblem::PseudoHeader(format!("({name}"));
    if name == "request-target)" {
        return Ok(format!("{} {path_and_query}", method.as_str().to_ascii_lowercase()));
    }
    // Section 2.3: not with algorithms whose name begins with rsa, hmac or ecdsa.
    if !matches!(parameters.algorithm, Algorithm::Hs2019 | Algorithm::Unstated | Algorithm::Ed25519) {
        return Err(refuse());
    }
    let seconds = match name {
        "created)" => parameters.created,
        "expires)" => parameters.expires,
        _ => return Err(refuse()),
    };
    Ok(seconds.ok_or_else(refuse)?.to_string())
}

/// The value of an outgoing `Signature` header. No space after the commas: Owncast 0.1 would not find `algorithm`.
pub(super) fn build(key_id: &str, covered: &str, signature: &[u8]) -> String {
    format!(
        "keyId=\"{key_id}\",algorithm=\"{}\",headers=\"{covered}\",signature=\"{}\"",
        Algorithm::RsaSha256.name(),
        STANDARD.encode(signature)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(value: &str) -> &'static str {
        parse(value).err().map_or("ok", |problem| problem.code())
    }

    #[test]
    fn real_spellings_parse() {
        let owncast = "keyId=\"https://live.example/federation/user/streamer#main-key\",algorithm=\"hs2019\",\
                       headers=\"(request-target) host date digest\",signature=\"AAAA\"";
        let parsed = parse(owncast).unwrap();
        assert_eq!(parsed.key_id, "https://live.example/federation/user/streamer#main-key");
        assert_eq!(parsed.algorithm, Algorithm::Hs2019);
        assert_eq!(parsed.covered, ["(request-target)", "host", "date", "digest"]);
        for value in [
            "Signature keyId=\"k\", algorithm=\"rsa-sha256\", headers=\"(Request-Target) Host\", signature=\"AAAA\"",
            "keyId=\"k\",created=1402170695,expires=1402170699.5,headers=\"(created)\",signature=\"AAAA\"",
            "keyId=\"k\",created=\"1402170695\",headers=\"date\",signature=\"AAAA\",opaque=\"x\"",
            "keyId = \"k\" , headers = \"date\" , signature = \"AAAA\"",
        ] {
            assert_eq!(code(value), "ok", "{value}");
        }
    }

    #[test]
    fn malformed_headers_are_named() {
        for (value, want) in [
            ("", "signature-malformed"),
            ("keyId", "signature-malformed"),
            ("keyId=k,", "signature-malformed"),
            ("keyId=\"k", "signature-malformed"),
            ("keyId=\"k\\\"\",headers=\"date\",signature=\"AAAA\"", "signature-malformed"),
            ("keyId=\"k\" headers=\"date\",signature=\"AAAA\"", "signature-malformed"),
            ("keyId=\"k\",headers=\"date\",signature=\"AAAA\",", "signature-malformed"),
            ("keyId=\"k\",headers=\"date\"", "signature-malformed"),
            ("headers=\"date\",signature=\"AAAA\"", "signature-malformed"),
            ("keyId=\"\",headers=\"date\",signature=\"AAAA\"", "signature-malformed"),
            ("keyId=\"k\",headers=\"\",signature=\"AAAA\"", "signature-malformed"),
            ("keyId=\"k\",headers=\"date\",signature=\"AAA\"", "signature-malformed"),
            ("keyId=\"k\",headers=\"date\",signature=\"A A=\"", "signature-malformed"),
            ("keyId=\"k\",created=1.5,headers=\"date\",signature=\"AAAA\"", "signature-malformed"),
            ("keyId=\"k\",created=-1,headers=\"date\",signature=\"AAAA\"", "signature-malformed"),
            (
                "keyId=\"k\",created=99999999999999999999,headers=\"date\",signature=\"AAAA\"",
                "signature-malformed",
            ),
            ("keyId=\"k\",signature=\"AAAA\"", "not-covered"),
            ("keyId=\"k\",headers=\"date Date\",signature=\"AAAA\"", "covered-twice"),
            ("keyId=\"k\",keyId=\"l\",headers=\"date\",signature=\"AAAA\"", "duplicate-parameter"),
            ("keyId=\"k\",keyid=\"l\",headers=\"date\",signature=\"AAAA\"", "duplicate-parameter"),
            ("keyId=\"k\",headers=\"date\",headers=\"host\",signature=\"AAAA\"", "duplicate-parameter"),
            (
                "keyId=\"k\",algorithm=\"hmac-sha256\",headers=\"date\",signature=\"AAAA\"",
                "algorithm-unsupported",
            ),
            (
                "keyId=\"k\",algorithm=\"rsa-sha1\",headers=\"date\",signature=\"AAAA\"",
                "algorithm-unsupported",
            ),
            ("keyId=\"k\",algorithm=\"\",headers=\"date\",signature=\"AAAA\"", "algorithm-unsupported"),
        ] {
            assert_eq!(code(value), want, "{value}");
        }
        assert_eq!(
            code(&format!("keyId=\"{}\",headers=\"date\",signature=\"AAAA\"", "k".repeat(2049))),
            "signature-malformed"
        );
        assert_eq!(code(&"a".repeat(MAX_HEADER + 1)), "signature-malformed");
    }

    proptest::proptest! {
        #[test]
        fn any_text_ends_in_a_verdict(text in "[ -~]{0,200}") {
            let _ = parse(&text);
        }
    }
}
