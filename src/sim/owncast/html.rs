//! Just enough HTML to filter chat as the server and the web page do.

/// One piece of an HTML text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// Text between tags, still with its entities.
    Text(&'a str),
    /// `<name attribute="value">`; names in lower case, values with their entities.
    Open { name: String, attributes: Vec<(String, String)>, raw: &'a str },
    /// `</name>`.
    Close { name: String, raw: &'a str },
    /// Comment, doctype or processing instruction.
    Other,
}

/// Elements whose content is dropped with them.
const SWALLOWED: [&str; 10] =
    ["script", "style", "iframe", "object", "noscript", "noembed", "noframes", "frame", "frameset", "title"];

/// Cuts a text into tokens. What cannot be a tag is text, as in a browser.
pub(super) fn tokens(html: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = html;
    while !rest.is_empty() {
        let Some(start) = rest.find('<') else {
            tokens.push(Token::Text(rest));
            break;
        };
        let (text, tag) = rest.split_at(start);
        match tag_at(tag) {
            Some((token, length)) => {
                if !text.is_empty() {
                    tokens.push(Token::Text(text));
                }
                tokens.push(token);
                rest = &tag[length..];
            }
            None => {
                let (text, after) = rest.split_at(start + 1);
                tokens.push(Token::Text(text));
                rest = after;
            }
        }
    }
    tokens
}

fn tag_at(tag: &str) -> Option<(Token<'_>, usize)> {
    let second = tag[1..].chars().next()?;
    if let Some(comment) = tag.strip_prefix("<!--") {
        return Some((Token::Other, comment.find("-->").map_or(tag.len(), |end| end + 7)));
    }
    if second == '!' || second == '?' {
        return Some((Token::Other, tag.find('>').map_or(tag.len(), |end| end + 1)));
    }
    if second == '/' {
        let end = tag.find('>')?;
        let name = tag[2..end].split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
        return Some((Token::Close { name, raw: &tag[..=end] }, end + 1));
    }
    if !second.is_ascii_alphabetic() {
        return None;
    }
    let end = tag_end(tag)?;
    let inner = tag[1..end].trim_end_matches('/');
    let name_end = inner.find(|c: char| c.is_whitespace() || c == '/').unwrap_or(inner.len());
    let (name, attributes) = inner.split_at(name_end);
    let token = Token::Open {
        name: name.to_ascii_lowercase(),
        attributes: attributes_of(attributes),
        raw: &tag[..=end],
    };
    Some((token, end + 1))
}

/// Where the tag's `>` is, skipping quoted attribute values.
fn tag_end(tag: &str) -> Option<usize> {
    let mut quote = None;
    let mut after_equals = false;
    for (at, c) in tag.char_indices() {
        match (quote, c) {
            (Some(open), c) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') if after_equals => quote = Some(c),
            (None, '>') => return Some(at),
            (None, c) => after_equals = c == '=' || (after_equals && c.is_whitespace()),
        }
    }
    None
}

fn attributes_of(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
    while !rest.is_empty() {
        let end = rest.find(|c: char| c.is_whitespace() || c == '=' || c == '/').unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let after = after.trim_start();
        let (value, after) = match after.strip_prefix('=') {
            Some(value) => value_at(value.trim_start()),
            None => ("", after),
        };
        if !name.is_empty() {
            found.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        rest = after.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
    }
    found
}

fn value_at(text: &str) -> (&str, &str) {
    for quote in ['"', '\''] {
        if let Some(quoted) = text.strip_prefix(quote) {
            return quoted.split_once(quote).unwrap_or((quoted, ""));
        }
    }
    text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()))
}

fn attribute<'a>(attributes: &'a [(String, String)], name: &str) -> Option<&'a str> {
    attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

fn harmless_url(url: &str) -> bool {
    let url = url.trim().to_ascii_lowercase();
    match url.find([':', '/', '?', '#', '&']) {
        Some(at) if url[at..].starts_with(':') => matches!(&url[..at], "http" | "https" | "mailto"),
        Some(at) => !url[at..].starts_with('&'),
        None => true,
    }
}

/// Walks the tokens and drops elements that take their content with them.
fn without_swallowed(html: &str) -> Vec<Token<'_>> {
    let mut kept = Vec::new();
    let mut inside: Option<String> = None;
    for token in tokens(html) {
        match (&inside, &token) {
            (None, Token::Open { name, .. }) if SWALLOWED.contains(&name.as_str()) => {
                inside = Some(name.clone())
            }
            (None, _) => kept.push(token),
            (Some(open), Token::Close { name, .. }) if open == name => inside = None,
            (Some(_), _) => {}
        }
    }
    kept
}

