//! The simulated fediverse against itself.
#![allow(clippy::unwrap_used, reason = "a helper outside a test function is a test too")]

use std::time::Duration;

use jiff::SignedDuration;
use owncast_herald::sim::fediverse::{
    Answer, Document, Fediverse, Flavour, FollowState, Person, Rule, Scheme, Server, SignOptions, SigningKey,
};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(60);
const PUBLIC: &str = "https://www.w3.org/ns/activitystreams#Public";

async fn server(fediverse: &Fediverse, flavour: Flavour) -> Server {
    fediverse.server("test", flavour).await.unwrap()
}

fn rules(server: &Server) -> Vec<Rule> {
    server.violations().into_iter().map(|violation| violation.rule).collect()
}

/// A well-formed activity with an id of its own.
fn activity(author: &Person, kind: &str, n: u32, object: Value) -> Value {
    json!({
        "@context": "https://www.w3.org/ns/activitystreams",
        "id": format!("{}/activities/{n}", author.id()), "type": kind, "actor": author.id(),
        "to": [PUBLIC], "cc": [format!("{}/followers", author.id())], "object": object,
    })
}

fn note(author: &Person, html: &str, attachment: Value) -> Value {
    let id = format!("{}/notes/1", author.id());
    json!({
        "id": id, "type": "Note", "attributedTo": author.id(), "url": id, "content": html,
        "to": [PUBLIC], "cc": [format!("{}/followers", author.id())],
        "published": "2026-11-03T18:00:00Z", "attachment": attachment,
    })
}

#[tokio::test]
async fn every_flavour_follows_is_accepted_and_leaves() {
    let fediverse = Fediverse::start().await;
    let home = server(&fediverse, Flavour::Mastodon).await;
    let streamer = home.person("streamer");
    for flavour in Flavour::ALL {
        let away = server(&fediverse, flavour).await;
        let fan = away.crowd(1).remove(0);
        let first = fan.follow(&streamer.handle()).await.unwrap();
        assert!(first.reply.is_success(), "{flavour:?}: {first:?}, {:?}", home.violations());
        assert!(fan.wait_accepted(SOON).await, "{flavour:?}: {:?}", away.violations());
        assert_eq!(streamer.followers(), [fan.id()], "{flavour:?}");
        fan.unfollow().await.unwrap();
        assert!(streamer.followers().is_empty(), "{flavour:?}");
        let again = fan.follow(&streamer.id()).await.unwrap();
        let reuses =
            matches!(flavour, Flavour::Misskey | Flavour::PeerTube | Flavour::Pixelfed | Flavour::Friendica);
        assert_eq!(first.follow["id"] == again.follow["id"], reuses, "{flavour:?}");
        assert!(fan.wait_accepted(SOON).await, "{flavour:?}");
        fan.unfollow().await.unwrap();
        // And the other way round.
        let back = home.crowd(1).remove(0);
        let followed = back.follow(&fan.id()).await.unwrap();
        assert!(followed.reply.is_success(), "{flavour:?}: {followed:?}");
        assert!(back.wait_accepted(SOON).await, "{flavour:?}: {:?}", home.violations());
        assert_eq!(away.violations(), [], "{flavour:?}");
    }
    assert_eq!(home.violations(), []);
}

