//! A real reverse proxy with TLS in front of a stage.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use owncast_herald::sim::fediverse::Fediverse;
use reqwest::{Client, Response};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::authority::Authority;
use crate::support::port::free_port;
use crate::support::stage::{ACTIVITY, Stage, quick};
use crate::support::wait::{LONG, eventually};
use crate::tls;

/// Which proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// nginx
    Nginx,
    /// Caddy
    Caddy,
    /// Apache's httpd
    Apache,
}

impl Kind {
    /// As `proxy-config` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Nginx => "nginx",
            Kind::Caddy => "caddy",
            Kind::Apache => "apache",
        }
    }
}

/// The proxy, and the stage behind it. It is ended when dropped, and its log is printed when the test has failed.
pub struct Front {
    /// What is behind it.
    pub stage: Stage,
    /// A client that trusts the proxy's certificate.
    pub http: Client,
    /// Whose certificate it is.
    pub authority: Authority,
    folder: TempDir,
    port: u16,
    child: Child,
}

impl Front {
    /// Starts everything, and waits until the proxy answers for the agent.
    pub async fn start(kind: Kind) -> Front {
        Front::before(kind, false).await
    }

    /// As [`Front::start`], and the proxy reaches Owncast over TLS alone.
    pub async fn over_tls(kind: Kind) -> Front {
        Front::before(kind, true).await
    }

    async fn before(kind: Kind, tls: bool) -> Front {
        let folder = TempDir::with_prefix("front-").unwrap();
        // nginx and httpd drop root's rights before they write.
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(folder.path(), permissions).unwrap();
        let authority = Authority::new(folder.path());
        let port = free_port();
        let extra = format!("{:?}", authority.file);
        let password = folder.path().join("password");
        fs::write(&password, "abc123\n").unwrap();
        let password = format!("{password:?}");
        let settings =
            [("federation.extra-ca-file", extra.as_str()), ("owncast.admin-password-file", &password)];
        let mut stage = Stage::prepare(quick(), &settings).await;
        stage.fediverse = Fediverse::over_tls(&authority.pem).await.unwrap();
        stage.owncast.configure(|config| config.server_url = format!("https://127.0.0.1:{port}"));
        stage.agent.launch();
        stage.agent.wait_ready().await;
        stage.settled().await;
        let (chain, key) = (authority.chain.display().to_string(), authority.key.display().to_string());
        let owncast = if tls {
            format!("https://{}", tls::before(&authority, stage.owncast.address()).await)
        } else {
            stage.owncast.url()
        };
        let printed = ["proxy-config", kind.name(), "--owncast", &owncast];
        let printed = [&printed[..], &["--certificate", &chain, "--certificate-key", &key]].concat();
        let printed = stage.agent.cli(&printed).await;
        let snippet = String::from_utf8(printed.stdout).unwrap();
        assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
        let child = launch(kind, folder.path(), &authority, &snippet);
        let trusted = reqwest::Certificate::from_pem(&authority.pem).unwrap();
        let http = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        let http = http.tls_certs_merge([trusted]).timeout(LONG).build().unwrap();
        let mut front = Front { stage, http, authority, folder, port, child };
        let actor = front.actor();
        eventually(&format!("{kind:?} answers"), LONG, async || {
            if let Some(status) = front.child.try_wait().unwrap() {
                panic!("{kind:?} ended at once: {status}\n{snippet}");
            }
            let answer = front.http.get(&actor).header("accept", ACTIVITY).send().await.ok()?;
            (answer.status() == 200).then_some(())
        })
        .await;
        front
    }

