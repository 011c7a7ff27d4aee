//! The `owncast-herald` program: turns a result into an exit code.

fn main() -> std::process::ExitCode {
    owncast_herald::cli::main()
}
