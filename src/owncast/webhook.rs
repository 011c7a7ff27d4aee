//! What Owncast calls our webhook with; pure. A call is only a hint: the truth is read back from Owncast.

use std::time::Duration;

use jiff::Timestamp;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use serde_json::Value;

/// The header of a signed call, from Owncast 0.3.0 on.
pub const SIGNATURE_HEADER: &str = "owncast-signature";
/// How far the clock of a signed call may be from ours (Owncast's documentation of webhooks).
pub const SIGNATURE_WINDOW: Duration = Duration::from_secs(300);
/// Message ids kept of one visibility call: a probe names one.
const MAX_IDS: usize = 64;

/// What a call hints at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// The kind of event.
    pub kind: Kind,
    /// Owncast's id of the event, the same in every delivery of it; absent where a version sends none.
    pub id: Option<String>,
}

/// Kinds of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// An encoder connected (`STREAM_STARTED`); Owncast still says `online: false` in it.
    StreamStarted,
    /// The encoder left (`STREAM_STOPPED`); may be missing altogether.
    StreamStopped,
    /// A new, non-empty title (`STREAM_TITLE_UPDATED`), live or not.
    TitleChanged,
    /// Chat messages were shown or hidden (`VISIBILITY-UPDATE`); the probe's echo.
    Visibility {
        /// The messages' ids, at most 64.
        ids: Vec<String>,
    },
    /// Anything else, also what newer versions invent.
    Other,
}

/// The body is not a webhook call of Owncast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a webhook call of Owncast: expected a JSON object with a text `type`")]
pub struct NotAWebhook;

/// Reads a body; only `type` is required.
///
/// # Errors
/// [`NotAWebhook`] when it is not a JSON object with a text `type`.
pub fn parse(body: &[u8]) -> Result<Hint, NotAWebhook> {
    let value: Value = serde_json::from_slice(body).map_err(|_| NotAWebhook)?;
    let kind = value.get("type").and_then(Value::as_str).ok_or(NotAWebhook)?;
    let data = value.get("eventData").unwrap_or(&Value::Null);
    let kind = match kind {
        "STREAM_STARTED" => Kind::StreamStarted,
        "STREAM_STOPPED" => Kind::StreamStopped,
        "STREAM_TITLE_UPDATED" => Kind::TitleChanged,
        "VISIBILITY-UPDATE" => Kind::Visibility { ids: ids(data) },
        _ => Kind::Other,
    };
    let id = data.get("id").and_then(Value::as_str).filter(|id| !id.is_empty()).map(str::to_owned);
    Ok(Hint { kind, id })
}

/// `MessageIDs` up to 0.2, `ids` from then on.
fn ids(data: &Value) -> Vec<String> {
    let list = data.get("ids").or_else(|| data.get("MessageIDs")).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).take(MAX_IDS).map(str::to_owned).collect()
}

/// Proof that a call came from a holder of the secret. Keeping `mac` for [`SIGNATURE_WINDOW`] on both sides
/// of now lets the caller refuse a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signed {
    /// When Owncast signed, to the second.
    pub at: Timestamp,
    /// The HMAC-SHA256, unique to this call.
    pub mac: [u8; 32],
}

/// Why a signature does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The header does not read `t=<unix seconds>.s=<64 hex digits>`.
    #[error("the owncast-signature header does not read t=<seconds>.s=<hex>")]
    Malformed,
    /// Another secret, or another body.
    #[error("the owncast-signature does not match the webhook's secret")]
    Wrong,
    /// Signed too long ago or in the future.
    #[error(
        "the owncast-signature is more than 300 seconds away from this machine's clock; check both clocks"
    )]
    Stale,
}

/// Checks `owncast-signature: t=<unix seconds>.s=<hex>`, where `s` is the HMAC-SHA256 of `<t>.<body>` under the
/// webhook's secret (Owncast 0.3.0). `body` is the raw body.
///
/// # Errors
/// [`SignatureError`]; the clock is looked at only when the signature holds.
pub fn verify(secret: &str, header: &str, body: &[u8], now: Timestamp) -> Result<Signed, SignatureError> {
    let (stamp, hex) = header
        .trim()
        .strip_prefix("t=")
        .and_then(|rest| rest.split_once(".s="))
        .ok_or(SignatureError::Malformed)?;
    let given = from_hex(hex).ok_or(SignatureError::Malformed)?;
    // Digits only: `parse` would also take a sign, which makes one moment spellable in two ways.
    if stamp.is_empty() || !stamp.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(SignatureError::Malformed);
    }
    let seconds: i64 = stamp.parse().map_err(|_| SignatureError::Malformed)?;
    let at = Timestamp::from_second(seconds).map_err(|_| SignatureError::Malformed)?;
    let expected = mac(secret, stamp, body).ok_or(SignatureError::Wrong)?;
    if expected.len() != given.len() || !openssl::memcmp::eq(&expected, &given) {
        return Err(SignatureError::Wrong);
    }
    if now.duration_since(at).unsigned_abs() > SIGNATURE_WINDOW {
        return Err(SignatureError::Stale);
    }
    Ok(Signed { at, mac: given })
}

