//! Names of strangers in chat. Through Owncast's rendering, as often as it renders, they stay text.

use owncast_herald::model::handle::host_of;
use owncast_herald::model::notices::{Notice, NoticeKind};
use owncast_herald::notice::escape::plain;
use owncast_herald::notice::wording::Wording;
use owncast_herald::sim::owncast::{ChatKind, page_of};
use scraper::{Html, Selector};
use ulid::Ulid;

use crate::run::{Target, fuzz};

/// Name, handle, actor, link and the server's name, each on a line of its own that ends with this.
const NEXT: char = '\u{1e}';

fn notice(parts: &[String], kind: NoticeKind) -> Notice {
    let part = |at: usize| parts.get(at).cloned().unwrap_or_default();
    Notice {
        id: Ulid(1),
        kind,
        actor: part(2),
        name: Some(part(0)).filter(|name| !name.is_empty()),
        handle: part(1),
        link: part(3),
        live_post: parts.len().is_multiple_of(2),
        at: jiff::Timestamp::UNIX_EPOCH,
    }
}

/// Elements that are ours, with the attributes that are ours.
fn assert_inert(page: &str, notice: &Notice, body: &str) {
    let parsed = Html::parse_fragment(page);
    let all = Selector::parse("*").unwrap();
    let mut links = 0;
    for element in parsed.select(&all).skip(1) {
        let attributes: Vec<(&str, &str)> = element.value().attrs().collect();
        match element.value().name() {
            "p" | "strong" | "em" => assert_eq!(attributes, [], "{page}"),
            "a" => {
                links += 1;
                for (name, value) in attributes {
                    let good = match name {
                        "href" => value.starts_with("https://") && host_of(value) == host_of(&notice.actor),
                        "rel" | "target" => true,
                        _ => false,
                    };
                    assert!(good, "{name}={value:?} in {page} of {body}");
                }
            }
            other => panic!("<{other}> in {page} of {body}"),
        }
    }
    assert!(links <= 1, "{page}");
}

fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let parts: Vec<String> = text.split(NEXT).map(str::to_owned).collect();
    let server = parts.get(4).cloned().unwrap_or_default();
    let forbidden = ["admin".to_owned()];
    let wording = Wording { server: &server, forbidden: &forbidden };
    let kinds = [NoticeKind::Follow, NoticeKind::Like, NoticeKind::Announce];
    let notice = notice(&parts, kinds[text.len() % 3]);
    let emoji = ["heart".to_owned(), "tada".to_owned()];
    let host = plain(&host_of(&notice.actor), usize::MAX);
    let other =
        Notice { name: Some("Bo".to_owned()), actor: "https://b.example/bo".to_owned(), ..notice.clone() };
    for body in [wording.card(&notice), wording.line(&notice)] {
        assert!(
            !body.contains(['\n', '\r']) && body.starts_with("<p>") && body.ends_with("</p>"),
            "{body:?}"
        );
        for kind in [ChatKind::System, ChatKind::Action, ChatKind::Bot] {
            let page = page_of(kind, &body, &emoji);
            assert_inert(&page, &notice, &body);
            // Whatever somebody is called, whose server it is shows.
            let shown: String = Html::parse_fragment(&page).root_element().text().collect();
            assert!(shown.contains(&host), "{host:?} is not in {shown:?}");
        }
    }
    let merged = wording.merged(&[&notice, &other]);
    for kind in [ChatKind::System, ChatKind::Action, ChatKind::Bot] {
        assert_inert(&page_of(kind, &merged, &emoji), &notice, &merged);
    }
    // What is shown once is shown the same again.
    let once = plain(&text, 64);
    assert_eq!(plain(&once, 65), once);
    assert!(!once.chars().any(char::is_control));
}

#[test]
fn a_name_in_chat_is_text() {
    fuzz(&Target { name: "chat", also: Vec::new(), words: &[WORDS], cases: 1_000 }, check);
}

const WORDS: &[&str] = &[
    "\u{1e}",
    "<",
    ">",
    "</p>",
    "<p>",
    "<script>",
    "</script>",
    "<img src=x onerror=alert(1)>",
    "<!--",
    "-->",
    "&",
    "&lt;",
    "&#60;",
    "&#x3c;",
    "&#10;",
    "&amp;",
    "**",
    "__",
    "*",
    "_",
    "`",
    "```",
    "~~",
    "#",
    "# ",
    "- ",
    "> ",
    "    ",
    "\n",
    "\n\n",
    "\r",
    "\t",
    "[a](https://evil.example)",
    "![i](//x)",
    "https://evil.example",
    "www.evil.example",
    "http://x",
    "mailto:a@b.c",
    "a@b.example",
    ":heart:",
    ":tada:",
    ":",
    "::",
    "@",
    "/",
    ".",
    "//",
    "\\",
    "\"",
    "'",
    "javascript:alert(1)",
    "\u{202e}",
    "\u{200d}",
    "\u{200b}",
    "\u{fe0f}",
    "\u{feff}",
    "\u{0}",
    "\u{1b}[2J",
    "\u{e9}",
    "\u{301}",
    "\u{1f468}\u{200d}\u{1f469}",
    "\u{3164}",
    "\u{2028}",
    "|",
    "{{x}}",
    "$x$",
    "^",
    "<a href=\"//x\">",
    "https://peer.example/@ana",
    "https://peer.example/users/ana",
    "<svg/onload=alert(1)>",
    "]]>",
    "<?x?>",
    "1.",
];
