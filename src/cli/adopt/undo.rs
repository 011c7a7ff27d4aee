//! `adopt --undo`: what was taken over and has not changed since goes.

use std::io::{BufRead, IsTerminal, Write};

use super::hand::Hand;
use super::{Args, command};
use crate::cli::files::{Places, unexpected};
use crate::cli::text::{counted, json, line};
use crate::cli::{Failure, Outcome};
use crate::control::protocol::adopt::{Adopted, Adopting, Undone};

pub(super) fn undo(places: &Places, args: &Args, as_json: bool) -> Outcome {
    let store = places.own_files(args.store.as_deref()).map(|config| config.store.path);
    // An agent that never ran does not know yet who it is.
    let store = store.map_or_else(|_| String::new(), |store| format!(" in the store {}", store.display()));
    let what = |undone: &Undone| what(undone, &store);
    let hand = Hand::reach(places, args.store.as_deref())?;
    if !args.dry_run && !args.yes {
        let would = step(&hand, true)?;
        if !agrees(&what(&would))? {
            return Err(Failure::new(format!(
                "this would take back {}. If these are the ones you mean:\n  {}\nNothing has changed",
                what(&would),
                command(places, args, "--undo --yes")
            )));
        }
    }
    let undone = step(&hand, args.dry_run)?;
    if as_json {
        return json(&undone);
    }
    let verb = if args.dry_run { "Would take back" } else { "Took back" };
    let mut text = format!("{verb} {}.\n", what(&undone));
    if undone.kept > 0 {
        text.push_str(&format!(
            "{} of whom something has become here since, and stay.\n",
            counted(undone.kept, "follower")
        ));
    }
    text.push_str("The key stays, and so do Owncast's blocked domains, which are taken from its settings at any rate.\n");
    Ok(text)
}

fn step(hand: &Hand<'_>, dry_run: bool) -> Result<Undone, Failure> {
    match hand.step(Adopting::Undo { dry_run })? {
        Adopted::Undone(undone) => Ok(undone),
        _ => Err(unexpected()),
    }
}

fn what(undone: &Undone, store: &str) -> String {
    let whose =
        undone.actor.as_deref().map_or_else(|| store.to_owned(), |actor| format!(" of {}", line(actor)));
    format!("{} and {}{whose}", counted(undone.followers, "follower"), counted(undone.posts, "post"))
}

/// Asks whoever sits at a terminal; nobody there agrees to nothing.
fn agrees(would: &str) -> Result<bool, Failure> {
    let (stdin, mut out) = (std::io::stdin(), std::io::stderr());
    if !stdin.is_terminal() {
        return Ok(false);
    }
    let failed = |error: std::io::Error| Failure::new(format!("the terminal cannot be used: {error}"));
    write!(out, "Take back {would}? [y/N]: ").and_then(|()| out.flush()).map_err(failed)?;
    let mut typed = String::new();
    stdin.lock().read_line(&mut typed).map_err(failed)?;
    Ok(matches!(typed.trim().to_lowercase().as_str(), "y" | "yes"))
}