/// The server's sanitiser for what people and bots say: links, breaks, paragraphs, emphasis, code, and pictures
/// from the emoji folder only.
pub(super) fn sanitise(html: &str) -> String {
    let mut clean = String::with_capacity(html.len());
    let mut dropped_links = 0_usize;
    for token in without_swallowed(html) {
        match token {
            Token::Text(text) => clean.push_str(&text.replace('<', "&lt;").replace('>', "&gt;")),
            Token::Open { name, attributes, .. } => match name.as_str() {
                "br" | "p" | "strong" | "em" | "code" | "pre" => clean.push_str(&format!("<{name}>")),
                "a" => match attribute(&attributes, "href").filter(|href| harmless_url(href)) {
                    Some(href) if href.contains("://") => clean.push_str(&format!(
                        "<a href=\"{}\" rel=\"nofollow noreferrer noopener\" target=\"_blank\">",
                        quoted(href)
                    )),
                    Some(href) => {
                        clean.push_str(&format!("<a href=\"{}\" rel=\"nofollow noreferrer\">", quoted(href)));
                    }
                    None => dropped_links += 1,
                },
                "img" => {
                    if let Some(src) = attribute(&attributes, "src").filter(|src| local_emoji(src)) {
                        clean.push_str(&format!("<img src=\"{}\" class=\"emoji\">", quoted(src)));
                    }
                }
                _ => {}
            },
            Token::Close { name, .. } => match name.as_str() {
                "a" if dropped_links > 0 => dropped_links -= 1,
                "p" | "strong" | "em" | "code" | "pre" | "a" => clean.push_str(&format!("</{name}>")),
                _ => {}
            },
            Token::Other => {}
        }
    }
    clean
}

fn local_emoji(src: &str) -> bool {
    src.strip_prefix("/img/emoji/").and_then(|rest| rest.split_once('.')).is_some_and(|(path, ending)| {
        !path.contains(char::is_whitespace) && ending.chars().all(|c| c.is_ascii_alphabetic())
    })
}

fn quoted(value: &str) -> String {
    value.replace('"', "&#34;").replace('<', "&lt;").replace('>', "&gt;")
}

/// What the web page's HTML component leaves of a system line: no scripts, no event handlers, no odd addresses; pictures and links stay.
pub(super) fn page_filter(html: &str) -> String {
    let mut shown = String::with_capacity(html.len());
    for token in without_swallowed(html) {
        match token {
            Token::Text(text) => shown.push_str(&text.replace('<', "&lt;")),
            Token::Open { name, attributes, .. } => {
                if matches!(
                    name.as_str(),
                    "embed" | "applet" | "base" | "link" | "meta" | "html" | "head" | "body"
                ) {
                    continue;
                }
                shown.push('<');
                shown.push_str(&name);
                for (key, value) in attributes {
                    let address = matches!(key.as_str(), "href" | "src");
                    let plain = matches!(
                        key.as_str(),
                        "alt" | "class" | "title" | "width" | "height" | "target" | "rel" | "lang"
                    );
                    if plain || (address && harmless_url(&value)) {
                        shown.push_str(&format!(" {key}=\"{}\"", quoted(&value)));
                    }
                }
                shown.push('>');
            }
            Token::Close { raw, .. } => shown.push_str(raw),
            Token::Other => {}
        }
    }
    shown
}

/// Makes links of the bare addresses in text, each piece of text by itself and as it reads without its entities. The
/// page's own matcher knows some top-level domains only; here every address counts.
pub(super) fn with_links(html: &str) -> String {
    let mut shown = String::with_capacity(html.len());
    for token in tokens(html) {
        match token {
            Token::Text(text) => {
                for word in decoded(text).split_inclusive(char::is_whitespace) {
                    link_word(word, &mut shown);
                }
            }
            Token::Open { raw, .. } | Token::Close { raw, .. } => shown.push_str(raw),
            Token::Other => {}
        }
    }
    shown
}

fn link_word(word: &str, shown: &mut String) {
    let found =
        ["https://", "http://", "www."].iter().filter_map(|sign| Some((word.find(sign)?, sign.len())));
    let (start, sign) = found.min().unwrap_or((word.len(), 0));
    let (before, rest) = word.split_at(start);
    let end = rest.trim_end_matches(|c: char| c.is_whitespace() || ".,;:)]}".contains(c)).len();
    let (address, after) = rest.split_at(end);
    let address = escaped(address);
    shown.push_str(&escaped(before));
    // What begins like an address and stops there is none.
    if end > sign {
        shown.push_str(&format!("<a href=\"{address}\">{address}</a>"));
    } else {
        shown.push_str(&address);
    }
    shown.push_str(&escaped(after));
}

