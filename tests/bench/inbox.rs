//! Verified Likes into the real agent against the sum of their parts.
//!
//! `cargo bench --bench inbox [-- --quick]`

mod suite;

fn main() -> anyhow::Result<()> {
    suite::main("inbox")
}
