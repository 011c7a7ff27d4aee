//! How soon what happens at Owncast and in the inbox is passed on, and what watching costs while nothing happens.
//!
//! `cargo bench --bench watch [-- --quick]`

mod suite;

fn main() -> anyhow::Result<()> {
    suite::main("watch")
}
