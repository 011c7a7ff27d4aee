//! Asks the public address as a stranger does, at each of its addresses.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use futures_util::StreamExt;
use http::Method;
use jiff::Timestamp;
use url::Url;

use super::ask::{self, Asker, Question, Seen};
use super::identity::Keys;
use super::paths::{self, ACTIVITY, Place};
use super::{Code, Finding, Patient, Wanted, address, identity};
use crate::activitypub::signature::PrivateKey;
use crate::config::{Config, here, keyfile};
use crate::model::Addresses;
use crate::net::NetError;

/// Questions under way at a time: far below what the agent allows one client.
const AT_ONCE: usize = 6;
/// Addresses of a name that are asked.
const MOST: usize = 8;

/// What was seen of the public address.
#[derive(Debug, Default)]
pub(super) struct Viewed {
    pub(super) findings: Vec<Finding>,
    pub(super) asked_from: Vec<IpAddr>,
}

/// One address that answers.
struct Entrance {
    at: SocketAddr,
    asker: Asker,
}

pub(super) async fn look(patient: &Patient, wanted: &Wanted) -> Viewed {
    let mut viewed = Viewed::default();
    let Some(base) = &wanted.base else {
        viewed
            .findings
            .push(Finding::unchecked(Code::Dns, "the public address is not known; see `server-url`"));
        return viewed;
    };
    let url = match Url::parse(base) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.host().is_some() => url,
        _ => {
            let text = format!("{base:?} is no address that others could ask");
            viewed.findings.push(Finding::red(
                Code::Dns,
                text,
                "correct Owncast's server URL, or [identity] public-url",
            ));
            return viewed;
        }
    };
    if url.scheme() == "http" && !patient.config().is_some_and(|config| config.federation.allow_http) {
        viewed.findings.push(Finding::red(
            Code::Certificate,
            format!("{base} is not https, and other servers speak to no other"),
            "let the proxy serve it over TLS, then set Owncast's server URL to https://…",
        ));
    }
    let found = ask::resolve(&url).await;
    let allow =
        patient.config().map(|config| config.federation.allow_private_addresses.clone()).unwrap_or_default();
    viewed.findings.push(address::dns(url.host_str().unwrap_or_default(), &found, &allow));
    let entrances = enter(patient.config(), &url, &found.unwrap_or_default(), &mut viewed).await;
    viewed.asked_from = entrances.iter().filter_map(|entrance| ask::source_towards(entrance.at)).collect();
    viewed.asked_from.dedup();
    let Some(username) = &wanted.username else {
        viewed.findings.push(Finding::unchecked(Code::Path, "the username is not known; see `password`"));
        return viewed;
    };
    let ours = Addresses::new(base, username);
    let direct = direct(patient);
    // One of each family: what stands behind several of a family is one proxy.
    let four = entrances.iter().find(|entrance| entrance.at.is_ipv4());
    let six = entrances.iter().find(|entrance| entrance.at.is_ipv6());
    for entrance in four.into_iter().chain(six) {
        viewed.findings.extend(examine(patient, entrance, &ours, direct.as_ref()).await);
    }
    viewed
}

/// Knocks at every address of the name.
async fn enter(
    config: Option<&Config>,
    url: &Url,
    found: &[SocketAddr],
    viewed: &mut Viewed,
) -> Vec<Entrance> {
    let extra_ca = config.and_then(|config| config.federation.extra_ca_file.as_deref());
    let page = Question { method: Method::GET, target: "/".to_owned(), accept: "text/html" };
    let mut entrances = Vec::new();
    let mut certificates: Vec<Vec<u8>> = Vec::new();
    for at in found.iter().copied().take(MOST) {
        let asker = Asker::at(url, at, extra_ca);
        let outcome = match &asker {
            Ok(asker) => asker.ask(&page, None).await,
            Err(error) => Err(error.clone()),
        };
        viewed.findings.push(address::reach(at, ask::source_towards(at), &outcome));
        let (Ok(asker), Ok(seen)) = (asker, outcome) else { continue };
        if let Some(der) = &seen.certificate
            && !certificates.contains(der)
        {
            let host = url.host_str().unwrap_or_default();
            viewed.findings.push(address::certificate(host, der, Timestamp::now()));
            certificates.push(der.clone());
        }
        entrances.push(Entrance { at, asker });
    }
    entrances
}

/// Asks the agent itself, as the proxy does.
fn direct(patient: &Patient) -> Option<Asker> {
    let listener: SocketAddr = patient.status()?.listen.public.parse().ok()?;
    Asker::behind_the_proxy(crate::proxy_config::reachable(listener)).ok()
}

