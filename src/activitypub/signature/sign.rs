//! Signing what we send: in the one form that every peer verifies, and in the one that newer peers may demand.

use http::header::{CONTENT_TYPE, DATE, HeaderName};
use http::{HeaderMap, HeaderValue, Method};
use jiff::Timestamp;
use thiserror::Error;
use url::Url;

use super::rfc9421::Target;
use super::{Challenge, KeyError, PrivateKey, cavage, fields, rfc9421};
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
}

/// What of a request is signed.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its address.
    pub url: &'a Url,
    /// The time of the signature.
    pub date: Timestamp,
    /// Of its body, in the scheme's form.
    pub digest: Option<&'a str>,
    /// Of its body.
    pub content_type: Option<&'a str>,
}

/// How a request is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// As every server verifies that knows the scheme.
    Plain(Scheme),
    /// As the server has just asked for, by RFC 9421.
    Asked(Challenge),
}

impl Form {
    /// The one to try after an answer with these headers has refused a request, with or without body, in this scheme: what
    /// the answer asks for, if that is possible, or else the other scheme.
    #[must_use]
    pub fn after(refused: Scheme, answer: &HeaderMap, key_id: &str, body: bool) -> Form {
        Challenge::read(answer, key_id, body).map_or(Form::Plain(refused.other()), Form::Asked)
    }

    /// The scheme that it belongs to.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        match self {
            Form::Plain(scheme) => *scheme,
            Form::Asked(_) => Scheme::Rfc9421,
        }
    }

    /// The headers that make a request signed, as [`sign_request`] and [`sign_request_rfc9421`] say.
    ///
    /// # Errors
    /// See [`SignError`].
    pub fn sign(
        &self,
        message: &Message<'_>,
        key_id: &str,
        key: &PrivateKey,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, SignError> {
        let Message { method, url, date, digest, content_type } = *message;
        match self {
            Form::Plain(Scheme::Cavage) => sign_request(method, url, date, digest, content_type, key_id, key),
            Form::Plain(Scheme::Rfc9421) => sign_asked(&Challenge::default(), message, key_id, key),
            Form::Asked(challenge) => sign_asked(challenge, message, key_id, key),
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
    let message = Message { method, url, date, digest, content_type };
    sign_asked(&Challenge::default(), &message, key_id, key)
}

fn sign_asked(
    challenge: &Challenge,
    message: &Message<'_>,
    key_id: &str,
    key: &PrivateKey,
) -> Result<Vec<(HeaderName, HeaderValue)>, SignError> {
    let Message { method, url, date, digest, content_type } = *message;
    let own = Origin::of(url).ok_or(SignError::NoHost)?;
    fields::quoted(key_id).ok_or(SignError::Value("key id"))?;
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let path_and_query = format!("{}{query}", url.path());

    let mut headers = HeaderMap::new();
    headers.insert(DATE, value(&date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string(), "date")?);
    let mut always = vec!["@method", "@target-uri"];
    if let Some(digest) = digest {
        always.push("content-digest");
        headers.insert("content-digest", value(digest, "digest")?);
    }
    if let Some(content_type) = content_type {
        always.push("content-type");
        headers.insert(CONTENT_TYPE, value(content_type, "content type")?);
    }
    let list = challenge.list(date, key_id, &always);
    let mut parameters = String::new();
    list.write(&mut parameters);
    let target = Target { method, path_and_query: &path_and_query, own: &own, headers: &headers };
    let base = rfc9421::base(&list, &target).map_err(|_| SignError::Value("asked-for component"))?;
    let signature = fields::binary(&key.sign(&base)?);

    // Who sends it sets this one.
    headers.remove(CONTENT_TYPE);
    let label = challenge.label();
    headers.insert("signature-input", value(&format!("{label}={parameters}"), "key id")?);
    headers.insert("signature", value(&format!("{label}={signature}"), "signature")?);
    Ok(headers.into_iter().filter_map(|(name, value)| Some((name?, value))).collect())
}

fn value(text: &str, what: &'static str) -> Result<HeaderValue, SignError> {
    HeaderValue::from_str(text).map_err(|_| SignError::Value(what))
}
