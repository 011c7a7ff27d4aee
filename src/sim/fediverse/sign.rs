//! Signs requests as a flavour does, and breaks single parts of a signature on demand.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use openssl::error::ErrorStack;
use openssl::sha::sha256;
use url::Url;

use super::dialect::Dialect;
use super::keys::Keys;
use super::person::Person;

/// A signature scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// draft-cavage-http-signatures-12.
    Cavage,
    /// RFC 9421.
    Rfc9421,
}

/// Which key a request is signed with.
#[derive(Clone, Debug, Default)]
pub enum SigningKey {
    /// The sender's own.
    #[default]
    Own,
    /// The sender's Ed25519 key under its own key id. Only Fedify's actors list it.
    Edwards,
    /// One that belongs to nobody, under the sender's key id.
    Stray,
    /// Another person's key, under the sender's key id.
    Of(Person),
}

/// Departures from how the flavour signs. The default departs in nothing.
#[derive(Clone, Debug, Default)]
pub struct SignOptions {
    /// Only this scheme, without a second knock. Otherwise the flavour's order.
    pub scheme: Option<Scheme>,
    /// Sends no `Signature` at all.
    pub unsigned: bool,
    /// Whose key signs.
    pub key: SigningKey,
    /// Another `keyId` parameter.
    pub key_id: Option<String>,
    /// Another `algorithm` (cavage) or `alg` (RFC 9421) parameter.
    pub algorithm: Option<String>,
    /// Another list of covered headers or components; names without a header are left out.
    pub covered: Option<Vec<String>>,
    /// Sends no digest header.
    pub omit_digest: bool,
    /// This text as the digest header's value, signed as it stands.
    pub digest: Option<String>,
    /// How long ago the request claims to be signed; negative for the future.
    pub age: SignedDuration,
    /// Signs as if the request went to this address.
    pub signed_url: Option<Url>,
    /// Another `Host` header, signed as it stands.
    pub host: Option<String>,
    /// Another `Content-Type`.
    pub content_type: Option<String>,
    /// This body goes on the wire instead of the one that was signed.
    pub swapped_body: Option<Vec<u8>>,
    /// Flips a bit of the signature.
    pub flip_signature: bool,
    /// Rewrites the finished `Signature-Input` header.
    pub rewrite_input: Option<fn(&str) -> String>,
    /// Rewrites the finished `Signature` header.
    pub rewrite_signature: Option<fn(&str) -> String>,
    /// Headers to add, not signed unless `covered` names them.
    pub headers: Vec<(String, String)>,
}

/// What is to be signed.
pub(crate) struct Signing<'a> {
    pub(crate) dialect: &'a Dialect,
    pub(crate) key_id: &'a str,
    pub(crate) keys: &'a Keys,
    pub(crate) now: Timestamp,
    pub(crate) method: &'a str,
    pub(crate) url: &'a Url,
    pub(crate) body: Option<&'a [u8]>,
    pub(crate) accept: Option<&'a str>,
}

/// Host and port as they go into `Host`.
pub(crate) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// The headers to send, the signature's among them.
pub(crate) fn headers(
    what: &Signing<'_>,
    options: &SignOptions,
    scheme: Scheme,
) -> Result<Vec<(String, String)>, ErrorStack> {
    let signed_at = what.now - options.age;
    let mut list: Vec<(String, String)> = vec![
        ("host".into(), options.host.clone().unwrap_or_else(|| authority(what.url))),
        ("date".into(), httpdate::fmt_http_date(signed_at.into())),
    ];
    if let Some(accept) = what.accept {
        list.push(("accept".into(), accept.into()));
    }
    if let Some(body) = what.body {
        let kind = options.content_type.clone().unwrap_or_else(|| "application/activity+json".into());
        list.push(("content-type".into(), kind));
        list.push((
            "content-length".into(),
            options.swapped_body.as_deref().unwrap_or(body).len().to_string(),
        ));
        if !options.omit_digest {
            let sum = STANDARD.encode(sha256(body));
            let (name, value) = match scheme {
                Scheme::Cavage => ("digest", format!("SHA-256={sum}")),
                Scheme::Rfc9421 => ("content-digest", format!("sha-256=:{sum}:")),
            };
            list.push((name.into(), options.digest.clone().unwrap_or(value)));
        }
    }
    list.extend(options.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())));
    if !options.unsigned {
        let mut made = match scheme {
            Scheme::Cavage => cavage(what, options, &list, signed_at)?,
            Scheme::Rfc9421 => rfc9421(what, options, &list, signed_at)?,
        };
        for (name, value) in &mut made {
            let rewrite = if name == "signature" { options.rewrite_signature } else { options.rewrite_input };
            if let Some(rewrite) = rewrite {
                *value = rewrite(value);
            }
        }
        list.extend(made);
    }
    Ok(list)
}

