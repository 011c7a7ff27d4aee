//! Moving in from Owncast's own federation, and out again.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use owncast_herald::activitypub::signature::PrivateKey;
use owncast_herald::sim::fediverse::{Flavour, Person};
use owncast_herald::sim::owncast::{Follower, FollowerState, Options};
use serde_json::{Value, json};

use crate::support::data_dir::DataDir;
use crate::support::stage::{Stage, no_complaints, quick};
use crate::support::wait::{LONG, eventually};

/// In the configuration, so that commands find it there too.
const PASSWORD: (&str, &str) = ("owncast.admin-password", "\"abc123\"");
/// Every notice by itself.
const ONE_BY_ONE: (&str, &str) = ("notices.burst-window", "\"100ms\"");
const NOBODY: u32 = 65534;

/// What `adopt … --json` prints.
async fn adopt(stage: &Stage, arguments: &[&str]) -> Value {
    let output = stage.agent.cli_by_file(&[&["adopt", "--json"][..], arguments].concat()).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "adopt {arguments:?}: {said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn says(stage: &Stage, arguments: &[&str], code: i32) -> String {
    let output = stage.agent.cli_by_file(arguments).await;
    let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    said.into_owned()
}

fn as_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// Root, and of the system's own processes.
fn sees_everybody() -> bool {
    as_root() && fs::read_link("/proc/self/ns/pid").unwrap().as_os_str() == "pid:[4026531836]"
}

