//! Owncast, asked as the agent asks it; nothing is changed there.

use std::path::Path;

use jiff::Timestamp;

use super::{Code, Finding, Level, Patient, address};
use crate::agent::board::{Source, Sources, Way};
use crate::config::{AdminPassword, Config, ConfigError, Secret, here};
use crate::owncast::provision::{SCOPES, TOKEN_NAME};
use crate::owncast::types::{ServerConfig, Token};
use crate::owncast::{Api, OwncastError};

/// What Owncast told, and how that is to be judged.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) findings: Vec<Finding>,
    pub(super) server_url: Option<String>,
    pub(super) username: Option<String>,
}

/// What of Owncast's own federation competes with ours.
#[derive(Clone, Copy, Debug)]
struct Rival<'a> {
    settings: &'a ServerConfig,
    followers: u64,
    /// The agent empties the go-live message by itself.
    takes_over: bool,
    agent_runs: bool,
}

/// Asks Owncast.
pub(super) async fn look(patient: &Patient) -> Told {
    let mut told = Told::default();
    let Some(config) = patient.config() else {
        told.findings
            .push(Finding::unchecked(Code::Owncast, "without a configuration its address is not known"));
        return told;
    };
    let given = config.owncast.admin_password.get().cloned().unwrap_or_else(|_| Secret::new(""));
    let api = match Api::read_only(config.owncast.url.url().clone(), config.owncast.admin_user.clone(), given)
    {
        Ok(api) => api,
        Err(error) => {
            told.findings.push(broken(Code::Owncast, &error));
            return told;
        }
    };
    let asked = Timestamp::now();
    match api.status().await {
        Ok(status) => {
            let version = super::paths::shorten(&status.version_number);
            told.findings.push(Finding::green(
                Code::Owncast,
                format!("Owncast {version} answers at {}", config.owncast.url),
            ));
            let ahead = address::ahead(status.server_time, (asked, Timestamp::now()));
            told.findings.push(address::clock("Owncast's clock", ahead));
        }
        Err(error) => {
            told.findings.push(broken(Code::Owncast, &error));
            return told;
        }
    }
    match config.owncast.admin_password.get() {
        Ok(_) => settings(patient, config, &api, &mut told).await,
        Err(error) => {
            let agents = patient.status().map(|status| &status.sources.admin.way);
            told.findings.push(unknown_password(agents, &config.owncast.admin_password, &error));
        }
    }
    told
}

async fn settings(patient: &Patient, config: &Config, api: &Api, told: &mut Told) {
    let settings = match api.server_config().await {
        Ok(settings) => settings,
        Err(error) => {
            told.findings.push(broken(Code::Password, &error));
            return;
        }
    };
    let file = match &config.owncast.admin_password {
        AdminPassword::Known { file, .. } => patient.closed(file.as_deref()).map(|closed| &closed.file),
        _ => None,
    };
    let agents = patient.status().map(|status| &status.sources);
    told.findings.push(match file {
        Some(file) => unread_password(file, agents.map(|sources| &sources.admin.way)),
        None => password(agents),
    });
    told.findings.push(server_url(&settings.server_url, patient, config));
    let (tokens, followers) = (api.tokens().await, api.followers(0, 1).await);
    told.findings.push(match tokens {
        Ok(tokens) => token(&tokens, patient.status().is_some(), patient.is_held()),
        Err(error) => broken(Code::Token, &error),
    });
    match followers {
        Ok(list) => told.findings.extend(rival(Rival {
            settings: &settings,
            followers: list.total,
            takes_over: config.owncast.take_over_go_live_message && config.go_live.enabled,
            agent_runs: patient.status().is_some(),
        })),
        Err(error) => told.findings.push(broken(Code::OwnFollowers, &error)),
    }
    told.server_url = Some(settings.server_url);
    told.username = Some(settings.federation.username);
}

/// Owncast takes the password that is found here; what a running agent has may be an older one, and is what counts.
fn password(agents: Option<&Sources>) -> Finding {
    match agents {
        Some(Sources { admin: Source { way: Way::Broken(why), .. }, password_refused: true, .. }) => {
            Finding::red(
                Code::Password,
                format!(
                    "Owncast takes the admin password that is found here, but not what the running agent does: {why}"
                ),
                "restart its service, which is given the password when it starts",
            )
        }
        _ => Finding::green(Code::Password, "Owncast takes the admin password"),
    }
}

/// A running agent may have it from elsewhere, or have read it when that could still be done.
fn unread_password(file: &Path, agents: Option<&Way>) -> Finding {
    let text = format!(
        "Owncast takes the admin password in {}, but the service's user may not read it there",
        file.display()
    );
    let cure = format!(
        "{} asks for it and keeps it where systemd hands it to the service",
        here().command("setup --force")
    );
    match agents {
        Some(Way::Works) => {
            let text =
                format!("{text}; the running agent has one that works, and may not once it starts anew");
            Finding::yellow(Code::Password, text, format!("if it has it from nowhere else, {cure}"))
        }
        _ => Finding::red(Code::Password, text, cure),
    }
}

