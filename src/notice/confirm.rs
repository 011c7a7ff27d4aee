//! Whether what was sent was shown: a message comes back over the chat websocket as every viewer gets it.
//!
//! Owncast says "sent" for whatever it takes, also while chat is off, and gives no id. So a message is known by its text:
//! the letters and digits a viewer reads, in which every way of rendering (HTML passed on, markdown once or twice,
//! sanitised for the bot) agrees. What does not come back is counted; nothing is ever sent a second time for it.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::activitypub::html::strip_to_text;

/// Messages waited for at once, at most: more than may be sent in [`WITHIN`].
const MOST: usize = 256;
/// Owncast shows a message before it answers "sent"; what has not come back after this long will not.
const WITHIN: Duration = Duration::from_secs(10);

/// Messages on their way.
#[derive(Debug, Default)]
pub struct Confirmations(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    messages: VecDeque<(Instant, String)>,
    /// Given up, and not told yet.
    lost: u64,
}

impl Confirmations {
    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This body is about to be sent.
    pub fn expect(&self, body: &str, now: Instant) {
        let mut waiting = self.lock();
        if waiting.messages.len() == MOST {
            waiting.messages.pop_front();
            waiting.lost += 1;
        }
        waiting.messages.push_back((now, read(body)));
    }

    /// It was not sent after all.
    pub fn forget(&self, body: &str) {
        let text = read(body);
        let messages = &mut self.lock().messages;
        if let Some(at) = messages.iter().rposition(|(_, waiting)| *waiting == text) {
            messages.remove(at);
        }
    }

    /// This HTML was shown. True if it is ours, which confirms it.
    pub fn shown(&self, html: &str) -> bool {
        let text = read(html);
        let messages = &mut self.lock().messages;
        let at = messages.iter().position(|(_, waiting)| *waiting == text);
        at.and_then(|at| messages.remove(at)).is_some()
    }

    /// How many have not come back in time since this was last asked.
    pub fn lost(&self, now: Instant) -> u64 {
        let mut waiting = self.lock();
        let before = waiting.messages.len();
        waiting.messages.retain(|(sent, _)| now.saturating_duration_since(*sent) < WITHIN);
        let given_up = (before - waiting.messages.len()) as u64;
        std::mem::take(&mut waiting.lost) + given_up
    }
}

/// What a viewer reads: letters and digits only, since blanks and signs are where renderings differ.
fn read(html: &str) -> String {
    strip_to_text(html).chars().filter(|c| c.is_alphanumeric()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notice::escape::{block, text};

    fn sent(body: &str) -> (Confirmations, Instant) {
        let (confirmations, now) = (Confirmations::default(), Instant::now());
        confirmations.expect(body, now);
        (confirmations, now)
    }

    #[test]
    fn every_rendering_of_a_message_confirms_it() {
        let body = block(&format!(
            "<strong>{}</strong> (<a href=\"https://a.example/@ana\" rel=\"nofollow\">{}</a>) followed this stream.",
            text("<b>Ana</b> *x* :heart:"),
            text("ana@a.example")
        ));
        for rendered in [
            // An HTML block passed on, with and without a newline.
            body.clone(),
            format!("{body}\n"),
            // Sanitised: comments gone, entities decoded, attributes rewritten.
            "<p><strong>&lt;b&gt;Ana&lt;/b&gt; *x* :heart:</strong> (<a href=\"https://a.example/@ana\" \
             target=\"_blank\">ana@a.example</a>) followed this stream.</p>"
                .to_owned(),
        ] {
            let (confirmations, now) = sent(&body);
            assert!(confirmations.shown(&rendered), "{rendered}");
            assert!(!confirmations.shown(&rendered), "once");
            assert_eq!(confirmations.lost(now + WITHIN), 0);
        }
    }

    #[test]
    fn the_recorded_renderings_are_recognised() {
        let recorded = include_str!("../../tests/fixtures/owncast-client/websocket.jsonl");
        for body in [
            "**Ana** <b>b</b> <img src=\"x\" onerror=\"alert(1)\"> [link](https://a.example) shared this stream",
            "**Ana** <b>b</b> liked <img src=\"https://x.example/a.png\">",
        ] {
            // Only the text is compared, so markdown's own signs must not be in it.
            let (confirmations, _) = sent(&body.replace("[link](https://a.example)", "link"));
            let frames = recorded.lines().flat_map(|line| {
                let recorded: serde_json::Value = serde_json::from_str(line).unwrap();
                crate::owncast::frames::parse(recorded["frame"].as_str().unwrap())
            });
            let hits = frames.filter(|frame| match frame {
                crate::owncast::frames::Frame::System { body, .. }
                | crate::owncast::frames::Frame::Action { body, .. }
                | crate::owncast::frames::Frame::Chat { body, .. } => confirmations.shown(body),
                _ => false,
            });
            assert_eq!(hits.count(), 1, "{body}");
        }
    }

    #[test]
    fn what_does_not_come_back_is_counted_once() {
        let (confirmations, now) = sent("<p>one</p>");
        confirmations.expect("<p>two</p>", now);
        confirmations.expect("<p>two</p>", now);
        confirmations.forget("<p>two</p>");
        assert!(!confirmations.shown("<p>three</p>"));
        assert_eq!(confirmations.lost(now + WITHIN / 2), 0);
        assert_eq!(confirmations.lost(now + WITHIN), 2);
        assert_eq!(confirmations.lost(now + WITHIN * 2), 0);
        assert!(!confirmations.shown("<p>one</p>"), "too late");
    }

    #[test]
    fn waiting_is_bounded() {
        let (confirmations, now) = (Confirmations::default(), Instant::now());
        for number in 0..MOST + 5 {
            confirmations.expect(&format!("<p>{number}</p>"), now);
        }
        assert_eq!(confirmations.lost(now), 5);
        assert!(!confirmations.shown("<p>4</p>") && confirmations.shown("<p>5</p>"));
    }
}
