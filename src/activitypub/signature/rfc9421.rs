//! `Signature-Input`, `Signature` and the signature base of RFC 9421, in the profile of the fediverse.

use http::{HeaderMap, Method};
use jiff::Timestamp;

use super::fields::{Bare, FieldError, InnerList, Member, dictionary};
use super::{Algorithm, SignatureProblem};
use crate::model::origin::Origin;

/// Most signatures that one request may carry: the sender's, and those of proxies.
const MAX_LABELS: usize = 4;
/// Longest key id, in bytes: that of any address.
const MAX_KEY_ID: usize = 2048;
/// What a request must sign, for people.
const WANTED: &str = "@method @target-uri, and content-digest where there is a body";

const INPUT: &str = "Signature-Input";
const SIGNATURE: &str = "Signature";

/// What of a request the components of a signature are derived from.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) method: &'a Method,
    /// Path and query as they came over the wire.
    pub(super) path_and_query: &'a str,
    /// Our public origin, whatever a proxy made of scheme and host.
    pub(super) own: &'a Origin,
    pub(super) headers: &'a HeaderMap,
}

/// One labelled signature, parsed; nothing about it is checked against the request yet.
#[derive(Debug)]
pub(super) struct Signed {
    list: InnerList,
    /// The signature's bytes.
    pub(super) signature: Vec<u8>,
}

/// What a signature says of itself.
#[derive(Debug)]
pub(super) struct Claims {
    /// `keyid`, verbatim.
    pub(super) key_id: String,
    /// `alg`, or [`Algorithm::Unstated`].
    pub(super) algorithm: Algorithm,
    /// `created`.
    pub(super) created: Timestamp,
    /// `expires`, Unix seconds.
    pub(super) expires: Option<i64>,
}

/// Reads both headers. Every label must stand in both.
pub(super) fn parse(input: &str, signature: &str) -> Result<Vec<Signed>, SignatureProblem> {
    let inputs = dictionary(input).map_err(|error| unreadable(INPUT, error))?;
    let mut signatures = dictionary(signature).map_err(|error| unreadable(SIGNATURE, error))?;
    if inputs.len() > MAX_LABELS {
        return Err(malformed(INPUT, "more than 4 signatures"));
    }
    let mut all = Vec::new();
    for (label, member) in inputs {
        let Member::List(list) = member else {
            return Err(malformed(INPUT, "a label does not name a list of components"));
        };
        let at = signatures.iter().position(|(other, _)| *other == label);
        let at = at.ok_or(malformed(SIGNATURE, "a label of Signature-Input is missing"))?;
        match signatures.swap_remove(at).1 {
            Member::Item(item) => match item.value {
                Bare::Bytes(signature) => all.push(Signed { list, signature }),
                _ => return Err(malformed(SIGNATURE, "a signature is not written :<base64>:")),
            },
            Member::List(_) => return Err(malformed(SIGNATURE, "a signature is a list")),
        }
    }
    if signatures.is_empty() {
        Ok(all)
    } else {
        Err(malformed(SIGNATURE, "a label is not in Signature-Input"))
    }
}

fn malformed(header: &'static str, why: &'static str) -> SignatureProblem {
    SignatureProblem::FieldMalformed { header, why }
}

fn unreadable(header: &'static str, error: FieldError) -> SignatureProblem {
    match error {
        FieldError::Malformed(why) => malformed(header, why),
        FieldError::Twice(name) => SignatureProblem::DuplicateParameter(name),
    }
}

impl Signed {
    /// Reads the parameters and makes sure that everything is covered which must be.
    pub(super) fn claims(&self, query: bool, needs_digest: bool) -> Result<Claims, SignatureProblem> {
        self.coverage(query, needs_digest)?;
        let key_id = self.text("keyid")?.ok_or(malformed(INPUT, "keyid is missing"))?;
        if key_id.is_empty() || key_id.len() > MAX_KEY_ID {
            return Err(malformed(INPUT, "keyid is empty or longer than 2048 bytes"));
        }
        let algorithm = match self.text("alg")? {
            None => Algorithm::Unstated,
            Some(name) => Algorithm::rfc9421(name).ok_or_else(|| SignatureProblem::Algorithm {
                name: name.chars().take(40).collect(),
                accepted: "rsa-v1_5-sha256, rsa-pss-sha512 or ed25519",
            })?,
        };
        let created = self.seconds("created")?.ok_or(malformed(INPUT, "created is missing"))?;
        let created =
            Timestamp::from_second(created).map_err(|_| malformed(INPUT, "created is out of range"))?;
        Ok(Claims { key_id: key_id.to_owned(), algorithm, created, expires: self.seconds("expires")? })
    }

