//! What is read, what is refused, and that writing reads back.

use super::*;

#[test]
fn durations_are_read_and_written() {
    let table = [
        ("0", Some(0), "0s"),
        ("0s", Some(0), "0s"),
        ("250ms", Some(250), "250ms"),
        ("60s", Some(60_000), "1m"),
        ("90s", Some(90_000), "1m30s"),
        ("1h30m", Some(5_400_000), "1h30m"),
        ("2d", Some(172_800_000), "2d"),
        ("", None, ""),
        ("s", None, ""),
        ("5", None, ""),
        ("-5s", None, ""),
        ("5 s", None, ""),
        ("5parsecs", None, ""),
        ("1s1m", None, ""),
        ("1m1m", None, ""),
        ("1.5h", None, ""),
        ("99999999999999999999s", None, ""),
        ("9999999999999999999d", None, ""),
    ];
    for (text, millis, written) in table {
        let read = parse_duration(text);
        assert_eq!(read, millis.map(Duration::from_millis), "{text:?}");
        if let Some(read) = read {
            assert_eq!(duration_text(read), written, "{text:?}");
            assert_eq!(parse_duration(&duration_text(read)), Some(read), "{text:?}");
        }
    }
}

#[test]
fn addresses_have_a_host_and_nothing_after_it() {
    let good = [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
        ("https://Live.Example", "https://Live.Example"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("http://owncast:8080", "http://owncast:8080"),
    ];
    for (text, kept) in good {
        assert_eq!(HttpUrl::from_text(text).map(|url| url.as_str().to_owned()).as_deref(), Some(kept));
    }
    let bad = [
        "127.0.0.1:8080",
        "owncast:8080",
        "ftp://owncast",
        "http://",
        "http:///",
        "http://owncast/admin",
        "http://owncast//",
        "http://owncast/.",
        "http://owncast?x",
        "http://owncast/#a",
        "http://admin:pw@owncast",
        "http://@owncast",
        "http://own cast",
        " http://owncast",
        "http:\\\\owncast",
        "http:owncast",
        "unix:/run/owncast.sock",
    ];
    for text in bad {
        assert_eq!(HttpUrl::from_text(text), None, "{text:?}");
    }
}

#[test]
fn loopback_is_recognised() {
    let table = [
        ("http://127.9.9.9", true),
        ("http://[::1]:1", true),
        ("http://localhost:8080", true),
        ("http://10.0.0.1", false),
        ("http://localhost.example", false),
    ];
    for (text, loopback) in table {
        assert_eq!(HttpUrl::from_text(text).map(|url| url.is_loopback()), Some(loopback), "{text}");
    }
}

#[test]
fn networks_and_lone_addresses_are_read() {
    let table = [
        ("10.1.2.3/8", Some("10.0.0.0/8")),
        ("::1", Some("::1/128")),
        ("127.0.0.1", Some("127.0.0.1/32")),
        ("10.0.0.0/33", None),
        ("localhost", None),
        ("", None),
    ];
    for (text, net) in table {
        assert_eq!(Cidr::from_text(text).map(|c| c.0.to_string()).as_deref(), net, "{text:?}");
    }
}

#[test]
fn log_levels_spare_the_libraries() {
    let table = [
        ("info", Some("info")),
        ("debug", Some("info,owncast_herald=debug,herald=debug")),
        ("warn,sled=info", Some("warn,sled=info")),
        (
            "trace,owncast_herald::net=off",
            Some("info,owncast_herald=trace,herald=trace,owncast_herald::net=off"),
        ),
        ("loud", None),
        ("info,", None),
        ("info,loud", None),
        ("info,a b=debug", None),
        ("", None),
    ];
    for (text, directives) in table {
        assert_eq!(LogLevel::from_text(text).map(|l| l.directives()).as_deref(), directives, "{text:?}");
    }
}

#[test]
fn post_texts_name_only_what_exists() {
    let table = [
        ("We are live: {title} {url}", true),
        ("braces {} and { } and {1} are text", true),
        ("{titel}", false),
        ("{title} {nope}", false),
    ];
    for (text, good) in table {
        assert_eq!(PostText::from_text(text).is_some(), good, "{text:?}");
    }
    assert!(PostText::from_text(&"x".repeat(2001)).is_none());
    assert!(PostText::from_text(&"ü".repeat(2000)).is_some());
}

#[test]
fn languages_are_told_by_their_tags() {
    let table = [
        ("en", true),
        ("pt-BR", true),
        ("zh-Hant-TW", true),
        ("es-419", true),
        ("gsw", true),
        ("", false),
        ("d", false),
        ("de_DE", false),
        ("de-", false),
        ("de-x", false),
        ("1e", false),
        ("de DE", false),
        ("deutsch\u{131}", false),
        ("de-abcdefgh-abcdefgh-abcdefgh-abcdefgh", false),
    ];
    for (text, good) in table {
        assert_eq!(Language::from_text(text).is_some(), good, "{text:?}");
    }
}
