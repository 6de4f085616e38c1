//! What each request asks for: a function of the seed and the request's number, so that two runs ask the same. Pure.

use crate::random::{Random, Zipf};

pub(crate) mod replay;

/// Objects of a catalogue.
pub const CATALOGUE_MAX: usize = 1_000_000;
/// Paths of a list, or of a log.
pub const PATHS_MAX: usize = 1_000_000;

/// What is asked for. [`Workload::one`] of a path is the least of them.
#[derive(Debug)]
pub struct Workload {
    pub paths: Paths,
    /// Requests for what no cache may keep: their share, and the path.
    pub uncacheable: Option<(f64, String)>,
    /// A request field that selects variants, and its values.
    pub vary: Option<(String, Vec<String>)>,
    /// Requests for a range: their share, the length of each, and where they begin at most.
    pub ranges: Option<Ranges>,
    /// The share that asks with the ETag that it saw last.
    pub conditional: f64,
    /// The share that asks for a URL that nobody has asked for before.
    pub new_urls: f64,
    /// So many requests in a row ask for one new URL.
    pub herd: Option<u64>,
}

#[derive(Debug)]
pub enum Paths {
    One(String),
    /// One after the other, then again.
    List(Vec<String>),
    Catalogue(Catalogue),
}

/// Objects of which few are asked for often.
#[derive(Debug)]
pub struct Catalogue {
    zipf: Zipf,
    /// `{n}` is the object's number, `{size}` its size.
    path: String,
    /// In its place, that of the one asked for most.
    first: Option<String>,
    /// Sizes with the share of objects that have them.
    sizes: Vec<(u64, f64)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranges {
    pub share: f64,
    pub bytes: u64,
    /// Of the objects.
    pub within: u64,
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) path: String,
    /// First and last byte.
    pub(crate) range: Option<(u64, u64)>,
    /// A field and its value.
    pub(crate) vary: Option<(String, String)>,
    pub(crate) conditional: bool,
}

impl Workload {
    pub fn one(path: impl Into<String>) -> Self {
        Self {
            paths: Paths::One(path.into()),
            uncacheable: None,
            vary: None,
            ranges: None,
            conditional: 0.0,
            new_urls: 0.0,
            herd: None,
        }
    }

    /// The path, if every request is the same plain one.
    pub(crate) fn always(&self) -> Option<&str> {
        let plain = self.uncacheable.is_none()
            && self.vary.is_none()
            && self.ranges.is_none()
            && self.herd.is_none()
            && self.conditional <= 0.0
            && self.new_urls <= 0.0;
        match &self.paths {
            Paths::One(path) if plain => Some(path),
            _ => None,
        }
    }

    /// Request `index` of a run with this seed.
    pub(crate) fn ask(&self, seed: u64, index: u64) -> Ask {
        // All of a herd ask for the same: what that is, is drawn once.
        let herd = self.herd.and_then(|clients| index.checked_div(clients));
        let drawn = herd.unwrap_or(index);
        let mut random = Random::at(seed, drawn);
        if let Some((share, path)) = &self.uncacheable
            && random.unit() < *share
        {
            return Ask::plain(path.clone());
        }
        let mut path = match &self.paths {
            Paths::One(path) => path.clone(),
            Paths::List(paths) => nth(paths, drawn).cloned().unwrap_or_default(),
            Paths::Catalogue(catalogue) => catalogue.path(&mut random),
        };
        let new = match herd {
            Some(_) => herd,
            None => (random.unit() < self.new_urls).then_some(index),
        };
        if let Some(new) = new {
            let joint = if path.contains('?') { '&' } else { '?' };
            path = format!("{path}{joint}new={seed:x}-{new}");
        }
        if herd.is_some() {
            // Each of them has its own language, and its own part.
            random = Random::at(!seed, index);
        }
        let ranges = self.ranges.filter(|ranges| random.unit() < ranges.share);
        Ask {
            path,
            range: ranges.map(|ranges| {
                let last = ranges.within.saturating_sub(ranges.bytes);
                let first = (random.unit() * last as f64) as u64;
                (first, first + ranges.bytes.saturating_sub(1))
            }),
            vary: self.vary.as_ref().and_then(|(name, values)| {
                Some((name.clone(), nth(values, random.next())?.clone()))
            }),
            conditional: random.unit() < self.conditional,
        }
    }
}

impl Paths {
    /// What may be asked for, for a judge: all of a list, one of a catalogue.
    pub(crate) fn sample(&self) -> Vec<&String> {
        match self {
            Self::One(path) => vec![path],
            Self::List(paths) => paths.iter().collect(),
            Self::Catalogue(catalogue) => vec![&catalogue.path],
        }
    }
}

impl Ask {
    /// Whether its path can stand on a request line.
    pub(crate) fn fits(&self) -> bool {
        let strange = |byte: u8| byte <= b' ' || byte == 0x7f;
        self.path.starts_with('/') && !self.path.bytes().any(strange)
    }

    /// The value of the field that selects a variant.
    pub(crate) fn variant(&self) -> Option<&str> {
        self.vary.as_ref().map(|(_, value)| value.as_str())
    }

    pub(crate) fn plain(path: String) -> Self {
        Self {
            path,
            range: None,
            vary: None,
            conditional: false,
        }
    }
}

