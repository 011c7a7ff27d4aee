//! The session machine: which post goes out when, and which never does.

use super::*;
use crate::decide::stream::{Did, Offer, Outcome, Sight, sight};
use crate::model::post::PostState;
use crate::model::stream::{Phase, Stream};

/// Owncast and the program beside it, both on one clock unless a test says otherwise.
pub(super) struct Show {
    pub world: World,
    pub rules: Rules,
    pub facts: Facts,
    pub title: String,
    pub offer: Offer,
    /// So many seconds behind an answer it is decided about.
    pub late: i64,
    connected: Option<Timestamp>,
    disconnected: Option<Timestamp>,
    online: bool,
}

pub(super) fn real() -> Offer {
    Offer::Real { picture: picture(), source: "ab".to_owned() }
}

impl Show {
    pub fn new(rules: Rules) -> Show {
        let mut world = World::default();
        world.follow(at(-86_400), &person("ana", "peer.example"));
        Show {
            world,
            rules,
            facts: facts(),
            title: "Etching".to_owned(),
            offer: real(),
            late: 0,
            connected: None,
            disconnected: None,
            online: false,
        }
    }

    pub fn connect(&mut self, now: i64) {
        (self.connected, self.disconnected, self.online) = (Some(at(now)), None, true);
    }

    pub fn drop_encoder(&mut self, now: i64) {
        (self.connected, self.disconnected, self.online) = (None, Some(at(now)), false);
    }

    /// Owncast was restarted and does not know when the last encoder went.
    pub fn crash(&mut self) {
        (self.connected, self.disconnected, self.online) = (None, None, false);
    }

    /// Owncast was restarted and tells of the end it had saved, which is an earlier one.
    pub fn crash_with_saved_end(&mut self, saved: i64) {
        self.crash();
        self.disconnected = Some(at(saved));
    }

    /// The encoder is connected, but there is nothing to watch yet.
    pub fn not_online(&mut self) {
        self.online = false;
    }

    /// One poll, as the watcher does it: a second look with a picture where the first asks for one.
    pub fn look(&mut self, now: i64) -> Vec<Did> {
        let first = self.look_with(now, now, &Offer::NotAsked);
        let mut did = first.did;
        if first.is_due {
            let offer = self.offer.clone();
            did.extend(self.look_with(now, now, &offer).did);
        }
        did
    }

    /// One decision, with Owncast's clock apart from ours.
    pub fn look_with(&mut self, now: i64, server: i64, offer: &Offer) -> Outcome {
        let seen = Sight {
            at: at(now),
            server_time: at(server),
            connected: self.connected,
            disconnected: self.disconnected,
            online: self.online,
            title: self.title.clone(),
        };
        let (rules, facts) = (self.rules.clone(), self.facts.clone());
        let now = at(now + self.late);
        self.world.act(now, |draft, moment| sight(draft, moment, &rules, &facts, &seen, offer))
    }

    /// Polls every five seconds.
    pub fn watch(&mut self, seconds: std::ops::RangeInclusive<i64>) -> Vec<Did> {
        seconds.step_by(5).flat_map(|now| self.look(now)).collect()
    }

    pub fn phase(&self) -> Option<Phase> {
        self.world.view().meta::<Stream>().session.map(|session| session.phase)
    }

    pub fn posts(&self) -> Vec<Post> {
        self.world.all()
    }

    pub fn states(&self) -> Vec<PostState> {
        self.posts().iter().map(|post| post.state).collect()
    }

    pub fn updates(&self) -> usize {
        self.world.sent(OutgoingKind::Update).len()
    }
}

/// The one post of a show that has one.
pub(super) fn announced(did: &[Did]) -> Vec<Ulid> {
    did.iter().filter_map(|did| if let Did::Announced(id) = did { Some(*id) } else { None }).collect()
}

#[test]
fn a_post_goes_out_after_the_delay_and_once() {
    let mut show = Show::new(rules());
    show.connect(0);
    assert_eq!(show.watch(0..=59), [Did::Started]);
    let did = show.watch(60..=600);
    assert!(matches!(did[..], [Did::Announced(_)]), "{did:?}");
    assert_eq!(show.phase(), Some(Phase::Live));
    assert_eq!((show.states(), show.updates()), (vec![PostState::Live], 0));
    assert_eq!(show.world.sent(OutgoingKind::Create).len(), 1);
    assert_eq!(show.posts()[0].picture, Some(picture()));
}

