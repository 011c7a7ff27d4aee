//! What a notice says.

use std::collections::HashMap;

use url::Url;

use super::escape::{attribute, block, plain, text};
use crate::model::{
    handle::{host_of, user_name},
    notices::{Notice, NoticeKind},
};

/// Visible characters of a display name that has a message to itself, at most; peers allow no more than some 100.
pub const MAX_NAME: usize = 120;
/// Visible characters of a display name in a merged line, at most.
pub const MAX_MERGED_NAME: usize = 40;
/// Visible characters of a handle or of the server's name, at most. A handle's host is never cut,
pub const MAX_HANDLE: usize = 64;
/// and so many of its user are left, however long the host.
const MIN_USER: usize = 8;
/// Names in a merged line, at most.
pub const MAX_NAMES: usize = 3;
/// Names that one server puts into a merged line, at most: nobody fills a line from a farm of accounts.
pub const MAX_NAMES_PER_SERVER: usize = 2;

/// What the wording needs of Owncast's configuration.
#[derive(Clone, Copy, Debug)]
pub struct Wording<'a> {
    /// The server's name.
    pub server: &'a str,
    /// Names that nobody may use in chat: who bears one is shown by the handle.
    pub forbidden: &'a [String],
}

impl Wording<'_> {
    /// One notice as a card (a system message): name in bold, the handle as a link to the person's page, what they did.
    pub fn card(&self, notice: &Notice) -> String {
        let handle = self.handle(notice);
        let linked = match page(notice) {
            Some(page) => format!(
                "<a href=\"{}\" rel=\"nofollow noopener noreferrer\" target=\"_blank\">{}</a>",
                attribute(&page),
                text(&handle)
            ),
            None => text(&handle),
        };
        let who = match self.name(notice, MAX_NAME) {
            Some(name) => format!("<strong>{}</strong> ({linked})", text(&name)),
            None => format!("<strong>{linked}</strong>"),
        };
        block(&format!("{who} {}", self.did(notice.kind, notice.live_post)))
    }

    /// One notice as a line (an action or a bot's message): the same without a link.
    pub fn line(&self, notice: &Notice) -> String {
        let handle = self.handle(notice);
        let who = match self.name(notice, MAX_NAME) {
            Some(name) => format!("<strong>{}</strong> ({})", text(&name), text(&handle)),
            None => format!("<strong>{}</strong>", text(&handle)),
        };
        block(&format!("{who} {}", self.did(notice.kind, notice.live_post)))
    }

    /// Several notices of one kind as one line: some names, the number of the others, what they did.
    ///
    /// Who did it several times counts once. All must agree in kind and in whether they are about this stream; the first
    /// decides. Empty for no notices.
    pub fn merged(&self, notices: &[&Notice]) -> String {
        let Some(first) = notices.first() else { return String::new() };
        let mut people: Vec<&Notice> = Vec::new();
        let mut known = std::collections::HashSet::new();
        for notice in notices {
            if known.insert(notice.actor.as_str()) {
                people.push(notice);
            }
        }
        let mut servers: HashMap<String, usize> = HashMap::new();
        let mut names: Vec<String> = Vec::new();
        for person in &people {
            if names.len() == MAX_NAMES {
                break;
            }
            // Here a name stands alone: one that reads like a handle is no name.
            let name = self
                .name(person, MAX_MERGED_NAME)
                .filter(|name| !name.contains(['@', '\u{ff20}', '\u{fe6b}']));
            let name = name.unwrap_or_else(|| self.handle(person));
            let from_there = servers.entry(host_of(&person.actor)).or_default();
            if *from_there < MAX_NAMES_PER_SERVER && !names.contains(&name) {
                *from_there += 1;
                names.push(name);
            }
        }
        let others = people.len() - names.len();
        let mut parts: Vec<String> =
            names.iter().map(|name| format!("<strong>{}</strong>", text(name))).collect();
        match others {
            0 => {}
            1 => parts.push("1 other".to_owned()),
            others => parts.push(format!("{others} others")),
        }
        let who = match parts.split_last() {
            Some((last, [])) => last.clone(),
            Some((last, before)) => format!("{} and {last}", before.join(", ")),
            None => return String::new(),
        };
        let did = match (first.kind, first.live_post) {
            (NoticeKind::Announce, true) => "shared this stream.".to_owned(),
            (kind, live_post) => self.did(kind, live_post),
        };
        block(&format!("{who} {did}"))
    }

    /// The words Owncast itself uses.
    fn did(&self, kind: NoticeKind, live_post: bool) -> String {
        let server = plain(self.server, MAX_HANDLE);
        let server = if server.is_empty() { "this server".to_owned() } else { text(&server) };
        match (kind, live_post) {
            (NoticeKind::Follow, _) => "followed this stream.".to_owned(),
            (NoticeKind::Like, true) => "liked that this stream went live.".to_owned(),
            (NoticeKind::Like, false) => format!("liked a post from {server}."),
            (NoticeKind::Announce, true) => "shared this stream with their followers.".to_owned(),
            (NoticeKind::Announce, false) => format!("shared a post from {server}."),
        }
    }

    /// The display name, unless there is nothing to see or it is a name nobody may use.
    fn name(&self, notice: &Notice, longest: usize) -> Option<String> {
        let name = plain(notice.name.as_deref()?, longest);
        (!name.is_empty() && !self.is_forbidden(&name)).then_some(name)
    }

    /// Whose server it is always shows, whatever the user is called there.
    fn handle(&self, notice: &Notice) -> String {
        let host = plain(&host_of(&notice.actor), usize::MAX);
        let user = notice.handle.rsplit_once('@').and_then(|(user, _)| user_name(user));
        match user.filter(|user| !self.is_forbidden(user)) {
            Some(user) => {
                let room = MAX_HANDLE.saturating_sub(host.chars().count() + 1).max(MIN_USER);
                format!("{}@{host}", plain(user, room))
            }
            None => host,
        }
    }

    fn is_forbidden(&self, name: &str) -> bool {
        let letters = folded(name);
        let words: Vec<String> = name.split(|c: char| !c.is_alphanumeric()).map(folded).collect();
        self.forbidden.iter().any(|name| {
            let forbidden = folded(name);
            !forbidden.is_empty() && (letters == forbidden || words.contains(&forbidden))
        })
    }
}

