//! Likes and floods into the real agent.
//!
//! `cargo bench --bench inbox [-- --quick]`

mod suite;

fn main() -> anyhow::Result<()> {
    suite::main("inbox")
}
