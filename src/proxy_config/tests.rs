use std::collections::BTreeSet;

use super::*;

const ALL: [Proxy; 4] = [Proxy::Nginx, Proxy::Caddy, Proxy::Apache, Proxy::Traefik];

fn site(base: &str) -> Site {
    let agent = "0.0.0.0:8585".parse().unwrap();
    Site::new(Addresses::new(base, "ana"), agent, "http://127.0.0.1:8080/", None).unwrap()
}

/// What is neither blank nor a comment.
fn said(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn every_piece_names_each_path_of_ours_and_both_programs() {
    for proxy in ALL {
        let text = said(&site("https://live.example").render(proxy));
        for path in OF_THE_HOST.iter().chain(&SINGLE).chain(&FOLDERS) {
            let path = if proxy == Proxy::Apache { path.replace('.', "\\.") } else { (*path).to_owned() };
            assert!(text.contains(&path), "{proxy:?} lacks {path}:\n{text}");
        }
        for part in [
            "live.example",
            "127.0.0.1:8585",
            "http://127.0.0.1:8080",
            "<https://live.example/federation/user/ana>",
            "application/activity+json",
        ] {
            assert!(text.contains(part), "{proxy:?} lacks {part}:\n{text}");
        }
        assert!(!text.contains("0.0.0.0"), "nobody can call that address:\n{text}");
    }
}

#[test]
fn a_path_of_the_public_url_stands_before_all_but_what_is_asked_of_the_host() {
    for proxy in ALL {
        let text = said(&site("https://example.org/live").render(proxy));
        let path = |path: &str| match proxy {
            Proxy::Apache => path.replace('.', "\\."),
            _ => path.to_owned(),
        };
        for path in OF_THE_HOST.map(path) {
            assert!(text.contains(&path) && !text.contains(&format!("/live{path}")), "{path}:\n{text}");
        }
        for path in SINGLE.iter().chain(&FOLDERS) {
            assert!(text.contains(&format!("/live{path}")), "{path}:\n{text}");
        }
        assert!(text.contains("<https://example.org/live/federation/user/ana>"), "{text}");
    }
}

#[test]
fn all_paths_are_listed_as_people_write_them() {
    let paths = paths("/live");
    assert_eq!(paths.len(), OF_THE_HOST.len() + SINGLE.len() + FOLDERS.len());
    for path in ["/.well-known/webfinger", "/live/api/followers", "/live/federation/*"] {
        assert!(paths.iter().any(|listed| listed == path), "{path} is not in {paths:?}");
    }
}

#[test]
fn another_port_is_the_one_listened_on_and_no_other_is() {
    for (proxy, listens) in [
        (Proxy::Nginx, "listen 8443 ssl"),
        (Proxy::Caddy, "https://live.example:8443 {"),
        (Proxy::Apache, "<VirtualHost *:8443>"),
    ] {
        let text = said(&site("https://live.example:8443").render(proxy));
        assert!(text.contains(listens) && !text.contains(":80>") && !text.contains("listen 80;"), "{text}");
    }
    let plain = said(&site("http://live.example").render(Proxy::Nginx));
    assert!(plain.contains("listen 80;") && !plain.contains("ssl"), "{plain}");
}

#[test]
fn where_a_certificate_has_to_be_got_first_the_first_piece_stands_alone() {
    for (proxy, end) in [(Proxy::Nginx, "\n}\n"), (Proxy::Apache, "</VirtualHost>\n")] {
        let text = site("https://live.example").render(proxy);
        assert!(text.contains("# No certificate yet?"), "{text}");
        let (first, _) = text.split_once(end).unwrap();
        assert!(first.contains("\n    # Certificates are renewed"), "it stands where it belongs: {first}");
        assert!(first.contains("certbot") && !first.contains("privkey"), "{first}");
        for base in ["http://live.example", "https://live.example:8443"] {
            assert!(!site(base).render(proxy).contains("No certificate yet?"), "{base}");
        }
    }
}

#[test]
fn a_certificate_that_is_named_is_used() {
    let given = Certificate { chain: "/c/chain.pem".into(), key: "/c/key.pem".into() };
    let ours = Addresses::new("https://live.example", "ana");
    let agent = "127.0.0.1:8585".parse().unwrap();
    let site = Site::new(ours, agent, "http://127.0.0.1:8080", Some(given)).unwrap();
    for proxy in ALL {
        let text = said(&site.render(proxy));
        assert!(text.contains("/c/chain.pem") && text.contains("/c/key.pem"), "{text}");
        assert!(!text.contains("letsencrypt"), "{text}");
    }
}

#[test]
fn an_owncast_behind_tls_is_spoken_to_as_each_proxy_wants_it() {
    let over = |owncast: &str, proxy| {
        let ours = Addresses::new("https://live.example", "ana");
        Site::new(ours, "127.0.0.1:8585".parse().unwrap(), owncast, None).unwrap().render(proxy)
    };
    for (proxy, lines) in [
        (Proxy::Nginx, &["proxy_ssl_server_name on;"][..]),
        (Proxy::Apache, &["SSLProxyEngine on", "SSLProxyCheckPeerName off", "SSLProxyCheckPeerCN off"]),
        (Proxy::Caddy, &["header_up Host {hostport}"]),
        (Proxy::Traefik, &["url = \"https://owncast.internal.example\""]),
    ] {
        let text = over("https://owncast.internal.example", proxy);
        assert!(text.contains("is asked for the host live.example"), "{text}");
        let without = over("http://owncast.internal.example", proxy);
        assert!(!without.contains("is asked for the host"), "{without}");
        for line in lines {
            assert!(said(&text).contains(line), "{proxy:?} lacks {line}:\n{text}");
            assert!(!without.contains(line), "{proxy:?} has {line} for plain http:\n{without}");
        }
    }
}

#[test]
fn every_line_about_ipv6_says_that_it_can_go() {
    let text = site("https://live.example").render(Proxy::Nginx);
    let lines: Vec<&str> = text.lines().collect();
    let about = lines.windows(2).filter(|pair| pair[1].trim_start().starts_with("listen [::]:"));
    let remarks: Vec<&str> = about.map(|pair| pair[0].trim()).collect();
    assert_eq!(remarks, ["# Without IPv6 on this machine: not this line."; 2], "{text}");
}

#[test]
fn traefiks_file_is_toml_with_the_agents_rule_first() {
    for (base, word) in [
        ("https://live.example", "live-example"),
        ("https://example.org/live", "example-org-live"),
        ("http://live.example", "live-example"),
        ("https://live.example:8443", "live-example-8443"),
    ] {
        let file: toml::Table = toml::from_str(&site(base).render(Proxy::Traefik)).unwrap();
        let routers = file["http"]["routers"].as_table().unwrap();
        let priority = |name: &str| routers[&format!("{name}-{word}")]["priority"].as_integer().unwrap();
        assert!(priority("owncast-herald") > priority("owncast-page"), "{file}");
        assert!(priority("owncast-page") > priority("owncast"), "{file}");
        let services = file["http"]["services"].as_table().unwrap();
        let url = |name: &str| {
            services[&format!("{name}-{word}")]["loadBalancer"]["servers"][0]["url"].as_str().unwrap()
        };
        assert_eq!(
            (url("owncast-herald"), url("owncast")),
            ("http://127.0.0.1:8585", "http://127.0.0.1:8080")
        );
        let middlewares = file["http"]["middlewares"].as_table().unwrap();
        let link = &middlewares[&format!("owncast-actor-{word}")]["headers"]["customResponseHeaders"]["Link"];
        assert_eq!(link.as_str(), Some(site(base).link().as_str()));
        let used = routers.values().flat_map(|router| router.get("middlewares")?.as_array());
        for name in used.flatten() {
            assert!(middlewares.contains_key(name.as_str().unwrap()), "{name}");
        }
    }
}

#[test]
fn two_streams_behind_one_proxy_have_no_name_in_common() {
    let [one, two] = ["https://live.example", "https://radio.example"].map(site);
    let names = |site: &Site| {
        let file: toml::Table = toml::from_str(&site.render(Proxy::Traefik)).unwrap();
        let kinds = file["http"].as_table().unwrap().values();
        kinds.flat_map(|kind| kind.as_table().unwrap().keys().cloned()).collect::<BTreeSet<_>>()
    };
    assert!(names(&one).is_disjoint(&names(&two)), "{:?} {:?}", names(&one), names(&two));
    for (proxy, file) in [
        (Proxy::Nginx, "/etc/nginx/conf.d/owncast-radio-example.conf"),
        (Proxy::Apache, "/etc/apache2/sites-available/owncast-radio-example.conf"),
        (Proxy::Apache, "a2ensite owncast-radio-example &&"),
        (Proxy::Apache, "/etc/httpd/conf.d/owncast-radio-example.conf"),
        (Proxy::Apache, "setsebool -P httpd_can_network_connect 1"),
        (Proxy::Nginx, "setsebool -P httpd_can_network_connect 1"),
        (Proxy::Traefik, " owncast-radio-example.toml"),
    ] {
        let text = two.render(proxy);
        assert!(text.contains(file), "{file} is not in {text}");
    }
}

#[test]
fn nothing_steers_a_proxy() {
    let agent: SocketAddr = "127.0.0.1:8585".parse().unwrap();
    let owncast = "http://127.0.0.1:8080";
    for name in ["a b", "a;b", "a{b", "$host", "a\"b", "a'b", "a\nb", "a`b", "ä"] {
        let refused = Site::new(Addresses::new("https://live.example", name), agent, owncast, None);
        assert!(matches!(refused, Err(SiteError::Letter { what: "the actor", .. })), "{name}: {refused:?}");
    }
    let ours = Addresses::new("https://live.example", "ana");
    let certificate = Certificate { chain: "/c/a b.pem".into(), key: "/k".into() };
    let refused = Site::new(ours.clone(), agent, owncast, Some(certificate)).unwrap_err();
    assert!(refused.to_string().contains("/c/a b.pem"), "{refused}");
    for (base, told) in [
        ("live.example", "live.example"),
        ("ftp://live.example", "ftp://live.example"),
        ("https://a:b@live.example", "https://…@live.example"),
        ("https://live.example/?x", "https://live.example/?x"),
    ] {
        let refused = Site::new(Addresses::new(base, "ana"), agent, owncast, None);
        assert_eq!(refused, Err(SiteError::PublicUrl(told.to_owned())));
    }
    for path in ["a*", "(a|b)", "a+", "[ab]"] {
        let refused =
            Site::new(Addresses::new(&format!("https://live.example/{path}"), "ana"), agent, owncast, None);
        assert!(
            matches!(refused, Err(SiteError::Letter { what: "the public URL", .. })),
            "{path}: {refused:?}"
        );
    }
    for owncast in ["http://127.0.0.1:8080/x", "http://admin:hunter2@127.0.0.1:8080"] {
        let refused = Site::new(ours.clone(), agent, owncast, None).unwrap_err();
        assert!(
            matches!(refused, SiteError::Owncast(_)) && !refused.to_string().contains("hunter2"),
            "{refused}"
        );
    }
    for host in ["a;b", "a$b", "a'b", "a`b", "a{b"] {
        let refused = Site::new(ours.clone(), agent, &format!("http://{host}:8080"), None);
        assert!(refused.is_err(), "{host}: {refused:?}");
    }
    assert!(Site::new(ours, agent, "http://[::1]:8080", None).is_ok());
}
