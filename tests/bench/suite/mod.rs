//! What the benches share, and the benches themselves.
//!
//! Every bench prints ratios of things measured in one run, and where each stands against its budget. No timing fails a
//! run: it ends with an error only if something breaks. One crate holds all of them, so each can run the others' parts.

mod abuse;
mod agent;
mod bare;
mod certificates;
mod encoder;
mod fanning;
mod fanout;
#[path = "../../lib/filled.rs"]
mod filled;
mod flood;
mod handshake;
mod honest;
mod inbox;
mod load;
mod loopback;
mod memory;
mod neighbour;
mod people;
mod posts;
mod process;
mod receive;
mod receive_h2;
mod receivers;
mod report;
mod serve;
mod signatures;
mod strangers;
mod watch;

/// Runs one bench, or the part of one that needs a process of its own.
///
/// # Errors
/// Whatever broke.
pub fn main(bench: &str) -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let is = |name: &str| arguments.iter().any(|argument| argument == name);
    match arguments.get(1).map(String::as_str) {
        Some(bare::DELIVER) => return bare::deliver(&arguments),
        Some(bare::EMPTY_ROUTE) => return bare::empty_route(&arguments),
        Some(honest::FOLLOW) => return honest::follow(&arguments),
        Some(receive::RECEIVE) => return receive::receive(&arguments),
        _ => {}
    }
    let only: Vec<String> = arguments
        .windows(2)
        .filter_map(|pair| match pair {
            [name, value] if name == "--only" => Some(value.clone()),
            _ => None,
        })
        .collect();
    let quick = is("--quick");
    println!("{bench}{}", if quick { " (quick)" } else { "" });
    match bench {
        "signatures" => signatures::run(quick),
        "fanout" => fanout::run(quick, &only),
        "inbox" => inbox::run(quick, &only),
        "neighbour" => neighbour::run(quick),
        "serve" => serve::run(quick),
        "memory" => memory::run(quick),
        "strangers" => strangers::run(quick),
        "watch" => watch::run(quick),
        other => anyhow::bail!("there is no bench {other}"),
    }
}
