//! Clients, and the origin on their behalf: what an answer may not be older than is checked here.

use seawall_config::site::OnPartition;
use seawall_edge::simulated::{Route, Said, Step};

use super::{EdgeEvent, ROUNDS_MAX, Request};

use crate::origin::{Origin, Page, host, path};
use crate::violation::Violation;
use crate::world::{World, url};

/// How long a request waits for the revision it wants, and how often it looks.
const TOKEN_WAIT_MS: u64 = 1_000;
const TOKEN_LOOK_MS: u64 = 100;

impl World {
    pub(super) fn requested(&mut self, n: usize, page: Page) {
        let promise = self.promised[page];
        let changed = self.edges[n].changed.get(&page).copied();
        let token = self.token.clone().filter(|_| self.random.u32(..4) == 0);
        let token = token.filter(|token| token.promises(page).is_some());
        let of_token = token.as_ref().and_then(|it| it.promises(page));
        let routed = self.with(n, |sim, _| sim.route(&host(page), &path(page)));
        let Some(Some(route)) = routed else {
            return;
        };
        let edge = &mut self.edges[n];
        edge.next_request += 1;
        let id = edge.next_request;
        let request = Request {
            page,
            route,
            promise,
            changed: changed.unwrap_or_default(),
            token: of_token.unwrap_or_default(),
            wanted: token.map(|token| (token.epoch, token.revision)),
            waited_ms: 0,
            rounds: 0,
            so_far: format!("asked at {}", self.now),
        };
        edge.requests.insert(id, request);
        self.decide(n, id);
    }

    pub(super) fn decide(&mut self, n: usize, id: u64) {
        let wall = self.edges[n].wall(self.now);
        let Some(request) = self.edges[n].requests.get(&id).cloned() else {
            return;
        };
        let Some(early) = self.is_early(n, id, &request) else {
            return;
        };
        let step = self.with(n, |sim, now| {
            sim.settle(now.boot_ms);
            sim.request(id, &request.route, early, now.boot_ms, wall)
        });
        if let (Some(step), Some(request)) = (&step, self.edges[n].requests.get_mut(&id)) {
            let (site, now) = (request.route.on_partition, self.now);
            request.so_far += &format!(", {step:?} at {now} ({site:?})");
        }
        match step {
            Some(Step::Answer(body)) => self.answer(n, id, body),
            Some(Step::Ask { fill, about }) => {
                let delay = self.random.u64(1..200);
                self.later(n, delay, EdgeEvent::Ask(fill, request.page, about));
            }
            Some(Step::Wait) => {}
            Some(Step::Refuse) | None => drop(self.edges[n].requests.remove(&id)),
        }
    }

    /// The moment at which the origin looks.
    pub(super) fn at_origin(&mut self, n: usize, fill: u64, page: Page, about: Option<u64>) {
        let (said, same) = self.origin.says(page, about, self.now, &mut self.random);
        // Now and then it fails, or its client leaves and it is given up.
        let said = (self.random.u32(..20) > 0).then_some((said, same));
        let slow = self.random.u32(..10) == 0;
        let delay = match slow {
            true => self.random.u64(1_000..8_000),
            false => self.random.u64(1..300),
        };
        self.later(n, delay, EdgeEvent::Arrived(fill, said));
    }

    pub(super) fn arrived(&mut self, n: usize, fill: u64, said: Option<&(Said, bool)>) {
        let wall = self.edges[n].wall(self.now);
        let came = self.with(n, |sim, now| {
            sim.settle(now.boot_ms);
            match said {
                Some((said, true)) => sim.validated(fill, said, now.boot_ms, wall),
                Some((said, false)) => sim.arrived(fill, said, now.boot_ms, wall),
                None => sim.failed(fill),
            }
        });
        let came = came.unwrap_or_default();
        for id in came.have {
            self.answer(n, id, came.body);
        }
        for id in came.again {
            self.look_again(n, id);
        }
        if self.edges[n].sim.as_ref().is_some_and(|sim| sim.went_back) {
            let what = format!("edge {n} stores what was born before what was there");
            self.breaks(Violation::BirthWentBack, what);
        }
    }

    /// Whether it wants a revision that this edge has not reached, though it has waited. None: it waits, or is refused.
    fn is_early(&mut self, n: usize, id: u64, request: &Request) -> Option<bool> {
        let Some((epoch, revision)) = request.wanted else {
            return Some(false);
        };
        let reached = self.with(n, |sim, _| {
            sim.knows(epoch).then(|| sim.has_reached(revision))
        });
        match reached.flatten() {
            Some(true) => Some(false),
            Some(false) if request.waited_ms >= TOKEN_WAIT_MS => Some(true),
            Some(false) => {
                if let Some(request) = self.edges[n].requests.get_mut(&id) {
                    request.waited_ms += TOKEN_LOOK_MS;
                }
                self.later(n, TOKEN_LOOK_MS, EdgeEvent::Waited(id));
                None
            }
            // Of another epoch.
            None => {
                self.edges[n].requests.remove(&id);
                None
            }
        }
    }

