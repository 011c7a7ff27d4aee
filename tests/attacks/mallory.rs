//! Somebody who writes requests by hand: any bytes, any date, any number of times.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use openssl::hash::MessageDigest;
use openssl::pkey::{Id, PKey, Private};
use openssl::rsa::Rsa;
use openssl::sha::sha256;
use openssl::sign::Signer;
use owncast_herald::sim::fediverse::{Document, Reply, Server};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::stage::Stage;
use crate::support::wait::LONG;

/// An actor with a key of its own making.
pub struct Mallory {
    /// The actor's id.
    pub id: String,
    /// What its requests name as their key.
    pub key_id: String,
    key: PKey<Private>,
    /// Stays for as long as somebody lives on it.
    _server: Server,
}

impl Mallory {
    /// Puts an actor `name` on `server`.
    pub fn on(server: &Server, name: &str) -> Mallory {
        let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
        let pem = String::from_utf8(key.public_key_to_pem().unwrap()).unwrap();
        let mallory = Mallory::unseen(server, name, key);
        let (id, key_id) = (&mallory.id, &mallory.key_id);
        mallory.show(json!({"publicKey": {"id": key_id, "owner": id, "publicKeyPem": pem}}));
        mallory
    }

    /// An actor with this key, whose document is not there yet.
    pub fn unseen(server: &Server, name: &str, key: PKey<Private>) -> Mallory {
        // Its inbox is that of a person who takes what comes.
        server.person(name);
        let id = format!("{}/by-hand/{name}", server.url());
        Mallory { key_id: format!("{id}#main-key"), id, key, _server: server.clone() }
    }

    /// Puts its document there, with these fields beside the usual ones.
    pub fn show(&self, fields: Value) {
        let name = self.id.rsplit('/').next().unwrap();
        let inbox = format!("{}/users/{name}/inbox", self._server.url());
        let mut actor = json!({
            "@context": ["https://www.w3.org/ns/activitystreams", "https://w3id.org/security/v1"],
            "id": self.id, "type": "Person", "preferredUsername": name, "inbox": inbox,
        });
        actor.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        self._server.place(&format!("/by-hand/{name}"), Document::activity(&actor));
    }

    fn sign(&self, text: &str) -> String {
        let mut signer = match self.key.id() {
            Id::ED25519 => Signer::new_without_digest(&self.key).unwrap(),
            _ => Signer::new(MessageDigest::sha256(), &self.key).unwrap(),
        };
        STANDARD.encode(signer.sign_oneshot_to_vec(text.as_bytes()).unwrap())
    }

    /// A whole signed request to `path` of `stage`, dated so many seconds ago.
    pub fn request(&self, stage: &Stage, path: &str, activity: &Value, ago: i64) -> Vec<u8> {
        let at = Timestamp::from_second(Timestamp::now().as_second() - ago).unwrap();
        self.request_at(stage, path, activity, at)
    }

    /// As [`Mallory::request`], dated at a moment.
    pub fn request_at(&self, stage: &Stage, path: &str, activity: &Value, at: Timestamp) -> Vec<u8> {
        let (host, body) = (stage.agent.host(), activity.to_string());
        let date = httpdate::fmt_http_date(at.into());
        let digest = format!("SHA-256={}", STANDARD.encode(sha256(body.as_bytes())));
        let text = format!("(request-target): post {path}\nhost: {host}\ndate: {date}\ndigest: {digest}");
        let request = head(path, &host, &date, &digest, &self.key_id, &self.sign(&text), &body);
        match self.key.id() {
            // Its key says that it is Ed25519.
            Id::ED25519 => {
                String::from_utf8(request).unwrap().replacen("rsa-sha256", "hs2019", 1).into_bytes()
            }
            _ => request,
        }
    }

    /// As [`Mallory::request`], signed by RFC 9421.
    pub fn request_rfc9421(&self, stage: &Stage, path: &str, activity: &Value, ago: i64) -> Vec<u8> {
        let (host, body) = (stage.agent.host(), activity.to_string());
        let created = Timestamp::now().as_second() - ago;
        let digest = format!("sha-256=:{}:", STANDARD.encode(sha256(body.as_bytes())));
        let parameters = format!(
            "(\"@method\" \"@target-uri\" \"content-digest\");created={created};keyid=\"{}\"",
            self.key_id
        );
        let text = format!(
            "\"@method\": POST\n\"@target-uri\": http://{host}{path}\n\"content-digest\": {digest}\n\"@signature-params\": {parameters}"
        );
        let signature = self.sign(&text);
        format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Digest: {digest}\r\n\
             Content-Type: application/activity+json\r\nContent-Length: {}\r\nConnection: close\r\n\
             Signature-Input: sig1={parameters}\r\nSignature: sig1=:{signature}:\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }
}

/// A request whose signature has the right shape, and is by nobody.
pub fn forged(stage: &Stage, key_id: &str, activity: &Value) -> Vec<u8> {
    let body = activity.to_string();
    let path = stage.inbox().strip_prefix(&stage.agent.public_url()).unwrap().to_owned();
    let date = httpdate::fmt_http_date(std::time::SystemTime::now());
    let digest = format!("SHA-256={}", STANDARD.encode(sha256(body.as_bytes())));
    head(&path, &stage.agent.host(), &date, &digest, key_id, &STANDARD.encode([7; 256]), &body)
}

fn head(
    path: &str,
    host: &str,
    date: &str,
    digest: &str,
    key_id: &str,
    signature: &str,
    body: &str,
) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nDate: {date}\r\nDigest: {digest}\r\n\
         Content-Type: application/activity+json\r\nContent-Length: {}\r\nConnection: close\r\n\
         Signature: keyId=\"{key_id}\",algorithm=\"rsa-sha256\",headers=\"(request-target) host date digest\",\
         signature=\"{signature}\"\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Sends bytes to the public listener and reads until it closes the connection. Status 0 stands for no answer.
pub async fn send(stage: &Stage, request: &[u8]) -> Reply {
    let mut stream = TcpStream::connect(stage.agent.host()).await.unwrap();
    // It may answer and close before it has read all of it.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(LONG, stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "neither an answer nor an end within {LONG:?}");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    Reply { status, body }
}
