//! Text and HTML: ours made safe, strangers' made plain.

mod content;
mod hashtag;
mod strip;

pub use content::{GoLive, ended_content, go_live_content, spell_duration};
pub use hashtag::{hashtag_url, hashtags};
pub use strip::strip_to_text;

/// Makes text safe between tags and inside quoted attributes.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + text.len() / 8);
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            letter => safe.push(letter),
        }
    }
    safe
}

/// Typed text as HTML: a paragraph for each block, a line break for each line, web addresses as links. Empty for text
/// without a visible character.
pub fn paragraphs(text: &str) -> String {
    content::blocks(text)
        .into_iter()
        .map(|lines| {
            let lines: Vec<String> = lines.iter().map(|line| content::rich(line.trim(), &[])).collect();
            format!("<p>{}</p>", lines.join("<br>"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaping_leaves_no_special_character() {
        assert_eq!(escape("a<b>&\"'ü"), "a&lt;b&gt;&amp;&quot;&#39;ü");
    }

    #[test]
    fn paragraphs_keep_lines_and_drop_nothing_but_space() {
        assert_eq!(paragraphs(" a & b\r\nc\n\n \n\nd "), "<p>a &amp; b<br>c</p><p>d</p>");
        assert_eq!(paragraphs(" \n \n"), "");
        assert_eq!(
            paragraphs("see https://x.example/?a=1&b=2."),
            "<p>see <a href=\"https://x.example/?a=1&amp;b=2\" rel=\"nofollow noopener\" \
             target=\"_blank\">https://x.example/?a=1&amp;b=2</a>.</p>"
        );
    }
}
