//! What setup says before it does anything, and what it leaves to do.

use std::path::Path;

use super::super::files::Places;
use super::found::Found;
use super::layout::Layout;
use super::{Args, Wanted};
use crate::config::{IdentityConfig, quoted};
use crate::model::Addresses;

/// What will be done.
pub(super) struct Plan<'a> {
    pub(super) layout: &'a Layout,
    pub(super) args: &'a Args,
    pub(super) wanted: &'a Wanted,
    pub(super) found: &'a Found,
    /// What the configuration says of it.
    pub(super) identity: &'a IdentityConfig,
    /// Files.
    pub(super) to_write: &'a [&'a Path],
    /// The service is started.
    pub(super) starts: bool,
    /// The agent has a key already.
    pub(super) has_key: bool,
}

impl Plan<'_> {
    /// As people read it.
    pub(super) fn told(&self) -> String {
        let Plan { layout, args, wanted, found, .. } = self;
        let [public, webhook, metrics] = wanted.listen;
        let mut text = String::from("\nOn this machine:\n");
        text.push_str(&self.file(&layout.config, "may be read by all; no secret is in it"));
        if args.force && layout.there().is_some() {
            let old = layout.old();
            text.push_str(&format!(
                "  keep all other settings in it, and the file as it was as {}\n",
                old.display()
            ));
        }
        text.push_str(&self.file(&layout.password, "the password; for root alone"));
        text.push_str(&format!(
            "  listen on {public} (for the proxy), {webhook} (for Owncast), {metrics} (metrics)\n"
        ));
        if webhook.ip().is_loopback() {
            text.push_str(&format!(
                "    (an Owncast in a container does not reach {webhook}: name this machine's address in its network with --webhook)\n"
            ));
        }
        match &layout.unit {
            _ if !self.starts => {}
            Some(unit) => {
                text.push_str(&format!("  start the service {unit}, now and whenever the machine starts\n"));
            }
            None => text.push_str("  start nothing: systemd has no service here for this configuration\n"),
        }
        text.push_str("In Owncast, once the agent runs:\n");
        for deed in found.deeds(webhook) {
            text.push_str(&format!("  {deed}\n"));
        }
        text.push_str("In the fediverse:\n");
        text.push_str(&format!("  {}\n", found.identity(self.identity)));
        for warning in found.warnings(self.has_key) {
            text.push_str(&format!("\nBut: {warning}\n"));
        }
        text
    }

    fn file(&self, file: &Path, how: &str) -> String {
        match self.to_write.contains(&file) {
            true => format!("  write {} ({how})\n", file.display()),
            false => format!("  leave {} as it is: it says this already\n", file.display()),
        }
    }
}

/// Files, one after the other.
pub(super) fn listed(files: &[&Path]) -> String {
    files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(" and ")
}

/// How somebody starts the agent, which perhaps runs with what was there before.
pub(super) fn start(places: &Places, layout: &Layout, runs: bool) -> String {
    let anew = if runs { " anew" } else { "" };
    let typed = match (&layout.unit, runs) {
        (None, _) => places.typed("run"),
        (Some(_), true) => places.systemctl("restart"),
        (Some(_), false) => places.systemctl("enable --now"),
    };
    format!("start the agent{anew}: {typed}")
}

/// Who the agent is, for `proxy-config`, which without one does not know.
pub(super) fn named(ours: &Addresses) -> String {
    format!(" --public-url {} --username {}", quoted(ours.base.as_ref()), quoted(ours.username.as_ref()))
}

/// What is left to do, said so that it can be typed; `named` is what `proxy-config` does not know by itself.
pub(super) fn next(places: &Places, start: Option<String>, to_adopt: bool, named: &str) -> String {
    let mut text = String::from("Next:\n");
    if let Some(start) = start {
        text.push_str(&format!("  {start}\n"));
    }
    if to_adopt {
        text.push_str(&format!(
            "  take over Owncast's key and followers: {} (it says what it needs); until then the agent waits\n",
            places.command("adopt")
        ));
    }
    text.push_str(&format!(
        "  tell your proxy: {} (or caddy, apache, traefik)\n",
        places.command(&format!("proxy-config nginx{named}"))
    ));
    text.push_str(&format!("  look again: {}\n", places.command("doctor")));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_with_a_service_is_started_by_that() {
        let radio = Places { instance: "radio".parse().ok(), ..Places::default() };
        let of = |unit: Option<&str>| Layout {
            unit: unit.map(str::to_owned),
            ..Layout::at("/etc/owncast-herald/radio.toml".into())
        };
        let unit = Some("owncast-herald@radio.service");
        for (unit, runs, line) in [
            (unit, false, "start the agent: sudo systemctl enable --now owncast-herald@radio"),
            (unit, true, "start the agent anew: sudo systemctl restart owncast-herald@radio"),
            (None, false, "start the agent: owncast-herald --instance radio run"),
        ] {
            let named = named(&Addresses::new("https://live.example", "ana"));
            let text = next(&radio, Some(start(&radio, &of(unit), runs)), false, &named);
            assert!(text.starts_with(&format!("Next:\n  {line}\n")), "{text}");
            let named = "proxy-config nginx --public-url https://live.example --username ana (or";
            assert!(
                text.contains(&format!("  tell your proxy: sudo owncast-herald --instance radio {named}")),
                "{text}"
            );
        }
    }
}
