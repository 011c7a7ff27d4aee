//! A fan-out of the real agent against a bare loop of the same libraries.
//!
//! `cargo bench --bench deliver [-- --quick]`

mod suite;

fn main() -> anyhow::Result<()> {
    suite::main("deliver")
}
