//! Questions on the terminal.

use std::io::{BufRead, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};

use super::super::Failure;
use crate::config::value::{FromText, HttpUrl, from_argument};
use crate::config::{Secret, here};

/// What a shell is told of a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// Somebody at a terminal, or nobody.
pub(super) struct Dialogue {
    asks: bool,
    terminal: Terminal,
}

/// How the terminal was, while it is otherwise. Who ends the program at a signal holds this first.
#[derive(Clone, Default)]
struct Terminal(Arc<Mutex<Option<Termios>>>);

/// While this is there, no signal ends the program.
#[must_use]
pub(super) struct InOrder<'a> {
    _held: MutexGuard<'a, Option<Termios>>,
}

/// What a question may be answered with.
pub(super) trait Reply: Sized {
    /// Reads an answer, or says what would be one.
    fn read(text: &str) -> Result<Self, String>;
}

impl Reply for HttpUrl {
    fn read(text: &str) -> Result<Self, String> {
        from_argument::<HttpUrl>(text)
    }
}

impl Reply for std::net::SocketAddr {
    fn read(text: &str) -> Result<Self, String> {
        crate::config::value::Listener::from_text(text)
            .map(|listener| listener.0)
            .ok_or_else(|| "expected an IP address with a port, such as 127.0.0.1:8585".to_owned())
    }
}

struct UnlessDash<T>(Option<T>);

impl<T: Reply> Reply for UnlessDash<T> {
    fn read(text: &str) -> Result<Self, String> {
        if text == "-" { Ok(UnlessDash(None)) } else { T::read(text).map(|reply| UnlessDash(Some(reply))) }
    }
}

impl Dialogue {
    /// `yes`: nobody is asked.
    ///
    /// # Errors
    /// There is nobody to ask.
    pub(super) fn new(yes: bool) -> Result<Dialogue, Failure> {
        if !yes && !std::io::stdin().is_terminal() {
            return Err(Failure::new(format!(
                "there is no terminal to ask on; with --yes nothing is asked ({} shows an example)",
                here().typed("setup --help")
            )));
        }
        let terminal = Terminal::default();
        if !yes {
            terminal.clone().give_back_at_a_signal()?;
        }
        Ok(Dialogue { asks: !yes, terminal })
    }

    /// Whether there is somebody who can correct an answer.
    pub(super) fn asks_at_all(&self) -> bool {
        self.asks
    }

    /// For what is not to be left half done when a signal ends the program.
    pub(super) fn in_order(&self) -> InOrder<'_> {
        InOrder { _held: self.terminal.changed() }
    }

    /// Asks until the answer can be used; nothing typed, or nobody there, means `usual`.
    pub(super) fn asks<T: Reply>(&mut self, question: &str, usual: &str) -> Result<T, Failure> {
        loop {
            let typed = if self.asks { line(&format!("{question} [{usual}]: "))? } else { String::new() };
            let text = if typed.trim().is_empty() { usual } else { typed.trim() };
            match T::read(text) {
                Ok(reply) => return Ok(reply),
                Err(why) if self.asks => say(&format!("{why}\n")),
                Err(why) => return Err(Failure::new(format!("{question}: {why}"))),
            }
        }
    }

    /// As [`Dialogue::asks`]; a dash means nothing at all.
    pub(super) fn asks_unless_dash<T: Reply>(
        &mut self,
        question: &str,
        usual: &str,
    ) -> Result<Option<T>, Failure> {
        self.asks::<UnlessDash<T>>(question, usual).map(|reply| reply.0)
    }

    /// Asks for something that is not shown while it is typed.
    pub(super) fn asks_secret(&mut self, question: &str) -> Result<Secret, Failure> {
        if !self.asks {
            return Err(Failure::new(
                "Owncast's admin password is not named: --admin-password-file FILE, or the variable OWNCAST_ADMIN_PASSWORD",
            ));
        }
        loop {
            // With its blanks: they may be of the password.
            let typed = self.terminal.unseen(|| line(&format!("{question}: ")))?;
            say("\n");
            if !typed.is_empty() {
                return Ok(Secret::new(typed));
            }
        }
    }

    /// Whether somebody agrees, or nobody is asked.
    pub(super) fn agrees(&mut self, what: &str) -> Result<bool, Failure> {
        if !self.asks {
            return Ok(true);
        }
        loop {
            if let Some(answer) = yes_or_no(&line(&format!("{what}? [y/n]: "))?) {
                return Ok(answer);
            }
        }
    }

    /// Whether somebody agrees, by typing nothing too. Where nobody is asked, nobody does.
    pub(super) fn agrees_usually(&mut self, what: &str) -> Result<bool, Failure> {
        if !self.asks {
            return Ok(false);
        }
        loop {
            let typed = line(&format!("{what}? [Y/n]: "))?;
            if typed.trim().is_empty() {
                return Ok(true);
            }
            if let Some(answer) = yes_or_no(&typed) {
                return Ok(answer);
            }
        }
    }
}

