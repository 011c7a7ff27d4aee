//! Origins, and the one way in which a stranger's text becomes a [`Url`].
//!
//! Two addresses belong together only if scheme, host and port agree after parsing (FEP-fe34); comparing text has
//! cost other servers their users' identities (Mastodon CVE-2023-42451). Addresses that two programs could read
//! differently (userinfo, backslashes, Unicode hosts, …) are refused instead of repaired.

use std::fmt;

use thiserror::Error;
use url::{Host, Url};

/// Longest address accepted from a stranger, in bytes.
pub const MAX_URL_BYTES: usize = 2048;
/// Longest id or inbox of a stranger that is kept in the store, in bytes: what real peers send has a quarter of that.
pub const MAX_KEPT_BYTES: usize = 512;

/// Scheme, host and port of an address: the unit of trust of FEP-fe34.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    /// Lower-case scheme, `https` in production.
    pub scheme: String,
    /// Lower-case ASCII host (after IDNA), or an IP literal (IPv6 in brackets).
    pub host: String,
    /// Port, the scheme's default filled in.
    pub port: u16,
}

impl Origin {
    /// The origin of an address; `None` for one without host or known port (`data:`, `mailto:`).
    #[must_use]
    pub fn of(url: &Url) -> Option<Self> {
        Some(Self {
            scheme: url.scheme().to_owned(),
            host: url.host_str()?.to_owned(),
            port: url.port_or_known_default()?,
        })
    }

    /// `host` or `host:port`, the port left out where it is the scheme's default: the form of a `Host` header.
    #[must_use]
    pub fn authority(&self) -> String {
        match (self.scheme.as_str(), self.port) {
            ("https", 443) | ("http", 80) => self.host.clone(),
            _ => format!("{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority())
    }
}

/// Whether two addresses share an origin (FEP-fe34). Addresses without an origin share none.
#[must_use]
pub fn same_origin(a: &Url, b: &Url) -> bool {
    a.host_str().is_some()
        && a.port_or_known_default().is_some()
        && (a.scheme(), a.host_str(), a.port_or_known_default())
            == (b.scheme(), b.host_str(), b.port_or_known_default())
}

/// What of the open internet's rules is relaxed. The default relaxes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RemotePolicy {
    /// Accept `http` beside `https` (`federation.allow-http`): tests and closed networks.
    pub allow_http: bool,
    /// Accept IP literals, ports and single-label hosts: on when `federation.allow-private-addresses` is not empty.
    /// Which addresses may be dialled is a separate, later check.
    pub allow_private: bool,
}

/// Why a stranger's address is refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum OriginError {
    /// Over [`MAX_URL_BYTES`].
    #[error("the address is longer than {MAX_URL_BYTES} bytes")]
    TooLong,
    /// A space or control character, anywhere (URL parsers drop some of them silently).
    #[error("the address holds a space or a control character")]
    ControlOrSpace,
    /// A backslash, which some parsers read as a slash.
    #[error("the address holds a backslash")]
    Backslash,
    /// Not `https://` (or `http://` where that is allowed) followed by a host.
    #[error("the address does not begin with https:// and a host")]
    Scheme,
    /// User name or password before the host.
    #[error("the address carries a user name or password")]
    UserInfo,
    /// Host with Unicode or percent signs in it; an international name must come in its `xn--` form.
    #[error("the host is not plain ASCII (write international names in their xn-- form)")]
    HostNotAscii,
    /// Host that is no DNS name: empty labels, odd characters, too long.
    #[error("the host is not a valid DNS name")]
    HostInvalid,
    /// Host that ends in a dot: the same machine under a second name.
    #[error("the host ends in a dot")]
    TrailingDot,
    /// IP address in place of a name.
    #[error("the host is an IP address, not a name")]
    IpLiteral,
    /// Port that is not the scheme's default.
    #[error("the address names a port")]
    Port,
    /// Host without a dot, or below `.localhost`: a name of a local network.
    #[error("the host is a local name")]
    LocalName,
    /// Anything else the URL standard refuses.
    #[error("the address is not a valid URL")]
    Unparsable,
}

