//! `disconnect`: what the agent made in Owncast goes, and the proxy leads there again.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Serialize;

use super::files::Places;
use super::text::{json, line};
use super::{Failure, Outcome};
use crate::adopt::owner::become_owner_of;
use crate::decide::adopt;
use crate::model::facts::Identity;
use crate::model::{Draft, View};
use crate::owncast::footprint::Footprint;
use crate::owncast::provision::{self, Provisioned};
use crate::owncast::{Api, OwncastError};
use crate::proxy_config::paths;
use crate::store::Store;

/// Followers asked of Owncast at a time.
const PAGE: u32 = 500;

/// Said where the go-live message was put back.
const MESSAGE_BACK: &str =
    "Its go-live message is back: it posts by itself again while its federation is on.\n";

/// Arguments of `disconnect`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of the agent's database; wins over the file
    #[arg(long, value_name = "DIR")]
    pub store: Option<PathBuf>,
}

/// What `--json` prints.
#[derive(Default, Serialize)]
struct Disconnected {
    /// What was removed, in words.
    removed: Vec<String>,
    /// Titles of external actions that open the agent's follow page. The agent made none of them, and so they stay.
    follow_actions: Vec<String>,
    /// Followers who are not in Owncast's own list.
    not_given_back: u64,
    /// The go-live message stands in Owncast again.
    go_live_message_back: bool,
    /// There is an actor, and Owncast does not answer for it either.
    federation_off: bool,
    /// Paths that the proxy still leads to the agent.
    proxy_paths: Vec<String>,
}

