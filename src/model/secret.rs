//! A word that must not be seen: password, access token, webhook secret.

use std::fmt;
use std::sync::Arc;

/// A secret text. `Debug` never shows it and there is no `Display`; reading it takes [`Secret::expose`].
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Secret(text.into())
    }

    /// The text itself, for a header or a request body.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// SHA-256 in 64 lower-case hex digits: names the secret in the store without holding it.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.0)
    }
}

/// SHA-256 of a text in 64 lower-case hex digits.
pub fn fingerprint(text: &str) -> String {
    openssl::sha::sha256(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl From<Arc<str>> for Secret {
    fn from(text: Arc<str>) -> Self {
        Secret(text)
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Secret(text.into())
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Secret(text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_the_text_and_the_fingerprint_is_sha256() {
        let secret = Secret::from("abc");
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        assert_eq!(secret.fingerprint(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
