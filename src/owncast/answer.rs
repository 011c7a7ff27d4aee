//! Judges one HTTP answer of Owncast; pure.
//!
//! Owncast's traps: internal errors come as `{"error":…}` with HTTP 200, refused settings as
//! `{"success":false}`, JSON sometimes labelled text/plain, and anything may sit at a wrong address.

use http::StatusCode;
use serde_json::Value;

use super::error::{OwncastError, one_line};

/// Which credentials a call carried: it decides what HTTP 401 means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    /// None.
    Public,
    /// The admin password.
    Admin,
    /// An access token.
    Integration,
}

/// One answer, as received.
pub(super) struct Answer<'a> {
    pub url: &'a str,
    pub door: Door,
    pub status: StatusCode,
    pub content_type: &'a str,
    pub body: &'a [u8],
}

impl Answer<'_> {
    /// The status alone: anything but success, a refusal with a reason, or a missing thing.
    pub fn check_status(&self) -> Result<(), OwncastError> {
        let url = self.url.to_owned();
        match (self.status.as_u16(), self.door) {
            (401, Door::Admin) => Err(OwncastError::WrongPassword { url }),
            (401, Door::Integration) => Err(OwncastError::WrongToken { url }),
            (408 | 425 | 429 | 500..=599, _) => Err(OwncastError::Busy { url, status: self.status.as_u16() }),
            (403, _) => Err(OwncastError::Refused { url, message: "HTTP 403 Forbidden".to_owned() }),
            (200..=299 | 400, _) => Ok(()),
            _ => Err(self.not_owncast()),
        }
    }

    /// The JSON inside, when the answer means success.
    pub fn json(&self) -> Result<Value, OwncastError> {
        self.check_status()?;
        let Ok(value) = serde_json::from_slice::<Value>(self.body) else {
            return Err(self.not_owncast());
        };
        if let Some(message) = refusal(&value) {
            return Err(OwncastError::Refused { url: self.url.to_owned(), message });
        }
        if !self.status.is_success() {
            return Err(self.not_owncast());
        }
        Ok(value)
    }

    /// Names what answered instead of Owncast.
    pub fn not_owncast(&self) -> OwncastError {
        let start = self.body.iter().find(|byte| !byte.is_ascii_whitespace());
        let html = self.content_type.to_ascii_lowercase().contains("html") || start == Some(&b'<');
        let kind = match (html, self.body.is_empty()) {
            (true, _) => "a web page",
            (_, true) => "an empty answer",
            _ if serde_json::from_slice::<serde::de::IgnoredAny>(self.body).is_ok() => "other JSON",
            _ => "something that is not JSON",
        };
        OwncastError::NotOwncast {
            url: self.url.to_owned(),
            answered: format!("{kind} with HTTP {}", self.status.as_u16()),
        }
    }
}

/// Owncast's "no" inside a body: `{"error":…}` or `{"success":false,"message":…}`.
fn refusal(value: &Value) -> Option<String> {
    let object = value.as_object()?;
    if let Some(error) = object.get("error") {
        return Some(one_line(error.as_str().unwrap_or("an error without a text")));
    }
    if object.get("success") == Some(&Value::Bool(false)) {
        let message = object.get("message").and_then(Value::as_str);
        return Some(one_line(message.unwrap_or("no reason given")));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(door: Door, status: u16, content_type: &str, body: &str) -> Result<Value, OwncastError> {
        let status = StatusCode::from_u16(status).unwrap();
        let url = "http://127.0.0.1:8080/api/x";
        Answer { url, door, status, content_type, body: body.as_bytes() }.json()
    }

    fn kind(result: &Result<Value, OwncastError>) -> &'static str {
        match result {
            Ok(_) => "ok",
            Err(OwncastError::Address { .. }) => "address",
            Err(OwncastError::Unreachable { .. }) => "unreachable",
            Err(OwncastError::WrongPassword { .. }) => "password",
            Err(OwncastError::WrongToken { .. }) => "token",
            Err(OwncastError::NotOwncast { .. }) => "not owncast",
            Err(OwncastError::Refused { .. }) => "refused",
            Err(OwncastError::Busy { .. }) => "busy",
            Err(OwncastError::Malformed { .. }) => "malformed",
            Err(OwncastError::ReadOnly { .. }) => "read only",
        }
    }

    #[test]
    fn every_trap_has_its_error() {
        let (json, plain, html) = ("application/json", "text/plain; charset=utf-8", "text/html");
        let table = [
            (Door::Admin, 200, json, r#"{"success":true,"message":"changed"}"#, "ok"),
            (Door::Admin, 200, json, "[]", "ok"),
            (Door::Admin, 200, json, "null", "ok"),
            (Door::Admin, 401, plain, "Unauthorized\n", "password"),
            (Door::Integration, 401, plain, "unauthorized", "token"),
            (Door::Public, 401, plain, "login", "not owncast"),
            (Door::Integration, 200, json, r#"{"error":"invalid character 'g'"}"#, "refused"),
            (Door::Admin, 400, plain, r#"{"error":"one or more invalid event provided"}"#, "refused"),
            (Door::Admin, 400, json, r#"{"message":"server url value invalid","success":false}"#, "refused"),
            (Door::Admin, 400, plain, "Bad Request", "not owncast"),
            (Door::Admin, 400, json, "{}", "not owncast"),
            (Door::Public, 200, html, "<!doctype html>", "not owncast"),
            (Door::Public, 200, json, "", "not owncast"),
            (Door::Public, 200, plain, "hello", "not owncast"),
            (Door::Public, 404, plain, "404 page not found", "not owncast"),
            (Door::Public, 302, html, "", "not owncast"),
            (Door::Admin, 403, plain, "", "refused"),
            (Door::Admin, 502, html, "<h1>Bad Gateway</h1>", "busy"),
            (Door::Admin, 429, plain, "", "busy"),
        ];
        for (door, status, content_type, body, expected) in table {
            assert_eq!(kind(&judge(door, status, content_type, body)), expected, "{status} {body}");
        }
    }

    #[test]
    fn the_refusal_repeats_owncasts_words_on_one_line() {
        let refused = judge(Door::Admin, 200, "text/plain", "{\"error\":\"2 not\\nfound\"}").unwrap_err();
        assert_eq!(refused.to_string(), "Owncast at http://127.0.0.1:8080/api/x refused: 2 not found");
        assert!(!refused.is_transient());
    }

    #[test]
    fn the_intruder_is_named() {
        let error = judge(Door::Public, 200, "text/html", "<html>").unwrap_err().to_string();
        assert!(error.contains("a web page with HTTP 200"), "{error}");
    }
}
