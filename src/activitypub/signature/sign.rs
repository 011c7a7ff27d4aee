//! Signing what we send: in the one form that every peer verifies, and in the one that newer peers may demand.

use http::header::{DATE, HeaderName};
use http::{HeaderValue, Method};
use jiff::Timestamp;
use thiserror::Error;
use url::Url;

use super::{Algorithm, KeyError, PrivateKey, cavage, fields};
use crate::model::origin::Origin;

/// Why a request could not be signed. None of these gets better by trying again.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SignError {
    /// The address has no host.
    #[error("cannot sign a request to an address without host")]
    NoHost,
    /// A value that cannot stand in a header: a quote in the key id, a line end in the content type.
    #[error("the {0} cannot be written in a header")]
    Value(&'static str),
    /// OpenSSL failed.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// A form of HTTP signatures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// draft-cavage-http-signatures-12, which every known peer verifies unless it was told not to.
    #[default]
    Cavage,
    /// RFC 9421.
    Rfc9421,
}

impl Scheme {
    /// The one to try when this one was refused.
    #[must_use]
    pub fn other(self) -> Scheme {
        match self {
            Scheme::Cavage => Scheme::Rfc9421,
            Scheme::Rfc9421 => Scheme::Cavage,
        }
    }

    /// What signs a request in this form.
    #[must_use]
    pub fn signs(self) -> SignRequest {
        match self {
            Scheme::Cavage => sign_request,
            Scheme::Rfc9421 => sign_request_rfc9421,
        }
    }
}

/// A way to sign a request: [`sign_request`] or [`sign_request_rfc9421`].
pub type SignRequest = fn(
    &Method,
    &Url,
    Timestamp,
    Option<&str>,
    Option<&str>,
    &str,
    &PrivateKey,
) -> Result<Vec<(HeaderName, HeaderValue)>, SignError>;

/// The headers that make a request signed: `Date`, `Digest` (where given) and `Signature`.
///
/// Covered is `(request-target) host date`, followed by `digest` and `content-type` where they are given: give both
/// on every POST (`digest` from [`super::digest::header_value`]) and neither on a GET. The caller sends the same
/// `Content-Type`, and a `Host` as HTTP clients derive it from `url`: without the default port. Sign at the moment of
/// sending, and again for every attempt: Friendica and Misskey accept five minutes only.
///
/// # Errors
/// See [`SignError`].
pub fn sign_request(
    method: &Method,
    url: &Url,
    date: Timestamp,
    digest: Option<&str>,
    content_type: Option<&str>,
    key_id: &str,
    key: &PrivateKey,
) -> Result<Vec<(HeaderName, HeaderValue)>, SignError> {
    let host = Origin::of(url).ok_or(SignError::NoHost)?.authority();
    let date = date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    if key_id.contains(['"', '\\']) {
        return Err(SignError::Value("key id"));
    }

    let mut covered = String::from("(request-target) host date");
    let mut text = format!(
        "(request-target): {} {}{query}\nhost: {host}\ndate: {date}",
        method.as_str().to_lowercase(),
        url.path()
    );
    for (name, value) in [("digest", digest), ("content-type", content_type)] {
        if let Some(value) = value {
            covered.push_str(&format!(" {name}"));
            text.push_str(&format!("\n{name}: {value}"));
        }
    }
    let signature = cavage::build(key_id, &covered, &key.sign(text.as_bytes())?);

    let mut headers = vec![(DATE, value(&date, "date")?)];
    if let Some(digest) = digest {
        headers.push((HeaderName::from_static("digest"), value(digest, "digest")?));
    }
    if let Some(content_type) = content_type {
        value(content_type, "content type")?;
    }
    headers.push((HeaderName::from_static("signature"), value(&signature, "key id")?));
    Ok(headers)
}

/// As [`sign_request`] by RFC 9421, for peers that refuse cavage: `Date`, `Content-Digest` (where given),
/// `Signature-Input` and `Signature`, with `rsa-v1_5-sha256`.
///
/// Covered is `@method @target-uri`, followed by `content-digest` and `content-type` where they are given: give both on
/// every POST (`digest` from [`super::digest::content_header_value`]) and neither on a GET.
///
/// # Errors
/// See [`SignError`].
pub fn sign_request_rfc9421(
    method: &Method,
    url: &Url,
    date: Timestamp,
    digest: Option<&str>,
    content_type: Option<&str>,
    key_id: &str,
    key: &PrivateKey,
) -> Result<Vec<(HeaderName, HeaderValue)>, SignError> {
    Origin::of(url).ok_or(SignError::NoHost)?;
    let mut target = url.clone();
    target.set_fragment(None);

    let mut covered = String::from("\"@method\" \"@target-uri\"");
    let mut base = format!("\"@method\": {method}\n\"@target-uri\": {target}\n");
    for (name, value) in [("content-digest", digest), ("content-type", content_type)] {
        if let Some(value) = value {
            covered.push_str(&format!(" \"{name}\""));
            base.push_str(&format!("\"{name}\": {value}\n"));
        }
    }
    let parameters = format!(
        "({covered});created={};keyid={};alg=\"{}\"",
        date.as_second(),
        fields::quoted(key_id).ok_or(SignError::Value("key id"))?,
        Algorithm::RsaV15Sha256.name()
    );
    base.push_str(&format!("\"@signature-params\": {parameters}"));
    let signature = fields::binary(&key.sign(base.as_bytes())?);

    let date = date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let mut headers = vec![(DATE, value(&date, "date")?)];
    if let Some(digest) = digest {
        headers.push((HeaderName::from_static("content-digest"), value(digest, "digest")?));
    }
    if let Some(content_type) = content_type {
        value(content_type, "content type")?;
    }
    headers
        .push((HeaderName::from_static("signature-input"), value(&format!("sig1={parameters}"), "key id")?));
    headers.push((HeaderName::from_static("signature"), value(&format!("sig1={signature}"), "signature")?));
    Ok(headers)
}

fn value(text: &str, what: &'static str) -> Result<HeaderValue, SignError> {
    HeaderValue::from_str(text).map_err(|_| SignError::Value(what))
}