/// Turns a stranger's text into an address that may be compared, stored and (after the dial-time check) fetched.
///
/// # Errors
/// The first rule of C-10 that the text breaks, see [`OriginError`].
pub fn parse_remote(text: &str, policy: &RemotePolicy) -> Result<Url, OriginError> {
    if text.len() > MAX_URL_BYTES {
        return Err(OriginError::TooLong);
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control() || is_invisible(c)) {
        return Err(OriginError::ControlOrSpace);
    }
    if text.contains('\\') {
        return Err(OriginError::Backslash);
    }
    let authority = raw_authority(text, policy)?;
    if authority.contains('@') {
        return Err(OriginError::UserInfo);
    }
    if !authority.is_ascii() || authority.contains('%') {
        return Err(OriginError::HostNotAscii);
    }
    let url = Url::parse(text).map_err(|_| OriginError::Unparsable)?;
    match url.host() {
        Some(Host::Domain(name)) => check_name(name, policy)?,
        Some(_) if policy.allow_private => {}
        Some(_) => return Err(OriginError::IpLiteral),
        None => return Err(OriginError::Scheme),
    }
    if url.port().is_some() && !policy.allow_private {
        return Err(OriginError::Port);
    }
    Ok(url)
}

/// The text between `://` and the path, read from the raw input because the parser repairs too much.
fn raw_authority<'a>(text: &'a str, policy: &RemotePolicy) -> Result<&'a str, OriginError> {
    let (scheme, rest) = text.split_once("://").ok_or(OriginError::Scheme)?;
    let known =
        scheme.eq_ignore_ascii_case("https") || (policy.allow_http && scheme.eq_ignore_ascii_case("http"));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if !known || authority.is_empty() {
        return Err(OriginError::Scheme);
    }
    Ok(authority)
}

fn check_name(name: &str, policy: &RemotePolicy) -> Result<(), OriginError> {
    if name.ends_with('.') {
        return Err(OriginError::TrailingDot);
    }
    let label_ok = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    if name.len() > 253 || !name.split('.').all(label_ok) {
        return Err(OriginError::HostInvalid);
    }
    if !policy.allow_private && (!name.contains('.') || name.ends_with(".localhost")) {
        return Err(OriginError::LocalName);
    }
    Ok(())
}