#[tokio::test]
async fn every_broken_part_of_a_signature_is_named() {
    let fediverse = Fediverse::start().await;
    let home = server(&fediverse, Flavour::Mastodon).await;
    let away = server(&fediverse, Flavour::Mastodon).await;
    let (ana, bo) = (away.person("ana"), away.person("bo"));
    let inbox = home.person("streamer").inbox();
    let plain = SignOptions::default;
    let headers = |list: &str| Some(list.split(' ').map(str::to_owned).collect());
    let both = [Some(Scheme::Cavage), Some(Scheme::Rfc9421)];
    let mut cases = vec![
        (SignOptions { digest: Some("SHA-256=AAAA".into()), ..plain() }, Rule::Digest),
        (SignOptions { covered: headers("(request-target) host date"), ..plain() }, Rule::Coverage),
        (SignOptions { covered: headers("(request-target) host digest"), ..plain() }, Rule::Coverage),
        (SignOptions { algorithm: Some("rsa-sha1".into()), ..plain() }, Rule::Signature),
        (
            SignOptions { rewrite_signature: Some(|text| format!("{text},keyId=\"x\"")), ..plain() },
            Rule::Signature,
        ),
        (SignOptions { content_type: Some("application/json".into()), ..plain() }, Rule::ContentType),
    ];
    for scheme in both {
        let base = || SignOptions { scheme, ..SignOptions::default() };
        cases.extend([
            (SignOptions { unsigned: true, ..base() }, Rule::Signature),
            (SignOptions { flip_signature: true, ..base() }, Rule::Signature),
            (SignOptions { key: SigningKey::Stray, ..base() }, Rule::Signature),
            (SignOptions { key: SigningKey::Of(bo.clone()), ..base() }, Rule::Signature),
            (
                SignOptions { key: SigningKey::Of(bo.clone()), key_id: Some(bo.key_id()), ..base() },
                Rule::Signer,
            ),
            (SignOptions { key_id: Some(format!("{}#other", ana.id())), ..base() }, Rule::Key),
            (SignOptions { age: SignedDuration::from_hours(2), ..base() }, Rule::Clock),
            (SignOptions { age: SignedDuration::from_hours(-2), ..base() }, Rule::Clock),
            (SignOptions { host: Some("other.example".into()), ..base() }, Rule::Host),
            (SignOptions { swapped_body: Some(b"{\"type\":\"Like\"}".to_vec()), ..base() }, Rule::Digest),
        ]);
    }
    cases.push((SignOptions { omit_digest: true, ..plain() }, Rule::Coverage));
    cases.push((
        SignOptions { scheme: Some(Scheme::Rfc9421), covered: headers("@method content-digest"), ..plain() },
        Rule::Coverage,
    ));
    let body = activity(&ana, "Like", 1, json!("http://127.0.0.1/x")).to_string();
    for (options, rule) in cases {
        let before = home.violations().len();
        let reply = ana.custom_signed(&inbox, body.clone(), &options).await.unwrap();
        assert_eq!(reply.status, 401, "{options:?}: {reply:?}");
        assert_eq!(home.violations()[before].rule, rule, "{options:?}: {reply:?}");
        let seen = home.received().pop().unwrap();
        assert!(seen.verdict.is_err() && !seen.effective, "{options:?}");
    }
    for scheme in both {
        let before = home.violations().len();
        let good = SignOptions { scheme, ..plain() };
        let reply = ana.custom_signed(&inbox, body.clone(), &good).await.unwrap();
        assert_eq!((reply.status, home.violations().len()), (202, before), "{scheme:?}: {reply:?}");
        let seen = home.received().pop().unwrap();
        assert!(seen.verdict.is_ok() && seen.digest_ok && seen.effective);
    }
    // The same id twice: dropped as a peer would, and counted.
    assert_eq!(home.duplicates(), 1);
}

#[tokio::test]
async fn flavours_differ_in_strictness() {
    let fediverse = Fediverse::start().await;
    let away = server(&fediverse, Flavour::Mastodon).await;
    let ana = away.person("ana");
    let body = activity(&ana, "Like", 1, json!("http://127.0.0.1/x")).to_string();
    let late = SignOptions { age: SignedDuration::from_mins(20), ..SignOptions::default() };
    let lower = SignOptions {
        digest: Some({
            use base64::Engine as _;
            let sum = openssl::sha::sha256(body.as_bytes());
            format!("sha-256={}", base64::engine::general_purpose::STANDARD.encode(sum))
        }),
        ..SignOptions::default()
    };
    for (flavour, late_status, lower_status) in [
        (Flavour::Mastodon, 202, 202),
        (Flavour::GoToSocial, 202, 202),
        (Flavour::Misskey, 401, 401),
        (Flavour::PeerTube, 204, 403),
        (Flavour::Akkoma, 200, 401),
        (Flavour::Pixelfed, 200, 200),
        (Flavour::Friendica, 401, 202),
        (Flavour::Lemmy, 200, 200),
    ] {
        let home = server(&fediverse, flavour).await;
        let inbox = home.person("streamer").inbox();
        let reply = ana.custom_signed(&inbox, body.clone(), &late).await.unwrap();
        assert_eq!(reply.status, late_status, "{flavour:?} late: {reply:?}");
        let reply = ana.custom_signed(&inbox, body.clone(), &lower).await.unwrap();
        assert_eq!(reply.status, lower_status, "{flavour:?} digest: {reply:?}");
        assert!(rules(&home).contains(&Rule::DigestSpelling), "{flavour:?}");
    }
    let skewed = server(&fediverse, Flavour::Mastodon).await;
    skewed.set_clock_skew(SignedDuration::from_hours(3));
    let inbox = skewed.person("streamer").inbox();
    assert_eq!(ana.custom(&inbox, &activity(&ana, "Like", 2, json!("x"))).await.unwrap().status, 401);
    assert_eq!(rules(&skewed), [Rule::Clock]);
}

