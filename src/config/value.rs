//! The value types of `agent.toml`. Each knows its own text form, and says what it would have accepted.

use std::fmt;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use serde::de::{self, Deserialize, Deserializer, Unexpected, Visitor};
use url::Url;

/// A value written as a quoted string.
pub trait FromText: Sized {
    /// Writes what is accepted, as it follows "expected" in a message.
    fn expected(f: &mut fmt::Formatter<'_>) -> fmt::Result;
    /// Reads the text; `None` when it does not fit.
    fn from_text(text: &str) -> Option<Self>;
}

/// Reads a text given outside of `agent.toml`.
///
/// # Errors
/// What would have been accepted.
pub fn from_argument<T: FromText>(text: &str) -> Result<T, String> {
    struct Expected<T>(PhantomData<T>);
    impl<T: FromText> fmt::Display for Expected<T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            T::expected(f)
        }
    }
    T::from_text(text).ok_or_else(|| format!("expected {}", Expected::<T>(PhantomData)))
}

struct TextVisitor<T>(PhantomData<T>);

impl<T: FromText> Visitor<'_> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::expected(f)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        T::from_text(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

struct BlankVisitor<T>(PhantomData<T>);

impl<T: FromText> Visitor<'_> for BlankVisitor<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::expected(f)?;
        f.write_str(", or \"\" for the default")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Option<T>, E> {
        if text.is_empty() {
            return Ok(None);
        }
        T::from_text(text).map(Some).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

/// Reads a value whose empty text means "not set": the default comes from elsewhere (Owncast, the environment).
pub fn blank_is_unset<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromText,
{
    deserializer.deserialize_str(BlankVisitor(PhantomData))
}

/// Reads a value through its text form.
pub(super) fn deserialize_text<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromText,
{
    deserializer.deserialize_str(TextVisitor(PhantomData))
}

macro_rules! deserialize_from_text {
    ($($type:ty),+ $(,)?) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserialize_text(deserializer)
            }
        }
    )+};
}

deserialize_from_text!(
    HttpUrl,
    Listener,
    Cidr,
    AbsolutePath,
    UserName,
    AdminUser,
    PostText,
    Language,
    LogLevel,
);

/// A bare `http` or `https` address: host and port, no path, query, fragment or login.
///
/// The text is kept as written (less a trailing slash), because an actor id is compared letter by letter by peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpUrl {
    text: String,
    url: Url,
}

impl HttpUrl {
    /// The address as written, without a trailing slash: `https://live.example`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The address, parsed.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Whether the host is this machine by address or by the name `localhost`.
    pub fn is_loopback(&self) -> bool {
        match self.url.host() {
            Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
            Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
            Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            None => false,
        }
    }
}

impl FromText for HttpUrl {
    fn expected(f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an http:// or https:// address of host and port only: no path, query or login in it")
    }

    fn from_text(text: &str) -> Option<Self> {
        // The URL parser forgives blanks and backslashes; an identity is too lasting for that.
        if text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '\\') {
            return None;
        }
        let url = Url::parse(text).ok()?;
        let plain = matches!(url.scheme(), "http" | "https")
            && url.host_str().is_some_and(|host| !host.is_empty())
            && url.username().is_empty()
            && url.password().is_none()
            && !text.contains(['?', '#', '@'])
            && url.path() == "/";
        let (_, rest) = text.split_once("://")?;
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if !plain || authority.contains('/') {
            return None;
        }
        Some(Self { text: text.trim_end_matches('/').to_owned(), url })
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// An address and port to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listener(pub SocketAddr);

impl FromText for Listener {
    fn expected(f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an IP address with a port, such as \"127.0.0.1:8585\" or \"[::1]:8585\"")
    }

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

/// A network in CIDR form; a bare address is a network of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr(pub IpNet);

impl FromText for Cidr {
    fn expected(f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("networks or addresses such as \"10.0.0.0/8\", \"fd00::/8\" or \"::1\"")
    }

    fn from_text(text: &str) -> Option<Self> {
        let net = text.parse::<IpNet>().ok();
        net.or_else(|| text.parse::<std::net::IpAddr>().ok().map(IpNet::from)).map(|net| Self(net.trunc()))
    }
}

/// A file or folder. Absolute, because a service and a shell have different current folders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AbsolutePath(pub PathBuf);

impl FromText for AbsolutePath {
    fn expected(f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an absolute path, starting with /")
    }

    fn from_text(text: &str) -> Option<Self> {
        (Path::new(text).is_absolute() && !text.contains('\0')).then(|| Self(PathBuf::from(text)))
    }
}

/// The local part of the actor's handle, as in `@streamer@live.example`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserName(pub String);

impl FromText for UserName {
    fn expected(f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("1 to 64 letters (a-z, A-Z), digits, '_', '-' or '.', beginning and ending with none of '-' and '.'")
    }

    fn from_text(text: &str) -> Option<Self> {
        let good = text.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
            && !text.starts_with(['-', '.'])
            && !text.ends_with(['-', '.'])
            && (1..=64).contains(&text.len());
        good.then(|| Self(text.to_owned()))
    }
}

/// The login name of Owncast's admin pages, sent by HTTP basic authentication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminUser(pub String);

impl FromText for AdminUser {
    fn expected(f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a login name without ':' or control characters")
    }

