//! The part of structured field values (RFC 9651) that signatures and digests are written in.
//!
//! Stricter than the standard where two readers could differ: a name that stands twice is refused instead of the last
//! one winning, base64 must be padded, and numbers with a fraction, dates and display strings are not read. What is
//! read can be written again, byte for byte in the one canonical form, because a signature covers that form.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Longest field read, in bytes.
const MAX_BYTES: usize = 8 * 1024;
/// Most members of a dictionary.
const MAX_MEMBERS: usize = 8;
/// Most items of an inner list.
const MAX_ITEMS: usize = 32;
/// Most parameters of an item or inner list.
const MAX_PARAMETERS: usize = 16;

/// Why a field is not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FieldError {
    /// It is not of the form.
    Malformed(&'static str),
    /// A name stands twice.
    Twice(String),
}

/// A single value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Bare {
    /// `"…"`.
    Text(String),
    /// A word without quotes.
    Token(String),
    /// A whole number of at most 15 digits.
    Integer(i64),
    /// `:…:`.
    Bytes(Vec<u8>),
    /// `?0` or `?1`.
    Flag(bool),
}

/// Parameters in the order in which they came.
pub(super) type Parameters = Vec<(String, Bare)>;

/// A value with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) value: Bare,
    pub(super) parameters: Parameters,
}

/// A list in parentheses with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InnerList {
    pub(super) items: Vec<Item>,
    pub(super) parameters: Parameters,
}

/// What a name of a dictionary stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Member {
    Item(Item),
    List(InnerList),
}

/// Reads a dictionary that is not empty.
pub(super) fn dictionary(text: &str) -> Result<Vec<(String, Member)>, FieldError> {
    if text.len() > MAX_BYTES {
        return Err(FieldError::Malformed("longer than 8 KiB"));
    }
    let mut reader = Reader { rest: text.trim_matches(' ') };
    let mut members: Vec<(String, Member)> = Vec::new();
    loop {
        let name = reader.key()?;
        if members.len() >= MAX_MEMBERS {
            return Err(FieldError::Malformed("more than 8 members"));
        }
        if members.iter().any(|(known, _)| *known == name) {
            return Err(FieldError::Twice(name));
        }
        let member = if !reader.take('=') {
            Member::Item(Item { value: Bare::Flag(true), parameters: reader.parameters()? })
        } else if reader.take('(') {
            Member::List(reader.inner_list()?)
        } else {
            Member::Item(reader.item()?)
        };
        members.push((name, member));
        reader.rest = reader.rest.trim_start_matches([' ', '\t']);
        if reader.rest.is_empty() {
            return Ok(members);
        }
        if !reader.take(',') {
            return Err(FieldError::Malformed("expected a comma between members"));
        }
        reader.rest = reader.rest.trim_start_matches([' ', '\t']);
    }
}

