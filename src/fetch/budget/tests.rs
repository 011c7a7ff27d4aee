//! Who spends how much, and what that leaves to others.

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// A client of a network of its own.
fn from(n: u16) -> Option<Source> {
    Some(Source::of([10, (n >> 8) as u8, n as u8, 1].into()))
}

const MANY: Share = Share { at_once: 1000, queue: 1000, per_minute: u32::MAX };

fn limits() -> Budgets {
    Budgets { wait: Duration::from_millis(20), ..Budgets::default() }
}

/// Its host takes long, from the first second to the sixtieth.
fn is_slow(budget: &Budget, host: &str) {
    lock(&budget.state).is_slow_until(host, &owner_of_host(host), at(0), at(60));
}

#[tokio::test]
async fn turns_are_limited_per_host_and_in_all_and_come_back() {
    let budget = Budget::new(Budgets { all: Share { at_once: 3, ..limits().all }, ..limits() });
    let first = budget.turn("a", None, at(0)).await.unwrap();
    let _second = budget.turn("a", None, at(0)).await.unwrap();
    assert_eq!(budget.turn("a", None, at(0)).await.err(), Some(FetchError::Busy));
    let third = budget.turn("b", None, at(0)).await.unwrap();
    assert_eq!(budget.turn("c", None, at(0)).await.err(), Some(FetchError::Busy));
    drop(first);
    assert!(budget.turn("a", None, at(0)).await.is_ok());
    drop(third);
    assert!(budget.turn("c", None, at(0)).await.is_ok());
    drop(_second);
    let state = lock(&budget.state);
    assert_eq!((state.total, state.hosts.open.len()), (0, 0));
}

#[tokio::test]
async fn queues_and_minutes_are_limited() {
    let budget = Budget::new(Budgets {
        all: Share { queue: 3, ..limits().all },
        host: Share { queue: 1, ..limits().host },
        ..limits()
    });
    let _a = budget.turn("a", None, at(0)).await.unwrap();
    assert!(budget.turn("a", None, at(0)).await.is_err());
    let _rest = (budget.turn("b", None, at(0)).await.unwrap(), budget.turn("c", None, at(0)).await.unwrap());
    assert!(budget.turn("d", None, at(0)).await.is_err());

    let budget = Budget::new(Budgets {
        all: Share { per_minute: 3, ..limits().all },
        host: Share { per_minute: 2, ..limits().host },
        ..limits()
    });
    for (host, second, ok) in
        [("a", 0, true), ("a", 1, true), ("a", 59, false), ("b", 2, true), ("c", 3, false), ("a", 60, true)]
    {
        assert_eq!(budget.turn(host, None, at(second)).await.is_ok(), ok, "{host} at {second}");
    }
}

#[tokio::test]
async fn one_client_leaves_a_host_and_all_hosts_to_others() {
    let budget = Budget::new(limits());
    let mut begun = 0;
    while budget.turn("victim", from(1), at(0)).await.is_ok() {
        begun += 1;
    }
    assert_eq!(begun, limits().source_at_owner.per_minute);
    assert!(budget.turn("victim", from(2), at(0)).await.is_ok());
    // Nor is one client everybody: it has so many fetches in a minute, at whatever hosts.
    let mut hosts = 0;
    while budget.turn(&format!("h{hosts}"), from(1), at(0)).await.is_ok() {
        hosts += 1;
    }
    assert_eq!(begun + hosts, limits().source.per_minute);
    assert!(budget.turn("other", from(2), at(0)).await.is_ok());
    assert!(budget.turn("victim", from(1), at(60)).await.is_ok());
}

/// How many requests a search makes must not show in what is left: one that is pretended makes none.
#[tokio::test]
async fn further_requests_of_a_turn_count_among_all_only() {
    let budget = Budget::new(limits());
    let (mut turns, mut asked) = (0, 0);
    while let Ok(turn) = budget.turn("victim", from(1), at(0)).await {
        turns += 1;
        for _ in 0..3 {
            turn.asks(at(0)).unwrap();
            asked += 1;
        }
    }
    assert_eq!(turns, limits().source_at_owner.per_minute);
    assert_eq!(lock(&budget.state).minute.begun, asked);
}

