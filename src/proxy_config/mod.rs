//! What a reverse proxy has to be told, as a piece of its own configuration. Only text is made here.

mod apache;
mod caddy;
mod nginx;
mod traefik;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use url::Url;

use crate::model::Addresses;

/// Addresses of the host, whatever path the public URL has: that is where everybody asks.
pub const OF_THE_HOST: [&str; 4] =
    ["/.well-known/webfinger", "/.well-known/host-meta", "/.well-known/nodeinfo", "/.well-known/x-nodeinfo2"];

/// Single addresses below the public URL. Both are below Owncast's own `/api/` and have to win over it.
pub const SINGLE: [&str; 2] = ["/api/v1/instance", "/api/followers"];

/// Folders below the public URL, with all that is in them.
pub const FOLDERS: [&str; 2] = ["/nodeinfo/", "/federation/"];

/// All of these as people write them, where the public URL has this path; `*` is everything below.
#[must_use]
pub fn paths(prefix: &str) -> Vec<String> {
    let single = SINGLE.iter().map(|path| format!("{prefix}{path}"));
    let folders = FOLDERS.iter().map(|path| format!("{prefix}{path}*"));
    OF_THE_HOST.iter().map(|path| (*path).to_owned()).chain(single).chain(folders).collect()
}

/// The proxies whose language is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Proxy {
    /// nginx
    Nginx,
    /// Caddy
    Caddy,
    /// Apache's httpd
    Apache,
    /// Traefik
    Traefik,
}

/// Files of a certificate that the proxy does not get by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The certificate with those that lead to its authority (PEM).
    pub chain: String,
    /// Its private key (PEM).
    pub key: String,
}

/// Everything a proxy has to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    ours: Addresses,
    public: Url,
    agent: SocketAddr,
    owncast: Url,
    certificate: Option<Certificate>,
}

/// Why nothing can be written for a proxy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SiteError {
    /// The public URL.
    #[error(
        "{0:?} cannot be the public address of a stream: an http:// or https:// address without query or login is one"
    )]
    PublicUrl(String),
    /// Owncast's address.
    #[error("{0:?} cannot be Owncast's own address: an http:// or https:// address of host and port is one")]
    Owncast(String),
    /// A text that would mean something to the proxy.
    #[error(
        "{what} {text:?} has a character in it that means something to a proxy ({letter:?}); nothing is written for it"
    )]
    Letter {
        /// What it is.
        what: &'static str,
        /// The text.
        text: String,
        /// The character.
        letter: char,
    },
}

impl Site {
    /// Checks everything that goes into a configuration, where some characters would steer the proxy.
    ///
    /// # Errors
    /// Names what cannot be used.
    pub fn new(
        ours: Addresses,
        agent: SocketAddr,
        owncast: &str,
        certificate: Option<Certificate>,
    ) -> Result<Site, SiteError> {
        let public =
            web_address(&ours.base).ok_or_else(|| SiteError::PublicUrl(without_login(&ours.base)))?;
        let bare = |url: &Url| url.path() == "/";
        let owncast_url =
            web_address(owncast).filter(bare).ok_or_else(|| SiteError::Owncast(without_login(owncast)))?;
        plain("the actor", &ours.actor())?;
        plain("Owncast's own address", owncast_url.as_str())?;
        // Each stands for something in a path of at least one proxy.
        let wild = |letter: &char| matches!(letter, '(' | ')' | '[' | ']' | '*' | '+' | '|' | '^' | '?');
        if let Some(letter) = public.path().chars().find(wild) {
            return Err(SiteError::Letter { what: "the public URL", text: ours.base.clone(), letter });
        }
        if let Some(certificate) = &certificate {
            plain("the certificate file", &certificate.chain)?;
            plain("the key file", &certificate.key)?;
        }
        Ok(Site { ours, public, agent: reachable(agent), owncast: owncast_url, certificate })
    }

    /// The piece of configuration, complete and explained.
    #[must_use]
    pub fn render(&self, proxy: Proxy) -> String {
        match proxy {
            Proxy::Nginx => nginx::render(self),
            Proxy::Caddy => caddy::render(self),
            Proxy::Apache => apache::render(self),
            Proxy::Traefik => traefik::render(self),
        }
    }

    fn secure(&self) -> bool {
        self.public.scheme() == "https"
    }

    /// The port that the public URL names or means.
    fn port(&self) -> u16 {
        self.public.port_or_known_default().unwrap_or(443)
    }

