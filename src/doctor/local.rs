//! What is on this machine: configuration, key, store, room, ports.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use super::{Agent, Closed, Code, Finding, Level, Patient};
use crate::config::keyfile::{self, KeyFileError};
use crate::config::{Config, here, quoted};

const MIB: u64 = 1024 * 1024;

/// Looks at this machine.
pub(super) fn findings(patient: &Patient) -> Vec<Finding> {
    let mut findings = vec![configuration(patient)];
    if let Some(config) = patient.config() {
        findings.extend(
            config
                .warnings()
                .iter()
                .map(|warning| Finding::told(Code::Config, Level::Yellow, warning.as_str())),
        );
        findings.extend([
            key_file(&config.identity.key_file, &config.store.path, patient.is_settled()),
            store(&config.store.path),
            space(config),
        ]);
    }
    findings.extend(listeners(patient));
    findings
}

fn configuration(patient: &Patient) -> Finding {
    match &patient.config {
        None => Finding::red(
            Code::Config,
            "there is no configuration",
            format!("{} makes one; or name it with --config FILE", here().typed("setup")),
        ),
        Some(Err(error)) => Finding::told(Code::Config, Level::Red, error.one_line()),
        Some(Ok(config)) => match patient.closed(config.file()) {
            Some(closed) => closed_to_the_service(closed),
            None => {
                let file = config.file().map_or_else(String::new, |file| file.display().to_string());
                Finding::green(Code::Config, format!("{file} is good"))
            }
        },
    }
}

/// A running agent has read it when that could still be done.
fn closed_to_the_service(Closed { file, group, homes_hidden }: &Closed) -> Finding {
    let homes = if *homes_hidden { "; below /home and /root the service sees nothing" } else { "" };
    let (group, quoted) = (quoted(group.as_ref()), quoted(file.as_os_str()));
    Finding::red(
        Code::Config,
        format!("{} is good, but the service's user may not read it", file.display()),
        format!(
            "chgrp {group} {quoted} && chmod 640 {quoted}, and let that group into the folders that it is in{homes}"
        ),
    )
}

