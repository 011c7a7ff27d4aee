//! What is taken from the store, when, and how much of it.

use super::*;
use crate::decide::delivered::Ending;
use crate::decide::hosts::Contact;
use crate::model::Draft;
use crate::model::view::MemoryView;

fn attempt(number: u32, inbox: String) -> Attempt {
    let (due, outgoing) = (Timestamp::UNIX_EPOCH, Ulid(u128::from(number)));
    Attempt { tries: 1, ..Attempt::personal(due, outgoing, inbox) }
}

fn resting(view: &mut MemoryView, numbers: std::ops::Range<u32>, failures: u32, until: i64) {
    let (mut draft, now) = (Draft::new(view), Timestamp::UNIX_EPOCH);
    for number in numbers {
        hosts::set_aside(&mut draft, attempt(number, format!("https://ill.example/{number}/inbox")), now);
    }
    for _ in 0..failures {
        hosts::heard(&mut draft, "ill.example", hosts::Contact::Failed(None), now, 200);
    }
    if until > 0 {
        let busy = hosts::Contact::Busy(Timestamp::from_second(until).unwrap());
        hosts::heard(&mut draft, "ill.example", busy, now, 0);
    }
    let changes = draft.into_changes();
    view.apply(changes);
}

/// What is taken at that second: how many, how many of them to probe, when to look again.
fn taken(view: &MemoryView, second: i64, in_memory: usize, room: usize) -> (usize, usize, Option<i64>) {
    let now = Timestamp::from_second(second).unwrap();
    let in_memory = |_: &str| (in_memory, false);
    let mut shares = Shares::new(view, now, &in_memory, &|_| 0);
    let (mut jobs, mut idle) = (Vec::new(), Vec::new());
    let next = rested(&HashSet::new(), &mut shares, room, &mut jobs, &mut idle);
    assert!(idle.is_empty());
    let probes = jobs.iter().filter(|taken| taken.probe).count();
    (jobs.len(), probes, next.map(Timestamp::as_second))
}

#[test]
fn what_rests_is_taken_when_its_host_may_be_asked() {
    let mut view = MemoryView::default();
    resting(&mut view, 0..100, hosts::OPEN_AT, 0);
    assert_eq!(taken(&view, 59, 0, 1000), (0, 0, Some(60)), "shut");
    assert_eq!(taken(&view, 60, 0, 1000), (1, 1, None), "one to try it with");
    assert_eq!(taken(&view, 60, 1, 1000), (0, 0, Some(60)), "when what was sent before is done");
    let mut view = MemoryView::default();
    resting(&mut view, 0..100, 0, 9);
    assert_eq!(taken(&view, 8, 0, 1000), (0, 0, Some(9)), "it asked for a pause");
    assert_eq!(taken(&view, 9, 0, 1000), (HOST_SHARE, 0, None));
    assert_eq!(taken(&view, 9, 60, 1000), (4, 0, None));
    assert_eq!(taken(&view, 9, 64, 1000), (0, 0, Some(9)), "when others of its host are done");
    assert_eq!(taken(&view, 9, 0, 7), (7, 0, None));
}

#[test]
fn what_is_tried_again_leaves_room_to_what_is_new() {
    let mut view = MemoryView::default();
    resting(&mut view, 0..100, 0, 9);
    let mut draft = Draft::new(&view);
    for number in 100..110 {
        draft.put(&attempt(number, format!("https://n{number}.example/inbox")));
    }
    let changes = draft.into_changes();
    view.apply(changes);
    for (room, want) in
        [(0, (0, 0)), (1, (1, 1)), (9, (9, 9)), (10, (10, 10)), (12, (10, 12)), (200, (10, 74))]
    {
        let now = Timestamp::from_second(9).unwrap();
        let mut shares = Shares::new(&view, now, &|_| (0, false), &|_| 0);
        let (mut jobs, _) = due(&HashSet::new(), &mut shares, room);
        let attempts = jobs.len();
        rested(&HashSet::new(), &mut shares, room, &mut jobs, &mut Vec::new());
        assert_eq!((attempts, jobs.len()), want, "{room}");
    }
}

