//! Apache's httpd 2.4.47 and newer.

use super::Site;

pub(super) fn render(site: &Site) -> String {
    let name = format!("owncast-{}", site.word());
    let apply = format!(
        "a2enmod ssl proxy proxy_http headers && a2ensite {name} && apachectl configtest && systemctl reload apache2"
    );
    let mut text = super::comment(&site.head(
        "Apache httpd",
        &format!("/etc/apache2/sites-available/{name}.conf"),
        &apply,
    ));
    text.push_str(&format!(
        "#\n# On Fedora and Enterprise Linux into /etc/httpd/conf.d/{name}.conf, with mod_ssl installed, then: apachectl configtest \
         && systemctl reload httpd\n"
    ));
    text.push_str(super::SELINUX);
    text.push_str(
        "#\n# In place of the <VirtualHost> you may have for this host already: of two, httpd would use one only.\n\n",
    );
    let host = site.host();
    if site.awaits_certificate() {
        text.push_str(
            "# No certificate yet? httpd takes the second <VirtualHost> only with one. Put the first in alone, reload, run the\n\
             # certbot line in it, and add the second then.\n\n",
        );
    }
    if site.secure() && site.usual_port() {
        text.push_str(&format!(
            "<VirtualHost *:80>
    ServerName {host}
    # Certificates are renewed through here: certbot certonly --webroot -w /var/www/html -d {host}, or another client.
    DocumentRoot \"/var/www/html\"
    RedirectMatch 301 \"^(?!/\\.well-known/acme-challenge/)(.*)$\" \"https://{host}$1\"
</VirtualHost>

"
        ));
    }
    text.push_str(&virtual_host(site));
    text
}

fn virtual_host(site: &Site) -> String {
    let (host, port, agent, owncast) = (site.host(), site.port(), site.agent, site.owncast());
    let mut text = String::new();
    if !site.usual_port() {
        text.push_str(&format!("Listen {port}\n"));
    }
    text.push_str(&format!("<VirtualHost *:{port}>\n    ServerName {host}\n"));
    if site.secure() {
        let (chain, key) = match &site.certificate {
            Some(given) => (given.chain.clone(), given.key.clone()),
            None => (
                format!("/etc/letsencrypt/live/{host}/fullchain.pem"),
                format!("/etc/letsencrypt/live/{host}/privkey.pem"),
            ),
        };
        text.push_str(&format!(
            "    SSLEngine on\n    SSLCertificateFile \"{chain}\"\n    SSLCertificateKeyFile \"{key}\"\n"
        ));
    }
    let (prefix, scheme) = (site.prefix(), site.public.scheme());
    text.push_str(&format!(
        "
    # Signatures cover the host that was asked for, so it arrives unchanged. What a client claims of who it is goes; httpd
    # itself then adds who asks.
    ProxyRequests Off
    ProxyPreserveHost On
    RequestHeader unset X-Forwarded-For
    RequestHeader set X-Forwarded-Proto \"{scheme}\"

    # Of these lines the first that fits wins: they stand before Owncast's, so that /api/v1/instance is not one of its /api/.
    # Challenges for certificates stay here.
    ProxyPass \"/.well-known/acme-challenge/\" \"!\"
    DocumentRoot \"/var/www/html\"

    # The fediverse's addresses, and no more of /.well-known/ than these.
"
    ));
    for path in site.single() {
        let pattern = path.replace('.', "\\.");
        text.push_str(&format!("    ProxyPassMatch \"^{pattern}$\" \"http://{agent}\"\n"));
    }
    for path in site.folders() {
        text.push_str(&format!("    ProxyPass \"{path}\" \"http://{agent}{path}\" nocanon\n"));
    }
    if site.owncast_is_secure() {
        text.push_str(&format!(
            "
    # Owncast's own https. Since the host arrives unchanged, httpd names {host} in the handshake, too, and would take no
    # certificate of another name. Who signed it is not looked at; SSLProxyVerify and SSLProxyCACertificateFile change that.
    SSLProxyEngine on
    SSLProxyCheckPeerName off
    SSLProxyCheckPeerCN off
"
        ));
    }
    text.push_str(&format!(
        "
    # Owncast's chat is a websocket; everything else is Owncast's, too: its page, video (/hls/), API and admin pages.
    ProxyPass \"{prefix}/ws\" \"{owncast}/ws\" upgrade=websocket
    ProxyPass \"{prefix}/\" \"{owncast}/\"

    # The page itself says who its actor is: the stream's address, pasted into a search of the fediverse, finds it.
    <LocationMatch \"^{pattern}/$\">
        Header always add Link \"{link}\"
    </LocationMatch>
</VirtualHost>
",
        pattern = prefix.replace('.', "\\."),
        link = site.link().replace('"', "\\\"")
    ));
    text
}