impl Catalogue {
    /// `objects` of them, object `n` asked for as often as 1 / n^alpha.
    pub fn new(objects: usize, alpha: f64, path: String, sizes: Vec<(u64, f64)>) -> Self {
        Self {
            zipf: Zipf::new(objects.clamp(1, CATALOGUE_MAX), alpha),
            path,
            first: None,
            sizes,
        }
    }

    /// The same, but what is asked for most is at this path.
    pub(crate) fn with_first(self, path: String) -> Self {
        Self {
            first: Some(path),
            ..self
        }
    }

    fn path(&self, random: &mut Random) -> String {
        let number = self.zipf.pick(random);
        if number == 0
            && let Some(first) = &self.first
        {
            return first.clone();
        }
        let path = self.path.replace("{n}", &number.to_string());
        path.replace("{size}", &self.size(number as u64).to_string())
    }

    /// An object's size is always the same.
    fn size(&self, number: u64) -> u64 {
        let total: f64 = self.sizes.iter().map(|(_, share)| share).sum();
        let mut at = Random::at(0, number).unit() * total;
        for (size, share) in &self.sizes {
            if at < *share {
                return *size;
            }
            at -= share;
        }
        self.sizes.last().map_or(0, |(size, _)| *size)
    }
}

fn nth<T>(list: &[T], index: u64) -> Option<&T> {
    let length = list.len() as u64;
    list.get(usize::try_from(index.checked_rem(length)?).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue() -> Workload {
        let sizes = vec![(1_000, 0.5), (100_000, 0.5)];
        let paths = Catalogue::new(100, 1.0, "/o/{size}/{n}".to_owned(), sizes);
        Workload {
            paths: Paths::Catalogue(paths),
            uncacheable: Some((0.1, "/time".to_owned())),
            vary: Some(("accept-language".to_owned(), vec!["en".into(), "de".into()])),
            ranges: Some(Ranges {
                share: 0.2,
                bytes: 100,
                within: 1_000,
            }),
            conditional: 0.3,
            new_urls: 0.05,
            ..Workload::one("/")
        }
    }

    #[test]
    fn shares_are_met_and_the_same_seed_asks_the_same() {
        const ASKS: u64 = 20_000;
        let (one, two) = (catalogue(), catalogue());
        let asks: Vec<_> = (0..ASKS).map(|index| one.ask(1, index)).collect();
        assert!((0..ASKS).all(|index| Some(&two.ask(1, index)) == asks.get(index as usize)));
        let near = |what: &str, share: f64, of: f64, is: fn(&Ask) -> bool| {
            let found = asks.iter().filter(|ask| is(ask)).count() as f64 / (ASKS as f64 * of);
            assert!((found - share).abs() < 0.02, "{what}: {found}");
        };
        near("uncacheable", 0.1, 1.0, |ask| ask.path == "/time");
        near("ranges", 0.2, 0.9, |ask| ask.range.is_some());
        near("conditional", 0.3, 0.9, |ask| ask.conditional);
        near("new", 0.05, 0.9, |ask| ask.path.contains("?new="));
        near("German", 0.5, 0.9, |ask| {
            ask.vary.as_ref().is_some_and(|(_, value)| value == "de")
        });
        let inside = |(first, last): (u64, u64)| last < 1_000 && last - first == 99;
        assert!(asks.iter().filter_map(|ask| ask.range).all(inside));
    }

    #[test]
    fn a_herd_asks_for_one_new_url_together() {
        let herd = Workload {
            herd: Some(3),
            ..Workload::one("/a?b")
        };
        let paths: Vec<_> = (0..6).map(|index| herd.ask(1, index).path).collect();
        let one = vec!["/a?b&new=1-0"; 3];
        assert_eq!(paths, [one, vec!["/a?b&new=1-1"; 3]].concat());
    }

    #[test]
    fn a_herd_has_one_path_whatever_there_is_to_choose_from() {
        let list = Paths::List(vec!["/a".to_owned(), "/b".to_owned(), "/c".to_owned()]);
        for paths in [list, catalogue().paths] {
            let herd = Workload {
                paths,
                herd: Some(10),
                ..catalogue()
            };
            let asks: Vec<_> = (0..200).map(|index| herd.ask(1, index)).collect();
            for round in asks.chunks(10) {
                let one = round.first().map(|ask| &ask.path);
                assert!(round.iter().all(|ask| Some(&ask.path) == one), "{round:?}");
            }
            let mut paths: Vec<_> = asks.iter().map(|ask| &ask.path).collect();
            paths.sort();
            paths.dedup();
            assert!(paths.len() > 10, "{paths:?}");
            // Languages are each client's own.
            let german = |ask: &Ask| ask.vary.as_ref().is_some_and(|(_, value)| value == "de");
            let Some(mixed) = asks.chunks(10).find(|round| round.iter().any(german)) else {
                panic!("nobody asks in German");
            };
            assert!(!mixed.iter().all(german), "{mixed:?}");
        }
    }

    #[test]
    fn a_page_can_be_what_is_asked_for_most() {
        let paths = Catalogue::new(10, 1.0, "/o/{n}".to_owned(), Vec::new());
        let workload = Workload {
            paths: Paths::Catalogue(paths.with_first("/page".to_owned())),
            ..Workload::one("/")
        };
        let paths = (0..1_000).map(|index| workload.ask(1, index).path);
        let (page, others): (Vec<_>, Vec<_>) = paths.partition(|path| path == "/page");
        // Of ten by Zipf's law the first is a third.
        assert!((250..450).contains(&page.len()), "{}", page.len());
        assert!(!others.iter().any(|path| path == "/o/0"));
    }
}