#[test]
fn no_look_is_the_last_before_a_pause_is_over() {
    for (until, look) in [
        // Within the same millisecond.
        (Timestamp::new(9, 1), Timestamp::new(9, 0)),
        (Timestamp::new(9, 999_999), Timestamp::new(9, 999_998)),
        (Timestamp::new(9, 5_000_000), Timestamp::new(9, 4_999_999)),
        // Longer than is waited for, so it does not hold yet.
        (Timestamp::from_second(7 * 3600), Timestamp::from_second(2 * 3600)),
    ] {
        let (until, look) = (until.unwrap(), look.unwrap());
        let mut view = MemoryView::default();
        resting(&mut view, 0..3, 0, 0);
        let mut draft = Draft::new(&view);
        hosts::heard(&mut draft, "ill.example", Contact::Busy(until), Timestamp::UNIX_EPOCH, 0);
        let changes = draft.into_changes();
        view.apply(changes);
        let looked = |now: Timestamp| {
            let (mut jobs, mut idle) = (Vec::new(), Vec::new());
            let mut shares = Shares::new(&view, now, &|_| (0, false), &|_| 0);
            let next = rested(&HashSet::new(), &mut shares, 1000, &mut jobs, &mut idle);
            (jobs.len(), next)
        };
        let (taken, next) = looked(look);
        let next = next.unwrap_or_else(|| panic!("nobody looks at {until} again"));
        assert_eq!(taken, 0);
        assert!(until <= next && next < until + Duration::from_millis(1), "{until} {next}");
        assert_eq!(looked(next).0, 3, "{until}");
    }
}

#[test]
fn jobs_of_a_host_that_is_not_well_are_set_aside_without_taking_room() {
    let mut view = MemoryView::default();
    resting(&mut view, 0..1, hosts::OPEN_AT, 0);
    let mut draft = Draft::new(&view);
    for number in 100..300 {
        draft.put(&attempt(number, format!("https://ill.example/{number}/inbox")));
    }
    let changes = draft.into_changes();
    view.apply(changes);
    for second in [1, 100] {
        let now = Timestamp::from_second(second).unwrap();
        let mut shares = Shares::new(&view, now, &|_| (0, false), &|_| 0);
        let (jobs, _) = due(&HashSet::new(), &mut shares, 1000);
        assert_eq!((jobs.len(), jobs.iter().all(|taken| taken.aside)), (200, true), "{second}");
    }
}

#[test]
fn one_host_takes_no_more_than_its_share_of_the_window() {
    let mut view = MemoryView::default();
    let mut draft = Draft::new(&view);
    for number in 0..5000 {
        draft.put(&attempt(number, format!("https://slow.example/{number}/inbox")));
    }
    draft.put(&attempt(9000, "https://quick.example/inbox".into()));
    let changes = draft.into_changes();
    view.apply(changes);
    let in_memory = |host: &str| (if host == "slow.example" { 4 } else { 0 }, false);
    let mut shares = Shares::new(&view, Timestamp::UNIX_EPOCH, &in_memory, &|_| 0);
    let (jobs, _) = due(&HashSet::new(), &mut shares, 1000);
    let slow = jobs.iter().filter(|taken| taken.host == "slow.example").count();
    assert_eq!((slow, jobs.len()), (HOST_SHARE - 4, HOST_SHARE - 3));
}

#[test]
fn all_hosts_of_an_owner_take_no_more_than_its_share_of_the_window() {
    let mut view = MemoryView::default();
    let mut draft = Draft::new(&view);
    for number in 0..5000 {
        draft.put(&attempt(number, format!("https://n{number}.slow.example/inbox")));
    }
    draft.put(&attempt(9000, "https://quick.example/inbox".into()));
    for number in 5000..5100 {
        let attempt = attempt(number, format!("https://r{number}.slow.example/inbox"));
        hosts::set_aside(&mut draft, attempt, Timestamp::UNIX_EPOCH);
    }
    let changes = draft.into_changes();
    view.apply(changes);
    let of_owner = |owner: &str| if owner == "slow.example" { 24 } else { 0 };
    let mut shares = Shares::new(&view, Timestamp::UNIX_EPOCH, &|_| (0, false), &of_owner);
    let mut idle = Vec::new();
    let (mut jobs, next) = due(&HashSet::new(), &mut shares, 4000);
    assert_eq!((jobs.len(), next), (OWNER_SHARE - 24 + 1, Some(Timestamp::UNIX_EPOCH)));
    let next = rested(&HashSet::new(), &mut shares, 4000, &mut jobs, &mut idle);
    assert_eq!(next, Some(Timestamp::UNIX_EPOCH), "when others of its owner are done");
    let quick = jobs.iter().filter(|taken| taken.host == "quick.example").count();
    assert_eq!((jobs.len(), quick, idle.len()), (OWNER_SHARE - 24 + 1, 1, 0));
}

