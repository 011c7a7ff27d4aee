//! Log lines on standard error: for the journal, for a person, or for a machine.

use std::fmt;
use std::io::IsTerminal;
use std::os::unix::fs::MetadataExt;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{self, Format, FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

use crate::config::{LogConfig, LogFormat, LogLevel};

/// What standard error leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surroundings {
    /// The journal, which adds the time itself and reads priorities.
    Journal,
    /// A person.
    Terminal,
    /// A file or a pipe.
    Pipe,
}

impl Surroundings {
    /// Looks at standard error. `journal_stream` is the variable `JOURNAL_STREAM`, device and inode of the journal's
    /// socket; it is compared because a child with a redirected standard error inherits it (systemd.exec(5)).
    pub fn detect(journal_stream: Option<&str>) -> Self {
        let stderr = std::fs::metadata("/proc/self/fd/2").ok();
        let ours = stderr.map(|metadata| format!("{}:{}", metadata.dev(), metadata.ino()));
        if journal_stream.is_some() && journal_stream == ours.as_deref() {
            Self::Journal
        } else if std::io::stderr().is_terminal() {
            Self::Terminal
        } else {
            Self::Pipe
        }
    }
}

type FormatLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Changes level and format while the program runs.
#[derive(Clone)]
pub struct LogHandle {
    surroundings: Surroundings,
    format: reload::Handle<FormatLayer, Registry>,
    filter: reload::Handle<EnvFilter, reload_stack::Below>,
}

/// The type of what stands below the filter, which its handle must name.
mod reload_stack {
    use tracing_subscriber::{Registry, layer::Layered, reload};

    /// The registry with the layer that writes.
    pub(super) type Below = Layered<reload::Layer<super::FormatLayer, Registry>, Registry>;
}

/// Why logging could not be set up or changed.
#[derive(Debug, thiserror::Error)]
#[error("the log cannot be set up: {0}")]
pub struct LogError(String);

/// Sets logging up before there is a configuration, at level `info` and format `auto`. Once per process.
///
/// # Errors
/// When something else has set up logging already.
pub fn init_early(surroundings: Surroundings) -> Result<LogHandle, LogError> {
    let (format, format_handle) = reload::Layer::new(layer(LogFormat::Auto, surroundings, std::io::stderr));
    let (filter, filter_handle) = reload::Layer::new(filter(&LogLevel::default())?);
    tracing_subscriber::registry()
        .with(format)
        .with(filter)
        .try_init()
        .map_err(|error| LogError(error.to_string()))?;
    Ok(LogHandle { surroundings, format: format_handle, filter: filter_handle })
}

impl LogHandle {
    /// Takes over level and format, at start and after each reload.
    ///
    /// # Errors
    /// When the level cannot be understood; then nothing has changed.
    pub fn apply(&self, config: &LogConfig) -> Result<(), LogError> {
        let failed = |error: reload::Error| LogError(error.to_string());
        self.filter.reload(filter(&config.level)?).map_err(failed)?;
        self.format.reload(layer(config.format, self.surroundings, std::io::stderr)).map_err(failed)
    }
}

impl fmt::Debug for LogHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogHandle").field("surroundings", &self.surroundings).finish_non_exhaustive()
    }
}

fn filter(level: &LogLevel) -> Result<EnvFilter, LogError> {
    EnvFilter::builder().parse(level.directives()).map_err(|error| LogError(error.to_string()))
}

fn layer<S, W>(format: LogFormat, surroundings: Surroundings, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    let colour = surroundings == Surroundings::Terminal;
    match (format, surroundings) {
        (LogFormat::Json, _) => Box::new(layer.with_ansi(false).json().flatten_event(true)),
        (LogFormat::Auto, Surroundings::Journal) => {
            Box::new(layer.with_ansi(false).event_format(JournalFormat::default()))
        }
        (LogFormat::Auto | LogFormat::Pretty, _) => Box::new(layer.with_ansi(colour).with_target(false)),
    }
}

/// A line that begins with its priority as the journal reads it (sd-daemon(3)), without the time, which the journal
/// has, and without the level's name, which the priority replaces.
struct JournalFormat {
    line: Format<format::Full, ()>,
}

impl Default for JournalFormat {
    fn default() -> Self {
        Self { line: format::format().without_time().with_level(false).with_target(false).with_ansi(false) }
    }
}

impl<S, N> FormatEvent<S, N> for JournalFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let priority = match *event.metadata().level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        };
        write!(writer, "<{priority}>")?;
        self.line.format_event(context, writer, event)
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::config::value::FromText;

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(format: LogFormat, surroundings: Surroundings, level: &str) -> String {
        let captured = Captured::default();
        let writer = captured.clone();
        let level = LogLevel::from_text(level).unwrap();
        let subscriber = tracing_subscriber::registry()
            .with(layer(format, surroundings, move || writer.clone()))
            .with(filter(&level).unwrap());
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(follower.count = 3, "queue is long");
            tracing::debug!(target: "herald::deliver", "one delivery");
            tracing::debug!(target: "hyper::client", "GET /ws?accessToken=x");
        });
        let bytes = captured.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn the_journal_gets_priorities_and_no_time() {
        let text = written(LogFormat::Auto, Surroundings::Journal, "info");
        assert_eq!(text, "<4>queue is long follower.count=3\n");
    }

    #[test]
    fn a_terminal_gets_colour_and_a_pipe_does_not() {
        for format in [LogFormat::Auto, LogFormat::Pretty] {
            assert!(written(format, Surroundings::Terminal, "info").contains('\u{1b}'));
            let piped = written(format, Surroundings::Pipe, "info");
            assert!(!piped.contains('\u{1b}') && piped.contains("WARN queue is long"), "{piped}");
            assert!(piped.starts_with("20"), "a pipe adds no time, so the line has it: {piped}");
        }
    }

    #[test]
    fn json_is_one_object_a_line() {
        let text = written(LogFormat::Json, Surroundings::Journal, "info");
        let line: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
        assert_eq!((&line["message"], &line["follower.count"]), (&"queue is long".into(), &3.into()));
    }

    #[test]
    fn debug_is_for_this_program_only() {
        let text = written(LogFormat::Auto, Surroundings::Journal, "debug");
        assert!(text.contains("<7>one delivery") && !text.contains("accessToken"), "{text}");
    }

    #[test]
    fn a_journal_that_is_not_standard_error_is_not_believed() {
        assert_ne!(Surroundings::detect(Some("0:0")), Surroundings::Journal);
        assert_ne!(Surroundings::detect(None), Surroundings::Journal);
    }
}
