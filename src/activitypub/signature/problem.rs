//! Why a request's signature is refused, in words that an implementer can act on.

use thiserror::Error;

/// Why a request is not believed. [`SignatureProblem::code`] is stable; the message says what failed and what was
/// expected. Neither depends on anything but the request, our host name, the clock and the signer's key.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SignatureProblem {
    /// No `Signature` header.
    #[error("the request has no Signature header; sign it by RFC 9421 or with cavage-12 rsa-sha256")]
    Missing,
    /// A header that must appear once appears more often, so that two readers could pick two values.
    #[error("the request has more than one {0} header")]
    DuplicateHeader(&'static str),
    /// The `Signature` header does not parse.
    #[error("the Signature header is malformed: {0}")]
    Malformed(&'static str),
    /// A header of RFC 9421 does not parse, lacks a parameter, or does not fit the other one.
    #[error("the {header} header is malformed: {why}; a Signature-Input is read as RFC 9421")]
    FieldMalformed {
        /// `Signature` or `Signature-Input`.
        header: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A parameter stands twice in the `Signature` header, or a label or parameter in one of RFC 9421's.
    #[error("{0} stands twice among the signature's parameters or labels")]
    DuplicateParameter(String),
    /// More than one signature that would do: which of them counts would be anybody's choice.
    #[error("{0} of the request's signatures cover what is asked for; send one")]
    Ambiguous(usize),
    /// `algorithm` or `alg` is none of those accepted.
    #[error("algorithm {name:?} is not accepted; use {accepted}")]
    Algorithm {
        /// What the request claims.
        name: String,
        /// What to use.
        accepted: &'static str,
    },
    /// `algorithm` or `alg` contradicts the key's type, which alone decides.
    #[error("algorithm {algorithm:?} does not fit the signer's {key} key")]
    AlgorithmMismatch {
        /// What the request claims.
        algorithm: &'static str,
        /// The key's type, `RSA` or `Ed25519`.
        key: &'static str,
    },
    /// A header or pseudo-header that must be signed is not in the list.
    #[error("{what} is not signed; sign {wanted}")]
    NotCovered {
        /// What is not.
        what: &'static str,
        /// All that must be.
        wanted: &'static str,
    },
    /// A name stands twice in the `headers` list.
    #[error("{0} is listed twice in the signed headers")]
    CoveredTwice(String),
    /// The list names a header that the request does not have.
    #[error("{0} is listed as signed, but the request has no such header")]
    CoveredAbsent(String),
    /// The list names a pseudo-header that is unknown, or not allowed with this algorithm.
    #[error("{0} cannot be signed with this algorithm")]
    PseudoHeader(String),
    /// A component of RFC 9421 that is unknown, or has parameters.
    #[error("the component {0} cannot be signed here: {1}")]
    Component(String, &'static str),
    /// The `Host` header is not ours: a relayed request, or a proxy that rewrites it.
    #[error("the Host header is {got:?}, expected {expected:?}")]
    Host {
        /// What arrived, lower case.
        got: String,
        /// Our own host, with its port where it is not the default.
        expected: String,
    },
    /// No `Digest` header on a request with a body.
    #[error("the request has no Digest header; send SHA-256=<base64>")]
    DigestMissing,
    /// No `Content-Digest` header on a request with a body, signed by RFC 9421.
    #[error("the request has no Content-Digest header; send sha-256=:<base64>:")]
    ContentDigestMissing,
    /// `Digest` or `Content-Digest` does not parse.
    #[error("the digest header is malformed: {0}")]
    DigestMalformed(&'static str),
    /// `Digest` or `Content-Digest` has no entry that proves anything.
    #[error("the digest header has no {0} entry")]
    DigestUnsupported(&'static str),
    /// `Digest` or `Content-Digest` is of another body.
    #[error("the {0} digest does not match the body")]
    DigestMismatch(&'static str),
    /// `Date` does not parse.
    #[error("the Date header is not an HTTP date such as \"Tue, 03 Nov 2026 18:00:00 GMT\"")]
    DateMalformed,
    /// Signed too long ago, or too far in the future.
    #[error("{what} is {} s {} our clock; at most {behind} s behind and {ahead} s ahead are accepted",
        .offset.unsigned_abs(), if *.offset < 0 { "behind" } else { "ahead of" })]
    Clock {
        /// `Date` or `created`.
        what: &'static str,
        /// Signer's time minus ours, in seconds: negative when the signer is behind.
        offset: i64,
        /// Most seconds behind that are accepted.
        behind: i64,
        /// Most seconds ahead that are accepted.
        ahead: i64,
    },
    /// More is signed than is kept until the key is there.
    #[error(
        "signature, key id and what is signed have {bytes} bytes, at most {most} are taken; sign fewer headers"
    )]
    TooLarge {
        /// How many they have.
        bytes: usize,
        /// How many are taken.
        most: usize,
    },
    /// `expires` has passed.
    #[error("the signature expired {0} s ago")]
    Expired(i64),
    /// The signature is not by this key over this request.
    #[error(
        "the signature does not match: signed with another key, or something signed was changed on the way"
    )]
    Mismatch,
}

impl SignatureProblem {
    /// Stable kebab-case name, for answers, metrics and tests.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing => "signature-missing",
            Self::DuplicateHeader(_) => "duplicate-header",
            Self::Malformed(_) | Self::FieldMalformed { .. } => "signature-malformed",
            Self::DuplicateParameter(_) => "duplicate-parameter",
            Self::Ambiguous(_) => "signature-ambiguous",
            Self::Algorithm { .. } => "algorithm-unsupported",
            Self::AlgorithmMismatch { .. } => "algorithm-mismatch",
            Self::NotCovered { .. } => "not-covered",
            Self::CoveredTwice(_) => "covered-twice",
            Self::CoveredAbsent(_) => "covered-header-absent",
            Self::PseudoHeader(_) => "pseudo-header-unsupported",
            Self::Component(..) => "component-unsupported",
            Self::Host { .. } => "host-mismatch",
            Self::DigestMissing | Self::ContentDigestMissing => "digest-missing",
            Self::DigestMalformed(_) => "digest-malformed",
            Self::DigestUnsupported(_) => "digest-unsupported",
            Self::DigestMismatch(_) => "digest-mismatch",
            Self::DateMalformed => "date-malformed",
            Self::Clock { .. } => "clock-offset",
            Self::TooLarge { .. } => "signature-too-large",
            Self::Expired(_) => "signature-expired",
            Self::Mismatch => "signature-mismatch",
        }
    }
}
