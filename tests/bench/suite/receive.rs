//! Many inboxes in a process of their own: servers as cheap as can be, so that what is measured is the sender.
//!
//! All listen on one port of every loopback address. What is told to this process, and what it tells, are lines on its
//! standard input and output; it ends with its input.

use std::io::{self, BufRead as _, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use openssl::ssl::{ErrorCode, SslContext, SslStream};
use openssl::x509::X509;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::certificates::Authority;
use super::loopback::RECEIVERS;
use super::receive_h2;

/// Argument for [`receive`]: `<number of hosts> <number of inboxes> [<file for the authority's certificate> [h2]]`.
/// With a file it speaks TLS.
pub const RECEIVE: &str = "--receive";
/// How an inbox that answers begins: its number and `/inbox` follow.
pub const INBOX: &str = "/users/";
/// How one begins that takes everything and never answers.
pub const SILENT: &str = "/silent/";

/// Connections that wait to be accepted.
const BACKLOG: u32 = 4096;
const ANSWER: &[u8] = b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";

/// What came, and when.
struct Heard {
    /// By inbox.
    seen: Vec<bool>,
    /// When each inbox got its first, in microseconds since the epoch, in that order.
    first: Vec<u64>,
    /// All requests.
    requests: usize,
}

pub(super) struct Shared {
    heard: Mutex<Heard>,
    latency: AtomicU64,
    tls: Option<Tls>,
}

struct Tls {
    authority: Authority,
    context: SslContext,
    certificates: Vec<X509>,
}

/// Receives until its input ends.
///
/// # Errors
/// Arguments, or no port.
pub fn receive(arguments: &[String]) -> anyhow::Result<()> {
    let [_, _, hosts, inboxes, rest @ ..] = arguments else {
        anyhow::bail!("{RECEIVE} <hosts> <inboxes> [<file> [h2]]");
    };
    let (hosts, inboxes): (usize, usize) = (hosts.parse()?, inboxes.parse()?);
    let tls = rest.first().map(|file| Tls::new(hosts, file, rest.len() > 1)).transpose()?;
    let heard = Heard { seen: vec![false; inboxes], first: Vec::new(), requests: 0 };
    let shared = Arc::new(Shared { heard: Mutex::new(heard), latency: AtomicU64::new(0), tls });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))?;
        let listener = socket.listen(BACKLOG)?;
        println!("{}", listener.local_addr()?.port());
        let told = Arc::clone(&shared);
        std::thread::spawn(move || {
            // A broken pipe is the end of whom we serve.
            let _ = talk(&told);
            std::process::exit(0);
        });
        accept(listener, shared).await
    })
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) -> anyhow::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            // What a sender breaks off is counted by what did not come.
            let _ = serve(stream, &shared).await;
        });
    }
}

/// One line each: `latency <microseconds>`, `count`, `marks <inboxes>`.
fn talk(shared: &Shared) -> anyhow::Result<()> {
    for line in io::stdin().lock().lines() {
        let line = line?;
        let mut words = line.split_whitespace();
        let (word, number) = (words.next(), words.next().map(str::parse::<usize>).transpose()?);
        let heard = || shared.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let said = match (word, number) {
            (Some("latency"), Some(micros)) => {
                shared.latency.store(u64::try_from(micros)?, Ordering::Relaxed);
                String::new()
            }
            (Some("count"), None) => {
                let heard = heard();
                format!("{} {}", heard.first.len(), heard.requests)
            }
            (Some("marks"), Some(inboxes)) => {
                let heard = heard();
                let at = |rank: usize| heard.first.get(rank.max(1) - 1).copied().unwrap_or_default();
                let half = inboxes.div_ceil(2);
                let most = (inboxes * 99).div_ceil(100);
                format!("{} {} {} {}", at(1), at(half), at(most), at(inboxes))
            }
            _ => anyhow::bail!("not understood: {line}"),
        };
        println!("{said}");
    }
    Ok(())
}

impl Tls {
    fn new(hosts: usize, file: &str, h2: bool) -> anyhow::Result<Tls> {
        let authority = Authority::new()?;
        std::fs::write(file, authority.pem()?).with_context(|| file.to_owned())?;
        let certificates = (0..hosts)
            .map(|host| authority.server(RECEIVERS.address(host)?))
            .collect::<anyhow::Result<_>>()?;
        Ok(Tls { context: authority.context(h2)?, authority, certificates })
    }
}

/// A stream that OpenSSL can read and write without waiting.
pub(super) struct Raw(pub(super) TcpStream);

