//! People elsewhere: what we keep of an actor so that we can name and reach it.

use serde::{Deserialize, Serialize};

/// What is known of a remote actor that did something here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The actor's id, byte for byte as it names itself.
    pub actor: String,
    /// Its personal inbox, on the actor's own host.
    pub inbox: String,
    /// Its server's shared inbox, if that is on the same host.
    pub shared_inbox: Option<String>,
    /// `user@host`.
    pub handle: String,
    /// Display name as sent; never shown unescaped.
    pub name: Option<String>,
    /// Address of its avatar.
    pub icon: Option<String>,
    /// Its page for people, if it names one.
    pub url: Option<String>,
}

impl Person {
    /// The inbox a public activity goes to: one delivery serves everybody on that server.
    pub fn delivery_inbox(&self) -> &str {
        self.shared_inbox.as_deref().unwrap_or(&self.inbox)
    }
}

/// Host of an absolute URL, lower case, with its port if it is not the scheme's default. Empty if there is none.
pub fn host_of(id: &str) -> String {
    url::Url::parse(id).map(|url| host_of_url(&url)).unwrap_or_default()
}

/// [`host_of`] an address that has been parsed already.
pub fn host_of_url(url: &url::Url) -> String {
    let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
    match url.port() {
        Some(port) if !host.is_empty() => format!("{host}:{port}"),
        _ => host,
    }
}
