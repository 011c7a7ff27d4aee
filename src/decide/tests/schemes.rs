//! What is known of the ways of signing of other servers, in the store.

use super::*;
use crate::decide::schemes::{BELIEVED_FOR, Known, keep, known};
use crate::decide::sweep;
use crate::model::host::Rfc9421Only;

#[test]
fn only_what_has_changed_is_written() {
    let mut world = World::default();
    let host = |name: &str, now: i64| (format!("{name}.example"), at(now));
    for (wanted, writes) in [
        (vec![host("a", 1), host("b", 1)], 2),
        (vec![host("a", 1), host("b", 1)], 0),
        (vec![host("a", 1), host("b", 2), host("c", 2)], 2),
        (vec![host("c", 2)], 2),
        (vec![], 1),
    ] {
        let wanted: Known = wanted.into_iter().collect();
        let mut draft = Draft::new(world.view());
        keep(&mut draft, &wanted);
        let changes = draft.into_changes();
        assert_eq!(changes.clone().into_writes().len(), writes, "{wanted:?}");
        world.view.apply(changes);
        assert_eq!(known(world.view()), wanted);
    }
}

#[test]
fn what_is_not_believed_any_more_is_forgotten() {
    let week = BELIEVED_FOR.as_secs();
    for (now, left) in [(0, 1), (-1, 0), (week - 1, 1), (week, 0)] {
        let mut world = World::default();
        world.act(at(0), |draft, _| keep(draft, &Known::from([("a.example".to_owned(), at(week))])));
        world.act(at(now), |draft, _| sweep::sweep(draft, &Vec::new(), at(now), 10, &Default::default()));
        assert_eq!(world.all::<Rfc9421Only>().len(), left, "{now}");
    }
}
