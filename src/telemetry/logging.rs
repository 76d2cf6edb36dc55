//! The log: text or JSON on standard error, with a level that can change while running.
//!
//! Standard output belongs to the access log.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use parking_lot::Mutex;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What is logged: this and everything graver (`AES_LOG_LEVEL`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// What needs a person.
    Error,
    /// What may.
    Warn,
    /// Changes of state.
    Info,
    /// Why they came about.
    Debug,
    /// Everything.
    Trace,
}

/// A level that doesn't exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the level must be one of error, warn, info, debug, trace")]
pub struct LevelError;

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// Something else is logging in this process.
    #[error("logging can't be set up: {0}")]
    Init(#[from] tracing_subscriber::util::TryInitError),
}

/// Reads and changes the level.
#[derive(Debug, Clone)]
pub struct LogLevel {
    level: Arc<Mutex<Level>>,
    filter: Option<reload::Handle<EnvFilter, Registry>>,
}

impl Level {
    /// Its name in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Level {
    type Err = LevelError;

    /// Emissary's names in any case; `warning` is Python's and Envoy's word for `warn`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "error" => Ok(Self::Error),
            "warn" | "warning" => Ok(Self::Warn),
            "info" => Ok(Self::Info),
            "debug" => Ok(Self::Debug),
            "trace" => Ok(Self::Trace),
            _ => Err(LevelError),
        }
    }
}

impl LogLevel {
    /// A level without a log, for tests.
    pub fn detached(level: Level) -> Self {
        Self { level: Arc::new(Mutex::new(level)), filter: None }
    }

    /// The level now.
    pub fn get(&self) -> Level {
        *self.level.lock()
    }

    /// Changes it; what is logged from now on follows.
    pub fn set(&self, level: Level) {
        let mut current = self.level.lock();
        if let Some(filter) = &self.filter
            && let Err(error) = filter.reload(build_filter(level))
        {
            tracing::warn!(%error, "the log level can't be changed");
            return;
        }
        *current = level;
    }
}

/// Starts logging. Call once, before anything that may log.
pub fn init(format: Format, level: Level) -> Result<LogLevel, LoggingError> {
    let (filter, handle) = reload::Layer::new(build_filter(level));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        Format::Text => lines.with_target(false).boxed(),
        Format::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(filter).with(lines).try_init()?;
    Ok(LogLevel { level: Arc::new(Mutex::new(level)), filter: Some(handle) })
}

/// Our own lines at the level, libraries' no lower than warn unless everything is wanted.
fn build_filter(level: Level) -> EnvFilter {
    match level {
        // But for the body of an answer that can't be read: it may be a Secret.
        Level::Trace => EnvFilter::new("trace,kube_client::client=off"),
        // Nor lower than error of HTTP/2's library, which warns of what clients do: they could fill
        // a log. Of its errors the Kubernetes client tells the outermost cause, once for each attempt; we tell them
        // whole and once.
        Level::Error => EnvFilter::new("error,kube_client=off"),
        _ => EnvFilter::new(format!("warn,h2=error,kube_client=off,nuncio={level}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_have_one_name_each_way() {
        for level in [Level::Error, Level::Warn, Level::Info, Level::Debug, Level::Trace] {
            assert_eq!(level.as_str().to_uppercase().parse(), Ok(level));
        }
        assert_eq!("warning".parse(), Ok(Level::Warn));
        assert_eq!("loud".parse::<Level>(), Err(LevelError));
    }

    #[test]
    fn the_filter_follows_the_level() {
        let (layer, handle) = reload::Layer::<EnvFilter, Registry>::new(build_filter(Level::Info));
        let level = LogLevel { level: Arc::new(Mutex::new(Level::Info)), filter: Some(handle) };
        level.set(Level::Debug);
        assert_eq!(level.get(), Level::Debug);
        let handle = level.filter.as_ref().unwrap();
        assert_eq!(
            handle.with_current(EnvFilter::to_string).unwrap(),
            "kube_client=off,nuncio=debug,h2=error,warn"
        );
        drop(layer);
        level.set(Level::Trace);
        assert_eq!(level.get(), Level::Debug, "what can't be changed isn't claimed");
    }
}
