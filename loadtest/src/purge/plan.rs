//! Which caches, how each is told to purge, and how closely they are watched: a TOML file.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use crate::plan::file::{duration, text};
use crate::plan::{Error, Mode, Plan, Trust};
use crate::workload::{Catalogue, Paths, Workload};

/// Caches of one plan, and edges of one cache.
pub const CACHES_MAX: usize = 16;
pub const ROUNDS_MAX: u32 = 1_000;
/// Before a purge, and after it.
pub const WATCHED_MAX: Duration = Duration::from_secs(30 * 60);
/// Of each edge.
pub const PROBES_PER_SECOND_MAX: f64 = 10_000.0;

#[derive(Clone, Debug)]
pub struct PurgePlan {
    /// The origin behind all caches (`seawall loadtest origin`): `POST /edition` changes its pages.
    pub origin: String,
    /// The page that is changed, purged and watched.
    pub path: String,
    pub rounds: u32,
    pub probes_per_second: f64,
    /// Requests per second beside the probes, to the first edge of a cache, for hit ratio and origin load.
    pub traffic: f64,
    pub workload: Option<Arc<Workload>>,
    /// Time watched before the purge, and after it.
    pub before: Duration,
    pub after: Duration,
    pub caches: Vec<Cache>,
    /// For `https://` only.
    pub trust: Option<Trust>,
    /// Hosts that are not this machine, and yet one's own: load is sent to no others.
    pub i_own_this: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cache {
    pub name: String,
    /// `http://host:port` of each.
    pub edges: Vec<String>,
    pub purge: Call,
}

/// The request that purges; a status of 2xx is the receipt.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    #[serde(default = "post")]
    pub method: String,
    pub url: String,
    /// `name: value`
    #[serde(default)]
    pub fields: Vec<String>,
    #[serde(default)]
    pub body: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PurgeFile {
    origin: String,
    path: String,
    #[serde(default = "ten")]
    rounds: u32,
    probes_per_second: Option<f64>,
    traffic: Option<f64>,
    /// Objects that the traffic asks for; the page is the one it asks for most.
    objects: Option<usize>,
    before: Option<String>,
    after: Option<String>,
    cache: Vec<Cache>,
}

impl PurgePlan {
    pub fn read(file: &Path) -> Result<Self, Error> {
        Self::parse(&text(file)?).map_err(|why| Error::File {
            file: file.to_owned(),
            why,
        })
    }

    pub fn parse(text: &str) -> Result<Self, String> {
        let file: PurgeFile = toml::from_str(text).map_err(|error| error.to_string())?;
        let time = |word: &str, text: Option<String>| {
            let text = text.unwrap_or_else(|| "2s".to_owned());
            duration(&text).ok_or_else(|| format!("{word} = {text:?} is no time: 500ms, 2s"))
        };
        let workload = file.objects.map(|objects| {
            let path = "/objects/{n}".to_owned();
            let catalogue = Catalogue::new(objects, 1.0, path, Vec::new());
            // Without it no dip is seen when it is purged.
            let catalogue = catalogue.with_first(file.path.clone());
            Arc::new(Workload {
                paths: Paths::Catalogue(catalogue),
                ..Workload::one("/")
            })
        });
        Ok(Self {
            origin: file.origin,
            path: file.path,
            rounds: file.rounds,
            probes_per_second: file.probes_per_second.unwrap_or(500.0),
            traffic: file.traffic.unwrap_or(200.0),
            workload,
            before: time("before", file.before)?,
            after: time("after", file.after)?,
            caches: file.cache,
            trust: None,
            i_own_this: Vec::new(),
        })
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let limit = |what: &'static str, asked: String, most: String, within: bool| {
            let allowed = format!("allowed is 1 to {most}");
            match within {
                true => Ok(()),
                false => Err(Error::Limit {
                    what,
                    asked,
                    allowed,
                }),
            }
        };
        let count = |what, count: usize| {
            limit(
                what,
                count.to_string(),
                CACHES_MAX.to_string(),
                (1..=CACHES_MAX).contains(&count),
            )
        };
        count("the number of caches", self.caches.len())?;
        for cache in &self.caches {
            count("the number of a cache's edges", cache.edges.len())?;
        }
        let rounds = (1..=ROUNDS_MAX).contains(&self.rounds);
        limit(
            "the number of rounds",
            self.rounds.to_string(),
            ROUNDS_MAX.to_string(),
            rounds,
        )?;
        let probes = self.probes_per_second;
        let within = (1.0..=PROBES_PER_SECOND_MAX).contains(&probes);
        limit(
            "probes_per_second",
            probes.to_string(),
            PROBES_PER_SECOND_MAX.to_string(),
            within,
        )?;
        for (what, asked, least) in [
            ("before", self.before, Duration::ZERO),
            ("after", self.after, Duration::from_millis(1)),
        ] {
            if !(least..=WATCHED_MAX).contains(&asked) {
                return Err(Error::Limit {
                    what,
                    asked: format!("{asked:?}"),
                    allowed: format!("allowed is {least:?} to {WATCHED_MAX:?}"),
                });
            }
        }
        let rate = Mode::Open { rate: self.traffic };
        Plan::new("", rate, self.before + self.after).check()
    }
}