/// Letters and digits in lower case: `O w n c a s t!` is `owncast`.
fn folded(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The person's page, if it is an https address on the person's own host: a card must not lead elsewhere.
fn page(notice: &Notice) -> Option<String> {
    [&notice.link, &notice.actor].into_iter().find_map(|address| {
        let url = Url::parse(address).ok()?;
        let plain = url.scheme() == "https" && url.username().is_empty() && url.password().is_none();
        let home = host_of(address);
        (plain && !home.is_empty() && home == host_of(&notice.actor)).then(|| url.to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ulid::Ulid;

    fn notice(kind: NoticeKind, user: &str, host: &str, name: Option<&str>) -> Notice {
        Notice {
            id: Ulid(1),
            kind,
            actor: format!("https://{host}/users/{user}"),
            name: name.map(str::to_owned),
            handle: format!("{user}@{host}"),
            link: format!("https://{host}/@{user}"),
            live_post: true,
            at: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    fn forbidden() -> Vec<String> {
        ["owncast", "operator", "admin", "system"].map(str::to_owned).to_vec()
    }

    fn seen(html: &str) -> String {
        scraper::Html::parse_fragment(html).root_element().text().collect()
    }

    fn links(html: &str) -> Vec<String> {
        let a = scraper::Selector::parse("a").unwrap();
        let page = scraper::Html::parse_fragment(html);
        page.select(&a).filter_map(|a| a.attr("href")).map(str::to_owned).collect()
    }

    #[test]
    fn each_kind_says_what_owncast_says() {
        let forbidden = forbidden();
        let wording = Wording { server: "Ada's <b>workshop</b>", forbidden: &forbidden };
        use NoticeKind::{Announce, Follow, Like};
        for (kind, live, words) in [
            (Follow, true, "followed this stream."),
            (Follow, false, "followed this stream."),
            (Like, true, "liked that this stream went live."),
            (Like, false, "liked a post from Ada's <b>workshop</b>."),
            (Announce, true, "shared this stream with their followers."),
            (Announce, false, "shared a post from Ada's <b>workshop</b>."),
        ] {
            let mut notice = notice(kind, "ana", "peer.example", Some("Ana"));
            notice.live_post = live;
            let (card, line) = (wording.card(&notice), wording.line(&notice));
            for html in [&card, &line] {
                assert_eq!(seen(html), format!("Ana (ana@peer.example) {words}"));
                assert!(html.starts_with("<p><strong>Ana</strong> ") && !html.contains('\n'), "{html}");
            }
            assert_eq!(links(&card), ["https://peer.example/@ana"]);
            assert_eq!(links(&line), [""; 0]);
        }
    }

    #[test]
    fn a_name_that_is_missing_or_forbidden_gives_way_to_the_handle() {
        let forbidden = forbidden();
        let wording = Wording { server: "S", forbidden: &forbidden };
        for (name, shown) in [
            (None, "bo@peer.example"),
            (Some(" \u{202e} "), "bo@peer.example"),
            (Some("Owncast"), "bo@peer.example"),
            (Some("O w n c a s t!"), "bo@peer.example"),
            (Some("the ADMIN: read this"), "bo@peer.example"),
            (Some("\u{200b}sys\u{200b}tem"), "bo@peer.example"),
            (Some("Administrative"), "Administrative (bo@peer.example)"),
        ] {
            let notice = notice(NoticeKind::Follow, "bo", "peer.example", name);
            let expected = format!("{shown} followed this stream.");
            assert_eq!(seen(&wording.card(&notice)), expected, "{name:?}");
            assert_eq!(seen(&wording.line(&notice)), expected, "{name:?}");
        }
    }

    #[test]
    fn a_handle_shows_whose_server_it_is_and_says_nothing_else() {
        let forbidden = forbidden();
        let wording = Wording { server: "S", forbidden: &forbidden };
        let long = format!("{}.example", "h".repeat(60));
        let fake = format!("gargron@mastodon.social{}", "-".repeat(60));
        for (user, host, shown) in [
            ("admin", "peer.example", "peer.example"),
            ("A.d.m.i.n", "peer.example", "peer.example"),
            ("ADMIN-this-stream-has-moved", "peer.example", "peer.example"),
            ("ADMIN: this stream has moved", "peer.example", "peer.example"),
            (&fake, "peer.example", "peer.example"),
            ("administrative", "peer.example", "administrative@peer.example"),
            (&"u".repeat(64), "peer.example", &format!("{}…@peer.example", "u".repeat(50))),
            (&"u".repeat(64), &long, &format!("uuuuuuu…@{long}")),
        ] {
            let mut notice = notice(NoticeKind::Follow, user, host, None);
            notice.actor = format!("https://{host}/users/7");
            let expected = format!("{shown} followed this stream.");
            assert_eq!(seen(&wording.card(&notice)), expected);
            assert_eq!(seen(&wording.line(&notice)), expected);
            assert_eq!(seen(&wording.merged(&[&notice])), expected);
        }
        let imposter = notice(NoticeKind::Follow, "eve", "evil.example", Some("gargron@mastodon.social"));
        assert_eq!(seen(&wording.merged(&[&imposter])), "eve@evil.example followed this stream.");
    }

    #[test]
    fn a_card_links_only_to_the_persons_own_host() {
        let wording = Wording { server: "S", forbidden: &[] };
        let actor = "https://peer.example/users/ana";
        for (link, expected) in [
            ("https://peer.example/@ana", "https://peer.example/@ana"),
            ("https://PEER.example/\"><script>", "https://peer.example/%22%3E%3Cscript%3E"),
            ("javascript:alert(1)", actor),
            ("http://peer.example/@ana", actor),
            ("https://evil.example/@ana", actor),
            ("https://me:pw@peer.example/", actor),
            ("", actor),
        ] {
            let mut notice = notice(NoticeKind::Follow, "ana", "peer.example", Some("Ana"));
            notice.link = link.to_owned();
            let card = wording.card(&notice);
            assert_eq!(links(&card), [expected], "{link}");
            assert_eq!(seen(&card), "Ana (ana@peer.example) followed this stream.");
        }
        let mut odd = notice(NoticeKind::Follow, "ana", "peer.example", Some("Ana"));
        odd.actor = "http://peer.example/users/ana".to_owned();
        odd.link = String::new();
        assert_eq!(links(&wording.card(&odd)), [""; 0]);
    }

    #[test]
    fn hostile_names_and_handles_add_no_element() {
        let wording = Wording { server: "<i>", forbidden: &[] };
        let name = "<img src=x onerror=alert(1)> **x** :heart: https://evil.example\n# x";
        let mut hostile = notice(NoticeKind::Like, "x", "peer.example", Some(name));
        hostile.handle = "<script>@evil.example".to_owned();
        hostile.live_post = false;
        for html in [wording.card(&hostile), wording.line(&hostile), wording.merged(&[&hostile])] {
            let page = scraper::Html::parse_fragment(&html);
            let all = scraper::Selector::parse("*").unwrap();
            for element in page.select(&all).skip(1) {
                assert!(["p", "strong", "a", "em"].contains(&element.value().name()), "{html}");
            }
            assert!(seen(&html).starts_with("<img src=x onerror=alert(1)> **x** :hea"), "{}", seen(&html));
        }
    }

    #[test]
    fn a_merged_line_names_a_few_and_counts_the_rest() {
        let wording = Wording { server: "S", forbidden: &[] };
        let many = |count: usize, hosts: usize| -> Vec<Notice> {
            (0..count)
                .map(|n| {
                    let host = format!("h{}.example", n % hosts);
                    notice(NoticeKind::Announce, &format!("u{n}"), &host, Some(&format!("P{n}")))
                })
                .collect()
        };
        for (count, hosts, expected) in [
            (1, 1, "P0 shared this stream."),
            (2, 1, "P0 and P1 shared this stream."),
            (3, 1, "P0, P1 and 1 other shared this stream."),
            (43, 1, "P0, P1 and 41 others shared this stream."),
            (3, 3, "P0, P1 and P2 shared this stream."),
            (2_000, 2, "P0, P1, P2 and 1997 others shared this stream."),
        ] {
            let notices = many(count, hosts);
            let all: Vec<&Notice> = notices.iter().collect();
            assert_eq!(seen(&wording.merged(&all)), expected);
            // Twice by the same person is once.
            let twice: Vec<&Notice> = all.iter().chain(&all).copied().collect();
            assert_eq!(seen(&wording.merged(&twice)), expected);
        }
        assert_eq!(wording.merged(&[]), "");
    }
}
