//! Traefik 2 and 3: a file of its file provider.

use super::Site;

pub(super) fn render(site: &Site) -> String {
    // All of a Traefik's files share their names.
    let word = site.word();
    let name = |what: &str| format!("{what}-{word}");
    let [herald, owncast, page] = ["owncast-herald", "owncast", "owncast-page"].map(name);
    let [actor, stripped] = ["owncast-actor", "owncast-prefix"].map(name);
    let mut text = super::comment(&site.head(
        "Traefik",
        &format!("{owncast}.toml in a folder that its file provider reads ([providers.file] directory)"),
        "nothing, Traefik sees the change",
    ));
    let entry = if site.secure() { "websecure" } else { "web" };
    text.push_str(&format!(
        "#
# Two names are those of most Traefiks, and have to be yours: the entry point \"{entry}\" for {base}, and
# the certificate resolver \"letsencrypt\", whose challenges Traefik answers before anything here. Traefik leaves the host
# as it is and says who asks; a websocket (Owncast's chat) needs no setting.

",
        base = site.ours.base
    ));
    let host = format!("Host(`{}`)", site.host());
    let single = site.single().into_iter().map(|path| format!("Path(`{path}`)"));
    let folders = site.folders().into_iter().map(|path| format!("PathPrefix(`{path}`)"));
    let paths: Vec<String> = single.chain(folders).collect();
    let prefix = site.prefix();
    text.push_str(
        "# The fediverse's addresses, and no more of /.well-known/ than these. The highest priority wins, so that\n\
         # /api/v1/instance and /api/followers are not Owncast's.\n",
    );
    let strip: &[&str] = if prefix.is_empty() { &[] } else { &[&stripped] };
    let of_page = [&[actor.as_str()], strip].concat();
    let ours = format!("{host} && ({})", paths.join(" || "));
    text.push_str(&router(site, &herald, &ours, 3000, &herald, &[]));
    text.push_str(
        "# The page itself says who its actor is: the stream's address, pasted into a search of the fediverse, finds it.\n",
    );
    let root = format!("{host} && Path(`{prefix}/`)");
    text.push_str(&router(site, &page, &root, 2000, &owncast, &of_page));
    text.push_str("# Everything else is Owncast's: chat, video (/hls/), API and admin pages.\n");
    let rest = if prefix.is_empty() { host } else { format!("{host} && PathPrefix(`{prefix}/`)") };
    text.push_str(&router(site, &owncast, &rest, 1000, &owncast, strip));
    text.push_str(&format!(
        "[http.middlewares.{actor}.headers.customResponseHeaders]\nLink = '{}'\n\n",
        site.link()
    ));
    if !prefix.is_empty() {
        text.push_str(&format!("[http.middlewares.{stripped}.stripPrefix]\nprefixes = [\"{prefix}\"]\n\n"));
    }
    text.push_str(&service(&herald, &format!("http://{}", site.agent)));
    text.push('\n');
    if site.owncast_is_secure() {
        text.push_str(
            "# Owncast's own https: this machine has to trust its certificate, or a serversTransport names an authority.\n",
        );
    }
    text.push_str(&service(&owncast, site.owncast()));
    if let (Some(given), true) = (&site.certificate, site.secure()) {
        text.push_str(&format!(
            "\n[[tls.certificates]]\ncertFile = \"{}\"\nkeyFile = \"{}\"\n",
            given.chain, given.key
        ));
    }
    text
}

fn router(site: &Site, name: &str, rule: &str, priority: u32, service: &str, middlewares: &[&str]) -> String {
    let entry = if site.secure() { "websecure" } else { "web" };
    let mut text = format!(
        "[http.routers.{name}]\nrule = '{rule}'\nentryPoints = [\"{entry}\"]\npriority = {priority}\nservice = \"{service}\"\n"
    );
    if !middlewares.is_empty() {
        let names: Vec<String> = middlewares.iter().map(|name| format!("\"{name}\"")).collect();
        text.push_str(&format!("middlewares = [{}]\n", names.join(", ")));
    }
    match (site.secure(), &site.certificate) {
        (true, None) => {
            text.push_str(&format!("[http.routers.{name}.tls]\ncertResolver = \"letsencrypt\"\n"));
        }
        (true, Some(_)) => text.push_str(&format!("[http.routers.{name}.tls]\n")),
        (false, _) => {}
    }
    text.push('\n');
    text
}

fn service(name: &str, url: &str) -> String {
    format!(
        "[http.services.{name}.loadBalancer]\n[[http.services.{name}.loadBalancer.servers]]\nurl = \"{url}\"\n"
    )
}
