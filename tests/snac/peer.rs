//! A real snac server on loopback, driven by its command line, its web page and a look into its files.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::port::free_port;
use crate::support::wait::{LONG, eventually};

/// A snac server with one user. It is killed when dropped, and its log is printed when the test has failed.
pub struct Snac {
    folder: TempDir,
    user: String,
    password: String,
    port: u16,
    child: Child,
}

impl Snac {
    /// Makes a server with this user, starts it and waits until it answers.
    pub async fn start(user: &str) -> Snac {
        let folder = TempDir::with_prefix("snac-").unwrap();
        let (base, port) = (folder.path().join("data"), free_port());
        let questions = format!("127.0.0.1\n{port}\n127.0.0.1:{port}\n\n\n");
        run(Command::new("snac").arg("init").arg(&base), &questions);
        let file = base.join("server.json");
        let mut settings: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        // snac speaks TLS to everybody, or plain HTTP to everybody.
        settings["protocol"] = json!("http");
        settings["dbglevel"] = json!(2);
        fs::write(&file, settings.to_string()).unwrap();
        let said = run(Command::new("snac").arg("adduser").arg(&base).arg(user), "");
        let password =
            said.lines().find_map(|line| line.strip_prefix("User password is ")).expect("a password");
        let log = File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new("snac");
        command.arg("httpd").arg(&base).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let snac = Snac {
            user: user.to_owned(),
            password: password.trim().to_owned(),
            port,
            child: command.spawn().unwrap(),
            folder,
        };
        eventually("snac answers", LONG, async || reqwest::get(snac.actor()).await.ok()).await;
        snac
    }

    /// The user's actor id.
    pub fn actor(&self) -> String {
        format!("http://127.0.0.1:{}/{}", self.port, self.user)
    }

    /// Runs `snac <verb> <data> <arguments>` and answers what it printed.
    pub fn ask(&self, verb: &str, arguments: &[&str]) -> String {
        run(Command::new("snac").arg(verb).arg(self.folder.path().join("data")).args(arguments), "")
    }

    /// As [`Snac::ask`], in the name of the user.
    pub fn tell(&self, verb: &str, argument: &str) -> String {
        self.ask(verb, &[&self.user, argument])
    }

    /// Presses a button of the user's page, such as `Like`, for the post with this id.
    pub async fn press(&self, button: &str, id: &str) {
        let form = self.page("admin/action", reqwest::Method::POST);
        let body = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("id", id)
            .append_pair("action", button)
            .finish();
        let form = form.header("content-type", "application/x-www-form-urlencoded").body(body);
        let answer = form.send().await.unwrap();
        assert_eq!(answer.status(), 303, "snac's answer to {button}");
    }

    /// The HTML of the user's private timeline, as their browser gets it.
    pub async fn timeline_page(&self) -> String {
        self.page("admin", reqwest::Method::GET).send().await.unwrap().text().await.unwrap()
    }

    fn page(&self, path: &str, method: reqwest::Method) -> reqwest::RequestBuilder {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        client
            .request(method, format!("{}/{path}", self.actor()))
            .basic_auth(&self.user, Some(&self.password))
    }

    /// Actors whose Accept has arrived: until then, snac keeps its own Follow here.
    pub fn follows(&self) -> Vec<String> {
        let accepts = self.files("following").into_iter().filter(|file| file["type"] == "Accept");
        accepts.filter_map(|accept| Some(accept["actor"].as_str()?.to_owned())).collect()
    }

    /// Notes in the user's timeline by this actor.
    pub fn notes_by(&self, actor: &str) -> Vec<Value> {
        let notes = self.files("private").into_iter();
        notes.filter(|note| note["type"] == "Note" && note["attributedTo"] == actor).collect()
    }

    /// The JSON files in one of the user's folders; one that is just being written is left out.
    fn files(&self, name: &str) -> Vec<Value> {
        let folder: PathBuf =
            [self.folder.path(), Path::new("data/user"), Path::new(&self.user), Path::new(name)]
                .iter()
                .collect();
        let files = fs::read_dir(folder).unwrap().filter_map(|entry| fs::read(entry.ok()?.path()).ok());
        files.filter_map(|bytes| serde_json::from_slice(&bytes).ok()).collect()
    }
}

impl Drop for Snac {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = fs::read(self.folder.path().join("log")).unwrap_or_default();
            eprintln!("---- log of snac ----\n{}", String::from_utf8_lossy(&log));
        }
    }
}

/// Runs a snac command to its end and answers its standard output. snac reports failure in words, not by its status.
fn run(command: &mut Command, input: &str) -> String {
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap_or_else(|cause| {
        panic!("cannot run snac ({cause}): `tests/run` gets it, or put Debian's snac2 on the PATH")
    });
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}
