//! Documents of the real agent against an empty route.
//!
//! `cargo bench --bench serve [-- --quick]`

mod suite;

fn main() -> anyhow::Result<()> {
    suite::main("serve")
}
