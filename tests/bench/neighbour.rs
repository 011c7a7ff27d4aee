//! A video encoder beside a fan-out of the real agent. Needs ffmpeg with x264.
//!
//! `cargo bench --bench neighbour [-- --quick]`

mod suite;

fn main() -> anyhow::Result<()> {
    suite::main("neighbour")
}
