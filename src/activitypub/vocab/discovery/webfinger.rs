//! WebFinger (RFC 7033) and host-meta (RFC 6415).

use serde_json::{Value, json};
use thiserror::Error;
use url::Url;

use super::super::ACTIVITY_JSON;
use crate::{
    activitypub::html::escape,
    model::{Addresses, facts::Facts},
};

/// Why a resource was not answered. The message is for the implementer at the other end.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum WebfingerProblem {
    /// No resource was asked for: status 400.
    #[error("the query parameter `resource` is missing")]
    Missing,
    /// It is neither `acct:user@host` nor a web address: status 400.
    #[error("`resource` must be acct:user@host or an http(s) address")]
    Malformed,
    /// Nobody here: status 404.
    #[error("there is no such account here")]
    Unknown,
}

/// The JRD of the one actor, for every way of asking for it.
///
/// `resource` is percent-decoded. Answered are `acct:` in any letter case (the answer has the canonical one, which
/// GoToSocial compares), the actor's id (Akkoma asks for it) and the watch page with or without its slash.
pub fn webfinger(addresses: &Addresses, facts: &Facts, resource: &str) -> Result<Value, WebfingerProblem> {
    let resource = resource.trim();
    if resource.is_empty() {
        return Err(WebfingerProblem::Missing);
    }
    // A parser of addresses would take some of these out and find us in what is left.
    if resource.contains(|c: char| c.is_control() || c.is_whitespace()) {
        return Err(WebfingerProblem::Malformed);
    }
    let ours = match strip_scheme(resource, "acct") {
        Some(account) => is_our_account(addresses, account)?,
        None => is_our_address(addresses, resource)?,
    };
    if !ours {
        return Err(WebfingerProblem::Unknown);
    }
    let actor = addresses.actor();
    let page = addresses.watch_page();
    let mut links = vec![
        json!({"rel": "self", "type": ACTIVITY_JSON, "href": actor}),
        json!({"rel": "http://webfinger.net/rel/profile-page", "type": "text/html", "href": page}),
    ];
    if let Some(logo) = &facts.logo {
        links.push(json!({
            "rel": "http://webfinger.net/rel/avatar",
            "type": logo.media_type,
            "href": addresses.media(&logo.name),
        }));
    }
    // Owncast's own link to the stream itself, read by players.
    links.push(json!({
        "rel": "alternate",
        "type": "application/x-mpegURL",
        "href": format!("{}/hls/stream.m3u8", addresses.base),
    }));
    Ok(json!({
        "subject": format!("acct:{}", addresses.handle()),
        "aliases": [actor, page],
        "links": links,
    }))
}

/// The XRD that leads to WebFinger: Mastodon and GoToSocial look here when WebFinger answers 404.
pub fn host_meta(addresses: &Addresses) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<XRD xmlns=\"http://docs.oasis-open.org/ns/xri/xrd-1.0\">\n  \
         <Link rel=\"lrdd\" type=\"application/jrd+json\" template=\"{}/.well-known/webfinger?resource={{uri}}\"/>\n</XRD>\n",
        escape(&addresses.base)
    )
}

fn strip_scheme<'a>(resource: &'a str, scheme: &str) -> Option<&'a str> {
    let (found, rest) = resource.split_once(':')?;
    found.eq_ignore_ascii_case(scheme).then_some(rest)
}

fn is_our_account(addresses: &Addresses, account: &str) -> Result<bool, WebfingerProblem> {
    // People paste handles with the sign in front.
    let account = account.strip_prefix('@').unwrap_or(account);
    let (user, host) = account.split_once('@').ok_or(WebfingerProblem::Malformed)?;
    if user.is_empty() || host.is_empty() || host.contains(['@', '/', '\\', '?', '#']) {
        return Err(WebfingerProblem::Malformed);
    }
    let base = Url::parse(&addresses.base).map_err(|_| WebfingerProblem::Unknown)?;
    // Parsed, so that letter case, punycode and the default port make no difference.
    let asked =
        Url::parse(&format!("{}://{host}", base.scheme())).map_err(|_| WebfingerProblem::Malformed)?;
    Ok(user.eq_ignore_ascii_case(&addresses.username) && asked.origin() == base.origin())
}