/// Here is none, for this reason. The agent may have one, as a credential: whether it is right shows in what it can do.
fn unknown_password(agents: Option<&Way>, ours: &AdminPassword, why: &ConfigError) -> Finding {
    match (agents, ours) {
        (Some(Way::Works), _) => Finding::green(Code::Password, "Owncast takes the agent's admin password"),
        (Some(Way::Broken(why)), _) => Finding::told(Code::Password, Level::Red, why.as_str()),
        (_, AdminPassword::Unusable { path, denied: true, .. }) => Finding::unchecked(
            Code::Password,
            format!("{} cannot be read by this user; ask with sudo", path.display()),
        ),
        (_, AdminPassword::Missing) => Finding::red(
            Code::Password,
            why.one_line(),
            format!("{} asks for it and keeps it where the service finds it", here().typed("setup --force")),
        ),
        // The error names its cure.
        _ => Finding::told(Code::Password, Level::Red, why.one_line()),
    }
}

fn broken(code: Code, error: &OwncastError) -> Finding {
    // The error names its cure.
    Finding::told(code, Level::Red, error.to_string())
}

fn server_url(theirs: &str, patient: &Patient, config: &Config) -> Finding {
    let ours = patient
        .status()
        .and_then(|status| Some(status.identity.actor.as_deref()?.split_once("/federation/user/")?.0));
    let ours = ours.or(config.identity.public_url.as_ref().map(|url| url.as_str()));
    let theirs = theirs.trim_end_matches('/');
    const WHERE: &str = "set it in Owncast's admin pages (Configuration, General, Server URL)";
    match ours {
        None if theirs.is_empty() => Finding::red(
            Code::ServerUrl,
            "Owncast has no server URL, so there is no address to federate",
            WHERE,
        ),
        Some(ours) if ours != theirs => Finding::yellow(
            Code::ServerUrl,
            format!("Owncast's server URL is {theirs:?}, and the actor's address is {ours}"),
            format!("{WHERE}, so that both are one"),
        ),
        _ => Finding::green(Code::ServerUrl, format!("Owncast's server URL is {theirs}")),
    }
}

fn token(tokens: &[Token], agent_runs: bool, held: bool) -> Finding {
    let complete = |token: &&Token| SCOPES.iter().all(|scope| token.scopes.iter().any(|has| has == scope));
    let ours = tokens.iter().filter(|token| token.display_name == TOKEN_NAME).find(complete);
    match (ours, agent_runs) {
        (Some(_), _) => {
            Finding::green(Code::Token, format!("the access token \"{TOKEN_NAME}\" is in Owncast"))
        }
        (None, true) if held => Finding::unchecked(Code::Token, super::agent::MADE_LATER),
        (None, true) => Finding::red(
            Code::Token,
            format!("the access token \"{TOKEN_NAME}\" is not in Owncast: nothing can be said in chat"),
            "the agent makes it again within minutes; its log says why if it cannot",
        ),
        (None, false) => {
            Finding::unchecked(Code::Token, "the agent makes its access token in Owncast when it starts")
        }
    }
}

