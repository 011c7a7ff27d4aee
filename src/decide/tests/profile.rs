//! Followers are told of a changed profile: once, when things are quiet.

use serde_json::{Value, json};
use ulid::Ulid;

use super::*;
use crate::decide::delivered::Worth;
use crate::decide::profile::{AT_MOST, Looked, QUIET, look};
use crate::model::facts::Profile;

impl World {
    fn look(&mut self, now: i64, name: &str) -> Looked {
        let document = json!({"@context": "c", "id": "a", "type": "Service", "name": name});
        self.act(at(now), |draft, moment| look(draft, moment, &rules().addresses, document))
    }

    fn updates(&self) -> Vec<String> {
        let name = |outgoing: &Outgoing| {
            let body: Value = serde_json::from_str(&outgoing.body).unwrap();
            assert_eq!((&body["type"], &body["object"]["type"]), (&json!("Update"), &json!("Service")));
            assert_eq!(body["to"], json!([crate::model::addresses::PUBLIC]));
            body["object"]["name"].as_str().unwrap().to_owned()
        };
        self.sent(OutgoingKind::ActorUpdate).iter().map(name).collect()
    }
}

fn told(looked: Looked) -> Ulid {
    let Looked::Told(id) = looked else { panic!("{looked:?}") };
    id
}

fn quiet() -> i64 {
    i64::try_from(QUIET.as_secs()).unwrap()
}

#[test]
fn the_first_profile_is_told_to_nobody_and_the_next_once() {
    let (mut world, ana) = (World::default(), person("ana", "a.example"));
    world.befriend(at(0), &ana);
    assert_eq!(world.look(0, "A"), Looked::Known);
    assert_eq!(world.look(1, "B"), Looked::Waits(at(1 + quiet())));
    // Another change within the quiet time goes out with it.
    assert_eq!(world.look(20, "C"), Looked::Waits(at(20 + quiet())));
    assert_eq!(world.look(20 + quiet() - 1, "C"), Looked::Waits(at(20 + quiet())));
    let update = told(world.look(20 + quiet(), "C"));
    assert_eq!(world.inbox_state(update, &ana), InboxState::Waiting);
    for later in [0, 1, 3600] {
        assert_eq!(world.look(20 + quiet() + later, "C"), Looked::Known);
    }
    assert_eq!(world.updates(), ["C"]);
}

#[test]
fn what_is_changed_back_in_time_is_no_change() {
    let mut world = World::default();
    world.look(0, "A");
    world.look(1, "B");
    assert_eq!(world.look(quiet(), "A"), Looked::Known);
    // The next change has its own quiet time.
    assert_eq!(world.look(quiet() + 1, "B"), Looked::Waits(at(2 * quiet() + 1)));
    assert!(world.updates().is_empty());
}

#[test]
fn who_never_stops_changing_is_told_of_in_the_end() {
    let mut world = World::default();
    world.look(0, "A");
    let most = i64::try_from(AT_MOST.as_secs()).unwrap();
    for second in 1..=most {
        let looked = world.look(second, &format!("name {second}"));
        assert_eq!(looked, Looked::Waits(at((second + quiet()).min(1 + most))), "{second}");
    }
    told(world.look(1 + most, "last"));
    assert_eq!(world.updates(), ["last"]);
}

#[test]
fn clocks_and_long_absence_neither_lose_nor_delay_a_change() {
    let hour = 3600;
    let mut world = World::default();
    world.look(0, "A");
    // Changed while nobody looked, and seen hours later.
    assert_eq!(world.look(9 * hour, "B"), Looked::Waits(at(9 * hour + quiet())));
    // The clock is set back by an hour in the quiet time: it begins anew, no later.
    assert_eq!(world.look(8 * hour, "B"), Looked::Waits(at(8 * hour + quiet())));
    // Seen by a process that was started long after: due at once.
    told(world.look(20 * hour, "B"));
    assert_eq!(world.look(19 * hour, "B"), Looked::Known);
    assert_eq!(world.updates(), ["B"]);
}

#[test]
fn a_newer_update_replaces_one_that_still_waits() {
    let (mut world, ana) = (World::default(), person("ana", "a.example"));
    world.befriend(at(0), &ana);
    world.look(0, "A");
    world.look(1, "B");
    let first = told(world.look(1 + quiet(), "B"));
    assert_eq!(world.worth(first, &ana, 40), Worth::Send);
    // Also where the clock was set back in between.
    for (from, name) in [(100, "C"), (-7200, "A")] {
        world.look(from, name);
        let newer = told(world.look(from + quiet(), name));
        assert_eq!(world.worth(first, &ana, from + quiet()), Worth::Expired);
        assert_eq!(world.worth(newer, &ana, from + quiet()), Worth::Send);
    }
    let stored: Profile = world.view().meta();
    assert!(stored.untold.is_none() && stored.update.is_some());
}
