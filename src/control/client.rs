//! The command line's end of the administration socket. Blocks: a command asks one thing and ends.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::protocol::{self, Answer, Ask, LONGEST_ANSWER, LineError, Refusal, RefusalCode};
use crate::config::here;

/// Longer than the agent takes to give up on a request.
const PATIENCE: Duration = Duration::from_secs(70);

/// A socket on which nobody was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// The socket.
    pub path: PathBuf,
    /// What was found instead of an agent.
    pub found: &'static str,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens anywhere.
    #[error(
        "no agent is running here; nobody answers on\n{}\nStart it ({}), or name its socket with --socket PATH if it is \
         elsewhere",
        Lines(tried),
        here().service("start")
    )]
    NoAgent {
        /// Where it was looked for.
        tried: Vec<Tried>,
    },
    /// There is a socket, and this user may not open it.
    #[error("{}", denial(path, whose))]
    Denied {
        /// The socket.
        path: PathBuf,
        /// Owner and group of the file or folder that keeps us out, if they can be told.
        whose: Option<Whose>,
    },
    /// The agent went away, or is stuck.
    #[error("the agent on {} gave no answer: {cause}; look into its log ({})", path.display(), here().journal())]
    Lost {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Another release answers.
    #[error(
        "the agent on {} is of another release ({error}); restart it ({}), or use its own owncast-herald program",
        path.display(),
        here().service("restart")
    )]
    OtherRelease {
        /// The socket.
        path: PathBuf,
        /// How that was seen.
        error: LineError,
    },
    /// The agent answered, and did nothing.
    #[error(transparent)]
    Refused(Refusal),
}

impl ClientError {
    /// The process exit code: 69 (`EX_UNAVAILABLE` of sysexits.h) when no agent runs, 78 (`EX_CONFIG`) for a bad
    /// configuration, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            ClientError::NoAgent { .. }
            | ClientError::Refused(Refusal { code: RefusalCode::NotRunning, .. }) => 69,
            ClientError::Refused(Refusal { code: RefusalCode::BadConfiguration, .. }) => 78,
            _ => 1,
        }
    }
}

/// Asks the first of these sockets on which somebody listens.
///
/// # Errors
/// Nobody listens, this user may not ask, the agent does not answer, or it refuses: then [`ClientError::Refused`].
pub fn ask(sockets: &[PathBuf], ask: &Ask) -> Result<Answer, ClientError> {
    ask_on(sockets, ask).map(|(answer, _)| answer)
}

/// As [`ask`], with what follows behind the answer.
///
/// # Errors
/// As [`ask`].
pub fn ask_on(sockets: &[PathBuf], ask: &Ask) -> Result<(Answer, BufReader<UnixStream>), ClientError> {
    let (stream, path) = connect(sockets)?;
    match exchange(stream, &path, ask)? {
        (Answer::Refused(refusal), _) => Err(ClientError::Refused(refusal)),
        answered => Ok(answered),
    }
}

/// Opens the first of these sockets on which somebody listens.
///
/// # Errors
/// Nobody listens on any, or this user may not open the one that is there.
pub fn connect(sockets: &[PathBuf]) -> Result<(UnixStream, PathBuf), ClientError> {
    let (mut tried, mut denied) = (Vec::new(), None);
    for path in sockets {
        let cause = match UnixStream::connect(path) {
            Ok(stream) => return Ok((stream, path.clone())),
            Err(cause) => cause,
        };
        let found = match cause.kind() {
            io::ErrorKind::NotFound => "there is no such file",
            io::ErrorKind::ConnectionRefused => "nobody listens on it any more",
            io::ErrorKind::PermissionDenied => {
                denied.get_or_insert_with(|| path.clone());
                continue;
            }
            io::ErrorKind::InvalidInput => "the path is too long for a socket",
            _ => "it is not a socket, or cannot be opened",
        };
        tried.push(Tried { path: path.clone(), found });
    }
    Err(match denied {
        Some(path) => ClientError::Denied { whose: whose(&path), path },
        None => ClientError::NoAgent { tried },
    })
}

