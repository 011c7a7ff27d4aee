//! `setup`: from a fresh package to a running, examined agent.

mod dialogue;
mod found;
mod layout;
mod move_in;
mod ports;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::files::{Places, env};
use super::outcome::remark;
use super::{Failure, Outcome, doctor};
use crate::agent::board::Way;
use crate::config::value::{UserName, from_argument};
use crate::config::{HttpUrl, PASSWORD_VARIABLE, Secret, here};
use crate::control::protocol::{Answer, Ask, IdentityWord, Status};
use crate::doctor::Level;
use crate::owncast::{Api, OwncastError};

use dialogue::Dialogue;
use found::Found;
use layout::{Layout, SYSTEMCTL};

const AFTER_HELP: &str = "\
Examples:
  sudo owncast-herald setup
  sudo owncast-herald setup --webhook 172.17.0.1:8586
  sudo owncast-herald setup --yes --admin-password-file /root/owncast-password

The password is asked for without being shown, or read from a file (`-`: standard input) or from the variable \
OWNCAST_ADMIN_PASSWORD. Nothing is written before everything was tried, shown and agreed to. Where --yes finds all of it \
written already, it changes and restarts nothing, sees that the service runs, and examines everything.

Exit codes: 0 done, 1 nothing was written or started, 4 all is written, but what doctor then finds does not work yet: a \
proxy that does not know the agent is such a finding. With --no-start doctor's findings do not count.";

/// Where a fresh Owncast listens.
const USUAL_OWNCAST: &str = "http://127.0.0.1:8080";
/// Who administrates a fresh Owncast.
const USUAL_USER: &str = "admin";
/// How often a password may be mistyped.
const TRIES: usize = 3;
/// How long a started agent may take until it can be examined.
const PATIENCE: Duration = Duration::from_secs(30);

/// Arguments of `setup`.
#[derive(Debug, Default, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Owncast's own address, as this machine reaches it [default: the one that is configured already, or http://127.0.0.1:8080]
    #[arg(long, value_name = "URL", value_parser = from_argument::<HttpUrl>)]
    pub owncast: Option<HttpUrl>,
    /// Login of Owncast's admin pages [default: admin, or the one that is configured already]
    #[arg(long, value_name = "NAME")]
    pub admin_user: Option<String>,
    /// File that holds Owncast's admin password on one line; `-` for standard input
    #[arg(long, value_name = "FILE")]
    pub admin_password_file: Option<PathBuf>,
    /// Public address of the stream, where it is another one than Owncast's server URL
    #[arg(long, value_name = "URL", value_parser = from_argument::<HttpUrl>)]
    pub public_url: Option<HttpUrl>,
    /// Name before the @ of the handle, where it is another one than in Owncast
    #[arg(long, value_name = "NAME", value_parser = from_argument::<UserName>)]
    pub username: Option<UserName>,
    /// Where the agent listens for the proxy [default: 127.0.0.1:8585, or the next that is free; with --force the one it has]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub public: Option<SocketAddr>,
    /// Where the agent listens for Owncast's webhook [default: the port behind that]; for an Owncast in a container this
    /// machine's address in its network
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub webhook: Option<SocketAddr>,
    /// Where the agent listens for probes and metrics [default: the port behind that]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub metrics: Option<SocketAddr>,
    /// Ask nothing, take what is named or usual
    #[arg(long)]
    pub yes: bool,
    /// Change a configuration and a password that are there
    ///
    /// Settings that are not asked for stay as they are. The file as it was is kept beside it, as FILE.old.
    #[arg(long)]
    pub force: bool,
    /// Do not start the service
    #[arg(long)]
    pub no_start: bool,
}

/// Everything that is to be written.
struct Wanted {
    owncast: HttpUrl,
    user: String,
    password: Secret,
    listen: [SocketAddr; 3],
}