#[tokio::test]
async fn one_client_holds_one_turn_of_a_host_and_some_of_all() {
    let budget = Budget::new(limits());
    let mut held = vec![budget.turn("victim", from(1), at(0)).await.unwrap()];
    assert_eq!(budget.turn("victim", from(1), at(0)).await.err(), Some(FetchError::Busy));
    held.push(budget.turn("victim", from(2), at(0)).await.unwrap());
    while let Ok(turn) = budget.turn(&format!("h{}", held.len()), from(1), at(0)).await {
        held.push(turn);
    }
    assert_eq!(held.len() - 1, limits().source.at_once);
    assert!(budget.turn("other", from(2), at(0)).await.is_ok());
    drop(held);
    let state = lock(&budget.state);
    assert!(state.sources.open.is_empty() && state.pairs.open.is_empty() && state.hosts.open.is_empty());
}

#[tokio::test]
async fn all_the_clients_of_a_network_leave_a_host_and_all_hosts_to_others() {
    let of = |subnet: u16| Some(Source::of([0x2a00, 1, 2, subnet, 0, 0, 0, 1].into()));
    let other = Some(Source::of([0x2a00, 1, 3, 0, 0, 0, 0, 1].into()));
    let budget = Budget::new(limits());
    let mut begun = 0;
    for subnet in 0..1000 {
        begun += u32::from(budget.turn("victim", of(subnet), at(0)).await.is_ok());
    }
    assert_eq!(begun, limits().network_at_owner.per_minute);
    assert!(budget.turn("victim", other, at(0)).await.is_ok());
    for subnet in 0..2000 {
        begun += u32::from(budget.turn(&format!("h{subnet}"), of(subnet), at(0)).await.is_ok());
    }
    assert_eq!(begun, limits().network.per_minute);
    assert!(budget.turn("other", other, at(0)).await.is_ok());
    // At once: one turn of a host, and not all turns of all.
    let budget = Budget::new(limits());
    let mut held = vec![budget.turn("victim", of(0), at(0)).await.unwrap()];
    assert_eq!(budget.turn("victim", of(1), at(0)).await.err(), Some(FetchError::Busy));
    held.push(budget.turn("victim", other, at(0)).await.unwrap());
    for subnet in 0..40 {
        held.extend(budget.turn(&format!("h{subnet}"), of(subnet), at(0)).await);
    }
    assert_eq!(held.len() - 1, limits().network.at_once);
    assert!(budget.turn("other", other, at(0)).await.is_ok());
    drop(held);
    let state = lock(&budget.state);
    assert!(state.networks.open.is_empty() && state.network_pairs.open.is_empty());
}

#[tokio::test]
async fn slow_hosts_share_a_few_turns() {
    let budget = Budget::new(limits());
    let slow = |n: usize| format!("slow{n}");
    for n in 0..20 {
        is_slow(&budget, &slow(n));
    }
    let mut held = Vec::new();
    for n in 0..20 {
        held.extend(budget.turn(&slow(n), None, at(0)).await);
    }
    assert_eq!(held.len(), limits().slow_at_once);
    assert!(budget.turn("well", None, at(0)).await.is_ok());
    assert!(budget.turn(&slow(19), None, at(60)).await.is_ok(), "and not for ever");
}

#[tokio::test]
async fn who_waits_for_slow_hosts_leaves_places_to_others() {
    let budget = Budget::new(Budgets { wait: Duration::from_secs(3600), ..limits() });
    let slow = |n: usize| format!("slow{}", n % 20);
    for n in 0..20 {
        is_slow(&budget, &slow(n));
    }
    let hosts: Vec<String> = (0..1000).map(slow).collect();
    let mut waiting: Vec<_> = hosts.iter().map(|host| Box::pin(budget.turn(host, None, at(0)))).collect();
    let mut turns = Vec::new();
    let mut refused = 0;
    for turn in &mut waiting {
        match futures_util::poll!(turn) {
            std::task::Poll::Ready(Ok(turn)) => turns.push(turn),
            std::task::Poll::Ready(Err(_)) => refused += 1,
            std::task::Poll::Pending => {}
        }
    }
    assert_eq!((turns.len(), refused), (limits().slow_at_once, 1000 - limits().slow_queue));
    assert!(budget.turn("well", None, at(0)).await.is_ok());
    drop((waiting, turns));
    let state = lock(&budget.state);
    assert_eq!((state.total, state.slow), (0, 0));
}

