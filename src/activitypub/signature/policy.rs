//! What a request must look like before its key is worth fetching.

use http::{HeaderMap, Method};
use jiff::Timestamp;

use super::cavage::{self, Parameters, not_covered};
use super::rfc9421::{self, Target};
use super::{Algorithm, PublicKey, SignatureProblem, digest};
use crate::model::origin::Origin;

/// How long ago a request may have been signed, in seconds: an hour and five minutes, for senders that sign before
/// they queue (the advice of the SWICG report, and Mastodon's rule).
pub const CLOCK_BEHIND: i64 = 65 * 60;
/// How far in the future a request may have been signed, in seconds.
pub const CLOCK_AHEAD: i64 = 60 * 60;

/// Most bytes of a request that are kept to be verified, several times what any peer signs: many may wait for their keys.
const MOST_KEPT: usize = 8 * 1024;

/// A request that passed everything which needs no network. It proves nothing until [`Unverified::verify`].
#[derive(Debug)]
pub struct Unverified {
    /// The signer's key id, verbatim; not yet checked to be an address.
    pub key_id: String,
    /// When the sender says it signed: `Date`, else `created`; by RFC 9421 always `created`. Within the accepted window.
    pub signed_at: Timestamp,
    /// The signature's bytes, for a memory of what was already seen.
    pub signature: Vec<u8>,
    algorithm: Algorithm,
    /// The signing string, and by cavage for a target with a query also the one without it.
    candidates: Vec<Vec<u8>>,
}

impl Unverified {
    /// What stands for this request signed by this key: key id, key, everything that is signed, and the signature.
    #[must_use]
    pub fn digest(&self, key: &PublicKey) -> [u8; 32] {
        let mut hash = openssl::sha::Sha256::new();
        hash.update(key.digest());
        let parts = [self.algorithm.name().as_bytes(), self.key_id.as_bytes(), &self.signature];
        for part in parts.into_iter().chain(self.candidates.iter().map(Vec::as_slice)) {
            // With its length in front, so that no two requests run together into the same.
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finish()
    }

    /// Whether the key made this signature over this request. Misskey, Pleroma and Akkoma leave the query out of
    /// cavage's `(request-target)`, so both readings are tried.
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

    fn bounded(self) -> Result<Self, SignatureProblem> {
        let signed: usize = self.candidates.iter().map(Vec::len).sum();
        let bytes = signed + self.key_id.len() + self.signature.len();
        if bytes > MOST_KEPT {
            return Err(SignatureProblem::TooLarge { bytes, most: MOST_KEPT });
        }
        Ok(self)
    }
}

/// Checks everything about a signed request that needs no network.
///
/// `path_and_query` is the target as it came over the wire; `own` is our public origin, whatever a proxy made of scheme
/// and `Host`; `body` is the raw bytes. A digest is demanded of every request that is not a GET or HEAD, or that has a
/// body. A `Signature-Input` header makes it a request by RFC 9421 and nothing else: both schemes call the signature
/// `Signature`, so that one request cannot carry both.
///
/// # Errors
/// The first rule that is broken, see [`SignatureProblem`].
pub fn precheck(
    method: &Method,
    path_and_query: &str,
    headers: &HeaderMap,
    body: &[u8],
    own: &Origin,
    now: Timestamp,
) -> Result<Unverified, SignatureProblem> {
    let target = Target { method, path_and_query, own, headers };
    let unverified = match single(headers, "signature-input", "Signature-Input")? {
        Some(input) => precheck_rfc9421(&target, input, body, now),
        None => precheck_cavage(&target, body, now),
    };
    unverified?.bounded()
}

/// Of several signatures, exactly one may be such that it would do: a proxy's own, which covers something else, is passed
/// over, but never is there a choice between two.
fn precheck_rfc9421(
    target: &Target<'_>,
    input: &str,
    body: &[u8],
    now: Timestamp,
) -> Result<Unverified, SignatureProblem> {
    let headers = target.headers;
    let signature = single(headers, "signature", "Signature")?.ok_or(SignatureProblem::Missing)?;
    let host = single(headers, "host", "Host")?;
    let digest = single(headers, "content-digest", "Content-Digest")?;
    let needs_digest = needs_digest(target.method, body, digest);
    let mut good = Vec::new();
    let mut first_problem = None;
    for signed in rfc9421::parse(input, signature)? {
        let claims = signed.claims(target.path_and_query.contains('?'), needs_digest).and_then(|claims| {
            not_expired(claims.expires, now)?;
            within("created", claims.created, now)?;
            Ok(claims)
        });
        match claims {
            Ok(claims) => good.push((signed, claims)),
            Err(problem) => first_problem = first_problem.or(Some(problem)),
        }
    }
    let (signed, claims) = match (good.pop(), good.len()) {
        (Some(only), 0) => only,
        (Some(_), others) => return Err(SignatureProblem::Ambiguous(others + 1)),
        (None, _) => return Err(first_problem.unwrap_or(SignatureProblem::Missing)),
    };
    check_host(host, &target.own.authority())?;
    if needs_digest {
        digest::check_content(headers, body)?;
    }
    Ok(Unverified {
        candidates: vec![signed.base(target)?],
        key_id: claims.key_id,
        signed_at: claims.created,
        signature: signed.signature,
        algorithm: claims.algorithm,
    })
}

fn precheck_cavage(target: &Target<'_>, body: &[u8], now: Timestamp) -> Result<Unverified, SignatureProblem> {
    let Target { method, path_and_query, own, headers } = *target;
    let header = single(headers, "signature", "Signature")?.ok_or(SignatureProblem::Missing)?;
    let parameters = cavage::parse(header)?;
    let host = single(headers, "host", "Host")?;
    let date = single(headers, "date", "Date")?;
    let digest = single(headers, "digest", "Digest")?;

    let needs_digest = needs_digest(method, body, digest);
    coverage(&parameters, needs_digest)?;
    check_host(host, &own.authority())?;
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

fn needs_digest(method: &Method, body: &[u8], digest: Option<&str>) -> bool {
    !body.is_empty() || digest.is_some() || !matches!(*method, Method::GET | Method::HEAD)
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
            return Err(not_covered(name));
        }
    }
    if !covers(parameters, "date") && !covers(parameters, "(created)") {
        return Err(not_covered("date"));
    }
    if needs_digest && !covers(parameters, "digest") {
        return Err(not_covered("digest"));
    }
    Ok(())
}

