//! Chat bodies as Owncast renders them, and as its web page shows them.

use comrak::nodes::NodeValue;
use comrak::{Arena, Options as Markdown, format_html, parse_document};

use super::html;
use super::state::{ChatKind, ChatLine};

/// One pass of the server's markdown renderer: CommonMark, raw HTML kept, bare links linked.
pub(super) fn render(raw: &str) -> String {
    let mut options = Markdown::default();
    options.extension.autolink = true;
    options.render.r#unsafe = true;
    let arena = Arena::new();
    let root = parse_document(&arena, raw.trim(), &options);
    let mut rendered = String::new();
    if format_html(root, &options, &mut rendered).is_err() {
        return String::new();
    }
    // Owncast's renderer copies an HTML block as it stands, so a body that is one gets no newline at its end.
    let ends_raw =
        root.last_child().is_some_and(|last| matches!(last.data.borrow().value, NodeValue::HtmlBlock(_)));
    if ends_raw && rendered.ends_with('\n') {
        rendered.pop();
    }
    rendered
}

/// What `/api/integrations/chat/system` broadcasts.
pub(super) fn system(raw: &str) -> String {
    render(raw)
}

/// What `/api/integrations/chat/action` broadcasts: rendered, then rendered again.
pub(super) fn action(raw: &str) -> String {
    render(&render(raw))
}

/// What a person's line becomes: rendered, sanitised, trimmed.
pub(super) fn spoken(raw: &str) -> String {
    html::sanitise(&render(raw)).trim().to_owned()
}

/// What `/api/integrations/chat/send` broadcasts: a person's line, rendered once more without sanitising.
pub(super) fn sent(raw: &str) -> String {
    render(&spoken(raw))
}

/// What a viewer's page holds for a line: an action goes in raw, everything else through the page's HTML filter, which
/// makes links of bare addresses, and known emoji become pictures.
pub(super) fn page(line: &ChatLine, emoji: &[String]) -> String {
    shown(line.kind, &line.html, emoji)
}

fn shown(kind: ChatKind, html: &str, emoji: &[String]) -> String {
    match kind {
        ChatKind::Action => html::with_emoji(html, emoji),
        ChatKind::System | ChatKind::Bot | ChatKind::Person | ChatKind::Fediverse => {
            html::with_emoji(&html::with_links(&html::page_filter(html)), emoji)
        }
    }
}

/// What a viewer's page holds for a body that is sent as a message of that kind, without a server around it.
pub fn page_of(kind: ChatKind, body: &str, emoji: &[String]) -> String {
    let html = match kind {
        ChatKind::System | ChatKind::Fediverse => system(body),
        ChatKind::Action => action(body),
        ChatKind::Bot => sent(body),
        ChatKind::Person => spoken(body),
    };
    shown(kind, &html, emoji)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_become_what_was_recorded() {
        assert_eq!(
            system(
                "**Ana** <b>b</b> <script>alert(1)</script> [link](https://a.example) :heart: & \"q\" _x_ https://b.example"
            ),
            "<p><strong>Ana</strong> <b>b</b> <script>alert(1)</script> <a href=\"https://a.example\">link</a> :heart: \
             &amp; &quot;q&quot; <em>x</em> <a href=\"https://b.example\">https://b.example</a></p>\n"
        );
        assert_eq!(
            action(
                "**Ana** <b>b</b> <img src=\"x\" onerror=\"alert(1)\"> [link](https://a.example) shared this stream"
            ),
            "<p><strong>Ana</strong> <b>b</b> <img src=\"x\" onerror=\"alert(1)\"> <a href=\"https://a.example\">link</a> \
             shared this stream</p>"
        );
        assert_eq!(
            sent("**Ana** <b>b</b> liked <img src=\"https://x.example/a.png\">"),
            "<p><strong>Ana</strong> b liked </p>"
        );
        assert_eq!(spoken("hello :heart: **world**"), "<p>hello :heart: <strong>world</strong></p>");
        assert_eq!(system(""), "");
    }

    #[test]
    fn the_second_pass_of_an_action_wakes_what_the_first_one_unescaped() {
        // The first pass turns the entities into an empty line, which ends the HTML block of the second.
        assert_eq!(action("a&#10;&#10;\\*b\\*"), "<p>a\n<p><em>b</em></p></p>\n");
        assert_eq!(system("a &#42;b&#42;"), "<p>a *b*</p>\n");
    }
}