fn yes_or_no(typed: &str) -> Option<bool> {
    match typed.trim().to_lowercase().as_str() {
        "y" | "yes" => Some(true),
        "n" | "no" => Some(false),
        _ => None,
    }
}

fn say(text: &str) {
    let mut out = std::io::stderr();
    // Who has no screen gets no question either.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn line(question: &str) -> Result<String, Failure> {
    say(question);
    let mut typed = String::new();
    match std::io::stdin().lock().read_line(&mut typed) {
        Ok(0) => {
            say("\n");
            Err(Failure::new("the input ended; nothing was written"))
        }
        Ok(_) => Ok(typed.trim_end_matches(['\r', '\n']).to_owned()),
        Err(error) => Err(Failure::new(format!("the terminal cannot be read: {error}"))),
    }
}

impl Terminal {
    /// Whoever ends the program amid a question gets the terminal back as it was. It waits on a thread of its own, because
    /// the one that asks waits for the keyboard; and for good, because a signal that was once listened to ends nothing by
    /// itself any more.
    fn give_back_at_a_signal(self) -> Result<(), Failure> {
        let failed = |error| Failure::new(format!("the system does not tell of signals: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (mut interrupt, mut terminate, mut hang_up) = {
            let _inside = runtime.enter();
            let listen = |kind| signal(kind).map_err(failed);
            (
                listen(SignalKind::interrupt())?,
                listen(SignalKind::terminate())?,
                listen(SignalKind::hangup())?,
            )
        };
        let watch = move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    _ = hang_up.recv() => {}
                }
            });
            let mut changed = self.changed();
            show(&mut changed);
            say("\n");
            // Who asks cannot hide anything any more.
            std::process::exit(INTERRUPTED);
        };
        std::thread::Builder::new().spawn(watch).map(drop).map_err(failed)
    }

    /// Does something while the terminal shows nothing of what is typed.
    fn unseen<T>(&self, read: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
        let failed = |error: rustix::io::Errno| {
            Failure::new(format!("the terminal cannot hide what is typed: {error}"))
        };
        let stdin = std::io::stdin();
        let shown = tcgetattr(&stdin).map_err(failed)?;
        let mut hidden = shown.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        let mut changed = self.changed();
        tcsetattr(&stdin, OptionalActions::Flush, &hidden).map_err(failed)?;
        *changed = Some(shown);
        drop(changed);
        let read = read();
        show(&mut self.changed());
        read
    }

    fn changed(&self) -> MutexGuard<'_, Option<Termios>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shows again what is typed, if it was hidden.
fn show(changed: &mut Option<Termios>) {
    if let Some(shown) = changed.take() {
        // A terminal that is gone needs nothing any more.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &shown);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_waits_for_what_is_done_in_order() {
        let dialogue = Dialogue { asks: true, terminal: Terminal::default() };
        let ends = || dialogue.terminal.0.try_lock().is_ok();
        let in_order = dialogue.in_order();
        assert!(!ends());
        drop(in_order);
        assert!(ends());
    }
}
