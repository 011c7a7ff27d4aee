//! Protocol faults, as values: what was broken and which peers would mind.

use jiff::Timestamp;

/// A rule that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// No signature, one that cannot be read, or one that the key does not verify.
    Signature,
    /// The signature verifies here, but some peer cannot read how it is written (Owncast 0.1: space after a comma,
    /// Friendica: no `algorithm`).
    SignatureSpelling,
    /// The signature does not cover what this flavour demands.
    Coverage,
    /// The digest is missing or is not that of the body.
    Digest,
    /// The digest is right but not spelled `SHA-256=<base64>` (Misskey, PeerTube, Akkoma, Lemmy refuse others).
    DigestSpelling,
    /// The signed time is outside this flavour's window.
    Clock,
    /// `Host` is not this server's (Misskey compares literally).
    Host,
    /// The signing key cannot be fetched, or its owner does not list it back.
    Key,
    /// The signer is not the activity's `actor`.
    Signer,
    /// `Content-Type` of a POST is neither `application/activity+json` nor `ld+json` with the profile (GoToSocial: 406).
    ContentType,
    /// The body is not a JSON object, or larger than Misskey's 64 KiB.
    Body,
    /// An activity without an `id` (GoToSocial drops it), or one that is not on its actor's host.
    Id,
    /// An activity without the ActivityStreams `@context` (Pixelfed's validator).
    Context,
    /// One activity id with two different bodies.
    IdReused,
    /// Accept or Reject does not embed the Follow with `id`, `type`, `actor` and `object` as strings (Pixelfed,
    /// GoToSocial, Misskey).
    AcceptShape,
    /// Accept or Reject names a Follow nobody here sent, or is not said by the one who was followed.
    AcceptUnknown,
    /// Accept or Reject came through the shared inbox (PeerTube throws).
    AcceptInbox,
    /// A second Create, under another activity id, for a note already here: announced twice.
    RepeatedCreate,
    /// A Create or Update of a note that was deleted here.
    Resurrected,
    /// An Update of a note this server was never given: Mastodon and GoToSocial would show it as a new post.
    UnknownUpdate,
    /// A Delete of a note this server was never given.
    UnknownDelete,
    /// An Update that lacks `updated`, or changes `published`, the author or the audience.
    UpdateShape,
    /// A Note that some peer drops or misreads: arrays, dates, `attributedTo`, tags, language map, empty summary.
    NoteShape,
    /// Two notes with the same `url`: Pixelfed keeps only the first.
    NoteUrl,
    /// `to` and `cc` of activity and object differ, or Public is not spelled in full (Lemmy).
    Audience,
    /// Public appears where only followers were promised.
    PublicLeak,
    /// HTML that Mastodon would not keep as it is: other elements or attributes.
    Html,
    /// A picture that cannot be fetched, has no `mediaType`, or is not what that says (Akkoma, Pleroma).
    Media,
    /// A WebFinger, actor or note document is not what this flavour accepts.
    Document,
}

/// A fault before it is filed: rule and what was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) rule: Rule,
    pub(crate) detail: String,
}

impl Fault {
    pub(crate) fn new(rule: Rule, detail: impl Into<String>) -> Fault {
        Fault { rule, detail: detail.into() }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.detail)
    }
}

/// A protocol fault a server observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// When, by the system's clock.
    pub at: Timestamp,
    /// The rule that was broken.
    pub rule: Rule,
    /// The activity's id, or the document's address; empty if it has none.
    pub subject: String,
    /// What was seen, for a person to read.
    pub detail: String,
}
