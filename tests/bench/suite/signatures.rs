//! RSA-2048: what our signing and verifying cost above the library's.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use http::{HeaderMap, Method};
use jiff::Timestamp;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private, Public};
use openssl::sign::{Signer, Verifier};
use owncast_herald::activitypub::signature::{PrivateKey, PublicKey, digest, precheck, sign_request};
use owncast_herald::model::origin::Origin;
use url::Url;

use super::process;
use super::report::{each, figure, headline, micros, ratio};

/// Costs of one process on this machine, at this moment.
#[derive(Clone, Copy, Debug)]
pub struct Costs {
    /// The library's signature.
    pub raw_sign: Duration,
    /// A signed request of ours.
    pub sign: Duration,
    /// The library's verification.
    pub raw_verify: Duration,
    /// Ours: everything that the inbox does with a request's signature and digest.
    pub verify: Duration,
}

/// Measures for about `rounds` × 10 ms, on one thread.
pub fn costs(rounds: usize) -> anyhow::Result<Costs> {
    let key = PrivateKey::generate()?;
    let public = PublicKey::from_pem(&key.public_pem()?)?;
    let raw_key: PKey<Private> = PKey::private_key_from_pem(key.to_pem()?.as_bytes())?;
    let raw_public: PKey<Public> = PKey::public_key_from_pem(key.public_pem()?.as_bytes())?;

    let url = Url::parse("https://live.example/federation/user/streamer/inbox")?;
    let own = Origin::of(&url).context("an origin")?;
    let body = vec![b'x'; 2500];
    let key_id = "https://peer.example/users/ana#main-key";
    let signed = || -> anyhow::Result<HeaderMap> {
        let digest = digest::header_value(&body);
        let kind = Some("application/activity+json");
        let now = Timestamp::now();
        let headers = sign_request(&Method::POST, &url, now, Some(&digest), kind, key_id, &key)?;
        Ok(headers.into_iter().collect())
    };
    let mut headers = signed()?;
    headers.insert(http::header::HOST, http::HeaderValue::from_static("live.example"));
    headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/activity+json"));
    let text = vec![b't'; 300];
    let signature = Signer::new(MessageDigest::sha256(), &raw_key)?.sign_oneshot_to_vec(&text)?;

    let mut times: [Vec<Duration>; 4] = Default::default();
    for _ in 0..rounds {
        // In turns, so that a busy moment of the machine meets all of them.
        let round = [
            timed(10, || {
                Signer::new(MessageDigest::sha256(), &raw_key)?.sign_oneshot_to_vec(&text)?;
                Ok(())
            })?,
            timed(10, || signed().map(|_| ()))?,
            timed(100, || {
                let good =
                    Verifier::new(MessageDigest::sha256(), &raw_public)?.verify_oneshot(&signature, &text)?;
                anyhow::ensure!(good, "the library does not verify its own signature");
                Ok(())
            })?,
            timed(100, || {
                let path = url.path();
                let unverified = precheck(&Method::POST, path, &headers, &body, &own, Timestamp::now())?;
                unverified.verify(&public).context("our own signature does not verify")
            })?,
        ];
        for (all, time) in times.iter_mut().zip(round) {
            all.push(time);
        }
    }
    let [raw_sign, sign, raw_verify, verify] = times.map(least);
    Ok(Costs { raw_sign, sign, raw_verify, verify })
}

/// CPU of one verification by the library alone, as the kernel counts it, on all cores at once as in the inbox.
pub fn verification(count: usize) -> anyhow::Result<Duration> {
    let key = PrivateKey::generate()?;
    let private: PKey<Private> = PKey::private_key_from_pem(key.to_pem()?.as_bytes())?;
    let public: PKey<Public> = PKey::public_key_from_pem(key.public_pem()?.as_bytes())?;
    let text = vec![b't'; 300];
    let signature = Signer::new(MessageDigest::sha256(), &private)?.sign_oneshot_to_vec(&text)?;
    let threads = std::thread::available_parallelism()?.get();
    let some = || -> anyhow::Result<()> {
        for _ in 0..count / threads {
            let good = Verifier::new(MessageDigest::sha256(), &public)?.verify_oneshot(&signature, &text)?;
            anyhow::ensure!(good, "the library does not verify its own signature");
        }
        Ok(())
    };
    let cpu = process::own_cpu()?;
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(some)).collect();
        all.into_iter().try_for_each(|one| one.join().map_err(|_| anyhow::anyhow!("verifying panicked"))?)
    })?;
    Ok(each(process::own_cpu()?.saturating_sub(cpu), count))
}

/// Time of one call, from `calls` in a row.
fn timed(calls: u32, mut work: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<Duration> {
    let start = Instant::now();
    for _ in 0..calls {
        work()?;
    }
    Ok(start.elapsed() / calls)
}

/// Of many rounds the one that the machine disturbed least.
fn least(times: Vec<Duration>) -> Duration {
    times.into_iter().min().unwrap_or_default()
}

/// Prints the costs.
///
/// # Errors
/// OpenSSL's, or a signature that does not verify.
pub fn run(quick: bool) -> anyhow::Result<()> {
    let costs = costs(if quick { 20 } else { 150 })?;
    headline("RSA-2048, one thread");
    figure("signing a request / library's signature", &times(costs.sign, costs.raw_sign));
    figure("prechecking and verifying / library's verification", &times(costs.verify, costs.raw_verify));
    figure("library's signature", &micros(costs.raw_sign));
    figure("library's verification", &micros(costs.raw_verify));
    Ok(())
}

fn times(ours: Duration, raw: Duration) -> String {
    format!("{:.3} ×  ({} against {})", ratio(ours, raw), micros(ours), micros(raw))
}
