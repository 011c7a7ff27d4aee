//! How each peer writes and reads: facts of its source code, as one table.

use std::time::Duration;

/// Which server software a simulated server behaves like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flavour {
    /// Mastodon 4.5 and later: verifies cavage and RFC 9421, signs cavage.
    Mastodon,
    /// GoToSocial: `hs2019`, a key at an address of its own, signed GETs only, embedded objects only.
    GoToSocial,
    /// Misskey: the same Follow id at every re-follow, five minutes of clock, one exact digest spelling.
    Misskey,
    /// Pleroma: Undo names the Follow by id only; answers 200 whatever the signature.
    Pleroma,
    /// Akkoma: two hours of clock, byte-equal digest.
    Akkoma,
    /// PeerTube: the key id is the bare actor, 403 for a bad signature, 204 for a good one.
    PeerTube,
    /// Pixelfed: deterministic Follow ids, sent to the shared inbox; its Undo names another id than its Follow.
    Pixelfed,
    /// Friendica: five minutes of clock, `algorithm` required.
    Friendica,
    /// Lemmy: every digest must be SHA-256; one exact content type.
    Lemmy,
    /// Fedify (Ghost, Hollo, …): RFC 9421 first, cavage when that is refused; an Ed25519 Multikey beside the RSA key.
    Fedify,
}

impl Flavour {
    /// Every flavour there is, for table tests.
    pub const ALL: [Flavour; 10] = [
        Flavour::Mastodon,
        Flavour::GoToSocial,
        Flavour::Misskey,
        Flavour::Pleroma,
        Flavour::Akkoma,
        Flavour::PeerTube,
        Flavour::Pixelfed,
        Flavour::Friendica,
        Flavour::Lemmy,
        Flavour::Fedify,
    ];
}

/// Where the key of an actor is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyShape {
    /// `<actor>#main-key`, inside the actor document.
    Fragment,
    /// `<actor>/main-key`, a stub actor document of its own.
    Stub,
    /// The actor's id itself.
    Bare,
}

/// What a `Digest` header must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DigestRule {
    /// A comma list with a SHA-256 among it, in any letter case.
    List,
    /// A comma list of nothing but SHA-256.
    OnlySha256,
    /// Exactly `SHA-256=<base64>`.
    Exact,
}

/// How strictly a flavour verifies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    /// How old a signature may be.
    pub(crate) past: Duration,
    /// How far ahead of this server's clock it may be.
    pub(crate) ahead: Duration,
    /// What a POST must cover; each entry lists alternatives.
    pub(crate) covers: &'static [&'static [&'static str]],
    /// How the digest must be spelled.
    pub(crate) digest: DigestRule,
    /// Whether the `algorithm` parameter must be there.
    pub(crate) algorithm_required: bool,
    /// Whether cavage is understood.
    pub(crate) cavage: bool,
    /// Whether RFC 9421 is understood.
    pub(crate) rfc9421: bool,
}

/// The parts of a flavour that differ between peers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dialect {
    /// Software name in NodeInfo.
    pub(crate) software: &'static str,
    /// Path before a username in an actor id.
    pub(crate) actors: &'static str,
    /// Where the key is.
    pub(crate) key: KeyShape,
    /// Whether actors list an Ed25519 key, too, as a Multikey.
    pub(crate) multikey: bool,
    /// The `algorithm` parameter of cavage signatures.
    pub(crate) algorithm: &'static str,
    /// Signed headers of a POST, in order.
    pub(crate) post: &'static [&'static str],
    /// Signed headers of a GET, in order.
    pub(crate) get: &'static [&'static str],
    /// Whether a query string is part of `(request-target)`.
    pub(crate) query: bool,
    /// Whether RFC 9421 is tried before cavage.
    pub(crate) rfc9421_first: bool,
    /// Status for a POST that was taken.
    pub(crate) taken: u16,
    /// Status for a POST whose signature is bad.
    pub(crate) refused: u16,
    /// Whether every GET but that of keys and discovery must be signed.
    pub(crate) signed_gets: bool,
    /// Whether an Accept without the embedded Follow is useless to it.
    pub(crate) accept_embeds: bool,
    /// Whether an Accept through the shared inbox is refused.
    pub(crate) accept_personal: bool,
    /// Whether a Follow goes to the target's shared inbox.
    pub(crate) follow_to_shared: bool,
    /// Whether an Update of a Note changes what it shows.
    pub(crate) edits_notes: bool,
    /// Whether a username must match in letter case.
    pub(crate) case_exact: bool,
    /// How it verifies.
    pub(crate) policy: Policy,
}

const HOUR: u64 = 3600;

const STRICT: &[&[&str]] = &[&["(request-target)"], &["host"], &["date", "(created)"], &["digest"]];
const STRICT_DATE: &[&[&str]] = &[&["(request-target)"], &["host"], &["date"], &["digest"]];

