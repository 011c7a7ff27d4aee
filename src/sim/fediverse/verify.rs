//! Verifies requests as strictly as a flavour does. Reading and policy are here; fetching the key is not.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use jiff::{SignedDuration, Timestamp};
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sha::sha256;
use openssl::sign::Verifier;

use super::dialect::{DigestRule, Policy};
use super::violation::{Fault, Rule};

/// A request as it came.
pub(crate) struct Incoming<'a> {
    pub(crate) method: &'a str,
    /// Path and query as on the wire.
    pub(crate) target: &'a str,
    pub(crate) headers: &'a HeaderMap,
    /// The raw body; `None` for a GET.
    pub(crate) body: Option<&'a [u8]>,
    /// What this server calls itself in `Host`.
    pub(crate) authority: &'a str,
    pub(crate) now: Timestamp,
}

/// A signature that keeps all rules, still to be checked against its key.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) key_id: String,
    base: String,
    signature: Vec<u8>,
    /// Faults that this flavour forgives and another would not.
    pub(crate) remarks: Vec<Fault>,
}

impl Claim {
    /// Whether the key made this signature over what was received.
    pub(crate) fn verify(&self, pem: &str) -> Result<(), Fault> {
        let bad = |why: String| Fault::new(Rule::Signature, why);
        let check = || {
            let key = PKey::public_key_from_pem(pem.as_bytes())?;
            let mut verifier = Verifier::new(MessageDigest::sha256(), &key)?;
            verifier.verify_oneshot(&self.signature, self.base.as_bytes())
        };
        match check() {
            Ok(true) => Ok(()),
            Ok(false) => Err(bad(format!("the key {} did not sign this", self.key_id))),
            Err(error) => Err(bad(format!("the key {} is unusable: {error}", self.key_id))),
        }
    }
}