fn check_host(host: Option<&str>, expected: &str) -> Result<(), SignatureProblem> {
    let got = host.unwrap_or_default().trim().to_ascii_lowercase();
    // Some senders keep the default port; it names the same host.
    let plain = got.strip_suffix(":443").or_else(|| got.strip_suffix(":80")).unwrap_or(&got);
    if !got.is_empty() && (got == expected || plain == expected) {
        return Ok(());
    }
    Err(SignatureProblem::Host { got: got.chars().take(255).collect(), expected: expected.to_owned() })
}

fn check_clock(
    parameters: &Parameters,
    date: Option<&str>,
    now: Timestamp,
) -> Result<Timestamp, SignatureProblem> {
    not_expired(parameters.expires, now)?;
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
    signed_at.ok_or(not_covered("date"))
}

fn not_expired(expires: Option<i64>, now: Timestamp) -> Result<(), SignatureProblem> {
    let late = expires.map_or(0, |expires| now.as_second().saturating_sub(expires));
    if late > 0 { Err(SignatureProblem::Expired(late)) } else { Ok(()) }
}

fn within(what: &'static str, signed: Timestamp, now: Timestamp) -> Result<Timestamp, SignatureProblem> {
    let offset = signed.as_second().saturating_sub(now.as_second());
    if (-CLOCK_BEHIND..=CLOCK_AHEAD).contains(&offset) {
        return Ok(signed);
    }
    Err(SignatureProblem::Clock { what, offset, behind: CLOCK_BEHIND, ahead: CLOCK_AHEAD })
}
