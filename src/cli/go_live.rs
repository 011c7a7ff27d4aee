//! `go-live`: the next post, before it is out.

use std::time::Duration;

use jiff::Timestamp;

use super::Outcome;
use super::files::{Places, unexpected};
use super::pause::wish;
use super::table::Table;
use super::text::{counted, inert, json, line, moment};
use crate::config::here;
use crate::config::value::duration_text;
use crate::control::protocol::{Answer, Ask, Held, PostPreview, SkippedStream, Wish, Wished};
use crate::model::post::Audience;

/// What to do with the next post.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Show the post as it would go out now; nothing is sent
    ///
    /// Text, hashtags, picture, and how many would get it, made from what was last read from Owncast: its settings are
    /// read every half minute. The picture is made ready as for a post and can be looked at in the file that is named.
    Preview,
    /// Announce the running stream at once
    ///
    /// It does not wait for the delay nor for a picture, and goes ahead of a pause or a skip.
    Now,
    /// Make no post for the running stream, or for the next one
    ///
    /// Means the stream that runs if it has no post yet, else the next one that starts. After that stream, posts are
    /// made as before. Survives restarts.
    Skip(SkipArgs),
    /// Give the next post a text of its own
    ///
    /// The text is used once, instead of the configured one. {name}, {title}, {summary}, {url} and {tags} in it are
    /// filled in. Survives restarts until it is used.
    Message(MessageArgs),
}

/// Arguments of `go-live skip`.
#[derive(Debug, clap::Args)]
pub struct SkipArgs {
    /// Take it back
    #[arg(long)]
    pub undo: bool,
}

/// Arguments of `go-live message`.
#[derive(Debug, clap::Args)]
pub struct MessageArgs {
    /// The text, at most 2000 characters; may have several lines
    #[arg(value_name = "TEXT", required_unless_present = "clear")]
    pub text: Option<String>,
    /// Take the text back, and use the configured one
    #[arg(long, conflicts_with = "text")]
    pub clear: bool,
}

pub(super) fn go_live(places: &Places, command: Command, as_json: bool) -> Outcome {
    match command {
        Command::Preview => {
            let Answer::Preview(post) = places.ask(&Ask::Preview)? else { return Err(unexpected()) };
            if as_json { json(&post) } else { Ok(shown(&post)) }
        }
        Command::Now => wish(places, &Ask::Now, as_json),
        Command::Skip(SkipArgs { undo }) => wish(places, &Ask::Skip { undo }, as_json),
        Command::Message(MessageArgs { text, clear: _ }) => wish(places, &Ask::Message { text }, as_json),
    }
}

/// The post between two lines of words about it.
fn shown(post: &PostPreview) -> String {
    let mut text = "Nothing was sent. ".to_owned();
    text.push_str(match &post.running {
        Some(running) if running.post.is_some() => "The stream that runs has its post; another would be:\n",
        _ => "This is how the post would go out now:\n",
    });
    text.push_str(&format!("\n{}\n", indented(&post.text)));
    let mut rows = Table::bare();
    let mut row = |name: &str, value: String| rows.row([name.to_owned(), value]);
    let audience = match post.audience {
        Audience::Public => "everybody",
        Audience::Followers => "followers only",
    };
    let deliveries = if post.inboxes == 1 { "delivery" } else { "deliveries" };
    let followers = counted(post.followers, "follower");
    let to = format!("{audience}; goes to {followers} in {} {deliveries}", post.inboxes);
    row("For", to);
    let tags: Vec<String> = post.tags.iter().map(|tag| format!("#{}", line(tag))).collect();
    row("Hashtags", if tags.is_empty() { "none".to_owned() } else { tags.join(" ") });
    row("Sensitive", if post.sensitive { "yes (NSFW is set in Owncast)" } else { "no" }.to_owned());
    if post.message_for_this_post {
        row("Text", format!("yours for this one post ({})", here().typed("go-live message --clear")));
    }
    match (&post.picture, &post.no_picture) {
        (Some(picture), _) => {
            let (width, height, kilobytes) = (picture.width, picture.height, picture.bytes.div_ceil(1000));
            row("Picture", line(&picture.file.display().to_string()));
            row("", format!("{width} × {height}, {kilobytes} kB, {}", line(&picture.media_type)));
            row("", format!("described as: {}", line(&picture.alt)));
        }
        (None, Some(why)) => row("Picture", format!("none: {}", line(why))),
        (None, None) => row("Picture", "none".to_owned()),
    }
    text.push_str(&rows.to_string());
    if post.from_memory {
        text.push_str("\nOwncast does not answer; this is made from what it said last.\n");
    }
    if let Some(held) = &post.held {
        text.push_str(&format!(
            "\n{}\n",
            capital(&held_text(held, post.running.is_some(), Timestamp::now()))
        ));
    }
    text
}

