//! Logging to standard error, one line per event. Only the name of an object is logged, never its contents.

use std::backtrace::{Backtrace, BacktraceStatus};

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::log_line::{EscapedLines, LogFormat};
use super::log_queue::LogQueue;
use crate::engine::one_line;

/// The longest message of a panic, in characters.
const MAX_PANIC: usize = 1024;

/// The lowest level that is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Failures.
    Error,
    /// Problems that an operator should fix.
    Warn,
    /// Events of the process.
    Info,
    /// Every decision.
    Debug,
    /// Every step.
    Trace,
}

/// Starts logging to `queue`, panics included. Libraries log warnings and errors only. With `colored`, lines of text are colored.
pub fn init(format: LogFormat, level: LogLevel, colored: bool, queue: &LogQueue) {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let targets = Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target(env!("CARGO_PKG_NAME"), level)
        .with_target("kube_client", LevelFilter::OFF);
    let is_coloured = colored && format == LogFormat::Text;
    let writer = queue.clone();
    let layer = tracing_subscriber::fmt::layer().with_writer(move || EscapedLines {
        inner: writer.clone(),
        format,
        is_coloured,
    });
    let layer = match format {
        LogFormat::Text => layer.with_ansi(is_coloured).with_target(false).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_target(false).boxed(),
    };
    tracing_subscriber::registry().with(layer.with_filter(targets)).init();
    // The default hook writes to standard error itself, and could block.
    std::panic::set_hook(Box::new(|panic| {
        let backtrace = Backtrace::capture();
        tracing::error!(
            location = panic.location().map(ToString::to_string),
            backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string()),
            "panicked: {}",
            one_line(panic.payload_as_str().unwrap_or("without a message"), MAX_PANIC)
        );
    }));
}
