//! A fan-out of the real agent against a bare loop of the same libraries.
//!
//! `cargo bench --bench fanout [-- --quick] [-- --only <part of a case's name>]...`

mod suite;

fn main() -> anyhow::Result<()> {
    suite::main("fanout")
}
