//! Reports are kept for the operator, however many there are of whom.

use super::*;
use crate::decide::reports::{self, IN_ALL, LIFE, OF_A_SERVER, OF_AN_OWNER};
use crate::model::report::Report;

fn keep(world: &mut World, now: i64, host: &str, id: &str) -> bool {
    let who = person("actor", host);
    world.act(at(now), |draft, moment| {
        reports::keep(
            draft,
            moment,
            &who,
            id,
            vec!["https://live.example/x".to_owned()],
            Some("spam".to_owned()),
        )
    })
}

#[test]
fn a_report_is_kept_once() {
    let mut world = World::default();
    assert!(keep(&mut world, 0, "peer.example", "1"));
    assert!(!keep(&mut world, 9, "peer.example", "1"));
    assert!(keep(&mut world, 9, "peer.example", "2"));
    assert!(keep(&mut world, 5, "other.example", "1"));
    let all = reports::all(world.view());
    let seen: Vec<_> = all.iter().map(|report| (report.activity.as_str(), report.at)).collect();
    assert_eq!(seen, [("2", at(9)), ("1", at(5)), ("1", at(0))], "newest first");
    assert_eq!(world.act(at(10), |draft, _| reports::clear(draft)), 3);
    assert!(reports::all(world.view()).is_empty());
}

#[test]
fn a_server_that_reports_without_end_loses_its_own() {
    let mut world = World::default();
    keep(&mut world, 0, "honest.example", "1");
    keep(&mut world, 0, "evil.example.org", "1");
    for number in 0..100 {
        keep(&mut world, 1 + number, "evil.example", &number.to_string());
    }
    let all = reports::all(world.view());
    let from = |host: &str| all.iter().filter(|report| report.handle.ends_with(&format!("@{host}"))).count();
    assert_eq!((from("evil.example"), from("honest.example"), from("evil.example.org")), (OF_A_SERVER, 1, 1));
    assert_eq!(all[0].activity, "99");
}

#[test]
fn any_number_of_servers_of_one_owner_leaves_room_to_others() {
    let mut world = World::default();
    for number in 0..IN_ALL - OF_AN_OWNER {
        keep(&mut world, number as i64, &format!("s{number}.example"), "1");
    }
    for number in 0..100 {
        keep(&mut world, 1000 + number, &format!("x{number}.evil.example"), "1");
    }
    let mut all = reports::all(world.view());
    assert_eq!(all.len(), IN_ALL);
    assert_eq!(all[0].handle, "actor@x99.evil.example");
    all.retain(|report| !report.handle.ends_with(".evil.example"));
    assert_eq!(all.len(), IN_ALL - OF_AN_OWNER, "nobody else loses one");
    // Somebody else still has a place: that of the oldest of those who report most.
    assert!(keep(&mut world, 5000, "late.example", "1"));
    let all = reports::all(world.view());
    let of_evil: Vec<_> = all.iter().filter(|report| report.handle.ends_with(".evil.example")).collect();
    assert_eq!((all.len(), of_evil.len()), (IN_ALL, OF_AN_OWNER - 1));
    assert!(of_evil.iter().all(|report| report.handle != "actor@x60.evil.example"));
}

#[test]
fn many_servers_are_bounded_too_and_time_ends_all() {
    let mut world = World::default();
    for number in 0..IN_ALL + 50 {
        keep(&mut world, number as i64, &format!("s{number}.example"), "1");
    }
    assert_eq!(world.all::<Report>().len(), IN_ALL);
    let late = at((IN_ALL + 50) as i64) + SignedDuration::try_from(LIFE).unwrap();
    world.act(late, |draft, moment| {
        super::super::sweep::sweep(draft, &Vec::new(), moment.now, 10_000, &Default::default())
    });
    assert!(world.all::<Report>().is_empty());
}
