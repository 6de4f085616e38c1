//! The words of `[workload]`: what is asked for.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::{Error, problem, share, text};
use crate::workload::{Ask, CATALOGUE_MAX, Catalogue, PATHS_MAX, Paths, Ranges, Workload, replay};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WorkloadFile {
    paths: Option<Vec<String>>,
    list: Option<PathBuf>,
    catalogue: Option<CatalogueFile>,
    replay: Option<Replay>,
    uncacheable: Option<Uncacheable>,
    vary: Option<Vary>,
    ranges: Option<RangesFile>,
    #[serde(default)]
    conditional: f64,
    #[serde(default)]
    new_urls: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CatalogueFile {
    objects: usize,
    alpha: f64,
    path: String,
    #[serde(default)]
    sizes: Vec<Size>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Size {
    bytes: u64,
    share: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Replay {
    file: PathBuf,
    #[serde(default = "one")]
    speed: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Uncacheable {
    share: f64,
    path: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vary {
    field: String,
    values: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RangesFile {
    share: f64,
    bytes: u64,
    within: u64,
}

impl WorkloadFile {
    /// What is asked for, and the times of a recorded one. `path` is the URL's, for when there is nothing else.
    pub(super) fn judge(
        mut self,
        file: &Path,
        path: String,
    ) -> Result<(Workload, Option<Vec<Duration>>), Error> {
        let wrong = |why: String| problem(file, &why);
        let (paths, recorded) = self.paths(file, path)?;
        let uncacheable = self.uncacheable.map(|not| (not.share, not.path));
        if let Some(Err(why)) = self.ranges.as_ref().map(RangesFile::judge) {
            return Err(wrong(why));
        }
        let ranges = self.ranges.map(|ranges| Ranges {
            share: ranges.share,
            bytes: ranges.bytes,
            within: ranges.within,
        });
        let of_ranges = ranges.map_or(0.0, |ranges| ranges.share);
        let of_uncacheable = uncacheable.as_ref().map_or(0.0, |(share, _)| *share);
        for (word, of) in [
            ("workload.uncacheable.share", of_uncacheable),
            ("workload.ranges.share", of_ranges),
            ("workload.conditional", self.conditional),
            ("workload.new_urls", self.new_urls),
        ] {
            share(word, of).map_err(wrong)?;
        }
        let fits = |path: &str| Ask::plain(path.to_owned()).fits();
        let not = uncacheable.as_ref().map(|(_, path)| path);
        if let Some(path) = paths
            .sample()
            .into_iter()
            .chain(not)
            .find(|path| !fits(path))
        {
            return Err(wrong(format!(
                "workload: {path:?} is no path: it begins with / and has no spaces"
            )));
        }
        if let Some(vary) = &self.vary
            && let Err(why) = vary.judge()
        {
            return Err(wrong(why));
        }
        let workload = Workload {
            paths,
            uncacheable,
            vary: self.vary.map(|vary| (vary.field, vary.values)),
            ranges,
            conditional: self.conditional,
            new_urls: self.new_urls,
            herd: None,
        };
        Ok((workload, recorded))
    }

    /// One source of them, and only one.
    fn paths(
        &mut self,
        file: &Path,
        path: String,
    ) -> Result<(Paths, Option<Vec<Duration>>), Error> {
        let beside = |name: &Path| file.parent().unwrap_or(Path::new("")).join(name);
        let mut found = Vec::new();
        found.extend(self.paths.take().map(|paths| (Paths::List(paths), None)));
        if let Some(list) = self.list.take() {
            let text = text(&beside(&list))?;
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            let lines = lines.take(PATHS_MAX).map(str::to_owned);
            found.push((Paths::List(lines.collect()), None));
        }
        if let Some(Replay { file: log, speed }) = self.replay.take() {
            let log = beside(&log);
            let read = replay::read(&text(&log)?, speed);
            let (times, paths) = read.map_err(|why| problem(&log, &why))?;
            found.push((Paths::List(paths), Some(times)));
        }
        if let Some(catalogue) = self.catalogue.take() {
            found.push((catalogue.paths().map_err(|why| problem(file, &why))?, None));
        }
        match (found.pop(), found.is_empty()) {
            (None, _) => Ok((Paths::One(path), None)),
            (Some((Paths::List(list), _)), true) if list.is_empty() => {
                Err(problem(file, &"workload: the list of paths is empty"))
            }
            (Some(found), true) => Ok(found),
            _ => Err(problem(
                file,
                &"workload: one of paths, list, catalogue, replay",
            )),
        }
    }
}

impl Vary {
    /// A field that can be sent, with at least one value.
    fn judge(&self) -> Result<(), String> {
        let Self { field, values } = self;
        if http::HeaderName::from_bytes(field.as_bytes()).is_err() {
            return Err(format!("workload.vary.field = {field:?} is no field name"));
        }
        let unfit = |value: &&String| http::HeaderValue::from_str(value).is_err();
        match (values.iter().find(unfit), values.is_empty()) {
            (Some(value), _) => Err(format!("workload.vary: {value:?} is no field value")),
            (None, true) => Err("workload.vary.values is empty".to_owned()),
            (None, false) => Ok(()),
        }
    }
}

impl RangesFile {
    fn judge(&self) -> Result<(), String> {
        match (1..=self.within).contains(&self.bytes) {
            true => Ok(()),
            false => Err("workload.ranges: bytes is 1 to within".to_owned()),
        }
    }
}

impl CatalogueFile {
    fn paths(self) -> Result<Paths, String> {
        let within =
            (1..=CATALOGUE_MAX).contains(&self.objects) && (0.0..=10.0).contains(&self.alpha);
        if !within {
            return Err(format!(
                "workload.catalogue: 1 to {CATALOGUE_MAX} objects, alpha from 0 to 10"
            ));
        }
        for size in &self.sizes {
            share("workload.catalogue.sizes.share", size.share)?;
        }
        let sizes = self.sizes.iter().map(|size| (size.bytes, size.share));
        let catalogue = Catalogue::new(self.objects, self.alpha, self.path, sizes.collect());
        Ok(Paths::Catalogue(catalogue))
    }
}

fn one() -> f64 {
    1.0
}