/// What a wish did, and what happens next.
pub(super) fn told(wished: &Wished) -> String {
    told_at(wished, Timestamp::now())
}

fn told_at(wished: &Wished, now: Timestamp) -> String {
    let post = wished.running.as_ref().and_then(|running| running.post.as_deref()).map(line);
    match (wished.wish, wished.changed) {
        (Wish::Now, _) => match post {
            Some(post) => format!("Announced: {post}\n"),
            None => format!(
                "The stream is announced as soon as Owncast shows it running; {} tells.\n",
                here().typed("status")
            ),
        },
        (Wish::Skip, _) => {
            let which = match (wished.wishes.skip, post) {
                (Some(SkippedStream::This), _) => "The stream that runs now gets no post.".to_owned(),
                (_, Some(post)) => {
                    format!(
                        "The stream that runs now is announced already ({post}); the next one gets no post."
                    )
                }
                (_, None) => "No stream runs now; the next one gets no post.".to_owned(),
            };
            format!("{which}\nTo take that back: {}\n", here().typed("go-live skip --undo"))
        }
        (Wish::SkipUndone, true) => format!("No stream is skipped any more.\n{}", next(wished, now)),
        (Wish::SkipUndone, false) => format!("No stream was to be skipped.\n{}", next(wished, now)),
        (Wish::Message, _) => {
            let text = indented(wished.wishes.message.as_deref().unwrap_or_default());
            format!(
                "The next post has this text instead of the configured one:\n\n{text}\n{}\
                 To take it back: {}\n",
                next(wished, now),
                here().typed("go-live message --clear")
            )
        }
        (Wish::MessageCleared, true) => {
            format!("The next post has the configured text again.\n{}", next(wished, now))
        }
        (Wish::MessageCleared, false) => "The next post has the configured text, as it was.\n".to_owned(),
        (Wish::Pause, _) => {
            let until = wished.wishes.paused_until.unwrap_or(now);
            format!(
                "No stream is announced until {}. One that still runs then is announced then.\n\
                 To end the pause: {}\n",
                moment(until, now),
                here().typed("resume")
            )
        }
        (Wish::Released, _) => {
            format!("What waits is sent from now on, and streams are announced.\n{}", next(wished, now))
        }
        (Wish::Resume, true) => format!("The pause is over.\n{}", next(wished, now)),
        (Wish::Resume, false) => format!("There was no pause.\n{}", next(wished, now)),
    }
}

/// What happens next, as a line.
fn next(wished: &Wished, now: Timestamp) -> String {
    let this = wished.running.as_ref().is_some_and(|running| running.post.is_none());
    let text = match &wished.held {
        Some(held) => held_text(held, this, now),
        None => {
            let delay = duration_text(Duration::from_secs(wished.delay_seconds));
            format!("{} is announced once it has run for {delay}.", which(this))
        }
    };
    format!("{}\n", capital(&text))
}

fn which(this: bool) -> &'static str {
    if this { "the stream that runs now" } else { "the next stream" }
}

