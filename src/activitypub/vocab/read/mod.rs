//! What others send, read tolerantly.
//!
//! Peers write actor and object as a string, as an object with an `id`, or as a list of one (Hubzilla and Osada embed
//! the actor, Pleroma undoes by id, Mastodon flags a list). Nothing read here is believed: it only says what is claimed.

use serde_json::Value;
use thiserror::Error;

/// What an activity or an object is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Wants to follow.
    Follow,
    /// Takes something back.
    Undo,
    /// Likes; Misskey's reactions too.
    Like,
    /// Reacts with an emoji (Pleroma, Akkoma, Friendica).
    EmojiReact,
    /// Shares.
    Announce,
    /// Answers yes.
    Accept,
    /// Answers no.
    Reject,
    /// New object.
    Create,
    /// Changed object.
    Update,
    /// Removed object.
    Delete,
    /// The actor has moved.
    Move,
    /// The actor blocks.
    Block,
    /// A report to the operator.
    Flag,
    /// Asks to quote (FEP-044f).
    QuoteRequest,
    /// Anything else, by its name.
    Other(String),
}

impl Kind {
    /// The kind of a type name; the ActivityStreams namespace in front of it makes no difference.
    pub fn of(name: &str) -> Kind {
        let short = name
            .strip_prefix("https://www.w3.org/ns/activitystreams#")
            .or_else(|| name.strip_prefix("as:"))
            .unwrap_or(name);
        match short {
            "Follow" => Kind::Follow,
            "Undo" => Kind::Undo,
            "Like" => Kind::Like,
            "EmojiReact" => Kind::EmojiReact,
            "Announce" => Kind::Announce,
            "Accept" => Kind::Accept,
            "Reject" => Kind::Reject,
            "Create" => Kind::Create,
            "Update" => Kind::Update,
            "Delete" => Kind::Delete,
            "Move" => Kind::Move,
            "Block" => Kind::Block,
            "Flag" => Kind::Flag,
            "QuoteRequest" | "https://w3id.org/fep/044f#QuoteRequest" => Kind::QuoteRequest,
            _ => Kind::Other(name.to_owned()),
        }
    }

    /// One of those this type names.
    pub fn is_known(&self) -> bool {
        !matches!(self, Kind::Other(_))
    }
}

/// What an activity is about. Everything is optional: what is missing was not sent, or not in a shape that counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Object {
    /// Its id, byte for byte.
    pub id: Option<String>,
    /// Its type, when it was embedded.
    pub kind: Option<Kind>,
    /// Its actor, or for a post whom it is attributed to; of what a Create makes only the latter.
    pub actor: Option<String>,
    /// Id of what it is about in turn: what an undone Follow followed.
    pub object: Option<String>,
    /// Id of what it replies to.
    pub in_reply_to: Option<String>,
}

/// An activity as claimed by its sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// Its id, byte for byte; old Pixelfed sends none.
    pub id: Option<String>,
    /// What it is.
    pub kind: Kind,
    /// Id of who did it, byte for byte.
    pub actor: String,
    /// What it is about. Of a list it is the first.
    pub object: Object,
    /// Ids of the rest of a list: what a Flag reports besides the actor. At most [`MAX_MORE`].
    pub more: Vec<String>,
    /// Where a Move goes.
    pub target: Option<String>,
    /// What a Flag says, at most [`MAX_TEXT`] characters of it.
    pub text: Option<String>,
}

/// Longest id or type read, in bytes: Mastodon and Misskey stay below it, and ids become keys of the store.
pub const MAX_ID: usize = 2048;

/// Most characters of a Flag's text that are kept.
pub const MAX_TEXT: usize = 2000;

/// Most further objects of a Flag that are kept.
pub const MAX_MORE: usize = 64;

/// Why an activity cannot be read. The message is for the implementer at the other end.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ReadProblem {
    /// The document is not a JSON object.
    #[error("an activity is a JSON object")]
    NotAnObject,
    /// There is no usable type.
    #[error("the activity has no `type` that is a string or a list of strings")]
    NoType,
    /// There is no usable actor.
    #[error("the activity has no `actor` that is an id or an object with an `id`")]
    NoActor,
    /// Several actors claim it; only one can have signed.
    #[error("the activity has several actors: exactly one can sign it")]
    ManyActors,
    /// Several objects where one is meant.
    #[error("the activity has several objects: send one activity for each")]
    ManyObjects,
    /// An id or type is longer than [`MAX_ID`].
    #[error("`{field}` is longer than 2048 bytes")]
    TooLong {
        /// The field.
        field: &'static str,
    },
}

