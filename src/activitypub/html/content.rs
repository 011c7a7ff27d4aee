//! The text of posts.

use std::time::Duration;

use super::{
    escape,
    hashtag::{hashtag_url, same, written},
};

/// What a go-live text may speak of. All of it is plain text as typed into Owncast.
#[derive(Clone, Copy, Debug)]
pub struct GoLive<'a> {
    /// The server's name.
    pub name: &'a str,
    /// The title of the stream; may be empty.
    pub title: &'a str,
    /// The server's summary; may be empty.
    pub summary: &'a str,
    /// The watch page.
    pub url: &'a str,
    /// Tags as [`super::hashtags`] made them.
    pub tags: &'a [String],
}

/// What a stream is announced with when nothing was written for it.
const BUILT_IN: &str = "{name} is live!";

/// The HTML of a go-live post.
///
/// A template with any of `{name} {title} {summary} {url} {tags}` is laid out as written: a blank line ends a paragraph,
/// a newline is a line break. A text without any is laid out as Owncast does: message, title, tags, link, each its own
/// paragraph. An empty one is replaced by a built-in sentence. Everything that was typed is escaped, a value never holds
/// a placeholder, web addresses become links, and lines that come out empty are left out.
pub fn go_live_content(template: &str, values: &GoLive<'_>) -> String {
    let template = if template.trim().is_empty() { BUILT_IN } else { template };
    let placed = pieces(template).iter().any(|piece| matches!(piece, Piece::Value(_)));
    let layout = if placed && template != BUILT_IN {
        template.to_owned()
    } else {
        format!("{template}\n\n{{title}}\n\n{{tags}}\n\n{{url}}")
    };
    // Tags that the text itself shows are not listed again below it.
    let shown: Vec<String> = pieces(&layout)
        .iter()
        .map(|piece| match piece {
            Piece::Text(text) => text,
            Piece::Value(value) => value.plain(values),
        })
        .flat_map(|text| written(text).map(|(_, tag)| tag).collect::<Vec<_>>())
        .collect();
    let paragraphs = blocks(&layout).into_iter().filter_map(|lines| {
        let lines: Vec<String> = lines
            .iter()
            .map(|line| pieces(line).iter().map(|piece| render(piece, values, &shown)).collect::<String>())
            .map(|line| line.trim().to_owned())
            .filter(|line| !line.is_empty())
            .collect();
        (!lines.is_empty()).then(|| format!("<p>{}</p>", lines.join("<br>")))
    });
    paragraphs.collect()
}

/// The text of a post whose stream has ended, made from its text while it ran: that it is over and how long it ran
/// stands in front, the rest stays, so that title, tags and link keep working.
pub fn ended_content(content: &str, lasted: Duration) -> String {
    format!("<p>The stream is over. It ran for {}.</p>{content}", spell_duration(lasted))
}

