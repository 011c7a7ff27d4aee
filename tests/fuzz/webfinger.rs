//! WebFinger: what others ask of us in whatever spelling is one answer about one actor, or none; and what others answer
//! sends nobody elsewhere.

use owncast_herald::activitypub::json;
use owncast_herald::activitypub::vocab::discovery::webfinger;
use owncast_herald::fetch::Described;
use owncast_herald::model::Addresses;
use owncast_herald::model::facts::Facts;
use owncast_herald::model::origin::{Origin, RemotePolicy, parse_remote};
use owncast_herald::serve::follow_page::target;
use url::Url;

use crate::run::{JSON, Target, fuzz};

fn check(bytes: &[u8]) {
    let resource = String::from_utf8_lossy(bytes);
    let addresses = Addresses::new("https://live.example", "streamer");
    let facts = Facts { name: "Ana".to_owned(), ..Facts::default() };
    let Ok(answer) = webfinger(&addresses, &facts, &resource) else { return };
    // One of whom is asked in any way is asked by the canonical one as well.
    assert_eq!(answer["subject"], "acct:streamer@live.example", "{resource:?}");
    assert_eq!(answer["links"][0]["href"], addresses.actor());
    let aliases = answer["aliases"].as_array().unwrap();
    for again in aliases.iter().chain([&answer["subject"]]) {
        assert_eq!(webfinger(&addresses, &facts, again.as_str().unwrap()).as_ref(), Ok(&answer), "{again}");
    }
    let asked = resource.to_lowercase();
    // Else it is an international spelling, which a parser of names reads.
    let plain = asked.is_ascii() && !asked.contains('%');
    assert!(!plain || asked.contains("live.example"), "{resource:?} does not name us");
    assert!(asked.contains("streamer") || !asked.contains('@'), "{resource:?} names somebody else");
}

#[test]
fn whoever_is_asked_for_it_is_one_actor() {
    fuzz(&Target { name: "webfinger", also: Vec::new(), words: &[WORDS], cases: 60_000 }, check);
}

/// The page that asks where somebody can follow us goes to the server asked, or the one that answered, with our name whole.
fn check_answer(bytes: &[u8]) {
    let Ok(document) = json::parse(bytes) else { return };
    let origin = |text: &str| Origin::of(&Url::parse(text).unwrap()).unwrap();
    let origins = [origin("https://peer.example/"), origin("https://social.peer.example/")];
    let described = Described { document, origins: origins.clone() };
    let policy = RemotePolicy::default();
    for us in ["streamer@live.example", "a&b=c#d?@live.example"] {
        let Ok(to) = target(&described, us, &policy) else { continue };
        assert!(origins.contains(&Origin::of(&to).unwrap()), "{to}");
        assert_eq!(
            parse_remote(to.as_str(), &policy).as_ref(),
            Ok(&to),
            "an address that is refused elsewhere"
        );
        let encoded: String = url::form_urlencoded::byte_serialize(us.as_bytes()).collect();
        assert!(to.as_str().contains(&encoded), "{to}");
        assert!(!to.as_str().contains("{uri}"), "{to}");
    }
}

#[test]
fn an_answer_sends_nobody_elsewhere() {
    fuzz(
        &Target { name: "webfinger-answers", also: Vec::new(), words: &[JSON, ANSWER_WORDS], cases: 40_000 },
        check_answer,
    );
}

const ANSWER_WORDS: &[&str] = &[
    "\"links\":",
    "\"rel\":",
    "\"template\":",
    "\"href\":",
    "\"subject\":",
    "http://ostatus.org/schema/1.0/subscribe",
    "{uri}",
    "{uri}{uri}",
    "{",
    "uri}",
    "%7Buri%7D",
    "https://peer.example/",
    "https://social.peer.example/",
    "https://evil.example/",
    "//",
    "http://",
    "@",
    ".evil.example",
    ":8443",
    "?uri=",
    "#",
    "\\u007b",
    "\\",
    "\\n",
    "/../",
    "javascript:",
    "peer.example",
    " ",
    "\u{202e}",
    "&",
    "=",
];

const WORDS: &[&str] = &[
    "acct:",
    "ACCT:",
    "@",
    "@@",
    "streamer",
    "STREAMER",
    "live.example",
    "LIVE.example",
    "live.example.",
    "example",
    ":443",
    ":80",
    ":",
    "/",
    "//",
    "https://",
    "http://",
    "HTTPS://",
    "#",
    "?",
    "%40",
    "%2e",
    "\\",
    " ",
    "\n",
    "\t",
    "xn--",
    "\u{ff4c}ive.example",
    "live\u{3002}example",
    "\u{200b}",
    "\u{202e}",
    "/federation/user/streamer",
    "evil.example",
    "user:pw@",
    "[::1]",
    "..",
    "\u{131}",
];
