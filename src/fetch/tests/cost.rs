//! What strangers can make us spend, and what they cannot.

use super::*;

#[tokio::test]
async fn a_slow_address_is_left_alone_and_its_host_is_not() {
    let stalling = b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n".to_vec();
    let rig = Rig::new(move |base, hit| match hit.target.as_str() {
        "/slow" => Reply::Drip(stalling.clone(), Duration::from_millis(50)),
        path => document(&actor(base, path, &format!("{path}#main-key"))),
    })
    .await;
    let got = rig.key("/slow#main-key").await.unwrap_err();
    assert!(matches!(got, FetchError::Net(NetError::Timeout(_))), "{got:?}");
    rig.key("/u/a#main-key").await.unwrap();
    assert_eq!(rig.key("/slow#main-key").await.unwrap_err(), got);
    assert_eq!(rig.hits(), 2);
}

#[tokio::test]
async fn a_host_that_takes_long_is_a_slow_one_whatever_it_says() {
    let no_slow_ones = Budgets { slow_queue: 0, ..Budgets::default() };
    let gate = Arc::new(Semaphore::new(0));
    let shut = Arc::clone(&gate);
    let rig = Rig::with(no_slow_ones, move |base, hit| match hit.target.as_str() {
        "/slow" => Reply::Gated(Arc::clone(&shut), bytes(404, &[], "")),
        path => document(&actor(base, path, &format!("{path}#main-key"))),
    })
    .await;
    rig.key("/u/a#main-key").await.unwrap();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(2500)).await;
        gate.add_permits(1);
    });
    rig.key("/slow#main-key").await.unwrap_err();
    assert_eq!(rig.key("/u/b#main-key").await.unwrap_err(), FetchError::Busy);
    rig.pass(SignedDuration::from_mins(1));
    rig.key("/u/b#main-key").await.unwrap();
}

#[tokio::test]
async fn one_search_makes_few_requests() {
    let asked = AtomicI64::new(0);
    // Each is refused once and leads to the next, until it is found to have another id.
    let rig = Rig::new(move |base, _| match asked.fetch_add(1, Ordering::SeqCst) {
        number if number % 2 == 0 => answer(401, &[], ""),
        number if number % 8 == 7 => document(&actor(base, "/elsewhere", "/elsewhere#main-key")),
        number => answer(302, &[("location", &format!("{base}/{number}"))], ""),
    })
    .await;
    rejected(rig.key("/u/a#main-key").await, "8 requests");
    assert_eq!(rig.hits(), 8);
}

#[tokio::test]
async fn what_has_become_of_an_actor_is_looked_up_now_and_then() {
    let rig = Rig::new(|base, hit| match hit.headers["date"].to_str().unwrap() {
        "Fri, 15 Jan 2027 08:02:00 GMT" => answer(410, &[], ""),
        _ => document(&actor(base, "/u/a", "/u/a#main-key")),
    })
    .await;
    let again = async || rig.fetcher.actor_again(&rig.url("/u/a"), None).await;
    for _ in 0..20 {
        again().await.unwrap();
    }
    assert_eq!(rig.hits(), 1);
    rig.pass(REFETCH_PAUSE);
    for _ in 0..20 {
        assert_eq!(again().await, Err(FetchError::Gone));
    }
    assert_eq!(rig.hits(), 2);
}

#[tokio::test]
async fn whoever_makes_us_read_an_actor_again_pays_for_it() {
    let rig = Rig::new(|base, _| document(&actor(base, "/u/a", "/u/a#main-key"))).await;
    let from = |last: u8| Some(Source::of([203, 0, 113, last].into()));
    let again = async |last| rig.fetcher.actor(&rig.url("/u/a"), from(last)).await;
    for _ in 0..Budgets::default().source_at_owner.per_minute {
        again(1).await.unwrap();
    }
    assert_eq!(again(1).await, Err(FetchError::Busy));
    again(2).await.unwrap();
}

#[tokio::test]
async fn one_client_that_invents_keys_leaves_fetches_to_others() {
    let rig = Rig::new(|base, hit| match hit.target.as_str() {
        "/u/a" => document(&actor(base, "/u/a", "/u/a#main-key")),
        _ => answer(404, &[], ""),
    })
    .await;
    let from = |last: u8| Some(Source::of([203, 0, 113, last].into()));
    let mut refused = 0;
    for n in 0..200 {
        let got = rig.fetcher.key(&rig.url(&format!("/nobody{n}#main-key")), from(1)).await.unwrap_err();
        refused += usize::from(got == FetchError::Busy);
    }
    let limit = Budgets::default().source_at_owner.per_minute as usize;
    assert_eq!((rig.hits(), refused), (limit, 200 - limit));
    rig.fetcher.key(&rig.url("/u/a#main-key"), from(2)).await.unwrap();
}

