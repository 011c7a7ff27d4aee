//! What the agent is measured against, each in a process of its own: the same libraries without the agent.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use base64::Engine as _;
use futures_util::StreamExt as _;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;
use owncast_herald::serve::accept::{AcceptLimits, serve};
use tokio_util::sync::CancellationToken;
use warp::Filter as _;

use super::process;

/// Argument for [`deliver`]: `<key file> <body file> <file of inboxes> <concurrency>`.
pub const DELIVER: &str = "--bare-deliver";
/// Argument for [`empty_route`]: `<address>`.
pub const EMPTY_ROUTE: &str = "--empty-route";

/// Signs and posts one body to every inbox, and prints CPU and wall time in microseconds.
///
/// # Errors
/// Arguments, files, or a delivery that was not taken.
pub fn deliver(arguments: &[String]) -> anyhow::Result<()> {
    let [_, _, key, body, inboxes, concurrency, ..] = arguments else {
        anyhow::bail!("{DELIVER} <key file> <body file> <file of inboxes> <concurrency>");
    };
    let key: PKey<Private> = PKey::private_key_from_pem(&std::fs::read(key)?)?;
    let body = bytes::Bytes::from(std::fs::read(body)?);
    let inboxes: Vec<url::Url> = std::fs::read_to_string(inboxes)?
        .lines()
        .map(|line| line.parse().context("an inbox"))
        .collect::<anyhow::Result<_>>()?;
    let concurrency: usize = concurrency.parse()?;
    // As the agent does: the same scheduler class, so that both meet the same neighbours.
    rustix::process::setpriority_process(None, 10)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = reqwest::Client::builder()
            .user_agent("bare-loop/1.0 (+https://live.example/)")
            .tls_backend_native()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(15))
            .pool_max_idle_per_host(1)
            .pool_idle_timeout(Duration::from_secs(5))
            .build()?;
        let digest = base64::engine::general_purpose::STANDARD.encode(openssl::sha::sha256(&body));
        let digest = format!("SHA-256={digest}");
        let (cpu, start) = (process::own_cpu()?, Instant::now());
        let taken = futures_util::stream::iter(&inboxes)
            .map(|inbox| post(&client, &key, inbox, &digest, body.clone()))
            .buffer_unordered(concurrency)
            .filter(|sent| std::future::ready(sent.is_ok()))
            .count()
            .await;
        let (cpu, took) = (process::own_cpu()?.saturating_sub(cpu), start.elapsed());
        anyhow::ensure!(taken == inboxes.len(), "{taken} of {} inboxes were reached", inboxes.len());
        println!("{} {}", cpu.as_micros(), took.as_micros());
        Ok(())
    })
}

async fn post(
    client: &reqwest::Client,
    key: &PKey<Private>,
    inbox: &url::Url,
    digest: &str,
    body: bytes::Bytes,
) -> anyhow::Result<()> {
    let kind = "application/activity+json";
    let host = inbox.authority();
    let date = httpdate::fmt_http_date(std::time::SystemTime::now());
    let text = format!(
        "(request-target): post {}\nhost: {host}\ndate: {date}\ndigest: {digest}\ncontent-type: {kind}",
        inbox.path()
    );
    let signature = Signer::new(MessageDigest::sha256(), key)?.sign_oneshot_to_vec(text.as_bytes())?;
    let signature = format!(
        "keyId=\"https://live.example/federation/user/streamer#main-key\",algorithm=\"rsa-sha256\",\
         headers=\"(request-target) host date digest content-type\",signature=\"{}\"",
        base64::engine::general_purpose::STANDARD.encode(signature)
    );
    let answer = client
        .post(inbox.clone())
        .header("date", date)
        .header("digest", digest)
        .header("content-type", kind)
        .header("signature", signature)
        .body(body)
        .send()
        .await?
        .error_for_status()?;
    answer.bytes().await?;
    Ok(())
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