/// A duration as people say it, in whole minutes: `1 h 24 min`, `2 h`, `24 min`, `less than a minute`.
pub fn spell_duration(lasted: Duration) -> String {
    let minutes = lasted.as_secs() / 60;
    match (minutes / 60, minutes % 60) {
        (0, 0) => "less than a minute".to_owned(),
        (0, minutes) => format!("{minutes} min"),
        (hours, 0) => format!("{hours} h"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Placeholder {
    Name,
    Title,
    Summary,
    Url,
    Tags,
}

impl Placeholder {
    const ALL: [(&'static str, Placeholder); 5] = [
        ("{name}", Placeholder::Name),
        ("{title}", Placeholder::Title),
        ("{summary}", Placeholder::Summary),
        ("{url}", Placeholder::Url),
        ("{tags}", Placeholder::Tags),
    ];

    /// The value as text; links and tags have none.
    fn plain<'a>(self, values: &GoLive<'a>) -> &'a str {
        match self {
            Placeholder::Name => values.name,
            Placeholder::Title => values.title,
            Placeholder::Summary => values.summary,
            Placeholder::Url | Placeholder::Tags => "",
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    Value(Placeholder),
}

/// Splits a template once, so that a value is never searched for placeholders.
fn pieces(template: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = template;
    loop {
        let next = Placeholder::ALL
            .iter()
            .filter_map(|(text, name)| rest.find(text).map(|at| (at, *text, *name)))
            .min_by_key(|(at, ..)| *at);
        let Some((at, text, name)) = next else {
            pieces.push(Piece::Text(rest));
            return pieces;
        };
        let (before, found) = rest.split_at(at);
        pieces.push(Piece::Text(before));
        pieces.push(Piece::Value(name));
        rest = found.strip_prefix(text).unwrap_or("");
    }
}

fn render(piece: &Piece<'_>, values: &GoLive<'_>, shown: &[String]) -> String {
    match piece {
        Piece::Text(text) => rich(text, values.tags),
        Piece::Value(Placeholder::Url) => {
            let text = values.url.split_once("://").map_or(values.url, |(_, rest)| rest);
            link(values.url, text.trim_end_matches('/'))
        }
        Piece::Value(Placeholder::Tags) => {
            let rest = values.tags.iter().filter(|tag| !shown.iter().any(|other| same(other, tag)));
            rest.map(|tag| tag_link(tag)).collect::<Vec<_>>().join(" ")
        }
        Piece::Value(name) => {
            let lines = blocks(name.plain(values)).into_iter().flatten();
            lines.map(|line| rich(line.trim(), values.tags)).collect::<Vec<_>>().join("<br>")
        }
    }
}

/// Paragraphs of a text as their lines; blank lines stand between them.
pub(super) fn blocks(text: &str) -> Vec<Vec<&str>> {
    let mut blocks: Vec<Vec<&str>> = vec![Vec::new()];
    for line in text.lines() {
        if line.trim().is_empty() {
            blocks.push(Vec::new());
        } else if let Some(block) = blocks.last_mut() {
            block.push(line);
        }
    }
    blocks.retain(|block| !block.is_empty());
    blocks
}

/// One line of typed text: escaped, with its web addresses and those of its `#words` that are tags as links.
pub(super) fn rich(text: &str, tags: &[String]) -> String {
    let mut html = String::new();
    let mut rest = text;
    while let Some((before, address, after)) = next_address(rest) {
        html.push_str(&tagged(before, tags));
        html.push_str(&link(address, address));
        rest = after;
    }
    html.push_str(&tagged(rest, tags));
    html
}

/// The first web address in a text, with what stands before and after it.
fn next_address(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    loop {
        let tail = text.get(from..)?;
        let at = from + ["https://", "http://"].iter().filter_map(|scheme| tail.find(scheme)).min()?;
        let (before, found) = text.split_at(at);
        let end =
            found.find(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"')).unwrap_or(found.len());
        let address = closed(found.get(..end)?);
        let own_word = !before.ends_with(char::is_alphanumeric);
        if own_word && url::Url::parse(address).is_ok_and(|url| url.host_str().is_some_and(|h| !h.is_empty()))
        {
            return Some((before, address, found.get(address.len()..)?));
        }
        from = at + "http://".len();
    }
}

/// Without the punctuation of the sentence around it.
fn closed(address: &str) -> &str {
    let mut address = address;
    loop {
        let shorter = address.trim_end_matches(['.', ',', ';', ':', '!', '?', '\'', '*', '_', '~']);
        // A bracket belongs to the sentence unless the address opened it.
        let shorter = match shorter.strip_suffix(')') {
            Some(inner) if !inner.contains('(') => inner,
            _ => shorter.strip_suffix(']').filter(|inner| !inner.contains('[')).unwrap_or(shorter),
        };
        if shorter.len() == address.len() {
            return address;
        }
        address = shorter;
    }
}

fn tagged(text: &str, tags: &[String]) -> String {
    let mut html = String::new();
    let mut from = 0;
    for (range, tag) in written(text) {
        let Some(known) = tags.iter().find(|known| same(known, &tag)) else { continue };
        html.push_str(&escape(text.get(from..range.start).unwrap_or("")));
        html.push_str(&tag_link_as(known, &tag));
        from = range.end;
    }
    html.push_str(&escape(text.get(from..).unwrap_or("")));
    html
}

fn link(address: &str, text: &str) -> String {
    format!(
        "<a href=\"{}\" rel=\"nofollow noopener\" target=\"_blank\">{}</a>",
        escape(address),
        escape(text)
    )
}

fn tag_link(tag: &str) -> String {
    tag_link_as(tag, tag)
}

/// `rel` and class keep Mastodon from taking the link for the one to preview.
fn tag_link_as(tag: &str, text: &str) -> String {
    format!(
        "<a href=\"{}\" class=\"mention hashtag\" rel=\"tag\">#<span>{}</span></a>",
        escape(&hashtag_url(tag)),
        escape(text)
    )
}

#[cfg(test)]
mod tests;
