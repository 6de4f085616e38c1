//! The origin: each page has an edition, which counts up; what it publishes is purged afterwards.

use std::time::Duration;

use fastrand::Rng;
use seawall_config::scope::{Mode, Purge, Scope, Target};
use seawall_edge::simulated::Said;

/// Sites, by what they do while they are cut off; the last one changes its mind.
pub const SITES: [&str; 4] = ["serve", "revalidate", "refuse", "fickle"];
const PAGES: usize = 3;

/// One page.
pub type Page = usize;

pub struct Origin {
    editions: Vec<u64>,
}

impl Origin {
    pub fn new() -> Self {
        Self {
            editions: vec![1; SITES.len() * PAGES],
        }
    }

    pub fn any(random: &mut Rng) -> Page {
        random.usize(..SITES.len() * PAGES)
    }

    pub fn edition(&self, page: Page) -> u64 {
        self.editions[page]
    }

    /// As an edge is told.
    pub fn says(&self, page: Page, random: &mut Rng) -> Said {
        Said {
            body: self.editions[page],
            tags: vec![tag(page)],
            max_age: Duration::from_secs(random.u64(1..120)),
        }
    }

    /// New editions of what a purge of any kind will cover: the pages, and the purge.
    pub fn publish(&mut self, random: &mut Rng) -> (Vec<Page>, Purge) {
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
        for page in &pages {
            self.editions[*page] += 1;
        }
        let mode = match random.u32(..4) {
            0 => Mode::Soft,
            _ => Mode::Hard,
        };
        let purge = Purge {
            scopes: vec![scope],
            mode,
            settle: Duration::ZERO,
            dry_run: false,
        };
        (pages, purge)
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
