//! Ports that nobody has, neither by listening nor by a configuration whose agent does not run at the moment.

use std::collections::BTreeSet;
use std::io::ErrorKind;
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
    layout.there().map(|there| listened(&there.config))
}

/// Public, webhook, metrics.
pub(super) fn listened(config: &Config) -> [SocketAddr; 3] {
    [config.listen.public, config.listen.webhook, config.listen.metrics]
}

/// Public, webhook, metrics: as they are named; else its `own`; else of the first three in a row of which those that are
/// needed are nobody's.
///
/// # Errors
/// There are none left.
pub(super) fn proposed(
    layout: &Layout,
    own: Option<[SocketAddr; 3]>,
    named: [Option<SocketAddr>; 3],
) -> Result<[SocketAddr; 3], Failure> {
    let or = |others: [SocketAddr; 3]| std::array::from_fn(|at| named[at].unwrap_or(others[at]));
    if let Some(own) = own {
        return Ok(or(own));
    }
    let mut taken = claimed(layout);
    taken.extend(named.iter().flatten().map(SocketAddr::port));
    let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let bases = (0..MOST).map(|agent| FIRST + agent * STEP);
    let mut triples = bases.map(|base| [local(base), local(base + 1), local(base + 2)]);
    let is_nobodys = |address: &SocketAddr| !taken.contains(&address.port()) && is_free(address);
    triples
        .find(|triple| {
            triple.iter().zip(named).all(|(address, named)| named.is_some() || is_nobodys(address))
        })
        .map(or)
        .ok_or_else(|| Failure::new("no ports are free; name some with --public, --webhook and --metrics"))
}

/// Refuses addresses of which one takes another's place.
///
/// # Errors
/// Names the two.
pub(super) fn must_differ([public, webhook, metrics]: [SocketAddr; 3]) -> Result<(), Failure> {
    let pairs = [
        (("--public", public), ("--webhook", webhook)),
        (("--public", public), ("--metrics", metrics)),
        (("--webhook", webhook), ("--metrics", metrics)),
    ];
    match pairs.into_iter().find(|((_, one), (_, other))| overlap(one, other)) {
        Some(((one, taken), (other, again))) => Err(Failure::new(format!(
            "{taken} ({one}) and {again} ({other}) cannot both be listened on: each needs an address or port of its own"
        ))),
        None => Ok(()),
    }
}

/// Refuses addresses that are taken or not of this machine, but for those that are the agent's `own`; and, while it `runs`,
/// for those that are taken only by it.
///
/// # Errors
/// Names the first.
pub(super) fn must_be_free(addresses: &[SocketAddr], own: &[SocketAddr], runs: bool) -> Result<(), Failure> {
    for address in addresses.iter().filter(|address| !own.contains(address)) {
        match TcpListener::bind(address) {
            Ok(_) => {}
            Err(error)
                if runs
                    && error.kind() == ErrorKind::AddrInUse
                    && own.iter().any(|own| overlap(own, address)) => {}
            Err(error) => {
                return Err(Failure::new(format!(
                    "{address} cannot be listened on ({error}); name another one (--public, --webhook, --metrics)"
                )));
            }
        }
    }
    Ok(())
}

/// Whether who listens on one keeps others from the other. `[::]` takes IPv4's as well, and of port 0 everybody gets another.
fn overlap(one: &SocketAddr, other: &SocketAddr) -> bool {
    let everywhere = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && one.port() != 0 && (everywhere || one.ip() == other.ip())
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
    configs.flat_map(|config| listened(&config)).map(|address| address.port()).collect()
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
        let free = proposed(&layout, None, [None; 3]).unwrap();
        assert!(free.iter().all(|address| !others.contains(&address.port())), "{free:?}");
        let holder = TcpListener::bind("127.0.0.1:0").unwrap();
        let held = [holder.local_addr().unwrap()];
        let taken = must_be_free(&held, &[], true).unwrap_err();
        assert!(taken.message.contains("cannot be listened on"), "{}", taken.message);
        must_be_free(&held, &held, false).unwrap();
        let own = own(&layout).unwrap().map(|address| address.port());
        assert_eq!(own, [FIRST + STEP, FIRST + STEP + 1, FIRST + STEP + 2]);
    }

    #[test]
    fn a_wider_address_of_the_running_agent_is_its_own() {
        let holder = TcpListener::bind("127.0.0.1:0").unwrap();
        let held = holder.local_addr().unwrap();
        let (wider, elsewhere): (SocketAddr, SocketAddr) =
            ((Ipv4Addr::UNSPECIFIED, held.port()).into(), ([192, 0, 2, 1], held.port()).into());
        must_be_free(&[wider], &[held], true).unwrap();
        for (address, own, runs) in [(wider, held, false), (elsewhere, wider, true), (held, elsewhere, true)]
        {
            let refused = must_be_free(&[address], &[own], runs);
            assert!(refused.is_err(), "{address} {own} {runs}");
        }
    }

    #[test]
    fn what_is_proposed_goes_with_what_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::at(folder.path().join("agent.toml"));
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let (own, named) = ([local(1), local(2), local(3)], [None, Some(local(7)), None]);
        assert_eq!(proposed(&layout, Some(own), named).unwrap(), [local(1), local(7), local(3)]);
        let usual = proposed(&layout, None, [None; 3]).unwrap();
        let accepted = [Some(usual[0]), None, None];
        assert_eq!(proposed(&layout, None, accepted).unwrap(), usual, "whoever takes it gets the other two");
        // One is named that would have been another's.
        let [public, webhook, metrics] = proposed(&layout, None, [Some(usual[1]), None, None]).unwrap();
        assert_eq!(public, usual[1]);
        assert!(![webhook, metrics].contains(&public) && webhook.port() > usual[2].port(), "{webhook}");
    }

    #[test]
    fn three_listeners_do_not_share_an_address() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        for (addresses, refused) in [
            (["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"], None),
            (["127.0.0.1:1", "127.0.0.2:1", "[::1]:1"], None),
            (["127.0.0.1:1", "127.0.0.1:1", "127.0.0.1:3"], Some(["--public", "--webhook"])),
            (["127.0.0.1:1", "127.0.0.1:2", "[::]:1"], Some(["--public", "--metrics"])),
            (["127.0.0.1:1", "0.0.0.0:2", "127.0.0.1:2"], Some(["--webhook", "--metrics"])),
        ] {
            let said = must_differ(addresses.map(at)).err().map(|refused| refused.message);
            let so = match (&said, refused) {
                (Some(said), Some(names)) => names.iter().all(|name| said.contains(name)),
                (said, refused) => said.is_none() && refused.is_none(),
            };
            assert!(so, "{addresses:?}: {said:?}");
        }
    }
}