pub(super) fn disconnect(places: &Places, args: &Args, as_json: bool) -> Outcome {
    if places.finds_agent()? {
        return Err(Failure::new(format!(
            "the agent runs, and would make everything anew; stop it first ({}). Nothing has changed",
            places.systemctl("disable --now")
        )));
    }
    let config = places.whole(args.store.as_deref())?;
    let password = config.owncast.admin_password.get()?.expose().to_owned();
    let api = Api::new(config.owncast.url.url().clone(), config.owncast.admin_user.clone(), password);
    let api = api.map_err(|error| Failure::of_configuration(error.to_string()))?;
    let folder = config.store.path.clone();
    if !folder.is_dir() {
        return Err(Failure::new(format!(
            "there is no store in {}, which knows what the agent made in Owncast; name its folder with --store DIR",
            folder.display()
        )));
    }
    become_owner_of(&folder).map_err(|error| {
        Failure::new(format!("the store {} cannot be opened as its owner: {error}", folder.display()))
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(format!("the system gives no threads: {error}")))?;
    let store = Store::open(&folder).map_err(|error| Failure::new(error.to_string()))?;
    let mut done = Disconnected::default();
    let cleared = runtime.block_on(clear(&api, &store, &mut done));
    cleared.map_err(|cause| unfinished(cause, &done, api.base().as_str(), places))?;
    if as_json { json(&done) } else { Ok(told(&done, api.base().as_str(), places)) }
}

/// What fails in between is done by the next run. Until then `done` says what was.
async fn clear(api: &Api, store: &Store, done: &mut Disconnected) -> Result<(), Failure> {
    let asked = |error: OwncastError| Failure::new(error.to_string());
    let kept = |error: crate::store::StoreError| Failure::new(error.to_string());
    let listed = listed(api).await;
    let known =
        move |view: &dyn View| (view.meta(), view.meta(), adopt::not_given_back(view, listed.as_ref()));
    let (footprint, identity, not_given_back): (Footprint, Identity, u64) =
        store.read(known).await.map_err(kept)?;
    done.not_given_back = not_given_back;
    let mut taken = Vec::new();
    let removed = provision::remove(api, &footprint.provisioned, &mut taken).await;
    done.removed.extend(taken.iter().map(ToString::to_string));
    removed.map_err(asked)?;
    let mut prefix = String::new();
    // Only hints hang on these: what has been taken out by now is told without them, too.
    let settings = api.server_config().await;
    done.federation_off =
        identity.addresses.is_some() && settings.as_ref().is_ok_and(|settings| !settings.federation.enabled);
    if let Some(addresses) = &identity.addresses {
        addresses.path_prefix().clone_into(&mut prefix);
        let page = addresses.follow_page();
        for action in api.external_actions().await.unwrap_or_default() {
            if action["url"].as_str() == Some(page.as_str()) {
                done.follow_actions.push(action["title"].as_str().unwrap_or_default().to_owned());
            }
        }
    }
    // The message is forgotten below: whether it is to be put back has to be known.
    if let Some(text) = &identity.taken_message
        && settings.map_err(asked)?.federation.go_live_message.trim().is_empty()
    {
        api.set_go_live_message(text).await.map_err(asked)?;
        done.go_live_message_back = true;
    }
    let forget = store.commit(|view| {
        let mut draft = Draft::new(view);
        draft.put_meta(&Footprint { provisioned: Provisioned::default(), ..view.meta() });
        draft.put_meta(&Identity { taken_message: None, ..view.meta() });
        (draft.into_changes(), ())
    });
    forget.await.map_err(kept)?;
    done.proxy_paths = paths(&prefix);
    Ok(())
}

/// Who stands in Owncast's own list; `None` if it does not tell.
async fn listed(api: &Api) -> Option<BTreeSet<String>> {
    let (mut actors, mut from) = (BTreeSet::new(), 0);
    loop {
        let page = api.followers(from, PAGE).await.ok()?;
        let got = u32::try_from(page.entries.len()).ok()?;
        actors.extend(page.entries.iter().map(|entry| adopt::one_spelling(&entry.link)));
        from = from.saturating_add(got);
        if got == 0 || u64::from(from) >= page.total {
            break;
        }
    }
    let pending = api.pending().await.ok()?;
    actors.extend(pending.entries.iter().map(|entry| adopt::one_spelling(&entry.link)));
    Some(actors)
}

/// What has been removed though something failed then.
fn unfinished(cause: Failure, done: &Disconnected, owncast: &str, places: &Places) -> Failure {
    let mut message = cause.message;
    if !done.removed.is_empty() || done.go_live_message_back {
        message.push_str(&format!("\nBefore that, in Owncast at {}:\n", line(owncast)));
        message.push_str(&removed(done));
        if done.go_live_message_back {
            message.push_str(MESSAGE_BACK);
        }
        message.push_str(&format!("Run this again, it does the rest:\n  {}", places.command("disconnect")));
    }
    Failure { message, ..cause }
}

fn removed(done: &Disconnected) -> String {
    done.removed.iter().map(|one| format!("  {}\n", line(one))).collect()
}

fn told(done: &Disconnected, owncast: &str, places: &Places) -> String {
    let mut text = match done.removed.as_slice() {
        [] => format!("There was nothing of the agent's in Owncast at {}.\n", line(owncast)),
        _ => format!("In Owncast at {}:\n{}", line(owncast), removed(done)),
    };
    for title in &done.follow_actions {
        text.push_str(&format!(
            "The external action \"{}\" opens the agent's follow page, which nobody answers any more. It is not the agent's own: \
             take it out in Owncast's admin pages.\n",
            line(title)
        ));
    }
    if done.go_live_message_back {
        text.push_str(MESSAGE_BACK);
    }
    if done.federation_off {
        text.push_str(
            "Owncast's own federation is off: nobody answers for the actor once the proxy leads to Owncast. If it is to live on \
             there, switch it on in Owncast's admin pages (Configuration, Social).\n",
        );
    }
    if done.not_given_back > 0 {
        text.push_str(&format!(
            "{} not given back: they are not in Owncast's own list, but in the agent's store alone. Keep it. If Owncast is to \
             go on with them, start the agent once more, stop Owncast, and name Owncast's data folder here:\n  {}\n  {}\n",
            match done.not_given_back {
                1 => "1 follower was".to_owned(),
                many => format!("{many} followers were"),
            },
            places.systemctl("start"),
            places.command("adopt --give-back --data-dir DIR")
        ));
    }
    text.push_str(&format!(
        "Take these paths, and the Link header of the page, out of the proxy's configuration, so that they lead to Owncast again \
         (`{}` prints the lines for nginx, or caddy, apache, traefik):\n",
        places.command("proxy-config nginx")
    ));
    done.proxy_paths.iter().for_each(|path| text.push_str(&format!("  {path}\n")));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_removed_and_what_is_left_to_do_is_told() {
        let radio = Places { instance: "radio".parse().ok(), ..Places::default() };
        let mut done =
            Disconnected { proxy_paths: vec!["/federation/*".to_owned()], ..Disconnected::default() };
        let text = told(&done, "http://127.0.0.1:8080/", &radio);
        assert!(text.starts_with("There was nothing") && text.ends_with("  /federation/*\n"), "{text}");
        done.removed.push("deleted webhook 3 in Owncast".to_owned());
        done.follow_actions.push("Follow".to_owned());
        (done.not_given_back, done.go_live_message_back) = (2, true);
        assert!(!told(&done, "http://127.0.0.1:8080/", &radio).contains("federation is off"));
        done.federation_off = true;
        let text = told(&done, "http://127.0.0.1:8080/", &radio);
        for part in [
            "own federation is off",
            "deleted webhook 3",
            "external action \"Follow\"",
            "2 followers were not given back",
            "go-live message is back",
            "  sudo systemctl start owncast-herald@radio\n",
            "  sudo owncast-herald --instance radio adopt --give-back --data-dir DIR\n",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }
}