#[tokio::test]
async fn a_pretended_search_looks_like_one_and_asks_nobody() {
    let limit = 6;
    let source_at_owner = Share { per_minute: 6, ..Budgets::default().source_at_owner };
    let budgets = Budgets { source_at_owner, ..Budgets::default() };
    let rig = Rig::with(budgets, |_, _| answer(404, &[], "")).await;
    let from = |last: u8| Some(Source::of([203, 0, 113, last].into()));
    let fresh = |n: usize| rig.url(&format!("/nobody{n}#main-key"));
    let now = || Timestamp::from_second(rig.now.load(Ordering::SeqCst)).unwrap();
    let pretend = async |n: usize| rig.fetcher.pretend(&fresh(n), from(1), now()).await;
    // What is spent shows as it would: half of a minute's fetches pretended, half made.
    for n in 0..limit / 2 {
        assert_eq!(pretend(n).await, Ok(()));
    }
    assert_eq!(rig.hits(), 0);
    // Once looked for, a key is not looked for again for a while.
    assert_eq!(pretend(0).await, Ok(()));
    for n in limit / 2..limit {
        assert_eq!(rig.fetcher.key(&fresh(n), from(1)).await.unwrap_err(), FetchError::NotFound);
        assert_eq!(pretend(n).await, Ok(()), "it was looked for");
    }
    assert_eq!(rig.fetcher.key(&fresh(limit), from(1)).await.unwrap_err(), FetchError::Busy);
    assert_eq!(pretend(limit).await, Err(FetchError::Busy));
    assert_eq!(pretend(0).await, Ok(()), "known without a fetch");
    assert_eq!(rig.hits(), limit / 2);
    // All of them are looked for again after the same time, whatever came of it.
    rig.pass(REFETCH_PAUSE);
    for n in 0..limit {
        assert_eq!(pretend(n).await, Ok(()));
    }
    assert_eq!(pretend(0).await, Ok(()));
    assert_eq!(pretend(limit).await, Err(FetchError::Busy));
    assert_eq!(rig.hits(), limit / 2);
}

#[tokio::test]
async fn what_memory_answers_is_paid_for_like_a_search() {
    let source_at_owner = Share { per_minute: 2, ..Budgets::default().source_at_owner };
    let budgets = Budgets { source_at_owner, ..Budgets::default() };
    let rig = Rig::with(budgets, |base, hit| {
        document(&actor(base, &hit.target, &format!("{}#main-key", hit.target)))
    })
    .await;
    let from = |last: u8| Some(Source::of([203, 0, 113, last].into()));
    let known = rig.url("/u/known#main-key");
    rig.fetcher.key(&known, from(1)).await.unwrap();
    rig.pass(SignedDuration::from_secs(1));
    // Who asks for it first pays, as if it had not been known; who has looked for it is not asked twice.
    let now = || Timestamp::from_second(rig.now.load(Ordering::SeqCst)).unwrap();
    rig.fetcher.key(&known, from(2)).await.unwrap();
    rig.fetcher.pretend(&known, from(2), now()).await.unwrap();
    let looked_for = rig.url("/u/new#main-key");
    let then = now();
    rig.fetcher.key(&looked_for, from(2)).await.unwrap();
    rig.fetcher.pretend(&looked_for, from(2), then).await.unwrap();
    assert_eq!(rig.fetcher.pretend(&rig.url("/u/a#main-key"), from(2), now()).await, Err(FetchError::Busy));
    assert_eq!(rig.fetcher.pretend(&known, from(2), now()).await, Ok(()));
    assert_eq!(rig.hits(), 2);
    // What is looked into beside all that spends nothing of it.
    let aside = rig.fetcher.aside();
    let (_, owner) = aside.key(&rig.url("/u/b#main-key"), from(2)).await.unwrap();
    assert_eq!(rig.hits(), 3);
    assert!(rig.fetcher.fresh_key(&Url::parse(&rig.url("/u/b#main-key")).unwrap()).is_none());
    // Unless whoever it is of has proved itself.
    rig.fetcher.learn(&owner);
    assert!(rig.fetcher.fresh_key(&Url::parse(&rig.url("/u/b#main-key")).unwrap()).is_some());
}