#[tokio::test]
async fn posts_are_shown_edited_and_deleted() {
    let fediverse = Fediverse::start().await;
    let away = server(&fediverse, Flavour::Mastodon).await;
    let home = server(&fediverse, Flavour::GoToSocial).await;
    let (streamer, fan) = (away.person("streamer"), home.person("fan"));
    fan.follow(&streamer.handle()).await.unwrap();
    assert!(fan.wait_accepted(SOON).await);
    let image = Document {
        status: 200,
        content_type: "image/jpeg".into(),
        headers: Vec::new(),
        body: vec![0xff, 0xd8, 0xff, 0xe0, 0, 1].into(),
    };
    away.place("/image.jpg", image);
    let picture =
        json!([{"type": "Image", "mediaType": "image/jpeg", "url": format!("{}/image.jpg", away.url())}]);
    let inbox = home.shared_inbox();
    let first = note(&streamer, "<p>live</p>", picture.clone());
    streamer.custom(&inbox, &activity(&streamer, "Create", 1, first.clone())).await.unwrap();
    let post = fan.wait_post(SOON, |post| post.media.iter().all(|media| media.fetched)).await.unwrap();
    assert_eq!((post.html.as_str(), post.media[0].recognised), ("<p>live</p>", Some("image/jpeg")));
    assert_eq!(post.media[0].bytes.len(), 6);
    let mut edited = note(&streamer, "<p>over</p>", picture);
    edited["updated"] = json!("2026-11-03T19:00:00Z");
    streamer.custom(&inbox, &activity(&streamer, "Update", 2, edited.clone())).await.unwrap();
    let post = fan.timeline().remove(0);
    assert_eq!((post.html.as_str(), post.edits.as_slice()), ("<p>over</p>", &["<p>live</p>".to_owned()][..]));
    let tombstone = json!({"id": post.note, "type": "Tombstone"});
    streamer.custom(&inbox, &activity(&streamer, "Delete", 3, tombstone.clone())).await.unwrap();
    assert!(fan.timeline()[0].deleted);
    assert_eq!(home.violations(), []);

    streamer.custom(&inbox, &activity(&streamer, "Update", 4, edited)).await.unwrap();
    streamer.custom(&inbox, &activity(&streamer, "Create", 5, first.clone())).await.unwrap();
    streamer.custom(&inbox, &activity(&streamer, "Create", 5, tombstone.clone())).await.unwrap();
    assert_eq!(rules(&home), [Rule::Resurrected, Rule::Resurrected, Rule::IdReused]);
    assert_eq!(home.duplicates(), 1);
}

#[tokio::test]
async fn a_server_may_take_rfc9421_alone() {
    let fediverse = Fediverse::start().await;
    let (home, away) =
        (server(&fediverse, Flavour::Misskey).await, server(&fediverse, Flavour::Mastodon).await);
    home.set_rfc9421_only(true);
    let (ana, inbox) = (away.person("ana"), home.person("fan").inbox());
    let send = async |n: u32, scheme, signed_url| {
        let body = activity(&ana, "Like", n, json!("http://127.0.0.1/x")).to_string();
        let options = SignOptions { scheme, signed_url, ..SignOptions::default() };
        ana.custom_signed(&inbox, body, &options).await.unwrap().status
    };
    assert_eq!(send(1, Some(Scheme::Cavage), None).await, 401);
    assert_eq!(send(2, Some(Scheme::Rfc9421), None).await, 202);
    let elsewhere = format!("{inbox}/x").parse().ok();
    assert_eq!(send(3, Some(Scheme::Rfc9421), elsewhere).await, 401);
    assert_eq!(rules(&home), [Rule::Signature, Rule::Signature]);
    home.set_rfc9421_only(false);
    assert_eq!(send(4, Some(Scheme::Cavage), None).await, 202);
}