/// Reads the signature and applies the flavour's rules.
pub(crate) fn read(request: &Incoming<'_>, policy: &Policy) -> Result<Claim, Fault> {
    let signature = text(request.headers, "signature")
        .ok_or_else(|| Fault::new(Rule::Signature, "there is no readable Signature header"))?;
    if let Some(host) = text(request.headers, "host").filter(|host| *host != request.authority) {
        return Err(Fault::new(Rule::Host, format!("Host is {host}, this server is {}", request.authority)));
    }
    match text(request.headers, "signature-input") {
        Some(input) if policy.rfc9421 => rfc9421(request, policy, input, signature),
        Some(_) => Err(Fault::new(Rule::Signature, "this flavour does not know RFC 9421")),
        None if policy.cavage => cavage(request, policy, signature),
        None => Err(Fault::new(Rule::Signature, "only RFC 9421 is accepted here")),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn cavage(request: &Incoming<'_>, policy: &Policy, header: &str) -> Result<Claim, Fault> {
    let mut remarks = Vec::new();
    let parameters = parameters(header, ',')?;
    let get = |name: &str| parameters.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    let missing = |name: &str| Fault::new(Rule::Signature, format!("the Signature header has no {name}"));
    if header.contains("\", ") {
        remarks.push(Fault::new(Rule::SignatureSpelling, "space after a comma"));
    }
    match get("algorithm") {
        Some("rsa-sha256" | "hs2019") => {}
        Some(other) => return Err(Fault::new(Rule::Signature, format!("algorithm {other} is not accepted"))),
        None if policy.algorithm_required => return Err(missing("algorithm")),
        None => remarks.push(Fault::new(Rule::SignatureSpelling, "no algorithm parameter")),
    }
    let covered: Vec<&str> = get("headers").unwrap_or("date").split_ascii_whitespace().collect();
    if request.body.is_some() {
        require(&covered, policy.covers)?;
        for wanted in ["(request-target)", "host", "date", "digest"] {
            if !covered.contains(&wanted) {
                remarks.push(Fault::new(Rule::Coverage, format!("{wanted} is not signed")));
            }
        }
    } else {
        require(&covered, &[&["(request-target)"], &["host"], &["date", "(created)"]])?;
    }
    let created = get("created").and_then(|value| value.parse::<i64>().ok());
    let at = match (created, text(request.headers, "date")) {
        (Some(second), _) if covered.contains(&"(created)") => Timestamp::from_second(second).ok(),
        (_, Some(date)) => httpdate::parse_http_date(date).ok().and_then(|t| Timestamp::try_from(t).ok()),
        _ => None,
    };
    clock(at, get("expires").and_then(|value| value.parse().ok()), request.now, policy)?;
    if let Some(body) = request.body {
        let value = text(request.headers, "digest")
            .ok_or_else(|| Fault::new(Rule::Digest, "there is no Digest header"))?;
        remarks.extend(digest(value, body, policy.digest)?);
    }
    let mut lines = Vec::new();
    for name in covered {
        lines.push(match name {
            "(request-target)" => {
                format!("{name}: {} {}", request.method.to_ascii_lowercase(), request.target)
            }
            "(created)" => format!("{name}: {}", created.ok_or_else(|| missing("created"))?),
            _ => match text(request.headers, name) {
                Some(value) => format!("{name}: {value}"),
                None => return Err(Fault::new(Rule::Coverage, format!("{name} is signed but was not sent"))),
            },
        });
    }
    let signature = STANDARD
        .decode(get("signature").ok_or_else(|| missing("signature"))?)
        .map_err(|e| Fault::new(Rule::Signature, format!("the signature is not base64: {e}")))?;
    let key_id = get("keyId").ok_or_else(|| missing("keyId"))?.to_owned();
    Ok(Claim { key_id, base: lines.join("\n"), signature, remarks })
}

fn rfc9421(request: &Incoming<'_>, policy: &Policy, input: &str, signature: &str) -> Result<Claim, Fault> {
    let malformed = |why: &str| Fault::new(Rule::Signature, format!("Signature-Input: {why}"));
    let (label, params) = input.split_once('=').ok_or_else(|| malformed("no label"))?;
    let (list, rest) =
        params.strip_prefix('(').and_then(|p| p.split_once(')')).ok_or_else(|| malformed("no list"))?;
    let covered: Vec<&str> = list.split_ascii_whitespace().map(|name| name.trim_matches('"')).collect();
    let parameters = parameters(rest.trim_start_matches(';'), ';')?;
    let get = |name: &str| parameters.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    if get("alg").is_some_and(|alg| alg != "rsa-v1_5-sha256") {
        return Err(malformed("only rsa-v1_5-sha256 is accepted"));
    }
    let mut needed: Vec<&[&str]> = vec![&["@method"], &["@target-uri"]];
    if request.body.is_some() {
        needed.push(&["content-digest"]);
    }
    require(&covered, &needed)?;
    let created = get("created").and_then(|value| value.parse::<i64>().ok());
    let expires = get("expires").and_then(|value| value.parse().ok());
    clock(created.and_then(|second| Timestamp::from_second(second).ok()), expires, request.now, policy)?;
    if let Some(body) = request.body {
        let value = text(request.headers, "content-digest")
            .ok_or_else(|| Fault::new(Rule::Digest, "there is no Content-Digest header"))?;
        if value != format!("sha-256=:{}:", STANDARD.encode(sha256(body))) {
            return Err(Fault::new(Rule::Digest, format!("Content-Digest {value} is not that of the body")));
        }
    }
    let mut base = String::new();
    for name in covered {
        let value = match name {
            "@method" => request.method.to_owned(),
            "@target-uri" => format!("http://{}{}", request.authority, request.target),
            "@authority" => request.authority.to_owned(),
            _ => text(request.headers, name)
                .ok_or_else(|| Fault::new(Rule::Coverage, format!("{name} is signed but was not sent")))?
                .to_owned(),
        };
        base.push_str(&format!("\"{name}\": {value}\n"));
    }
    base.push_str(&format!("\"@signature-params\": {params}"));
    let signature = signature
        .strip_prefix(label)
        .and_then(|rest| rest.strip_prefix("=:"))
        .and_then(|rest| rest.strip_suffix(':'))
        .and_then(|text| STANDARD.decode(text).ok())
        .ok_or_else(|| malformed("the Signature header does not hold exactly this label"))?;
    let key_id = get("keyid").ok_or_else(|| malformed("no keyid"))?.to_owned();
    Ok(Claim { key_id, base, signature, remarks: Vec::new() })
}

/// Splits `name="value"` and `name=value` parameters; a name twice is refused as Mastodon does.
fn parameters(text: &str, separator: char) -> Result<Vec<(String, String)>, Fault> {
    let malformed = |why: &str| Fault::new(Rule::Signature, format!("malformed parameters: {why}"));
    let mut found: Vec<(String, String)> = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=').ok_or_else(|| malformed("no value"))?;
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').ok_or_else(|| malformed("open quote"))?,
            None => after.split_at(after.find(separator).unwrap_or(after.len())),
        };
        let name = name.trim().to_owned();
        if found.iter().any(|(n, _)| *n == name) {
            return Err(malformed(&format!("{name} twice")));
        }
        found.push((name, value.to_owned()));
        rest = match after.trim_start() {
            "" => "",
            more => more.strip_prefix(separator).ok_or_else(|| malformed("no separator"))?.trim_start(),
        };
    }
    Ok(found)
}