    /// Host and port, the part of the handle after the `@`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// One of its addresses.
    pub fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.host())
    }

    /// The actor's id.
    pub fn actor(&self) -> String {
        self.url(&format!("/federation/user/{}", self.stage.owncast.config().username))
    }

    /// What a peer gets there.
    pub async fn get(&self, address: &str) -> Response {
        self.http.get(address).header("accept", ACTIVITY).send().await.unwrap()
    }

    /// Opens Owncast's chat through the proxy, as a viewer's browser does.
    pub async fn chat_opens(&self) {
        let before = self.stage.owncast.sockets();
        let token = self.stage.owncast.tokens()[0].token.clone();
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        // A websocket begins with HTTP/1.1, whatever the proxy speaks otherwise.
        let trusted = reqwest::Certificate::from_pem(&self.authority.pem).unwrap();
        let browser = Client::builder().no_proxy().http1_only().tls_certs_merge([trusted]).build().unwrap();
        let request = browser.get(self.url(&format!("/ws?accessToken={token}")));
        let request = request.header("connection", "Upgrade").header("upgrade", "websocket");
        let request = request.header("sec-websocket-version", "13").header("sec-websocket-key", key);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 101, "the chat's websocket");
        let _open = answer.upgrade().await.unwrap();
        eventually("a viewer more", LONG, async || (self.stage.owncast.sockets() > before).then_some(()))
            .await;
    }

    /// Runs a command of the program against the agent behind the proxy, through its configuration file.
    pub async fn cli(&self, arguments: &[&str]) -> Output {
        self.stage.agent.cli_by_file(arguments).await
    }

    /// Ends the proxy.
    pub fn stop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // SIGTERM: the workers of nginx and httpd end with their master.
            kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        }
        // An error means that it has ended already.
        let _ = self.child.wait();
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            let log = fs::read(self.folder.path().join("log")).unwrap_or_default();
            eprintln!("---- log of the proxy ----\n{}", String::from_utf8_lossy(&log));
        }
    }
}

fn launch(kind: Kind, folder: &Path, authority: &Authority, snippet: &str) -> Child {
    // A machine without IPv6 has no such address.
    let six = TcpListener::bind("[::1]:0").is_ok();
    let lines = snippet.lines().filter(|line| six || !line.contains("listen [::]:"));
    let snippet: String = lines.map(|line| format!("{line}\n")).collect();
    let (site, main) = (folder.join("site"), folder.join("main"));
    fs::write(&site, snippet).unwrap();
    let (shown, site) = (folder.display(), site.display());
    let (text, mut command) = match kind {
        Kind::Nginx => {
            let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                .map(|what| format!("    {what}_temp_path {shown}/{what};\n"))
                .concat();
            let text = format!(
                "daemon off;\npid {shown}/pid;\nerror_log stderr info;\nevents {{}}\nhttp {{\n    access_log off;\n{temporary}    include {site};\n}}\n"
            );
            let mut command = Command::new("nginx");
            command.args(["-e", "stderr", "-p"]).arg(folder).arg("-c").arg(&main);
            (text, command)
        }
        Kind::Caddy => {
            let text = format!("{{\n\tadmin off\n\tstorage file_system {shown}/storage\n}}\nimport {site}\n");
            let mut command = Command::new("caddy");
            command.args(["run", "--adapter", "caddyfile", "--config"]).arg(&main);
            // What the machine trusts.
            command.env("SSL_CERT_FILE", &authority.file);
            (text, command)
        }
        Kind::Apache => {
            let modules = modules();
            let loads = [
                "mpm_event",
                "authz_core",
                "alias",
                "headers",
                "ssl",
                "proxy",
                "proxy_http",
                "socache_shmcb",
            ]
            .map(|name| format!("LoadModule {name}_module {modules}/mod_{name}.so\n"))
            .concat();
            let user = if rustix::process::geteuid().is_root() { "User nobody\nGroup nogroup\n" } else { "" };
            let text = format!(
                "ServerRoot {shown}\nDefaultRuntimeDir {shown}\nPidFile {shown}/pid\nErrorLog {shown}/log\nLogLevel warn\nServerName localhost\n{loads}{user}Include {site}\n"
            );
            let mut command = Command::new("apache2");
            command.args(["-D", "FOREGROUND", "-f"]).arg(&main);
            (text, command)
        }
    };
    fs::write(&main, text).unwrap();
    let log = File::options().create(true).append(true).open(folder.join("log")).unwrap();
    command.env("HOME", folder).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    command.spawn().unwrap_or_else(|cause| {
        panic!("cannot run {} ({cause}): `tests/run` gets it, or put Debian's on the PATH", kind.name())
    })
}

/// Where httpd's modules are: beside the program that is found first.
fn modules() -> String {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join("apache2")).find(|file| file.is_file());
    let program = found.expect("apache2: `tests/run` gets it, or put Debian's apache2-bin on the PATH");
    let usr = program.ancestors().nth(2).unwrap();
    usr.join("lib/apache2/modules").display().to_string()
}
