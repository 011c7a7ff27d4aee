//! One refusal of a configuration: where, what was found, what is allowed, an example.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::locate::Index;
use super::settings::FIELDS;

/// The annotated example, the source of the examples in messages.
const SHIPPED: &str = include_str!("../../agent.toml");

/// Why a configuration cannot be used. Its text is for the operator and never shows a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError(Box<Complaint>);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Complaint {
    file: Option<PathBuf>,
    line: Option<usize>,
    field: Option<String>,
    problem: String,
    found: Option<String>,
    allowed: Option<String>,
    example: Option<String>,
}

impl ConfigError {
    pub(super) fn new(problem: impl Into<String>) -> Self {
        Self(Box::new(Complaint { problem: problem.into(), ..Complaint::default() }))
    }

    pub(super) fn file(mut self, file: Option<&Path>) -> Self {
        self.0.file = file.map(Path::to_owned);
        self
    }

    pub(super) fn line(mut self, line: Option<usize>) -> Self {
        self.0.line = line;
        self
    }

    pub(super) fn field(mut self, field: &str) -> Self {
        self.0.example = example_for(field);
        self.0.field = Some(field.to_owned());
        self
    }

    pub(super) fn found(mut self, found: impl Into<String>) -> Self {
        self.0.found = Some(found.into());
        self
    }

    pub(super) fn allowed(mut self, allowed: impl Into<String>) -> Self {
        self.0.allowed = Some(allowed.into());
        self
    }

    /// Turns the parser's complaint into ours. The parser's own text is not used, for it repeats the offending line.
    pub(super) fn from_toml(error: &toml::de::Error, text: &str, file: Option<&Path>) -> Self {
        let index = Index::new(text);
        let message = error.message();
        let span = error.span().unwrap_or(0..0);
        let line = error.span().map(|span| line_of(text, span.start));
        let field = index.path_at(&span);
        let allowed = message.rfind(", expected ").map(|at| message[at + ", expected ".len()..].to_owned());
        // Said of a value that is no TOML at all, such as a text without quotes.
        let allowed = allowed.filter(|expected| expected != "nothing");
        let mut complaint = if message.starts_with("unknown field") {
            let field = field.unwrap_or_default();
            let mut complaint = Self::new("there is no such key").field(&field).found(field.clone());
            if let Some(near) = nearest(&field) {
                complaint.0.problem = format!("there is no such key; did you mean {near}?");
                complaint.0.example = example_for(near);
            }
            complaint
        } else if message.starts_with("invalid value") || message.starts_with("invalid type") {
            let field = field.unwrap_or_default();
            let found = text.get(span).map(|found| shown(&field, found));
            let complaint = Self::new("this value cannot be used").field(&field);
            match found {
                Some(found) => complaint.found(found),
                None => complaint,
            }
        } else {
            let problem = message.rfind(", expected ").map_or(message, |at| &message[..at]);
            let complaint = Self::new(format!("this is not TOML: {problem}"));
            match field {
                Some(field) => complaint.field(&field),
                None => complaint,
            }
        };
        complaint.0.allowed = allowed;
        complaint.file(file).line(line)
    }

    /// Root would give the password in `file` to another user, and somebody other than root decides which file that is: who
    /// may write `loose`.
    pub(crate) fn of_handing_over(file: &Path, loose: &Path, owner: u32) -> Self {
        let (file, loose) = (file.display(), loose.display());
        Self::new(format!(
            "root does not hand on what is in {file}, which the store's owner may not read: others than root may write \
             {loose}, and so could name any file"
        ))
        .field("owncast.admin-password-file")
        .allowed(format!(
            "a password file that the store's owner may read (chown {owner} {file}), or a configuration where root alone may \
             write, such as /etc/owncast-herald"
        ))
    }

    /// The same about the file that this one was only tried for.
    pub(crate) fn tried_for(mut self, file: &Path) -> Self {
        self.0.line = None;
        self.file(Some(file))
    }

    /// The process exit code for a bad configuration: `EX_CONFIG` of sysexits.h.
    pub fn exit_code(&self) -> u8 {
        78
    }

    /// The same text on one line, for a log.
    pub fn one_line(&self) -> String {
        self.to_string().replace("\n  ", "; ")
    }

    /// The file at fault, if one is.
    pub fn file_at_fault(&self) -> Option<&Path> {
        self.0.file.as_deref()
    }

    /// The line at fault, counted from 1.
    pub fn line_at_fault(&self) -> Option<usize> {
        self.0.line
    }

    /// The key at fault with its section: `go-live.delay`.
    pub fn field_at_fault(&self) -> Option<&str> {
        self.0.field.as_deref()
    }