pub(super) fn setup(places: &Places, args: &Args) -> Outcome {
    let layout = Layout::of(places);
    // Whoever asks nothing may want what is there already.
    if !args.yes {
        layout.refuse_to_replace(args.force)?;
    }
    let mut dialogue = Dialogue::new(args.yes)?;
    let stopped = layout.is_stopped();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("the system gives no threads: {error}")))?;
    let (wanted, found) = runtime.block_on(agree(args, &layout, &mut dialogue))?;
    let text = layout.configuration(args, &wanted)?;
    let files = format!("{} and {}", layout.config.display(), layout.password.display());
    // Somebody has stopped it, and has not said since that it is to run.
    let starts = !args.no_start
        && (!stopped || dialogue.agrees("The service is stopped. Start it when all is written")?);
    let nothing_new = layout.has(&text, &wanted.password, args.force);
    if nothing_new {
        remark(&format!("Nothing to change: all of this is in {files} already.\n"));
    } else {
        layout.refuse_to_replace(args.force)?;
        remark(&plan(&layout, args, &wanted, &found, starts));
        if !dialogue.agrees("Do this")? {
            return Err(Failure::new("nothing was written"));
        }
        layout.write(&text, &wanted.password, args.force)?;
        remark(&format!("Wrote {files}.\n"));
    }
    let written = Places { config: Some(layout.config.clone()), ..places.clone() };
    if starts {
        start(&layout, nothing_new)?;
        wait(&written, &layout);
    }
    let moved_in = found.has_lived() && move_in::offer(places, &written, found.server_url(), &mut dialogue)?;
    let report = doctor::examined(&written)?;
    let next = next(places, &layout, starts, found.has_lived() && !moved_in);
    let text = format!("{}\n{next}", doctor::told(&report, doctor::colours()));
    // Who wants nothing started knows that nothing runs.
    if report.verdict == Level::Red && starts {
        return Err(Failure::with_result(text, doctor::exit_code(report.verdict)));
    }
    Ok(text)
}

/// Asks for what is not named, and tries it.
async fn agree(args: &Args, layout: &Layout, dialogue: &mut Dialogue) -> Result<(Wanted, Found), Failure> {
    let there = layout.there();
    let there = there.as_ref().map(|there| &there.config.owncast);
    let usual = there.map_or_else(|| USUAL_OWNCAST.to_owned(), |there| there.url.to_string());
    let user = args.admin_user.clone().or_else(|| there.map(|there| there.admin_user.clone()));
    let user = user.unwrap_or_else(|| USUAL_USER.to_owned());
    let owncast = loop {
        let address = match &args.owncast {
            Some(address) => address.clone(),
            None => dialogue.asks("Owncast's own address, as this machine reaches it", &usual)?,
        };
        let api = api(&user, &address, &Secret::new(""))?;
        match api.status().await {
            Ok(status) => {
                remark(&format!("Owncast {} answers at {address}.", status.version_number));
                break address;
            }
            Err(error) if args.owncast.is_none() && dialogue.asks_at_all() => remark(&format!("{error}\n")),
            Err(error) => return Err(Failure::new(error.to_string())),
        }
    };
    let given = given_password(args)?;
    let mut tries = 0;
    let (password, found) = loop {
        tries += 1;
        let password = match &given {
            Some(password) => password.clone(),
            None => dialogue.asks_secret(&format!("Password of Owncast's admin pages (user {user})"))?,
        };
        match found::look(&api(&user, &owncast, &password)?).await {
            Ok(found) => break (password, found),
            Err(OwncastError::WrongPassword { .. }) if given.is_none() && tries < TRIES => {
                remark("Owncast refuses this password.\n");
            }
            Err(OwncastError::WrongPassword { url }) => {
                return Err(Failure::new(format!(
                    "Owncast at {url} refuses this admin password for the user {user}; nothing was written"
                )));
            }
            Err(error) => return Err(Failure::new(error.to_string())),
        }
    };
    let own = ports::own(layout);
    let free = own.map_or_else(|| ports::free(layout), Ok)?;
    let public = match args.public {
        Some(public) => public,
        None => dialogue.asks("Where the agent listens for the reverse proxy", &free[0].to_string())?,
    };
    let webhook = args.webhook.unwrap_or(free[1]);
    let metrics = args.metrics.unwrap_or(free[2]);
    let listen = [public, webhook, metrics];
    ports::must_be_free(&listen, own.as_ref().map_or(&[], <[_; 3]>::as_slice))?;
    Ok((Wanted { owncast, user, password, listen }, found))
}

fn api(user: &str, owncast: &HttpUrl, password: &Secret) -> Result<Api, Failure> {
    Api::read_only(owncast.url().clone(), user.to_owned(), password.clone())
        .map_err(|error| Failure::new(error.to_string()))
}

/// From the file or the environment; never from the command line, which everybody on the machine can read.
fn given_password(args: &Args) -> Result<Option<Secret>, Failure> {
    let (text, whence) = match &args.admin_password_file {
        Some(file) if file.as_os_str() == "-" => {
            (std::io::read_to_string(std::io::stdin()), "standard input".to_owned())
        }
        Some(file) => (std::fs::read_to_string(file), file.display().to_string()),
        None => return Ok(env(PASSWORD_VARIABLE).filter(|text| !text.is_empty()).map(Secret::new)),
    };
    let text =
        text.map_err(|error| Failure::new(format!("the password cannot be read from {whence}: {error}")))?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(Failure::new(format!("there is no password in {whence}"))),
        several if several.contains('\n') => {
            Err(Failure::new(format!("the password in {whence} has to be on one line, with nothing else")))
        }
        password => Ok(Some(Secret::new(password))),
    }
}

