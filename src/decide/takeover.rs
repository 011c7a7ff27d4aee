//! Owncast's own go-live message: kept here and emptied there, so that no follower gets two posts.

/// What is to be done about Owncast's go-live message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// All is as it should be.
    Nothing,
    /// Keep the text here, then empty the field in Owncast.
    Take,
    /// Put the kept text into Owncast's empty field, then forget it here.
    GiveBack(String),
    /// Forget the kept text: Owncast's field holds a newer one, which stays there.
    Forget,
}

/// What the operator wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Take the message over.
    pub take: bool,
    /// Posts are made here at all.
    pub posts: bool,
}

/// Decides from the wish, Owncast's federation switch, its field, and the text kept here.
///
/// Each step is harmless when it is done a second time, which a crash in the middle of it asks for; and an empty field
/// is never taken over, so that a text that was kept is not lost.
pub fn step(wish: Wish, federation: bool, field: &str, kept: Option<&str>) -> Step {
    let typed = !field.trim().is_empty();
    match (wish.take, kept) {
        // With posts switched off here, Owncast's is the only one.
        (true, _) if federation && typed && wish.posts => Step::Take,
        (_, Some(_)) if typed => Step::Forget,
        (false, Some(kept)) => Step::GiveBack(kept.to_owned()),
        _ => Step::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ON: Wish = Wish { take: true, posts: true };
    const OFF: Wish = Wish { take: false, posts: true };
    const SILENT: Wish = Wish { take: true, posts: false };

    #[test]
    fn every_state_has_its_step() {
        let back = || Step::GiveBack("old".to_owned());
        for (wish, federation, field, kept, want) in [
            (ON, true, "new", None, Step::Take),
            // Typed later, or a crash before the field was emptied.
            (ON, true, "new", Some("old"), Step::Take),
            (ON, true, "", Some("old"), Step::Nothing),
            (ON, true, " \n", Some("old"), Step::Nothing),
            (ON, true, "", None, Step::Nothing),
            // Owncast does not post: its text is ours as it stands there.
            (ON, false, "new", None, Step::Nothing),
            (ON, false, "new", Some("old"), Step::Forget),
            (ON, false, "", Some("old"), Step::Nothing),
            (SILENT, true, "new", None, Step::Nothing),
            (SILENT, true, "", Some("old"), Step::Nothing),
            (OFF, true, "new", None, Step::Nothing),
            (OFF, true, "", Some("old"), back()),
            (OFF, false, " ", Some("old"), back()),
            // A crash after it was put back, or the operator typed another.
            (OFF, true, "old", Some("old"), Step::Forget),
            (OFF, true, "new", Some("old"), Step::Forget),
            (OFF, true, "", None, Step::Nothing),
        ] {
            assert_eq!(step(wish, federation, field, kept), want, "{wish:?} {federation} {field:?} {kept:?}");
        }
    }

    #[test]
    fn a_crash_at_any_point_loses_no_text_and_ends_in_the_same_state() {
        // What is on disk here, and what stands there, after each half of a step.
        for (wish, mut field, mut kept) in
            [(ON, "text", None), (ON, "text", Some("older")), (OFF, "", Some("text"))]
        {
            for _ in 0..4 {
                match step(wish, true, field, kept) {
                    Step::Take => {
                        kept = Some(field);
                        // Crash here.
                        assert_eq!(step(wish, true, field, kept), Step::Take);
                        field = "";
                    }
                    Step::GiveBack(text) => {
                        assert_eq!(Some(text.as_str()), kept);
                        field = "text";
                        // Crash here.
                        assert_eq!(step(wish, true, field, kept), Step::Forget);
                    }
                    Step::Forget => kept = None,
                    Step::Nothing => {}
                }
                assert!(field == "text" || kept == Some("text"));
            }
            assert_eq!((field, kept), if wish.take { ("", Some("text")) } else { ("text", None) });
        }
    }
}