impl Incoming {
    /// Reads an activity.
    pub fn parse(document: &Value) -> Result<Incoming, ReadProblem> {
        if !document.is_object() {
            return Err(ReadProblem::NotAnObject);
        }
        let kind = kind_of(document)?.ok_or(ReadProblem::NoType)?;
        let actor = match one(document.get("actor")).map_err(|Many| ReadProblem::ManyActors)? {
            Some(actor) => id_of(actor, "actor")?.ok_or(ReadProblem::NoActor)?,
            None => return Err(ReadProblem::NoActor),
        };
        let (object, more) = match document.get("object") {
            // Reports name the accused and their posts in one list.
            Some(Value::Array(all)) if kind == Kind::Flag => match all.split_first() {
                Some((first, rest)) => (read_object(&kind, Some(first))?, ids(rest)?),
                None => (Object::default(), Vec::new()),
            },
            object => {
                let object = one(object).map_err(|Many| ReadProblem::ManyObjects)?;
                (read_object(&kind, object)?, Vec::new())
            }
        };
        let text = ["content", "summary"]
            .iter()
            .find_map(|field| document.get(*field)?.as_str())
            .filter(|_| kind == Kind::Flag);
        Ok(Incoming {
            id: string(document.get("id"), "id")?,
            text: text
                .map(|text| text.chars().take(MAX_TEXT).collect())
                .filter(|text: &String| !text.is_empty()),
            kind,
            actor,
            object,
            more,
            target: first_id(document.get("target"), "target")?,
        })
    }
}

fn read_object(of: &Kind, object: Option<&Value>) -> Result<Object, ReadProblem> {
    let Some(object) = object else { return Ok(Object::default()) };
    let id = id_of(object, "object")?;
    if !object.is_object() {
        return Ok(Object { id, ..Object::default() });
    }
    let author = object.get("attributedTo");
    // What is made is its author's: an actor beside it would be one more who could be said to be that.
    let owner = if *of == Kind::Create { author } else { object.get("actor").or(author) };
    Ok(Object {
        id,
        kind: kind_of(object)?,
        // Several owners are no owner: nobody could speak for all of them.
        actor: one(owner).ok().flatten().map(|owner| id_of(owner, "object.actor")).transpose()?.flatten(),
        object: first_id(object.get("object"), "object.object")?,
        in_reply_to: first_id(object.get("inReplyTo"), "object.inReplyTo")?,
    })
}

/// The first type of ours, else the first.
fn kind_of(document: &Value) -> Result<Option<Kind>, ReadProblem> {
    let names: Vec<&str> = match document.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).take(16).collect(),
        _ => Vec::new(),
    };
    if names.iter().any(|name| name.len() > MAX_ID) {
        return Err(ReadProblem::TooLong { field: "type" });
    }
    let kinds = names.into_iter().filter(|name| !name.is_empty()).map(Kind::of);
    let mut first = None;
    for kind in kinds {
        if kind.is_known() {
            return Ok(Some(kind));
        }
        first = first.or(Some(kind));
    }
    Ok(first)
}

struct Many;

/// The one value of a field: itself, or the only item of a list.
fn one(field: Option<&Value>) -> Result<Option<&Value>, Many> {
    match field {
        Some(Value::Array(items)) => match items.as_slice() {
            [] => Ok(None),
            [item] => Ok(Some(item)),
            _ => Err(Many),
        },
        Some(Value::Null) | None => Ok(None),
        value => Ok(value),
    }
}

fn first_id(field: Option<&Value>, name: &'static str) -> Result<Option<String>, ReadProblem> {
    one(field).ok().flatten().map_or(Ok(None), |value| id_of(value, name))
}

fn ids(values: &[Value]) -> Result<Vec<String>, ReadProblem> {
    let mut ids = Vec::new();
    for value in values.iter().take(MAX_MORE) {
        ids.extend(id_of(value, "object")?);
    }
    Ok(ids)
}

/// The id that a value is or has.
fn id_of(value: &Value, field: &'static str) -> Result<Option<String>, ReadProblem> {
    match value {
        Value::Object(_) => string(value.get("id"), field),
        value => string(Some(value), field),
    }
}

fn string(value: Option<&Value>, field: &'static str) -> Result<Option<String>, ReadProblem> {
    match value.and_then(Value::as_str) {
        Some(text) if text.len() > MAX_ID => Err(ReadProblem::TooLong { field }),
        Some("") | None => Ok(None),
        Some(text) => Ok(Some(text.to_owned())),
    }
}

#[cfg(test)]
mod tests;
