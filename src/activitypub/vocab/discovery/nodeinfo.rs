//! NodeInfo 2.0 and 2.1 (FEP-f1d5), NodeInfo2 and Mastodon's instance document.
//!
//! The software is named `owncast` with Owncast's version: that is what people watch here, what statistics count and
//! what Owncast's own directory looks for. That the federation is ours stands in `metadata`.

use serde_json::{Value, json};

use crate::model::{Addresses, facts::Facts};

/// `/.well-known/nodeinfo`: where the versions are, the older one first as Owncast has it.
pub fn nodeinfo_index(addresses: &Addresses) -> Value {
    let link = |version: &str| {
        json!({
            "rel": format!("http://nodeinfo.diaspora.software/ns/schema/{version}"),
            "href": format!("{}/nodeinfo/{version}", addresses.base),
        })
    };
    json!({"links": [link("2.0"), link("2.1")]})
}

/// NodeInfo 2.0. `local_posts` counts the public posts that stand.
pub fn nodeinfo_2_0(addresses: &Addresses, facts: &Facts, local_posts: u64) -> Value {
    let software = json!({"name": "owncast", "version": version(facts)});
    nodeinfo("2.0", software, addresses, facts, local_posts)
}

/// NodeInfo 2.1: as 2.0, and where the software is from.
pub fn nodeinfo_2_1(addresses: &Addresses, facts: &Facts, local_posts: u64) -> Value {
    let software = json!({
        "name": "owncast",
        "version": version(facts),
        "repository": "https://github.com/owncast/owncast",
        "homepage": "https://owncast.online",
    });
    nodeinfo("2.1", software, addresses, facts, local_posts)
}

fn nodeinfo(schema: &str, software: Value, addresses: &Addresses, facts: &Facts, local_posts: u64) -> Value {
    json!({
        "version": schema,
        "software": software,
        "protocols": ["activitypub"],
        "services": {"inbound": [], "outbound": []},
        "openRegistrations": false,
        "usage": {
            "users": {"total": 1, "activeMonth": 1, "activeHalfyear": 1},
            "localPosts": local_posts,
        },
        "metadata": {
            "chat_enabled": !facts.chat_disabled,
            "nodeName": facts.name,
            "nodeDescription": facts.summary,
            // Owncast's `featured_streams` says that such Follows are answered: they are not.
            "federation": {"username": addresses.username},
            "federationSoftware": {
                "name": env!("CARGO_PKG_NAME"),
                "version": env!("CARGO_PKG_VERSION"),
            },
        },
    })
}

/// `/.well-known/x-nodeinfo2` as Owncast has it.
pub fn x_nodeinfo2(addresses: &Addresses, facts: &Facts, local_posts: u64) -> Value {
    json!({
        "version": version(facts),
        "server": {
            "baseUrl": addresses.base,
            "name": "owncast",
            "software": "owncast",
            "version": version(facts),
        },
        "organization": {"name": facts.name, "contact": addresses.base},
        "services": {"inbound": ["activitypub"], "outbound": ["activitypub"]},
        "protocols": ["activitypub"],
        "openRegistrations": false,
        "usage": {
            "users": {"total": 1, "activeWeek": 1, "activeMonth": 1, "activeHalfyear": 1},
            "localPosts": local_posts,
            "localComments": 0,
        },
    })
}

/// `/api/v1/instance` as Owncast has it. Without a frozen logo the thumbnail is Owncast's own.
pub fn api_v1_instance(addresses: &Addresses, facts: &Facts, local_posts: u64) -> Value {
    let thumbnail = facts
        .logo
        .as_ref()
        .map_or_else(|| format!("{}/logo/external", addresses.base), |logo| addresses.media(&logo.name));
    json!({
        "uri": addresses.base,
        "title": facts.name,
        "short_description": facts.summary,
        "description": facts.summary,
        "version": format!("Owncast v{}", version(facts)),
        "thumbnail": thumbnail,
        "languages": null,
        "stats": {"user_count": 1, "status_count": local_posts, "domain_count": 0},
        "registrations": false,
        "approval_required": false,
        "invites_enabled": false,
    })
}

/// The schema demands a version even before Owncast has told its own.
fn version(facts: &Facts) -> &str {
    if facts.version.is_empty() { "0.0.0" } else { &facts.version }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activitypub::vocab::samples::{addresses, assert_covers, facts, recorded};

    #[test]
    fn all_cover_what_a_real_owncast_answers() {
        let (a, f) = (addresses(), facts());
        for (name, ours) in [
            ("nodeinfo-index", nodeinfo_index(&a)),
            ("nodeinfo-2.0", nodeinfo_2_0(&a, &f, 4)),
            ("x-nodeinfo2", x_nodeinfo2(&a, &f, 4)),
            ("instance-v1", api_v1_instance(&a, &f, 4)),
        ] {
            assert_covers(&recorded(name), &ours, &[], "");
        }
        assert_eq!(nodeinfo_index(&a)["links"][0], recorded("nodeinfo-index")["links"][0]);
        assert_eq!(nodeinfo_2_0(&a, &f, 4)["software"], recorded("nodeinfo-2.0")["software"]);
    }

    #[test]
    fn two_one_says_more_of_the_software_and_names_us() {
        let ours = nodeinfo_2_1(&addresses(), &facts(), 4);
        assert_eq!(ours["version"], "2.1");
        assert_eq!(ours["software"]["repository"], "https://github.com/owncast/owncast");
        assert_eq!(ours["usage"]["localPosts"], 4);
        assert_eq!(ours["metadata"]["federation"], json!({"username": "streamer"}));
        assert_eq!(ours["metadata"]["federationSoftware"]["name"], "owncast-herald");
    }

    #[test]
    fn before_owncast_has_answered_the_schema_still_holds() {
        let empty = Facts { name: String::new(), logo: None, version: String::new(), ..Facts::default() };
        let a = addresses();
        assert_eq!(nodeinfo_2_0(&a, &empty, 0)["software"]["version"], "0.0.0");
        assert_eq!(api_v1_instance(&a, &empty, 0)["thumbnail"], "https://live.example/logo/external");
    }
}
