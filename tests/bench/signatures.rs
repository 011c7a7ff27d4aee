//! RSA signatures: ours against the library's.
//!
//! `cargo bench --bench signatures [-- --quick]`

mod suite;

fn main() -> anyhow::Result<()> {
    suite::main("signatures")
}