/// What will be done, before it is.
fn plan(layout: &Layout, args: &Args, wanted: &Wanted, found: &Found, starts: bool) -> String {
    let [public, webhook, metrics] = wanted.listen;
    let mut text = String::from("\nOn this machine:\n");
    text.push_str(&format!("  write {} (may be read by all; no secret is in it)\n", layout.config.display()));
    let there = layout.there();
    match (&there, layout.old().display()) {
        (Some(_), old) => {
            text.push_str(&format!("  keep all other settings in it, and the file as it was as {old}\n"));
        }
        (None, old) if layout.config.exists() => text.push_str(&format!(
            "  keep what it replaces as {old}; that cannot be read ({} says why), and none of its settings stays\n",
            here().typed("check-config")
        )),
        (None, _) => {}
    }
    text.push_str(&format!("  write {} (the password; for root alone)\n", layout.password.display()));
    text.push_str(&format!(
        "  listen on {public} (for the proxy), {webhook} (for Owncast), {metrics} (metrics)\n"
    ));
    if webhook.ip().is_loopback() {
        text.push_str(&format!(
            "    (an Owncast in a container does not reach {webhook}: name this machine's address in its network with --webhook)\n"
        ));
    }
    match &layout.unit {
        _ if !starts => {}
        Some(unit) => {
            text.push_str(&format!("  start the service {unit}, now and whenever the machine starts\n"));
        }
        None => text.push_str("  start nothing: systemd has no service here for this configuration\n"),
    }
    text.push_str("In Owncast, once the agent runs:\n");
    for deed in found.deeds(webhook) {
        text.push_str(&format!("  {deed}\n"));
    }
    text.push_str("In the fediverse:\n");
    let kept = there.map(|there| there.config.identity);
    let public_url = args.public_url.as_ref().or(kept.as_ref().and_then(|kept| kept.public_url.as_ref()));
    let username = args.username.as_ref().map(|name| name.0.as_str());
    let username = username.or(kept.as_ref().and_then(|kept| kept.username.as_deref()));
    text.push_str(&format!("  {}\n", found.identity(public_url, username)));
    for warning in found.warnings() {
        text.push_str(&format!("\nBut: {warning}\n"));
    }
    text
}

fn start(layout: &Layout, nothing_new: bool) -> Result<(), Failure> {
    let Some(unit) = layout.unit.as_deref() else { return Ok(()) };
    // An agent that runs already goes on with its old configuration otherwise.
    let start = if nothing_new { "start" } else { "restart" };
    for arguments in [["enable", unit].as_slice(), &[start, unit]] {
        let status = std::process::Command::new(SYSTEMCTL).args(arguments).status();
        match status {
            Ok(status) if status.success() => {}
            outcome => {
                let why = outcome.map_or_else(|error| error.to_string(), |status| status.to_string());
                return Err(Failure::new(format!(
                    "everything is written, but `systemctl {}` failed ({why}); `{}` says why",
                    arguments.join(" "),
                    here().journal()
                )));
            }
        }
    }
    Ok(())
}

/// Waits until a started agent has settled what it can, so that doctor finds it so.
fn wait(places: &Places, layout: &Layout) {
    if layout.unit.is_none() {
        return;
    }
    let settled = |status: &Status| {
        let known = status.identity.state == IdentityWord::Settled || status.identity.why.is_some();
        known && !matches!(status.sources.webhook.way, Way::Untried)
    };
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Ok(Ok(Answer::Status(status))) = places.try_ask(&Ask::Status)
            && settled(&status)
        {
            return;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// What is left to do, said so that it can be typed.
fn next(places: &Places, layout: &Layout, starts: bool, to_adopt: bool) -> String {
    let mut text = String::from("Next:\n");
    if layout.unit.is_none() || !starts {
        text.push_str(&format!("  start the agent: {}\n", places.typed("run")));
    }
    if to_adopt {
        text.push_str(&format!(
            "  take over Owncast's key and followers: {} (it says what it needs); until then the agent waits\n",
            places.typed("adopt")
        ));
    }
    text.push_str(&format!(
        "  tell your proxy: {} (or caddy, apache, traefik)\n",
        places.typed("proxy-config nginx")
    ));
    text.push_str(&format!("  look again: {}\n", places.typed("doctor")));
    text
}
