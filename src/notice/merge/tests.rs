use super::*;
use proptest::prelude::*;

const WORDING: Wording<'static> = Wording { server: "Ada's workshop", forbidden: &[] };

const SETTINGS: Settings = Settings {
    max_per_minute: 4,
    burst_window: Duration::from_secs(5),
    follow: Style::Card,
    like: Style::Line,
    announce: Style::Card,
};

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millisecond(1_800_000_000_000 + i64::try_from(millis).unwrap()).unwrap()
}

fn notice(n: u64, kind: NoticeKind, millis: u64) -> Notice {
    Notice {
        id: Ulid(u128::from(n)),
        kind,
        actor: format!("https://h{}.example/u/{n}", n % 50),
        name: Some(format!("P{n}")),
        handle: format!("u{n}@h{}.example", n % 50),
        link: String::new(),
        live_post: true,
        at: at(millis),
    }
}

/// Runs the plan over time as a sender would: at each arrival and whenever it asked to look again.
fn run(arrivals: &[Notice], settings: &Settings) -> Vec<(u64, Say)> {
    let (mut queue, mut pace, mut said) = (Vec::new(), Pace::default(), Vec::new());
    let (mut next, mut again) = (0, None);
    for _ in 0..10_000 {
        let arrival = arrivals.get(next).map(|notice: &Notice| notice.at);
        let Some(now) = [arrival, again].into_iter().flatten().min() else { return said };
        while let Some(notice) = arrivals.get(next).filter(|notice| notice.at <= now) {
            queue.push(notice.clone());
            next += 1;
        }
        let plan = plan(&queue, &pace, settings, &WORDING, now);
        assert!(plan.again.is_none_or(|again| again > now), "it would look again at once");
        for say in &plan.say {
            queue.retain(|notice| !say.notices.contains(&notice.id));
        }
        queue.retain(|notice| !plan.dropped.contains(&notice.id));
        assert_eq!(queue.is_empty(), plan.again.is_none());
        let millis = u64::try_from(now.as_millisecond() - 1_800_000_000_000).unwrap();
        said.extend(plan.say.into_iter().map(|say| (millis, say)));
        (pace, again) = (plan.pace, plan.again);
    }
    panic!("it never came to rest");
}

fn text(say: &Say) -> String {
    scraper::Html::parse_fragment(&say.body).root_element().text().collect()
}

#[test]
fn one_after_quiet_goes_at_once_and_whole() {
    let said = run(&[notice(1, NoticeKind::Follow, 0), notice(2, NoticeKind::Like, 20_000)], &SETTINGS);
    let shown: Vec<_> = said.iter().map(|(when, say)| (*when, say.style, text(say))).collect();
    assert_eq!(
        shown,
        [
            (0, Style::Card, "P1 (u1@h1.example) followed this stream.".to_owned()),
            (20_000, Style::Line, "P2 (u2@h2.example) liked that this stream went live.".to_owned()),
        ]
    );
}

#[test]
fn what_follows_within_the_window_is_merged_per_kind() {
    let arrivals = [
        notice(1, NoticeKind::Announce, 0),
        notice(2, NoticeKind::Like, 100),
        notice(3, NoticeKind::Announce, 200),
        notice(4, NoticeKind::Like, 4_999),
        notice(5, NoticeKind::Follow, 5_000),
    ];
    let shown: Vec<_> =
        run(&arrivals, &SETTINGS).iter().map(|(when, say)| (*when, say.style, text(say))).collect();
    assert_eq!(
        shown,
        [
            (0, Style::Card, "P1 (u1@h1.example) shared this stream with their followers.".to_owned()),
            (5_000, Style::Line, "P2 and P4 liked that this stream went live.".to_owned()),
            (5_000, Style::Card, "P3 (u3@h3.example) shared this stream with their followers.".to_owned()),
            (5_000, Style::Card, "P5 (u5@h5.example) followed this stream.".to_owned()),
        ]
    );
}

