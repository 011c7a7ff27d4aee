//! The `Digest` header (RFC 3230): what binds a body to a signature.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use openssl::sha::{sha256, sha512};

use super::SignatureProblem;

/// The value of `Digest` for a body, in the one spelling that Misskey, Lemmy, PeerTube and Akkoma all accept.
#[must_use]
pub fn header_value(body: &[u8]) -> String {
    format!("SHA-256={}", STANDARD.encode(sha256(body)))
}

/// Compares the `Digest` header with the body as it came over the wire.
///
/// A comma list is accepted: it must hold SHA-256, and neither SHA-256 nor SHA-512 may be wrong in any entry. Other
/// algorithms prove nothing and are skipped.
///
/// # Errors
/// `Digest…` variants of [`SignatureProblem`], or `DuplicateHeader`.
pub fn check(headers: &HeaderMap, body: &[u8]) -> Result<(), SignatureProblem> {
    let mut values = headers.get_all("digest").iter();
    let value = values.next().ok_or(SignatureProblem::DigestMissing)?;
    if values.next().is_some() {
        return Err(SignatureProblem::DuplicateHeader("Digest"));
    }
    let value = value.to_str().map_err(|_| SignatureProblem::DigestMalformed("not ASCII"))?;
    let mut proven = false;
    for entry in value.split(',') {
        let (name, digest) = entry
            .trim()
            .split_once('=')
            .ok_or(SignatureProblem::DigestMalformed("an entry is not <algorithm>=<base64>"))?;
        if name.eq_ignore_ascii_case("sha-256") {
            compare("SHA-256", digest, &sha256(body))?;
            proven = true;
        } else if name.eq_ignore_ascii_case("sha-512") {
            compare("SHA-512", digest, &sha512(body))?;
        }
    }
    if proven { Ok(()) } else { Err(SignatureProblem::DigestUnsupported) }
}

fn compare(name: &'static str, sent: &str, computed: &[u8]) -> Result<(), SignatureProblem> {
    let sent =
        STANDARD.decode(sent).map_err(|_| SignatureProblem::DigestMalformed("not padded standard base64"))?;
    if sent.len() == computed.len() && openssl::memcmp::eq(&sent, computed) {
        Ok(())
    } else {
        Err(SignatureProblem::DigestMismatch(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(values: &[&str], body: &[u8]) -> &'static str {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("digest", value.parse().unwrap());
        }
        check(&headers, body).err().map_or("ok", |problem| problem.code())
    }

    #[test]
    fn known_values() {
        // cavage-12 appendix C and RFC 3230's style of the empty body.
        assert_eq!(
            header_value(b"{\"hello\": \"world\"}"),
            "SHA-256=X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE="
        );
        assert_eq!(header_value(b""), "SHA-256=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    }

    #[test]
    fn rules_of_the_header() {
        let good = header_value(b"x");
        let bad = header_value(b"y");
        let lower = good.replace("SHA", "sha");
        let wide = format!("SHA-512={}", STANDARD.encode(sha512(b"x")));
        let wide_bad = format!("SHA-512={}", STANDARD.encode(sha512(b"y")));
        let list = |a: &str, b: &str| format!("{a},{b}");
        for (values, want) in [
            (vec![good.as_str()], "ok"),
            (vec![lower.as_str()], "ok"),
            (vec![list(&good, &good).as_str()], "ok"),
            (vec![list(&wide, &format!(" {good}")).as_str()], "ok"),
            (vec![list("md5=AAAA", &good).as_str()], "ok"),
            (vec![bad.as_str()], "digest-mismatch"),
            (vec![list(&good, &bad).as_str()], "digest-mismatch"),
            (vec![list(&bad, &good).as_str()], "digest-mismatch"),
            (vec![list(&good, &wide_bad).as_str()], "digest-mismatch"),
            (vec![header_value(b"").as_str()], "digest-mismatch"),
            (vec!["SHA-256="], "digest-mismatch"),
            (vec!["SHA-256=AAAA"], "digest-mismatch"),
            (vec![good.trim_end_matches('=')], "digest-malformed"),
            (vec![good.replace('=', "").as_str()], "digest-malformed"),
            (vec![list(&good, "").as_str()], "digest-malformed"),
            (vec![""], "digest-malformed"),
            (vec![wide.as_str()], "digest-unsupported"),
            (vec!["md5=AAAA"], "digest-unsupported"),
            (vec![], "digest-missing"),
            (vec![good.as_str(), good.as_str()], "duplicate-header"),
        ] {
            assert_eq!(code(&values, b"x"), want, "{values:?}");
        }
    }
}