    /// What would have been accepted.
    pub fn what_is_allowed(&self) -> Option<&str> {
        self.0.allowed.as_deref()
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Complaint { file, line, field, problem, found, allowed, example } = &*self.0;
        let mut words = String::new();
        if let Some(file) = file {
            words.push_str(&file.display().to_string());
            if let Some(line) = line {
                words.push_str(&format!(", line {line}"));
            }
            words.push_str(": ");
        }
        if let Some(field) = field {
            words.push_str(&format!("{field}: "));
        }
        words.push_str(problem);
        // What stands in the file may steer a terminal.
        let inert = |text: &str| text.replace(char::is_control, "\u{fffd}");
        f.write_str(&inert(&words))?;
        for (title, text) in [("found", found), ("allowed", allowed), ("example", example)] {
            if let Some(text) = text {
                write!(f, "\n  {title}: {}", inert(text))?;
            }
        }
        Ok(())
    }
}

/// The line of a byte offset, counted from 1.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

/// The found text as a message may show it: a password never, a login inside an address neither.
fn shown(field: &str, found: &str) -> String {
    if field == "owncast.admin-password" {
        return "(not shown)".to_owned();
    }
    let first_line = found.lines().next().unwrap_or_default();
    match (first_line.find("//"), first_line.rfind('@')) {
        (Some(start), Some(end)) if start + 2 < end => {
            format!("{}…{}", &first_line[..start + 2], &first_line[end..])
        }
        _ => first_line.chars().take(120).collect(),
    }
}

/// A line to copy: the shipped default, or where that is empty the `e.g.` line above it.
fn example_for(field: &str) -> Option<String> {
    let (section, key) = field.split_once('.')?;
    let body = SHIPPED.split(&format!("\n[{section}]\n")).nth(1)?;
    let body = body.split("\n[").next()?;
    let mut default = None;
    for line in body.lines() {
        let Some(line) = line.strip_prefix("#   e.g. ").or_else(|| line.strip_prefix("# ")).or(Some(line))
        else {
            continue;
        };
        if line.split(" = ").next() == Some(key) {
            if !line.ends_with("= \"\"") {
                return Some(format!("{line}   under [{section}]"));
            }
            default = Some(format!("{line}   under [{section}]"));
        }
    }
    default
}

/// The known key that the unknown one was probably meant to be.
fn nearest(unknown: &str) -> Option<&'static str> {
    let key = unknown.rsplit('.').next().unwrap_or(unknown).replace('_', "-").to_lowercase();
    let same_key = FIELDS.iter().find(|field| field.name.rsplit('.').next() == Some(key.as_str()));
    let candidates = FIELDS.iter().map(|field| (edit_distance(unknown, field.name), field.name));
    let closest = candidates.min().filter(|(distance, _)| *distance <= 3).map(|(_, name)| name);
    closest.or(same_key.map(|field| field.name))
}

fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        next.push(i + 1);
        for ((to, pair), j) in b.iter().zip(row.windows(2)).zip(0..) {
            let (diagonal, above) = (pair.first().copied().unwrap_or(0), pair.last().copied().unwrap_or(0));
            let left = next.get(j).copied().unwrap_or(0);
            next.push((diagonal + usize::from(from != *to)).min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

/// A byte range of the file's text.
pub(super) type Span = Range<usize>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, distance) in [("", "", 0), ("delay", "delay", 0), ("dely", "delay", 1), ("a", "xyz", 3)] {
            assert_eq!(edit_distance(a, b), distance, "{a} {b}");
        }
    }

    #[test]
    fn unknown_keys_find_their_neighbour() {
        let table = [
            ("go-live.dely", Some("go-live.delay")),
            ("go-live.repost_after", Some("go-live.repost-after")),
            ("visibility", Some("go-live.visibility")),
            ("notices.approval", Some("followers.approval")),
            ("notices.sparkles", None),
        ];
        for (unknown, near) in table {
            assert_eq!(nearest(unknown), near, "{unknown}");
        }
    }

    #[test]
    fn every_field_has_an_example() {
        for field in FIELDS {
            let example = example_for(field.name).unwrap_or_else(|| panic!("no example for {}", field.name));
            assert!(!example.contains("= \"\""), "{example}");
        }
    }

    #[test]
    fn found_values_hide_logins() {
        assert_eq!(shown("owncast.url", "\"http://admin:pw@host\""), "\"http://…@host\"");
        assert_eq!(shown("owncast.admin-password", "\"pw\""), "(not shown)");
        assert_eq!(shown("log.level", "\"loud\""), "\"loud\"");
    }
}