const fn policy(
    past: u64,
    ahead: u64,
    covers: &'static [&'static [&'static str]],
    digest: DigestRule,
) -> Policy {
    Policy {
        past: Duration::from_secs(past),
        ahead: Duration::from_secs(ahead),
        covers,
        digest,
        algorithm_required: false,
        cavage: true,
        rfc9421: false,
    }
}

/// Mastodon, from which the others differ.
const MASTODON: Dialect = Dialect {
    software: "mastodon",
    actors: "/users/",
    key: KeyShape::Fragment,
    multikey: false,
    algorithm: "rsa-sha256",
    post: &["host", "date", "digest", "content-type", "(request-target)"],
    get: &["host", "date", "(request-target)"],
    query: true,
    rfc9421_first: false,
    taken: 202,
    refused: 401,
    signed_gets: false,
    accept_embeds: false,
    accept_personal: false,
    follow_to_shared: false,
    edits_notes: true,
    case_exact: false,
    policy: Policy {
        rfc9421: true,
        ..policy(
            HOUR + 300,
            HOUR,
            &[&["date", "(created)"], &["(request-target)", "digest"], &["digest"]],
            DigestRule::List,
        )
    },
};

impl Flavour {
    /// The facts of this flavour.
    pub(crate) const fn dialect(self) -> &'static Dialect {
        match self {
            Flavour::Mastodon => &MASTODON,
            Flavour::GoToSocial => &GOTOSOCIAL,
            Flavour::Misskey => &MISSKEY,
            Flavour::Pleroma => &PLEROMA,
            Flavour::Akkoma => &AKKOMA,
            Flavour::PeerTube => &PEERTUBE,
            Flavour::Pixelfed => &PIXELFED,
            Flavour::Friendica => &FRIENDICA,
            Flavour::Lemmy => &LEMMY,
            Flavour::Fedify => &FEDIFY,
        }
    }
}

const GOTOSOCIAL: Dialect = Dialect {
    software: "gotosocial",
    key: KeyShape::Stub,
    algorithm: "hs2019",
    post: &["(request-target)", "host", "date", "digest"],
    get: &["(request-target)", "host", "date"],
    signed_gets: true,
    accept_embeds: true,
    case_exact: true,
    policy: policy(HOUR, HOUR, STRICT, DigestRule::List),
    ..MASTODON
};

const MISSKEY: Dialect = Dialect {
    software: "misskey",
    post: &["(request-target)", "date", "host", "digest"],
    get: &["(request-target)", "date", "host", "accept"],
    query: false,
    edits_notes: false,
    policy: policy(300, 300, STRICT_DATE, DigestRule::Exact),
    ..MASTODON
};

const PLEROMA: Dialect = Dialect {
    software: "pleroma",
    post: &["(request-target)", "content-length", "date", "digest", "host"],
    get: &["(request-target)", "date", "host"],
    query: false,
    taken: 200,
    refused: 200,
    accept_embeds: true,
    policy: policy(2 * HOUR, 2400, &[&["(request-target)"], &["date"], &["digest"]], DigestRule::Exact),
    ..MASTODON
};

const AKKOMA: Dialect = Dialect {
    software: "akkoma",
    post: &["(request-target)", "host", "date", "digest", "content-length"],
    refused: 401,
    ..PLEROMA
};

const PEERTUBE: Dialect = Dialect {
    software: "peertube",
    actors: "/accounts/",
    key: KeyShape::Bare,
    post: &["(request-target)", "host", "date", "digest"],
    get: &["(request-target)", "host", "date"],
    taken: 204,
    refused: 403,
    accept_embeds: true,
    accept_personal: true,
    policy: policy(1800, 1800, STRICT, DigestRule::Exact),
    ..MASTODON
};

const PIXELFED: Dialect = Dialect {
    software: "pixelfed",
    post: &["(request-target)", "host", "date", "digest"],
    get: &["(request-target)", "host", "date"],
    taken: 200,
    refused: 200,
    accept_embeds: true,
    follow_to_shared: true,
    policy: policy(24 * HOUR, 24 * HOUR, &[], DigestRule::Exact),
    ..MASTODON
};

const FRIENDICA: Dialect = Dialect {
    software: "friendica",
    actors: "/profile/",
    post: &["(request-target)", "date", "content-length", "digest", "host"],
    get: &["(request-target)", "date", "host"],
    policy: Policy { algorithm_required: true, ..policy(300, 60, &[], DigestRule::List) },
    ..MASTODON
};

const LEMMY: Dialect = Dialect {
    software: "lemmy",
    actors: "/u/",
    algorithm: "hs2019",
    post: &["(request-target)", "content-type", "date", "digest", "host"],
    get: &["(request-target)", "date", "host"],
    taken: 200,
    refused: 400,
    policy: policy(HOUR, HOUR, &[&["digest"]], DigestRule::OnlySha256),
    ..MASTODON
};

const FEDIFY: Dialect = Dialect {
    software: "hollo",
    multikey: true,
    post: &["(request-target)", "host", "date", "digest"],
    get: &["(request-target)", "host", "date"],
    rfc9421_first: true,
    policy: Policy {
        rfc9421: true,
        ..policy(HOUR, HOUR, &[&["(request-target)"], &["date"], &["digest"]], DigestRule::List)
    },
    ..MASTODON
};

impl Dialect {
    /// The key id of the Ed25519 key that goes with an actor.
    pub(crate) fn multikey_id(&self, actor: &str) -> String {
        format!("{actor}#ed25519-key")
    }

    /// The key id that goes with an actor.
    pub(crate) fn key_id(&self, actor: &str) -> String {
        match self.key {
            KeyShape::Fragment => format!("{actor}#main-key"),
            KeyShape::Stub => format!("{actor}/main-key"),
            KeyShape::Bare => actor.to_owned(),
        }
    }
}
