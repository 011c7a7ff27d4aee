use super::*;
use proptest::prelude::*;

/// Renders as Owncast does, `passes` times.
fn render(message: &str, passes: u32) -> String {
    let mut options = comrak::Options::default();
    options.render.r#unsafe = true;
    options.extension.autolink = true;
    options.extension.shortcodes = true;
    options.extension.strikethrough = true;
    (0..passes).fold(message.to_owned(), |text, _| comrak::markdown_to_html(&text, &options))
}

/// The elements below the page itself, and the pieces of text, as a browser sees them.
fn parse(html: &str) -> (Vec<String>, Vec<String>) {
    let page = scraper::Html::parse_fragment(html);
    let all = scraper::Selector::parse("*").unwrap();
    let elements = page.select(&all).skip(1).map(|element| element.value().name().to_owned()).collect();
    let pieces = page.root_element().text().map(str::to_owned).collect();
    (elements, pieces)
}

/// Shown exactly so, by however many passes, in a block and on a line of its own.
fn assert_inert(name: &str) {
    let safe = text(name);
    for (message, passes) in [
        (block(&safe), 0),
        (block(&safe), 1),
        (block(&safe), 2),
        (block(&safe), 3),
        (safe.clone(), 1),
        (safe.clone(), 2),
        (format!("Hi {safe} said"), 2),
    ] {
        let html = render(&message, passes);
        // Owncast takes comments out of what a bot says.
        let (mut elements, pieces) = parse(&html.replace("<!-- -->", ""));
        elements.retain(|element| element != "em");
        assert_eq!(elements, ["p"], "{passes} passes: {name:?} became {html}");
        assert_eq!(html.matches("<em>").count(), html.matches(CUT).count(), "an element of its own: {html}");
        let shown = pieces.concat();
        let shown = shown.trim_end_matches('\n');
        let shown = shown.strip_prefix("Hi ").and_then(|rest| rest.strip_suffix(" said")).unwrap_or(shown);
        assert_eq!(shown, name, "{passes} passes: {html}");
        // What the web page makes emoji and links of, it seeks in one piece of text at a time.
        for piece in pieces {
            for sign in [':', '.', '@', '/'] {
                let body = piece.trim_end_matches(['\n']).trim_end_matches(" said");
                assert!(!body.trim_end_matches(sign).contains(sign), "{sign} amid {piece:?}");
            }
        }
    }
}

#[test]
fn the_recorded_attack_is_a_name() {
    let name = "<img src=\"x\" onerror=\"alert(1)\"> **x** :heart: [a](https://evil.example) https://evil.example \
                www.evil.example a@evil.example\n# x";
    let shown = plain(name, 500);
    assert_eq!(shown, name.replace('\n', " "));
    assert_inert(&shown);
}

#[test]
fn the_same_attack_unescaped_would_work() {
    let (elements, _) =
        parse(&render("<img src=\"x\"> **x** :heart: https://evil.example a@evil.example", 1));
    for element in ["img", "strong", "a"] {
        assert!(elements.iter().any(|e| e == element), "{elements:?}");
    }
}

#[test]
fn markdown_of_every_sort_is_shown() {
    for name in [
        "# heading",
        "- item",
        "1. item",
        "> quote",
        "    code",
        "```",
        "`code`",
        "~~gone~~",
        "***",
        "===",
        "---",
        "| a | b |",
        "![i](//x)",
        "[a]: https://x",
        "<!-- -->",
        "<!--",
        "-->",
        "]]>",
        "<?x?>",
        "&amp;",
        "&#42;",
        "&#x2a;",
        "&copy",
        "\\*x\\*",
        "_x_",
        "http://x",
        "ftp://x.y",
        "mailto:a@b.c",
        "xmpp:a@b.c/d",
        "</p>",
        "</p><script>alert(1)</script>",
        "<p>",
        "$x$",
        "^x^",
        "[^1]",
        ":smile:",
        "::",
        "a:b:c",
        "{{x}}",
        "%s",
        "\"'",
        "</script>",
        "日本 :tada: <b>",
    ] {
        assert_inert(&plain(name, 100));
    }
}

#[test]
fn plain_keeps_what_is_seen_and_nothing_else() {
    for (name, max, shown) in [
        (" Ana \t\r\n Bo\u{a0}\u{3000}x ", 30, "Ana Bo x"),
        ("a\u{202e}b\u{200b}c\u{2066}d\u{feff}e\u{ad}f\u{61c}", 30, "abcdef"),
        ("a\u{0}\u{7}\u{1b}[31m\u{9b}b", 30, "a[31mb"),
        ("\u{3164}\u{2800}\u{200d}\u{fe0f}", 30, ""),
        ("", 30, ""),
        ("👨‍👩‍👧‍👦 ❤️ x", 30, "👨‍👩‍👧‍👦 ❤️ x"),
        ("a\u{200d}b", 30, "ab"),
        ("flag 🏴\u{e0067}\u{e0062}\u{e007f}", 30, "flag 🏴"),
        ("abcdef", 6, "abcdef"),
        ("abcdefg", 6, "abcde…"),
        ("abcde fgh", 6, "abcde…"),
        ("👨‍👩‍👧‍👦👨‍👩‍👧‍👦👨‍👩‍👧‍👦", 2, "👨‍👩‍👧‍👦…"),
        ("abc", 0, "…"),
        ("x\u{fffe}\u{1ffff}\u{fdd0}y", 9, "xy"),
    ] {
        assert_eq!(plain(name, max), shown, "{name:?}");
    }
    let pile = format!("a{}", "\u{301}".repeat(500));
    assert_eq!(plain(&pile, 5).chars().count(), MAX_MARKS);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn no_name_ever_speaks(
        name in "([<>&;#*_`~:\\[\\]()!|\\\\/\"'=.@ \n\u{202e}\u{200d}é日+-]|https://|www\\.|:heart:|<b>|&#42;|a@b\\.c|x|1){0,24}",
        max in 1usize..40,
    ) {
        let shown = plain(&name, max);
        prop_assert!(shown.graphemes(true).count() <= max);
        prop_assert_eq!(&plain(&shown, max + 1), &shown);
        if !shown.is_empty() {
            assert_inert(&shown);
        }
    }

    #[test]
    fn any_unicode_is_inert(name in "\\PC{0,20}") {
        let shown = plain(&name, 64);
        if !shown.is_empty() {
            assert_inert(&shown);
        }
    }
}