#[tokio::test]
async fn slow_hosts_of_one_owner_leave_turns_and_places_to_others() {
    let limits = Budgets { wait: Duration::from_secs(3600), ..limits() };
    let budget = Budget::new(limits);
    for host in ["evil.example", "victim.example"] {
        is_slow(&budget, host);
    }
    // Whose hosts do not answer has many networks; who makes a victim slow may be one.
    let mut asked: Vec<_> =
        (0..100).map(|client| Box::pin(budget.turn("evil.example", from(client), at(0)))).collect();
    asked.extend((0..100).map(|_| Box::pin(budget.turn("victim.example", from(1000), at(0)))));
    let (mut turns, mut waiting) = (Vec::new(), Vec::new());
    for mut turn in asked {
        match futures_util::poll!(&mut turn) {
            std::task::Poll::Ready(Ok(turn)) => turns.push(turn),
            std::task::Poll::Ready(Err(_)) => {}
            std::task::Poll::Pending => waiting.push(turn),
        }
    }
    let of_owner = limits.slow_queue / SLOW_PLACES;
    assert_eq!(turns.len(), limits.slow_at_once / SLOW_TURNS + 1);
    assert_eq!(turns.len() + waiting.len(), of_owner + limits.slow_queue_of_network_at_owner);
    assert!(budget.turn("victim.example", from(1001), at(0)).await.is_ok());
    drop((waiting, turns));
    let state = lock(&budget.state);
    assert!(state.slow == 0 && state.slow_of_owners.open.is_empty() && state.slow_sources.open.is_empty());
}

#[tokio::test]
async fn state_stays_bounded_under_many_hosts_and_clients() {
    let all = Share { per_minute: u32::MAX, ..limits().all };
    let budget = Budget::new(Budgets { all, source: MANY, ..limits() });
    for n in 0..10_000 {
        drop(budget.turn(&format!("h{n}"), from(n), at(0)).await);
    }
    let state = lock(&budget.state);
    assert!(state.hosts.open.is_empty() && state.sources.open.is_empty() && state.pairs.open.is_empty());
    let rates = [state.hosts.rates.len(), state.sources.rates.len(), state.pairs.rates.len()];
    assert!(rates.iter().all(|held| *held <= RATES), "{rates:?}");
}

#[tokio::test]
async fn many_networks_are_needed_to_leave_nothing() {
    let budget = Budget::new(limits());
    let (mut clients, mut begun) = (0, 0);
    loop {
        let mut of_this = 0;
        while budget.turn("victim", from(clients), at(0)).await.is_ok() {
            of_this += 1;
        }
        if of_this < LEAST {
            break;
        }
        (clients, begun) = (clients + 1, begun + of_this);
    }
    assert!(clients >= 12, "{clients} clients took {begun}");
    assert!(budget.turn("other", from(clients), at(0)).await.is_ok());
    // Nor does it take a few to use up everybody's.
    let budget = Budget::new(Budgets { owner: MANY, host: MANY, source_at_owner: MANY, ..limits() });
    for client in 0..12 {
        let mut number = 0;
        while budget.turn(&format!("h{client}-{number}"), from(client), at(0)).await.is_ok() {
            number += 1;
        }
        assert!(number >= 20, "{number} for the {client}th");
    }
    assert!(budget.turn("other", from(12), at(0)).await.is_ok());
}

#[tokio::test]
async fn names_below_ones_own_are_one_host() {
    let budget = Budget::new(limits());
    let mut held = Vec::new();
    for client in 0..40 {
        held.extend(budget.turn(&format!("n{client}.evil.example"), from(client), at(0)).await);
    }
    assert_eq!(held.len(), limits().owner.at_once);
    assert!(budget.turn("peer.example", from(40), at(0)).await.is_ok());
    drop(held);
    let mut begun = 0;
    for number in 0..2_000 {
        let client = from(100 + number % 100);
        begun += u32::from(budget.turn(&format!("m{number}.evil.example"), client, at(60)).await.is_ok());
    }
    assert!(begun <= limits().owner.per_minute, "{begun}");
    assert!(budget.turn("peer.example", from(40), at(60)).await.is_ok());
    assert!(lock(&budget.state).owners.open.is_empty());
}