/// Writes a text with its quotes; `None` if it holds anything but printable ASCII.
pub(super) fn quoted(text: &str) -> Option<String> {
    if !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return None;
    }
    Some(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

/// Writes bytes between colons.
pub(super) fn binary(bytes: &[u8]) -> String {
    format!(":{}:", STANDARD.encode(bytes))
}

impl Bare {
    fn write(&self, out: &mut String) {
        match self {
            // What was read is printable.
            Self::Text(text) => out.push_str(&quoted(text).unwrap_or_default()),
            Self::Token(token) => out.push_str(token),
            Self::Integer(number) => out.push_str(&number.to_string()),
            Self::Bytes(bytes) => out.push_str(&binary(bytes)),
            Self::Flag(flag) => out.push_str(if *flag { "?1" } else { "?0" }),
        }
    }
}

fn write_parameters(parameters: &Parameters, out: &mut String) {
    for (name, value) in parameters {
        out.push(';');
        out.push_str(name);
        if *value != Bare::Flag(true) {
            out.push('=');
            value.write(out);
        }
    }
}

impl InnerList {
    /// The canonical form.
    pub(super) fn write(&self, out: &mut String) {
        out.push('(');
        for (at, item) in self.items.iter().enumerate() {
            if at > 0 {
                out.push(' ');
            }
            item.value.write(out);
            write_parameters(&item.parameters, out);
        }
        out.push(')');
        write_parameters(&self.parameters, out);
    }
}

/// What has not been read yet.
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn take(&mut self, wanted: char) -> bool {
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// The longest beginning of characters that `wanted` agrees with.
    fn while_in(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !wanted(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn key(&mut self) -> Result<String, FieldError> {
        if !self.rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '*') {
            return Err(FieldError::Malformed("a name must begin with a lower-case letter"));
        }
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-.*".contains(c);
        Ok(self.while_in(allowed).to_owned())
    }

    /// After the opening parenthesis.
    fn inner_list(&mut self) -> Result<InnerList, FieldError> {
        let mut items = Vec::new();
        loop {
            let spaced = !self.while_in(|c| c == ' ').is_empty();
            if self.take(')') {
                return Ok(InnerList { items, parameters: self.parameters()? });
            }
            if !items.is_empty() && !spaced {
                return Err(FieldError::Malformed("expected a space or ) in a list"));
            }
            if items.len() >= MAX_ITEMS {
                return Err(FieldError::Malformed("more than 32 items in a list"));
            }
            items.push(self.item()?);
        }
    }

    fn item(&mut self) -> Result<Item, FieldError> {
        Ok(Item { value: self.bare()?, parameters: self.parameters()? })
    }

    fn parameters(&mut self) -> Result<Parameters, FieldError> {
        let mut parameters = Parameters::new();
        while self.take(';') {
            self.rest = self.rest.trim_start_matches(' ');
            let name = self.key()?;
            if parameters.len() >= MAX_PARAMETERS {
                return Err(FieldError::Malformed("more than 16 parameters"));
            }
            if parameters.iter().any(|(known, _)| *known == name) {
                return Err(FieldError::Twice(name));
            }
            let value = if self.take('=') { self.bare()? } else { Bare::Flag(true) };
            parameters.push((name, value));
        }
        Ok(parameters)
    }

    fn bare(&mut self) -> Result<Bare, FieldError> {
        match self.rest.chars().next() {
            Some('"') => self.text(),
            Some(':') => self.bytes(),
            Some('?') => self.flag(),
            Some(c) if c.is_ascii_digit() || c == '-' => self.integer(),
            Some(c) if c.is_ascii_alphabetic() || c == '*' => {
                let allowed = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~:/".contains(c);
                Ok(Bare::Token(self.while_in(allowed).to_owned()))
            }
            _ => Err(FieldError::Malformed("expected a value")),
        }
    }

    fn text(&mut self) -> Result<Bare, FieldError> {
        let mut text = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = self.rest.get(at + 1..).unwrap_or_default();
                    return Ok(Bare::Text(text));
                }
                '\\' => match chars.next() {
                    Some((_, escaped @ ('"' | '\\'))) => text.push(escaped),
                    _ => return Err(FieldError::Malformed("a backslash before neither quote nor backslash")),
                },
                ' '..='~' => text.push(c),
                _ => return Err(FieldError::Malformed("a string holds something else than printable ASCII")),
            }
        }
        Err(FieldError::Malformed("a string does not end"))
    }

    fn bytes(&mut self) -> Result<Bare, FieldError> {
        let inside = self.rest.strip_prefix(':').and_then(|rest| rest.split_once(':'));
        let (text, rest) = inside.ok_or(FieldError::Malformed("a byte sequence does not end"))?;
        self.rest = rest;
        let bytes = STANDARD
            .decode(text)
            .map_err(|_| FieldError::Malformed("a byte sequence is not padded standard base64"))?;
        Ok(Bare::Bytes(bytes))
    }

    fn flag(&mut self) -> Result<Bare, FieldError> {
        self.take('?');
        match (self.take('0'), self.take('1')) {
            (true, false) => Ok(Bare::Flag(false)),
            (false, true) => Ok(Bare::Flag(true)),
            _ => Err(FieldError::Malformed("a truth value is neither ?0 nor ?1")),
        }
    }

    fn integer(&mut self) -> Result<Bare, FieldError> {
        let negative = self.take('-');
        let digits = self.while_in(|c| c.is_ascii_digit());
        if self.rest.starts_with('.') {
            return Err(FieldError::Malformed("a number has a fraction"));
        }
        if !(1..=15).contains(&digits.len()) {
            return Err(FieldError::Malformed("a number has no digits, or more than 15"));
        }
        let number: i64 = digits.parse().map_err(|_| FieldError::Malformed("a number is out of range"))?;
        Ok(Bare::Integer(if negative { -number } else { number }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Result<String, FieldError> {
        let members = dictionary(&format!("a={text}"))?;
        let Some((_, Member::List(list))) = members.into_iter().next() else { panic!("no list in {text}") };
        let mut out = String::new();
        list.write(&mut out);
        Ok(out)
    }

    #[test]
    fn lists_are_written_in_their_canonical_form() {
        for (text, want) in [
            ("()", "()"),
            ("(  )", "()"),
            ("(\"a\"   \"b\" )", "(\"a\" \"b\")"),
            (
                "(\"a\";sf;key=\"x\" \"b\");created=1;keyid=\"k\"",
                "(\"a\";sf;key=\"x\" \"b\");created=1;keyid=\"k\"",
            ),
            ("();a;  b=?1;c=?0;d=tok/en:x;e=-7;f=:AAA=:;g=007", "();a;b;c=?0;d=tok/en:x;e=-7;f=:AAA=:;g=7"),
            ("();n=\"a\\\"b\\\\c\"", "();n=\"a\\\"b\\\\c\""),
        ] {
            assert_eq!(list(text).as_deref(), Ok(want), "{text}");
        }
    }

    #[test]
    fn members_are_named_values_with_parameters() {
        let members = dictionary(" sig1=:AQI=:,\tb ,c=(1 2);x,  *d=tok;p=?0 ").unwrap();
        let names: Vec<_> = members.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["sig1", "b", "c", "*d"]);
        assert_eq!(members[0].1, Member::Item(Item { value: Bare::Bytes(vec![1, 2]), parameters: vec![] }));
        assert_eq!(members[1].1, Member::Item(Item { value: Bare::Flag(true), parameters: vec![] }));
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        for text in [
            "",
            " ",
            ",",
            "a=",
            "a=1,",
            "a=1,,b=2",
            "a=1 b=2",
            "A=1",
            "aB=1",
            "1a=1",
            "=1",
            "a=(",
            "a=(1",
            "a=(1\"b\")",
            "a=(1\t2)",
            "a=((1))",
            "a=()x",
            "a=\"x",
            "a=\"\\n\"",
            "a=\"\\",
            "a=\"\u{e9}\"",
            "a=\"\u{7f}\"",
            "a=:AA",
            "a=:AA:",
            "a=:AA=:",
            "a=:A A=:",
            "a=::x",
            "a=?2",
            "a=?",
            "a=?01",
            "a=1.5",
            "a=1.",
            "a=-",
            "a=1234567890123456",
            "a=@1",
            "a=%\"x\"",
            "a=();",
            "a=();=1",
            "a=();X=1",
            "a=1;\tb",
            "\ta=1",
            "a=é",
        ] {
            assert!(
                matches!(dictionary(text), Err(FieldError::Malformed(_))),
                "{text:?}: {:?}",
                dictionary(text)
            );
        }
        for text in ["a=1,a=2", "a=1;b;b", "a=();b=1;b=1", "a=(\"x\";s;s)"] {
            assert!(matches!(dictionary(text), Err(FieldError::Twice(_))), "{text:?}");
        }
        let many =
            |n: usize, part: fn(usize) -> String, by: &str| (0..n).map(part).collect::<Vec<_>>().join(by);
        for (text, ok) in [
            (many(8, |n| format!("a{n}"), ","), true),
            (many(9, |n| format!("a{n}"), ","), false),
            (format!("a=({})", many(32, |n| n.to_string(), " ")), true),
            (format!("a=({})", many(33, |n| n.to_string(), " ")), false),
            (format!("a={}", many(17, |n| format!("p{n}"), ";")), true),
            (format!("a={}", many(18, |n| format!("p{n}"), ";")), false),
            (format!("a=\"{}\"", "x".repeat(MAX_BYTES)), false),
        ] {
            assert_eq!(dictionary(&text).is_ok(), ok, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_ends_in_a_verdict(text in "\\PC{0,80}", ascii in "[a-c=,;:()\"\\\\? 0-9.é-]{0,80}") {
            let _ = dictionary(&text);
            let _ = dictionary(&ascii);
        }

        /// What was read and written is read as the same again.
        #[test]
        fn the_canonical_form_is_a_fixed_point(ascii in "\\((\"[a-z@\\\\\"]{0,3}\"(;[a-c](=[0-9?\"tx:]{1,4})?)? ?){0,3}\\)(;[a-c]=[0-9]{1,3}){0,2}") {
            if let Ok(once) = dictionary(&format!("a={ascii}")).map(|_| list(&ascii).unwrap()) {
                proptest::prop_assert_eq!(list(&once), Ok(once));
            }
        }
    }
}
