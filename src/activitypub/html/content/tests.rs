use super::*;
use proptest::prelude::*;

fn tags(tags: &[&str]) -> Vec<String> {
    tags.iter().map(|tag| (*tag).to_owned()).collect()
}

fn values<'a>(title: &'a str, tags: &'a [String]) -> GoLive<'a> {
    GoLive { name: "Ada's <workshop>", title, summary: "One\n\nTwo", url: "https://live.example/", tags }
}

/// The elements of a piece of HTML, in order.
fn elements(html: &str) -> Vec<String> {
    let parsed = scraper::Html::parse_fragment(html);
    let all = scraper::Selector::parse("*").unwrap();
    parsed.select(&all).skip(1).map(|element| element.value().name().to_owned()).collect()
}

fn text(html: &str) -> String {
    scraper::Html::parse_fragment(html).root_element().text().collect()
}

const WATCH: &str =
    "<p><a href=\"https://live.example/\" rel=\"nofollow noopener\" target=\"_blank\">live.example</a></p>";

#[test]
fn owncasts_own_message_is_laid_out_as_owncast_does() {
    let tags = tags(&["owncast", "Übung", "maker"]);
    let html = go_live_content("I've gone live!", &values("Etching a PCB #Maker", &tags));
    assert_eq!(
        html,
        format!(
            "<p>I&#39;ve gone live!</p>\
             <p>Etching a PCB <a href=\"https://owncast.directory/tags/maker\" class=\"mention hashtag\" \
             rel=\"tag\">#<span>Maker</span></a></p>\
             <p><a href=\"https://owncast.directory/tags/owncast\" class=\"mention hashtag\" \
             rel=\"tag\">#<span>owncast</span></a> \
             <a href=\"https://owncast.directory/tags/%C3%9Cbung\" class=\"mention hashtag\" \
             rel=\"tag\">#<span>Übung</span></a></p>{WATCH}"
        )
    );
}

#[test]
fn a_template_is_laid_out_as_written() {
    let tags = tags(&["art"]);
    for (template, title, expected) in [
        ("", "", format!("<p>Ada&#39;s &lt;workshop&gt; is live!</p>{}{WATCH}", art())),
        (" \n", "T", format!("<p>Ada&#39;s &lt;workshop&gt; is live!</p><p>T</p>{}{WATCH}", art())),
        (
            "{title}\n{name}\n\n{summary}",
            "T",
            "<p>T<br>Ada&#39;s &lt;workshop&gt;</p><p>One<br>Two</p>".to_owned(),
        ),
        ("On air: {title}", "{url} {tags}", "<p>On air: {url} {tags}</p>".to_owned()),
        ("{title}\n\n{name} {nope}", "", "<p>Ada&#39;s &lt;workshop&gt; {nope}</p>".to_owned()),
        ("<b>{title}</b>\r\n\r\nx", "<i>", "<p>&lt;b&gt;&lt;i&gt;&lt;/b&gt;</p><p>x</p>".to_owned()),
        ("{url}", "", WATCH.to_owned()),
    ] {
        assert_eq!(go_live_content(template, &values(title, &tags)), expected, "{template:?}");
    }
}

fn art() -> &'static str {
    "<p><a href=\"https://owncast.directory/tags/art\" class=\"mention hashtag\" rel=\"tag\">#<span>art</span></a></p>"
}

#[test]
fn web_addresses_become_links_and_nothing_else_does() {
    for (typed, address) in [
        ("see https://x.example/a?b=1&c=2.", Some("https://x.example/a?b=1&c=2")),
        ("(http://x.example/)", Some("http://x.example/")),
        ("https://x.example/a_(b)!", Some("https://x.example/a_(b)")),
        ("\"https://x.example/\"onclick=", Some("https://x.example/")),
        ("javascript:alert(1)", None),
        ("https:// http://", None),
        ("xhttps://x.example", None),
        ("www.x.example", None),
    ] {
        let html = go_live_content(&format!("{typed}{{tags}}"), &values("", &[]));
        let parsed = scraper::Html::parse_fragment(&html);
        let links = scraper::Selector::parse("a").unwrap();
        let found: Vec<&str> = parsed.select(&links).filter_map(|a| a.attr("href")).collect();
        assert_eq!(found, address.into_iter().collect::<Vec<_>>(), "{typed}");
        assert_eq!(text(&html), typed);
    }
}

#[test]
fn an_end_says_how_long_it_ran_in_front_of_what_was_said() {
    for message in ["Hi", "The stream is over. Not yet!"] {
        let live = go_live_content(message, &values("Etching", &[]));
        let ended = ended_content(&live, Duration::from_secs(5_070));
        assert_eq!(ended, format!("<p>The stream is over. It ran for 1 h 24 min.</p>{live}"));
        assert!(ended.ends_with(WATCH));
    }
}

#[test]
fn durations_are_said_in_minutes() {
    for (seconds, words) in [
        (0, "less than a minute"),
        (59, "less than a minute"),
        (60, "1 min"),
        (3_599, "59 min"),
        (3_600, "1 h"),
        (93_900, "26 h 5 min"),
    ] {
        assert_eq!(spell_duration(Duration::from_secs(seconds)), words);
    }
}

proptest! {
    #[test]
    fn whatever_is_typed_only_our_elements_come_out(
        template in "([<>&\"'a#: /{}\n]|\\{title\\}|\\{tags\\}|https://|<script>|\\{summary\\}){0,12}",
        title in "([<>&\"'a#: /{}\n]|\\{url\\}|https://x|</p>|<img src=x>|-->){0,12}",
    ) {
        let tags = super::super::hashtags(&[], &title);
        let vars = GoLive { name: "n", title: &title, summary: &title, url: "https://l.example/", tags: &tags };
        let html = go_live_content(&template, &vars);
        for element in elements(&html) {
            prop_assert!(["p", "br", "a", "span"].contains(&element.as_str()), "{element} in {html}");
        }
    }
}
