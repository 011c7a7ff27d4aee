//! The story as text: when, who, what, how long it took; 80 columns.

use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

const WIDTH: usize = 80;
const WHO: usize = 15;
/// Where what somebody does begins.
const MARGIN: usize = 25;
const TOOK: usize = 9;

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";
const GREEN: &str = "32";
const CYAN: &str = "36";

/// Writes the story, line by line.
pub(super) struct Teller {
    out: Box<dyn Write + Send>,
    color: bool,
    began: Instant,
    steps: usize,
}

impl Teller {
    pub(super) fn new(out: Box<dyn Write + Send>, color: bool) -> Teller {
        Teller { out, color, began: Instant::now(), steps: 0 }
    }

    /// What was seen at the other end so far.
    pub(super) fn steps(&self) -> usize {
        self.steps
    }

    pub(super) fn began(&self) -> Instant {
        self.began
    }

    fn ink(&self, code: &str, text: &str) -> String {
        if self.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.out, "{}", line.trim_end())?;
        // A pipe is read as it grows.
        self.out.flush()
    }

    /// A line as it is.
    pub(super) fn plain(&mut self, line: &str) -> io::Result<()> {
        self.write(line)
    }

    pub(super) fn prologue(&mut self, owncast: &str, log: Option<&Path>) -> io::Result<()> {
        let title = self.ink(BOLD, "owncast-herald demo");
        self.write(&title)?;
        self.write("")?;
        for line in wrap(
            "The agent is the real one. The Owncast beside it and the servers of the fediverse are simulated, on \
             this machine only, and everything between them goes over HTTP.",
            WIDTH,
        ) {
            self.write(&line)?;
        }
        self.write("")?;
        self.entry("Owncast 0.3.0", owncast)?;
        match log {
            Some(path) => self.entry("agent's log", &path.display().to_string()),
            None => Ok(()),
        }
    }

    /// A name and an address.
    pub(super) fn entry(&mut self, name: &str, value: &str) -> io::Result<()> {
        let name = format!("{name:<WHO$}");
        let name = self.ink(CYAN, &name);
        self.write(&format!("  {name} {value}"))
    }

    /// A new part of the story.
    pub(super) fn scene(&mut self, title: &str) -> io::Result<()> {
        let title = self.ink(BOLD, title);
        self.write("")?;
        self.write(&title)
    }

    /// What somebody does: nothing is claimed yet.
    pub(super) fn act(&mut self, who: &str, what: &str) -> io::Result<()> {
        self.line(who, what, None)
    }

    /// What was seen at the other end, and how long after its cause.
    pub(super) fn seen(&mut self, who: &str, what: &str, took: Duration) -> io::Result<()> {
        self.steps += 1;
        self.line(who, what, Some(took))
    }

    /// What was checked at the other end, without a time worth telling.
    pub(super) fn checked(&mut self, who: &str, what: &str) -> io::Result<()> {
        self.steps += 1;
        self.line(who, what, None)
    }

    fn line(&mut self, who: &str, what: &str, took: Option<Duration>) -> io::Result<()> {
        let clock = format!("{:>5.1} s", self.began.elapsed().as_secs_f32());
        let who = format!("{who:<WHO$}");
        let head = format!("{}  {}", self.ink(DIM, &clock), self.ink(CYAN, &who));
        let room = WIDTH - MARGIN - took.map_or(0, |_| TOOK);
        let lines = wrap(what, room);
        let last = lines.len().saturating_sub(1);
        for (index, text) in lines.iter().enumerate() {
            let head = if index == 0 { format!("{head} ") } else { " ".repeat(MARGIN) };
            match took.filter(|_| index == last) {
                Some(took) => {
                    let took = format!("{:>TOOK$}", spell(took));
                    let took = self.ink(GREEN, &took);
                    self.write(&format!("{head}{text:<room$}{took}"))?;
                }
                None => self.write(&format!("{head}{text}"))?,
            }
        }
        Ok(())
    }

    /// Words as they stand at the other end.
    pub(super) fn quote(&mut self, text: &str) -> io::Result<()> {
        for paragraph in text.lines().filter(|line| !line.trim().is_empty()) {
            for line in wrap(paragraph, WIDTH - MARGIN - 2) {
                let line = self.ink(DIM, &format!("| {line}"));
                self.write(&format!("{}{line}", " ".repeat(MARGIN)))?;
            }
        }
        Ok(())
    }

    /// The good end.
    pub(super) fn applause(&mut self, text: &str) -> io::Result<()> {
        let text = self.ink(GREEN, text);
        self.write("")?;
        self.write(&text)
    }

    /// What went wrong, and what the agent's log says about it.
    pub(super) fn failed(&mut self, why: &str, log: &[String]) -> io::Result<()> {
        self.write("")?;
        for line in wrap(&format!("FAILED  {why}"), WIDTH) {
            let line = self.ink(RED, &line);
            self.write(&line)?;
        }
        if !log.is_empty() {
            self.write("The agent's last warnings:")?;
        }
        for line in log.iter().flat_map(|line| wrap(line, WIDTH - 2)) {
            self.write(&format!("  {line}"))?;
        }
        Ok(())
    }
}

/// A duration with three digits at most: `38 ms`, `1.31 s`.
pub(super) fn spell(took: Duration) -> String {
    let millis = took.as_millis();
    if millis < 1000 { format!("{millis} ms") } else { format!("{:.2} s", took.as_secs_f32()) }
}

/// Lines of at most `width` letters, broken between words; a longer word stands alone.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let room = width.saturating_sub(word.chars().count());
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() < room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(color: bool) -> String {
        let paper = Paper::default();
        let mut teller = Teller::new(Box::new(paper.clone()), color);
        teller.act("Owncast", "an encoder connects").unwrap();
        let long = "reads the post with its picture, which is a JPEG of 1280 by 720";
        teller.seen("Bo, GoToSocial", long, Duration::from_millis(1310)).unwrap();
        teller.quote(&"word ".repeat(40)).unwrap();
        assert_eq!(teller.steps(), 1);
        String::from_utf8(paper.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn lines_are_aligned_and_fit_eighty_columns() {
        let text = written(false);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.iter().all(|line| line.len() <= WIDTH), "{text}");
        assert_eq!(lines[0], "  0.0 s  Owncast         an encoder connects");
        assert_eq!(lines[1], "  0.0 s  Bo, GoToSocial  reads the post with its picture, which is a");
        assert_eq!(lines[2], format!("{:25}{:<46}{:>9}", "", "JPEG of 1280 by 720", "1.31 s"));
        assert!(lines[3].starts_with(&format!("{:25}| word word", "")));
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn colour_changes_no_letter() {
        let mut plain = written(true);
        while let Some(at) = plain.find('\u{1b}') {
            let end = plain[at..].find('m').unwrap() + at;
            plain.replace_range(at..=end, "");
        }
        let trimmed: Vec<&str> = plain.lines().map(str::trim_end).collect();
        assert_eq!(trimmed, written(false).lines().collect::<Vec<_>>());
    }

    #[test]
    fn durations_are_short() {
        assert_eq!(spell(Duration::from_micros(38_400)), "38 ms");
        assert_eq!(spell(Duration::from_millis(12_345)), "12.35 s");
    }
}
