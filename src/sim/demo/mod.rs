//! `owncast-herald demo`: the real agent between a simulated Owncast and a simulated fediverse, told line by line.
//!
//! Everything listens on loopback and speaks real HTTP; nothing needs root or a configuration, and the temporary
//! folder is gone at the end. A step counts only once it was seen at the other end: on a follower's server, or in
//! Owncast's chat.

mod cast;
mod life;
mod log;
mod stage;
mod story;
mod teller;

use std::io::{IsTerminal, Write};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::agent::AgentError;
use crate::config::ConfigError;
use crate::sim::fediverse::SimError;
use crate::sim::owncast::SimOwncast;
use cast::Cast;
use stage::{House, Stage};
use story::Story;
use teller::Teller;

/// What the command line says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DemoOptions {
    /// Tell the story once and end, instead of going on until Ctrl-C.
    pub once: bool,
    /// Colours, if standard output is a terminal.
    pub color: bool,
}

/// How a performance goes: what the command line says, and what a test turns to see it fail.
#[derive(Clone, Debug)]
pub struct Play {
    /// Tell the story once and end, instead of going on until Ctrl-C.
    pub once: bool,
    /// Colours, wherever the text goes.
    pub color: bool,
    /// How long a step may take until it is seen at the other end.
    pub patience: Duration,
    /// Done to the simulated Owncast before the agent meets it.
    pub upset: fn(&SimOwncast),
}

impl Default for Play {
    fn default() -> Self {
        Play { once: true, color: false, patience: Duration::from_secs(12), upset: |_| () }
    }
}

/// Why a demo did not get to its end.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A step was not seen at the other end in its time.
    #[error("{who}: expected {expected}; it was not observed within {} s", .waited.as_secs_f32())]
    NotObserved {
        /// At whose end.
        who: String,
        /// What should have been seen there.
        expected: String,
        /// How long it was waited for.
        waited: Duration,
    },
    /// What was seen at the other end is not what should be there.
    #[error("{who}: expected {expected}, found {found}")]
    Unexpected {
        /// At whose end.
        who: String,
        /// What should be there.
        expected: String,
        /// What is.
        found: String,
    },
    /// A server of the fediverse saw the protocol broken.
    #[error("{server} saw a protocol fault ({count} in all): {first}")]
    Faults {
        /// The server's software.
        server: String,
        /// Faults seen there.
        count: usize,
        /// The first of them.
        first: String,
    },
    /// Somebody of the simulated fediverse could not do their part.
    #[error("{who}: {cause}")]
    Peer {
        /// Who.
        who: String,
        /// Why not.
        cause: SimError,
    },
    /// The configuration written for the agent was refused.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The agent ended by itself.
    #[error("the agent ended: {0}")]
    Agent(AgentError),
    /// The agent ended without saying why, or its task broke down.
    #[error("the agent ended before the story did; its log says why")]
    AgentGone,
    /// The system refused a folder, a socket or a signal.
    #[error("cannot {what}: {cause}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The text could not be written, because nobody reads it any more for instance.
    #[error("the story cannot be written: {0}")]
    Output(#[from] std::io::Error),
    /// Ctrl-C or SIGTERM came before the end.
    #[error("interrupted before the story was told")]
    Interrupted,
}

/// Tells the story on standard output.
///
/// Without `once` it goes on until Ctrl-C, which is a good end. Must run on a multi-threaded runtime. The agent's log
/// goes to a file unless the process has set up logging already: then it goes there.
///
/// # Errors
/// See [`DemoError`]; with `once`, any step that was not seen at the other end.
pub async fn run(options: DemoOptions) -> Result<(), DemoError> {
    let color = options.color && std::io::stdout().is_terminal();
    perform(Play { once: options.once, color, ..Play::default() }, std::io::stdout()).await
}

/// Tells the story to `out`.
///
/// # Errors
/// As [`run`].
pub async fn perform(play: Play, out: impl Write + Send + 'static) -> Result<(), DemoError> {
    let refused = |cause| DemoError::System { what: "listen for signals", cause };
    let mut interrupt = signal(SignalKind::interrupt()).map_err(refused)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(refused)?;
    let mut teller = Teller::new(Box::new(out), play.color);
    let house = House::open()?;
    let log = log::to_file(house.folder());
    let told = tokio::select! {
        // A signal stops the agent too: it must be seen first, or the next step would count as missed.
        biased;
        _ = interrupt.recv() => Err(DemoError::Interrupted),
        _ = terminate.recv() => Err(DemoError::Interrupted),
        told = tell(&play, &house, log.as_deref(), &mut teller) => told,
    };
    let said = log.as_deref().map(log::complaints).unwrap_or_default();
    house.clear().await;
    match told {
        Ok(()) => Ok(()),
        Err(DemoError::Interrupted) if !play.once => {
            teller.plain("\nStopped. Nothing is left behind.")?;
            Ok(())
        }
        Err(error) => {
            // The error that led here is the one to hand on, even if nobody reads the story any more.
            let _ = teller.failed(&error.to_string(), &said);
            Err(error)
        }
    }
}

async fn tell(
    play: &Play,
    house: &House,
    log: Option<&std::path::Path>,
    teller: &mut Teller,
) -> Result<(), DemoError> {
    let owncast = stage::owncast(play.upset).await?;
    teller.prologue(&owncast.url(), log)?;
    let stage = Stage::set(house, owncast, play.patience, teller).await?;
    let cast = Cast::gather(&stage.fediverse).await?;
    let mut story = Story { stage: &stage, cast: &cast, teller, patience: play.patience };
    let told = async {
        story.tell().await?;
        if !play.once {
            story.live_on().await?;
        }
        Ok(())
    };
    tokio::select! {
        ended = stage.agent_ended() => Err(ended),
        told = told => told,
    }
}
