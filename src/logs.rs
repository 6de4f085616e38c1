//! What a person, or a log collector, reads on stderr.

use std::io::IsTerminal;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Words and colours, for a person.
    Text,
    /// One JSON document a line, for a collector.
    Json,
}

/// Names the level, or levels by target: `warn`, `info,seawall_edge=debug`.
const LEVEL_VARIABLE: &str = "SEAWALL_LOG";

/// Pingora warns of each request that was answered before it reached an origin ("Fail to filter
/// request …"). Here that is every hit. Its connectors call it an error when an origin closed a pooled
/// connection, which origins do all the time.
const QUIET: [&str; 4] = [
    "pingora_proxy=error",
    "pingora_core=error",
    "pingora_core::connectors=off",
    "h2=warn",
];

/// Who changed what is written down whatever else is not.
const AUDIT: &str = "audit=info";

/// Starts writing to stderr: as `format` says, else words on a terminal and JSON elsewhere. `level` holds
/// where [`LEVEL_VARIABLE`] is not set. Err is what is wrong with that variable.
pub(crate) fn start(format: Option<LogFormat>, level: &str) -> Result<(), String> {
    let wish = std::env::var(LEVEL_VARIABLE).ok();
    let filter =
        filter(wish.as_deref(), level).map_err(|error| format!("{LEVEL_VARIABLE}: {error}"))?;
    let terminal = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format.unwrap_or(if terminal {
        LogFormat::Text
    } else {
        LogFormat::Json
    }) {
        LogFormat::Text => lines
            .with_ansi(terminal)
            .with_target(false)
            .compact()
            .init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    Ok(())
}

/// A wish that names no target of its own is still spared what [`QUIET`] silences, and told what [`AUDIT`] tells.
fn filter(
    wish: Option<&str>,
    level: &str,
) -> Result<EnvFilter, tracing_subscriber::filter::ParseError> {
    let wish = wish
        .map(str::trim)
        .filter(|wish| !wish.is_empty())
        .unwrap_or(level);
    let ours = QUIET.iter().chain([&AUDIT]).filter(|directive| {
        let target = directive.split('=').next().unwrap_or_default();
        !wish.contains(target)
    });
    let directives: Vec<&str> = ours.copied().chain([wish]).collect();
    EnvFilter::builder().parse(directives.join(","))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn a_named_target_is_heard_and_noise_is_not() {
        let check = |wish: Option<&str>, has: &str, has_not: &str| {
            let filter = filter(wish, "info").expect("a filter").to_string();
            assert!(
                filter.contains(has) && !filter.contains(has_not),
                "{wish:?}: {filter}"
            );
        };
        check(None, "info", "debug");
        check(None, "pingora_proxy=error", "warn,pingora_proxy");
        check(Some(" "), "info", "debug");
        check(Some("debug"), "debug", "trace");
        check(Some("error"), "audit=info", "debug");
        check(Some("audit=off"), "audit=off", "audit=info");
        check(
            Some("pingora_proxy=debug"),
            "pingora_proxy=debug",
            "pingora_proxy=error",
        );
        assert!(filter(Some("seawall=loud"), "info").is_err());
    }
}
