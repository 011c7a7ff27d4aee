//! One request: signed when it is about to be sent, sent, its answer sorted.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use http::header::{CONTENT_TYPE, DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue};
use jiff::Timestamp;
use url::Url;

use super::classify::{Reply, clocks_differ, retry_after};
use super::signing::{Signing, Unsigned};
use crate::activitypub::signature::{Form, Scheme, digest};
use crate::fetch::{Schemes, refuses_scheme};
use crate::net::{After, Answer, Client, NetError};

/// The media type of what we send.
const ACTIVITY: &str = "application/activity+json";

/// A body and its digest in each scheme's form: made once per activity, sent to every inbox.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    body: Bytes,
    digest: Arc<str>,
    content_digest: Arc<str>,
}

impl Letter {
    pub(super) fn new(body: String) -> Self {
        let body = Bytes::from(body);
        let (digest, content_digest) = (digest::header_value(&body), digest::content_header_value(&body));
        Letter { body, digest: digest.into(), content_digest: content_digest.into() }
    }

    pub(super) fn digest(&self, scheme: Scheme) -> Arc<str> {
        match scheme {
            Scheme::Cavage => Arc::clone(&self.digest),
            Scheme::Rfc9421 => Arc::clone(&self.content_digest),
        }
    }
}

/// What sends.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    pub(super) client: Client,
    pub(super) signing: Signing,
    pub(super) schemes: Arc<Schemes>,
}

/// What one knock came to.
enum Knock {
    Unsigned(Unsigned),
    Answered(Answer),
    Broken(NetError),
}

/// A request that is signed and not sent yet.
pub(super) struct Signed {
    url: Url,
    scheme: Scheme,
    headers: HeaderMap,
}

/// What came back, with a word for the log.
pub(super) struct Sent {
    pub(super) began: Instant,
    /// Some knock was answered.
    pub(super) answered: bool,
    pub(super) reply: Reply,
    pub(super) why: String,
}

impl Sender {
    /// Signs a request in the scheme that `host`, that of the inbox, is thought to verify. Waits for its turn, which tells nothing
    /// of the server.
    pub(super) async fn sign(&self, inbox: &str, host: &str, letter: &Letter) -> Result<Signed, Sent> {
        let Ok(url) = Url::parse(inbox) else {
            return Err(Sent::unasked(Reply::Refused, "the inbox is not an address".into()));
        };
        let scheme = self.schemes.first(host, Timestamp::now());
        match self.headers(&url, letter, Form::Plain(scheme)).await {
            Ok(headers) => Ok(Signed { url, scheme, headers }),
            Err(cause) => Err(told(Instant::now(), Knock::Unsigned(cause))),
        }
    }

    /// Sends it, and once more, as the server asks for or else in the other scheme, if the answer may mean that the first is not
    /// verified there. `after`: whether the connection will be wanted again.
    pub(super) async fn send(&self, signed: Signed, host: &str, letter: &Letter, after: After) -> Sent {
        let began = Instant::now();
        let Signed { url, scheme, headers } = signed;
        let first = self.knock(&url, letter, headers, after).await;
        let form = match &first {
            Knock::Answered(answer) if self.may_refuse_scheme(host, answer.status.as_u16()) => {
                Form::after(scheme, &answer.headers, self.signing.key_id(), true)
            }
            _ => return told(began, first),
        };
        let (then, asked) = (form.scheme(), matches!(form, Form::Asked(_)));
        let second = match self.headers(&url, letter, form).await {
            Ok(headers) => self.knock(&url, letter, headers, after).await,
            Err(cause) => Knock::Unsigned(cause),
        };
        if let (Knock::Answered(one), Knock::Answered(other)) = (&first, &second) {
            let (one, other) = (one.status.as_u16(), other.status.as_u16());
            if (200..300).contains(&other) {
                self.schemes.took(host, then, Timestamp::now());
                return Sent { answered: true, ..told(began, second) };
            }
            if asked && then == scheme && (refuses_scheme(other) || other == 403) {
                self.schemes.doubts(host);
            }
            // An answer to what was asked for is about something else than the signature, unless it says so.
            if asked && !refuses_scheme(other) {
                return Sent { answered: true, ..told(began, second) };
            }
            if one == 403 {
                self.schemes.forbade(host, other, Timestamp::now());
            }
            if first_tells(scheme, one, other) {
                return told(began, first);
            }
        }
        let forbade = matches!(&first, Knock::Answered(answer) if answer.status == 403);
        let sent = Sent { answered: true, ..told(began, second) };
        if forbade && matches!(sent.reply, Reply::NoAnswer | Reply::NotConnected) {
            // It may break at that each time.
            self.schemes.forbade(host, 504, Timestamp::now());
        }
        sent
    }