    fn from_text(text: &str) -> Option<Self> {
        let good = !text.is_empty() && !text.chars().any(|c| c == ':' || c.is_control());
        good.then(|| Self(text.to_owned()))
    }
}

/// The text of a go-live post, with placeholders in braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostText(pub String);

/// What a go-live text may name in braces.
pub const PLACEHOLDERS: [&str; 5] = ["name", "title", "summary", "url", "tags"];

/// Longest go-live text in characters: servers cut or refuse longer ones.
pub const POST_TEXT_LIMIT: usize = 2000;

impl FromText for PostText {
    fn expected(f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "text of at most {POST_TEXT_LIMIT} characters, in which only {{name}}, {{title}}, {{summary}}, "
        )?;
        f.write_str("{url} and {tags} are filled in")
    }

    fn from_text(text: &str) -> Option<Self> {
        let named = text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name);
        let mut words =
            named.filter(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphabetic()));
        let good = words.all(|name| PLACEHOLDERS.contains(&name)) && text.chars().count() <= POST_TEXT_LIMIT;
        good.then(|| Self(text.to_owned()))
    }
}

/// A language by its tag (BCP 47), as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Language(pub String);

/// Longest tag that has to be understood (RFC 5646).
const LANGUAGE_LIMIT: usize = 35;

impl FromText for Language {
    fn expected(f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the tag of a language: \"en\", \"de\", \"pt-BR\", \"zh-Hant\"")
    }

    fn from_text(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let first = parts.next()?;
        let language = (2..=8).contains(&first.len()) && first.chars().all(|c| c.is_ascii_alphabetic());
        let rest = parts
            .all(|part| (2..=8).contains(&part.len()) && part.chars().all(|c| c.is_ascii_alphanumeric()));
        (language && rest && text.len() <= LANGUAGE_LIMIT).then(|| Self(text.to_owned()))
    }
}

/// How much is logged: a level, then optional `target=level` exceptions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLevel(String);

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

impl LogLevel {
    /// As written: `info`, or `info,herald::deliver=debug`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Filter directives in the syntax of `tracing_subscriber::EnvFilter`.
    ///
    /// A level below `info` is meant for this program: libraries stay at `info`, because at `debug` some print whole
    /// request addresses, and Owncast's websocket address holds an access token.
    pub fn directives(&self) -> String {
        let (level, exceptions) = self.0.split_once(',').unwrap_or((&self.0, ""));
        let mut directives = match level {
            "debug" | "trace" => format!("info,owncast_herald={level},herald={level}"),
            _ => level.to_owned(),
        };
        if !exceptions.is_empty() {
            directives.push(',');
            directives.push_str(exceptions);
        }
        directives
    }
}

impl Default for LogLevel {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl FromText for LogLevel {
    fn expected(f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one of \"error\", \"warn\", \"info\", \"debug\", \"trace\" or \"off\", ")?;
        f.write_str("with exceptions after a comma such as \"info,herald::deliver=debug\"")
    }

    fn from_text(text: &str) -> Option<Self> {
        let mut parts = text.split(',');
        let level_is_known = LEVELS.contains(&parts.next()?);
        let exceptions_are_known = parts.all(|part| {
            part.split_once('=').is_some_and(|(target, level)| {
                LEVELS.contains(&level)
                    && !target.is_empty()
                    && target.chars().all(|c| c.is_ascii_alphanumeric() || "_:-".contains(c))
            })
        });
        (level_is_known && exceptions_are_known).then(|| Self(text.to_owned()))
    }
}

/// A duration between `MIN` and `MAX` milliseconds, written `60s`, `15m` or `1h30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period<const MIN: u64, const MAX: u64>(pub Duration);

impl<const MIN: u64, const MAX: u64> FromText for Period<MIN, MAX> {
    fn expected(f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (min, max) = (Duration::from_millis(MIN), Duration::from_millis(MAX));
        write!(f, "a duration from \"{}\" to \"{}\", ", duration_text(min), duration_text(max))?;
        f.write_str("such as \"60s\", \"15m\" or \"1h30m\" (units: ms, s, m, h, d)")
    }

    fn from_text(text: &str) -> Option<Self> {
        let duration = parse_duration(text)?;
        (Duration::from_millis(MIN)..=Duration::from_millis(MAX))
            .contains(&duration)
            .then_some(Self(duration))
    }
}

impl<'de, const MIN: u64, const MAX: u64> Deserialize<'de> for Period<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_text(deserializer)
    }
}

/// Milliseconds in each unit, largest first.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = 0u64;
    let mut smallest_so_far = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at(digits);
        let unit_end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit)?;
        if *millis >= smallest_so_far {
            return None;
        }
        smallest_so_far = *millis;
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(*millis)?)?;
        rest = tail;
    }
    (smallest_so_far != u64::MAX).then(|| Duration::from_millis(total))
}

/// A duration as `agent.toml` would write it: `90s` is `1m30s`.
pub fn duration_text(duration: Duration) -> String {
    let mut millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, size) in UNITS {
        if millis >= size {
            text.push_str(&format!("{}{unit}", millis / size));
            millis %= size;
        }
    }
    text
}

/// A whole number between `MIN` and `MAX`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count<const MIN: u32, const MAX: u32>(pub u32);

impl<'de, const MIN: u32, const MAX: u32> Deserialize<'de> for Count<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberVisitor<const MIN: u32, const MAX: u32>;
        impl<const MIN: u32, const MAX: u32> Visitor<'_> for NumberVisitor<MIN, MAX> {
            type Value = Count<MIN, MAX>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a whole number from {MIN} to {MAX}")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
                match u32::try_from(number) {
                    Ok(number) if (MIN..=MAX).contains(&number) => Ok(Count(number)),
                    _ => Err(E::invalid_value(Unexpected::Signed(number), &self)),
                }
            }
        }
        deserializer.deserialize_i64(NumberVisitor::<MIN, MAX>)
    }
}

#[cfg(test)]
mod tests;