/// What a pump does with one host, in the words of its rules: it takes, asks, and writes what came of it.
#[derive(Default)]
struct Model {
    view: MemoryView,
    now: i64,
    held: HashSet<(Ulid, String)>,
    asked: Vec<(Taken, Gate)>,
    reached: HashSet<Ulid>,
}

impl Model {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.now).unwrap()
    }

    fn write<T>(&mut self, decide: impl FnOnce(&mut Draft<'_>) -> T) -> T {
        let mut draft = Draft::new(&self.view);
        let outcome = decide(&mut draft);
        let changes = draft.into_changes();
        self.view.apply(changes);
        outcome
    }

    fn take(&mut self) {
        let (jobs, idle) = {
            let probed = self.asked.iter().any(|(taken, _)| taken.probe);
            let in_memory = |_: &str| (self.asked.len(), probed);
            let mut shares = Shares::new(&self.view, self.now(), &in_memory, &|_| 0);
            let (mut jobs, _) = due(&self.held, &mut shares, 1000);
            let mut idle = Vec::new();
            rested(&self.held, &mut shares, 1000, &mut jobs, &mut idle);
            (jobs, idle)
        };
        let now = self.now();
        for (at, host) in idle {
            self.write(|draft| hosts::tidy(draft, &host, at, now));
        }
        let gate = hosts::gate_of(&self.view, "ill.example", now);
        for taken in jobs {
            if taken.aside {
                self.write(|draft| delivered::settle(draft, &taken.job, Ending::SetAside { at: now }));
            } else {
                self.held.insert((taken.job.outgoing, taken.job.inbox.clone()));
                self.asked.push((taken, gate));
            }
        }
    }

    /// One request comes to an end.
    fn end(&mut self, place: usize, ending: Ending, contact: Contact) {
        if self.asked.is_empty() {
            return;
        }
        let (taken, _) = self.asked.remove(place % self.asked.len());
        let (now, entropy) = (self.now(), u64::try_from(self.now).unwrap());
        let gate = self.write(|draft| {
            delivered::settle(draft, &taken.job, ending);
            hosts::heard(draft, &taken.host, contact, now, entropy)
        });
        self.held.remove(&(taken.job.outgoing, taken.job.inbox.clone()));
        if ending == Ending::Reached {
            self.reached.insert(taken.job.outgoing);
        }
        if let Gate::Shut(_) = gate {
            for (taken, _) in std::mem::take(&mut self.asked) {
                // Not all of them would have been sent, but it might be so.
                self.held.remove(&(taken.job.outgoing, taken.job.inbox.clone()));
                self.write(|draft| delivered::settle(draft, &taken.job, Ending::SetAside { at: now }));
            }
        }
    }
}

#[test]
fn inboxes_are_claimed_before_they_are_wanted_and_not_all_of_them() {
    let mut pass = Pass::from(Claim::default());
    assert!(!pass.begin(3) && !pass.begin(1) && !pass.begin(2));
    assert_eq!(pass.to_claim(), Some(1 + CLAIM));
    pass.claimed(pass.claim, Some(1 + CLAIM));
    assert_eq!((pass.to_claim(), pass.begin(1)), (None, true));
    assert!(pass.begin(CLAIM / 2));
    assert_eq!(pass.to_claim(), None);
    assert!(pass.begin(CLAIM / 2 + 1));
    assert_eq!(pass.to_claim(), Some(CLAIM + CLAIM / 2 + 2), "before anybody waits for it");
    // Numbers with a gap, as after a stream that came back.
    assert!(!pass.begin(5000));
    assert_eq!(pass.to_claim(), Some(5000 + CLAIM));
    pass.claimed(pass.claim, Some(5000 + CLAIM));
    pass.next = None;
    assert!(pass.begin(5000 + CLAIM - 1));
    assert_eq!(pass.to_claim(), None, "there are no others");
    assert!(!pass.begin(9000) && pass.to_claim().is_some());
    pass.claimed(pass.claim, None);
    assert_eq!(pass.to_claim(), None, "not again before the store was looked at");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig {
        cases: 200, failure_persistence: None, ..Default::default()
    })]
    /// While a host fails it is asked one thing at a time and nothing before its pause is over; once it answers,
    /// everything arrives.
    #[test]
    fn a_failing_host_has_one_probe_and_everything_arrives_in_the_end(
        happenings in proptest::collection::vec((0..6u8, 0..50usize, 1..5000i64), 1..80),
    ) {
        let mut model = Model::default();
        let mut made = 0;
        for (what, place, seconds) in happenings {
            let now = model.now();
            match what {
                0 => {
                    made += 1;
                    let one = Attempt { due: now, ..attempt(made, "https://ill.example/inbox".into()) };
                    model.write(|draft| draft.put(&one));
                }
                1 => model.now += seconds,
                2 => model.end(place, Ending::Reached, Contact::Answered),
                3 => model.write(|draft| hosts::spoke(draft, "ill.example", now)),
                _ => {
                    let due = crate::decide::seen::later(now, std::time::Duration::from_secs(30));
                    model.end(place, Ending::Retry { due, uncertain: false }, Contact::Failed(None));
                }
            }
            let before = model.asked.len();
            model.take();
            let taken = model.asked.len() - before;
            match hosts::gate_of(&model.view, "ill.example", model.now()) {
                Gate::Shut(_) => proptest::prop_assert_eq!(taken, 0),
                Gate::Probe => proptest::prop_assert!(model.asked.len() <= before.max(1), "more than one probe"),
                Gate::Line | Gate::Free => {}
            }
        }
        for _ in 0..200 {
            model.now += 30;
            model.take();
            if model.asked.is_empty() {
                model.now += 29 * 3600;
            }
            model.end(0, Ending::Reached, Contact::Answered);
        }
        model.take();
        proptest::prop_assert_eq!(model.reached.len(), made as usize);
        let mut kinds = HashSet::new();
        model.view.scan_bytes(b"", b"", &mut |key, _| kinds.insert(key[0]));
        proptest::prop_assert!(kinds.is_subset(&HashSet::from([kind::META])), "{:?} stay behind", kinds);
    }
}