async fn next_second() {
    let now = jiff::Timestamp::now().as_second();
    eventually("the next second", LONG, async || (jiff::Timestamp::now().as_second() > now).then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recorded_database_moves_in_without_an_agent() {
    // The recorded followers live on ports of this machine.
    let stage = Stage::prepare(quick(), &[]).await;
    // Where setup puts it: the service gets it from there, and the configuration says nothing of it.
    fs::write(stage.agent.path("admin-password"), "abc123\n").unwrap();
    let data = DataDir::recorded();
    let before = fs::read(data.path().join("owncast.db-wal")).unwrap();
    let folder = stage.agent.path("store");
    if as_root() {
        let above = folder.parent().unwrap();
        fs::set_permissions(above, fs::Permissions::from_mode(0o755)).unwrap();
        chown(&folder, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let from = ["--data-dir", data.argument()];
    let dry = adopt(&stage, &[&from[..], &["--dry-run"]].concat()).await;
    assert_eq!((&dry["found"]["taken"], &dry["now"]["here"]["approved"]), (&json!(10), &json!(0)));
    assert!(!folder.join("actor-key.pem").exists());
    let report = adopt(&stage, &from).await;
    for (counted, want) in [("approved", 6), ("pending", 2), ("rejected", 2), ("taken", 10), ("posts", 3)] {
        assert_eq!(report["found"][counted], want, "{counted}: {report:#}");
    }
    assert_eq!(report["now"]["here"], json!({"approved": 6, "pending": 2, "rejected": 2, "parked": 0}));
    assert_eq!(report["now"]["owncast"], json!({"approved": 0, "pending": 0, "rejected": 0}));
    assert_eq!((&report["found"]["blocks"], &report["counts_differ"]), (&json!(2), &json!(true)));
    let told = says(&stage, &[&["adopt"][..], &from].concat(), 0).await;
    for part in [
        "WARNING: these counts differ from Owncast's own: 6 approved here and 0 there",
        "see that it is this Owncast's",
        &format!("adopt --catch-up --data-dir {}\n", data.argument()),
    ] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
    let again = adopt(&stage, &from).await;
    assert_eq!((&again["found"]["known"], &again["found"]["taken"]), (&json!(10), &json!(0)));
    assert_eq!(again["found"]["posts_known"], 3);
    if as_root() {
        let mut folders = vec![folder.clone()];
        while let Some(next) = folders.pop() {
            for entry in fs::read_dir(next).unwrap() {
                let path = entry.unwrap().path();
                assert_eq!(path.metadata().unwrap().uid(), NOBODY, "{} is left to its owner", path.display());
                folders.extend(path.is_dir().then_some(path));
            }
        }
    }
    assert_eq!(
        fs::read(data.path().join("owncast.db-wal")).unwrap(),
        before,
        "Owncast's files are only read"
    );
    // Without its -wal it is an old one; and one that has lost most of its followers is none to believe at once.
    let catch_up = ["adopt", "--catch-up", "--data-dir"];
    let old = DataDir::recorded();
    fs::remove_file(old.path().join("owncast.db-wal")).unwrap();
    let told = says(&stage, &[&catch_up[..], &[old.argument()]].concat(), 0).await;
    assert!(told.contains("nobody is taken") && told.contains("Here now: 6 approved, 2 pending"), "{told}");
    let few = DataDir::recorded();
    few.run("DELETE FROM ap_followers WHERE iri <> 'https://localhost:9301/u/a0'");
    let told = says(&stage, &[&catch_up[..], &[few.argument()]].concat(), 1).await;
    assert!(told.contains("7 of 8 followers") && told.contains("--force"), "{told}");
    let forced = adopt(&stage, &["--catch-up", "--force", "--data-dir", few.argument()]).await;
    assert_eq!((&forced["found"]["left"], &forced["now"]["here"]["approved"]), (&json!(7), &json!(1)));
    assert_eq!(adopt(&stage, &from).await["found"]["taken"], 7, "the whole one brings them back");
    // Nobody is at a terminal to be asked whether these are the ones.
    let asked = says(&stage, &["adopt", "--undo"], 1).await;
    let whole = format!(
        "--config {} adopt --undo --yes\nNothing has changed",
        stage.agent.path("agent.toml").display()
    );
    assert!(
        asked.contains(&format!("10 followers and 3 posts in the store {}", folder.display())),
        "{asked}"
    );
    assert!(asked.contains(&whole), "{asked}");
    let told = says(&stage, &["adopt", "--undo", "--yes"], 0).await;
    assert!(told.contains("10 followers and 3 posts"), "{told}");
    let told = says(&stage, &["disconnect"], 0).await;
    assert!(told.contains("nothing of the agent's in Owncast"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_out_of_owncast_is_told_though_it_does_not_tell_its_settings() {
    let mut stage = Stage::start(quick(), &[PASSWORD]).await;
    stage.agent.stop().await;
    stage.owncast.faults().hide_settings = true;
    let told = says(&stage, &["disconnect"], 0).await;
    assert!(told.contains("deleted webhook") && !told.contains("federation is off"), "{told}");
    assert!(stage.owncast.webhooks().is_empty() && stage.owncast.tokens().is_empty());
}

/// A stream whose two followers know its actor and key; then the agent is gone, and Owncast has both in its own tables.
async fn lived_in_owncast() -> (Stage, DataDir, Person, Person) {
    let action = json!({"url": "https://shop.example/", "title": "Shop", "html": "", "description": "", "icon": "",
        "color": "", "openExternally": true});
    let mut stage =
        Stage::start(Options { own_post_after: LONG * 10, ..quick() }, &[PASSWORD, ONE_BY_ONE]).await;
    let (_, bo) = stage.follower(Flavour::Mastodon).await;
    let (_, cy) = stage.follower(Flavour::Misskey).await;
    stage.agent.stop().await;
    let ours = json!({"url": format!("{}/federation/follow", stage.agent.public_url()), "title": "Follow", "html": "",
        "description": "", "icon": "", "color": "", "openExternally": false});
    let actions = vec![action, ours];
    stage.owncast.configure(|config| config.external_actions.clone_from(&actions));
    let told = says(&stage, &["disconnect"], 0).await;
    for part in [
        "deleted webhook",
        "deleted an access token",
        "external action \"Follow\"",
        "2 followers were not given back",
        "Owncast's own federation is off",
        "/federation/*",
    ] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
    assert!(stage.owncast.webhooks().is_empty() && stage.owncast.tokens().is_empty());
    assert_eq!(stage.owncast.config().external_actions, actions, "none of them is the agent's");
    let key = fs::read_to_string(stage.agent.path("store/actor-key.pem")).unwrap();
    fs::remove_dir_all(stage.agent.path("store")).unwrap();
    fs::create_dir(stage.agent.path("store")).unwrap();
    let data = DataDir::of(&stage.agent.public_url(), &key);
    data.follower(&bo, &stage.actor());
    data.follower(&cy, &stage.actor());
    stage.owncast.configure(|config| config.federation_enabled = true);
    (stage, data, bo, cy)
}

/// The same, and the agent has taken over the two that follow.
pub async fn moved_in() -> (Stage, DataDir, Person, Person) {
    let (mut stage, data, bo, cy) = lived_in_owncast().await;
    stage.agent.launch();
    stage.wait_log("has lived before (Owncast").await;
    adopt(&stage, &["--data-dir", data.argument()]).await;
    stage.settled().await;
    stage.wait_followers(2).await;
    (stage, data, bo, cy)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_of_owncasts_gets_the_next_post_of_the_same_actor_by_the_same_key() {
    let (mut stage, data, bo, cy) = lived_in_owncast().await;
    // A row that cannot be believed as it is: its own server is asked.
    data.run(&format!("UPDATE ap_followers SET inbox = '' WHERE iri = '{}'", cy.id()));
    stage.agent.launch();
    stage.wait_log("has lived before (Owncast").await;
    // Of another Owncast on the same machine, for instance.
    let other = DataDir::recorded();
    let refused = says(&stage, &["adopt", "--data-dir", other.argument()], 1).await;
    assert!(refused.contains("another Owncast's") && refused.contains(&stage.actor()), "{refused}");
    assert!(!stage.agent.path("store/actor-key.pem").exists());
    let from = ["--data-dir", data.argument()];
    let report = adopt(&stage, &from).await;
    assert_eq!(
        (&report["found"]["taken"], &report["found"]["set_aside"]),
        (&json!(1), &json!(1)),
        "{report:#}"
    );
    assert_eq!((&report["written"], &report["agent_running"]), (&json!(true), &json!(true)));
    stage.settled().await;
    stage.wait_followers(2).await;
    let post = stage.post(bo.server()).await;
    assert_eq!(post.author, stage.actor());
    assert!(cy.server().wait_post(LONG, |seen| seen.note == post.note).await.is_some());
    [&bo, &cy].into_iter().for_each(|person| no_complaints(person.server()));
    // Nobody who moved in is told of in chat, not even when following anew; somebody new is.
    next_second().await;
    stage.follow(&bo).await;
    let zoe = bo.server().person("zoe");
    stage.follow(&zoe).await;
    let told = stage.owncast.wait_chat(LONG, |line| line.html.contains("zoe")).await;
    assert!(told.is_some(), "{:?}", stage.owncast.chat());
    let others = |html: &str| html.contains("bo@") || html.contains("new follower");
    assert!(!stage.owncast.chat().iter().any(|line| others(&line.html)), "{:?}", stage.owncast.chat());
    for old in data.texts("SELECT iri FROM ap_outbox") {
        let stored = data.texts(&format!("SELECT CAST(value AS TEXT) FROM ap_outbox WHERE iri = '{old}'"));
        assert_eq!(stage.document(&old).await, serde_json::from_str::<Value>(&stored[0]).unwrap());
        let page = stage.ask(reqwest::Method::GET, &old).header("accept", "text/html").send().await.unwrap();
        assert_eq!(page.status(), 303, "people are sent to the stream");
        assert_eq!(stage.ask(reqwest::Method::POST, &old).send().await.unwrap().status(), 405);
    }
    assert_eq!(stage.get(&format!("{}/federation/unknown", stage.agent.public_url())).await.status(), 404);
    let refused = says(&stage, &["adopt", "--data-dir", other.argument()], 1).await;
    assert!(refused.contains("another actor") && refused.contains("Nothing has changed"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_only_the_api_is_at_hand_each_server_is_asked() {
    let stage = Stage::start(quick(), &[PASSWORD]).await;
    let server = stage.server(Flavour::Mastodon).await;
    let bo = server.person("bo");
    for (iri, state) in
        [(bo.id(), FollowerState::Approved), ("https://localhost/users/x".to_owned(), FollowerState::Pending)]
    {
        let (name, username, image) = ("Bo".to_owned(), bo.handle(), String::new());
        stage.owncast.receive_follow(Follower {
            iri,
            name,
            username,
            image,
            at: jiff::Timestamp::now(),
            state,
        });
    }
    let report = adopt(&stage, &["--api"]).await;
    assert_eq!(
        (&report["found"]["approved"], &report["found"]["set_aside"]),
        (&json!(1), &json!(2)),
        "{report:#}"
    );
    assert_eq!(report["now"]["owncast"], json!({"approved": 1, "pending": 1, "rejected": 0}));
    stage.wait_followers(1).await;
    let post = stage.post(&server).await;
    assert_eq!(post.author, stage.actor());
    no_complaints(&server);
    let told = says(&stage, &["adopt", "--api"], 0).await;
    assert!(told.contains("2  followers, known already") && told.contains("1 to be asked for"), "{told}");
    let asked = says(&stage, &["adopt", "--undo"], 1).await;
    assert!(asked.contains(&format!("of {}. If these are the ones", stage.actor())), "{asked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_missing_in_a_list_that_slips_has_not_left() {
    let stage = Stage::start(quick(), &[PASSWORD]).await;
    let server = stage.server(Flavour::Mastodon).await;
    let [bo, cy] = ["bo", "cy"].map(|name| server.person(name));
    for person in [&bo, &cy] {
        stage.owncast.receive_follow(Follower {
            iri: person.id(),
            name: String::new(),
            username: person.handle(),
            image: String::new(),
            at: jiff::Timestamp::now(),
            state: FollowerState::Approved,
        });
    }
    adopt(&stage, &["--api"]).await;
    stage.wait_followers(2).await;
    stage.owncast.lose_follower(&bo.id());
    stage.owncast.faults().slipped_followers = 1;
    let told = says(&stage, &["adopt", "--api", "--catch-up"], 0).await;
    assert!(told.contains("changed while it was read") && told.contains("once more"), "{told}");
    assert_eq!(stage.followers().await, 2, "one of them may only have slipped to another page");
    stage.owncast.faults().slipped_followers = 0;
    let report = adopt(&stage, &["--api", "--catch-up"]).await;
    assert_eq!(report["found"]["left"], 1, "{report:#}");
    stage.wait_followers(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_in_between_is_caught_up_with() {
    let (stage, data, bo, cy) = moved_in().await;
    let from = ["--data-dir", data.argument()];
    // Before the proxy led here, one left there and another came.
    let di = stage.server(Flavour::Pleroma).await.person("di");
    data.run(&format!("DELETE FROM ap_followers WHERE iri = '{}'", bo.id()));
    data.follower(&di, &stage.actor());
    let catch_up = [&from[..], &["--catch-up"]].concat();
    let dry = adopt(&stage, &[&catch_up[..], &["--dry-run"]].concat()).await;
    assert_eq!((&dry["found"]["left"], &dry["found"]["taken"]), (&json!(1), &json!(1)), "{dry:#}");
    assert_eq!(stage.followers().await, 2);
    let report = adopt(&stage, &catch_up).await;
    assert_eq!((&report["found"]["left"], &report["found"]["taken"]), (&json!(1), &json!(1)), "{report:#}");
    stage.wait_followers(2).await;
    // Who leaves here is not brought back.
    next_second().await;
    assert_eq!(cy.unfollow().await.unwrap().status, 202);
    stage.wait_followers(1).await;
    let again = adopt(&stage, &catch_up).await;
    assert_eq!((&again["found"]["kept"], &again["found"]["taken"]), (&json!(1), &json!(0)), "{again:#}");
    // Nor does the key come back that has been given up since, whatever --force is said for.
    let key_file = stage.agent.path("store/actor-key.pem");
    says(&stage, &["key", "rotate", "--yes"], 0).await;
    says(&stage, &["key", "rotate", "--finish", "--force"], 0).await;
    let newer = fs::read(&key_file).unwrap();
    let forced = adopt(&stage, &[&catch_up[..], &["--force"]].concat()).await;
    assert_eq!((&forced["another_stays"], &forced["written"]), (&json!(true), &json!(false)), "{forced:#}");
    assert_eq!(fs::read(&key_file).unwrap(), newer);
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_key_of_the_agents_own_nothing_is_caught_up_with_that_was_never_taken() {
    let stage = Stage::start(quick(), &[PASSWORD]).await;
    let key_file = stage.agent.path("store/actor-key.pem");
    let own = fs::read(&key_file).unwrap();
    let key = PrivateKey::generate().and_then(|key| key.to_pem()).unwrap();
    let data = DataDir::of(&stage.agent.public_url(), &key);
    data.follower(&stage.server(Flavour::Mastodon).await.person("bo"), &stage.actor());
    let from = ["--data-dir", data.argument()];
    for more in [&[][..], &["--dry-run"], &["--force"]] {
        let refused = says(&stage, &[&["adopt", "--catch-up"][..], more, &from].concat(), 1).await;
        let first = format!(" adopt --data-dir {}\n", from[1]);
        for part in ["was taken over yet", "Nothing has changed", &first, "--force"] {
            assert!(refused.contains(part), "{part} is not in {refused}");
        }
    }
    assert!(stage.followers().await == 0 && fs::read(&key_file).unwrap() == own);
    // As it is told.
    assert!(says(&stage, &[&["adopt"][..], &from].concat(), 1).await.contains("another key"));
    let told = says(&stage, &[&["adopt", "--force"][..], &from].concat(), 0).await;
    assert!(
        told.contains("The key that was there is in") && told.contains("until it is restarted"),
        "{told}"
    );
    assert_eq!(adopt(&stage, &[&from[..], &["--catch-up"]].concat()).await["found"]["known"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_root_of_the_machine_gives_back_a_copy() {
    let (stage, data, bo, cy) = moved_in().await;
    next_second().await;
    assert_eq!(cy.unfollow().await.unwrap().status, 202);
    stage.wait_followers(1).await;
    let (_, di) = stage.follower(Flavour::Mastodon).await;
    for who in [cy.id().as_str(), "https://nobody.example/users/x"] {
        stage.agent.cli_json(&["block", "add", who]).await;
    }
    stage.owncast.power_off().await;
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("back");
    let give = ["--give-back", "--data-dir", data.argument(), "--to", to.to_str().unwrap()];
    let changed = DataDir::recorded();
    let refused =
        says(&stage, &["adopt", "--give-back", "--data-dir", changed.argument(), give[3], give[4]], 1).await;
    assert!(refused.contains(&format!("set its server URL to {:?}", stage.agent.public_url())), "{refused}");
    assert!(!to.exists());
    let given = adopt(&stage, &give).await;
    let counts = (&given["added"], &given["removed"], &given["backup"]);
    assert_eq!(counts, (&json!(1), &json!(0), &Value::Null), "{given:#}");
    let blocks = (&given["blocked_actors"], &given["not_blocked"]);
    assert_eq!(blocks, (&json!(1), &json!(["https://nobody.example/users/x"])), "{given:#}");
    assert_eq!(data.texts("SELECT iri FROM ap_followers").len(), 2, "the database itself is as it was");
    assert_eq!(fs::metadata(to.join("owncast.db")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(&to).unwrap().count(), 1);
    // As long as the copy is in nobody's use, whoever came here is not missing in the database.
    let caught_up = adopt(&stage, &["--catch-up", "--data-dir", data.argument()]).await;
    assert_eq!(caught_up["found"]["left"], 0, "{caught_up:#}");
    assert_eq!(stage.followers().await, 2);
    let again = says(&stage, &[&["adopt"][..], &give].concat(), 1).await;
    assert!(again.contains("owncast.db") && again.contains("exists"), "{again}");
    // As it is told.
    for name in ["owncast.db-wal", "owncast.db-shm"] {
        let _ = fs::remove_file(data.path().join(name));
    }
    fs::copy(to.join("owncast.db"), data.file()).unwrap();
    let mut want = [bo.id(), di.id()];
    want.sort();
    let of = |state: &str| {
        data.texts(&format!("SELECT iri FROM ap_followers WHERE {state} IS NOT NULL ORDER BY iri"))
    };
    assert_eq!((of("approved_at"), of("disabled_at")), (want.to_vec(), vec![cy.id()]));
    assert_eq!(data.texts("PRAGMA integrity_check"), ["ok"]);
    // Back from a time there: whoever left meanwhile has left, also who had never been in Owncast's list before.
    data.run(&format!("DELETE FROM ap_followers WHERE iri <> '{}'", cy.id()));
    let again = ["--data-dir", data.argument(), "--dry-run"];
    assert_eq!(adopt(&stage, &again).await["found"]["left"], 2);
    assert_eq!(stage.followers().await, 2);
    let report = adopt(&stage, &again[..2]).await;
    assert_eq!(report["found"]["left"], 2, "{report:#}");
    stage.wait_followers(0).await;
}

/// Only root outside of any container can tell whether anybody has Owncast's database open.
#[tokio::test(flavor = "multi_thread")]
async fn root_of_the_whole_machine_finishes_and_gives_back_and_nobody_else() {
    let (stage, data, bo, cy) = moved_in().await;
    let from = ["--data-dir", data.argument()];
    next_second().await;
    assert_eq!(cy.unfollow().await.unwrap().status, 202);
    stage.wait_followers(1).await;
    let (server, el) = stage.follower(Flavour::Mastodon).await;
    let post = stage.post(&server).await;
    stage.agent.cli_json(&["block", "add", "worst.example"]).await;

    let running = says(&stage, &["adopt", "--finish", from[0], from[1]], 1).await;
    assert!(running.contains("stop it first"), "{running}");
    stage.owncast.power_off().await;
    let open = data.open();
    open.query_row("SELECT count(*) FROM ap_followers", [], |row| row.get::<_, i64>(0)).unwrap();
    let give_back = [&from[..], &["--give-back"]].concat();
    let held = says(&stage, &[&["adopt"][..], &give_back].concat(), 1).await;
    assert!(held.contains("Nothing has changed"), "{held}");
    drop(open);
    let finish = [&from[..], &["--finish"]].concat();
    if !sees_everybody() {
        let refused = says(&stage, &[&["adopt"][..], &finish].concat(), 1).await;
        assert!(refused.contains("run this as root, and not inside of a container"), "{refused}");
        assert_eq!(data.texts("SELECT iri FROM ap_followers").len(), 2, "nothing has changed");
        return;
    }
    let finished = adopt(&stage, &finish).await;
    assert_eq!(
        (&finished["moved"], &finished["stay"], &finished["found"]["known"]),
        (&json!(2), &json!(0), &json!(1))
    );
    assert!(data.texts("SELECT iri FROM ap_followers").is_empty());
    let given = adopt(&stage, &give_back).await;
    assert_eq!(
        (&given["added"], &given["removed"], &given["posts"]),
        (&json!(1), &json!(1), &json!(1)),
        "{given:#}"
    );
    assert!(given["update"].is_string() && given["backup"].is_string(), "{given:#}");
    let mut want = vec![bo.id(), el.id()];
    want.sort();
    assert_eq!(data.texts("SELECT iri FROM ap_followers WHERE approved_at IS NOT NULL ORDER BY iri"), want);
    assert_eq!(data.texts("SELECT name FROM sqlite_schema WHERE name LIKE '%herald%'"), [""; 0]);
    assert_eq!(data.texts("PRAGMA integrity_check"), ["ok"]);
    assert_eq!(data.texts("SELECT iri FROM ap_outbox").len(), 4);
    let stored =
        data.texts(&format!("SELECT CAST(value AS TEXT) FROM ap_outbox WHERE iri = '{}'", post.note));
    assert_eq!(serde_json::from_str::<Value>(&stored[0]).unwrap()["id"], post.note);
    let blocked =
        data.texts("SELECT CAST(value AS TEXT) FROM datastore WHERE key = 'federation_blocked_domains'");
    assert!(blocked[0].ends_with("bad.example,worse.example,worst.example"), "{blocked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_has_never_run_gives_nobody_back_and_says_what_it_takes() {
    let (stage, data) = (Stage::prepare(quick(), &[PASSWORD]).await, DataDir::recorded());
    stage.owncast.power_off().await;
    let refused = says(&stage, &["adopt", "--give-back", "--data-dir", data.argument()], 1).await;
    for part in ["who it is", "Start Owncast and the agent", "status` shows its actor", "Nothing has changed"]
    {
        assert!(refused.contains(part), "{part} is not in {refused}");
    }
}