    fn parameter(&self, name: &str) -> Option<&Bare> {
        self.list.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    fn text(&self, name: &str) -> Result<Option<&str>, SignatureProblem> {
        match self.parameter(name) {
            None => Ok(None),
            Some(Bare::Text(text)) => Ok(Some(text)),
            Some(_) => Err(malformed(INPUT, "keyid and alg must be quoted strings")),
        }
    }

    fn seconds(&self, name: &str) -> Result<Option<i64>, SignatureProblem> {
        match self.parameter(name) {
            None => Ok(None),
            Some(Bare::Integer(seconds)) => Ok(Some(*seconds)),
            Some(_) => Err(malformed(INPUT, "created and expires must be whole Unix seconds")),
        }
    }

    fn coverage(&self, query: bool, needs_digest: bool) -> Result<(), SignatureProblem> {
        let names = names(&self.list)?;
        let covers = |name: &str| names.contains(&name);
        let path = covers("@request-target") || covers("@path") && (!query || covers("@query"));
        let target = covers("@target-uri") || covers("@authority") && path;
        let what = if !covers("@method") {
            "@method"
        } else if !target {
            "@target-uri"
        } else if needs_digest && !covers("content-digest") {
            "content-digest"
        } else {
            return Ok(());
        };
        Err(SignatureProblem::NotCovered { what, wanted: WANTED })
    }

    /// The bytes that are signed.
    pub(super) fn base(&self, target: &Target<'_>) -> Result<Vec<u8>, SignatureProblem> {
        base(&self.list, target)
    }
}

/// The bytes that are signed (section 2.5).
pub(super) fn base(list: &InnerList, target: &Target<'_>) -> Result<Vec<u8>, SignatureProblem> {
    let mut out = Vec::with_capacity(512);
    for name in names(list)? {
        out.extend_from_slice(format!("\"{name}\": ").as_bytes());
        match derived(name, target) {
            Some(value) => out.extend_from_slice(value.as_bytes()),
            None => field(name, target.headers, &mut out)?,
        }
        out.push(b'\n');
    }
    let mut parameters = String::new();
    list.write(&mut parameters);
    out.extend_from_slice(format!("\"@signature-params\": {parameters}").as_bytes());
    Ok(out)
}

/// The names of what is covered, each once and without parameters.
fn names(list: &InnerList) -> Result<Vec<&str>, SignatureProblem> {
    let mut names = Vec::new();
    for item in &list.items {
        let Bare::Text(name) = &item.value else {
            return Err(malformed(INPUT, "a component is not a quoted string"));
        };
        // ;sf, ;key, ;bs, ;tr, ;req, ;name: each a way to sign less than the whole header.
        if !item.parameters.is_empty() {
            return Err(SignatureProblem::Component(shown(name), "components with parameters are not read"));
        }
        let known = match name.strip_prefix('@') {
            Some(_) => DERIVED.contains(&name.as_str()),
            None => is_field_name(name),
        };
        if !known {
            return Err(SignatureProblem::Component(shown(name), "it is not known"));
        }
        if names.contains(&name.as_str()) {
            return Err(SignatureProblem::CoveredTwice(shown(name)));
        }
        names.push(name.as_str());
    }
    Ok(names)
}

/// Component names derived from a request that are understood (section 2.2), `@query-param` and `@status` left out.
const DERIVED: [&str; 7] =
    ["@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path", "@query"];

fn derived(name: &str, target: &Target<'_>) -> Option<String> {
    let whole = target.path_and_query;
    let (path, query) = whole.split_once('?').map_or((whole, ""), |(path, query)| (path, query));
    Some(match name {
        "@method" => target.method.as_str().to_owned(),
        "@target-uri" => format!("{}{whole}", target.own),
        "@authority" => target.own.authority(),
        "@scheme" => target.own.scheme.clone(),
        "@request-target" => whole.to_owned(),
        "@path" => path.to_owned(),
        "@query" => format!("?{query}"),
        _ => return None,
    })
}

fn field(name: &str, headers: &HeaderMap, out: &mut Vec<u8>) -> Result<(), SignatureProblem> {
    let mut values = headers.get_all(name).iter();
    let first = values.next().ok_or_else(|| SignatureProblem::CoveredAbsent(shown(name)))?;
    out.extend_from_slice(first.as_bytes().trim_ascii());
    for value in values {
        out.extend_from_slice(b", ");
        out.extend_from_slice(value.as_bytes().trim_ascii());
    }
    Ok(())
}

fn is_field_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&b);
    !name.is_empty() && name.bytes().all(allowed)
}

fn shown(name: &str) -> String {
    name.chars().take(60).collect()
}

#[cfg(test)]
mod tests;