fn require(covered: &[&str], needed: &[&[&str]]) -> Result<(), Fault> {
    for alternatives in needed {
        if !alternatives.iter().any(|name| covered.contains(name)) {
            let detail = format!("{} must be signed, covered is {covered:?}", alternatives.join(" or "));
            return Err(Fault::new(Rule::Coverage, detail));
        }
    }
    Ok(())
}

fn clock(at: Option<Timestamp>, expires: Option<i64>, now: Timestamp, policy: &Policy) -> Result<(), Fault> {
    let at = at.ok_or_else(|| Fault::new(Rule::Clock, "there is no readable Date or created"))?;
    let age = now.duration_since(at);
    let limit = |d: std::time::Duration| SignedDuration::try_from(d).unwrap_or(SignedDuration::MAX);
    if age > limit(policy.past) || -age > limit(policy.ahead) {
        return Err(Fault::new(Rule::Clock, format!("signed {} s ago", age.as_secs())));
    }
    if expires.is_some_and(|second| second < now.as_second()) {
        return Err(Fault::new(Rule::Clock, "the signature has expired"));
    }
    Ok(())
}

fn digest(value: &str, body: &[u8], rule: DigestRule) -> Result<Option<Fault>, Fault> {
    let right = STANDARD.encode(sha256(body));
    if value == format!("SHA-256={right}") {
        return Ok(None);
    }
    let wrong = || Fault::new(Rule::Digest, format!("Digest {value} is not that of the body"));
    let mut matching = 0;
    let mut others = 0;
    for part in value.split(',') {
        let (name, sum) = part.trim().split_once('=').ok_or_else(wrong)?;
        match name.eq_ignore_ascii_case("sha-256") {
            true if sum == right => matching += 1,
            true => return Err(wrong()),
            false => others += 1,
        }
    }
    let spelling = Fault::new(Rule::DigestSpelling, format!("Digest is spelled {value}"));
    match rule {
        _ if matching == 0 => Err(wrong()),
        DigestRule::Exact => Err(spelling),
        DigestRule::OnlySha256 if others > 0 => Err(spelling),
        DigestRule::OnlySha256 | DigestRule::List => Ok(Some(spelling)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_judged_by_flavour() {
        let sum = STANDARD.encode(sha256(b"x"));
        let upper = format!("SHA-256={sum}");
        let lower = format!("sha-256={sum}");
        let two = format!("{upper},SHA-512=AAAA");
        let other = format!("SHA-256={}", STANDARD.encode(sha256(b"y")));
        let verdict = |value: &str, rule| match digest(value, b"x", rule) {
            Ok(None) => "ok",
            Ok(Some(_)) => "remark",
            Err(fault) if fault.rule == Rule::Digest => "wrong",
            Err(_) => "spelling",
        };
        for (value, exact, only, list) in [
            (&upper, "ok", "ok", "ok"),
            (&lower, "spelling", "remark", "remark"),
            (&two, "spelling", "spelling", "remark"),
            (&other, "wrong", "wrong", "wrong"),
            (&"SHA-512=AAAA".to_owned(), "wrong", "wrong", "wrong"),
        ] {
            let found = (
                verdict(value, DigestRule::Exact),
                verdict(value, DigestRule::OnlySha256),
                verdict(value, DigestRule::List),
            );
            assert_eq!(found, (exact, only, list), "{value}");
        }
    }

    #[test]
    fn parameters_are_split_and_never_doubled() {
        let found = parameters("a=\"1,2\",b=3, c=\"\"", ',').unwrap();
        let found: Vec<_> = found.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(found, [("a", "1,2"), ("b", "3"), ("c", "")]);
        for bad in ["a=\"1\",a=\"2\"", "a", "a=\"1", "a=\"1\"b=\"2\""] {
            assert!(parameters(bad, ',').is_err(), "{bad}");
        }
    }
}
