//! What a server asks a signature to be (RFC 9421, section 5): what it covers, and what else stands in it.

use http::HeaderMap;
use jiff::Timestamp;

use super::Algorithm;
use super::fields::{Bare, InnerList, Item, Member, Parameters, dictionary};

/// The header of an answer that asks.
const HEADER: &str = "accept-signature";
/// What can be covered of any request, and with a body.
const ANY: [&str; 8] =
    ["@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path", "@query", "date"];
const BODY: [&str; 2] = ["content-digest", "content-type"];
/// Longest label, nonce and tag that are repeated, in bytes.
const MAX_BYTES: usize = 256;
/// How long a signature holds that is to end, in seconds: as long as the strictest peers accept any.
const EXPIRES: i64 = 300;

/// What is asked of one signature. The default is one that nobody asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    label: String,
    components: Vec<String>,
    expires: bool,
    /// `nonce` and `tag`, to be repeated.
    repeated: Parameters,
}

impl Default for Challenge {
    fn default() -> Self {
        Challenge {
            label: "sig1".into(),
            components: Vec::new(),
            expires: false,
            repeated: Parameters::new(),
        }
    }
}

impl Challenge {
    /// The first that an answer asks for and that can be made with our RSA key, of a request with or without body. `None`
    /// if there is none, or the header is not understood.
    #[must_use]
    pub fn read(answer: &HeaderMap, key_id: &str, body: bool) -> Option<Self> {
        let lines: Option<Vec<_>> = answer.get_all(HEADER).iter().map(|line| line.to_str().ok()).collect();
        let asked = dictionary(&lines?.join(", ")).ok()?;
        asked.into_iter().find_map(|(label, member)| match member {
            Member::List(list) => Self::possible(label, list, key_id, body),
            Member::Item(_) => None,
        })
    }

    fn possible(label: String, list: InnerList, key_id: &str, body: bool) -> Option<Self> {
        let mut asked = Challenge { label, ..Challenge::default() };
        if asked.label.len() > MAX_BYTES {
            return None;
        }
        for item in list.items {
            match item.value {
                Bare::Text(name)
                    if item.parameters.is_empty()
                        && !asked.components.contains(&name)
                        && (ANY.contains(&name.as_str()) || body && BODY.contains(&name.as_str())) =>
                {
                    asked.components.push(name);
                }
                _ => return None,
            }
        }
        for (name, value) in list.parameters {
            match (name.as_str(), &value) {
                ("created", Bare::Flag(true)) => {}
                ("expires", Bare::Flag(true)) => asked.expires = true,
                ("keyid", Bare::Text(id)) if id == key_id => {}
                ("alg", Bare::Text(name)) if name == Algorithm::RsaV15Sha256.name() => {}
                ("nonce" | "tag", Bare::Text(text)) if text.len() <= MAX_BYTES => {
                    asked.repeated.push((name, value));
                }
                _ => return None,
            }
        }
        Some(asked)
    }

    /// The signature's label.
    pub(super) fn label(&self) -> &str {
        &self.label
    }

    /// What is signed, and what the signature says of itself. Method, address and body are covered whether that was asked for or
    /// not: what is signed for one server must be of no use at another.
    pub(super) fn list(&self, date: Timestamp, key_id: &str, always: &[&str]) -> InnerList {
        let missing = always.iter().filter(|name| !self.components.iter().any(|asked| asked == *name));
        let names = self.components.iter().cloned().chain(missing.map(|name| (*name).to_owned()));
        let items = names.map(|name| Item { value: Bare::Text(name), parameters: Parameters::new() });
        let (created, text) = (date.as_second(), |text: &str| Bare::Text(text.to_owned()));
        let mut parameters = vec![("created".to_owned(), Bare::Integer(created))];
        if self.expires {
            parameters.push(("expires".to_owned(), Bare::Integer(created.saturating_add(EXPIRES))));
        }
        parameters.push(("keyid".to_owned(), text(key_id)));
        parameters.push(("alg".to_owned(), text(Algorithm::RsaV15Sha256.name())));
        parameters.extend(self.repeated.iter().cloned());
        InnerList { items: items.collect(), parameters }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY_ID: &str = "https://stream.example/federation/user/live#main-key";

    fn read(lines: &[&str], body: bool) -> Option<Challenge> {
        let mut answer = HeaderMap::new();
        lines.iter().for_each(|line| {
            answer.append(HEADER, line.parse().unwrap());
        });
        Challenge::read(&answer, KEY_ID, body)
    }

    #[test]
    fn what_can_be_signed_is_signed_as_it_is_asked_for() {
        for (lines, want) in [
            // The default.
            (
                &["sig1=(\"@method\" \"@target-uri\")"][..],
                "sig1 (\"@method\" \"@target-uri\" \"content-digest\");created=7;keyid=\"K\";alg=\"rsa-v1_5-sha256\"",
            ),
            // As Fedify asks.
            (
                &[
                    "sig1=(\"@method\" \"@target-uri\" \"@authority\" \"content-digest\");created;nonce=\"a-_9\"",
                ],
                "sig1 (\"@method\" \"@target-uri\" \"@authority\" \"content-digest\");created=7;keyid=\"K\"\
                 ;alg=\"rsa-v1_5-sha256\";nonce=\"a-_9\"",
            ),
            (
                &["a=(\"date\" \"content-type\");tag=\"t\";expires;nonce=\"n\";alg=\"rsa-v1_5-sha256\""],
                "a (\"date\" \"content-type\" \"@method\" \"@target-uri\" \"content-digest\");created=7;expires=307\
                 ;keyid=\"K\";alg=\"rsa-v1_5-sha256\";tag=\"t\";nonce=\"n\"",
            ),
            // The first that is possible, on several lines too.
            (
                &["a=(\"@method\" \"x-other\");created", "b=?1, c=(\"@status\"), d=()"],
                "d (\"@method\" \"@target-uri\" \"content-digest\");created=7;keyid=\"K\";alg=\"rsa-v1_5-sha256\"",
            ),
        ] {
            let asked = read(lines, true).unwrap();
            let list = asked.list(
                Timestamp::from_second(7).unwrap(),
                "K",
                &["@method", "@target-uri", "content-digest"],
            );
            let mut text = format!("{} ", asked.label());
            list.write(&mut text);
            assert_eq!(text, want, "{lines:?}");
        }
        assert!(read(&[&format!("a=();keyid=\"{KEY_ID}\"")], true).is_some());
        assert!(read(&["a=(\"content-digest\"), b=(\"@method\")"], false).is_some_and(|b| b.label() == "b"));
    }

    #[test]
    fn what_cannot_be_signed_is_not_promised() {
        let long = "x".repeat(MAX_BYTES + 1);
        for asked in [
            "",
            "nonsense",
            "a=(\"@status\")",
            "a=(\"@method\";req)",
            "a=(\"content-digest\";sf)",
            "a=(\"@query-param\";name=\"x\")",
            "a=(\"@method\" \"@method\")",
            "a=(@method)",
            "a=(\"authorization\")",
            "a=(\"host\")",
            "a=\"@method\"",
            "a=();keyid=\"https://other.example/key\"",
            "a=();alg=\"ed25519\"",
            "a=();created=5",
            "a=();created=?0",
            "a=();nonce",
            "a=();nonce=:AA==:",
            "a=();unheard-of",
            &format!("a=();nonce=\"{long}\""),
            &format!("a=();tag=\"{long}\""),
            &format!("{long}=()"),
            "a=(), a=()",
        ] {
            assert_eq!(read(&[asked], true), None, "{asked}");
        }
        assert_eq!(read(&[], true), None);
    }
}
