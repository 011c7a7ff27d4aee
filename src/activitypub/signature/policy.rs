//! What a request must look like before its key is worth fetching.

use http::{HeaderMap, Method};
use jiff::Timestamp;

use super::cavage::{self, Parameters};
use super::{Algorithm, PublicKey, SignatureProblem, digest};

/// How long ago a request may have been signed, in seconds: an hour and five minutes, for senders that sign before
/// they queue (the advice of the SWICG report, and Mastodon's rule).
pub const CLOCK_BEHIND: i64 = 65 * 60;
/// How far in the future a request may have been signed, in seconds.
pub const CLOCK_AHEAD: i64 = 60 * 60;

/// A request that passed everything which needs no network. It proves nothing until [`Unverified::verify`].
#[derive(Debug)]
pub struct Unverified {
    /// The signer's key id, verbatim; not yet checked to be an address.
    pub key_id: String,
    /// When the sender says it signed: `Date`, else `created`. Within the accepted window.
    pub signed_at: Timestamp,
    /// The signature's bytes, for a memory of what was already seen.
    pub signature: Vec<u8>,
    algorithm: Algorithm,
    /// The signing string, and for a target with a query also the one without it.
    candidates: Vec<Vec<u8>>,
}

impl Unverified {
    /// Whether the key made this signature over this request. Misskey, Pleroma and Akkoma leave the query out of
    /// `(request-target)`, so both readings are tried.
    ///
    /// # Errors
    /// [`SignatureProblem::Mismatch`] or [`SignatureProblem::AlgorithmMismatch`].
    pub fn verify(&self, key: &PublicKey) -> Result<(), SignatureProblem> {
        let mut verdict = Err(SignatureProblem::Mismatch);
        for candidate in &self.candidates {
            verdict = key.verify(self.algorithm, candidate, &self.signature);
            if verdict.is_ok() {
                break;
            }
        }
        verdict
    }
}

/// Checks everything about a signed request that needs no network.
///
/// `path_and_query` is the target as it came over the wire; `our_host` is our public host, with its port where that
/// is not the default, whatever a proxy made of the `Host` header; `body` is the raw bytes. A digest is demanded of
/// every request that is not a GET or HEAD, or that has a body.
///
/// # Errors
/// The first rule that is broken, see [`SignatureProblem`].
pub fn precheck(
    method: &Method,
    path_and_query: &str,
    headers: &HeaderMap,
    body: &[u8],
    our_host: &str,
    now: Timestamp,
) -> Result<Unverified, SignatureProblem> {
    if headers.contains_key("signature-input") {
        return Err(SignatureProblem::Rfc9421);
    }
    let header = single(headers, "signature", "Signature")?.ok_or(SignatureProblem::Missing)?;
    let parameters = cavage::parse(header)?;
    let host = single(headers, "host", "Host")?;
    let date = single(headers, "date", "Date")?;
    let digest = single(headers, "digest", "Digest")?;

    let needs_digest = !body.is_empty() || digest.is_some() || !matches!(*method, Method::GET | Method::HEAD);
    coverage(&parameters, needs_digest)?;
    check_host(host, our_host)?;
    if needs_digest {
        digest::check(headers, body)?;
    }
    let signed_at = check_clock(&parameters, date, now)?;

    let mut candidates = vec![cavage::signing_string(&parameters, method, path_and_query, headers)?];
    if let Some((path, _)) = path_and_query.split_once('?') {
        candidates.push(cavage::signing_string(&parameters, method, path, headers)?);
    }
    Ok(Unverified {
        key_id: parameters.key_id,
        signed_at,
        signature: parameters.signature,
        algorithm: parameters.algorithm,
        candidates,
    })
}

/// The only value of a header that must not be ambiguous.
fn single<'a>(
    headers: &'a HeaderMap,
    name: &'static str,
    shown: &'static str,
) -> Result<Option<&'a str>, SignatureProblem> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(SignatureProblem::DuplicateHeader(shown));
    }
    first
        .map(|value| value.to_str().map_err(|_| SignatureProblem::Malformed("a signed header is not ASCII")))
        .transpose()
}

fn covers(parameters: &Parameters, name: &str) -> bool {
    parameters.covered.iter().any(|covered| covered == name)
}

fn coverage(parameters: &Parameters, needs_digest: bool) -> Result<(), SignatureProblem> {
    for name in ["(request-target)", "host"] {
        if !covers(parameters, name) {
            return Err(SignatureProblem::NotCovered(name));
        }
    }
    if !covers(parameters, "date") && !covers(parameters, "(created)") {
        return Err(SignatureProblem::NotCovered("date"));
    }
    if needs_digest && !covers(parameters, "digest") {
        return Err(SignatureProblem::NotCovered("digest"));
    }
    Ok(())
}

fn check_host(host: Option<&str>, our_host: &str) -> Result<(), SignatureProblem> {
    let got = host.unwrap_or_default().trim().to_ascii_lowercase();
    let expected = our_host.to_ascii_lowercase();
    // Some senders keep the default port; it names the same host.
    let plain = got.strip_suffix(":443").or_else(|| got.strip_suffix(":80")).unwrap_or(&got);
    if !got.is_empty() && (got == expected || plain == expected) {
        return Ok(());
    }
    Err(SignatureProblem::Host { got: got.chars().take(255).collect(), expected })
}

fn check_clock(
    parameters: &Parameters,
    date: Option<&str>,
    now: Timestamp,
) -> Result<Timestamp, SignatureProblem> {
    if let Some(expires) = parameters.expires {
        let late = now.as_second().saturating_sub(expires);
        if late > 0 {
            return Err(SignatureProblem::Expired(late));
        }
    }
    let mut signed_at = None;
    if covers(parameters, "(created)") {
        let created =
            parameters.created.ok_or_else(|| SignatureProblem::PseudoHeader("(created)".to_owned()))?;
        let created = Timestamp::from_second(created)
            .map_err(|_| SignatureProblem::Malformed("created is out of range"))?;
        signed_at = Some(within("created", created, now)?);
    }
    if covers(parameters, "date") {
        let date = date.ok_or_else(|| SignatureProblem::CoveredAbsent("date".to_owned()))?;
        let date = httpdate::parse_http_date(date)
            .ok()
            .and_then(|time| Timestamp::try_from(time).ok())
            .ok_or(SignatureProblem::DateMalformed)?;
        signed_at = Some(within("Date", date, now)?);
    }
    signed_at.ok_or(SignatureProblem::NotCovered("date"))
}

fn within(what: &'static str, signed: Timestamp, now: Timestamp) -> Result<Timestamp, SignatureProblem> {
    let offset = signed.as_second().saturating_sub(now.as_second());
    if (-CLOCK_BEHIND..=CLOCK_AHEAD).contains(&offset) {
        return Ok(signed);
    }
    Err(SignatureProblem::Clock { what, offset, behind: CLOCK_BEHIND, ahead: CLOCK_AHEAD })
}
