//! What strangers leave in the store, and what becomes of it.
//!
//! `cargo bench --bench strangers [-- --quick | --full]`; `--full` means a million of them, and six times over

mod suite;

fn main() -> anyhow::Result<()> {
    suite::main("strangers")
}
