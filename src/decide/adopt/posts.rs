//! Owncast's posts: kept as they are, under the addresses that others know.

use serde_json::Value;
use url::Url;

use super::Terms;
use crate::model::addresses::PUBLIC;
use crate::model::adopted::{Document, Imported, Tally};
use crate::model::origin::same_origin;
use crate::model::{Addresses, Draft, View};

/// What a federation address of ours has behind `/federation/`. Compared parsed: Owncast writes international names in
/// either form.
pub fn place_of(addresses: &Addresses, id: &str) -> Option<String> {
    let (base, url) = (Url::parse(&addresses.base).ok()?, Url::parse(id).ok()?);
    let bare = url.query().is_none() && url.fragment().is_none() && same_origin(&base, &url);
    let path = url.path().strip_prefix(base.path().trim_end_matches('/'))?;
    path.strip_prefix("/federation/").filter(|place| bare && !place.is_empty()).map(str::to_owned)
}

/// Takes one.
pub(super) fn take(draft: &mut Draft<'_>, terms: &Terms, document: &Document, tally: &mut Tally) {
    match read(draft.view(), terms, document) {
        Ok(imported) => {
            let known: Option<Imported> = draft.view().get(imported.place.as_bytes());
            if known.as_ref() == Some(&imported) {
                tally.posts_known += 1;
            } else {
                draft.put(&imported);
                tally.posts += 1;
            }
        }
        Err(why) => tally.problem(format!("the post {:?}: {why}", document.id)),
    }
}

fn read(view: &dyn View, terms: &Terms, document: &Document) -> Result<Imported, &'static str> {
    let place = place_of(&terms.addresses, &document.id).ok_or("its address is not one of this actor's")?;
    let value: Value = serde_json::from_str(&document.json).map_err(|_| "it is not JSON")?;
    if value.get("id").and_then(Value::as_str) != Some(&document.id) {
        return Err("it names itself otherwise");
    }
    let author = value.get("attributedTo").or_else(|| value.get("actor")).and_then(Value::as_str);
    if author.is_some_and(|author| Url::parse(author).ok() != Url::parse(&terms.addresses.actor()).ok()) {
        return Err("it is by somebody else");
    }
    let kind = value.get("type").and_then(Value::as_str);
    let gone = kind == Some("Tombstone");
    let public = gone
        || ["to", "cc"].iter().any(|field| names_everybody(value.get(*field)))
        || kind == Some("QuoteAuthorization") && may_be_seen_quoted(view, terms, &value);
    Ok(Imported { place, json: document.json.clone(), public, gone, at: document.at })
}

/// A stamp that allows a quote names no audience. It is as public as the post that is quoted, which is older than it is.
fn may_be_seen_quoted(view: &dyn View, terms: &Terms, stamp: &Value) -> bool {
    let quoted = stamp.get("interactionTarget").and_then(Value::as_str);
    let place = quoted.and_then(|quoted| place_of(&terms.addresses, quoted));
    place.and_then(|place| view.get::<Imported>(place.as_bytes())).is_some_and(|post| post.public)
}

fn names_everybody(audience: Option<&Value>) -> bool {
    match audience {
        Some(Value::Array(many)) => many.iter().any(|one| names_everybody(Some(one))),
        Some(Value::String(one)) => one == PUBLIC || one == "as:Public",
        _ => false,
    }
}
