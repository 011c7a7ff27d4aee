//! Numbers for Prometheus. Every label is a closed enum, so nothing a stranger sends can make new series.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabel, EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::model::delivery::OutgoingKind;

/// The media type of [`Metrics::encode`] (OpenMetrics 1.0, "Protocol negotiation").
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A label with a closed set of values.
trait Label: Copy + Eq + std::hash::Hash + fmt::Debug + Send + Sync + 'static {
    /// The label's name.
    const NAME: &'static str;
    /// Every value, so that each series exists with 0 from the start and its first step is seen.
    const ALL: &'static [Self];
    /// The value's text.
    fn text(self) -> &'static str;
}

macro_rules! label {
    ($(#[$doc:meta])* $name:ident as $label:literal { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant),+ }

        impl Label for $name {
            const NAME: &'static str = $label;
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            fn text(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
    };
}

label! {
    /// What became of a request to the inbox.
    InboxOutcome as "outcome" {
        /// Verified and acted on.
        Accepted = "accepted",
        /// Answered 202, and nothing to do.
        Ignored = "ignored",
        /// Seen before.
        Duplicate = "duplicate",
        /// From a blocked actor or server.
        Blocked = "blocked",
        /// Larger or slower than allowed.
        OverLimit = "over_limit",
        /// Not an activity that can be read.
        Malformed = "malformed",
        /// The signature is missing, incomplete, or wrong.
        BadSignature = "bad_signature",
        /// The signer's key could not be had.
        KeyUnavailable = "key_unavailable",
        /// Turned away because a budget is used up.
        Overloaded = "overloaded",
        /// The store could not take it.
        StoreFailed = "store_failed",
    }
}
label! {
    /// What became of one attempt to deliver.
    DeliveryOutcome as "outcome" {
        /// Taken by the other server.
        Reached = "reached",
        /// Tried again later.
        Retried = "retried",
        /// Refused for good.
        Refused = "refused",
        /// The inbox exists no more.
        Gone = "gone",
        /// Too old to be sent.
        Expired = "expired",
        /// Overtaken by a later activity, or blocked since.
        Dropped = "dropped",
    }
}
label! {
    /// What another server has taken.
    Delivered as "kind" {
        /// The answer to a Follow.
        Answer = "answer",
        /// A post.
        Post = "post",
        /// An edit of a post.
        Edit = "edit",
        /// A removal of a post.
        Removal = "removal",
        /// A changed profile.
        Profile = "profile",
    }
}

impl From<OutgoingKind> for Delivered {
    fn from(kind: OutgoingKind) -> Self {
        match kind {
            OutgoingKind::Accept | OutgoingKind::Reject => Delivered::Answer,
            OutgoingKind::Create => Delivered::Post,
            OutgoingKind::Update => Delivered::Edit,
            OutgoingKind::Delete => Delivered::Removal,
            OutgoingKind::ActorUpdate => Delivered::Profile,
        }
    }
}
label! {
    /// What became of a look-up of somebody else's document.
    FetchOutcome as "outcome" {
        /// Fetched.
        Fetched = "fetched",
        /// Known already.
        Cached = "cached",
        /// Exists no more.
        Gone = "gone",
        /// Its address, size, type or origin is not allowed.
        Refused = "refused",
        /// The other server did not answer well.
        Failed = "failed",
        /// Not tried because a budget is used up.
        OverBudget = "over_budget",
    }
}
label! {
    /// What became of a chat notice.
    NoticeOutcome as "outcome" {
        /// Sent to the chat.
        Sent = "sent",
        /// Became part of a line for many.
        Merged = "merged",
        /// Counted only: switched off, too old, or chat is closed.
        Withheld = "withheld",
        /// Owncast did not take it.
        Failed = "failed",
    }
}
label! {
    /// Whether a chat message was seen in chat after it was sent.
    Confirmation as "outcome" {
        /// It came back over the chat websocket.
        Confirmed = "confirmed",
        /// It did not, while the websocket was there.
        Unconfirmed = "unconfirmed",
    }
}
label! {
    /// What was posted.
    PostKind as "kind" {
        /// The stream has started.
        GoLive = "go_live",
        /// A post was edited.
        Edit = "edit",
        /// A post was edited to say that the stream is over.
        End = "end",
        /// A post was deleted.
        Delete = "delete",
        /// Written by the operator.
        Note = "note",
    }
}

/// One label as a whole label set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Only<L>(L);

impl<L: Label> EncodeLabelSet for Only<L> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        (L::NAME, self.0.text()).encode(encoder.encode_label())
    }
}

type Counts<L> = Family<Only<L>, Counter>;

/// Every number of the program, in a registry of our own. Cheap to clone; clones count together.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    /// Accepted followers.
    pub followers: Gauge,
    /// Deliveries waiting, retries included.
    pub delivery_queue: Gauge,
    /// Servers that failed so often that they are asked one thing at a time.
    pub hosts_shut: Gauge,
    /// Servers dead for so long that nothing new is kept for them.
    pub hosts_parked: Gauge,
    /// Inboxes that refuse for long, though their servers answer.
    pub inboxes_parked: Gauge,
    /// 1 while Owncast answers, else 0.
    pub owncast_up: Gauge,
    /// Size of the store on disk in bytes.
    pub store_bytes: Gauge<u64, AtomicU64>,
    /// Free space on the store's disk in bytes.
    pub store_free_bytes: Gauge<u64, AtomicU64>,
    inbox: Counts<InboxOutcome>,
    deliveries: Counts<DeliveryOutcome>,
    delivered: Counts<Delivered>,
    fetches: Counts<FetchOutcome>,
    notices: Counts<NoticeOutcome>,
    confirmations: Counts<Confirmation>,
    posts: Counts<PostKind>,
}

