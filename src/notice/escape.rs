//! Strangers' text in Owncast's chat: it shows as written and can do nothing.
//!
//! Owncast renders a system message as CommonMark with raw HTML, bare links and emoji once and an action twice, and puts
//! an action unsanitised into every viewer's page. Three layers keep a name a name, each enough without the others
//! against markup:
//!
//! 1. The whole message is one line that begins with `<p>` ([`block`]). CommonMark passes such a block on as it stands, so
//!    neither markdown nor links nor emoji are looked for in it, however often it is rendered.
//! 2. Every ASCII sign in a name is a numeric entity ([`text`]). Should a renderer read the line as markdown all the same,
//!    an entity is never syntax, and what that pass puts out is a paragraph, which is again a block to the next.
//! 3. After `:`, `.`, `@` and `/` stands an empty element ([`CUT`]). Some renderers and the web page look for addresses and
//!    emoji in text that is already decoded: it cuts that text where they would find one, and shows nothing.

use unicode_segmentation::UnicodeSegmentation;

/// Most code points that one visible character keeps: a family emoji with skin tones needs 11, a pile of accents ends.
const MAX_MARKS: usize = 12;

/// Cuts text in two for whoever looks into it, and shows nothing. Owncast lets this element through in what a bot says,
/// where it takes out comments.
const CUT: &str = "<em></em>";

/// One line of visible characters, at most `max_graphemes` of them (a cut shows as `…`).
///
/// Control, bidirectional and invisible characters go; newlines and blanks of all sorts become single spaces. Joiners stay
/// within an emoji only. Empty when nothing visible was there.
pub fn plain(text: &str, max_graphemes: usize) -> String {
    let mut line = String::new();
    let mut count = 0;
    let mut space = false;
    for grapheme in text.graphemes(true) {
        let seen = visible(grapheme);
        if seen.is_empty() {
            space |= grapheme.chars().any(is_blank);
            continue;
        }
        let gap = std::mem::take(&mut space) && !line.is_empty();
        if count + usize::from(gap) >= max_graphemes {
            // The last one makes room for the sign of the cut.
            let end = line.grapheme_indices(true).next_back().map_or(0, |(at, _)| at);
            line.truncate(if count >= max_graphemes { end } else { line.len() });
            line.truncate(line.trim_end().len());
            line.push('…');
            return line;
        }
        if gap {
            line.push(' ');
        }
        line.push_str(&seen);
        count += 1 + usize::from(gap);
    }
    line
}

/// What of a grapheme is shown.
fn visible(grapheme: &str) -> String {
    let emoji = grapheme.chars().next().is_some_and(|first| !first.is_alphanumeric() && first > '\u{2000}');
    let seen = grapheme.chars().filter(|&c| !is_blank(c) && !is_invisible(c) && (emoji || c != '\u{200d}'));
    let seen: String = seen.take(MAX_MARKS).collect();
    // A joiner or selector left alone is nothing to see.
    let joiner = |c: char| matches!(c, '\u{200d}' | '\u{fe0f}');
    if seen.chars().all(joiner) { String::new() } else { seen.trim_end_matches('\u{200d}').to_owned() }
}

fn is_blank(c: char) -> bool {
    // The Braille blank and the Hangul fillers are letters without ink.
    c.is_whitespace() || matches!(c, '\u{2800}' | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}')
}

/// Characters without ink that change how others are shown or hide what is written. U+200D and U+FE0F are decided by
/// where they stand.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}' | '\u{200c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{fe00}'..='\u{fe0e}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
        // Noncharacters.
        || u32::from(c) & 0xfffe == 0xfffe
        || matches!(c, '\u{fdd0}'..='\u{fdef}')
}

/// Text as it must stand in a message. Pass what [`plain`] made: a newline would end the block.
pub fn text(plain: &str) -> String {
    let mut safe = String::with_capacity(plain.len() * 2);
    for c in plain.chars() {
        if c.is_ascii() && !c.is_ascii_alphanumeric() && c != ' ' {
            safe.push_str(&format!("&#{};", u32::from(c)));
            if matches!(c, ':' | '.' | '@' | '/') {
                safe.push_str(CUT);
            }
        } else {
            safe.push(c);
        }
    }
    safe
}

/// An attribute's value, quotes not included.
pub(super) fn attribute(value: &str) -> String {
    let mut safe = String::with_capacity(value.len() * 2);
    for c in value.chars() {
        if c.is_ascii_alphanumeric() { safe.push(c) } else { safe.push_str(&format!("&#{};", u32::from(c))) }
    }
    safe
}

/// A whole message from HTML of ours with strangers' text in it as [`text`] made it.
pub fn block(html: &str) -> String {
    format!("<p>{html}</p>")
}

#[cfg(test)]
mod tests;