    fn may_refuse_scheme(&self, host: &str, status: u16) -> bool {
        refuses_scheme(status) || status == 403 && self.schemes.may_forbid(host, Timestamp::now())
    }

    async fn headers(&self, url: &Url, letter: &Letter, form: Form) -> Result<HeaderMap, Unsigned> {
        let digest = letter.digest(form.scheme());
        let mut headers = self.signing.post(form, url, digest, ACTIVITY).await?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(ACTIVITY));
        Ok(headers)
    }

    async fn knock(&self, url: &Url, letter: &Letter, headers: HeaderMap, after: After) -> Knock {
        match self.client.post(url, headers, letter.body.clone(), after).await {
            Ok(answer) => Knock::Answered(answer),
            Err(cause) => Knock::Broken(cause),
        }
    }
}

/// Which of two refusals is the better word: a 401, since that may pass; of two of them, or none, that of the scheme that nearly
/// all verify. Some break at the other one, or forbid it; but who cannot read the first at all has told of it in the second.
/// Who is asked in RFC 9421 first is known to verify that, and may know of nothing that is asked otherwise. Who forbids it
/// means that, unless the other one is taken, or may be when it is tried again.
fn first_tells(first: Scheme, one: u16, other: u16) -> bool {
    let breaks = other == 403 || (500..600).contains(&other) && other != 503;
    match (first, one, other) {
        (_, 401, 400 | 401) => true,
        (Scheme::Cavage, 400, 400) => true,
        (Scheme::Rfc9421, 401, 404) => true,
        (_, 401, _) => breaks,
        (_, 403, _) => !matches!(other, 401 | 408 | 425 | 429 | 500 | 502..),
        _ => false,
    }
}

impl Sent {
    fn unasked(reply: Reply, why: String) -> Self {
        Sent { began: Instant::now(), answered: false, reply, why }
    }
}

