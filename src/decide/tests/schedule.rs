//! Pauses grow, are bounded, and differ a little.

use proptest::prelude::*;

use super::*;
use crate::decide::schedule;

const KINDS: [OutgoingKind; 6] = [
    OutgoingKind::Accept,
    OutgoingKind::Reject,
    OutgoingKind::Create,
    OutgoingKind::Update,
    OutgoingKind::Delete,
    OutgoingKind::ActorUpdate,
];

/// All pauses of a kind without jitter.
fn pauses(kind: OutgoingKind) -> Vec<Duration> {
    (0..).map_while(|tries| schedule::attempt(kind, tries, 200)).collect()
}

#[test]
fn a_go_live_post_is_tried_often_for_a_day_and_everything_else_ever_less_for_days() {
    for kind in KINDS {
        let all = pauses(kind);
        let (in_all, longest): (Duration, _) = (all.iter().sum(), *all.last().unwrap());
        assert_eq!(all[0], secs(5), "{kind:?}");
        if kind == OutgoingKind::Create {
            assert_eq!(longest, secs(30 * 60));
            assert!(in_all * 8 / 10 > secs(18 * 3600) && in_all < secs(25 * 3600), "{in_all:?}");
        } else {
            assert_eq!(longest, secs(24 * 3600));
            assert!(in_all > secs(36 * 3600) && in_all < secs(3 * 24 * 3600), "{kind:?}: {in_all:?}");
        }
    }
}

#[test]
fn a_host_is_left_alone_from_a_minute_to_a_day() {
    assert_eq!(schedule::breaker(0, 200), secs(60));
    assert_eq!(schedule::breaker(6, 200), secs(24 * 3600));
    assert_eq!(schedule::breaker(u32::MAX, 200), secs(24 * 3600));
}

#[test]
fn what_is_behind_something_is_looked_at_ever_less_often() {
    for (age, pause) in
        [(-50, 500), (0, 500), (10, 5_000), (60, 30_000), (7200, 3_600_000), (1_000_000, 3_600_000)]
    {
        assert_eq!(schedule::behind(at(0), at(age)), Duration::from_millis(pause), "{age}");
    }
}

proptest! {
    #![proptest_config(random(300))]
    #[test]
    fn jitter_stays_within_a_fifth_and_pauses_never_shrink(kind in 0..6usize, tries in 0..60u32, entropy: u64) {
        let (kind, unjittered) = (KINDS[kind], 200);
        let within = |got: Duration, base: Duration| got >= base * 8 / 10 && got <= base * 12 / 10;
        if let Some(base) = schedule::attempt(kind, tries, unjittered) {
            let got = schedule::attempt(kind, tries, entropy).unwrap();
            prop_assert!(within(got, base), "{:?} of {:?}", got, base);
            let next = schedule::attempt(kind, tries + 1, unjittered);
            prop_assert!(next.is_none_or(|next| next >= base));
        } else {
            prop_assert!(schedule::attempt(kind, tries + 1, entropy).is_none(), "given up for good");
        }
        let base = schedule::breaker(tries, unjittered);
        prop_assert!(within(schedule::breaker(tries, entropy), base));
        prop_assert!(schedule::breaker(tries + 1, unjittered) >= base && base <= secs(24 * 3600));
    }
}

proptest! {
    #![proptest_config(random(300))]
    /// What the schedule makes due is never taken for the word of another clock, and what lies hours behind it is.
    #[test]
    fn an_attempt_that_is_due_too_far_ahead_is_due_now(
        kind in prop::sample::select(KINDS.to_vec()), tries in 0..60u32, entropy: u64, back in 0..100_000i64,
    ) {
        let Some(pause) = schedule::attempt(kind, tries, entropy) else { return Ok(()) };
        let furthest = schedule::furthest(kind, tries + 1);
        prop_assert!(pause <= furthest);
        let mut world = World::default();
        let ana = person("ana", "a.example");
        world.follow(at(0), &ana);
        let first = world.all::<Attempt>().remove(0);
        let made = Attempt { due: at(back) + pause, tries: tries + 1, ..first.clone() };
        world.act(at(0), |draft, _| {
            draft.delete::<Attempt>(&first.key());
            let accept: Outgoing = draft.view().get(&made.outgoing.to_bytes()).unwrap();
            draft.put(&Outgoing { kind, ..accept });
            draft.put(&made);
        });
        world.act(at(0), |draft, _| {
            crate::decide::sweep::sweep(draft, &Default::default(), at(0), 1000, &Default::default())
        });
        let due = if secs(back.unsigned_abs()) + pause > furthest { at(0) } else { made.due };
        prop_assert_eq!(world.all::<Attempt>(), [Attempt { due, ..made }]);
    }
}
