//! What the agent is measured against, each in a process of its own: the same libraries without the agent.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use base64::Engine as _;
use futures_util::StreamExt as _;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;
use owncast_herald::serve::accept::{AcceptLimits, serve};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use warp::Filter as _;

use super::process;

/// Argument for [`deliver`]: `<key file> <body file> <file of inboxes> <concurrency> <at once to one host> <threads>
/// apart|together <how many answer> keep|close [<file of an authority>]`; `apart`: as many threads more that sign.
pub const DELIVER: &str = "--bare-deliver";
/// Argument for [`empty_route`]: `<address>`.
pub const EMPTY_ROUTE: &str = "--empty-route";

/// What is sent to everybody.
struct Letter {
    key: PKey<Private>,
    body: bytes::Bytes,
    digest: String,
    keep: bool,
    /// Threads that sign, unless those do that send.
    signers: Option<Runtime>,
    /// As many requests at once as the agent has to one host.
    hosts: HashMap<String, Semaphore>,
}

/// Signs and posts one body to every inbox, and prints CPU and wall time in microseconds.
///
/// # Errors
/// Arguments, files, or another number of answers than said.
pub fn deliver(arguments: &[String]) -> anyhow::Result<()> {
    let [_, _, key, body, inboxes, concurrency, per_host, threads, apart, answering, keep, rest @ ..] =
        arguments
    else {
        anyhow::bail!("{DELIVER} with too few arguments");
    };
    let (concurrency, threads): (usize, usize) = (concurrency.parse()?, threads.parse()?);
    let per_host: usize = per_host.parse()?;
    let answering: usize = answering.parse()?;
    let body = bytes::Bytes::from(std::fs::read(body)?);
    let digest = base64::engine::general_purpose::STANDARD.encode(openssl::sha::sha256(&body));
    let mut hosts = HashMap::new();
    let mut parts = vec![Vec::new(); threads];
    for (number, line) in std::fs::read_to_string(inboxes)?.lines().enumerate() {
        let inbox: url::Url = line.parse().context("an inbox")?;
        hosts.entry(inbox.authority().to_owned()).or_insert_with(|| Semaphore::new(per_host));
        parts.get_mut(number % threads).context("no threads")?.push(inbox);
    }
    // As the agent does: the same scheduler class, so that both meet the same neighbours; threads begun later have it too.
    rustix::process::setpriority_process(None, 10)?;
    let letter = Letter {
        key: PKey::private_key_from_pem(&std::fs::read(key)?)?,
        digest: format!("SHA-256={digest}"),
        keep: keep == "keep",
        signers: if apart == "apart" { Some(signers(threads)?) } else { None },
        hosts,
        body,
    };
    let loops = parts
        .into_iter()
        .map(|part| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            Ok((runtime, client(rest.first())?, part))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let (cpu, start) = (process::own_cpu()?, Instant::now());
    let taken: usize = std::thread::scope(|scope| {
        let letter = &letter;
        let running: Vec<_> = loops
            .into_iter()
            .map(|(runtime, client, part)| {
                scope.spawn(move || runtime.block_on(post_all(client, part, letter, concurrency / threads)))
            })
            .collect();
        running.into_iter().map(|part| part.join().unwrap_or_default()).sum()
    });
    let (cpu, took) = (process::own_cpu()?.saturating_sub(cpu), start.elapsed());
    anyhow::ensure!(taken == answering, "{taken} of {answering} inboxes were reached");
    println!("{} {}", cpu.as_micros(), took.as_micros());
    Ok(())
}

fn signers(threads: usize) -> anyhow::Result<Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(threads).build()?)
}

fn client(authority: Option<&String>) -> anyhow::Result<reqwest::Client> {
    let mut client = reqwest::Client::builder()
        .user_agent("bare-loop/1.0 (+https://live.example/)")
        .tls_backend_native()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(Duration::from_secs(5))
        .timeout(Duration::from_secs(15))
        .pool_max_idle_per_host(1)
        .pool_idle_timeout(Duration::from_secs(5));
    if let Some(file) = authority {
        client = client.tls_certs_merge([reqwest::Certificate::from_pem(&std::fs::read(file)?)?]);
    }
    Ok(client.build()?)
}

/// How many took it.
async fn post_all(
    client: reqwest::Client,
    inboxes: Vec<url::Url>,
    letter: &Letter,
    concurrency: usize,
) -> usize {
    futures_util::stream::iter(&inboxes)
        .map(|inbox| post_at_last(&client, inbox, letter))
        .buffer_unordered(concurrency.max(1))
        .filter(|sent| std::future::ready(*sent))
        .count()
        .await
}

/// Whether it was taken. Who did not answer in time is asked again, as by the agent; what failed is said. With hundreds of
/// handshakes on one thread some connections take more than five seconds.
async fn post_at_last(client: &reqwest::Client, inbox: &url::Url, letter: &Letter) -> bool {
    for _ in 0..5 {
        let Err(cause) = post(client, inbox, letter).await else { return true };
        eprintln!("{cause:#}");
        if !cause.downcast_ref().is_some_and(reqwest::Error::is_timeout) {
            break;
        }
    }
    false
}

async fn post(client: &reqwest::Client, inbox: &url::Url, letter: &Letter) -> anyhow::Result<()> {
    let Letter { key, body, digest, keep, signers, hosts } = letter;
    let kind = "application/activity+json";
    let host = inbox.authority();
    let _turn = hosts.get(host).context("no such host")?.acquire().await?;
    let date = httpdate::fmt_http_date(std::time::SystemTime::now());
    let text = format!(
        "(request-target): post {}\nhost: {host}\ndate: {date}\ndigest: {digest}\ncontent-type: {kind}",
        inbox.path()
    );
    let signature = match signers {
        Some(signers) => {
            let key = key.clone();
            signers.spawn(async move { sign(&key, &text) }).await??
        }
        None => sign(key, &text)?,
    };
    let signature = format!(
        "keyId=\"https://live.example/federation/user/streamer#main-key\",algorithm=\"rsa-sha256\",\
         headers=\"(request-target) host date digest content-type\",signature=\"{}\"",
        base64::engine::general_purpose::STANDARD.encode(signature)
    );
    let mut request = client
        .post(inbox.clone())
        .header("date", date)
        .header("digest", digest)
        .header("content-type", kind)
        .header("signature", signature);
    if !keep {
        request = request.header("connection", "close");
    }
    let answer = request.body(body.clone()).send().await?.error_for_status()?;
    answer.bytes().await?;
    Ok(())
}

fn sign(key: &PKey<Private>, text: &str) -> anyhow::Result<Vec<u8>> {
    Ok(Signer::new(MessageDigest::sha256(), key)?.sign_oneshot_to_vec(text.as_bytes())?)
}

/// Serves an empty answer on the agent's own accept loop until it is killed.
///
/// # Errors
/// The address cannot be bound.
pub fn empty_route(arguments: &[String]) -> anyhow::Result<()> {
    let address: SocketAddr = arguments.get(2).context("an address")?.parse()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(address).await?;
        let nothing = warp::any().map(|| http::Response::new(bytes::Bytes::new()));
        serve(listener, nothing, AcceptLimits::default(), CancellationToken::new()).await;
        Ok(())
    })
}
