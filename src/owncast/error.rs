//! What can go wrong with Owncast, by cure.

use url::Url;

use crate::config::here;

/// A failed conversation with Owncast. Variants differ by what mends them; texts are for the operator and
/// never hold a password, a token, a query or a webhook path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OwncastError {
    /// The configured address cannot be spoken to at all.
    #[error(
        "the address {url} cannot be used for Owncast: {reason}; set `[owncast] url` to Owncast's own address, such as http://127.0.0.1:8080"
    )]
    Address {
        /// The address without credentials and query.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Nobody answered, or the answer broke off. Passes by itself when Owncast comes back.
    #[error(
        "no answer from Owncast at {url}: {reason}; check that Owncast is running and that `[owncast] url` points to it"
    )]
    Unreachable {
        /// Where, without credentials and query.
        url: String,
        /// What the network said.
        reason: String,
        /// The request may have arrived: only the answer is missing.
        arrived: bool,
    },
    /// HTTP 401 on an admin call.
    #[error(
        "Owncast at {url} refuses the admin password; set the current one in `admin-password-file`, the credential `owncast-admin-password` or OWNCAST_ADMIN_PASSWORD, then run `{}` (after a new credential or variable: restart)",
        here().typed("reload")
    )]
    WrongPassword {
        /// Where, without credentials and query.
        url: String,
    },
    /// HTTP 401 on an integration call: the access token was deleted, or lacks the scope.
    #[error(
        "Owncast at {url} refuses the agent's access token (deleted in Owncast, or without its scope); a new one has to be made"
    )]
    WrongToken {
        /// Where, without credentials and query.
        url: String,
    },
    /// Something else answers at this address.
    #[error(
        "what answers at {url} is not Owncast's API: {answered}; set `[owncast] url` to Owncast's own address, not to a proxy or another service"
    )]
    NotOwncast {
        /// Where, without credentials and query.
        url: String,
        /// What came instead, in a few words.
        answered: String,
    },
    /// Owncast understood and said no (HTTP 400, or HTTP 200 with an `error` in it).
    #[error("Owncast at {url} refused: {message}")]
    Refused {
        /// Where, without credentials and query.
        url: String,
        /// Owncast's own words, cut and without control characters.
        message: String,
    },
    /// HTTP 5xx, 408 or 429. Passes by itself.
    #[error("Owncast at {url} is busy or starting (HTTP {status}); it will be asked again")]
    Busy {
        /// Where, without credentials and query.
        url: String,
        /// HTTP status.
        status: u16,
    },
    /// It is Owncast, but an answer has a shape that is not known.
    #[error(
        "Owncast at {url} answered in an unknown shape ({what}); if Owncast was just updated, look for a newer owncast-herald"
    )]
    Malformed {
        /// Where, without credentials and query.
        url: String,
        /// Which part, never its content.
        what: &'static str,
    },
    /// The client only looks: nothing was sent.
    #[error(
        "{url} is not called, because that would change something in Owncast; nothing is changed with --observe"
    )]
    ReadOnly {
        /// Where, without credentials and query.
        url: String,
    },
}

impl OwncastError {
    /// Whether waiting alone may mend it.
    pub fn is_transient(&self) -> bool {
        matches!(self, OwncastError::Unreachable { .. } | OwncastError::Busy { .. })
    }

    /// Whether Owncast has surely done nothing of what it was asked: it was not reached, or looked at the token only.
    pub fn is_undone(&self) -> bool {
        matches!(self, OwncastError::Unreachable { arrived: false, .. } | OwncastError::WrongToken { .. })
    }
}

/// An address as it may be shown: scheme, host, port, path.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // Both fail only for addresses that cannot carry credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}

/// A foreign text cut to one short line for a message.
pub(super) fn one_line(text: &str) -> String {
    const LONGEST: usize = 200;
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let clean = clean.trim();
    match clean.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", clean.get(..at).unwrap_or_default()),
        None => clean.to_owned(),
    }
}

/// The innermost cause of an error: the outer ones repeat addresses, which may hold a token.
pub(super) fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    one_line(&cause.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_addresses_hold_no_secret() {
        let url = Url::parse("http://admin:hunter2@127.0.0.1:8080/ws?accessToken=zzz#f").unwrap();
        assert_eq!(shown(&url), "http://127.0.0.1:8080/ws");
    }

    #[test]
    fn a_foreign_text_becomes_one_short_line() {
        assert_eq!(one_line(" a\nb\u{1b}[31m "), "a b [31m");
        assert_eq!(one_line(&"é".repeat(500)).chars().count(), 201);
    }
}