/// `agents`: its store. `settled`: an agent runs, and has a key.
fn key_file(path: &Path, agents: &Path, settled: bool) -> Finding {
    match keyfile::read(path) {
        Ok(_) => match keyfile::warning(path, agents) {
            None => Finding::green(Code::KeyFile, format!("{} holds the actor's key", path.display())),
            Some(warning) => Finding::told(Code::KeyFile, Level::Yellow, warning),
        },
        Err(KeyFileError::Missing { .. }) if settled => Finding::red(
            Code::KeyFile,
            format!("the agent runs with a key that is no longer in {}", path.display()),
            format!(
                "put your copy of it back ({}) before the agent is restarted: without it all followers are lost",
                here().typed("key import FILE")
            ),
        ),
        Err(KeyFileError::Missing { .. }) => Finding::unchecked(
            Code::KeyFile,
            format!(
                "{} is not there; the agent makes or adopts a key once it knows who it is",
                path.display()
            ),
        ),
        Err(KeyFileError::Io { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => {
            Finding::unchecked(Code::KeyFile, format!("{} cannot be read by this user", path.display()))
        }
        Err(error) => Finding::told(Code::KeyFile, Level::Red, error.to_string()),
    }
}

fn store(folder: &Path) -> Finding {
    let shown = folder.display();
    match std::fs::metadata(folder) {
        Ok(found) if found.is_dir() => Finding::green(Code::Store, format!("{shown} is there")),
        Ok(_) => Finding::red(Code::Store, format!("{shown} is no folder"), "set [store] path to a folder"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Finding::yellow(
            Code::Store,
            format!("{shown} is not there yet"),
            format!("the service makes it when it starts ({})", here().service("start")),
        ),
        Err(error) => {
            Finding::unchecked(Code::Store, format!("{shown} cannot be seen by this user: {error}"))
        }
    }
}

fn space(config: &Config) -> Finding {
    let (folder, floor) = (&config.store.path, config.store.floor());
    let there = folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/"));
    match rustix::fs::statvfs(there) {
        Ok(disk) => {
            judge_space(disk.f_bavail.saturating_mul(disk.f_frsize), floor, &folder.display().to_string())
        }
        Err(error) => {
            Finding::unchecked(Code::Space, format!("{} cannot be asked: {error}", there.display()))
        }
    }
}

/// Little room is said while there is still time.
fn judge_space(free: u64, floor: u64, folder: &str) -> Finding {
    const CURE: &str = "make room on that disk; everything goes on by itself then";
    let text = format!("the disk of {folder} has {} MiB left", free / MIB);
    let needs = format!("{text}, and below {} MiB nothing new is taken", floor / MIB);
    match () {
        () if free < floor => Finding::red(Code::Space, needs, CURE),
        () if free < floor.saturating_mul(4) => Finding::yellow(Code::Space, needs, CURE),
        () => Finding::green(Code::Space, text),
    }
}

/// With an agent, what it listens on; without, whether it could.
fn listeners(patient: &Patient) -> Vec<Finding> {
    if let Some(status) = patient.status() {
        let listen = &status.listen;
        let text = format!(
            "the agent listens on {} (public), {} (webhook), {} (metrics)",
            listen.public, listen.webhook, listen.metrics
        );
        return vec![Finding::green(Code::Listen, text)];
    }
    let (Some(config), Agent::Stopped) = (patient.config(), &patient.agent) else { return Vec::new() };
    let listen = &config.listen;
    [("public", listen.public), ("webhook", listen.webhook), ("metrics", listen.metrics)]
        .map(|(key, address)| listener(key, address, TcpListener::bind(address).map(drop)))
        .into()
}

fn listener(key: &str, address: SocketAddr, bound: io::Result<()>) -> Finding {
    match bound {
        Ok(()) => Finding::green(Code::Listen, format!("{address} is free for [listen] {key}")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Finding::red(
            Code::Listen,
            format!("{address} is taken by another program, and [listen] {key} needs it"),
            format!(
                "set [listen] {key} to a free one (ss -ltnp shows who has it), and tell the proxy if it is public"
            ),
        ),
        Err(error) => Finding::red(
            Code::Listen,
            format!("{address} cannot be listened on: {error}"),
            format!("set [listen] {key} to an address of this machine"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_room_is_said_before_there_is_none() {
        for (free, level) in
            [(63, Level::Red), (64, Level::Yellow), (255, Level::Yellow), (256, Level::Green)]
        {
            assert_eq!(judge_space(free * MIB, 64 * MIB, "/s").level, level, "{free}");
        }
        assert_eq!(judge_space(0, 0, "/s").level, Level::Green, "no limit is no limit");
    }

    #[test]
    fn a_key_that_is_gone_under_a_running_agent_is_no_key_to_be_made() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("actor-key.pem");
        assert_eq!(key_file(&file, folder.path(), false).level, Level::Unchecked);
        let gone = key_file(&file, folder.path(), true);
        assert!(gone.level == Level::Red && gone.cure.unwrap().contains("key import"));
        std::fs::write(&file, "nonsense").unwrap();
        assert_eq!(key_file(&file, folder.path(), true).level, Level::Red);
    }

    #[test]
    fn a_port_that_is_taken_is_told_from_one_that_is_not_ours() {
        let holder = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = holder.local_addr().unwrap();
        let taken = listener("public", address, TcpListener::bind(address).map(drop));
        assert!(taken.level == Level::Red && taken.text.contains("taken by another program"), "{taken:?}");
        let foreign: SocketAddr = "192.0.2.1:1".parse().unwrap();
        let foreign = listener("public", foreign, TcpListener::bind(foreign).map(drop));
        assert!(foreign.level == Level::Red && foreign.text.contains("cannot be listened on"), "{foreign:?}");
    }
}
