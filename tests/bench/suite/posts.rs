//! Posts and rules of a stream at their simplest.

use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use owncast_herald::decide::publish::Announcement;
use owncast_herald::decide::rules::OnEnd;
use owncast_herald::decide::{Moment, Rules, publish};
use owncast_herald::model::delivery::Outgoing;
use owncast_herald::model::facts::Facts;
use owncast_herald::model::post::Audience;
use owncast_herald::model::view::MemoryView;
use owncast_herald::model::{Addresses, Draft};
use ulid::Ulid;

/// A Create as the agent sends it.
pub fn create(addresses: &Addresses) -> anyhow::Result<String> {
    let rules = rules(addresses);
    let facts = Facts { name: "New Owncast Server".into(), ..Facts::default() };
    let view = MemoryView::default();
    let mut draft = Draft::new(&view);
    let mut moment = Moment::new(Timestamp::now(), 7);
    let session = moment.ulid();
    let post = publish::announce(&mut draft, &mut moment, &rules, &facts, plain(session));
    let outgoing: Outgoing = draft.view().get(&post.create.to_bytes()).context("no Create was queued")?;
    Ok(outgoing.body)
}

/// A post with the built-in text, without title and picture.
pub fn plain(session: Ulid) -> Announcement<'static> {
    Announcement { session, template: "", title: "", picture: None }
}

/// Rules of a public stream with everything at its simplest.
pub fn rules(addresses: &Addresses) -> Rules {
    Rules {
        addresses: addresses.clone(),
        go_live: true,
        delay: Duration::ZERO,
        repost_after: Duration::ZERO,
        title_edits: Duration::ZERO,
        on_end: OnEnd::Update,
        with_picture: false,
        audience: Audience::Public,
        manual_approval: false,
        message: None,
        language: None,
    }
}
