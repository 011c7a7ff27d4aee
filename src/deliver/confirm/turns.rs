//! The round through all followers.

use std::time::Duration;

use jiff::Timestamp;

use super::{Confirmer, PAUSE, Reason, Told};
use crate::decide::revisit::{self, Page, Turn};
use crate::model::View;
use crate::store::StoreError;

impl Confirmer {
    /// Asks about the next follower, if it is its turn. The pause before the next look.
    pub(super) async fn revisit(&self, page: &mut Page, now: Timestamp) -> Result<Duration, StoreError> {
        let place = match self.decide(move |draft| revisit::turn(draft, now)).await? {
            Turn::Later(pause) => return Ok(pause),
            Turn::Now(place) => place,
        };
        let mut filled = std::mem::take(page);
        let fill = move |view: &dyn View| {
            filled.fill(view, place);
            filled
        };
        *page = self.store.read(fill).await?;
        while let Some(next) = page.take() {
            let concerned = next.1.clone();
            if !self.store.read(move |view| revisit::concerns(view, &concerned)).await? {
                continue;
            }
            if self.ask(&next.1, Reason::Round).await? == Told::Busy {
                page.put_back(next);
                return Ok(PAUSE);
            }
            break;
        }
        let place = page.place();
        self.decide(move |draft| revisit::visited(draft, place, now)).await?;
        Ok(revisit::AT_LEAST)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::mpsc;

    use super::super::tests::server_of_people;
    use super::*;
    use crate::activitypub::signature::PrivateKey;
    use crate::decide::followers::settle;
    use crate::decide::gone;
    use crate::decide::seen::later;
    use crate::inbox::testing::engine;
    use crate::model::Draft;
    use crate::model::follower::{Follower, FollowerState};
    use crate::model::handle::Person;
    use crate::store::Store;

    #[tokio::test]
    async fn every_follower_is_asked_about_in_its_turn() {
        let server = server_of_people().await;
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let address = |name: &str| server.url(name).to_string();
        let (people, start) = (["/away", "/found", "/gone", "/never"].map(address), Timestamp::now());
        let fill = move |view: &dyn View| {
            let mut draft = Draft::new(view);
            for actor in people {
                let person = Person {
                    inbox: format!("{actor}/inbox"),
                    shared_inbox: None,
                    handle: "a@127.0.0.1".to_owned(),
                    name: None,
                    icon: None,
                    url: None,
                    actor,
                };
                let left = Follower::left(person, start, start);
                settle(&mut draft, &Follower { state: FollowerState::Approved, ..left });
            }
            (draft.into_changes(), ())
        };
        store.commit(fill).await.unwrap();
        let fetcher = engine(&PrivateKey::generate().unwrap(), Arc::new(Timestamp::now)).fetcher;
        let confirmer = Confirmer::new(store.clone(), fetcher, mpsc::channel(1).1);
        let mut page = Page::default();
        assert_eq!(confirmer.revisit(&mut page, start).await.unwrap(), revisit::AT_MOST);
        for turn in 1..=4 {
            let asked = || server.hits().len();
            let (before, now) = (asked(), later(start, revisit::EVERY * turn));
            assert_eq!(confirmer.revisit(&mut page, now).await.unwrap(), revisit::AT_LEAST);
            assert_eq!(asked(), before + 1, "one at a time");
            assert_eq!(confirmer.revisit(&mut page, now).await.unwrap(), revisit::AT_MOST);
        }
        let asked: std::collections::BTreeSet<_> = server.hits().into_iter().map(|hit| hit.target).collect();
        assert_eq!(asked.len(), 4, "{asked:?}");
        let follower =
            |name: &str| store.look(|view| view.get::<Follower>(address(name).as_bytes())).unwrap();
        let names =
            ["/away", "/found", "/gone", "/never"].map(|name| follower(name).map(|one| one.person.name));
        assert_eq!(names, [Some(None), Some(Some("Ana".to_owned())), Some(None), Some(None)]);
        let not_found = || store.look(|view| gone::not_found(view, None, 9)).unwrap();
        assert_eq!(not_found(), [address("/gone"), address("/never")]);
        confirmer.look_again(crate::deliver::confirm::Round::default()).await.unwrap();
        assert_eq!((not_found(), follower("/gone")), (vec![address("/never")], None), "it was found twice");
    }
}