#[tokio::test]
async fn a_few_slow_names_make_all_of_their_owners_slow() {
    let budget = Budget::new(limits());
    let counts = |host: &str, second: i64| {
        let owner = owner_of_host(host);
        lock(&budget.state).is_slow(host, &owner, at(second))
    };
    for (number, slow) in [(1, false), (1, false), (2, false), (3, true)] {
        is_slow(&budget, &format!("n{number}.evil.example"));
        assert_eq!(counts("new.evil.example", 1), slow, "{number}");
    }
    assert!(counts("n1.evil.example", 1) && !counts("peer.example", 1));
    assert!(!counts("new.evil.example", 60) && !counts("n1.evil.example", 60));
    // Of the turns of slow ones a client has one.
    let _held = budget.turn("a.evil.example", from(1), at(1)).await.unwrap();
    assert!(budget.turn("b.evil.example", from(1), at(1)).await.is_err());
    assert!(budget.turn("b.evil.example", from(2), at(1)).await.is_ok());
}

#[tokio::test]
async fn who_has_caused_many_leaves_turns_and_places_to_who_is_new() {
    let limits = Budgets { wait: Duration::from_secs(3600), source: MANY, ..limits() };
    let budget = Budget::new(limits);
    let busy: Vec<u16> = (1..=4).collect();
    for client in &busy {
        for host in 0..limits.kept.few {
            drop(budget.turn(&format!("h{client}-{host}"), from(*client), at(0)).await.unwrap());
        }
    }
    let hosts: Vec<String> = (0..300).map(|host| format!("x{host}")).collect();
    // Polled more often at once than tokio wants it.
    let asked = hosts.iter().enumerate().map(|(n, host)| {
        Box::pin(tokio::task::unconstrained(budget.turn(host, from(busy[n % busy.len()]), at(0))))
    });
    let mut asked: Vec<_> = asked.collect();
    let (mut turns, mut refused) = (Vec::new(), 0);
    for turn in &mut asked {
        match futures_util::poll!(turn) {
            std::task::Poll::Ready(Ok(turn)) => turns.push(turn),
            std::task::Poll::Ready(Err(_)) => refused += 1,
            std::task::Poll::Pending => {}
        }
    }
    let places = limits.all.queue - limits.kept.queue;
    assert_eq!((turns.len(), refused), (limits.all.at_once - limits.kept.at_once, hosts.len() - places));
    for client in 0..limits.kept.at_once {
        let newcomer = from(0xff00 + client as u16);
        let host = format!("n{client}");
        let turn = Box::pin(tokio::task::unconstrained(budget.turn(&host, newcomer, at(0))));
        let std::task::Poll::Ready(Ok(turn)) = futures_util::poll!(turn) else {
            panic!("newcomer {client} is kept waiting")
        };
        turns.push(turn);
    }
    drop((asked, turns));
    let state = lock(&budget.state);
    assert_eq!((state.total, state.many), (0, 0));
}

#[tokio::test]
async fn many_clients_with_a_few_fetches_each_leave_some_of_a_minute_to_who_is_new() {
    let (kept, all) = (limits().kept.per_minute, limits().all.per_minute);
    // A search that is redirected, and signed once more at each hop, makes many requests.
    for requests in [1, ASKS] {
        let budget = Budget::new(limits());
        let (mut clients, mut begun) = (0, 0);
        // Each begins two, as with a key that is looked for twice.
        'flood: loop {
            for search in ["a", "b"] {
                let Ok(turn) = budget.turn(&format!("{search}{clients}"), from(clients), at(0)).await else {
                    break 'flood;
                };
                (0..requests).for_each(|_| turn.asks(at(0)).unwrap());
                begun += u32::from(search == "b") * 2;
            }
            clients += 1;
        }
        assert!(begun + 2 >= (all - kept) / requests && begun <= all, "{begun}");
        assert!(budget.turn("c", from(0), at(0)).await.is_err(), "not for those who have had some");
        let mut newcomers = 0;
        while budget.turn(&format!("n{newcomers}"), from(10_000 + newcomers), at(0)).await.is_ok() {
            newcomers += 1;
        }

        assert!(u32::from(newcomers) + 1 >= kept && u32::from(newcomers) <= kept, "{newcomers}");
        assert!(budget.turn("c", from(0), at(60)).await.is_ok());
    }
}
