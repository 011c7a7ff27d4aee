//! How others find the actor and learn what runs here: WebFinger, host-meta, NodeInfo, instance and followers.

mod nodeinfo;
mod webfinger;

pub use nodeinfo::{api_v1_instance, nodeinfo_2_0, nodeinfo_2_1, nodeinfo_index, x_nodeinfo2};
pub use webfinger::{WebfingerProblem, host_meta, webfinger};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{date, is_web_address};
use crate::model::handle::Person;

/// `/api/followers` in Owncast's shape, so that its followers tab is true.
///
/// `rows` is one page of (who, since when); `total` counts all of them. Owncast's page makes a link and an image of the
/// addresses, so only web addresses get in.
pub fn api_followers(rows: &[(Person, Timestamp)], total: u64) -> Value {
    let results: Vec<Value> = rows
        .iter()
        .map(|(person, since)| {
            let mut pages = [person.url.as_deref(), Some(person.actor.as_str())].into_iter().flatten();
            let link = pages.find(|address| is_web_address(address)).unwrap_or_default();
            let image = person.icon.as_deref().filter(|address| is_web_address(address)).unwrap_or_default();
            json!({
                "link": link,
                "name": person.name.as_deref().unwrap_or_default(),
                "username": person.handle,
                "image": image,
                "timestamp": date(*since),
                "disabledAt": null,
            })
        })
        .collect();
    json!({"results": results, "total": total})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activitypub::vocab::samples::{assert_covers, recorded, time};

    fn person(url: Option<&str>, icon: Option<&str>) -> Person {
        Person {
            actor: "https://peer.example/u/ana".to_owned(),
            inbox: "https://peer.example/u/ana/inbox".to_owned(),
            shared_inbox: None,
            handle: "ana@peer.example".to_owned(),
            name: Some("Ana".to_owned()),
            icon: icon.map(str::to_owned),
            url: url.map(str::to_owned),
        }
    }

    #[test]
    fn followers_have_the_recorded_shape() {
        let ours = api_followers(&[(person(None, None), time())], 41);
        assert_covers(&recorded("public-followers"), &ours, &[], "");
        assert_eq!(ours["total"], 41);
        assert_eq!(ours["results"][0]["link"], "https://peer.example/u/ana");
        assert_eq!(api_followers(&[], 0), json!({"results": [], "total": 0}));
    }

    #[test]
    fn a_follower_cannot_put_a_script_behind_its_name() {
        let hostile = person(Some("javascript:alert(1)"), Some("data:text/html,x"));
        let ours = api_followers(&[(hostile, time())], 1);
        assert_eq!(ours["results"][0]["link"], "https://peer.example/u/ana");
        assert_eq!(ours["results"][0]["image"], "");
    }
}
