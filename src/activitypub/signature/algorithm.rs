//! The names that requests give to the way in which they are signed.

/// What a request's `algorithm` (cavage) or `alg` (RFC 9421) parameter claims; only a hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// No parameter: decided by the key.
    Unstated,
    /// `hs2019`: by definition decided by the key; GoToSocial, Lemmy and Owncast mean RSA with SHA-256.
    Hs2019,
    /// `rsa-sha256`.
    RsaSha256,
    /// `rsa-sha512`, though some senders that say so use SHA-256.
    RsaSha512,
    /// `ed25519`, in both schemes.
    Ed25519,
    /// `rsa-v1_5-sha256` of RFC 9421.
    RsaV15Sha256,
    /// `rsa-pss-sha512` of RFC 9421.
    RsaPssSha512,
}

impl Algorithm {
    /// Reads cavage's parameter; `None` for what is never accepted (`hmac-*`, `rsa-sha1`, unknown names).
    #[must_use]
    pub fn cavage(name: &str) -> Option<Self> {
        [Self::Hs2019, Self::RsaSha256, Self::RsaSha512, Self::Ed25519]
            .into_iter()
            .find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    /// Reads RFC 9421's parameter; `None` for what is never accepted (`hmac-sha256`, `ecdsa-*`, unknown names).
    #[must_use]
    pub fn rfc9421(name: &str) -> Option<Self> {
        [Self::RsaV15Sha256, Self::RsaPssSha512, Self::Ed25519]
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
    }

    /// The parameter's spelling.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unstated => "",
            Self::Hs2019 => "hs2019",
            Self::RsaSha256 => "rsa-sha256",
            Self::RsaSha512 => "rsa-sha512",
            Self::Ed25519 => "ed25519",
            Self::RsaV15Sha256 => "rsa-v1_5-sha256",
            Self::RsaPssSha512 => "rsa-pss-sha512",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_algorithms_have_a_name() {
        assert_eq!(Algorithm::cavage("RSA-SHA256"), Some(Algorithm::RsaSha256));
        for name in
            ["", "rsa-sha1", "hmac-sha256", "none", "rsa-sha256 ", "rsa-v1_5-sha256", "rsa-pss-sha512"]
        {
            assert_eq!(Algorithm::cavage(name), None, "{name}");
        }
        assert_eq!(Algorithm::rfc9421("rsa-v1_5-sha256"), Some(Algorithm::RsaV15Sha256));
        for name in
            ["", "hmac-sha256", "ecdsa-p256-sha256", "ecdsa-p384-sha384", "rsa-sha256", "hs2019", "Ed25519"]
        {
            assert_eq!(Algorithm::rfc9421(name), None, "{name}");
        }
    }
}
