//! What posts say while a stream runs, ends and comes back: always its last title.

use super::stream::Show;
use super::stream_life::live;
use super::*;
use crate::decide::stream::Did;
use crate::model::post::PostState;

/// What a post says about its title, in each place where it says it.
fn says(show: &Show, title: &str, tag: Option<&str>) {
    let post = show.posts().pop().unwrap();
    assert_eq!(post.title, title);
    let alt = match title {
        "" => "A still of the live stream Ada".to_owned(),
        title => format!("A still of the live stream Ada: {title}"),
    };
    assert_eq!((post.alt, post.tags), (alt, tag.into_iter().map(str::to_owned).collect::<Vec<_>>()));
    let newest = show.world.sent(OutgoingKind::Update).into_iter().next_back().unwrap();
    let body: serde_json::Value = serde_json::from_str(&newest.body).unwrap();
    assert_eq!(body["object"]["content"], post.content);
    assert!(post.content.contains(title.split(' ').next().unwrap_or_default()), "{}", post.content);
}

#[test]
fn the_end_has_the_last_title_whether_or_not_an_edit_had_it() {
    // Held back by the time between two edits, or by their number.
    for edits_before in [0, 1, 3] {
        let mut show = live(rules());
        for edit in 0..edits_before {
            show.title = format!("Edit {edit}");
            show.watch(700 * (edit + 1)..=700 * (edit + 1) + 5);
        }
        show.title = "Now #painting".to_owned();
        assert!(edits_before == 0 || show.watch(3000 - 700 * (3 - edits_before)..=3000).len() <= 1);
        show.title = "Last #words".to_owned();
        show.watch(3005..=3010);
        show.title = "The next stream".to_owned();
        show.drop_encoder(3020);
        show.watch(3020..=3100);
        assert_eq!(show.states(), [PostState::Ended]);
        assert!(show.posts()[0].content.starts_with("<p>The stream is over. It ran for 50 min.</p>"));
        let post = show.posts().pop().unwrap();
        assert_eq!((post.title.as_str(), post.tags), ("Last #words", vec!["words".to_owned()]));
        // When it comes back, it says what it is about now.
        show.connect(3200);
        assert!(matches!(show.watch(3200..=3300)[..], [Did::Continues, Did::Resumed(_)]));
        says(&show, "The next stream", None);
        assert!(!show.posts()[0].content.contains("over"));
    }
}

#[test]
fn a_title_can_be_cleared_set_back_and_changed_while_the_encoder_is_away() {
    let mut show = live(rules());
    show.title = String::new();
    assert!(matches!(show.watch(105..=1000)[..], [Did::Retitled(_)]));
    says(&show, "", None);
    show.title = "Etching".to_owned();
    assert!(matches!(show.watch(1005..=2000)[..], [Did::Retitled(_)]), "the one it had at first");
    says(&show, "Etching", None);
    show.drop_encoder(2005);
    show.look(2005);
    show.title = "Away #now".to_owned();
    assert!(show.look(2010).is_empty());
    show.connect(2020);
    let did = show.look(2020);
    assert!(matches!(did[..], [Did::Back, Did::Retitled(_)]), "{did:?}");
    says(&show, "Away #now", Some("now"));
}

#[test]
fn a_cleared_title_is_told_at_the_end_too() {
    let mut show = live(rules());
    show.title = String::new();
    show.look(105);
    show.drop_encoder(110);
    show.watch(110..=200);
    says(&show, "", None);
}

#[test]
fn a_post_keeps_the_message_it_was_made_with() {
    let mut show = live(Rules { message: Some("{title}\n\nat Ada's".to_owned()), ..rules() });
    show.rules.message = Some("Something else".to_owned());
    show.title = "B".to_owned();
    show.watch(105..=800);
    let words = "<p>B</p><p>at Ada&#39;s</p>";
    assert_eq!(show.posts()[0].content, words);
    show.drop_encoder(900);
    show.watch(900..=1000);
    assert_eq!(show.posts()[0].content, format!("<p>The stream is over. It ran for 15 min.</p>{words}"));
    // The next one has the new message.
    show.connect(3000);
    show.watch(3000..=3100);
    assert!(show.posts()[1].content.starts_with("<p>Something else</p><p>B</p>"));
}

#[test]
fn a_post_is_marked_with_the_language_of_its_words_where_it_is_known() {
    for (message, language, marked) in [
        (None, None, Some("en")),
        (None, Some("de"), Some("en")),
        (Some("Auf Sendung: {title}"), Some("de"), Some("de")),
        (Some("Auf Sendung: {title}"), None, None),
    ] {
        let (message, language) = (message.map(str::to_owned), language.map(str::to_owned));
        let mut show = live(Rules { message, language, ..rules() });
        // An edit keeps to it.
        show.rules.language = Some("fr".to_owned());
        show.drop_encoder(200);
        show.watch(200..=300);
        for kind in [OutgoingKind::Create, OutgoingKind::Update] {
            let body: serde_json::Value = serde_json::from_str(&show.world.sent(kind)[0].body).unwrap();
            let tags =
                body["object"]["contentMap"].as_object().map(|map| map.keys().cloned().collect::<Vec<_>>());
            assert_eq!(tags, marked.map(|tag| vec![tag.to_owned()]), "{kind:?}");
        }
    }
}

#[test]
fn a_stream_marked_as_unsafe_is_marked_in_every_edit_from_then_on() {
    let mut show = live(rules());
    show.facts.nsfw = true;
    show.title = "B".to_owned();
    show.watch(105..=800);
    assert!(marks(&show));
    show.facts.nsfw = false;
    show.title = "C".to_owned();
    show.watch(805..=2000);
    assert!(show.posts()[0].sensitive, "what was shown as unsafe is not unshown");
}

/// Whether the newest edit is marked as not safe for work.
fn marks(show: &Show) -> bool {
    let newest = show.world.sent(OutgoingKind::Update).into_iter().next_back().unwrap();
    let body: serde_json::Value = serde_json::from_str(&newest.body).unwrap();
    body["object"]["sensitive"] == true
}

#[test]
fn a_running_stream_that_becomes_unsafe_is_marked_at_once_and_in_one_edit() {
    let mut show = live(rules());
    show.facts.nsfw = true;
    assert!(matches!(show.look(105)[..], [Did::Marked(_)]), "however lately the post was made");
    assert!(marks(&show));
    show.facts.nsfw = false;
    show.look(110);
    show.facts.nsfw = true;
    assert!(show.watch(115..=3000).is_empty(), "it is told once");
    // Also where all edits of the title are used up.
    let mut show = live(rules());
    for edit in 1..=3 {
        show.title = format!("Edit {edit}");
        show.watch(700 * edit..=700 * edit + 5);
    }
    show.facts.nsfw = true;
    assert!(matches!(show.watch(2110..=5000)[..], [Did::Marked(_)]));
}

#[test]
fn an_edit_that_leaves_the_title_marks_a_stream_that_became_unsafe() {
    let mut show = live(rules());
    show.drop_encoder(102);
    show.look(105);
    show.facts.nsfw = true;
    show.watch(110..=200);
    assert!(marks(&show), "at the end");
    let mut show = live(rules());
    show.drop_encoder(102);
    show.watch(105..=200);
    show.facts.nsfw = true;
    show.connect(300);
    let did = show.watch(300..=400);
    assert!(matches!(did[..], [Did::Continues, Did::Resumed(_)]), "{did:?}");
    assert!(marks(&show), "when it is back");
}
