//! A load generator that costs little itself: requests made beforehand, kept connections, answers barely read.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What a load came to.
#[derive(Debug)]
pub struct Outcome {
    /// From the first request to the last answer.
    pub took: Duration,
    /// Answers of each class: index 2 is 2xx.
    pub statuses: [usize; 6],
}

/// Sends `count` requests to `target`, the given ones over and over, on `connections` kept connections, one at a time on
/// each.
pub async fn run(
    target: SocketAddr,
    connections: usize,
    requests: Arc<Vec<Vec<u8>>>,
    count: usize,
) -> anyhow::Result<Outcome> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut streams = Vec::new();
    for _ in 0..connections {
        let stream = TcpStream::connect(target).await.with_context(|| format!("connecting to {target}"))?;
        stream.set_nodelay(true)?;
        streams.push(stream);
    }
    let start = Instant::now();
    let tasks: Vec<_> = streams
        .into_iter()
        .map(|mut stream| {
            let (next, requests) = (Arc::clone(&next), Arc::clone(&requests));
            tokio::spawn(async move {
                let mut statuses = [0; 6];
                let mut buffer = Vec::with_capacity(8192);
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        return anyhow::Ok(statuses);
                    }
                    let request = requests.get(index % requests.len().max(1)).context("no requests")?;
                    stream.write_all(request).await?;
                    let status = answer(&mut stream, &mut buffer).await?;
                    if let Some(class) = statuses.get_mut(usize::from(status / 100)) {
                        *class += 1;
                    }
                }
            })
        })
        .collect();
    let mut statuses = [0; 6];
    for task in tasks {
        for (sum, class) in statuses.iter_mut().zip(task.await??) {
            *sum += class;
        }
    }
    Ok(Outcome { took: start.elapsed(), statuses })
}

/// As [`run`], as often as it takes until `span` is over, at the lowest priority: in the world, who sends so much is another
/// machine, and takes nothing from whoever else is on this one.
pub async fn beside(
    target: SocketAddr,
    connections: usize,
    requests: Arc<Vec<Vec<u8>>>,
    count: usize,
    span: Duration,
) -> anyhow::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (sender, ended) = tokio::sync::oneshot::channel();
    // Not one of those that wait for blocking work: they are used again, and the priority is the thread's.
    std::thread::spawn(move || {
        let _ = rustix::process::setpriority_process(None, 19);
        let all = async {
            let start = Instant::now();
            loop {
                let outcome = run(target, connections, Arc::clone(&requests), count).await?;
                if start.elapsed() >= span {
                    return Ok(outcome);
                }
            }
        };
        let _ = sender.send(runtime.block_on(all));
    });
    ended.await?
}

/// One GET on a connection of its own: status and body.
pub async fn get(target: SocketAddr, host: &str, path: &str) -> anyhow::Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(target).await?;
    stream.write_all(&request("GET", host, path, &[], b"")).await?;
    let mut buffer = Vec::new();
    let status = answer(&mut stream, &mut buffer).await?;
    Ok((status, buffer))
}

/// One request on a connection of its own: the status.
pub async fn once(target: SocketAddr, request: &[u8]) -> anyhow::Result<u16> {
    let mut stream = TcpStream::connect(target).await?;
    stream.write_all(request).await?;
    answer(&mut stream, &mut Vec::new()).await
}

/// The bytes of a request.
pub fn request(method: &str, host: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if method == "POST" {
        text.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// Reads one answer; leaves its body in `buffer`.
async fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> anyhow::Result<u16> {
    buffer.clear();
    let (status, head, length) = loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(buffer.get(..end).unwrap_or_default()).into_owned();
            let status = head.split(' ').nth(1).context("no status")?.parse()?;
            let length = head
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .map_or(Ok(0), |(_, value)| value.trim().parse::<usize>())?;
            break (status, end + 4, length);
        }
        anyhow::ensure!(stream.read_buf(buffer).await? > 0, "the connection ended before an answer");
    };
    while buffer.len() < head + length {
        anyhow::ensure!(stream.read_buf(buffer).await? > 0, "the connection ended within an answer");
    }
    buffer.drain(..head);
    Ok(status)
}