#[tokio::test]
async fn faults_of_posts_are_filed() {
    let fediverse = Fediverse::start().await;
    let away = server(&fediverse, Flavour::Mastodon).await;
    let streamer = away.person("streamer");
    let good = note(&streamer, "<p>live</p>", json!([]));
    let with = |field: &str, value: Value| {
        let mut changed = good.clone();
        changed[field] = value;
        activity(&streamer, "Create", 1, changed)
    };
    let mut update = good.clone();
    update["updated"] = json!("2026-11-03T19:00:00Z");
    let mut nameless = activity(&streamer, "Create", 1, good.clone());
    nameless.as_object_mut().unwrap().remove("id");
    let mut bare = activity(&streamer, "Create", 1, good.clone());
    bare.as_object_mut().unwrap().remove("@context");
    let missing = format!("{}/none.jpg", away.url());
    for (activity, rule) in [
        (activity(&streamer, "Update", 1, update), Rule::UnknownUpdate),
        (activity(&streamer, "Delete", 1, json!(good["id"])), Rule::UnknownDelete),
        (nameless, Rule::Id),
        (bare, Rule::Context),
        (with("content", json!("<p>live</p><script>x</script>")), Rule::Html),
        (with("to", json!(["as:Public"])), Rule::Audience),
        (with("cc", json!("x")), Rule::NoteShape),
        (with("attachment", json!({"type": "Image"})), Rule::NoteShape),
        (with("attachment", json!([{"mediaType": "image/jpeg", "url": missing}])), Rule::Media),
        (with("summary", json!("")), Rule::NoteShape),
    ] {
        let home = server(&fediverse, Flavour::Mastodon).await;
        let inbox = home.person("fan").inbox();
        streamer.custom(&inbox, &activity).await.unwrap();
        let found = home.wait_violation(SOON, rule).await;
        assert!(found.is_some(), "{rule:?} not in {:?} of {activity}", home.violations());
    }
    let home = server(&fediverse, Flavour::Mastodon).await;
    home.expect_followers_only(true);
    let inbox = home.person("fan").inbox();
    streamer.custom(&inbox, &activity(&streamer, "Create", 1, good.clone())).await.unwrap();
    streamer.custom(&inbox, &activity(&streamer, "Create", 2, good)).await.unwrap();
    assert_eq!(rules(&home), [Rule::PublicLeak, Rule::PublicLeak, Rule::RepeatedCreate]);
}

#[tokio::test]
async fn an_accept_must_embed_the_follow_and_come_from_the_followed() {
    let fediverse = Fediverse::start().await;
    let away = server(&fediverse, Flavour::Mastodon).await;
    away.set_auto_accept(false);
    let (streamer, other) = (away.person("streamer"), away.person("other"));
    for (flavour, by_id) in
        [(Flavour::Mastodon, FollowState::Accepted), (Flavour::GoToSocial, FollowState::Pending)]
    {
        let home = server(&fediverse, flavour).await;
        let fan = home.person("fan");
        let sent = fan.follow(&streamer.id()).await.unwrap();
        let mut stolen = activity(&other, "Accept", 1, sent.follow.clone());
        other.custom(&fan.inbox(), &stolen).await.unwrap();
        stolen["object"]["object"] = json!(other.id());
        stolen["id"] = json!(format!("{}/again", other.id()));
        other.custom(&fan.inbox(), &stolen).await.unwrap();
        assert_eq!(rules(&home), [Rule::AcceptUnknown, Rule::AcceptUnknown], "{flavour:?}");
        let bare = activity(&streamer, "Accept", 2, sent.follow["id"].clone());
        streamer.custom(&fan.inbox(), &bare).await.unwrap();
        assert_eq!(fan.follow_state(), Some(by_id), "{flavour:?}");
        assert_eq!(rules(&home).pop(), Some(Rule::AcceptShape));
        let whole = activity(&streamer, "Accept", 3, sent.follow.clone());
        streamer.custom(&fan.inbox(), &whole).await.unwrap();
        assert!(fan.is_accepted(), "{flavour:?}");
        let reject = activity(&streamer, "Reject", 4, sent.follow);
        streamer.custom(&home.shared_inbox(), &reject).await.unwrap();
        assert!(fan.wait_follow(SOON, FollowState::Rejected).await);
        assert_eq!(rules(&home).pop(), Some(Rule::AcceptInbox));
    }
}