#[test]
fn without_a_real_picture_it_waits_until_the_deadline() {
    for (delay, with_picture, offer, due) in [
        (60, true, Offer::NoneYet, 90),
        (0, true, Offer::NoneYet, 90),
        (120, true, Offer::NoneYet, 120),
        (60, false, Offer::NoneYet, 60),
        (0, false, Offer::NoneYet, 0),
        (0, true, real(), 0),
        (120, true, real(), 120),
    ] {
        let mut show = Show::new(Rules { delay: secs(delay), with_picture, ..rules() });
        show.offer = offer.clone();
        show.connect(0);
        let out = (0..300).find(|now| !announced(&show.look(*now)).is_empty());
        assert_eq!(out, Some(due), "{delay} {with_picture} {offer:?}");
        let got = show.posts()[0].picture.is_some();
        assert_eq!(got, with_picture && offer != Offer::NoneYet);
    }
}

#[test]
fn nothing_is_asked_of_owncast_before_the_post_is_due() {
    let mut show = Show::new(rules());
    show.connect(0);
    assert!(!show.look_with(59, 59, &Offer::NotAsked).is_due);
    assert!(show.look_with(60, 60, &Offer::NotAsked).is_due);
    // A picture that came unasked announces nothing early either.
    let mut early = Show::new(rules());
    early.connect(0);
    assert_eq!(early.look_with(30, 30, &real()).did, [Did::Started]);
}

#[test]
fn the_answer_for_the_picture_may_come_after_the_end() {
    let mut show = Show::new(rules());
    show.connect(0);
    show.watch(0..=55);
    assert!(show.look_with(60, 60, &Offer::NotAsked).is_due);
    show.drop_encoder(61);
    let did = show.look_with(100, 100, &real()).did;
    assert!(announced(&did).is_empty(), "{did:?}");
    assert!(show.posts().is_empty());
}

#[test]
fn a_stream_over_before_the_delay_is_never_announced() {
    for lasted in [1, 20, 59] {
        let mut show = Show::new(rules());
        show.connect(0);
        show.watch(0..=lasted);
        show.drop_encoder(lasted);
        let did = show.watch(lasted + 1..=3600);
        assert!(matches!(did[..], [Did::Lost, Did::Ended(None, _)]), "{did:?}");
        assert!(show.posts().is_empty());
        assert!(show.world.all::<Outgoing>().iter().all(|outgoing| outgoing.post.is_none()));
    }
}

#[test]
fn a_stream_over_while_nobody_watched_is_not_announced_late() {
    let mut show = Show::new(rules());
    show.connect(0);
    show.look(0);
    show.drop_encoder(50);
    // The program was down; Owncast is offline again, or is restarted and knows nothing.
    assert!(matches!(show.look(7200)[..], [Did::Lost, Did::Ended(None, _)]));
    assert!(show.posts().is_empty());
}

#[test]
fn switched_off_means_no_post_ever() {
    let mut show = Show::new(Rules { go_live: false, ..rules() });
    show.connect(0);
    show.watch(0..=3600);
    show.drop_encoder(3600);
    show.watch(3600..=4000);
    assert!(show.posts().is_empty());
    // Switched on in the middle of a stream, it goes out at the next look.
    show.connect(5000);
    show.watch(5000..=5200);
    show.rules.go_live = true;
    assert_eq!(announced(&show.look(5205)).len(), 1);
}

#[test]
fn a_flapping_encoder_is_one_stream_without_edits() {
    let mut show = Show::new(rules());
    show.connect(0);
    show.watch(0..=100);
    for start in (120..1200).step_by(60) {
        show.drop_encoder(start);
        assert_eq!(show.watch(start..=start + 24), [Did::Lost]);
        show.connect(start + 25);
        assert_eq!(show.watch(start + 25..=start + 55), [Did::Back]);
    }
    assert_eq!((show.states(), show.updates()), (vec![PostState::Live], 0));
}

