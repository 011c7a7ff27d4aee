//! `setup`: from a fresh package to a running, examined agent.

mod dialogue;
mod found;
mod kept;
mod layout;
mod move_in;
mod own;
mod ports;
pub(super) mod service;
mod words;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::files::{Places, env};
use super::outcome::remark;
use super::{Failure, Outcome, doctor};
use crate::agent::board::Way;
use crate::config::value::{UserName, from_argument};
use crate::config::{HttpUrl, PASSWORD_VARIABLE, Secret};
use crate::control::protocol::{Answer, Ask, IdentityStatus, IdentityWord, Status};
use crate::doctor::Level;
use crate::owncast::{Api, OwncastError};

use dialogue::Dialogue;
use found::Found;
use layout::Layout;
use own::Own;
use words::{Plan, listed};

const AFTER_HELP: &str = "\
Examples:
  sudo owncast-herald setup
  sudo owncast-herald setup --webhook 172.17.0.1:8586
  sudo owncast-herald setup --yes --admin-password-file /root/owncast-password

The password is asked for without being shown, or read from a file (`-`: standard input) or from the variable \
OWNCAST_ADMIN_PASSWORD. Nothing is written before everything was tried, shown and agreed to. Where --yes finds all of it \
written already, it changes and restarts nothing, sees that the service runs, and examines everything.

Exit codes: 0 done, 1 nothing was written, or it says what was, 4 all is written, but what doctor then finds does not work \
yet: a proxy that does not know the agent is such a finding. With --no-start doctor's findings do not count.";

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
    /// Where the agent listens for Owncast's webhook [default: 127.0.0.1:8586, or the next that is free; with --force the one
    /// it has]; for an Owncast in a container this machine's address in its network
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub webhook: Option<SocketAddr>,
    /// Where the agent listens for probes and metrics [default: 127.0.0.1:8587, or the next that is free; with --force the one
    /// it has]
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
        layout.refuse_to_replace(&[&layout.config], args.force)?;
        layout.must_be_writable()?;
    }
    layout.must_be_usable()?;
    let mut dialogue = Dialogue::new(args.yes)?;
    let stopped = layout.is_stopped();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("the system gives no threads: {error}")))?;
    let (wanted, found) = runtime.block_on(agree(places, args, &layout, &mut dialogue))?;
    let configuration = layout.configuration(args, &wanted)?;
    // Somebody has stopped it, and has not said since that it is to run.
    let starts = !args.no_start
        && (!stopped || dialogue.agrees("The service is stopped. Start it when all is written")?);
    let to_write = layout.to_write(&configuration, &wanted.password, args.force);
    let nothing_new = to_write.is_empty();
    let identity = layout.identity(&configuration);
    if nothing_new {
        let files = layout.holding();
        let files = listed(&files.iter().map(PathBuf::as_path).collect::<Vec<_>>());
        remark(&format!("Nothing to change: all of this is in {files} already.\n"));
    } else {
        layout.refuse_to_replace(&to_write, args.force)?;
        let plan = Plan {
            layout: &layout,
            args,
            wanted: &wanted,
            found: &found,
            identity: &identity,
            to_write: &to_write,
            starts,
            has_key: own::has_key(places),
        };
        remark(&plan.told());
        if !dialogue.agrees("Do this")? {
            return Err(Failure::new("nothing was written"));
        }
        layout.write(&dialogue.in_order(), &to_write, &configuration.text, &wanted.password, args.force)?;
        remark(&format!("Wrote {}.\n", listed(&to_write)));
    }
    let written = Places { config: Some(layout.config.clone()), ..places.clone() };
    if starts && let Some(unit) = &layout.unit {
        // An agent that runs already goes on with its old configuration otherwise.
        service::start(unit, !nothing_new)?;
        wait(&written, |identity| identity.state == IdentityWord::Settled || identity.why.is_some());
    }
    let to_adopt = found.has_lived() && !own::has_key(&written);
    let moved_in = to_adopt && move_in::offer(places, &written, found.server_url(), &mut dialogue);
    if moved_in {
        wait(&written, |identity| identity.state == IdentityWord::Settled);
    }
    let report = doctor::examined(&written)?;
    let runs = written.agent_runs();
    let is_done = starts && layout.unit.is_some() || runs && nothing_new;
    let start = (!is_done).then(|| words::start(places, &layout, runs));
    // An agent that runs, or has, is asked by proxy-config itself: it goes on as who it was, whatever Owncast says by now.
    let ours = found.ours(&identity).filter(|_| !runs && Own::of(&written).is_nobody_yet());
    let named = ours.as_ref().map(words::named).unwrap_or_default();
    let next = words::next(places, start, to_adopt && !moved_in, &named);
    let text = format!("{}\n{next}", doctor::told(&report, doctor::colours()));
    // Who wants nothing started knows that nothing runs.
    if report.verdict == Level::Red && starts {
        return Err(Failure::with_result(text, doctor::exit_code(report.verdict)));
    }
    Ok(text)
}

/// Asks for what is not named, and tries it.
async fn agree(
    places: &Places,
    args: &Args,
    layout: &Layout,
    dialogue: &mut Dialogue,
) -> Result<(Wanted, Found), Failure> {
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
            Err(error) => {
                let mut error = error.to_string();
                if there.is_none() {
                    // Nowhere is anything written yet.
                    error = error.replace("`[owncast] url`", "`--owncast`");
                }
                if args.owncast.is_some() || !dialogue.asks_at_all() {
                    return Err(Failure::new(error));
                }
                remark(&format!("{error}\n"));
            }
        }
    };
    let given = given_password(args)?;
    let own = Own::of(places);
    let mut tries = 0;
    let (password, found) = loop {
        tries += 1;
        let password = match &given {
            Some(password) => password.clone(),
            None => dialogue.asks_secret(&format!("Password of Owncast's admin pages (user {user})"))?,
        };
        match found::look(&api(&user, &owncast, &password)?, &own).await {
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
    let listens = ports::own(layout);
    let proposed = |public| ports::proposed(layout, listens, [public, args.webhook, args.metrics]);
    let public = match args.public {
        Some(public) => public,
        None => {
            dialogue.asks("Where the agent listens for the reverse proxy", &proposed(None)?[0].to_string())?
        }
    };
    let listen = proposed(Some(public))?;
    ports::must_differ(listen)?;
    let runs = listens.is_some() && places.agent_runs();
    ports::must_be_free(&listen, listens.as_ref().map_or(&[], <[_; 3]>::as_slice), runs)?;
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

/// Waits until a started agent knows as much of itself, and of its webhook, so that doctor finds it so.
fn wait(places: &Places, is_known: impl Fn(&IdentityStatus) -> bool) {
    let settled =
        |status: &Status| is_known(&status.identity) && !matches!(status.sources.webhook.way, Way::Untried);
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