fn held_text(held: &Held, this: bool, now: Timestamp) -> String {
    let stream = which(this);
    match held {
        Held::Off => format!("{stream} is not announced: [go-live] enabled = false."),
        Held::Skip => {
            format!("{stream} is not announced, as you wished ({}).", here().typed("go-live skip --undo"))
        }
        Held::Pause { until } => format!(
            "{stream} is not announced until {}, because of your pause ({}).",
            moment(*until, now),
            here().typed("resume")
        ),
        Held::Restored { .. } => {
            let resume = here().typed("resume --restored");
            format!("{stream} is not announced, and nothing is sent, before {resume}.")
        }
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Lines set off from what is said about them.
fn indented(text: &str) -> String {
    inert(text).lines().map(|line| format!("    {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::protocol::{PreviewPicture, Running, WishList};

    fn wished(wish: Wish) -> Wished {
        Wished {
            wish,
            changed: true,
            running: None,
            wishes: WishList::default(),
            held: None,
            delay_seconds: 60,
        }
    }

    #[test]
    fn what_was_done_and_what_comes_next_are_told() {
        let now = Timestamp::UNIX_EPOCH;
        let running = |post: Option<&str>| Some(Running { title: "t".into(), post: post.map(str::to_owned) });
        let skip = |skip| WishList { skip: Some(skip), ..WishList::default() };
        for (wished, want) in [
            (
                Wished { running: running(Some("https://l.example/1")), ..wished(Wish::Now) },
                "Announced: https://l.example/1\n",
            ),
            (
                Wished { running: running(None), wishes: skip(SkippedStream::This), ..wished(Wish::Skip) },
                "The stream that runs now gets no post.\nTo take that back: owncast-herald go-live skip --undo\n",
            ),
            (
                Wished {
                    running: running(Some("https://l.example/1")),
                    wishes: skip(SkippedStream::Next),
                    ..wished(Wish::Skip)
                },
                "The stream that runs now is announced already (https://l.example/1); the next one gets no post.\n\
                 To take that back: owncast-herald go-live skip --undo\n",
            ),
            (
                wished(Wish::SkipUndone),
                "No stream is skipped any more.\nThe next stream is announced once it has run for 1m.\n",
            ),
            (
                Wished { running: running(None), ..wished(Wish::Resume) },
                "The pause is over.\nThe stream that runs now is announced once it has run for 1m.\n",
            ),
            (
                Wished { changed: false, held: Some(Held::Off), ..wished(Wish::Resume) },
                "There was no pause.\nThe next stream is not announced: [go-live] enabled = false.\n",
            ),
        ] {
            assert_eq!(told_at(&wished, now), want);
        }
        let until = Timestamp::from_second(7200).unwrap();
        let paused = WishList { paused_until: Some(until), ..WishList::default() };
        let text = told_at(&Wished { wishes: paused, ..wished(Wish::Pause) }, now);
        assert!(text.contains("(in 2 hours)") && text.contains("resume"), "{text}");
        let message = WishList { message: Some("a\n\u{1b}b".into()), ..WishList::default() };
        let text = told_at(&Wished { wishes: message, ..wished(Wish::Message) }, now);
        assert!(text.contains("    a\n    \u{fffd}b\n"), "{text}");
    }

    #[test]
    fn a_preview_says_that_nothing_was_sent_and_shows_everything() {
        let mut post = PostPreview {
            text: "Ana is live\nhttps://l.example/".into(),
            html: String::new(),
            title: "t".into(),
            from_memory: false,
            tags: vec!["art".into(), "owncast".into()],
            sensitive: false,
            audience: Audience::Public,
            followers: 40,
            inboxes: 1,
            picture: Some(PreviewPicture {
                file: "/var/lib/owncast-herald/preview/media/0a.jpg".into(),
                media_type: "image/jpeg".into(),
                width: 1280,
                height: 720,
                bytes: 80_001,
                alt: "A still of the live stream Ana".into(),
            }),
            no_picture: None,
            message_for_this_post: false,
            running: None,
            held: None,
        };
        let want = "\
Nothing was sent. This is how the post would go out now:

    Ana is live
    https://l.example/

For        everybody; goes to 40 followers in 1 delivery
Hashtags   #art #owncast
Sensitive  no
Picture    /var/lib/owncast-herald/preview/media/0a.jpg
           1280 × 720, 81 kB, image/jpeg
           described as: A still of the live stream Ana
";
        assert_eq!(shown(&post), want);
        (post.picture, post.no_picture) = (None, Some("no stream is running".into()));
        (post.from_memory, post.held, post.inboxes) = (true, Some(Held::Skip), 2);
        let text = shown(&post);
        for part in
            ["none: no stream is running", "Owncast does not answer", "skip --undo", "in 2 deliveries"]
        {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }
}
