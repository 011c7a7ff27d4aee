//! The agent's end of the administration socket. Who may open the file may administrate.

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::WriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::protocol::{self, Answer, Ask, LONGEST_REQUEST, Refusal, RefusalCode};
use super::{Control, operations};
use crate::backup::{Exporter, Keys};

/// Mode of the socket file: the agent's user and group.
const MODE: u32 = 0o660;
/// Requests worked on at a time; more wait to be accepted.
const CONNECTIONS: usize = 16;
/// How long an asker may take to send its one line.
const ASKING: Duration = Duration::from_secs(10);
/// How long a request may take to be carried out.
const WORKING: Duration = Duration::from_secs(60);
/// How long an asker may take to read the answer.
const ANSWERING: Duration = Duration::from_secs(30);
/// How long requests under way are waited for when the agent stops.
const PARTING: Duration = Duration::from_secs(2);

/// Why the socket could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Somebody answers on it.
    #[error(
        "another agent answers on {}; stop that one first, or give this one another admin-socket under [listen]",
        path.display()
    )]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// Something else stands there, which is not ours to delete.
    #[error("{} is not a socket; move it away, or set another admin-socket under [listen]", path.display())]
    NotASocket {
        /// The file.
        path: PathBuf,
    },
    /// The folder, the permissions, or a path longer than the 107 bytes of a socket's address (unix(7)).
    #[error(
        "the administration socket {} cannot be made: {cause}; set an admin-socket under [listen] whose folder exists \
         and may be written by the agent's user",
        path.display()
    )]
    Io {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

/// Makes the socket, mode 0660, in place of one that nobody answers on. Must be called within the runtime.
///
/// # Errors
/// Somebody answers on it, something else stands there, or the system refuses.
pub fn bind(path: &Path) -> Result<UnixListener, SocketError> {
    let failed = |cause| SocketError::Io { path: path.to_owned(), cause };
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(SocketError::NotASocket { path: path.to_owned() });
        }
        Ok(_) => remove_stale(path)?,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
        Err(cause) => return Err(failed(cause)),
    }
    let listener = std::os::unix::net::UnixListener::bind(path).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(MODE)).map_err(failed)?;
    // Under a loose umask the file was open to others for a moment: whoever came in then is sent away.
    while listener.accept().is_ok() {}
    UnixListener::from_std(listener).map_err(failed)
}

fn remove_stale(path: &Path) -> Result<(), SocketError> {
    let failed = |cause| SocketError::Io { path: path.to_owned(), cause };
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Err(SocketError::InUse { path: path.to_owned() }),
        Err(cause) if cause.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(failed)
        }
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(cause) => Err(failed(cause)),
    }
}

/// Answers until cancelled, then lets requests under way finish for a moment and removes the file.
pub async fn run(listener: UnixListener, control: Arc<Control>, cancel: CancellationToken) {
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            () = cancel.cancelled() => break,
            Some(_) = tasks.join_next() => {}
            accepted = listener.accept(), if tasks.len() < CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    tasks.spawn(serve(stream, Arc::clone(&control), cancel.clone()));
                }
                Err(cause) => {
                    tracing::warn!(%cause, "the administration socket accepts nobody at the moment");
                    // Out of file handles, say: asking again at once would only burn time.
                    let _ = timeout(Duration::from_secs(1), cancel.cancelled()).await;
                }
            },
        }
    }
    let path = listener.local_addr().ok().and_then(|address| address.as_pathname().map(Path::to_owned));
    // While the listener lives nobody else takes the path over.
    if let Some(path) = path
        && let Err(cause) = std::fs::remove_file(&path)
        && cause.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%cause, path = %path.display(), "the administration socket's file stays behind");
    }
    drop(listener);
    let _ = timeout(PARTING, async { while tasks.join_next().await.is_some() {} }).await;
}

/// One line in, one line out.
async fn serve(mut stream: UnixStream, control: Arc<Control>, cancel: CancellationToken) {
    let (asking, mut answering) = stream.split();
    let mut line = Vec::new();
    let mut asking = BufReader::new(asking).take(LONGEST_REQUEST as u64 + 1);
    let read = tokio::select! {
        () = cancel.cancelled() => return,
        read = timeout(ASKING, asking.read_until(b'\n', &mut line)) => read,
    };
    if !matches!(read, Ok(Ok(length)) if length > 0) {
        return;
    }
    let answer = match understood(&line) {
        Ok(Ask::Export) => {
            tokio::select! {
                () = cancel.cancelled() => {}
                () = export(&mut answering, &control) => {}
            }
            return;
        }
        Ok(ask) => timeout(WORKING, operations::answer(&control, ask)).await.unwrap_or_else(|_| {
            Answer::Refused(Refusal {
                code: RefusalCode::Unavailable,
                message: format!("the agent did not get it done within {WORKING:?}; look into its log"),
            })
        }),
        Err(refusal) => Answer::Refused(refusal),
    };
    match protocol::line(&answer) {
        // The asker may have gone away; what was done stands.
        Ok(bytes) => drop(timeout(ANSWERING, answering.write_all(&bytes)).await),
        Err(error) => tracing::error!(%error, "an answer on the administration socket cannot be written"),
    }
}

/// The answer, and behind it the whole file. What is cut off lacks its last line, which the asker misses.
async fn export(answering: &mut WriteHalf<'_>, control: &Control) {
    let config = Arc::clone(&control.effective.borrow().config);
    let file = config.identity.key_file.clone();
    // The private key never goes through this socket.
    let keys = tokio::task::spawn_blocking(move || Keys::of(&file, None)).await.unwrap_or_default();
    let begun = Exporter::new(control.store.clone(), &config.store.path, keys, Timestamp::now()).await;
    let first = match &begun {
        Ok(_) => Answer::Export,
        Err(error) => Answer::Refused(Refusal { code: RefusalCode::Unavailable, message: error.to_string() }),
    };
    let (Ok(first), mut begun) = (protocol::line(&first), begun) else { return };
    let mut block = Some(first);
    while let Some(bytes) = block {
        if !matches!(timeout(ANSWERING, answering.write_all(&bytes)).await, Ok(Ok(()))) {
            return;
        }
        let Ok(exporter) = &mut begun else { return };
        block = match exporter.next().await {
            Ok(block) => block,
            Err(error) => {
                tracing::error!(target: "herald::agent", %error, "an export was broken off");
                return;
            }
        };
    }
}

fn understood(line: &[u8]) -> Result<Ask, Refusal> {
    let bad = |message| Refusal { code: RefusalCode::BadRequest, message };
    if line.len() > LONGEST_REQUEST {
        return Err(bad(format!("the request is longer than {LONGEST_REQUEST} bytes")));
    }
    protocol::read_line(line).map_err(|error| bad(error.to_string()))
}