async fn examine(
    patient: &Patient,
    entrance: &Entrance,
    ours: &Addresses,
    direct: Option<&Asker>,
) -> Vec<Finding> {
    let family = address::family(entrance.at);
    let newest = patient.status().and_then(|status| Some(status.announcement.as_ref()?.post.as_str()));
    let newest = newest.filter(|post| !post.is_empty());
    let asked = paths::places(ours, newest).into_iter().map(|place| async move {
        let (mut through, mut straight) = both(entrance, direct, ours, &place).await;
        let differ = |through: &Result<Seen, NetError>, straight: &Option<Seen>| match (through, straight) {
            (Ok(through), Some(straight)) => through.body != straight.body,
            _ => false,
        };
        // Somebody may have followed between the two.
        if differ(&through, &straight) {
            (through, straight) = both(entrance, direct, ours, &place).await;
        }
        (paths::judge(&place, family, &through, straight.as_ref()), place, through, straight)
    });
    let answers: Vec<_> = futures_util::stream::iter(asked).buffered(AT_ONCE).collect().await;
    let mut findings = Vec::new();
    let actor_target = format!("{}/federation/user/{}", ours.path_prefix(), ours.username);
    for (finding, place, through, straight) in answers {
        if let Ok(seen) = &through {
            if place.question.target == paths::webfinger(ours) {
                findings.push(identity::webfinger(seen, ours));
                let ahead = address::date_ahead(seen);
                findings
                    .extend(ahead.map(|ahead| address::clock("the clock of who answers in public", ahead)));
            }
            if place.question.target == actor_target && place.question.accept == ACTIVITY {
                findings.push(identity::actor(seen, ours, &our_keys(patient, straight.as_ref())));
            }
        }
        findings.push(finding);
    }
    findings.extend(page(entrance, ours, family).await);
    findings
}

async fn both(
    entrance: &Entrance,
    direct: Option<&Asker>,
    ours: &Addresses,
    place: &Place,
) -> (Result<Seen, NetError>, Option<Seen>) {
    let through = entrance.asker.ask(&place.question, None).await;
    let straight = match direct {
        Some(direct) => direct.ask(&place.question, Some(ours.host())).await.ok(),
        None => None,
    };
    (through, straight)
}

/// The keys that we have.
fn our_keys(patient: &Patient, straight: Option<&Seen>) -> Keys {
    let public =
        |file: &Path| PrivateKey::from_pem(keyfile::read(file).ok()?.pem.expose()).ok()?.public_pem().ok();
    let file = patient.config().map(|config| config.identity.key_file.as_path());
    let agent = straight.and_then(Seen::json);
    Keys {
        file: file.and_then(public),
        next: file.map(keyfile::next_file).and_then(|next| public(&next)),
        agent: agent.and_then(|actor| Some(actor.pointer("/publicKey/publicKeyPem")?.as_str()?.to_owned())),
    }
}

/// Owncast's page and API are still Owncast's, and the page names its actor.
async fn page(entrance: &Entrance, ours: &Addresses, family: &str) -> [Finding; 2] {
    let ask = async |path: &str| {
        let target = format!("{}{path}", ours.path_prefix());
        let question = Question { method: Method::GET, target, accept: "*/*" };
        entrance.asker.ask(&question, None).await
    };
    let status = match ask("/api/status").await {
        Ok(seen) if seen.json().is_some_and(|status| status.get("versionNumber").is_some()) => {
            Finding::green(Code::Page, format!("/api/status ({family}) is answered by Owncast"))
        }
        Ok(seen) => Finding::red(
            Code::Page,
            format!("/api/status ({family}) is not answered by Owncast ({})", seen.status),
            format!(
                "send the agent its own paths only, and everything else to Owncast; {} prints how",
                here().command("proxy-config nginx")
            ),
        ),
        Err(error) => {
            Finding::red(Code::Page, format!("/api/status ({family}): {error}"), paths::proxy_cure())
        }
    };
    let link = ask("/").await.is_ok_and(|seen| {
        let link = seen.header("link");
        link.contains(&ours.actor()) && link.contains(ACTIVITY)
    });
    let link = if link {
        Finding::green(Code::Link, format!("the page ({family}) names its actor"))
    } else {
        Finding::yellow(
            Code::Link,
            format!(
                "the page ({family}) does not name its actor: its address, pasted into a search, finds nothing"
            ),
            format!(
                "let the proxy add the `Link` header that {} prints",
                here().command("proxy-config nginx")
            ),
        )
    };
    [status, link]
}
