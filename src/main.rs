//! The `owncast-herald` program: turns a result into an exit code.

/// See `Cargo.toml`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    owncast_herald::cli::main()
}