fn post() -> String {
    "POST".to_owned()
}

fn ten() -> u32 {
    10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_names_caches_and_how_each_is_purged() {
        let check = |text: &str, expect: &str| {
            let found = match PurgePlan::parse(text) {
                Ok(plan) => match plan.check() {
                    Ok(()) => format!("{plan:?}"),
                    Err(error) => error.to_string(),
                },
                Err(why) => why,
            };
            assert!(found.contains(expect), "{text}: {found}");
        };
        let plan = "origin = \"http://127.0.0.1:9000\"\npath = \"/pages/1\"\n";
        let cache = "[[cache]]\nname = \"a\"\nedges = [\"http://127.0.0.1:1\"]\npurge.url = \"http://127.0.0.1:1/pages/1\"\n";
        check(&format!("{plan}{cache}"), "method: \"POST\"");
        check(
            &format!("{plan}rounds = 0\n{cache}"),
            "the number of rounds is 0",
        );
        check(&format!("{plan}before = \"x\"\n{cache}"), "is no time");
        let long = "before = \"10000000000000000000s\"\nafter = \"10000000000000000000s\"\n";
        check(
            &format!("{plan}{long}{cache}"),
            "before is 10000000000000000000s; allowed",
        );
        check(
            &format!("{plan}after = \"1h\"\n{cache}"),
            "after is 3600s; allowed is 1ms",
        );
        check(
            &format!("{plan}after = \"0s\"\n{cache}"),
            "after is 0ns; allowed is 1ms",
        );
        check(&format!("{plan}before = \"0s\"\n{cache}"), "before: 0ns");
        check(&format!("{plan}traffic = -1.0\n{cache}"), "the rate is -1");
        check(&format!("{plan}traffic = nan\n{cache}"), "the rate is NaN");
        check(&format!("{plan}cache = []"), "the number of caches is 0");
        check(&format!("{plan}{cache}speed = 1\n"), "unknown field");
    }

    #[test]
    fn traffic_asks_for_the_page_too() {
        let text =
            "origin = \"http://127.0.0.1:9000\"\npath = \"/pages/1?a\"\nobjects = 9\ncache = []";
        let workload = PurgePlan::parse(text).map(|plan| plan.workload);
        let Ok(Some(workload)) = workload else {
            panic!("{workload:?}");
        };
        let paths: Vec<_> = (0..100).map(|index| workload.ask(1, index).path).collect();
        assert!(paths.iter().any(|path| path == "/pages/1?a"), "{paths:?}");
        let mut others = paths.iter().filter(|path| path.starts_with("/objects/"));
        assert!(others.next().is_some(), "{paths:?}");
    }
}