#[tokio::test]
async fn likes_and_boosts_are_sent_and_undone_once() {
    let fediverse = Fediverse::start().await;
    let away = server(&fediverse, Flavour::Mastodon).await;
    let streamer = away.person("streamer");
    let mut post = note(&streamer, "<p>live</p>", json!([]));
    let id = format!("{}/notes/1", away.url());
    post["id"] = json!(id);
    away.place("/notes/1", Document::activity(&post));
    let home = server(&fediverse, Flavour::Misskey).await;
    let fan = home.person("fan");
    fan.like(&id).await.unwrap();
    fan.announce(&id).await.unwrap();
    fan.undo_like(&id).await.unwrap();
    fan.undo_announce(&id).await.unwrap();
    assert!(fan.undo_like(&id).await.is_err());
    let kinds: Vec<_> = away.received().iter().map(|one| one.kind().to_owned()).collect();
    assert_eq!(kinds, ["Like", "Announce", "Undo", "Undo"]);
    assert_eq!(away.received()[2].body["object"]["id"], away.received()[0].body["id"]);
    assert!(fan.timeline().is_empty(), "a fetched note is not a delivered one");
    assert_eq!(home.posts().len(), 1);
    let replies = fan.delete_self().await.unwrap();
    assert!(replies.iter().all(|reply| reply.status == 202), "{replies:?}");
    let gone = reqwest::get(fan.id()).await.unwrap();
    assert_eq!(gone.status(), 410);
}

#[tokio::test]
async fn secure_mode_shows_actors_to_signed_requests_only() {
    let fediverse = Fediverse::start().await;
    let home = server(&fediverse, Flavour::GoToSocial).await;
    let quiet = home.person("quiet");
    quiet.set_display_name("<script>alert(1)</script>");
    let status = |url: String| async { reqwest::get(url).await.unwrap().status().as_u16() };
    assert_eq!(status(quiet.id()).await, 401);
    assert_eq!(status(quiet.key_id()).await, 200);
    let stub: Value = reqwest::get(quiet.key_id()).await.unwrap().json().await.unwrap();
    assert_eq!((&stub["id"], stub.get("inbox")), (&json!(quiet.id()), None));
    let away = server(&fediverse, Flavour::GoToSocial).await;
    let fan = away.person("fan");
    fan.follow(&quiet.handle()).await.unwrap();
    assert!(fan.wait_accepted(SOON).await, "{:?} {:?}", home.violations(), away.violations());
    let reads = home.requests();
    assert!(reads.iter().any(|read| read.signed && read.status == Some(200)), "{reads:?}");
    let open = server(&fediverse, Flavour::Mastodon).await;
    let shown: Value = reqwest::get({
        let person = open.person("loud");
        person.set_display_name("<b>loud</b>");
        person.id()
    })
    .await
    .unwrap()
    .json()
    .await
    .unwrap();
    assert_eq!(shown["name"], "<b>loud</b>");
}

