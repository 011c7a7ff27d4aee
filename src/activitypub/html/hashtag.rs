//! Hashtags in any script.

use unicode_segmentation::UnicodeSegmentation;

/// The page of a tag on the Owncast directory, where Owncast's own tags lead.
pub fn hashtag_url(tag: &str) -> String {
    let mut address = String::from("https://owncast.directory/tags/");
    for byte in tag.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                address.push(char::from(byte))
            }
            byte => address.push_str(&format!("%{byte:02X}")),
        }
    }
    address
}

/// The tags of a post, without `#`: the configured ones with everything that is not part of a word taken out, then
/// those written as `#word` in the title.
///
/// Each appears once whatever its letter case; what has no letter is left out, since Mastodon takes no number for a tag.
pub fn hashtags(tags: &[String], title: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let configured = tags.iter().map(|tag| word(tag));
    let written = written(title).map(|(_, tag)| tag);
    for tag in configured.chain(written) {
        let known = all.iter().any(|other| same(other, &tag));
        if is_tag(&tag) && !known {
            all.push(tag);
        }
    }
    all
}

/// Two spellings of one tag.
pub(super) fn same(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

/// The `#word`s of a text with the byte range of each, sign included.
pub(super) fn written(text: &str) -> impl Iterator<Item = (std::ops::Range<usize>, String)> {
    let mut found = Vec::new();
    let mut after_word = false;
    let mut letters = text.grapheme_indices(true).peekable();
    while let Some((start, letter)) = letters.next() {
        // `C#` and the fragment of an address are no tags.
        let begins = matches!(letter, "#" | "＃") && !after_word;
        after_word = is_word(letter) || matches!(letter, "/" | "&" | "#");
        if !begins {
            continue;
        }
        let mut tag = String::new();
        let mut end = start + letter.len();
        while let Some((at, next)) = letters.next_if(|(_, next)| is_word(next)) {
            tag.push_str(&kept(next));
            end = at + next.len();
            after_word = true;
        }
        if is_tag(&tag) {
            found.push((start..end, tag));
        }
    }
    found.into_iter()
}

fn word(text: &str) -> String {
    text.graphemes(true).filter(|letter| is_word(letter)).map(kept).collect()
}

/// A letter, digit or underscore, with whatever marks belong to it.
fn is_word(grapheme: &str) -> bool {
    grapheme.chars().next().is_some_and(|first| first.is_alphanumeric() || first == '_')
}

/// Marks stay with their letter; joiners and the parts of a keycap emoji do not.
fn kept(grapheme: &str) -> String {
    grapheme
        .chars()
        .filter(|c| !matches!(c, '\u{200b}'..='\u{200f}' | '\u{20e3}' | '\u{fe00}'..='\u{fe0f}' | '\u{ad}'))
        .collect()
}

fn is_tag(tag: &str) -> bool {
    tag.chars().any(char::is_alphabetic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_in_any_script_are_words_once() {
        let cases: &[(&[&str], &str, &[&str])] = &[
            (
                &["owncast", "electronics", "Übung", "3d printing"],
                "Etching a PCB #maker",
                &["owncast", "electronics", "Übung", "3dprinting", "maker"],
            ),
            (&["#owncast", "Owncast", "OWNCAST"], "#ownCast", &["owncast"]),
            (&["", " ", "#", "2024", "--", "😀"], "#1 #2024 ## #-", &[]),
            (
                &["u\u{308}bung", "日本語 配信", "हिन्दी", "русский_язык"],
                "",
                &["u\u{308}bung", "日本語配信", "हिन्दी", "русский_язык"],
            ),
            (&[], "C# and https://x.example/#part &#39; a#b", &[]),
            (&[], "(#one),#two, #three! ＃四 #five#six", &["one", "two", "three", "四", "five"]),
            (&["a<b>\"c"], "#x<script>", &["abc", "x"]),
        ];
        for (tags, title, expected) in cases {
            let tags: Vec<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
            assert_eq!(&hashtags(&tags, title), expected, "{tags:?} {title}");
        }
    }

    #[test]
    fn addresses_of_tags_are_percent_encoded() {
        assert_eq!(hashtag_url("art"), "https://owncast.directory/tags/art");
        assert_eq!(hashtag_url("Übung"), "https://owncast.directory/tags/%C3%9Cbung");
    }
}
