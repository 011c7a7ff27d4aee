//! The keys of `agent.toml` that take one of a few words.

use std::fmt;

use serde::de::{Deserialize, Deserializer};

use super::value::{FromText, deserialize_text};

macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant),+ }

        impl $name {
            /// As `agent.toml` writes it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl FromText for $name {
            fn expected(f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let texts: &[&str] = &[$($text),+];
                f.write_str("one of ")?;
                for (i, text) in texts.iter().enumerate() {
                    write!(f, "{}\"{text}\"", if i == 0 { "" } else { ", " })?;
                }
                Ok(())
            }

            fn from_text(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserialize_text(deserializer)
            }
        }
    };
}

choice! {
    /// Picture of a go-live post.
    PostImage {
        /// The first real thumbnail of this stream, frozen.
        Thumbnail = "thumbnail",
        /// The first real moving preview of this stream, frozen.
        Preview = "preview",
        /// The server's logo.
        Logo = "logo",
        /// No picture, and no waiting for one.
        None = "none",
    }
}
choice! {
    /// What becomes of the go-live post when the stream is over.
    OnEnd {
        /// Edited to say that it is over and how long it ran.
        Update = "update",
        /// Deleted on every server that has it.
        Delete = "delete",
        /// Left as it is.
        Keep = "keep",
    }
}
choice! {
    /// Whom posts are addressed to.
    Visibility {
        /// Public, or followers only while Owncast is private.
        Inherit = "inherit",
        /// Everybody, in public timelines.
        Public = "public",
        /// Followers and nobody else.
        Followers = "followers",
    }
}
choice! {
    /// How a chat notice looks.
    NoticeStyle {
        /// A card headed with the server's name (an Owncast system message).
        Card = "card",
        /// A small dark line (an Owncast action).
        Line = "line",
        /// An ordinary chat line by "Fediverse".
        Bot = "bot",
        /// Not shown.
        Off = "off",
    }
}
choice! {
    /// When chat notices are shown.
    NoticeWhen {
        /// Only while the stream is live.
        Live = "live",
        /// At any time.
        Always = "always",
    }
}
choice! {
    /// Who decides on a new follower.
    Approval {
        /// Manual while Owncast is private, otherwise automatic.
        Inherit = "inherit",
        /// Everybody is accepted at once.
        Auto = "auto",
        /// The operator decides.
        Manual = "manual",
    }
}
choice! {
    /// What the public followers collection tells.
    FollowersShown {
        /// How many there are.
        Count = "count",
        /// Who they are, as Owncast itself shows.
        List = "list",
    }
}
choice! {
    /// How log lines look.
    LogFormat {
        /// For journald under systemd, coloured on a terminal, plain otherwise.
        Auto = "auto",
        /// Time, level and text, coloured on a terminal.
        Pretty = "pretty",
        /// One JSON object a line.
        Json = "json",
    }
}
