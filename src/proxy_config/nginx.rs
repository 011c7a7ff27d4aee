//! nginx 1.18 and newer.

use super::Site;

const WITHOUT_IPV6: &str = "    # Without IPv6 on this machine: not this line.\n";

const ACME: &str = "    # Certificates are renewed through here: certbot certonly --webroot -w /var/www/html -d HOST, or another client.
    location ^~ /.well-known/acme-challenge/ {
        root /var/www/html;
    }
";

pub(super) fn render(site: &Site) -> String {
    let mut text = super::comment(&site.head(
        "nginx",
        &format!("/etc/nginx/conf.d/owncast-{}.conf", site.word()),
        "nginx -t && systemctl reload nginx",
    ));
    text.push_str(super::SELINUX);
    text.push_str(
        "#\n# In place of the `server` you may have for this host already: of two, nginx would use one only.\n\n",
    );
    let acme = ACME.replace("HOST", site.host());
    if site.awaits_certificate() {
        text.push_str(
            "# No certificate yet? nginx takes the second `server` only with one. Put the first in alone, reload, run the certbot\n\
             # line in it, and add the second then.\n\n",
        );
    }
    if site.secure() && site.usual_port() {
        text.push_str(&format!(
            "server {{\n    listen 80;\n{WITHOUT_IPV6}    listen [::]:80;\n    server_name {host};\n\n{acme}\n    location / {{\n        \
             return 301 https://{host}$request_uri;\n    }}\n}}\n\n",
            host = site.host()
        ));
    }
    text.push_str(&server(site, &acme));
    text
}

fn server(site: &Site, acme: &str) -> String {
    let (host, port, owncast, agent) = (site.host(), site.port(), site.owncast(), site.agent);
    let mut text = String::from("server {\n");
    let tls = if site.secure() { " ssl http2" } else { "" };
    text.push_str(&format!(
        "    listen {port}{tls};\n{WITHOUT_IPV6}    listen [::]:{port}{tls};\n    server_name {host};\n\n"
    ));
    if site.secure() {
        let (chain, key) = match &site.certificate {
            Some(given) => (given.chain.clone(), given.key.clone()),
            None => (
                format!("/etc/letsencrypt/live/{host}/fullchain.pem"),
                format!("/etc/letsencrypt/live/{host}/privkey.pem"),
            ),
        };
        text.push_str(&format!("    ssl_certificate {chain};\n    ssl_certificate_key {key};\n\n"));
    }
    text.push_str(acme);
    text.push_str(
        "
    # Signatures cover the host that was asked for, so it arrives unchanged. Who asks is what nginx sees, whatever
    # the client claims. A location with a proxy_set_header of its own inherits none of these.
    proxy_http_version 1.1;
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto $scheme;
",
    );
    if site.owncast_is_secure() {
        text.push_str(
            "
    # Owncast's own https: many servers show a certificate only to who names them. Whose it is is not looked at;
    # proxy_ssl_verify and proxy_ssl_trusted_certificate change that.
    proxy_ssl_server_name on;
",
        );
    }
    text.push_str(
        "
    # The fediverse's addresses, and no more of /.well-known/ than these. `=` and `^~` win over every other location,
    # also over one for Owncast's /api/.
",
    );
    for path in site.single() {
        text.push_str(&format!("    location = {path} {{\n        proxy_pass http://{agent};\n    }}\n"));
    }
    for path in site.folders() {
        text.push_str(&format!("    location ^~ {path} {{\n        proxy_pass http://{agent};\n    }}\n"));
    }
    let prefix = site.prefix();
    let to_owncast = if prefix.is_empty() { owncast.to_owned() } else { format!("{owncast}/") };
    text.push_str(&format!(
        "
    # Owncast's chat is a websocket, which has to stay open for as long as somebody watches.
    location = {prefix}/ws {{
        proxy_pass {owncast}/ws;
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection \"upgrade\";
        proxy_read_timeout 1h;
        proxy_send_timeout 1h;
    }}

    # The page itself says who its actor is: the stream's address, pasted into a search of the fediverse, finds it.
    location = {prefix}/ {{
        proxy_pass {to_owncast};
        add_header Link '{link}' always;
    }}

    # Everything else is Owncast's: its page, video (/hls/), API and admin pages.
    location {prefix}/ {{
        proxy_pass {to_owncast};
        client_max_body_size 16m;
    }}
}}
",
        link = site.link()
    ));
    text
}
