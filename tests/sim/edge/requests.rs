//! Clients, and the origin on their behalf: what an answer may not be older than is checked here.

use seawall_config::site::OnPartition;
use seawall_edge::simulated::{Said, Step};

use super::{EdgeEvent, ROUNDS_MAX, Request};
use crate::origin::{Page, host, path};
use crate::world::{World, url};

impl World {
    pub(super) fn requested(&mut self, n: usize, page: Page) {
        let promise = self.promised[page];
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
        let step = self.with(n, |sim, now| {
            sim.request(id, &request.route, now.boot_ms, wall)
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
        let said = self.origin.says(page, &mut self.random);
        let same = about == Some(said.body);
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
        let body = said.map(|(said, _)| said.body);
        let came = self.with(n, |sim, _| match said {
            Some((said, true)) => sim.validated(fill, said, wall),
            Some((said, false)) => sim.arrived(fill, said, wall),
            None => (Vec::new(), sim.failed(fill)),
        });
        let (have, again) = came.unwrap_or_default();
        for id in have {
            if let Some(body) = body {
                self.answer(n, id, body);
            }
        }
        for id in again {
            self.look_again(n, id);
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
        if body < promise {
            let page = url(request.page);
            let stands = self.with(n, |sim, _| sim.stands(&request.route));
            self.tell(stands.unwrap_or_default());
            self.breaks(format!(
                "edge {n} (vouches: {vouches}) serves edition {body} of {page}, after a receipt for edition {promise}; {}",
                request.so_far
            ));
        }
    }
}
