//! Ports that nobody has, neither by listening nor by a configuration whose agent does not run at the moment.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use super::super::Failure;
use super::layout::Layout;
use crate::config::{Config, Overrides};

/// The first agent's ports, each for one of its listeners; the next agent's are so much further.
const FIRST: u16 = 8585;
const STEP: u16 = 10;
/// Agents that are made room for.
const MOST: u16 = 200;

/// Public, webhook, metrics, as this agent's configuration has them, which the proxy and Owncast know already.
pub(super) fn own(layout: &Layout) -> Option<[SocketAddr; 3]> {
    Config::load(Some(&layout.config), Overrides::default(), &|_| None).ok().map(listened)
}

fn listened(config: Config) -> [SocketAddr; 3] {
    [config.listen.public, config.listen.webhook, config.listen.metrics]
}

/// Three addresses in a row: public, webhook, metrics.
///
/// # Errors
/// There are none left.
pub(super) fn free(layout: &Layout) -> Result<[SocketAddr; 3], Failure> {
    let claimed = claimed(layout);
    let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let bases = (0..MOST).map(|agent| FIRST + agent * STEP);
    let mut triples = bases.map(|base| [local(base), local(base + 1), local(base + 2)]);
    triples
        .find(|triple| triple.iter().all(|address| !claimed.contains(&address.port()) && is_free(address)))
        .ok_or_else(|| Failure::new("no ports are free; name some with --public, --webhook and --metrics"))
}

/// Refuses addresses that are taken or not of this machine, but for those that are `own`: the agent has them.
///
/// # Errors
/// Names the first.
pub(super) fn must_be_free(addresses: &[SocketAddr], own: &[SocketAddr]) -> Result<(), Failure> {
    for address in addresses.iter().filter(|address| !own.contains(address)) {
        TcpListener::bind(address).map_err(|error| {
            Failure::new(format!(
                "{address} cannot be listened on ({error}); name another one (--public, --webhook, --metrics)"
            ))
        })?;
    }
    Ok(())
}

fn is_free(address: &SocketAddr) -> bool {
    TcpListener::bind(address).is_ok()
}

/// Ports in the configurations of other agents.
fn claimed(layout: &Layout) -> BTreeSet<u16> {
    let folder = layout.config.parent().unwrap_or(Path::new("."));
    let files = std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let others =
        files.filter(|file| *file != layout.config && file.extension().is_some_and(|kind| kind == "toml"));
    let configs = others.filter_map(|file| Config::load(Some(&file), Overrides::default(), &|_| None).ok());
    configs.flat_map(listened).map(|address| address.port()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_configuration_names_is_not_free() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::at(folder.path().join("two.toml"));
        let write = |name: &str, first: u16| {
            let [public, webhook, metrics] =
                [first, first + 1, first + 2].map(|port| format!("\"127.0.0.1:{port}\""));
            let text = format!(
                "[owncast]\nurl = \"http://127.0.0.1:8080\"\n[listen]\npublic = {public}\nwebhook = {webhook}\nmetrics = {metrics}\n"
            );
            std::fs::write(folder.path().join(name), text).unwrap();
        };
        write("agent.toml", FIRST);
        write("two.toml", FIRST + STEP);
        write("three.toml", FIRST + 2 * STEP);
        std::fs::write(folder.path().join("broken.toml"), "[listen]\npublic = 7\n").unwrap();
        let others: Vec<u16> = claimed(&layout).into_iter().collect();
        assert_eq!(others, [8585, 8586, 8587, 8605, 8606, 8607], "its own old configuration is no other's");
        let free = free(&layout).unwrap();
        assert!(free.iter().all(|address| !others.contains(&address.port())), "{free:?}");
        let holder = TcpListener::bind("127.0.0.1:0").unwrap();
        let held = [holder.local_addr().unwrap()];
        let taken = must_be_free(&held, &[]).unwrap_err();
        assert!(taken.message.contains("cannot be listened on"), "{}", taken.message);
        must_be_free(&held, &held).unwrap();
        let own = own(&layout).unwrap().map(|address| address.port());
        assert_eq!(own, [FIRST + STEP, FIRST + STEP + 1, FIRST + STEP + 2]);
    }
}