/// While Owncast's own federation is on, it speaks to its own followers beside us.
fn rival(rival: Rival<'_>) -> [Finding; 2] {
    let federation = &rival.settings.federation;
    let posts = federation.enabled && !federation.go_live_message.trim().is_empty();
    let own_posts = match (posts, rival.takes_over) {
        (false, _) => Finding::green(Code::OwnPosts, "Owncast itself announces nothing"),
        (true, true) if rival.agent_runs => Finding::red(
            Code::OwnPosts,
            "Owncast's federation is on and its go-live message is not empty: its followers get two posts for each stream",
            "the agent empties the message by itself and its log says why it cannot; or empty it by hand (Configuration, Social)",
        ),
        (true, true) => Finding::yellow(
            Code::OwnPosts,
            "Owncast's go-live message is not empty; the agent takes it over when it starts",
            format!("start the agent ({})", here().service("start")),
        ),
        (true, false) => Finding::red(
            Code::OwnPosts,
            "Owncast's federation is on and its go-live message is not empty: its followers get two posts for each stream",
            "set [owncast] take-over-go-live-message = true, or empty the message in Owncast (Configuration, Social)",
        ),
    };
    let own_followers = if federation.enabled && rival.followers > 0 {
        Finding::yellow(
            Code::OwnFollowers,
            format!(
                "Owncast's federation is on and has {} followers of its own: it goes on telling them of a changed profile and posts typed in its admin pages",
                rival.followers
            ),
            format!(
                "move them here ({}), then switch Owncast's federation off (Configuration, Social) or empty its list",
                here().typed("adopt")
            ),
        )
    } else {
        Finding::green(Code::OwnFollowers, "Owncast itself tells nobody anything")
    };
    [own_posts, own_followers]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::owncast::types::{Federation, Instance};

    fn settings(enabled: bool, message: &str) -> ServerConfig {
        ServerConfig {
            server_url: "https://live.example".into(),
            federation: Federation {
                username: "ana".into(),
                go_live_message: message.into(),
                blocked_domains: Vec::new(),
                enabled,
                is_private: false,
                show_engagement: true,
            },
            instance: Instance {
                name: String::new(),
                summary: String::new(),
                tags: Vec::new(),
                social_handles: Vec::new(),
                nsfw: false,
                stream_title: String::new(),
                logo: String::new(),
            },
            chat_disabled: false,
            forbidden_usernames: Vec::new(),
        }
    }

    #[test]
    fn owncasts_own_federation_competes_only_where_it_speaks() {
        let (green, yellow, red) = (Level::Green, Level::Yellow, Level::Red);
        for (enabled, message, followers, takes_over, agent_runs, posts, tells) in [
            (false, "live!", 6, false, true, green, green),
            (true, "", 0, true, true, green, green),
            (true, " ", 6, true, true, green, yellow),
            (true, "live!", 0, true, false, yellow, green),
            (true, "live!", 0, true, true, red, green),
            (true, "live!", 6, false, false, red, yellow),
        ] {
            let settings = settings(enabled, message);
            let found = rival(Rival { settings: &settings, followers, takes_over, agent_runs });
            assert_eq!(found.each_ref().map(|finding| finding.level), [posts, tells], "{found:?}");
            for finding in found {
                assert_eq!(finding.cure.is_some(), finding.level > green, "{finding:?}");
            }
        }
    }

    #[test]
    fn the_running_agents_password_is_the_one_that_counts() {
        let broken = || Way::Broken("it says so".to_owned());
        for (way, password_refused, level) in [
            (None, false, Level::Green),
            (Some(Way::Untried), false, Level::Green),
            (Some(Way::Works), false, Level::Green),
            (Some(broken()), false, Level::Green),
            (Some(broken()), true, Level::Red),
        ] {
            let admin = |way| Source { way, ..Source::default() };
            let sources =
                way.map(|way| Sources { admin: admin(way), password_refused, ..Sources::default() });
            let found = password(sources.as_ref());
            assert_eq!((found.level, found.cure.is_some()), (level, level == Level::Red), "{found:?}");
        }
    }

    #[test]
    fn only_a_password_that_this_user_may_not_read_is_left_to_another() {
        let path = || "/etc/owncast-herald/admin-password".into();
        let unusable =
            |denied| AdminPassword::Unusable { path: path(), reason: "no text".to_owned(), denied };
        let broken = Way::Broken("it says so".to_owned());
        for (agents, ours, level, said) in [
            (None, unusable(true), Level::Unchecked, "ask with sudo"),
            (Some(&Way::Untried), unusable(true), Level::Unchecked, "ask with sudo"),
            (None, unusable(false), Level::Red, "admin-password: no text"),
            (None, AdminPassword::Empty { path: path() }, Level::Red, "admin-password is empty"),
            (None, AdminPassword::Missing, Level::Red, "is not set"),
            (Some(&Way::Works), unusable(false), Level::Green, "takes the agent's"),
            (Some(&broken), AdminPassword::Empty { path: path() }, Level::Red, "it says so"),
        ] {
            let found = unknown_password(agents, &ours, &ours.get().unwrap_err());
            assert!(found.level == level && found.text.contains(said), "{found:?}");
        }
    }

    #[test]
    fn a_password_that_the_service_may_not_read_is_not_well() {
        let broken = Way::Broken("it says so".to_owned());
        for (agents, level) in [
            (None, Level::Red),
            (Some(&Way::Untried), Level::Red),
            (Some(&broken), Level::Red),
            (Some(&Way::Works), Level::Yellow),
        ] {
            let found = unread_password(Path::new("/root/pw"), agents);
            assert!(found.level == level && found.text.contains("/root/pw"), "{found:?}");
            assert!(found.cure.unwrap().contains("setup --force"));
        }
    }

    #[test]
    fn a_token_of_our_name_counts_with_its_scopes_alone() {
        let with = |name: &str, scopes: &[&str]| -> Token {
            serde_json::from_value(serde_json::json!({
                "id": "1", "accessToken": "x", "displayName": name, "scopes": scopes,
            }))
            .unwrap()
        };
        assert_eq!(token(&[with("Bot", &[]), with(TOKEN_NAME, &SCOPES)], true, false).level, Level::Green);
        assert_eq!(token(&[with(TOKEN_NAME, &SCOPES[..1])], true, false).level, Level::Red);
        assert_eq!(token(&[], false, false).level, Level::Unchecked);
        assert_eq!(
            token(&[], true, true).level,
            Level::Unchecked,
            "not made while that may be the old machine's"
        );
    }
}