fn is_our_address(addresses: &Addresses, resource: &str) -> Result<bool, WebfingerProblem> {
    // No address of ours has one; before a host it is somebody's account, which a parser passes over.
    if resource.contains('@') {
        return Err(WebfingerProblem::Malformed);
    }
    let asked = Url::parse(resource).map_err(|_| WebfingerProblem::Malformed)?;
    if !matches!(asked.scheme(), "http" | "https") {
        return Err(WebfingerProblem::Malformed);
    }
    let is = |address: &str| Url::parse(address).is_ok_and(|ours| ours == asked);
    Ok(is(&addresses.actor()) || is(&addresses.base) || is(&addresses.watch_page()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activitypub::vocab::samples::{addresses, assert_covers, facts, recorded};

    #[test]
    fn it_covers_the_recorded_answer() {
        let ours = webfinger(&addresses(), &facts(), "acct:streamer@live.example").unwrap();
        let theirs = recorded("webfinger");
        assert_covers(&theirs, &ours, &[], "");
        assert_eq!(ours["subject"], theirs["subject"]);
        let rels = |document: &Value| -> Vec<String> {
            document["links"].as_array().unwrap().iter().map(|link| link["rel"].to_string()).collect()
        };
        assert_eq!(rels(&ours), rels(&theirs));
        assert_eq!(ours["links"][0], theirs["links"][0]);
        assert_eq!(ours["links"][3], theirs["links"][3]);
        assert_eq!(ours["links"][1]["href"], "https://live.example/");
    }

    #[test]
    fn every_way_of_asking_gets_the_canonical_answer() {
        let canonical = webfinger(&addresses(), &facts(), "acct:streamer@live.example").unwrap();
        for resource in [
            "acct:STREAMER@Live.Example",
            "ACCT:streamer@live.example:443",
            "acct:@streamer@live.example",
            "https://live.example/federation/user/streamer",
            "https://LIVE.example:443/federation/user/streamer",
            "https://live.example/",
            "https://live.example",
        ] {
            assert_eq!(webfinger(&addresses(), &facts(), resource).as_ref(), Ok(&canonical), "{resource}");
        }
    }

    #[test]
    fn others_are_refused_with_the_reason() {
        use WebfingerProblem::{Malformed, Missing, Unknown};
        for (resource, problem) in [
            ("", Missing),
            ("  ", Missing),
            ("x", Malformed),
            ("acct:streamer", Malformed),
            ("acct:@streamer", Malformed),
            ("acct:a@b@c", Malformed),
            ("acct:streamer@", Malformed),
            ("acct:streamer@live.example/x", Malformed),
            ("acct:streamer@live.example?x", Malformed),
            ("acct:streamer@live.example#x", Malformed),
            ("acct:streamer@live.ex\tample", Malformed),
            ("https://live.ex\tample/federation/user/streamer", Malformed),
            ("https://live.example/\nfederation/user/streamer", Malformed),
            ("https://@live.example/", Malformed),
            ("https://ana@live.example/", Malformed),
            ("https:////@live.example/", Malformed),
            ("mailto:streamer@live.example", Malformed),
            ("acct:nobody@live.example", Unknown),
            ("acct:streamer@other.example", Unknown),
            ("acct:streamer@live.example:8443", Unknown),
            ("https://live.example/federation/user/Streamer", Unknown),
            ("https://live.example/other", Unknown),
            ("https://other.example/", Unknown),
        ] {
            assert_eq!(webfinger(&addresses(), &facts(), resource), Err(problem), "{resource}");
        }
    }

    #[test]
    fn international_names_and_odd_ports_are_compared_parsed() {
        let a = Addresses::new("https://bücher.example:8443/live", "u");
        for resource in ["acct:u@xn--bcher-kva.example:8443", "acct:u@BÜCHER.example:8443"] {
            assert!(webfinger(&a, &facts(), resource).is_ok(), "{resource}");
        }
        assert!(webfinger(&a, &facts(), "https://bücher.example:8443/live").is_ok());
        assert_eq!(webfinger(&a, &facts(), "acct:u@bücher.example"), Err(WebfingerProblem::Unknown));
    }

    #[test]
    fn without_a_logo_there_is_no_avatar() {
        let facts = Facts { logo: None, ..facts() };
        let ours = webfinger(&addresses(), &facts, "https://live.example").unwrap();
        assert_eq!(ours["links"].as_array().map(Vec::len), Some(3));
    }

    #[test]
    fn host_meta_leads_to_webfinger() {
        let template = "template=\"https://live.example/.well-known/webfinger?resource={uri}\"";
        assert!(recorded("host-meta").as_str().unwrap().contains(template));
        assert!(host_meta(&addresses()).contains(template));
    }
}