#[test]
fn two_thousand_likes_are_a_few_lines_and_all_are_counted() {
    for spread in [0, 1, 60] {
        let arrivals: Vec<Notice> = (0..2_000).map(|n| notice(n, NoticeKind::Like, n * spread)).collect();
        let said = run(&arrivals, &SETTINGS);
        let minutes = 2_000 * spread / 60_000 + 1;
        assert!(said.len() as u64 <= 4 * minutes + 4, "{} lines in {minutes} minutes", said.len());
        assert_eq!(said.iter().map(|(_, say)| say.notices.len()).sum::<usize>(), 2_000);
        assert!(said.iter().all(|(_, say)| say.body.len() < 2_000));
    }
    let burst: Vec<Notice> = (0..2_000).map(|n| notice(n, NoticeKind::Like, n)).collect();
    let said = run(&burst, &SETTINGS);
    assert_eq!(said.len(), 2);
    assert_eq!(text(&said[1].1), "P1, P2, P3 and 1996 others liked that this stream went live.");
}

#[test]
fn posts_of_this_stream_and_older_ones_are_said_apart() {
    let mut old = notice(3, NoticeKind::Like, 200);
    old.live_post = false;
    let arrivals = [notice(1, NoticeKind::Like, 0), notice(2, NoticeKind::Like, 100), old];
    let shown: Vec<_> = run(&arrivals, &SETTINGS).iter().map(|(_, say)| text(say)).collect();
    assert_eq!(shown[2], "P3 (u3@h3.example) liked a post from Ada's workshop.");
}

#[test]
fn what_is_off_is_dropped_and_zero_a_minute_is_off() {
    let queue = [notice(1, NoticeKind::Like, 0), notice(2, NoticeKind::Follow, 0)];
    let no_likes = Settings { like: Style::Off, ..SETTINGS };
    let first = plan(&queue, &Pace::default(), &no_likes, &WORDING, at(0));
    assert_eq!(first.dropped, [Ulid(1)]);
    assert_eq!(first.say.len(), 1);
    assert_eq!(first.again, None);
    let silent = plan(&queue, &Pace::default(), &Settings { max_per_minute: 0, ..SETTINGS }, &WORDING, at(0));
    assert_eq!((silent.dropped.len(), silent.say.len(), silent.again), (2, 0, None));
}

#[test]
fn a_clock_set_back_does_not_silence_it() {
    let said = plan(&[notice(1, NoticeKind::Like, 0)], &Pace::default(), &SETTINGS, &WORDING, at(3_600_000));
    let earlier = at(1_000);
    let next = plan(&[notice(2, NoticeKind::Like, 1_000)], &said.pace, &SETTINGS, &WORDING, earlier);
    assert_eq!(next.again, Some(at(6_000)));
}

#[test]
fn a_bot_stays_a_bot_when_merged() {
    let settings = Settings { like: Style::Bot, ..SETTINGS };
    let arrivals: Vec<Notice> = (0..5).map(|n| notice(n, NoticeKind::Like, n)).collect();
    assert!(run(&arrivals, &settings).iter().all(|(_, say)| say.style == Style::Bot));
}

proptest! {
    #[test]
    fn each_is_said_once_and_the_pace_holds(
        gaps in proptest::collection::vec((0u64..20_000, 0u8..3, any::<bool>()), 0..120),
        max_per_minute in 1u32..8,
        window in 0u64..10_000,
    ) {
        let mut when = 0;
        let arrivals: Vec<Notice> = gaps
            .iter()
            .enumerate()
            .map(|(n, (gap, kind, live))| {
                when += gap;
                let kind = [NoticeKind::Follow, NoticeKind::Like, NoticeKind::Announce][usize::from(*kind)];
                Notice { live_post: *live, ..notice(n as u64, kind, when) }
            })
            .collect();
        let settings = Settings { max_per_minute, burst_window: Duration::from_millis(window.max(1)), ..SETTINGS };
        let said = run(&arrivals, &settings);
        let mut ids: Vec<Ulid> = said.iter().flat_map(|(_, say)| say.notices.clone()).collect();
        ids.sort();
        prop_assert_eq!(ids, arrivals.iter().map(|notice| notice.id).collect::<Vec<_>>());
        for (n, (when, _)) in said.iter().enumerate() {
            let lately = said[..=n].iter().filter(|(other, _)| other + 60_000 > *when).count();
            prop_assert!(lately <= max_per_minute as usize, "{lately} within a minute");
        }
    }
}