/// Text without numeric entities; the named ones that [`escaped`] makes, too.
fn decoded(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('&') {
        let (before, entity) = rest.split_at(start);
        plain.push_str(before);
        let (sign, length) = entity_at(entity).unwrap_or(('&', 1));
        plain.push(sign);
        rest = &entity[length..];
    }
    plain.push_str(rest);
    plain
}

fn entity_at(entity: &str) -> Option<(char, usize)> {
    let end = entity.find(';')?;
    let sign = match &entity[1..end] {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        number => char::from_u32(number.strip_prefix('#')?.parse().ok()?)?,
    };
    Some((sign, end + 1))
}

pub(super) fn escaped(text: &str) -> String {
    quoted(&text.replace('&', "&amp;"))
}

/// Replaces `:name:` of a known emoji by its picture, in text only.
pub(super) fn with_emoji(html: &str, known: &[String]) -> String {
    let mut shown = String::with_capacity(html.len());
    for token in tokens(html) {
        match token {
            Token::Text(text) => emoji_in_text(text, known, &mut shown),
            Token::Open { raw, .. } | Token::Close { raw, .. } => shown.push_str(raw),
            Token::Other => {}
        }
    }
    shown
}

fn emoji_in_text(text: &str, known: &[String], shown: &mut String) {
    let mut rest = text;
    while let Some(start) = rest.find(':') {
        let (before, code) = rest.split_at(start);
        shown.push_str(before);
        let name = code[1..].split_once(':').map(|(name, _)| name);
        match name.filter(|name| known.iter().any(|emoji| emoji.eq_ignore_ascii_case(name))) {
            Some(name) => {
                let lower = name.to_ascii_lowercase();
                shown.push_str(&format!(
                    "<img src=\"/img/emoji/{lower}.png\" class=\"emoji\" alt=\":{lower}:\" title=\":{lower}:\">"
                ));
                rest = &code[name.len() + 2..];
            }
            None => {
                shown.push(':');
                rest = &code[1..];
            }
        }
    }
    shown.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sanitiser_keeps_the_allow_list_only() {
        for (raw, clean) in [
            ("<p>a <b>b</b></p>", "<p>a b</p>"),
            ("<script>alert(1)</script>x", "x"),
            ("<img src=\"https://x.example/a.png\">", ""),
            (
                "<img src=\"/img/emoji/heart.png\" onerror=x>",
                "<img src=\"/img/emoji/heart.png\" class=\"emoji\">",
            ),
            ("<a href=\"javascript:x\">y</a>", "y"),
            (
                "<a href=\"https://a.example\">y</a>",
                "<a href=\"https://a.example\" rel=\"nofollow noreferrer noopener\" target=\"_blank\">y</a>",
            ),
            ("1 < 2", "1 &lt; 2"),
            ("<!-- <p> -->z", "z"),
        ] {
            assert_eq!(sanitise(raw), clean, "{raw}");
        }
    }

    #[test]
    fn page_filter_drops_what_can_act() {
        assert_eq!(
            page_filter(
                "<p onclick=\"x\"><img src='a.png' onerror=alert(1) title='>'><script>x</script></p>"
            ),
            "<p><img src=\"a.png\" title=\"&gt;\"></p>"
        );
        assert_eq!(page_filter("<a href=\"javascript&#58;x\">y</a>"), "<a>y</a>");
    }

    #[test]
    fn addresses_in_one_piece_of_text_become_links() {
        for (html, shown) in [
            (
                "<p>see https&#58;//a.example/x, or &lt;www.b.example&gt;.</p>",
                "<p>see <a href=\"https://a.example/x\">https://a.example/x</a>, or \
                 &lt;<a href=\"www.b.example&gt;\">www.b.example&gt;</a>.</p>",
            ),
            ("https:<em></em>//a.example www.", "https:<em></em>//a.example www."),
            ("a&b &copy; &#0; 1 &lt; 2", "a&amp;b &amp;copy; \u{0} 1 &lt; 2"),
        ] {
            assert_eq!(with_links(html), shown);
        }
    }

    #[test]
    fn emoji_are_replaced_in_text_only() {
        let known = ["heart".to_owned()];
        assert_eq!(
            with_emoji("<a title=\":heart:\">: :nope:</a>", &known),
            "<a title=\":heart:\">: :nope:</a>"
        );
        assert!(
            with_emoji("a:b:HEART:c", &known)
                .starts_with("a:b<img src=\"/img/emoji/heart.png\" class=\"emoji\"")
        );
    }
}
