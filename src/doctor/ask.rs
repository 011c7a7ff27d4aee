//! Asks one address, as a stranger would or as the proxy does, and keeps what could tell who answered.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use http::{HeaderMap, Method};
use jiff::Timestamp;
use url::Url;

use crate::net::{NetError, tls_connector};

/// Longest wait for a connection,
const CONNECT: Duration = Duration::from_secs(5);
/// and for the whole answer.
const TOTAL: Duration = Duration::from_secs(10);
/// Bytes of an answer that are read.
const LARGEST: usize = 512 * 1024;
/// How doctor names itself; some firewalls refuse who does not.
const USER_AGENT: &str = concat!("owncast-herald/", env!("CARGO_PKG_VERSION"), " (doctor)");

/// One question.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) method: Method,
    /// Path and query.
    pub(super) target: String,
    pub(super) accept: &'static str,
}

/// An answer of any status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) status: u16,
    /// Names in lower case; several of a name are one list (RFC 9110, 5.3).
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
    /// The certificate that it came with (DER).
    pub(super) certificate: Option<Vec<u8>>,
    /// When it was asked for, and when it came.
    pub(super) between: Option<(Timestamp, Timestamp)>,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// `Content-Type` without parameters.
    pub(super) fn kind(&self) -> &str {
        self.header("content-type").split(';').next().unwrap_or_default().trim()
    }

    pub(super) fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    pub(super) fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.body).ok()
    }
}

/// Asks a host at one of its addresses.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    client: reqwest::Client,
    base: Url,
}

impl Asker {
    /// Asks for `base`, and whatever a name server says, at `at`.
    pub(super) fn at(base: &Url, at: SocketAddr, extra_ca: Option<&Path>) -> Result<Asker, NetError> {
        let mut client = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .tls_backend_preconfigured(tls_connector(extra_ca)?)
            .tls_info(true)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .connect_timeout(CONNECT)
            .timeout(TOTAL);
        if let Some(host) = base.domain() {
            client = client.resolve(host, at);
        }
        let client = client.build().map_err(|error| NetError::from_reqwest(error, TOTAL))?;
        Ok(Asker { client, base: base.clone() })
    }

    /// Asks a listener directly, in the name of another host, as a proxy does.
    pub(super) fn behind_the_proxy(listener: SocketAddr) -> Result<Asker, NetError> {
        let base = Url::parse(&format!("http://{listener}/"))
            .map_err(|error| NetError::Client(error.to_string()))?;
        Asker::at(&base, listener, None)
    }

    /// Asks; `host` wins over the base's own.
    pub(super) async fn ask(&self, question: &Question, host: Option<&str>) -> Result<Seen, NetError> {
        let url = self.base.join(&question.target).map_err(|error| NetError::Client(error.to_string()))?;
        let mut request = self.client.request(question.method.clone(), url).header("accept", question.accept);
        if let Some(host) = host {
            request = request.header("host", host);
        }
        let broken = |error| NetError::from_reqwest(error, TOTAL);
        let asked = Timestamp::now();
        let mut answer = request.send().await.map_err(broken)?;
        let between = Some((asked, Timestamp::now()));
        let certificate = answer.extensions().get::<reqwest::tls::TlsInfo>();
        let certificate = certificate.and_then(|info| info.peer_certificate()).map(<[u8]>::to_vec);
        let (status, headers) = (answer.status().as_u16(), plain(answer.headers()));
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(broken)? {
            let room = LARGEST - body.len();
            body.extend_from_slice(chunk.get(..room.min(chunk.len())).unwrap_or_default());
            if body.len() >= LARGEST {
                break;
            }
        }
        Ok(Seen { status, headers, body, certificate, between })
    }
}

fn plain(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut plain = BTreeMap::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        let join = |before: &mut String| *before = format!("{before}, {value}");
        plain.entry(name.as_str().to_owned()).and_modify(join).or_insert_with(|| value.clone());
    }
    plain
}

/// The addresses of a name.
pub(super) async fn resolve(base: &Url) -> Result<Vec<SocketAddr>, String> {
    let port = base.port_or_known_default().unwrap_or(443);
    let found = match base.host() {
        Some(url::Host::Ipv4(ip)) => return Ok(vec![SocketAddr::new(ip.into(), port)]),
        Some(url::Host::Ipv6(ip)) => return Ok(vec![SocketAddr::new(ip.into(), port)]),
        Some(url::Host::Domain(name)) => {
            let looked_up = tokio::net::lookup_host((name.to_owned(), port));
            tokio::time::timeout(TOTAL, looked_up).await
        }
        None => return Err("it has no host".to_owned()),
    };
    match found {
        Ok(Ok(found)) => {
            let mut found: Vec<SocketAddr> = found.collect();
            found.sort();
            found.dedup();
            Ok(found)
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no name server answers within {} s", TOTAL.as_secs())),
    }
}

/// The address from which this machine would ask another; no packet is sent.
pub(super) fn source_towards(there: SocketAddr) -> Option<IpAddr> {
    let any: SocketAddr = if there.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(there).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_one_name_are_one_list() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("link", "</a.css>; rel=preload"), ("etag", "\"1\""), ("link", "<https://a>")] {
            headers.append(name, value.parse().unwrap());
        }
        let seen = Seen { headers: plain(&headers), ..Seen::default() };
        assert_eq!(
            (seen.header("link"), seen.header("etag")),
            ("</a.css>; rel=preload, <https://a>", "\"1\"")
        );
    }
}
