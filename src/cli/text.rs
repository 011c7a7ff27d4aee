//! Text for a terminal. Names come from strangers: they must not move the cursor, forge lines or turn the reading
//! direction.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::Failure;
use crate::notice::escape;

/// Characters that steer a terminal or hide what is written: control characters, those of reading direction, and those
/// without ink.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// Several lines of which none can steer the terminal.
pub(super) fn inert(text: &str) -> String {
    text.chars().map(|c| if c != '\n' && steers(c) { '\u{fffd}' } else { c }).collect()
}

/// One line of visible characters, uncut: for what is to be copied.
pub(super) fn line(text: &str) -> String {
    escape::plain(text, usize::MAX)
}

/// One line of visible characters, cut to so many.
pub(super) fn short(text: &str, characters: usize) -> String {
    escape::plain(text, characters)
}

/// JSON with a newline. What could steer a terminal is written as `\u` escapes, which mean the same to a machine.
pub(super) fn json<T: Serialize>(value: &T) -> Result<String, Failure> {
    let plain = serde_json::to_string_pretty(value)?;
    let mut text = String::with_capacity(plain.len() + 1);
    for c in plain.chars() {
        // Newlines stand only between the values: inside of a text they are escaped already.
        if c == '\n' || !steers(c) {
            text.push(c);
        } else {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    text.push('\n');
    Ok(text)
}

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Units with the number of seconds from which each is used; a month is 30 days, a year 365.
const UNITS: [(u64, &str); 5] =
    [(365 * DAY, "year"), (30 * DAY, "month"), (DAY, "day"), (HOUR, "hour"), (MINUTE, "minute")];

/// A duration in its largest unit: "3 days". Less than a minute is "a moment".
pub(super) fn roughly(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match UNITS.iter().find(|(length, _)| seconds >= *length) {
        Some((length, unit)) => counted(seconds / length, unit),
        None => "a moment".to_owned(),
    }
}

/// How long ago something was. What lies ahead, by a clock set back, was a moment ago.
pub(super) fn ago(now: Timestamp, then: Timestamp) -> String {
    let passed = Duration::try_from(now.duration_since(then)).unwrap_or_default();
    format!("{} ago", roughly(passed))
}

/// A moment by the clock on the wall here, and how far it is from now.
pub(super) fn moment(then: Timestamp, now: Timestamp) -> String {
    let clock = then.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M %Z").to_string();
    let ahead = then.duration_since(now);
    if ahead.is_positive() {
        format!("{clock} (in {})", roughly(ahead.unsigned_abs()))
    } else {
        format!("{clock} ({})", ago(now, then))
    }
}

/// Lines of so many characters at most, broken between words; a word that is longer stands on a line of its own. What is to be
/// typed is one word, with its blanks: broken, a shell would take it for two.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in words(text) {
        let longest = lines.last().map_or(0, |line| line.chars().count());
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(&word),
            Some(line) if longest + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

/// The words of a text, of which a command that it tells to type is one.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut is_open = false;
    for word in text.split(' ') {
        match words.last_mut() {
            Some(command) if is_open && !word.starts_with('(') => {
                command.push(' ');
                command.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
        is_open = words.last().is_some_and(|word| is_open_command(word));
    }
    words
}

/// Whether this begins a command and does not end it. Commands stand in quotes or brackets, or before a mark.
fn is_open_command(text: &str) -> bool {
    const PROGRAMS: [&str; 4] = ["sudo", env!("CARGO_PKG_NAME"), "systemctl", "journalctl"];
    let command = text.trim_start_matches(['(', '`', '\'']);
    let ends = command.trim_end_matches([',', ';', '.', ':']);
    let is_typed = PROGRAMS.iter().any(|program| {
        command.strip_prefix(program).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    });
    // A blank within quotes is of an argument.
    let is_quoted = command.matches('\'').count() % 2 == 1;
    is_typed
        && match text.chars().next() {
            Some('(') => is_quoted || !ends.ends_with(')'),
            Some('`') => !ends.ends_with('`'),
            Some('\'') => !(is_quoted && ends.ends_with('\'')),
            _ => is_quoted || ends.len() == command.len() && !ends.ends_with(')'),
        }
}

/// A number with its noun: "1 follower", "2 followers".
pub(super) fn counted(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_their_largest_unit() {
        let now = Timestamp::from_second(2_000_000_000).unwrap();
        for (seconds, want) in [
            (-50, "a moment ago"),
            (0, "a moment ago"),
            (59, "a moment ago"),
            (60, "1 minute ago"),
            (7_199, "1 hour ago"),
            (7_200, "2 hours ago"),
            (3 * 86_400, "3 days ago"),
            (65 * 86_400, "2 months ago"),
            (800 * 86_400, "2 years ago"),
        ] {
            let then = Timestamp::from_second(2_000_000_000 - seconds).unwrap();
            assert_eq!(ago(now, then), want, "{seconds}");
        }
    }

    #[test]
    fn a_moment_is_told_by_the_clock_and_from_now() {
        let now = Timestamp::from_second(2_000_000_000).unwrap();
        let text = moment(Timestamp::from_second(2_000_007_200).unwrap(), now);
        assert!(text.starts_with("2033-05-1") && text.ends_with(" (in 2 hours)"), "{text}");
        let text = moment(Timestamp::from_second(2_000_000_000 - 3600).unwrap(), now);
        assert!(text.ends_with(" (1 hour ago)"), "{text}");
    }

    #[test]
    fn long_lines_break_between_words() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("https://live.example/ is it", 6), ["https://live.example/", "is it"]);
        assert_eq!(wrapped("", 6), [""]);
    }

    #[test]
    fn what_is_to_be_typed_is_not_broken() {
        for (text, lines) in [
            ("it waits: owncast-herald adopt --undo", &["it", "waits:", "owncast-herald adopt --undo"][..]),
            ("so it (sudo systemctl restart x). Then", &["so it", "(sudo systemctl restart x).", "Then"]),
            ("Now: owncast-herald key show, and on", &["Now:", "owncast-herald key show,", "and on"]),
            ("see `owncast-herald status` for it", &["see", "`owncast-herald status`", "for it"]),
            ("or 'owncast-herald run --observe' (it", &["or", "'owncast-herald run --observe'", "(it"]),
            ("owncast-herald reload (after a", &["owncast-herald reload", "(after", "a"]),
            (
                "do owncast-herald --config '/my stream/a.toml' run; or not",
                &["do", "owncast-herald --config '/my stream/a.toml' run;", "or not"],
            ),
        ] {
            assert_eq!(wrapped(text, 6), lines, "{text}");
        }
    }

    #[test]
    fn nothing_steers_the_terminal() {
        let hostile = "Ana\u{1b}[2J\u{9b}31m\r\nroot@host# \u{202e}evil\u{7f}\u{e0041}";
        for text in
            [inert(hostile).replace('\n', ""), line(hostile), json(&hostile).unwrap().trim_end().to_owned()]
        {
            assert!(!text.chars().any(steers), "{text:?}");
        }
        assert_eq!(line("a\nb"), "a b");
        assert_eq!(inert("a\n\tb"), "a\n\u{fffd}b");
    }

    #[test]
    fn json_means_what_it_meant() {
        let text = "a\u{9b}b\u{202e}c\u{e0041}d é 👍🏽";
        let printed = json(&[text]).unwrap();
        assert!(printed.contains("\\u009b") && printed.contains("\\udb40\\udc41"), "{printed}");
        assert!(printed.contains("é 👍🏽"));
        assert_eq!(serde_json::from_str::<Vec<String>>(&printed).unwrap(), [text]);
    }
}