#[tokio::test]
async fn knobs_turn_answers() {
    let fediverse = Fediverse::start().await;
    let away = server(&fediverse, Flavour::Mastodon).await;
    let ana = away.person("ana");
    let home = server(&fediverse, Flavour::Mastodon).await;
    let inbox = home.person("fan").inbox();
    let send = |n: u32| {
        let (ana, inbox) = (ana.clone(), inbox.clone());
        async move { ana.custom(&inbox, &activity(&ana, "Like", n, json!("x"))).await.map(|r| r.status) }
    };
    home.answer_next([Answer::Status(500), Answer::Gone, Answer::Redirect("http://127.0.0.1:1/".into())]);
    home.answer_next([Answer::RetryAfter { status: 429, after: "7".into() }]);
    for (n, status) in [(1, 500), (2, 410), (3, 308), (4, 429), (5, 202)] {
        assert_eq!(send(n).await.unwrap(), status);
    }
    let effects: Vec<bool> = home.received().iter().map(|one| one.effective).collect();
    assert_eq!(effects, [false, false, false, false, true]);
    home.answer_next([Answer::Drop]);
    assert!(send(6).await.is_err());
    assert!(home.received().pop().is_some_and(|one| one.effective && one.answered.is_none()));
    let started = std::time::Instant::now();
    home.answer_next([Answer::Slow(Duration::from_millis(200))]);
    assert_eq!(send(7).await.unwrap(), 202);
    assert!(started.elapsed() >= Duration::from_millis(200));

    home.set_inbox_answer("/users/fan/inbox", Answer::Hang);
    let hanging = tokio::spawn(send(8));
    assert!(home.wait_count(SOON, 8).await);
    assert!(!hanging.is_finished());
    hanging.abort();
    home.set_inbox_answer("/users/fan/inbox", Answer::Ok);

    home.set_answer(Answer::Refuse).await;
    assert!(send(9).await.is_err());
    assert!(tokio::net::TcpStream::connect(home.address()).await.is_err());
    home.set_answer(Answer::Ok).await;
    assert_eq!(send(10).await.unwrap(), 202);
    // Who got no answer may believe that the post arrived: deleting it is no fault then.
    ana.custom(&inbox, &activity(&ana, "Delete", 12, json!(format!("{}/notes/1", ana.id())))).await.unwrap();
    assert_eq!(home.violations(), []);
    home.set_shared_inbox(false);
    let reply = ana.custom(&home.shared_inbox(), &activity(&ana, "Like", 11, json!("x"))).await.unwrap();
    assert_eq!((reply.status, home.received_count()), (404, 10));
}

#[tokio::test]
async fn a_sink_counts_sleeps_dies_and_follows() {
    let fediverse = Fediverse::start().await;
    let home = server(&fediverse, Flavour::Mastodon).await;
    let streamer = home.person("streamer");
    let sink = fediverse.sink(20).await.unwrap();
    let good = sink.follow_all(&streamer.id(), &streamer.inbox(), 8).await.unwrap();
    assert_eq!((good, streamer.followers().len()), (20, 20), "{:?}", home.violations());
    // Each Follow is answered by one Accept.
    assert!(sink.wait_received(SOON, 20).await);
    assert_eq!(sink.received_counts(), vec![1; 20]);
    assert_eq!(home.violations(), []);

    sink.set_verify(true);
    sink.set_latency(Duration::from_millis(100));
    let urls = sink.urls();
    let started = std::time::Instant::now();
    let body = activity(&streamer, "Create", 1, json!({}));
    assert_eq!(streamer.custom(&urls[3], &body).await.unwrap().status, 202);
    assert!(started.elapsed() >= Duration::from_millis(100));
    let forged = SignOptions { key: SigningKey::Stray, ..SignOptions::default() };
    let reply = streamer.custom_signed(&urls[3], body.to_string(), &forged).await.unwrap();
    assert_eq!((reply.status, sink.failed(), sink.received_counts()[3]), (401, 1, 2));

    assert_eq!(sink.set_dead(0.1).await, 2);
    assert!(streamer.custom(&urls[1], &body).await.is_err());
    assert!(streamer.custom(&urls[2], &body).await.is_ok());
    assert_eq!(sink.set_dead(0.0).await, 0);
    assert!(streamer.custom(&urls[1], &body).await.is_ok());
    assert_eq!(sink.set_silent(0.05), 1);
    let silent = tokio::time::timeout(Duration::from_millis(300), streamer.custom(&urls[19], &body)).await;
    assert!(silent.is_err(), "{silent:?}");

    let many = fediverse.sink_on(1_000, 10).await.unwrap();
    assert_eq!(many.urls().len(), 1_000);
    assert!(streamer.custom(&many.urls()[999], &body).await.is_ok());
    assert_eq!(many.received_counts()[999], 1);
}