impl Read for Raw {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Raw {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.try_write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

enum Wire {
    Plain(Raw),
    Tls(Box<SslStream<Raw>>),
}

impl Wire {
    async fn open(stream: TcpStream, shared: &Shared) -> anyhow::Result<Wire> {
        let Some(tls) = &shared.tls else { return Ok(Wire::Plain(Raw(stream))) };
        let host = RECEIVERS.number(stream.local_addr()?).and_then(|host| tls.certificates.get(host));
        let ssl = tls.authority.session(&tls.context, host.context("no such host")?)?;
        let mut stream = SslStream::new(ssl, Raw(stream))?;
        while waits(stream.accept())?.is_none() {
            stream.get_ref().0.readable().await?;
        }
        Ok(Wire::Tls(Box::new(stream)))
    }

    fn raw(&self) -> &TcpStream {
        match self {
            Wire::Plain(raw) => &raw.0,
            Wire::Tls(stream) => &stream.get_ref().0,
        }
    }

    async fn read(&mut self, buffer: &mut [u8]) -> anyhow::Result<usize> {
        loop {
            let count = match self {
                Wire::Plain(raw) => match raw.read(buffer) {
                    Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => None,
                    done => Some(done?),
                },
                Wire::Tls(stream) => match stream.ssl_read(buffer) {
                    Err(cause) if cause.code() == ErrorCode::ZERO_RETURN => Some(0),
                    done => waits(done)?,
                },
            };
            match count {
                Some(count) => return Ok(count),
                None => self.raw().readable().await?,
            }
        }
    }

    /// An answer is far smaller than what a socket takes at once.
    fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        match self {
            Wire::Plain(raw) => raw.write_all(bytes)?,
            Wire::Tls(stream) => stream.write_all(bytes)?,
        }
        Ok(())
    }
}

/// `None` if the other side has to say something first.
fn waits<T>(step: Result<T, openssl::ssl::Error>) -> Result<Option<T>, openssl::ssl::Error> {
    match step {
        Err(cause) if cause.code() == ErrorCode::WANT_READ => Ok(None),
        done => done.map(Some),
    }
}

async fn serve(stream: TcpStream, shared: &Arc<Shared>) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut wire = match Wire::open(stream, shared).await? {
        Wire::Tls(stream) if stream.ssl().selected_alpn_protocol() == Some(b"h2") => {
            return receive_h2::serve(*stream, shared).await;
        }
        wire => wire,
    };
    let mut buffer = vec![0; 16 * 1024];
    let mut filled = 0;
    loop {
        let (request, end) = loop {
            if let Some(request) = Request::read(buffer.get(..filled).unwrap_or_default()) {
                break request;
            }
            let room = buffer.get_mut(filled..).filter(|room| !room.is_empty()).context("a large request")?;
            let count = wire.read(room).await?;
            if count == 0 {
                return Ok(());
            }
            filled += count;
        };
        let Some(inbox) = request.inbox else {
            // Held open until the other side has had enough.
            while wire.read(&mut buffer).await? > 0 {}
            return Ok(());
        };
        shared.count(inbox)?;
        shared.wait().await;
        wire.write(ANSWER)?;
        if request.last {
            return Ok(());
        }
        buffer.copy_within(end..filled, 0);
        filled -= end;
    }
}

impl Shared {
    /// As long as an answer takes.
    pub(super) async fn wait(&self) {
        let latency = self.latency.load(Ordering::Relaxed);
        if latency > 0 {
            tokio::time::sleep(Duration::from_micros(latency)).await;
        }
    }

    pub(super) fn count(&self, inbox: usize) -> anyhow::Result<()> {
        let now = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros())?;
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.requests += 1;
        if !std::mem::replace(heard.seen.get_mut(inbox).context("no such inbox")?, true) {
            heard.first.push(now);
        }
        Ok(())
    }
}

/// The number of an inbox; `None` if it is one that never answers.
pub(super) fn inbox(path: &str) -> Option<usize> {
    path.strip_prefix(INBOX)?.strip_suffix("/inbox")?.parse().ok()
}

/// What matters of a request.
struct Request {
    /// `None` if it is not to be answered.
    inbox: Option<usize>,
    /// The connection is to be closed after it.
    last: bool,
}

impl Request {
    /// A whole request and where it ends.
    fn read(bytes: &[u8]) -> Option<(Request, usize)> {
        let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let text = std::str::from_utf8(bytes.get(..head)?).ok()?;
        let mut lines = text.split("\r\n");
        let path = lines.next()?.split(' ').nth(1)?;
        let (mut length, mut last) = (0, false);
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            if name.eq_ignore_ascii_case("content-length") {
                length = value.parse().ok()?;
            } else if name.eq_ignore_ascii_case("connection") {
                last = value.eq_ignore_ascii_case("close");
            }
        }
        let end = head + 4 + length;
        let inbox = inbox(path);
        (bytes.len() >= end).then_some((Request { inbox, last }, end))
    }
}
