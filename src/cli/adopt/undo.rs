//! `adopt --undo`: what was taken over and has not changed since goes.

use super::Args;
use super::hand::Hand;
use crate::cli::Outcome;
use crate::cli::files::{Places, unexpected};
use crate::cli::text::{counted, json};
use crate::control::protocol::adopt::{Adopted, Adopting};

pub(super) fn undo(places: &Places, args: &Args, as_json: bool) -> Outcome {
    let hand = Hand::reach(places, args.store.as_deref())?;
    let Adopted::Undone(undone) = hand.step(Adopting::Undo { dry_run: args.dry_run })? else {
        return Err(unexpected());
    };
    if as_json {
        return json(&undone);
    }
    let verb = if args.dry_run { "Would take back" } else { "Took back" };
    let mut text =
        format!("{verb} {} and {}.\n", counted(undone.followers, "follower"), counted(undone.posts, "post"));
    if undone.kept > 0 {
        text.push_str(&format!(
            "{} of whom something has become here since, and stay.\n",
            counted(undone.kept, "follower")
        ));
    }
    text.push_str("The key stays, and so do Owncast's blocked domains, which are taken from its settings at any rate.\n");
    Ok(text)
}
