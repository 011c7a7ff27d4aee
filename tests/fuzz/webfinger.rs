//! WebFinger: what others ask of us in whatever spelling is one answer about one actor, or none.

use owncast_herald::activitypub::vocab::discovery::webfinger;
use owncast_herald::model::Addresses;
use owncast_herald::model::facts::Facts;

use crate::run::{Target, fuzz};

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
    fuzz(&Target { name: "webfinger", also: Vec::new(), words: WORDS, cases: 60_000 }, check);
}

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
