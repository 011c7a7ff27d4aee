//! `proxy-config`: what the reverse proxy has to be told.

use std::net::SocketAddr;
use std::path::Path;

use super::files::{Places, unexpected};
use super::offline::Owner;
use super::outcome::remark;
use super::{Failure, Outcome};
use crate::config::value::from_argument;
use crate::config::{Config, HttpUrl, Overrides};
use crate::control::client::ClientError;
use crate::control::protocol::{Answer, Ask, Status};
use crate::model::Addresses;
use crate::proxy_config::{Certificate, Proxy, Site};

const AFTER_HELP: &str = "\
Examples:
  owncast-herald proxy-config nginx
  owncast-herald proxy-config caddy --owncast http://10.0.0.7:8080

What is not named is taken from the running agent, or else from its store and agent.toml.";

/// Arguments of `proxy-config`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Which proxy stands in front of Owncast
    #[arg(value_name = "PROXY")]
    pub proxy: Proxy,
    /// Public address of the stream
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
    /// Name before the @ of the handle
    #[arg(long, value_name = "NAME")]
    pub username: Option<String>,
    /// Owncast's own address, as the proxy reaches it
    #[arg(long, value_name = "URL", value_parser = from_argument::<HttpUrl>)]
    pub owncast: Option<HttpUrl>,
    /// The agent's public listener, as the proxy reaches it
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub agent: Option<SocketAddr>,
    /// Certificate with its chain (PEM); without it, where certbot keeps them, or the proxy gets one by itself
    #[arg(long, value_name = "FILE", requires = "certificate_key")]
    pub certificate: Option<String>,
    /// The certificate's private key (PEM)
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub certificate_key: Option<String>,
}

/// What is known without the command line.
#[derive(Debug, Default)]
struct Known {
    base: Option<String>,
    username: Option<String>,
    owncast: Option<String>,
    agent: Option<SocketAddr>,
    /// Why neither an agent nor its store could be asked.
    unasked: Option<String>,
}

pub(super) fn proxy_config(places: &Places, args: &Args) -> Outcome {
    let known = known(places)?;
    let missing = |what: &str, option: &str| {
        let (who, why) = match &known.unasked {
            None => ("no agent here has settled it yet", String::new()),
            Some(why) => ("neither an agent here nor its store could be asked", format!("\n{why}")),
        };
        Failure::new(format!(
            "{what} is not known: {who}, and agent.toml does not say; name it with {option}{why}"
        ))
    };
    let base = args.public_url.clone().or(known.base);
    let base = base.ok_or_else(|| missing("the public address of the stream", "--public-url https://…"))?;
    let username = args.username.clone().or(known.username);
    let username =
        username.ok_or_else(|| missing("the name before the @ of the handle", "--username NAME"))?;
    let owncast = args.owncast.as_ref().map(ToString::to_string).or(known.owncast);
    let owncast =
        owncast.ok_or_else(|| missing("Owncast's own address", "--owncast http://127.0.0.1:8080"))?;
    let agent = args.agent.or(known.agent).unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8585)));
    let certificate = args.certificate.clone().zip(args.certificate_key.clone());
    let certificate = certificate.map(|(chain, key)| Certificate { chain, key });
    let site = Site::new(Addresses::new(&base, &username), agent, &owncast, certificate)
        .map_err(|error| Failure::new(error.to_string()))?;
    Ok(site.render(args.proxy))
}

/// What the running agent says, else its store, of who it is, and its configuration.
fn known(places: &Places) -> Result<Known, Failure> {
    let asked = match places.try_ask(&Ask::Status)? {
        Ok(Answer::Status(status)) => return Ok(of_status(&status)),
        Ok(_) => return Err(unexpected()),
        Err(ClientError::NoAgent { .. }) => None,
        Err(error) => {
            remark(&format!("warning: the running agent cannot be asked: {error}\n"));
            Some(Known { unasked: Some(error.to_string()), ..Known::default() })
        }
    };
    let file = places.config_file();
    let configured = match &file {
        Some(file) => of_config(&Config::load(Some(file), Overrides::default(), &places.env())?),
        None => Known::default(),
    };
    let Known { base, username, unasked, .. } = asked.unwrap_or_else(|| of_store(places, file.as_deref()));
    Ok(Known {
        base: base.or(configured.base),
        username: username.or(configured.username),
        unasked,
        ..configured
    })
}

/// What the store says, if there is one.
fn of_store(places: &Places, file: Option<&Path>) -> Known {
    let asked = match file.and_then(|file| closed_to_its_owner(places, file)) {
        None => places.ask(&Ask::Status).map_err(|failure| failure.message),
        Some(why) => Err(why),
    };
    match asked {
        Ok(Answer::Status(status)) => of_status(&status),
        Ok(_) => Known { unasked: Some(unexpected().message), ..Known::default() },
        Err(why) => Known { unasked: Some(why), ..Known::default() },
    }
}

/// Root asks the store as its owner, who has to read the configuration for that: why this cannot be.
fn closed_to_its_owner(places: &Places, file: &Path) -> Option<String> {
    let store = places.stored().ok()?.store.path;
    let owner = Owner::instead_of_root(&store)?;
    (!owner.may_read(file)).then(|| {
        format!(
            "the store {} belongs to user {}, who may not read {}",
            store.display(),
            owner.uid(),
            file.display()
        )
    })
}

fn of_status(status: &Status) -> Known {
    let actor = status.identity.actor.as_deref().and_then(|actor| actor.split_once("/federation/user/"));
    let setting = |field: &str| {
        let row = status.settings.iter().find(|row| row.field == field)?;
        // What is not known yet stands in brackets.
        Some(row.value.clone()).filter(|value| !value.starts_with('('))
    };
    Known {
        base: actor.map(|(base, _)| base.to_owned()).or_else(|| setting("identity.public-url")),
        username: actor.map(|(_, name)| name.to_owned()).or_else(|| setting("identity.username")),
        owncast: Some(status.owncast.url.clone()),
        agent: status.listen.public.parse().ok(),
        unasked: None,
    }
}

fn of_config(config: &Config) -> Known {
    Known {
        base: config.identity.public_url.as_ref().map(ToString::to_string),
        username: config.identity.username.clone(),
        owncast: Some(config.owncast.url.to_string()),
        agent: Some(config.listen.public),
        unasked: None,
    }
}
