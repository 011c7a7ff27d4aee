//! Reads the text frames of Owncast's websocket; pure.

use serde_json::Value;

/// Largest frame and message read, bytes. A system message may have 20 kB, and Owncast joins what waits.
pub const MAX_MESSAGE: usize = 1024 * 1024;
/// Objects read of one frame: Owncast buffers 256 messages for a client.
const MAX_OBJECTS: usize = 1024;
/// Message ids kept of one visibility update.
const MAX_IDS: usize = 64;

/// One object of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// `CONNECTED_USER_INFO`: who we are; follows every accepted connect, and later changes of name or colour.
    Welcome {
        /// The name we appear under.
        display_name: String,
    },
    /// `VISIBILITY-UPDATE`; the probe's echo.
    Visibility {
        /// The messages' ids, at most 64.
        ids: Vec<String>,
    },
    /// `SYSTEM`: a system message was shown; confirms ours.
    System {
        /// Message id.
        id: String,
        /// Rendered HTML.
        body: String,
    },
    /// `CHAT_ACTION`: an action line was shown; confirms ours, never parsed for a meaning.
    Action {
        /// Message id.
        id: String,
        /// Rendered HTML.
        body: String,
    },
    /// `CHAT`: somebody, or our bot, said something.
    Chat {
        /// Message id.
        id: String,
        /// Rendered HTML, from a stranger.
        body: String,
        /// Chosen by its author.
        display_name: String,
        /// Said by an access token.
        is_bot: bool,
    },
    /// `ERROR_NEEDS_REGISTRATION`: the token is unknown; Owncast closes next.
    NeedsRegistration,
    /// `ERROR_USER_DISABLED`: the token's user is banned; Owncast closes next.
    UserDisabled,
    /// Joins, parts, name changes, Owncast's own fediverse lines, anything new, and what is not JSON.
    Other,
}

/// Reads one text frame: JSON objects separated by newlines (several when Owncast had some waiting).
pub fn parse(text: &str) -> Vec<Frame> {
    text.lines().filter(|line| !line.trim().is_empty()).take(MAX_OBJECTS).map(one).collect()
}

fn one(line: &str) -> Frame {
    let Ok(value) = serde_json::from_str::<Value>(line) else { return Frame::Other };
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let user = value.get("user").unwrap_or(&Value::Null);
    let display_name = || user.get("displayName").and_then(Value::as_str).unwrap_or_default().to_owned();
    match value.get("type").and_then(Value::as_str).unwrap_or_default() {
        "CONNECTED_USER_INFO" => Frame::Welcome { display_name: display_name() },
        "VISIBILITY-UPDATE" => {
            let ids = value.get("ids").and_then(Value::as_array).into_iter().flatten();
            Frame::Visibility {
                ids: ids.filter_map(Value::as_str).take(MAX_IDS).map(str::to_owned).collect(),
            }
        }
        "SYSTEM" => Frame::System { id: text("id"), body: text("body") },
        "CHAT_ACTION" => Frame::Action { id: text("id"), body: text("body") },
        "CHAT" => Frame::Chat {
            id: text("id"),
            body: text("body"),
            display_name: display_name(),
            is_bot: user.get("isBot").and_then(Value::as_bool).unwrap_or(false),
        },
        "ERROR_NEEDS_REGISTRATION" => Frame::NeedsRegistration,
        "ERROR_USER_DISABLED" => Frame::UserDisabled,
        _ => Frame::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recorded_frames_are_read() {
        let frames: Vec<Frame> = include_str!("../../tests/fixtures/owncast-client/websocket.jsonl")
            .lines()
            .filter(|line| !line.is_empty())
            .flat_map(|line| {
                let recorded: Value = serde_json::from_str(line).unwrap();
                parse(recorded["frame"].as_str().unwrap())
            })
            .collect();
        let count = |wanted: fn(&Frame) -> bool| frames.iter().filter(|frame| wanted(frame)).count();
        assert_eq!(count(|frame| matches!(frame, Frame::Welcome { .. })), 2);
        assert_eq!(count(|frame| matches!(frame, Frame::System { .. })), 3);
        assert_eq!(count(|frame| matches!(frame, Frame::Action { .. })), 4);
        assert!(frames.contains(&Frame::Visibility { ids: vec!["1DEyYgRdg".to_owned()] }));
        assert!(frames.contains(&Frame::Chat {
            id: "1DEyYgRdg".to_owned(),
            body: "<p><strong>Ana</strong> b liked </p>".to_owned(),
            display_name: "Fediverse".to_owned(),
            is_bot: true,
        }));
    }

    #[test]
    fn a_frame_may_hold_several_objects_and_garbage() {
        let text = "{\"type\":\"SYSTEM\",\"id\":\"a\",\"body\":\"x\"}\n\r\n{\"type\":\"ERROR_USER_DISABLED\"}\nnot json\n[]";
        let system = Frame::System { id: "a".to_owned(), body: "x".to_owned() };
        assert_eq!(parse(text), [system, Frame::UserDisabled, Frame::Other, Frame::Other]);
        assert_eq!(parse(r#"{"type":"ERROR_NEEDS_REGISTRATION"}"#), [Frame::NeedsRegistration]);
        assert!(parse("").is_empty());
    }
}