fn header<'a>(list: &'a [(String, String)], name: &str) -> Option<&'a str> {
    list.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
}

fn sealed(what: &Signing<'_>, options: &SignOptions, text: &str) -> Result<String, ErrorStack> {
    let mut signature = what.keys.sign(text.as_bytes())?;
    if let (true, Some(byte)) = (options.flip_signature, signature.first_mut()) {
        *byte ^= 1;
    }
    Ok(STANDARD.encode(signature))
}

fn cavage(
    what: &Signing<'_>,
    options: &SignOptions,
    list: &[(String, String)],
    signed_at: Timestamp,
) -> Result<Vec<(String, String)>, ErrorStack> {
    let usual = if what.body.is_some() { what.dialect.post } else { what.dialect.get };
    let wanted: Vec<&str> = match &options.covered {
        Some(names) => names.iter().map(String::as_str).collect(),
        None => usual.to_vec(),
    };
    let url = options.signed_url.as_ref().unwrap_or(what.url);
    let target = match url.query() {
        Some(query) if what.dialect.query => format!("{}?{query}", url.path()),
        _ => url.path().to_owned(),
    };
    let mut names = Vec::new();
    let mut lines = Vec::new();
    let mut created = String::new();
    for name in wanted {
        let line = match name {
            "(request-target)" => format!("{name}: {} {target}", what.method.to_ascii_lowercase()),
            "(created)" => {
                created = format!("created={},", signed_at.as_second());
                format!("{name}: {}", signed_at.as_second())
            }
            _ => match header(list, name) {
                Some(value) => format!("{name}: {value}"),
                None => continue,
            },
        };
        names.push(name);
        lines.push(line);
    }
    let signature = sealed(what, options, &lines.join("\n"))?;
    let value = format!(
        "keyId=\"{}\",algorithm=\"{}\",{created}headers=\"{}\",signature=\"{signature}\"",
        options.key_id.as_deref().unwrap_or(what.key_id),
        options.algorithm.as_deref().unwrap_or(what.dialect.algorithm),
        names.join(" "),
    );
    Ok(vec![("signature".into(), value)])
}

fn rfc9421(
    what: &Signing<'_>,
    options: &SignOptions,
    list: &[(String, String)],
    signed_at: Timestamp,
) -> Result<Vec<(String, String)>, ErrorStack> {
    const USUAL: [&str; 6] = ["@method", "@target-uri", "@authority", "host", "date", "content-digest"];
    let wanted: Vec<&str> = match &options.covered {
        Some(names) => names.iter().map(String::as_str).collect(),
        None => USUAL.to_vec(),
    };
    let url = options.signed_url.as_ref().unwrap_or(what.url);
    let mut names = Vec::new();
    let mut lines = String::new();
    for name in wanted {
        let value = match name {
            "@method" => what.method.to_owned(),
            "@target-uri" => url.as_str().to_owned(),
            "@authority" => authority(url),
            "@scheme" => url.scheme().to_owned(),
            "@path" => url.path().to_owned(),
            "@query" => format!("?{}", url.query().unwrap_or_default()),
            _ => match header(list, name) {
                Some(value) => value.to_owned(),
                None => continue,
            },
        };
        lines.push_str(&format!("\"{name}\": {value}\n"));
        names.push(format!("\"{name}\""));
    }
    let parameters = format!(
        "({});alg=\"{}\";keyid=\"{}\";created={}",
        names.join(" "),
        options.algorithm.as_deref().unwrap_or(what.keys.algorithm()),
        options.key_id.as_deref().unwrap_or(what.key_id),
        signed_at.as_second()
    );
    lines.push_str(&format!("\"@signature-params\": {parameters}"));
    let signature = sealed(what, options, &lines)?;
    Ok(vec![
        ("signature-input".into(), format!("sig1={parameters}")),
        ("signature".into(), format!("sig1=:{signature}:")),
    ])
}