#[test]
fn what_was_not_begun_is_given_back_whatever_hangs() {
    let at = |below| Claim { below, opening: 3 };
    for (inherited, claimed, begun, hangs, quiet) in [
        (0, 512, 0, 0, 0),
        (0, 512, 40, 40, 0),
        (0, 512, 512, 512, 0),
        (100, 612, 0, 100, 100),
        (100, 612, 40, 100, 100),
        (100, 612, 140, 140, 100),
    ] {
        let mut pass = Pass::from(at(inherited));
        pass.claimed(at(inherited), Some(claimed));
        assert!((0..begun).all(|number| pass.begin(number)));
        assert!(!pass.begin(claimed), "not claimed");
        assert_eq!((pass.tried_below(false), pass.tried_below(true)), (hangs, quiet), "{inherited} {begun}");
    }
}

#[test]
fn what_seemed_over_is_read_again_whether_or_not_more_is_to_be_read() {
    let mut pass = Pass::from(Claim::default());
    for (next, number, want) in [(None, 7, 7), (Some(3), 7, 3), (Some(9), 7, 7)] {
        pass.next = next;
        pass.read_again(number);
        assert_eq!(pass.next, Some(want));
    }
}

#[test]
fn what_has_no_turn_is_read_ever_less_often() {
    let mut pause = OVERDUE;
    for (taken, millis) in
        [(0, 400), (0, 800), (0, 1600), (0, 2000), (0, 2000), (1, 200), (64, 200), (0, 400)]
    {
        pause = overdue(pause, taken);
        assert_eq!(pause, Duration::from_millis(millis));
    }
}

#[test]
fn what_waits_for_a_claim_asks_anew_when_its_pass_is_another() {
    let at = |below, opening| Some(Claim { below, opening });
    let (mut view, mut passes, id) = (MemoryView::default(), BTreeMap::new(), Ulid(1));
    let mut open = |claim: Option<Claim>, passes: &mut BTreeMap<Ulid, Pass>| {
        let mut draft = Draft::new(&view);
        match claim {
            Some(claim) => draft.put_raw(kind::FANOUT, &id.to_bytes(), claim.write()),
            None => draft.delete_raw(kind::FANOUT, &id.to_bytes()),
        }
        let changes = draft.into_changes();
        view.apply(changes);
        open_passes(&view, passes)
    };
    for (what, claim, want) in [
        ("nothing waits for it yet", at(0, 1), false),
        ("nothing happened", at(0, 1), false),
        ("it is claimed as far as is told otherwise", at(512, 1), false),
        ("opened again", at(0, 2), true),
        ("over", None, true),
        ("still over", None, false),
        ("opened once more", at(0, 3), false),
    ] {
        assert_eq!(open(claim, &mut passes), want, "{what}");
    }
    let pass = passes.get_mut(&id).unwrap();
    pass.claimed(pass.claim, None);
    assert!(open(at(0, 3), &mut passes), "what was known of it was wrong");
    assert!(!open(at(0, 3), &mut passes));
}