/// Characters without width or with an effect on direction: they make two addresses look alike.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRICT: RemotePolicy = RemotePolicy { allow_http: false, allow_private: false };
    const TEST_MODE: RemotePolicy = RemotePolicy { allow_http: true, allow_private: true };

    #[test]
    fn nasty_addresses_are_refused_for_the_right_reason() {
        use OriginError::*;
        let table = [
            ("", Scheme),
            ("example.com", Scheme),
            ("//example.com/a", Scheme),
            ("https:example.com", Scheme),
            ("https:/example.com", Scheme),
            ("https:///example.com", Scheme),
            ("https://", Scheme),
            ("https://?a", Scheme),
            ("https://#a", Scheme),
            ("http://example.com/", Scheme),
            ("file:///etc/passwd", Scheme),
            ("ftp://example.com/", Scheme),
            ("javascript://example.com/%0aalert(1)", Scheme),
            ("data:text/html,hi", Scheme),
            ("acct:live@example.com", Scheme),
            ("did:web:example.com", Scheme),
            ("https://user@example.com/", UserInfo),
            ("https://user:pass@example.com/", UserInfo),
            ("https://victim.example@evil.example/", UserInfo),
            ("https://@example.com/", UserInfo),
            ("https://127.0.0.1/", IpLiteral),
            ("https://2130706433/", IpLiteral),
            ("https://0x7f000001/", IpLiteral),
            ("https://0x7f.1/", IpLiteral),
            ("https://017700000001/", IpLiteral),
            ("https://127.1/", IpLiteral),
            ("https://8.8.8.8/", IpLiteral),
            ("https://[::1]/", IpLiteral),
            ("https://[::ffff:127.0.0.1]/", IpLiteral),
            ("https://[2606:4700::1111]/", IpLiteral),
            ("https://example.com:8443/", Port),
            ("https://example.com:80/", Port),
            ("https://localhost/", LocalName),
            ("https://intranet/", LocalName),
            ("https://a.localhost/", LocalName),
            ("https://example.com./", TrailingDot),
            ("https://example.com.:443/", TrailingDot),
            ("https://example..com/", HostInvalid),
            ("https://.example.com/", HostInvalid),
            ("https://exa!mple.com/", HostInvalid),
            ("https://exa$mple.com/", HostInvalid),
            ("https://exämple.com/", HostNotAscii),
            ("https://ехample.com/", HostNotAscii),
            ("https://example。com/", HostNotAscii),
            ("https://①②⑦.0.0.1/", HostNotAscii),
            ("https://ex%61mple.com/", HostNotAscii),
            ("https://%31%32%37.0.0.1/", HostNotAscii),
            ("https://example.com\\@evil.example/", Backslash),
            ("https:\\\\example.com/", Backslash),
            ("https://example.com/\\..", Backslash),
            (" https://example.com/", ControlOrSpace),
            ("https://example.com/ ", ControlOrSpace),
            ("https://example.com/a b", ControlOrSpace),
            ("https://exam\tple.com/", ControlOrSpace),
            ("https://example.com/\r\nHost: evil", ControlOrSpace),
            ("ht\ntps://example.com/", ControlOrSpace),
            ("https://example.com/\0", ControlOrSpace),
            ("https://example.com/\u{7f}", ControlOrSpace),
            ("https://example.com/\u{202e}moc", ControlOrSpace),
            ("https://exam\u{200b}ple.com/", ControlOrSpace),
            ("https://exam\u{ad}ple.com/", ControlOrSpace),
            ("https://example.com:99999/", Unparsable),
            ("https://example.com:abc/", Unparsable),
            ("https://[::1/", Unparsable),
            ("https://exa<mple.com/", Unparsable),
            ("https://256.256.256.256/", Unparsable),
        ];
        for (text, want) in table {
            assert_eq!(parse_remote(text, &STRICT), Err(want), "{text:?}");
        }
        let label = format!("https://{}.example/", "a".repeat(64));
        assert_eq!(parse_remote(&label, &STRICT), Err(HostInvalid));
        let long = format!("https://example.com/{}", "a".repeat(MAX_URL_BYTES));
        assert_eq!(parse_remote(&long, &STRICT), Err(TooLong));
    }

    #[test]
    fn ordinary_addresses_pass_in_one_spelling() {
        for (text, want) in [
            ("https://example.com", "https://example.com/"),
            ("HTTPS://EXAMPLE.com:443/Users/A", "https://example.com/Users/A"),
            ("https://xn--exmple-cua.com/@a#main-key", "https://xn--exmple-cua.com/@a#main-key"),
            ("https://example.com/a/../b?c=%2e", "https://example.com/b?c=%2e"),
            ("https://a_b.example.co.uk/ü", "https://a_b.example.co.uk/%C3%BC"),
            ("https://example.com/p@th:1", "https://example.com/p@th:1"),
        ] {
            assert_eq!(parse_remote(text, &STRICT).unwrap().as_str(), want, "{text}");
        }
    }

    #[test]
    fn test_mode_takes_local_servers_and_nothing_ambiguous() {
        for text in ["http://127.0.0.1:8080/u/a", "http://localhost:1/", "https://[::1]:2/", "https://peer/"]
        {
            assert!(parse_remote(text, &TEST_MODE).is_ok(), "{text}");
        }
        for text in ["http://a@127.0.0.1/", "ftp://127.0.0.1/", "http://127.0.0.1\\/", "http://a./"] {
            assert!(parse_remote(text, &TEST_MODE).is_err(), "{text}");
        }
    }

    #[test]
    fn origins_compare_parsed() {
        let url = |text: &str| Url::parse(text).unwrap();
        assert!(same_origin(&url("https://EXAMPLE.com/a"), &url("https://example.com:443/b#c")));
        for other in [
            "http://example.com/",
            "https://example.com:444/",
            "https://example.org/",
            "mailto:a@example.com",
        ] {
            assert!(!same_origin(&url("https://example.com/"), &url(other)), "{other}");
        }
        let origin = Origin::of(&url("https://example.com/x")).unwrap();
        assert_eq!(
            (origin.authority().as_str(), origin.to_string().as_str()),
            ("example.com", "https://example.com")
        );
        assert_eq!(Origin::of(&url("http://127.0.0.1:81/")).unwrap().authority(), "127.0.0.1:81");
    }

    proptest::proptest! {
        #[test]
        fn whatever_passes_has_a_plain_host_and_reads_the_same_again(text in "(https://)?[ -~é\\\\@:/.]{0,40}") {
            if let Ok(url) = parse_remote(&text, &STRICT) {
                proptest::prop_assert!(url.username().is_empty() && url.port().is_none());
                proptest::prop_assert!(url.host_str().is_some_and(|h| h.is_ascii() && h.contains('.')));
                proptest::prop_assert_eq!(parse_remote(url.as_str(), &STRICT), Ok(url));
            }
        }
    }
}
