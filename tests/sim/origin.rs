//! The origin: each page has an edition, which counts up; what it publishes is purged afterwards.

use std::time::Duration;

use fastrand::Rng;
use seawall_config::scope::{Mode, Purge, Scope, Target};
use seawall_edge::simulated::Said;

/// Sites, by what they do while they are cut off; the last one changes its mind.
pub const SITES: [&str; 4] = ["serve", "revalidate", "refuse", "fickle"];
const PAGES: usize = 3;
/// Of a purge for an origin whose replicas lag.
pub const SETTLE: Duration = Duration::from_secs(2);
/// A little less, so that clocks that drift agree.
const LAG_MS: u64 = 1_900;

/// One page.
pub type Page = usize;

pub struct Origin {
    editions: Vec<u64>,
    /// By page: until when some of its replicas say this edition.
    lags: Vec<(u64, u64)>,
}

impl Origin {
    pub fn new() -> Self {
        Self {
            editions: vec![1; SITES.len() * PAGES],
            lags: vec![(0, 0); SITES.len() * PAGES],
        }
    }

    pub fn any(random: &mut Rng) -> Page {
        random.usize(..SITES.len() * PAGES)
    }

    pub fn edition(&self, page: Page) -> u64 {
        self.editions[page]
    }

    /// As an edge is told at `now` that asks whether edition `about` is still good; and whether it is.
    pub fn says(&self, page: Page, about: Option<u64>, now: u64, random: &mut Rng) -> (Said, bool) {
        let (until, lagging) = self.lags[page];
        let body = match now < until && random.bool() {
            true => lagging,
            false => self.editions[page],
        };
        let same = about.is_some_and(|about| validator(page, about) == validator(page, body));
        // What the bytes came with counts, not what is said of them later.
        let tags = match same {
            true => vec!["seen".into()],
            false => vec![tag(page)],
        };
        let max_age = Duration::from_secs(random.u64(1..120));
        (
            Said {
                body,
                tags,
                max_age,
            },
            same,
        )
    }

    /// Whether both have the same validator.
    pub fn is_same(page: Page, one: u64, other: u64) -> bool {
        validator(page, one) == validator(page, other)
    }

    /// An unsafe method changes a page.
    pub fn change(&mut self, page: Page) -> u64 {
        self.editions[page] += 1;
        self.lags[page] = (0, 0);
        self.editions[page]
    }

    /// New editions of what a purge of any kind will cover: the pages of which it promises something, and the purge.
    pub fn publish(&mut self, now: u64, random: &mut Rng) -> (Vec<Page>, Purge) {
        let page = Self::any(random);
        let all = 0..self.editions.len();
        let (scope, pages): (_, Vec<Page>) = match random.u32(..8) {
            0 => (Scope::Everything, all.collect()),
            1 => (
                Scope::Site(SITES[site(page)].into()),
                all.filter(|other| site(*other) == site(page)).collect(),
            ),
            2 => (
                Scope::Host(host(page)),
                all.filter(|other| site(*other) == site(page)).collect(),
            ),
            3 => (
                Scope::Prefix(target(page, "/dir".into())),
                all.filter(|other| site(*other) == site(page)).collect(),
            ),
            4 | 5 => (
                Scope::Tag(tag(page)),
                all.filter(|other| tag(*other) == tag(page)).collect(),
            ),
            _ => (Scope::Url(target(page, path(page))), vec![page]),
        };
        let (mode, settle) = match random.u32(..8) {
            0 | 1 => (Mode::Soft, Duration::ZERO),
            2 => (Mode::Hard, SETTLE),
            _ => (Mode::Hard, Duration::ZERO),
        };
        for page in &pages {
            let before = self.editions[*page];
            self.change(*page);
            if settle > Duration::ZERO {
                self.lags[*page] = (now + LAG_MS, before);
            }
        }
        let purge = Purge {
            scopes: vec![scope],
            mode,
            settle,
            dry_run: false,
        };
        // Who asks for a validation cannot be told of a change that a validator does not tell.
        let pages = pages.into_iter();
        let told = pages.filter(|page| mode == Mode::Hard || !is_sloppy(*page));
        (told.collect(), purge)
    }
}

/// Its validator stays the same for some editions, as a date does for a second.
fn is_sloppy(page: Page) -> bool {
    page % PAGES == 2
}

fn validator(page: Page, edition: u64) -> u64 {
    match is_sloppy(page) {
        true => edition / 4,
        false => edition,
    }
}

pub fn site(page: Page) -> usize {
    page / PAGES
}

pub fn host(page: Page) -> String {
    format!("{}.test", SITES[site(page)])
}

pub fn path(page: Page) -> String {
    format!("/dir/{}", page % PAGES)
}

fn tag(page: Page) -> String {
    format!("tag-{}", page % PAGES)
}

fn target(page: Page, path: String) -> Target {
    Target {
        scheme: None,
        host: host(page),
        path,
    }
}
