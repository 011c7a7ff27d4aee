//! The `Digest` (RFC 3230) and `Content-Digest` (RFC 9530) headers: what binds a body to a signature.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use openssl::sha::{Sha256, Sha512};

use super::SignatureProblem;
use super::fields::{Bare, FieldError, Member, dictionary};

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    // Not in one call: that looks the algorithm up each time.
    let mut hash = Sha256::new();
    hash.update(bytes);
    hash.finish()
}

pub(super) fn sha512(bytes: &[u8]) -> [u8; 64] {
    let mut hash = Sha512::new();
    hash.update(bytes);
    hash.finish()
}

/// The value of `Digest` for a body, in the one spelling that Misskey, Lemmy, PeerTube and Akkoma all accept.
#[must_use]
pub fn header_value(body: &[u8]) -> String {
    format!("SHA-256={}", STANDARD.encode(sha256(body)))
}

/// The value of `Content-Digest` for a body.
#[must_use]
pub fn content_header_value(body: &[u8]) -> String {
    format!("sha-256=:{}:", STANDARD.encode(sha256(body)))
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
    if proven { Ok(()) } else { Err(SignatureProblem::DigestUnsupported("SHA-256")) }
}

/// Compares the `Content-Digest` header with the body as it came over the wire.
///
/// It must hold `sha-256` or `sha-512`, and neither may be wrong. Other algorithms prove nothing and are skipped.
///
/// # Errors
/// `Digest…` variants of [`SignatureProblem`], or `DuplicateHeader`.
pub fn check_content(headers: &HeaderMap, body: &[u8]) -> Result<(), SignatureProblem> {
    let mut values = headers.get_all("content-digest").iter();
    let value = values.next().ok_or(SignatureProblem::ContentDigestMissing)?;
    if values.next().is_some() {
        return Err(SignatureProblem::DuplicateHeader("Content-Digest"));
    }
    let value = value.to_str().map_err(|_| SignatureProblem::DigestMalformed("not ASCII"))?;
    let members = dictionary(value).map_err(|error| match error {
        FieldError::Malformed(why) => SignatureProblem::DigestMalformed(why),
        FieldError::Twice(_) => SignatureProblem::DigestMalformed("an algorithm stands twice"),
    })?;
    let mut proven = false;
    for (name, member) in members {
        let (shown, computed): (_, &[u8]) = match name.as_str() {
            "sha-256" => ("sha-256", &sha256(body)),
            "sha-512" => ("sha-512", &sha512(body)),
            _ => continue,
        };
        let Member::Item(item) = member else {
            return Err(SignatureProblem::DigestMalformed("a digest is a list"));
        };
        let Bare::Bytes(sent) = item.value else {
            return Err(SignatureProblem::DigestMalformed("a digest is not written :<base64>:"));
        };
        same(shown, &sent, computed)?;
        proven = true;
    }
    if proven { Ok(()) } else { Err(SignatureProblem::DigestUnsupported("sha-256 or sha-512")) }
}

fn compare(name: &'static str, sent: &str, computed: &[u8]) -> Result<(), SignatureProblem> {
    let sent =
        STANDARD.decode(sent).map_err(|_| SignatureProblem::DigestMalformed("not padded standard base64"))?;
    same(name, &sent, computed)
}

fn same(name: &'static str, sent: &[u8], computed: &[u8]) -> Result<(), SignatureProblem> {
    if sent.len() == computed.len() && openssl::memcmp::eq(sent, computed) {
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
    #[test]
    fn content_digests_are_structured() {
        // RFC 9530, appendix A: the body of its examples with its line end, and RFC 9421's test request.
        assert_eq!(
            content_header_value(b"{\"hello\": \"world\"}\n"),
            "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"
        );
        let wide = "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:";
        let body = b"{\"hello\": \"world\"}";
        let good = content_header_value(body);
        let bad = content_header_value(b"other");
        let code = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("content-digest", value.parse().unwrap());
            }
            check_content(&headers, body).err().map_or("ok", |problem| problem.code())
        };
        for (values, want) in [
            (vec![good.as_str()], "ok"),
            (vec![wide], "ok"),
            (vec![format!("{good}, {wide}").as_str()], "ok"),
            (vec![format!("md5=:AAAA:,{good};q=1").as_str()], "ok"),
            (vec![bad.as_str()], "digest-mismatch"),
            (vec!["sha-256=:AAAA:"], "digest-mismatch"),
            (vec!["sha-256=::"], "digest-mismatch"),
            (vec![format!("{wide}, {bad}").as_str()], "digest-mismatch"),
            (vec![format!("{good}, sha-512=:AAAA:").as_str()], "digest-mismatch"),
            (vec![format!("{good}, {good}").as_str()], "digest-malformed"),
            (vec![good.to_uppercase().as_str()], "digest-malformed"),
            (vec![header_value(body).as_str()], "digest-malformed"),
            (vec!["sha-256=\"AAAA\""], "digest-malformed"),
            (vec!["sha-256=(:AAAA:)"], "digest-malformed"),
            (vec!["sha-256"], "digest-malformed"),
            (vec!["sha-256=:AAA:"], "digest-malformed"),
            (vec![""], "digest-malformed"),
            (vec!["md5=:AAAA:"], "digest-unsupported"),
            (vec![], "digest-missing"),
            (vec![good.as_str(), good.as_str()], "duplicate-header"),
        ] {
            assert_eq!(code(&values), want, "{values:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_header_ends_in_a_verdict(text in "[ -~]{0,100}", body in proptest::collection::vec(0u8.., 0..20)) {
            let mut headers = HeaderMap::new();
            headers.insert("digest", text.parse().unwrap());
            headers.insert("content-digest", text.parse().unwrap());
            let _ = (check(&headers, &body), check_content(&headers, &body));
        }
    }
}
