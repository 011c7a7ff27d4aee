//! What a million strangers leave in the store.
//!
//! `cargo bench --bench strangers [-- --quick]`

mod suite;

fn main() -> anyhow::Result<()> {
    suite::main("strangers")
}