#[tokio::test]
async fn an_actor_is_read_again_unless_it_was_read_since() {
    let rig = Rig::new(|base, _| document(&actor(base, "/u/a", "/u/a#main-key"))).await;
    let now = || Timestamp::from_second(rig.now.load(Ordering::SeqCst)).unwrap();
    rig.key("/u/a#main-key").await.unwrap();
    for _ in 0..3 {
        rig.fetcher.actor_since(&rig.url("/u/a"), None, now()).await.unwrap();
    }
    assert_eq!(rig.hits(), 1);
    rig.pass(SignedDuration::from_secs(1));
    rig.fetcher.actor_since(&rig.url("/u/a"), None, now()).await.unwrap();
    assert_eq!(rig.hits(), 2);
}

#[tokio::test]
async fn invented_fragments_and_wrong_signatures_cause_few_fetches() {
    let rig = Rig::new(|base, _| document(&actor(base, "/u/a", "/u/a#main-key"))).await;
    for n in 0..100 {
        assert!(rig.key(&format!("/u/a#{n}")).await.is_err());
        assert_eq!(rig.fetcher.key_fresh(&rig.url("/u/a#main-key"), None).await, Ok(None));
    }
    assert_eq!(rig.hits(), 1);
    rig.pass(REFETCH_PAUSE);
    assert!(rig.key("/u/a#new").await.is_err());
    assert_eq!(rig.hits(), 2);
    rig.pass(REFETCH_PAUSE);
    assert!(rig.fetcher.key_fresh(&rig.url("/u/a#main-key"), None).await.unwrap().is_some());
    assert_eq!(rig.fetcher.key_fresh(&rig.url("/u/a#main-key"), None).await, Ok(None));
    assert_eq!(rig.hits(), 3);
}

#[tokio::test]
async fn an_invented_fragment_does_not_shut_out_a_key_that_is_a_document_of_its_own() {
    let rig = Rig::new(|base, hit| match hit.target.as_str() {
        "/keys/1" => {
            document(&json!({"id": format!("{base}/keys/1"), "type": "Key", "owner": format!("{base}/u/a"),
            "publicKeyPem": *THEIRS}))
        }
        _ => {
            let mut listing = actor(base, "/u/a", "/u/a#main-key");
            listing["publicKey"] = json!([format!("{base}/keys/1")]);
            document(&listing)
        }
    })
    .await;
    // While it is not known, while it is, and when it has to be read again.
    for time in [SignedDuration::ZERO, REFETCH_PAUSE, FRESH_FOR] {
        rig.pass(time);
        for number in 0..10 {
            rejected(rig.key(&format!("/keys/1#{number}")).await, "lists no usable key");
        }
        rig.key("/keys/1").await.unwrap();
    }
    assert_eq!(rig.hits(), 6, "key and owner, once each time");
}

#[tokio::test]
async fn a_flood_of_keys_stays_within_the_budget() {
    let gate = Arc::new(Semaphore::new(0));
    let script_gate = Arc::clone(&gate);
    let rig = Arc::new(
        Rig::with(host(Share { queue: 10, ..Budgets::default().host }), move |base, hit| {
            let body = actor(base, &hit.target, &format!("{}#main-key", hit.target)).to_string();
            Reply::Gated(Arc::clone(&script_gate), bytes(200, &[TYPE], body))
        })
        .await,
    );
    let calls: Vec<_> = (0..200)
        .map(|n| {
            let rig = Arc::clone(&rig);
            tokio::spawn(async move { rig.key(&format!("/u/{n}#main-key")).await })
        })
        .collect();
    let mut busy = 0;
    let mut waiting = Vec::new();
    for call in calls {
        // On this single-threaded runtime every call has run to its first wait once the task is polled here.
        tokio::task::yield_now().await;
        if call.is_finished() {
            assert_eq!(call.await.unwrap().unwrap_err(), FetchError::Busy);
            busy += 1;
        } else {
            waiting.push(call);
        }
    }
    assert_eq!((busy, waiting.len()), (190, 10));
    gate.add_permits(10);
    for call in waiting {
        call.await.unwrap().unwrap();
    }
    assert_eq!(rig.hits(), 10);
    assert!(rig.server.most_at_once() <= 2);
}

#[tokio::test]
async fn simultaneous_calls_for_one_key_make_one_request() {
    let gate = Arc::new(Semaphore::new(0));
    let script_gate = Arc::clone(&gate);
    let rig = Rig::with(host(Share { at_once: 1, ..Budgets::default().host }), move |base, _| {
        let body = actor(base, "/u/a", "/u/a#main-key").to_string();
        Reply::Gated(Arc::clone(&script_gate), bytes(200, &[TYPE], body))
    })
    .await;
    gate.add_permits(1);
    let calls = (0..20).map(|_| rig.key("/u/a#main-key"));
    for got in futures_util::future::join_all(calls).await {
        got.unwrap();
    }
    assert_eq!(rig.hits(), 1);
}
