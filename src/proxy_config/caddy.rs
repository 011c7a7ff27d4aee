//! Caddy 2.

use super::Site;

pub(super) fn render(site: &Site) -> String {
    let mut text = super::comment(&site.head(
        "Caddy",
        "/etc/caddy/Caddyfile",
        "caddy validate --config /etc/caddy/Caddyfile && systemctl reload caddy",
    ));
    let host = site.host();
    let address = match (site.secure(), site.usual_port()) {
        (true, true) => host.to_owned(),
        (true, false) => format!("https://{host}:{}", site.port()),
        (false, _) => format!("http://{host}:{}", site.port()),
    };
    text.push_str(super::SELINUX);
    text.push_str("#\n# In place of the site block you may have for this host already.\n\n");
    text.push_str(&format!("{address} {{\n"));
    match (&site.certificate, site.secure()) {
        (Some(given), true) => text.push_str(&format!("\ttls {} {}\n\n", given.chain, given.key)),
        (None, true) => text.push_str("\t# Caddy gets and renews the certificate by itself, and answers its challenges before anything below.\n\n"),
        (_, false) => {}
    }
    let folders = site.folders().into_iter().map(|path| format!("{path}*"));
    let paths: Vec<String> = site.single().into_iter().chain(folders).collect();
    text.push_str(&format!(
        "\t# The fediverse's addresses, and no more of /.well-known/ than these. A `handle` that comes first and fits wins, so
\t# that /api/v1/instance and /api/followers are not Owncast's. Caddy leaves the host as it is and says who asks.
\t@fediverse path {paths}
\thandle @fediverse {{
\t\treverse_proxy {agent}
\t}}

",
        paths = paths.join(" "),
        agent = site.agent
    ));
    let (link, owncast, prefix) = (site.link(), site.owncast(), site.prefix());
    let handle = if prefix.is_empty() {
        "\thandle {\n".to_owned()
    } else {
        format!("\tredir {prefix} {prefix}/\n\thandle_path {prefix}/* {{\n")
    };
    // Newer Caddys would name Owncast's host to whoever serves it over TLS.
    let to_owncast = if site.owncast_is_secure() {
        format!(
            "\t\t# Owncast's own https: this machine has to trust its certificate, or `transport http` names an authority.
\t\treverse_proxy {owncast} {{
\t\t\theader_up Host {{hostport}}
\t\t}}
"
        )
    } else {
        format!("\t\treverse_proxy {owncast}\n")
    };
    text.push_str(&format!(
        "\t# Everything else is Owncast's: its page, chat (a websocket), video (/hls/), API and admin pages.
{handle}\t\t# The page itself says who its actor is: the stream's address, pasted into a search of the fediverse, finds it.
\t\theader / +Link `{link}`
{to_owncast}\t}}
}}
"
    ));
    text
}
