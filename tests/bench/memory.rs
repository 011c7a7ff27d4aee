//! Resident memory and time to readiness of the real agent.
//!
//! `cargo bench --bench memory [-- --quick]`

mod suite;

fn main() -> anyhow::Result<()> {
    suite::main("memory")
}