fn told(began: Instant, knock: Knock) -> Sent {
    match knock {
        Knock::Unsigned(cause) => {
            let reply = match cause {
                Unsigned::Impossible(_) => Reply::Refused,
                Unsigned::Gone => Reply::Stopped,
            };
            Sent::unasked(reply, cause.to_string())
        }
        Knock::Answered(answer) => {
            let header = |name| answer.headers.get(name).and_then(|value| value.to_str().ok());
            let (now, status) = (Timestamp::now(), answer.status.as_u16());
            let asked = header(RETRY_AFTER).and_then(|value| retry_after(value, now));
            match header(DATE).and_then(|date| clocks_differ(status, date, now)) {
                Some(ahead) => Sent {
                    began,
                    answered: true,
                    reply: Reply::OtherTime(ahead),
                    why: format!("status {status}, by a clock that is {ahead} s ahead of ours"),
                },
                None => Sent {
                    began,
                    answered: true,
                    reply: Reply::Status(status, asked),
                    why: format!("status {status}"),
                },
            }
        }
        Knock::Broken(cause) => {
            let reply = match &cause {
                // One wrong answer of a name server must not lose anything for good; the address is checked every time. Nor may
                // a certificate that is not valid yet: then all of them fail, and it is our clock that is wrong.
                NetError::Connect(_) | NetError::Tls(_) | NetError::RefusedAddress(_) => Reply::NotConnected,
                NetError::Ourselves(_) => Reply::NotSent,
                NetError::Crowded(_) => Reply::Crowded,
                NetError::Timeout(_)
                | NetError::Protocol(_)
                | NetError::TooLarge(_)
                | NetError::Encoding(_) => Reply::NoAnswer,
                _ => Reply::Refused,
            };
            Sent { began, answered: false, reply, why: cause.to_string() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activitypub::signature::PrivateKey;
    use crate::net::ClientOptions;
    use crate::net::test_server::{self, TestServer, answer};

    fn sender() -> Sender {
        let options = ClientOptions {
            allow_private: vec!["127.0.0.0/8".parse().unwrap()],
            allow_http: true,
            ..ClientOptions::default()
        };
        let key = PrivateKey::generate().unwrap();
        Sender {
            client: Client::new(options).unwrap(),
            signing: Signing::start(1, "https://a.example/u#main-key", &key).unwrap(),
            schemes: Arc::default(),
        }
    }

    #[tokio::test]
    async fn who_forbids_and_breaks_at_the_other_scheme_is_believed_in_the_end() {
        let server = TestServer::start(|_, hit| match hit.headers.contains_key("signature-input") {
            true => test_server::Reply::Raw(Vec::new()),
            false => answer(403, &[], ""),
        })
        .await;
        let sender = sender();
        let (inbox, host, letter) =
            (server.url("/inbox"), server.address.to_string(), Letter::new("{}".to_owned()));
        let (mut sent, mut knocks) = (Vec::new(), Vec::new());
        for _ in 0..5 {
            let signed = sender.sign(inbox.as_str(), &host, &letter).await.unwrap_or_else(|_| panic!());
            let told = sender.send(signed, &host, &letter, After::Close).await;
            sent.push((told.reply, told.answered));
            knocks.push(server.hits().len());
        }
        let mut want = vec![(Reply::NoAnswer, true); 4];
        want.push((Reply::Status(403, None), true));
        assert_eq!((sent, knocks), (want, vec![2, 4, 6, 8, 9]));
    }

    #[tokio::test]
    async fn what_a_server_says_of_the_signature_it_asked_for_counts() {
        let server = TestServer::start(|_, hit| {
            let asked_for =
                hit.headers.get("signature-input").is_some_and(|one| one.as_bytes().starts_with(b"nonce="));
            let (_, status) = hit.target.split_once('/').unwrap_or_default();
            match asked_for {
                true => answer(status.parse().unwrap(), &[], ""),
                false => answer(401, &[("accept-signature", "nonce=();nonce=\"x\"")], ""),
            }
        })
        .await;
        let sender = sender();
        let (host, letter) = (server.address.to_string(), Letter::new("{}".to_owned()));
        for (status, want) in
            [(202, 202), (404, 404), (410, 410), (403, 403), (500, 500), (504, 504), (401, 401), (400, 401)]
        {
            // As everybody, and as one that took RFC 9421.
            for _ in 0..2 {
                let inbox = server.url(&format!("/{status}"));
                let signed =
                    sender.sign(inbox.as_str(), &host, &letter).await.unwrap_or_else(|_| panic!("{status}"));
                let told = sender.send(signed, &host, &letter, After::Close).await;
                assert_eq!(told.reply, Reply::Status(want, None), "{status}");
                sender.schemes.took(&host, Scheme::Rfc9421, Timestamp::now());
            }
            sender.schemes.doubts(&host);
        }
    }

    #[test]
    fn the_better_of_two_refusals() {
        for (one, other, cavage, rfc9421) in [
            (401, 401, true, true),
            // The first may not be verified there, and the second may be for want of our key.
            (400, 401, false, false),
            (400, 400, true, false),
            (401, 400, true, true),
            (401, 403, true, true),
            (401, 500, true, true),
            (401, 502, true, true),
            (401, 404, false, true),
            (400, 403, false, false),
            (400, 500, false, false),
            (401, 503, false, false),
            (401, 410, false, false),
            (401, 429, false, false),
            (403, 403, true, true),
            (403, 404, true, true),
            (403, 501, true, true),
            // Where the other scheme is verified, that may pass.
            (403, 401, false, false),
            (403, 429, false, false),
            (403, 500, false, false),
            (403, 503, false, false),
        ] {
            for (first, want) in [(Scheme::Cavage, cavage), (Scheme::Rfc9421, rfc9421)] {
                assert_eq!(first_tells(first, one, other), want, "{first:?} {one} {other}");
            }
        }
    }
}
