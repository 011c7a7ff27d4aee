//! The `owncast-herald` program: turns a result into an exit code.

use std::process::ExitCode;
use std::sync::Arc;

use owncast_herald::agent::{self, RunOptions};
use owncast_herald::config::{Config, Overrides};
use owncast_herald::telemetry::log;

#[tokio::main]
async fn main() -> ExitCode {
    let file = std::env::args().skip_while(|argument| argument != "--config").nth(1);
    let env = |name: &str| std::env::var(name).ok();
    let handle = log::init_early(log::Surroundings::detect(env("JOURNAL_STREAM").as_deref())).ok();
    let config = match Config::load(file.as_deref().map(std::path::Path::new), Overrides::default(), &env) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(78);
        }
    };
    if let Some(handle) = &handle {
        let _ = handle.apply(&config.log);
    }
    let options = RunOptions {
        config,
        overrides: Overrides::default(),
        env: Arc::new(env),
        log: handle,
        new_identity: std::env::args().any(|argument| argument == "--new-identity"),
        replace: std::env::args().any(|argument| argument == "--replace"),
        stop: tokio_util::sync::CancellationToken::new(),
    };
    match agent::run(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("owncast-herald: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
