//! C-25 by client and by server: who takes too much is sent away, and leaves what others need.

use futures_util::{StreamExt, stream};
use owncast_herald::sim::fediverse::{Flavour, Person, Reply, SignOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::mallory::{forged, send};
use crate::support::wait::{LONG, eventually};
use crate::target::{Target, refusal};

/// The header by which a proxy says whom it asks for.
fn on_behalf_of(client: &str) -> SignOptions {
    let headers = vec![("x-forwarded-for".to_owned(), client.to_owned())];
    SignOptions { headers, ..SignOptions::default() }
}

/// A Follow by somebody whose key is not known, and who does not exist.
async fn invented(target: &Target, client: &str, person: &Person, number: usize) -> Reply {
    let actor = format!("{}/users/nobody{number}", person.server().url());
    let request = forged(&target.stage, &format!("{actor}#main-key"), &target.follow_by(&actor));
    let text = String::from_utf8(request).unwrap();
    let text = text.replacen("\r\nDate:", &format!("\r\nX-Forwarded-For: {client}\r\nDate:"), 1);
    send(&target.stage, text.as_bytes()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn c_25_one_client_that_invents_keys_of_a_server_leaves_its_people_in() {
    let target = Target::start().await;
    let eve = target.stranger(Flavour::Mastodon).await;
    let mut refused = 0;
    // 24 in a minute: a machine that has much to do may see some minutes begin.
    for number in 0..1_000 {
        let reply = invented(&target, "203.0.113.1", &eve, number).await;
        match refusal(&reply) {
            (401, _) => {}
            (503, code) if code == "key-unavailable" => refused += 1,
            other => panic!("{other:?}"),
        }
        if refused == 30 {
            break;
        }
    }
    assert_eq!(refused, 30);
    let reply = target.try_follow(&eve, &on_behalf_of("203.0.114.1")).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    target.stage.wait_followers(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c_25_many_clients_that_invent_keys_of_a_server_leave_its_people_in() {
    let target = Target::start().await;
    let eve = target.stranger(Flavour::Mastodon).await;
    // Each until it is sent away.
    let flood = async |client: usize| {
        let address = format!("203.0.{client}.1");
        for number in 0..200 {
            if refusal(&invented(&target, &address, &eve, 1_000 * client + number).await).0 == 503 {
                return;
            }
        }
        panic!("{address} is never sent away");
    };
    for client in 1..8 {
        flood(client).await;
    }
    let reply = target.try_follow(&eve, &on_behalf_of("203.0.200.1")).await;
    assert_eq!(reply.status, 202, "a client that nobody knows: {reply:?}");
    // From where something of that server's was proved its people get in when nobody else does.
    for client in 10..60 {
        flood(client).await;
    }
    let bob = eve.server().person("bob");
    let reply = target.try_follow(&bob, &on_behalf_of("203.0.200.1")).await;
    assert_eq!(reply.status, 202, "a client that has proved something: {reply:?}");
    target.stage.wait_followers(3).await;
}

/// What a server says of many of its people at once is believed of all of them: nobody sends it again that was answered 202.
#[tokio::test(flavor = "multi_thread")]
async fn c_25_many_people_of_one_server_change_at_once() {
    let target = Target::start().await;
    let people = target.stage.server(Flavour::Mastodon).await.crowd(40);
    let from_there = on_behalf_of("203.0.113.1");
    for person in &people {
        let reply = target.try_follow(person, &from_there).await;
        assert_eq!(reply.status, 202, "{reply:?}");
        person.set_display_name("Changed");
    }
    for person in &people {
        let update = target.activity(&person.id(), "Update", serde_json::json!(person.id())).to_string();
        let reply = person.custom_signed(&target.stage.inbox(), update, &from_there).await.unwrap();
        assert_eq!(reply.status, 202, "{reply:?}");
    }
    eventually("all their names", LONG, async || {
        let list = target.stage.agent.cli_json(&["followers", "list"]).await;
        let rows = list["followers"].as_array().unwrap().iter();
        (rows.filter(|row| row["name"] == "Changed").count() == people.len()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_asks_too_often_is_told_to_wait_and_others_are_not() {
    let target = Target::with(&[("limits.requests-per-client", "1")]).await;
    let asked = async |client: &str| {
        let request = target.stage.ask(reqwest::Method::GET, &target.note).header("x-forwarded-for", client);
        request.send().await.unwrap()
    };
    let told = eventually("too many", LONG, async || {
        Some(asked("203.0.113.1").await).filter(|answer| answer.status() == 429)
    })
    .await;
    let wait: u32 = told.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=10).contains(&wait), "{wait}");
    let problem: serde_json::Value = told.json().await.unwrap();
    assert_eq!(problem["code"], "too-many-requests");
    assert!(problem["detail"].as_str().unwrap().contains("1 requests a second are taken from 203.0.113.1"));
    assert_eq!(asked("203.0.113.2").await.status(), 200);
    assert_eq!(asked("2001:db8:0:1::1").await.status(), 200);
    // Without a word of the proxy nobody can be told from anybody.
    for _ in 0..30 {
        assert_eq!(target.stage.get(&target.note).await.status(), 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_sends_too_much_is_told_to_wait_and_others_are_not() {
    let target = Target::with(&[("limits.activities-per-server", "1")]).await;
    let eve = target.stranger(Flavour::Mastodon).await;
    // More than a hundred, which are taken at once, and quicker than others come due.
    let (fan, note) = (&target.fan, &target.note);
    let sent = stream::iter(0..400).map(|_| async move { fan.announce(note).await.unwrap() });
    let told = sent.buffer_unordered(16).filter(|reply| std::future::ready(reply.status == 429));
    let told = std::pin::pin!(told).next().await.expect("too many");
    assert_eq!(refusal(&told), (429, "too-many-requests".into()));
    target.stage.follow(&eve).await;
    // What is sent in a server's name and not proved does not count for it.
    for _ in 0..30 {
        let wrong = SignOptions { flip_signature: true, ..SignOptions::default() };
        assert_eq!(target.try_follow(&eve, &wrong).await.status, 401);
    }
    assert_eq!(eve.like(&target.note).await.unwrap().status, 202);
}

/// Names below one's own, and addresses of one network, cost nothing: however many servers somebody has, they are one.
#[tokio::test(flavor = "multi_thread")]
async fn an_owner_of_many_servers_is_told_to_wait_and_others_are_not() {
    let target = Target::with(&[("limits.activities-per-server", "1")]).await;
    // The servers of this test are on the next network.
    target.stage.fediverse.next_network();
    let mut many = Vec::new();
    for _ in 0..5 {
        many.push(target.cold(Flavour::Mastodon).await);
    }
    // Each may send a hundred at once, and all of them together three hundred.
    let replies: Vec<Reply> = stream::iter(0..450)
        .map(|number| many[number % many.len()].announce(&target.note))
        .buffer_unordered(16)
        .map(Result::unwrap)
        .collect()
        .await;
    let taken = replies.iter().filter(|reply| reply.status == 202).count();
    assert!(taken >= 300, "{taken} taken");
    let told = eventually("too many", LONG, async || {
        let more = stream::iter(&many).map(|one| one.announce(&target.note)).buffer_unordered(5);
        let replies: Vec<Reply> = more.map(Result::unwrap).collect().await;
        replies.into_iter().find(|reply| reply.body.contains("the servers of 127.0.1.0/24"))
    })
    .await;
    assert_eq!(refusal(&told), (429, "too-many-requests".into()));
    assert_eq!(target.fan.announce(&target.note).await.unwrap().status, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn c_25_one_site_that_invents_keys_of_a_server_leaves_its_people_in() {
    let target = Target::start().await;
    let eve = target.stranger(Flavour::Mastodon).await;
    let mut refused = 0;
    for number in 0..200 {
        // Each from another network of 64 bits.
        let reply = invented(&target, &format!("2a00:1:2:{number:x}::1"), &eve, number).await;
        match refusal(&reply) {
            (401, _) => {}
            (503, code) if code == "key-unavailable" => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    // 40 in a minute; two minutes may have begun.
    assert!(refused >= 20, "{refused} refused");
    let reply = target.try_follow(&eve, &on_behalf_of("2a00:1:3::1")).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    target.stage.wait_followers(2).await;
}

/// A few clients that prove nothing could use up what is fetched in a minute, and nobody new could follow for as long as
/// they go on.
#[tokio::test(flavor = "multi_thread")]
async fn c_25_a_few_clients_that_invent_keys_leave_fetches_to_who_is_new() {
    let target = Target::start().await;
    let mut servers = Vec::new();
    for _ in 0..16 {
        servers.push(target.cold(Flavour::Mastodon).await);
    }
    let client = |number: usize| format!("203.0.{}.1", number % 6);
    let refused = async |number: usize| {
        let reply = invented(&target, &client(number), &servers[number / 6 % servers.len()], number).await;
        match refusal(&reply) {
            (401, _) => false,
            (503, code) if code == "key-unavailable" => true,
            other => panic!("{other:?}"),
        }
    };
    let mut numbers = 0..;
    let mut newcomers = 0;
    eventually("one minute for all", LONG, async || {
        let mut told = 0;
        while told < 50 {
            let some: Vec<usize> = numbers.by_ref().take(50).collect();
            let answers: Vec<bool> = stream::iter(some).map(&refused).buffer_unordered(16).collect().await;
            told = answers.iter().filter(|refused| **refused).count();
        }
        let bob = target.cold(Flavour::Mastodon).await;
        let reply = target.try_follow(&bob, &on_behalf_of("192.0.2.1")).await;
        newcomers += u64::from(reply.status == 202);
        // Else a minute began meanwhile.
        let some: Vec<usize> = numbers.by_ref().take(6).collect();
        let still: Vec<bool> = stream::iter(some).map(&refused).buffered(6).collect().await;
        still.iter().all(|refused| *refused).then(|| assert_eq!(reply.status, 202, "{reply:?}"))
    })
    .await;
    target.stage.wait_followers(1 + newcomers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_proxy_is_named_once_and_shuts_nobody_out() {
    let target = Target::with(&[("listen.trusted-proxies", "[]")]).await;
    target.stage.agent.set("limits.requests-per-client", "1");
    target.stage.wait_log("requests-per-client").await;
    let eve = target.stranger(Flavour::Mastodon).await;
    // Not every proxy says whom it asks for.
    for _ in 0..40 {
        assert_eq!(target.stage.get(&target.note).await.status(), 200);
    }
    for number in 0..40 {
        let client = format!("203.0.113.{number}");
        let asked = target.stage.ask(reqwest::Method::GET, &target.note).header("x-forwarded-for", client);
        assert_eq!(asked.send().await.unwrap().status(), 200);
        assert_ne!(invented(&target, "203.0.113.1", &eve, number).await.status, 429);
    }
    let log = target.stage.agent.log();
    let warned: Vec<&str> =
        log.lines().filter(|line| line.contains("trusted-proxies") && line.contains("WARN")).collect();
    assert_eq!(warned.len(), 1, "{warned:?}");
    assert!(warned[0].contains("add \"127.0.0.1\" to [listen] trusted-proxies"), "{warned:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_open_connections_keep_nobody_out() {
    let target = Target::start().await;
    let (host, inbox) = (target.stage.agent.host(), target.stage.inbox());
    let path = inbox.strip_prefix(&target.stage.agent.public_url()).unwrap();
    let begun = [
        String::new(),
        "GET /".to_owned(),
        format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nX-Long: {}", "x".repeat(8_000)),
        format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/activity+json\r\nContent-Length: 9000\r\n\r\n{{"
        ),
        // One request, and then nothing more.
        format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ];
    let mut open = Vec::new();
    for number in 0..1_200 {
        let mut stream = TcpStream::connect(&host).await.unwrap();
        let _ = stream.write_all(begun[number % begun.len()].as_bytes()).await;
        open.push(stream);
    }
    let bob = target.stranger(Flavour::Mastodon).await;
    target.stage.follow(&bob).await;
    target.fan.announce(&target.note).await.unwrap();
    target.count(1, 1).await;
    // What was begun is closed by itself in the end, if it has not made room already. One on which nothing is begun may be
    // a proxy's, and stays for longer than this test.
    let idle = |number: usize| matches!(number % begun.len(), 0 | 4);
    for (_, mut stream) in open.into_iter().enumerate().filter(|(number, _)| !idle(*number)) {
        let mut answer = Vec::new();
        let closed = tokio::time::timeout(LONG, stream.read_to_end(&mut answer)).await;
        assert!(closed.is_ok(), "still open after {:?}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(target.stage.followers().await, 2);
}