fn exchange(
    mut stream: UnixStream,
    path: &Path,
    ask: &Ask,
) -> Result<(Answer, BufReader<UnixStream>), ClientError> {
    let lost = |cause| ClientError::Lost { path: path.to_owned(), cause };
    stream.set_read_timeout(Some(PATIENCE)).map_err(lost)?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(lost)?;
    let request = protocol::line(ask).map_err(|error| lost(error.into()))?;
    stream.write_all(&request).map_err(lost)?;
    let mut answer = Vec::new();
    let mut stream = BufReader::new(stream);
    (&mut stream).take(LONGEST_ANSWER as u64).read_until(b'\n', &mut answer).map_err(lost)?;
    if answer.last() != Some(&b'\n') {
        return Err(lost(io::ErrorKind::UnexpectedEof.into()));
    }
    let answer = protocol::read_line(&answer);
    let answer = answer.map_err(|error| ClientError::OtherRelease { path: path.to_owned(), error })?;
    Ok((answer, stream))
}

struct Lines<'a>(&'a [Tried]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, tried) in self.0.iter().enumerate() {
            let newline = if number == 0 { "" } else { "\n" };
            write!(f, "{newline}  {} ({})", tried.path.display(), tried.found)?;
        }
        Ok(())
    }
}

/// Who may open a file or folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whose {
    /// The socket, or the folder on the way to it.
    pub path: PathBuf,
    /// Name or number of its owner.
    pub user: String,
    /// Name or number of its group.
    pub group: String,
}

/// The socket itself where it can be seen, else the nearest folder above it that can.
fn whose(path: &Path) -> Option<Whose> {
    let (path, metadata) = path.ancestors().find_map(|path| Some((path, std::fs::metadata(path).ok()?)))?;
    Some(Whose {
        path: path.to_owned(),
        user: name_of(metadata.uid(), "/etc/passwd"),
        group: name_of(metadata.gid(), "/etc/group"),
    })
}

/// The name of a user or group: the third field of a line is its number (passwd(5), group(5)).
fn name_of(number: u32, file: &str) -> String {
    let number = number.to_string();
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let name = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1) == Some(number.as_str())).then(|| name.to_owned())
    });
    name.unwrap_or(number)
}

fn denial(path: &Path, whose: &Option<Whose>) -> String {
    let what = format!("this user may not open the administration socket {}", path.display());
    match whose {
        Some(Whose { path: kept, user, group }) => format!(
            "{what}: {} belongs to user {user} and group {group}; run this with sudo, or join that group (sudo usermod \
             -aG {group} NAME) and log in again",
            kept.display()
        ),
        None => format!("{what}; run this with sudo, or as the user the agent runs as"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_there_names_every_place_and_the_way_on() {
        let folder = tempfile::tempdir().unwrap();
        let (missing, dead) = (folder.path().join("none.sock"), folder.path().join("dead.sock"));
        drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
        let error = ask(&[missing.clone(), dead.clone()], &Ask::Status).unwrap_err();
        assert_eq!(error.exit_code(), 69);
        let text = error.to_string();
        for part in [
            &format!("{} (there is no such file)", missing.display()),
            &format!("{} (nobody listens on it any more)", dead.display()),
            "--socket PATH",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }

    #[test]
    fn a_denial_names_user_and_group() {
        let whose = Whose { path: "/run/x".into(), user: "herald".to_owned(), group: "stream".to_owned() };
        let error = ClientError::Denied { path: "/run/x/admin.sock".into(), whose: Some(whose) };
        let text = error.to_string();
        assert!(text.contains("user herald") && text.contains("usermod -aG stream"), "{text}");
        assert_eq!(error.exit_code(), 1);
    }

    #[test]
    fn the_socket_or_what_is_above_it_tells_whose_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let seen = whose(&folder.path().join("no/such.sock")).unwrap();
        assert_eq!(seen.path, folder.path());
        assert_eq!(name_of(0, "/etc/passwd"), "root");
        assert_eq!(name_of(4_000_000_001, "/etc/group"), "4000000001");
    }

    #[test]
    fn an_agent_that_says_nothing_is_told_from_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let agent = std::thread::spawn(move || {
            let (mut first, _) = listener.accept().unwrap();
            let mut request = [0; 64];
            let _ = first.read(&mut request).unwrap();
            drop(first);
            let (mut second, _) = listener.accept().unwrap();
            let _ = second.read(&mut request).unwrap();
            second.write_all(b"{\"v\":9,\"body\":0}\n").unwrap();
        });
        let sockets = [path];
        assert!(matches!(ask(&sockets, &Ask::Status), Err(ClientError::Lost { .. })));
        let other = ask(&sockets, &Ask::Status).unwrap_err();
        assert!(matches!(
            other,
            ClientError::OtherRelease { error: LineError::OtherVersion { theirs: 9 }, .. }
        ));
        agent.join().unwrap();
    }
}
