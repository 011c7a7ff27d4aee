//! Finds which key a place in the file belongs to, for messages.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Span, line_of};

/// Every key of a document with the bytes it covers.
pub(super) struct Index {
    entries: Vec<Entry>,
}

struct Entry {
    path: String,
    key: Span,
    value: Span,
}

impl Index {
    /// Reads what can be read; a broken document gives what stands before and around the break.
    pub(super) fn new(text: &str) -> Self {
        let (document, _) = DeTable::parse_recoverable(text);
        let mut entries = Vec::new();
        collect(document.get_ref(), "", &mut entries);
        Self { entries }
    }

    /// The dotted path of the innermost key whose name or value holds the place.
    pub(super) fn path_at(&self, place: &Span) -> Option<String> {
        let holds = |span: &Span| span.start <= place.start && place.end <= span.end;
        let holding = self.entries.iter().filter(|entry| holds(&entry.key) || holds(&entry.value));
        holding.max_by_key(|entry| entry.path.matches('.').count()).map(|entry| entry.path.clone())
    }

    /// The line of a key, counted from 1.
    pub(super) fn line_of(&self, text: &str, path: &str) -> Option<usize> {
        self.entries.iter().find(|entry| entry.path == path).map(|entry| line_of(text, entry.key.start))
    }
}

fn collect(table: &DeTable<'_>, prefix: &str, entries: &mut Vec<Entry>) {
    for (key, value) in table {
        let path =
            if prefix.is_empty() { key.get_ref().to_string() } else { format!("{prefix}.{}", key.get_ref()) };
        entries.push(Entry { path: path.clone(), key: key.span(), value: Spanned::span(value) });
        if let DeValue::Table(inner) = value.get_ref() {
            collect(inner, &path, entries);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[owncast]\nurl = \"http://a\"\n\n[go-live]\ndelay = \"1s\"\n";

    #[test]
    fn places_have_paths_and_paths_have_lines() {
        let index = Index::new(TEXT);
        let at = TEXT.find("\"1s\"").unwrap();
        assert_eq!(index.path_at(&(at..at + 4)).as_deref(), Some("go-live.delay"));
        let at = TEXT.find("url").unwrap();
        assert_eq!(index.path_at(&(at..at + 3)).as_deref(), Some("owncast.url"));
        assert_eq!(index.line_of(TEXT, "go-live.delay"), Some(5));
        assert_eq!(index.line_of(TEXT, "go-live"), Some(4));
        assert_eq!(index.line_of(TEXT, "log.level"), None);
    }
}