    /// Whether the address is one that a browser gives no port.
    fn usual_port(&self) -> bool {
        self.public.port().is_none()
    }

    /// The host without a port.
    fn host(&self) -> &str {
        self.public.host_str().unwrap_or_default()
    }

    /// The public address as a word, which tells this stream from others that one proxy serves.
    fn word(&self) -> String {
        let address = format!("{}{}", self.ours.host(), self.prefix());
        address
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
            .collect()
    }

    /// The public URL's path, without a slash at its end.
    fn prefix(&self) -> &str {
        self.ours.path_prefix()
    }

    /// Every single path of ours, as it is asked for.
    fn single(&self) -> Vec<String> {
        let below = SINGLE.iter().map(|path| format!("{}{path}", self.prefix()));
        OF_THE_HOST.iter().map(|path| (*path).to_owned()).chain(below).collect()
    }

    /// Every folder of ours, as it is asked for.
    fn folders(&self) -> Vec<String> {
        FOLDERS.iter().map(|path| format!("{}{path}", self.prefix())).collect()
    }

    /// Whether the proxy refuses this before a certificate is there, which it has to help to get.
    fn awaits_certificate(&self) -> bool {
        self.secure() && self.usual_port() && self.certificate.is_none()
    }

    /// Owncast's address without a slash at its end.
    fn owncast(&self) -> &str {
        self.owncast.as_str().trim_end_matches('/')
    }

    /// Whether the proxy speaks TLS with Owncast, or with whoever stands before it there.
    fn owncast_is_secure(&self) -> bool {
        self.owncast.scheme() == "https"
    }

    /// Value of the `Link` header by which a pasted address of the stream leads to the actor.
    fn link(&self) -> String {
        format!("<{}>; rel=\"alternate\"; type=\"application/activity+json\"", self.ours.actor())
    }

    /// What every piece says first, without comment signs.
    fn head(&self, proxy: &str, place: &str, apply: &str) -> Vec<String> {
        let mut head = vec![
            format!("{proxy} for {} ({}), by owncast-herald.", self.ours.base, self.ours.handle()),
            format!("Put this into {place}, then: {apply}"),
            String::new(),
            format!("{} is owncast-herald ([listen] public), {} is Owncast.", self.agent, self.owncast()),
            "If the proxy runs on another machine or in a container, both have to be addresses that it reaches, and".to_owned(),
            "the proxy's own address belongs into [listen] trusted-proxies of agent.toml.".to_owned(),
        ];
        if self.owncast_is_secure() {
            head.push(format!(
                "Whoever serves {} is asked for the host {}, and has to lead that to Owncast.",
                self.owncast(),
                self.host()
            ));
        }
        if !self.prefix().is_empty() {
            head.push(format!(
                "Owncast does not know that it is below {}: try its page before you count on that.",
                self.prefix()
            ));
        }
        head
    }
}

/// What proxies of distributions with SELinux need, as a comment.
const SELINUX: &str = "# Where SELinux rules (Fedora, Enterprise Linux), it reaches nobody before: setsebool -P httpd_can_network_connect 1\n";

/// Lines as comments.
fn comment(lines: &[String]) -> String {
    lines.iter().map(|line| format!("# {line}").trim_end().to_owned() + "\n").collect()
}

/// An http(s) address without login, query and fragment.
fn web_address(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.host_str().is_some_and(|host| !host.is_empty())
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    plain.then_some(url)
}

/// What was written, but for a password in it.
fn without_login(text: &str) -> String {
    let login = text.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?.1)));
    login.map_or_else(|| text.to_owned(), |(scheme, host)| format!("{scheme}://…@{host}"))
}

/// Refuses what could end a word or a string, or stand for something else, in any of the languages.
fn plain(what: &'static str, text: &str) -> Result<(), SiteError> {
    let letter = text.chars().find(|c| {
        !c.is_ascii_graphic()
            || matches!(c, '"' | '\'' | '`' | '\\' | '$' | '{' | '}' | '<' | '>' | ';' | '#' | '%')
    });
    match letter {
        Some(letter) => Err(SiteError::Letter { what, text: text.to_owned(), letter }),
        None => Ok(()),
    }
}

/// Where somebody on this machine reaches a listener.
pub(crate) fn reachable(bound: SocketAddr) -> SocketAddr {
    let ip = match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, bound.port())
}

#[cfg(test)]
mod tests;