/// `None` when OpenSSL refuses the key, as it does an empty one: an empty secret proves nothing.
fn mac(secret: &str, stamp: &str, body: &[u8]) -> Option<Vec<u8>> {
    if secret.is_empty() {
        return None;
    }
    let key = PKey::hmac(secret.as_bytes()).ok()?;
    let mut signer = Signer::new(openssl::hash::MessageDigest::sha256(), &key).ok()?;
    signer.update(stamp.as_bytes()).ok()?;
    signer.update(b".").ok()?;
    signer.update(body).ok()?;
    signer.sign_to_vec().ok()
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recorded_calls_are_read() {
        let calls = include_str!("../../tests/fixtures/owncast-client/webhooks.jsonl");
        let hints: Vec<Hint> = calls
            .lines()
            .filter(|line| !line.is_empty())
            .map(|line| {
                let call: Value = serde_json::from_str(line).unwrap();
                parse(call["body"].to_string().as_bytes()).unwrap()
            })
            .collect();
        let expected = [
            (Kind::StreamStarted, Some("BfGyYggORz")),
            (Kind::TitleChanged, Some("bOxsLRRdg")),
            (Kind::Visibility { ids: vec!["1DEyYgRdg".to_owned()] }, Some("7SCsLRgOg")),
            (Kind::Other, Some("dq3sLggOR")),
            (Kind::Other, None),
            (Kind::StreamStopped, Some("I-o9LgROR")),
            (Kind::TitleChanged, Some("dkoiPgRdR")),
        ];
        let expected: Vec<Hint> =
            expected.into_iter().map(|(kind, id)| Hint { kind, id: id.map(str::to_owned) }).collect();
        assert_eq!(hints, expected);
    }

    #[test]
    fn only_the_type_is_required() {
        let visibility =
            |ids: &[&str]| Kind::Visibility { ids: ids.iter().map(|id| (*id).to_owned()).collect() };
        let table = [
            (
                r#"{"type":"VISIBILITY-UPDATE","eventData":{"ids":["a","b"],"visible":true}}"#,
                visibility(&["a", "b"]),
            ),
            (r#"{"type":"VISIBILITY-UPDATE","eventData":{"ids":null,"visible":true}}"#, visibility(&[])),
            (r#"{"type":"VISIBILITY-UPDATE"}"#, visibility(&[])),
            (r#"{"type":"STREAM_STARTED","eventData":[]}"#, Kind::StreamStarted),
            (r#"{"type":"SCHEDULED_EVENTS","eventData":{"id":7}}"#, Kind::Other),
        ];
        for (body, kind) in table {
            assert_eq!(parse(body.as_bytes()), Ok(Hint { kind, id: None }), "{body}");
        }
        for body in ["", "[]", "7", "{}", r#"{"type":7}"#, "{\"type\":\"X\"", "\u{0}"] {
            assert_eq!(parse(body.as_bytes()), Err(NotAWebhook), "{body}");
        }
    }

    #[test]
    fn a_flood_of_ids_is_cut() {
        let ids: Vec<String> = (0..5000).map(|id| id.to_string()).collect();
        let body = serde_json::json!({ "type": "VISIBILITY-UPDATE", "eventData": { "ids": ids } });
        let Kind::Visibility { ids } = parse(body.to_string().as_bytes()).unwrap().kind else { panic!() };
        assert_eq!(ids.len(), MAX_IDS);
    }

    /// Made with `printf '1700000000.{"type":"X"}' | openssl dgst -sha256 -hmac s3cret`.
    const VECTOR: &str = "t=1700000000.s=e276916e2fdc893f786a5b012ad23e8a6adeef833e6f3bf49f30cb1d9ab2a3e8";
    const BODY: &[u8] = br#"{"type":"X"}"#;

    #[test]
    fn signatures_hold_only_for_their_secret_body_and_time() {
        let signed_at = Timestamp::from_second(1_700_000_000).unwrap();
        let after = |seconds: i64| Timestamp::from_second(1_700_000_000 + seconds).unwrap();
        let signed = verify("s3cret", VECTOR, BODY, signed_at).unwrap();
        assert_eq!(signed.at, signed_at);
        assert_eq!(verify("s3cret", VECTOR, BODY, after(300)).unwrap().mac, signed.mac);
        assert!(verify("s3cret", VECTOR, BODY, after(-300)).is_ok());
        assert!(
            verify(
                "s3cret",
                &VECTOR.to_uppercase().replace("T=", "t=").replace(".S=", ".s="),
                BODY,
                signed_at
            )
            .is_ok()
        );

        let other_time = VECTOR.replace("1700000000", "1700000001");
        let plus = VECTOR.replace("t=", "t=+");
        let cut = VECTOR.get(..VECTOR.len() - 1).unwrap();
        let table = [
            ("s3cret", VECTOR, BODY, after(301), SignatureError::Stale),
            ("s3cret", VECTOR, BODY, after(-301), SignatureError::Stale),
            ("abc123", VECTOR, BODY, signed_at, SignatureError::Wrong),
            ("", VECTOR, BODY, signed_at, SignatureError::Wrong),
            ("s3cret", VECTOR, b"{}", signed_at, SignatureError::Wrong),
            ("s3cret", &other_time, BODY, signed_at, SignatureError::Wrong),
            ("s3cret", &plus, BODY, signed_at, SignatureError::Malformed),
            ("s3cret", cut, BODY, signed_at, SignatureError::Malformed),
            ("s3cret", "", BODY, signed_at, SignatureError::Malformed),
            ("s3cret", "t=.s=", BODY, signed_at, SignatureError::Malformed),
            ("s3cret", "t=99999999999999999999.s=00", BODY, signed_at, SignatureError::Malformed),
        ];
        for (secret, header, body, now, expected) in table {
            assert_eq!(verify(secret, header, body, now), Err(expected), "{secret} {header}");
        }
    }
}
