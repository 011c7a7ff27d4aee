//! Strangers' HTML as plain text.

/// The text of a piece of HTML: tags, comments, scripts and styles gone, entities decoded, blocks and breaks as
/// newlines. The answer is text, not HTML: it needs escaping again wherever it is shown.
pub fn strip_to_text(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = rest.find(['<', '&']) {
        let (before, special) = rest.split_at(at);
        text.push_str(before);
        rest = if special.starts_with('&') { entity(special, &mut text) } else { tag(special, &mut text) };
    }
    text.push_str(rest);
    tidy(&text)
}

/// Skips one tag, comment or stray `<` and gives what follows.
fn tag<'a>(html: &'a str, text: &mut String) -> &'a str {
    if let Some(comment) = html.strip_prefix("<!--") {
        return comment.find("-->").and_then(|end| comment.get(end + 3..)).unwrap_or("");
    }
    let inner = html.get(1..).unwrap_or("");
    // A browser takes `<` for text unless a letter, `/`, `!` or `?` follows.
    if !inner.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?')) {
        text.push('<');
        return inner;
    }
    let closing = inner.starts_with('/');
    let name: String = inner
        .trim_start_matches('/')
        .chars()
        .take_while(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    let after = end_of_tag(inner);
    match name.as_str() {
        "script" | "style" | "template" | "noscript" | "iframe" if !closing => skip_element(after, &name),
        "br" | "p" | "div" | "li" | "tr" | "blockquote" | "pre" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6"
        | "hr" => {
            text.push('\n');
            after
        }
        _ => after,
    }
}

/// What follows a tag's `>`; a `>` inside quotes does not end it. Nothing follows a tag that never ends.
fn end_of_tag(inner: &str) -> &str {
    let mut quote = None;
    for (at, letter) in inner.char_indices() {
        match (quote, letter) {
            (None, '>') => return inner.get(at + 1..).unwrap_or(""),
            (None, '"' | '\'') => quote = Some(letter),
            (Some(open), letter) if letter == open => quote = None,
            _ => {}
        }
    }
    ""
}

/// What follows the end tag of an element whose content is no text.
fn skip_element<'a>(html: &'a str, name: &str) -> &'a str {
    let end = format!("</{name}");
    // ASCII lowering keeps every byte where it was.
    let lower = html.to_ascii_lowercase();
    lower.find(&end).and_then(|at| html.get(at + 1..)).map_or("", end_of_tag)
}

/// Decodes the entity that `html` starts with, if it is one, and gives what follows.
fn entity<'a>(html: &'a str, text: &mut String) -> &'a str {
    let decoded = html.find(';').filter(|end| (2..=10).contains(end)).and_then(|end| {
        let letter = match html.get(1..end)? {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            "nbsp" => ' ',
            "hellip" => '…',
            "ndash" => '–',
            "mdash" => '—',
            name => {
                let number = name.strip_prefix('#')?;
                let code = match number.strip_prefix(['x', 'X']) {
                    Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                    None => number.parse().ok()?,
                };
                char::from_u32(code).filter(|&c| c != '\0')?
            }
        };
        Some((letter, html.get(end + 1..)?))
    });
    match decoded {
        Some((letter, rest)) => {
            text.push(letter);
            rest
        }
        None => {
            text.push('&');
            html.get(1..).unwrap_or("")
        }
    }
}

/// Blanks of a line run together, empty lines go.
fn tidy(text: &str) -> String {
    text.lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn html_becomes_its_text() {
        for (html, text) in [
            ("<p>Hello <b>you</b></p><p>there<br/>again</p>", "Hello you\nthere\nagain"),
            ("a &amp; b &lt;c&gt; &#39;&#x41;&quot; &bogus; & &#0;", "a & b <c> 'A\" &bogus; & &#0;"),
            ("<script>alert('<p>')</script>x<STYLE>y</sTyle >z", "xz"),
            ("<a title=\"a>b\" href='x'>link</a>", "link"),
            ("1 < 2 <3 <- <!-- <p>hidden</p> -->shown", "1 < 2 <3 <- shown"),
            ("<img src=x onerror=alert(1)", ""),
            ("<!DOCTYPE html><?php x ?>ok", "ok"),
            ("<script>never ends", ""),
            ("ünïcode <em>日本</em>", "ünïcode 日本"),
            ("", ""),
        ] {
            assert_eq!(strip_to_text(html), text, "{html}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_fail_and_escaped_text_comes_back(
            html in "[<>&;/!\"'a-z#x0-9 ü-]{0,60}",
            text in "[<>&;/!\"'a-z#x0-9ü-]{0,60}",
        ) {
            strip_to_text(&html);
            prop_assert_eq!(strip_to_text(&crate::activitypub::html::escape(&text)), text);
        }
    }
}