    /// It is routed as one that comes now.
    pub(super) fn waited(&mut self, n: usize, id: u64) {
        let Some(page) = self.edges[n].requests.get(&id).map(|request| request.page) else {
            return;
        };
        let routed = self.with(n, |sim, _| sim.route(&host(page), &path(page)));
        if let (Some(Some(route)), Some(request)) = (routed, self.edges[n].requests.get_mut(&id)) {
            request.route = route;
            self.decide(n, id);
        }
    }

    /// A client asks for the head of a page alone.
    pub(super) fn headed(&mut self, n: usize, page: Page, said: Option<Box<(Route, Said)>>) {
        let wall = self.edges[n].wall(self.now);
        let Some(said) = said else {
            let routed = self.with(n, |sim, _| sim.route(&host(page), &path(page)));
            if let Some(Some(route)) = routed {
                let (said, _) = self.origin.says(page, None, self.now, &mut self.random);
                let delay = self.random.u64(1..2_000);
                let answered = EdgeEvent::Head(page, Some(Box::new((route, said))));
                self.later(n, delay, answered);
            }
            return;
        };
        let (route, said) = *said;
        self.with(n, |sim, _| {
            let stored = sim.stored(&route);
            if stored.is_some_and(|stored| Origin::is_same(page, stored, said.body)) {
                sim.headed(&route, &said, wall);
            }
        });
    }

    /// A client changes a page by way of this edge.
    pub(super) fn posted(&mut self, n: usize, page: Page, done: Option<u64>) {
        match done {
            None => {
                let edition = self.origin.change(page);
                let delay = self.random.u64(1..300);
                self.later(n, delay, EdgeEvent::Post(page, Some(edition)));
            }
            Some(edition) => {
                let routed = self.with(n, |sim, _| {
                    let route = sim.route(&host(page), &path(page))?;
                    sim.invalidate(&route.key);
                    Some(())
                });
                if let Some(Some(())) = routed {
                    self.tell(format_args!(
                        "edge {n}: a POST to {} made edition {edition}",
                        url(page)
                    ));
                    let changed = self.edges[n].changed.entry(page).or_default();
                    *changed = edition.max(*changed);
                }
            }
        }
    }

    /// It has fetched nothing yet, so that what it fetches is born now.
    pub(super) fn look_again(&mut self, n: usize, id: u64) {
        let Some(mut request) = self.edges[n].requests.remove(&id) else {
            return;
        };
        request.rounds += 1;
        let page = request.page;
        let routed = self.with(n, |sim, _| sim.route(&host(page), &path(page)));
        if let (Some(Some(route)), true) = (routed, request.rounds < ROUNDS_MAX) {
            request.route = route;
            self.edges[n].requests.insert(id, request);
            self.decide(n, id);
        }
    }

    pub(super) fn answer(&mut self, n: usize, id: u64, body: u64) {
        let Some(request) = self.edges[n].requests.remove(&id) else {
            return;
        };
        self.faults.note("answers checked", 1);
        let boot_ms = self.edges[n].clock.boot_ms(self.now);
        let deadline_ms = self.edges[n].sim.as_ref();
        let deadline_ms = deadline_ms.and_then(|sim| sim.heartbeats.deadline_ms());
        let vouches = deadline_ms.is_some_and(|deadline_ms| boot_ms < deadline_ms);
        // Whom another machine of the same id has outlived is taken for gone, and no receipt speaks of it.
        let edge = &self.edges[n];
        let is_outlived = self.store.is_outlived(&edge.id, n, edge.registrations);
        let applied = edge
            .sim
            .as_ref()
            .and_then(|sim| sim.follower.position().applied);
        let on_partition = request.route.on_partition;
        let promise = match vouches {
            _ if edge.disowned.excuses(applied, vouches, on_partition) => 0,
            false if is_outlived && on_partition == OnPartition::Serve => 0,
            true => request.promise.vouching.max(request.promise.all),
            false => request.promise.all,
        };
        let of_receipt = match vouches {
            true => Violation::StaleWhileVouching,
            false => Violation::StaleWhileCutOff,
        };
        let promises = [
            (promise, of_receipt),
            (request.token, Violation::StaleForToken),
            (request.changed, Violation::StaleAfterChange),
        ];
        let broken = promises.into_iter().find(|(promise, _)| body < *promise);
        if let Some((promise, violation)) = broken {
            let page = url(request.page);
            let stands = self.with(n, |sim, _| sim.stands(&request.route));
            self.tell(stands.unwrap_or_default());
            let what = format!(
                "edge {n} serves edition {body} of {page}, after edition {promise}; {}",
                request.so_far
            );
            self.breaks(violation, what);
        }
    }
}