#[test]
fn flapping_before_the_post_does_not_multiply_it() {
    let mut show = Show::new(rules());
    let mut did = Vec::new();
    for start in (0..300).step_by(50) {
        show.connect(start);
        did.extend(show.watch(start..=start + 29));
        show.drop_encoder(start + 30);
        did.extend(show.watch(start + 30..=start + 45));
    }
    assert_eq!(announced(&did).len(), 1, "{did:?}");
    show.connect(300);
    did = show.watch(300..=900);
    assert_eq!((announced(&did), show.posts().len()), (Vec::new(), 1), "{did:?}");
}

#[test]
fn a_stream_that_comes_back_soon_continues_its_post() {
    let mut show = Show::new(rules());
    show.connect(0);
    show.watch(0..=1000);
    show.drop_encoder(1000);
    let ended = show.watch(1000..=1200);
    assert!(matches!(ended[..], [Did::Lost, Did::Ended(Some(_), _)]), "{ended:?}");
    assert_eq!((show.states(), show.updates()), (vec![PostState::Ended], 1));
    show.connect(1800);
    let back = show.watch(1800..=2800);
    assert!(matches!(back[..], [Did::Continues, Did::Resumed(_)]), "{back:?}");
    assert_eq!((show.states(), show.updates()), (vec![PostState::Live], 2));
    let post = &show.posts()[0];
    assert_eq!(post.content, post.live_content);
    show.drop_encoder(3000);
    show.watch(3000..=4000);
    assert_eq!((show.states(), show.updates()), (vec![PostState::Ended], 3));
    assert_eq!(show.world.sent(OutgoingKind::Create).len(), 1);
}

#[test]
fn what_counts_is_the_end_of_the_announced_stream() {
    for (pause, posts) in [(899, 1), (901, 2)] {
        let mut show = Show::new(rules());
        show.connect(0);
        // Much longer than `repost-after`: the start of the last stream plays no part.
        show.watch(0..=100);
        (200..=20_000).step_by(50).for_each(|now| drop(show.look(now)));
        show.drop_encoder(20_000);
        show.watch(20_000..=20_100);
        show.connect(20_000 + pause);
        (20_000 + pause..21_200).for_each(|now| drop(show.look(now)));
        assert_eq!(show.posts().len(), posts, "{pause} s after the end");
        assert_eq!(show.states().last(), Some(&PostState::Live));
    }
}

#[test]
fn an_unannounced_stream_is_continued_by_none() {
    let mut show = Show::new(rules());
    show.connect(0);
    show.watch(0..=20);
    let first = show.world.view().meta::<Stream>().session.unwrap().id;
    show.drop_encoder(20);
    show.watch(20..=100);
    show.connect(100);
    let did = show.watch(100..=200);
    assert!(matches!(did[..], [Did::Started, Did::Announced(_)]), "{did:?}");
    let second = show.world.view().meta::<Stream>().session.unwrap().id;
    assert_ne!(first, second);
    assert_eq!(show.posts()[0].session, second);
}

#[test]
fn owncast_restarted_in_the_middle_is_the_same_stream() {
    let mut show = Show::new(rules());
    show.connect(0);
    show.watch(0..=300);
    show.crash();
    show.watch(310..=330);
    show.connect(335);
    assert_eq!(show.watch(335..=600), [Did::Back]);
    assert_eq!((show.states(), show.updates()), (vec![PostState::Live], 0));
}

#[test]
fn a_repeated_sight_changes_nothing() {
    let mut show = Show::new(rules());
    for now in [0, 60, 61] {
        show.connect(0);
        show.look(now);
        let before = show.world.view.clone();
        for _ in 0..3 {
            assert!(show.look(now).is_empty());
        }
        assert_eq!(bytes(&show.world), bytes_of(&before), "at {now}");
    }
    show.drop_encoder(70);
    for now in [71, 200] {
        show.look(now);
        let before = show.world.view.clone();
        assert!(show.look(now).is_empty());
        assert_eq!(bytes(&show.world), bytes_of(&before), "at {now}");
    }
}

fn bytes(world: &World) -> Vec<(Vec<u8>, Vec<u8>)> {
    bytes_of(&world.view)
}

fn bytes_of(view: &MemoryView) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut all = Vec::new();
    view.scan_bytes(b"", b"", &mut |key, value| {
        all.push((key.to_vec(), value.to_vec()));
        true
    });
    all
}