impl Metrics {
    /// A registry with every series at 0.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("herald");
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The running program", build);
        let followers = Gauge::default();
        registry.register("followers", "Accepted followers", followers.clone());
        let delivery_queue = Gauge::default();
        registry.register("delivery_queue", "Deliveries waiting, retries included", delivery_queue.clone());
        let hosts_shut = Gauge::default();
        registry.register("delivery_hosts_shut", "Servers left alone after failures", hosts_shut.clone());
        let hosts_parked = Gauge::default();
        registry.register("delivery_hosts_parked", "Servers dead for long", hosts_parked.clone());
        let inboxes_parked = Gauge::default();
        registry.register(
            "delivery_inboxes_parked",
            "Inboxes that refuse for long, though their servers answer",
            inboxes_parked.clone(),
        );
        let owncast_up = Gauge::default();
        registry.register("owncast_up", "1 while Owncast answers", owncast_up.clone());
        let store_bytes = Gauge::<u64, AtomicU64>::default();
        registry.register_with_unit("store", "Size of the store on disk", Unit::Bytes, store_bytes.clone());
        let store_free_bytes = Gauge::<u64, AtomicU64>::default();
        registry.register_with_unit(
            "store_free",
            "Free space on the store's disk",
            Unit::Bytes,
            store_free_bytes.clone(),
        );
        Self {
            followers,
            delivery_queue,
            hosts_shut,
            hosts_parked,
            inboxes_parked,
            owncast_up,
            store_bytes,
            store_free_bytes,
            delivered: counts(
                &mut registry,
                "delivered_activities",
                "Activities taken by other servers by kind",
            ),
            inbox: counts(&mut registry, "inbox_requests", "Requests to the inbox by outcome"),
            deliveries: counts(&mut registry, "delivery_attempts", "Attempts to deliver by outcome"),
            fetches: counts(
                &mut registry,
                "fetch_documents",
                "Look-ups of other servers' documents by outcome",
            ),
            notices: counts(&mut registry, "chat_notices", "Chat notices by outcome"),
            confirmations: counts(
                &mut registry,
                "chat_confirmations",
                "Chat messages sent, by whether they were seen in chat",
            ),
            posts: counts(&mut registry, "published_posts", "Posts and changes to posts by kind"),
            registry: Arc::new(registry),
        }
    }

    /// Counts a request to the inbox.
    pub fn inbox(&self, outcome: InboxOutcome) {
        self.inbox.get_or_create(&Only(outcome)).inc();
    }

    /// Counts an attempt to deliver.
    pub fn delivery(&self, outcome: DeliveryOutcome) {
        self.deliveries.get_or_create(&Only(outcome)).inc();
    }

    /// Counts an activity that another server has taken.
    pub fn delivered(&self, kind: Delivered) {
        self.delivered.get_or_create(&Only(kind)).inc();
    }

    /// Counts a look-up.
    pub fn fetch(&self, outcome: FetchOutcome) {
        self.fetches.get_or_create(&Only(outcome)).inc();
    }

    /// Counts `how_many` chat notices.
    pub fn notices(&self, outcome: NoticeOutcome, how_many: u64) {
        self.notices.get_or_create(&Only(outcome)).inc_by(how_many);
    }

    /// Counts `how_many` chat messages.
    pub fn confirmations(&self, outcome: Confirmation, how_many: u64) {
        self.confirmations.get_or_create(&Only(outcome)).inc_by(how_many);
    }

    /// Counts a post.
    pub fn post(&self, kind: PostKind) {
        self.posts.get_or_create(&Only(kind)).inc();
    }

    /// The text that Prometheus reads; see [`CONTENT_TYPE`].
    pub fn encode(&self) -> String {
        let mut text = String::new();
        match encode(&mut text, &self.registry) {
            Ok(()) => text,
            // Half an answer would read as counters that fell.
            Err(fmt::Error) => String::new(),
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

fn counts<L: Label>(registry: &mut Registry, name: &str, help: &str) -> Counts<L> {
    let family = Counts::<L>::default();
    for value in L::ALL {
        drop(family.get_or_create(&Only(*value)));
    }
    registry.register(name, help, family.clone());
    family
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_is_there_from_the_start() {
        let text = Metrics::new().encode();
        for line in [
            concat!("herald_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
            "herald_followers 0",
            "herald_delivery_queue 0",
            "herald_delivery_hosts_shut 0",
            "herald_delivery_hosts_parked 0",
            "herald_delivery_inboxes_parked 0",
            "herald_owncast_up 0",
            "herald_store_bytes 0",
            "herald_inbox_requests_total{outcome=\"bad_signature\"} 0",
            "herald_store_free_bytes 0",
            "herald_delivery_attempts_total{outcome=\"reached\"} 0",
            "herald_delivered_activities_total{kind=\"post\"} 0",
            "herald_fetch_documents_total{outcome=\"cached\"} 0",
            "herald_chat_notices_total{outcome=\"merged\"} 0",
            "herald_published_posts_total{kind=\"go_live\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn clones_count_together() {
        let metrics = Metrics::new();
        let clone = metrics.clone();
        clone.inbox(InboxOutcome::Accepted);
        metrics.inbox(InboxOutcome::Accepted);
        clone.delivery(DeliveryOutcome::Gone);
        clone.fetch(FetchOutcome::Refused);
        clone.notices(NoticeOutcome::Merged, 41);
        clone.post(PostKind::End);
        clone.followers.set(7);
        clone.store_bytes.set(1 << 40);
        let text = metrics.encode();
        for line in [
            "herald_inbox_requests_total{outcome=\"accepted\"} 2",
            "herald_delivery_attempts_total{outcome=\"gone\"} 1",
            "herald_fetch_documents_total{outcome=\"refused\"} 1",
            "herald_chat_notices_total{outcome=\"merged\"} 41",
            "herald_published_posts_total{kind=\"end\"} 1",
            "herald_followers 7",
            "herald_store_bytes 1099511627776",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
