//! Ctrl-C while a copy of Owncast's database lies about: it holds the key, and goes before the process does.
//!
//! A signal that nobody listens for ends the process where it stands. Once [`listen`] was called it only leaves a mark,
//! which [`check`] looks for wherever there is time to end in order: whatever was made is then dropped, as after any error.

use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::AdoptError;

/// What the runtime needs to see a signal that has come.
const LOOK: Duration = Duration::from_millis(1);

/// How long after Ctrl-C a wait goes on.
const WAIT: Duration = Duration::from_millis(100);

static LISTENING: Mutex<Option<Listening>> = Mutex::new(None);

struct Listening {
    /// Of this thread alone: a thread of its own would keep the user that this process may give up.
    runtime: Runtime,
    signals: [Signal; 3],
    came: bool,
}

/// From now on SIGINT, SIGTERM and SIGHUP end nothing by themselves.
///
/// # Errors
/// The system does not let us.
pub fn listen() -> Result<(), AdoptError> {
    let mut listening = LISTENING.lock().unwrap_or_else(PoisonError::into_inner);
    if listening.is_some() {
        return Ok(());
    }
    let runtime = Builder::new_current_thread().enable_all().build().map_err(AdoptError::Signals)?;
    let entered = runtime.enter();
    let [interrupt, terminate, hangup] =
        [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
    let signals = [
        interrupt.map_err(AdoptError::Signals)?,
        terminate.map_err(AdoptError::Signals)?,
        hangup.map_err(AdoptError::Signals)?,
    ];
    drop(entered);
    *listening = Some(Listening { runtime, signals, came: false });
    Ok(())
}

/// Waits for what `work` answers, which may take longer than anybody waits for after Ctrl-C: it goes on by itself then.
///
/// # Errors
/// A signal has come since [`listen`].
pub fn unless<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, AdoptError> {
    let (answered, answer) = std::sync::mpsc::sync_channel(1);
    // Nobody is there to take what comes too late.
    let work = move || drop(answered.send(work()));
    std::thread::Builder::new().spawn(work).map_err(AdoptError::Signals)?;
    loop {
        match answer.recv_timeout(WAIT) {
            Ok(answer) => return Ok(answer),
            Err(RecvTimeoutError::Timeout) => check()?,
            Err(cause @ RecvTimeoutError::Disconnected) => {
                return Err(AdoptError::Signals(std::io::Error::other(cause)));
            }
        }
    }
}

/// Whether to go on.
///
/// # Errors
/// A signal has come since [`listen`].
pub fn check() -> Result<(), AdoptError> {
    let mut listening = LISTENING.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(Listening { runtime, signals: [interrupt, terminate, hangup], came }) = listening.as_mut()
    else {
        return Ok(());
    };
    *came |= runtime.block_on(async {
        tokio::select! {
            biased;
            _ = interrupt.recv() => true,
            _ = terminate.recv() => true,
            _ = hangup.recv() => true,
            () = tokio::time::sleep(LOOK) => false,
        }
    });
    if *came { Err(AdoptError::Interrupted) } else { Ok(()) }
}
